#!/usr/bin/env bash
# What waits for a GPU, in one go: the tests that need one; a table of images per second, of the whole loop and of the bare
# step; the stages of a run; the input path; where there are several GPUs, images per second on 1, 2, ... of them; and,
# where an environment has the published trainers, the comparison with them.
#
#     bash benchmarks/on_gpu.sh [PYTHON_OF_PUBLISHED_YOLOV8 [PYTHON_OF_PUBLISHED_YOLOV5]]
#
# The images are $DATA, by default 1,024 boards that are drawn first. QUICK=1 leaves what takes minutes alone.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python}
data=${DATA:-}
if [ -z "$data" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    $python benchmarks/boards.py "$folder/boards" --train 1024 --val 64
    data=$folder/boards/data.yaml
fi

# Prints a row of the table: its name, then options of train_throughput.py.
row() {
    name=$1
    shift
    $python benchmarks/train_throughput.py --data "$data" --imgsz 640 --device 0 --turns 3 --epochs 4 --steps 16 \
        --row "$name" "$@" 2>&1 | tail -n 1
}

if [ -z "${QUICK:-}" ]; then
    $python -m lehr doctor
    $python -m pytest -m cuda -n 4
fi
echo "| run | whole loop, images/s | step alone, images/s | ratio | memory, GiB |"
echo "|---|---|---|---|---|"
row "" --batch 64
row ", kernels launched one by one" --batch 64 --cuda-graphs off
LEHR_KERNELS=off row ", without own kernels" --batch 64
row ", drawn on the CPU" --batch 64 --augment-on cpu
row "" --batch 64 --amp fp16
row "" --batch 64 --amp off
row "" --batch 16
row "" --batch 128
row "" --batch 64 --model yolov5s
if [ -z "${QUICK:-}" ]; then
    row "" --batch 16 --model yolov3-spp
    row " (auto)" --batch auto
    row ", --compile default" --batch 64 --compile default
    row ", --compile reduce-overhead" --batch 64 --compile reduce-overhead
    row ", --compile max" --batch 64 --compile max
    $python benchmarks/train_throughput.py --data "$data" --imgsz 640 --batch 64 --device 0 --stages
    $python benchmarks/input_pipeline.py --data "$data" --imgsz 640 --workers 8
    $python benchmarks/train_step.py --data "$data" --imgsz 640 --batch 64 --device 0 --profile
    count=$($python -c "import torch; print(torch.cuda.device_count())")
    if [ "$count" -ge 2 ]; then
        devices=$(seq -s, 0 $((count - 1)))
        $python benchmarks/scaling.py --device "$devices" --imgsz 640 --batch $((32 * count)) --compare-dp
        $python benchmarks/scaling.py --device "$devices" --imgsz 640 --batch 32 --weak
        $python benchmarks/scaling.py --device "$devices" --imgsz 640 --batch $((32 * count)) --model yolov8x
    fi
fi
published() {
    $python benchmarks/against_published.py --data "$data" --imgsz 640 --device 0 --epochs 6 --pairs "${PAIRS:-3}" "$@"
}
if [ $# -ge 1 ]; then
    published --python "$1" --batch 64
fi
if [ $# -ge 2 ]; then
    published --python "$2" --model yolov5s --batch 64
fi
