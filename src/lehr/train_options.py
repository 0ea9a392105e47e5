"""The options of a run as typed keyword arguments; written by `make options` from lehr/options/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class TrainOptions(TypedDict, total=False):
    """Options of `Detector.train`: those of `lehr train`, with underscores; unset ones have their defaults."""

    hyp: str | Path | None
    """A YOLOv5 hyperparameter file (hyp.*.yaml), or a preset: low, medium, high, fine-tuning."""
    data: str
    """A data YAML, a folder, a VOC folder, a COCO JSON, or `shapes` (generated); FORMAT:SOURCE names the format."""
    imgsz: int | None
    """Image size, pixels: side of the model's square; rounded up to a multiple of 32 (unset: 640, for `shapes` 128)."""
    batch: int | float | Literal["auto"]
    """Images a step; or `auto`, or a share of the device's memory such as 0.7, to have it measured."""
    workers: int | None
    """Processes that load and augment; 0 loads in the training process (unset: 0 on a CPU, else up to 16)."""
    cache: Literal["ram", "encoded", "disk", "none"]
    """Images in memory, decoded (where they fit) or as files, in a file of decoded ones, or on the disk alone."""
    skip_broken: bool
    """Train without the images that are broken, or whose label file is; otherwise they stop the run."""
    skip: str | None
    """Images to do without, in all splits: a text file that names one a line, as `lehr data audit` writes it."""
    single_cls: bool
    """Treat all classes as one: find objects, whatever they are."""
    difficult: Literal["use", "ignore"]
    """Objects marked as difficult (VOC): `use` trains on them, `ignore` does not; an evaluation never counts them."""
    rect: bool
    """Batches of like shape in the smallest rectangle instead of squares; turns mosaic off."""
    tile: int | None
    """Train and validate on tiles of this side, pixels of the image, instead of images reduced to --imgsz."""
    overlap: float
    """Share of a tile that the next one shows again at least; with --tile."""
    image_weights: bool
    """Draw images the more often the rarer and the worse detected their classes are."""
    repeat_threshold: float
    """Show images of a class in fewer than this share of the images sqrt(this / share) times as often; 0 is off."""
    background_share: float | None
    """Share of images without objects in an epoch, e.g. 0.1 (unset: as they come)."""
    keep_val: str | None
    """An older data set, named as by --data, on whose validation split the run is evaluated too (unset: none)."""
    replay: float
    """Share of each batch that are training images of the --keep-val data, e.g. 0.25; 0 is none."""
    partner_window: int | Literal["all"] | None
    """Images of an epoch's windows, out of which mosaics are made (unset: all if decoded images fit, else 1024)."""
    scaled_decoding: Literal["auto", "off"]
    """Decode fewer pixels of JPEG files far larger than --imgsz where decoded images do not fit; or never."""
    multi_scale: float
    """A new size each step, from 1 - this to 1 + this times imgsz, e.g. 0.5; 0 is off."""
    grid_min: int | None
    """With --grid-max: a new size each step, from this many cells of 32 pixels on."""
    grid_max: int | None
    """With --grid-min: a new size each step, up to this many cells of 32 pixels."""
    model: str
    """Model name: yolov8 or yolov5 with n, s, m, l or x; or yolov3-spp."""
    depth: float | None
    """Multiple of the blocks' repeats (unset: that of the model's name)."""
    width: float | None
    """Multiple of the channels (unset: that of the model's name)."""
    weights: str | Path | None
    """Weights to start from: a .safetensors or published .pt, .onnx; what fits is taken (unset: random weights)."""
    reset_head: bool
    """Begin the class layers anew instead of taking them along from --weights, for classes of the same names too."""
    freeze: str | int | Sequence[int | str] | None
    """Layers that stay as they are: the count of first layers, or names such as model.0,model.4.cv1 (unset: none)."""
    autoanchor: Literal["auto", "always", "off"] | bool
    """Fit anchors to the data: `auto` where fewer than 98% of objects have one of like shape; `always`; or `off`."""
    anchors: int
    """Anchors a level, for families that have anchors."""
    frequency_bias: bool
    """Start the class biases at each class's share of the objects instead of all alike."""
    epochs: int | None
    """Epochs (unset: 100, for `shapes` 18, with anchors 24)."""
    optimizer: Literal["auto", "SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"]
    """`auto`: SGD where ceil(images / max(batch, 64)) * epochs is above 10,000, else AdamW."""
    lr0: float | None
    """Learning rate after warmup (unset: SGD 0.01, the Adam family 0.01/(4 + classes), RMSProp a tenth of that)."""
    lr0_mult: float | None
    """Multiple of that rate if not given (unset: 1; with `auto` and a start with all classes 0.3, none: up to 3)."""
    lrf: float
    """Final learning rate, as a fraction of lr0."""
    momentum: float | None
    """Momentum, or beta1 of the Adam family (unset: 0.937; with `auto` 0.9)."""
    weight_decay: float
    """Weight decay of the weights (not of biases and norms), at the nominal batch."""
    lr_schedule: Literal["linear", "cosine", "restarts", "exponential", "constant"] | None
    """Course of the learning rate from lr0 to lr0 * lrf (unset: linear)."""
    cos_lr: bool
    """The familiar name of --lr-schedule cosine."""
    restart_epochs: float | None
    """Epochs to the first restart of --lr-schedule restarts (unset: near 10, so that a course ends with the run)."""
    restart_factor: float
    """Factor by which each further course is longer, of --lr-schedule restarts."""
    warmup: Literal["gradual", "constant", "linear", "cosine", "first-epoch", "none"]
    """Kind of warmup: each group by itself; a rise of all rates that then holds or falls; YOLOv3's first epoch."""
    warmup_epochs: float | None
    """Epochs of warmup, at least 100 steps; 0 turns it off (unset: 3, with known classes 1, less in a short run)."""
    warmup_momentum: float
    """Momentum at the start of the gradual warmup."""
    warmup_bias_lr: float | None
    """Learning rate of the biases at the start of the gradual warmup (unset: SGD 0.1, others and trained start 0)."""
    backbone_lr_mult: float
    """Multiple of the learning rates for the backbone's layers, e.g. 0.1 when starting from weights; 1 is off."""
    nominal_batch: int | None
    """Images an optimizer step: gradients accumulate to it (unset: 64; with `auto` halved in runs of few steps)."""
    clip_norm: float
    """Largest norm of the gradient; 0 is no bound."""
    ema_decay: float
    """Decay of the moving average of the weights; 0 turns it off."""
    ema_tau: float | Literal["auto"] | None
    """Updates over which that decay rises; `auto`: 0.43 of the run's, at most 2000 (unset: 2000)."""
    patience: int
    """Epochs without a better result before the run stops; 0 never stops early."""
    skip_limit: int
    """Optimizer steps in a row that may be skipped, not being finite, before the run is rolled back; 0 never is."""
    rollbacks: int
    """Times that a run goes back so before it stops."""
    rollback_lr: float
    """Factor of the learning rates each time it has gone back."""
    box: float | None
    """Gain of the box loss (unset: YOLOv8 7.5, with anchors 0.05)."""
    cls: float | None
    """Gain of the class loss (unset: 0.5, for `shapes` with anchors 1)."""
    box_loss: Literal["ciou", "diou", "giou", "siou", "eiou", "wiou", "nwd"]
    """Loss of the boxes; wiou is Wise-IoU's version 1, nwd the normalized Wasserstein distance for tiny objects."""
    nwd_constant: float
    """Constant C of the normalized Wasserstein distance, pixels: the mean size of the objects, sqrt(width height)."""
    dfl: float
    """Gain of the distribution focal loss, YOLOv8."""
    obj: float
    """Gain of the objectness loss, families with anchors."""
    cls_pw: float
    """Weight of the positive term of the class loss."""
    obj_pw: float
    """Weight of the positive term of the objectness loss, families with anchors."""
    fl_gamma: float
    """Exponent of the focal loss of classes and objectness, e.g. 1.5; 0 is off."""
    fl_alpha: float
    """Weight of positives against negatives in the focal loss."""
    cls_loss: Literal["bce", "qfl", "vfl"]
    """Loss of the scores: cross-entropy, quality focal loss or varifocal loss; with anchors of the objectness, too."""
    qfl_beta: float
    """Exponent of the quality focal loss."""
    vfl_alpha: float
    """Weight of what is no object in the varifocal loss."""
    vfl_gamma: float
    """Exponent of what is no object in the varifocal loss."""
    label_smoothing: float
    """Share by which class targets are pulled towards the middle, e.g. 0.1; 0 is off."""
    class_weights: float
    """Power of the inverse class frequency that weighs the class loss: 0 is off, 0.5 mild, 1 full."""
    anchor_t: float
    """Largest ratio of an object's and a matching anchor's sides, families with anchors."""
    least_side: float
    """Objects with shorter sides find candidate points as if these were this long, pixels, YOLOv8; 0 is off."""
    tal_topk: int
    """Points that answer for an object at most, YOLOv8."""
    tal_alpha: float
    """Exponent of the score in the alignment that chooses an object's points, YOLOv8."""
    tal_beta: float
    """Exponent of the overlap in the alignment that chooses an object's points, YOLOv8."""
    mosaic: float
    """Probability of a mosaic of four images."""
    close_mosaic: int | None
    """Last epochs without mosaic, mixup, CutMix, copy-paste (unset: 10, at most 1/3; `shapes` 12, with anchors 18)."""
    mixup: float
    """Probability of blending with another image."""
    mixup_beta: float
    """Both parameters of the Beta distribution of a blend's shares: 32 is close to half and half, 1 uniform."""
    cutmix: float
    """Probability of a rectangle of another image in this one, with the objects of both."""
    copy_paste: float
    """Probability of pasting objects of another image."""
    degrees: float
    """Rotation, degrees either way."""
    translate: float
    """Shift, share of the image either way."""
    scale: float
    """Zoom: a factor between 1 - scale and 1 + scale."""
    shear: float
    """Shear, degrees either way."""
    perspective: float
    """Perspective, share of the image a pixel."""
    hsv_h: float
    """Hue: a factor between 1 - this and 1 + this, which hardly moves red; with --hue add, share of the circle."""
    hsv_s: float
    """Saturation, share either way."""
    hsv_v: float
    """Brightness, share either way."""
    hue: Literal["scale", "add"]
    """Multiply the hue, as published, or add to it, which moves all colours alike."""
    erasing: float
    """Probability of a rectangle, 2% to 40% of the image, that becomes noise."""
    flipud: float
    """Probability of an upside-down flip."""
    fliplr: float
    """Probability of a left-right flip."""
    min_box_side: float
    """Pixels that both sides of an object's box exceed, or it is no object any more."""
    min_visible: float
    """Least share of an object's area that is still seen, of that in the uncut image, or it is no object any more."""
    max_box_ratio: float
    """An object's box is less than this many times as long as wide, or it is no object any more."""
    augmentation: Sequence[str]
    """An augmentation of a package, or your code as package.module:object; =PROBABILITY may follow; repeatable."""
    amp: Literal["auto", "bf16", "fp16", "off"]
    """Mixed precision, checked on this model and its images first; `auto`: bfloat16 or float16 on a GPU that has it."""
    augment_on: Literal["auto", "cpu", "device"]
    """Place where training samples are drawn; `auto`: on a GPU where there is one, else on the CPU."""
    compile: Literal["off", "default", "reduce-overhead", "max"]
    """torch.compile for model and loss; `reduce-overhead` launches it as CUDA graphs, `max` also tries out kernels."""
    cuda_graphs: Literal["auto", "off"]
    """Launch whole steps at once on a GPU, where their shapes stay the same: see CUDA graphs."""
    profile: bool
    """End with a table of where the time went, and what to change."""
    device: str | int | Sequence[int | str]
    """auto, cpu, cuda, mps or a CUDA index such as 0, or several such as 0,1,2,3; `auto` falls back to the CPU."""
    processes: int | None
    """Processes on this machine that train together (unset: one for each device that is named)."""
    parallel: Literal["ddp", "dp"]
    """Several devices: a process each (DistributedDataParallel), or one process for all (DataParallel, slower)."""
    sync_bn: bool
    """BatchNorm over the images of all processes instead of each one's own; for few images a device."""
    restarts: int
    """Times that the processes are started again after one was lost; they go on from the last checkpoint."""
    timeout: float
    """Seconds that a process waits for the others before it ends."""
    seed: int
    """Seed of everything random."""
    project: str | Path
    """Folder that holds the runs."""
    name: str | None
    """Name of the run's folder (unset: train, train-2, ...)."""
    max_det: int
    """Detections of an image that the validation keeps, by which fitness is measured; for images with more objects."""
    guard: Literal["auto", "off"]
    """`auto`: evaluate a start that knows all classes; it is the best until an epoch is better."""
    checkpoint_minutes: float
    """Minutes between checkpoints within an epoch; there is one after each epoch in any case."""
    deterministic: bool
    """Repeat to the last bit on CUDA too, at a cost that is measured and told; a CPU always does."""
    callback: Sequence[str]
    """Listeners to the run, each the name of one that an installed package offers, or package.module:object."""
    strict_callbacks: bool
    """End the run, its state saved, when a callback fails; otherwise that is reported and the run goes on."""
    loggers: Sequence[str]
    """Tools that get scalars, options and images: csv, tensorboard, mlflow, trackio, wandb, or other packages' own."""
    digests: bool
    """Record digests of batch and weights at each step, by which `lehr diff` finds where two runs part."""
    report: bool
    """End with the run's page, report.html; `lehr report RUN` builds it at any time."""
