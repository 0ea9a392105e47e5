"""Text of `--dry-run`: the trials that a study would run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lehr.runtime.counted import counted
from lehr.search.ablation import Ablation
from lehr.search.space import Space

if TYPE_CHECKING:
    from lehr.studies.ablate import AblateStudy


def describe_space(space: Space) -> str:
    """Describe what a search varies: a line per parameter, with its current value and its bounds."""
    width = max(map(len, space.parameters))
    lines = [f"{'parameter':<{max(width, 9)}}  {'now':>9}  between"]
    for name, parameter in space.parameters.items():
        now = space.start[name]
        value = f"{now:.6g}" if isinstance(now, float) else str(now)
        scale = ", logarithmic" if parameter.log else ""
        never = ", never mutated" if parameter.gain == 0 else ""
        lines.append(f"{name:<{max(width, 9)}}  {value:>9}  {parameter}{scale}{never}")
    return "\n".join(lines)


def describe_switches(ablation: Ablation) -> str:
    """Describe what an ablation switches: a line per technique, with its options on and off."""
    width = max(map(len, ablation.switches))
    return "\n".join(
        f"{name:<{width}}  on: {_told(switch.on)}   off: {_told(switch.off)}"
        for name, switch in ablation.switches.items()
    )


def describe_runs(search: AblateStudy) -> str:
    """The runs of an ablation, one line per set of techniques."""
    sets = search.ablation.sets()
    lines = [f"{counted(len(sets) * len(search.seeds), 'run')} of {counted(search.config.epochs, 'epoch')}:"]
    seeds = ", ".join(map(str, search.seeds[:10])) + (", ..." if len(search.seeds) > 10 else "")
    lines += [f"  {search.describe_set(on)}: seeds {seeds}" for on in sets]
    return "\n".join(lines)


def _told(options: Mapping[str, Any]) -> str:
    """Format options for the shell."""
    words = []
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words.append(f"--{option} {'unset' if value is None else value}")
    return " ".join(words) or "unchanged"
