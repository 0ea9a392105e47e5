"""Compiled steps: torch.compile turns model and loss into a few kernels that read and write memory far less often.

Ansel et al., "PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation and Graph Compilation",
2024. Model and loss are compiled in `lehr.engine.model_with_loss`, made and measured before the first step in
`engine.preflight`.
"""

from __future__ import annotations

from lehr.config import TrainConfig
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.technique import Run, Section, State, Technique
from lehr.techniques.cuda_graphs import obstacle_to_fixed_shapes

BY_GRAPHS = "reduce-overhead"
"""Choice of `--compile` whose code is launched as CUDA graphs."""
MODES = {"default": None, BY_GRAPHS: BY_GRAPHS, "max": "max-autotune-no-cudagraphs"}
"""Modes of torch.compile by the choices of `--compile`."""


def check_compiler_graphs(config: TrainConfig, device: str, processes: int = 1, images: int | None = None) -> None:
    """Check that compiled code can be launched as CUDA graphs, if requested.

    Args:
        config: the run's options.
        device: kind of the run's device, e.g. `cuda`.
        processes: that train together.
        images: of an epoch; None if not known yet.

    Raises:
        InputError: the options or the data make it impossible.
    """
    if config.speed.compile != BY_GRAPHS:
        return
    obstacle = obstacle_to_fixed_shapes(config, processes)
    if not obstacle and device != "cuda":
        obstacle = f"they run on CUDA only, and this run is on {device}"
    if not obstacle and images is not None and images < config.batch:
        obstacle = (
            f"{counted(images, 'image is', 'images are')} less than a batch of {config.batch}, and only "
            f"whole batches are compiled"
        )
    if obstacle:
        raise InputError(
            f"--compile {BY_GRAPHS}: this run's steps cannot be captured as CUDA graphs: {obstacle}. Use --compile "
            "default."
        )


def _state(run: Run) -> State:
    mode = run.config.speed.compile
    obstacle = obstacle_to_fixed_shapes(run.config) if mode == BY_GRAPHS else ""
    return State(mode != "off", f"torch.compile, {mode}" + (f"; refused, since {obstacle}" if obstacle else ""))


TECHNIQUE = Technique(
    name="compiled steps",
    page="compiled-steps",
    section=Section.DEVICE,
    order=30,
    options=("compile",),
    why="fewer passes over the features, no Python between them",
    state=_state,
    turn_on="--compile default",
    turn_off="--compile off",
    code=("engine/model_with_loss.py", "engine/step.py", "engine/preflight.py"),
)
