#!/usr/bin/env bash
# What waits for a GPU, in one go: the tests that need one, images a second with the share of each stage, the input
# path, where there are several GPUs images a second on 1, 2, ... of them, and, where an environment has the published trainers, the comparison with them.
#
#     bash benchmarks/on_gpu.sh [PYTHON_OF_PUBLISHED_YOLOV8 [PYTHON_OF_PUBLISHED_YOLOV5]]
#
# `--data` of the throughput is $DATA, by default the generated data set, enlarged.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python}
data=${DATA:-shapes}

$python -m lehr doctor
$python -m pytest -m cuda
for model in yolov8n yolov5s; do
    for options in "--batch 64" "--batch 64 --amp off" "--batch 64 --augment-on cpu" "--batch 64 --compile default" \
        "--batch 64 --compile max" "--batch auto"; do
        # shellcheck disable=SC2086
        $python benchmarks/train_throughput.py --data "$data" --model $model --imgsz 640 --device 0 --stages $options
    done
done
$python benchmarks/input_pipeline.py --data "$data" --imgsz 640 --workers 8
$python benchmarks/train_step.py --data "$data" --imgsz 640 --batch 64 --device 0 --profile
count=$($python -c "import torch; print(torch.cuda.device_count())")
if [ "$count" -ge 2 ]; then
    devices=$(seq -s, 0 $((count - 1)))
    $python benchmarks/scaling.py --device "$devices" --imgsz 640 --batch $((32 * count)) --compare-dp
    $python benchmarks/scaling.py --device "$devices" --imgsz 640 --batch 32 --weak
    $python benchmarks/scaling.py --device "$devices" --imgsz 640 --batch $((32 * count)) --model yolov8x
fi
if [ $# -ge 1 ]; then
    for batch in 64 128; do
        $python benchmarks/against_published.py --python "$1" --data "$data" --imgsz 640 --batch $batch --device 0
    done
fi
if [ $# -ge 2 ]; then
    $python benchmarks/against_published.py --python "$2" --data "$data" --model yolov5s --imgsz 640 --batch 64 --device 0
fi
