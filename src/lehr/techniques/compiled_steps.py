"""Compiled steps: torch.compile turns model and loss into a few kernels that read and write memory far less often.

Ansel et al., "PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation and Graph Compilation",
2024. The step itself is compiled in `lehr.engine.step`, and made and measured before the first in `engine.preflight`.
"""

from __future__ import annotations

from lehr.technique import Section, State, Technique

MODES = {"default": None, "max": "max-autotune-no-cudagraphs"}
"""Modes of torch.compile by the choices of `--compile`."""

TECHNIQUE = Technique(
    name="compiled steps",
    page="compiled-steps",
    section=Section.DEVICE,
    order=30,
    options=("compile",),
    why="fewer passes over the features, no Python between them",
    state=lambda run: State(run.config.speed.compile != "off", f"torch.compile, {run.config.speed.compile}"),
    turn_on="--compile default",
    turn_off="--compile off",
    code=("engine/step.py", "engine/preflight.py"),
)
