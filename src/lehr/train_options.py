"""The options of a run as typed keyword arguments; written by `make options` from lehr/options/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict


class TrainOptions(TypedDict, total=False):
    """Options of `Detector.train`: those of `lehr train`, with underscores; unset ones have their defaults."""

    hyp: str | Path | None
    """A YOLOv5 hyperparameter file (hyp.*.yaml), or a preset: low, medium, high, fine-tuning."""
    data: str | Path
    """A data YAML, a YOLO or VOC folder, or a COCO JSON. `shapes` is a generated data set. FORMAT:SOURCE names the
    format."""
    imgsz: int | None
    """Side of the square that the model sees, pixels; rounded up to a multiple of 32 (unset: 640, for `shapes` 128)."""
    batch: int | float | Literal["auto"]
    """Images per step, on all devices together. `auto`, or a share such as 0.7, fits it to the memory."""
    workers: int | None
    """Processes that load images; 0 loads in the main one (unset: 0 on a CPU, else up to 16)."""
    cache: Literal["ram", "encoded", "disk", "none"]
    """`ram` keeps decoded images in memory if they fit; `encoded` keeps their files; `disk` one decoded file."""
    skip_broken: bool
    """Skip broken images and labels instead of stopping."""
    skip: str | None
    """Text file of images to skip, in any split, one a line. `lehr data audit --out` writes one."""
    single_cls: bool
    """Treat all classes as one."""
    difficult: Literal["use", "ignore"]
    """Train on objects that VOC marks as difficult, or not. They never count in an evaluation."""
    rect: bool
    """Rectangular batches of images of similar shape; turns mosaic off."""
    tile: int | None
    """Train on tiles of this side, in pixels of the image; otherwise images are scaled to --imgsz."""
    overlap: float
    """Least overlap of neighbouring tiles, as a share; with --tile."""
    image_weights: bool
    """Show images of rare or badly found classes more often."""
    repeat_threshold: float
    """Repeat images of classes in fewer than this share; they are shown sqrt(this / share) times; 0 is off."""
    background_share: float | None
    """Share of images without objects in an epoch, e.g. 0.1 (unset: as they come)."""
    keep_val: str | None
    """Older data set, on which each epoch is evaluated, too (unset: none)."""
    replay: float
    """Share of each batch drawn from --keep-val, e.g. 0.25; 0 is off."""
    partner_window: int | Literal["all"] | None
    """Images among which mosaic partners are drawn, or `all` (unset: all if decoded images fit, else 1024)."""
    scaled_decoding: Literal["auto", "off"]
    """Decode large JPEG files at a reduced size. `auto`: where decoded images do not fit in memory."""
    multi_scale: float
    """Vary the size per step by up to this share, e.g. 0.5; 0 is off."""
    grid_min: int | None
    """Smallest size per step, in cells of 32 pixels; with --grid-max."""
    grid_max: int | None
    """Largest size per step, in cells of 32 pixels; with --grid-min."""
    model: str
    """yolov8 or yolov5 with n, s, m, l or x; or yolov3-spp."""
    depth: float | None
    """Multiple of the blocks' repeats (unset: that of the model's name)."""
    width: float | None
    """Multiple of the channels (unset: that of the model's name)."""
    weights: str | Path | None
    """Weights to start from: .safetensors, .pt or .onnx. Tensors that fit are taken (unset: random weights)."""
    reset_head: bool
    """Start class layers from scratch, not from --weights."""
    freeze: str | int | Sequence[int | str] | None
    """Number of first layers to freeze; or names such as model.0,model.4.cv1 (unset: none)."""
    autoanchor: Literal["auto", "always", "off"] | bool
    """Fit anchors where fewer than 98% of the objects match. `always` fits them in any case."""
    anchors: int
    """Anchors per level, for models with anchors."""
    frequency_bias: bool
    """Start the class biases at the class frequencies."""
    epochs: int | None
    """Passes over the training images (unset: 100, for `shapes` 18, with anchors 24)."""
    optimizer: Literal["auto", "SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"]
    """`auto`: SGD in runs above 10,000 iterations, else AdamW. Iterations: ceil(images / max(batch, 64)) * epochs."""
    lr0: float | None
    """Learning rate after the warmup (unset: SGD 0.01; the Adam family 0.01/(4 + classes); RMSProp a tenth of that)."""
    lr0_mult: float | None
    """Multiple of the automatic learning rate (unset: 1; with `auto` and known classes 0.3; with none of them up to
    3)."""
    lrf: float
    """Final learning rate, as a fraction of --lr0."""
    momentum: float | None
    """Momentum, or beta1 of the Adam family (unset: 0.937; with `auto` 0.9)."""
    weight_decay: float
    """Weight decay of weights, not of biases and norms; at the nominal batch."""
    lr_schedule: Literal["linear", "cosine", "restarts", "exponential", "constant"] | None
    """Shape of the learning rate from lr0 to lr0 * lrf (unset: linear)."""
    cos_lr: bool
    """Same as --lr-schedule cosine."""
    restart_epochs: float | None
    """Epochs to the first restart; --lr-schedule restarts (unset: near 10, so that a course ends with the run)."""
    restart_factor: float
    """Factor by which each further cycle is longer."""
    warmup: Literal["gradual", "constant", "linear", "cosine", "first-epoch", "none"]
    """Kind of warmup: gradual for each parameter group; or one rise of all rates; or YOLOv3's."""
    warmup_epochs: float | None
    """Epochs of warmup, at least 100 steps; 0 is off (unset: 3, with known classes 1, less in a short run)."""
    warmup_momentum: float
    """Momentum at the start of the gradual warmup."""
    warmup_bias_lr: float | None
    """Bias learning rate at the start of the warmup (unset: SGD 0.1, others and trained start 0)."""
    backbone_lr_mult: float
    """Multiple of the backbone's learning rates; e.g. 0.1 for trained weights; 1 is off."""
    nominal_batch: int | None
    """Images per optimizer step; smaller batches accumulate (unset: 64; with `auto` halved in runs of few steps)."""
    clip_norm: float
    """Largest norm of the gradient; 0 does not clip."""
    ema_decay: float
    """Decay of the moving average of the weights; 0 is off."""
    ema_tau: float | Literal["auto"] | None
    """Updates over which that decay rises; `auto`: 0.43 of the run's, at most 2000 (unset: 2000)."""
    patience: int
    """Stop after this many epochs without improvement; 0 never stops early."""
    skip_limit: int
    """Non-finite optimizer steps in a row before a rollback; 0 never rolls back."""
    rollbacks: int
    """Rollbacks before the run stops."""
    rollback_lr: float
    """Factor of the learning rates after each rollback."""
    box: float | None
    """Gain of the box loss (unset: YOLOv8 7.5, with anchors 0.05)."""
    cls: float | None
    """Gain of the class loss (unset: 0.5, for `shapes` with anchors 1)."""
    box_loss: Literal["ciou", "diou", "giou", "siou", "eiou", "wiou", "nwd"]
    """Loss of the boxes; wiou is Wise-IoU's version 1. nwd, a Wasserstein distance, suits tiny objects."""
    nwd_constant: float
    """Constant C of nwd: the objects' mean size, pixels."""
    dfl: float
    """Gain of the distribution focal loss, YOLOv8."""
    obj: float
    """Gain of the objectness loss, models with anchors."""
    cls_pw: float
    """Weight of the positive term of the class loss."""
    obj_pw: float
    """Weight of the positive term of the objectness loss; models with anchors."""
    fl_gamma: float
    """Exponent of the focal loss, e.g. 1.5; 0 is off."""
    fl_alpha: float
    """Weight of positives against negatives in focal loss."""
    cls_loss: Literal["bce", "qfl", "vfl"]
    """Cross-entropy, quality focal or varifocal loss; with anchors, of the objectness, too."""
    qfl_beta: float
    """Exponent of the quality focal loss."""
    vfl_alpha: float
    """Weight of the negatives in the varifocal loss."""
    vfl_gamma: float
    """Exponent of the negatives in the varifocal loss."""
    label_smoothing: float
    """Share by which class targets are smoothed, e.g. 0.1; 0 is off."""
    class_weights: float
    """Weigh classes by inverse frequency to this power; 0 is off, 0.5 mild, 1 full."""
    anchor_t: float
    """Largest ratio of the sides of an object and its anchor."""
    least_side: float
    """Match smaller objects as if they had this side, pixels; YOLOv8; 0 is off."""
    tal_topk: int
    """Most points that are matched to an object, YOLOv8."""
    tal_alpha: float
    """Exponent of the score in the matching, YOLOv8."""
    tal_beta: float
    """Exponent of the overlap in the matching, YOLOv8."""
    mosaic: float
    """Probability of a mosaic of four images."""
    close_mosaic: int | None
    """Last epochs without mosaic, mixup, CutMix, copy-paste (unset: 10, at most 1/3; `shapes` 12, with anchors 18)."""
    mixup: float
    """Probability of blending in another image."""
    mixup_beta: float
    """Beta parameter of the blend; 32 is near half, 1 uniform."""
    cutmix: float
    """Probability of pasting a rectangle of another image; its objects come along."""
    copy_paste: float
    """Probability of pasting objects of another image."""
    degrees: float
    """Rotation, up to this many degrees either way."""
    translate: float
    """Shift, up to this share of the image either way."""
    scale: float
    """Zoom, by a factor between 1 - this and 1 + this."""
    shear: float
    """Shear, up to this many degrees either way."""
    perspective: float
    """Perspective, as a share of the image per pixel."""
    hsv_h: float
    """Hue: a factor between 1 - this and 1 + this; with --hue add, a share of the colour circle."""
    hsv_s: float
    """Saturation, up to this share either way."""
    hsv_v: float
    """Brightness, up to this share either way."""
    hue: Literal["scale", "add"]
    """Scale the hue, as published, which hardly moves red; or add to it."""
    erasing: float
    """Probability of erasing a rectangle with noise; it covers 2% to 40% of the image."""
    flipud: float
    """Probability of an upside-down flip."""
    fliplr: float
    """Probability of a left-right flip."""
    min_box_side: float
    """Drop objects with a side of at most this, pixels."""
    min_visible: float
    """Drop objects of which less than this share remains."""
    max_box_ratio: float
    """Drop objects this many times as long as wide."""
    augmentation: Sequence[str]
    """Augmentation of a package, or package.module:object; =PROBABILITY may follow; may be repeated."""
    amp: Literal["auto", "bf16", "fp16", "off"]
    """Mixed precision, checked on your model and images. `auto`: bfloat16 or float16 on a GPU that has it."""
    augment_on: Literal["auto", "cpu", "device"]
    """Device that augments images; `auto`: the GPU if any."""
    compile: Literal["off", "default", "reduce-overhead", "max"]
    """Compile model and loss with torch.compile; `reduce-overhead` uses CUDA graphs; `max` also tunes kernels."""
    cuda_graphs: Literal["auto", "off"]
    """Launch whole steps as CUDA graphs on a GPU; only where their shapes stay the same."""
    profile: bool
    """End with a table of where the time went."""
    device: str | int | Sequence[int | str]
    """auto, cpu, cuda, mps, a GPU such as 0, or several: 0,1."""
    processes: int | None
    """Processes that train together on this machine (unset: one for each device that is named)."""
    parallel: Literal["ddp", "dp"]
    """Several devices: a process each (ddp), or one (dp)."""
    sync_bn: bool
    """Share BatchNorm statistics among processes; for few images per device."""
    restarts: int
    """Restarts after a lost process, from the checkpoint."""
    timeout: float
    """Seconds that a process waits for the others."""
    seed: int
    """Seed of everything random."""
    project: str | Path
    """Folder that holds the runs."""
    name: str | None
    """Name of the run's folder (unset: train, train-2, ...; in a study evolve or ablate)."""
    max_det: int
    """Detections per image that the validation keeps."""
    guard: Literal["auto", "off"]
    """`auto`: starting weights stay the best until beaten; only where they know all classes."""
    checkpoint_minutes: float
    """Minutes between checkpoints within an epoch."""
    deterministic: bool
    """Repeat runs bit for bit on CUDA, more slowly; a CPU always does."""
    callback: Sequence[str]
    """Callback of a package, or package.module:object; may be repeated."""
    strict_callbacks: bool
    """Stop the run when a callback fails."""
    loggers: Sequence[str]
    """csv, tensorboard, mlflow, trackio, wandb, or others."""
    digests: bool
    """Record digests of each step, for `lehr diff`."""
    report: bool
    """Write the run's page, report.html, at the end."""
