"""CUDA graphs: the kernels of a step are recorded once and launched together, so that a GPU never waits for the host.

Gray, "Getting Started with CUDA Graphs", 2019. Steps are captured and replayed in `lehr.engine.step_graphs`.
"""

from __future__ import annotations

from lehr.config import TrainConfig
from lehr.technique import Run, Section, State, Technique


def obstacle_to_graphs(config: TrainConfig, processes: int = 1) -> str:
    """Return what in a run's options makes captured steps impossible; empty if nothing does.

    Args:
        config: the run's options.
        processes: number of training processes.
    """
    if config.speed.compile != "off" and processes == 1 and config.devices.parallel != "dp":
        return "--compile launches its own code"
    return obstacle_to_fixed_shapes(config, processes)


def obstacle_to_fixed_shapes(config: TrainConfig, processes: int = 1) -> str:
    """Return what in a run's options makes the shapes or the memory of steps change; empty if nothing does.

    Args:
        config: the run's options.
        processes: number of training processes.
    """
    if processes > 1:
        return "several processes exchange gradients during the backward pass"
    if config.devices.parallel == "dp":
        return "--parallel dp copies the model to each device in every step"
    if config.data.multi_scale > 0:
        return "--multi-scale changes the size of the images from step to step"
    if config.data.grid_min is not None:
        return "--grid-min and --grid-max change the size of the images from step to step"
    if config.data.rect:
        return "--rect produces batches of many shapes"
    return ""


def _state(run: Run) -> State:
    if run.config.speed.cuda_graphs == "off":
        return State(False, "kernels are launched one by one")
    obstacle = obstacle_to_graphs(run.config)
    return State(not obstacle, obstacle or "steps of whole batches, on a GPU")


TECHNIQUE = Technique(
    name="CUDA graphs",
    page="cuda-graphs",
    section=Section.DEVICE,
    order=35,
    options=("cuda_graphs",),
    why="a fast GPU computes kernels faster than a host launches them",
    state=_state,
    turn_on="--cuda-graphs auto",
    turn_off="--cuda-graphs off",
    code=("engine/step_graphs.py",),
)
