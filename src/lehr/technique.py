"""A technique's description of itself: one value in the module that implements it.

`lehr train --explain`, the switches of `lehr ablate --techniques` and the index of docs/techniques are made from these
values; `lehr.techniques.catalog` collects them. CONTRIBUTING.md says how one is added. A module describes its
technique so:

    TECHNIQUE = Technique(
        name="gradient clipping", page="clipping", section=Section.COURSE, options=("clip_norm",), why="one outlier
        batch cannot ruin the weights", state=lambda
        run: State(run.config.schedule.clip_norm > 0, f"norm at most {run.config.schedule.clip_norm:g}"),
        switches=(Switch("clipping", {"clip_norm": 10.0}, {"clip_norm": 0.0}),),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from lehr.config import TrainConfig
    from lehr.models.family import Family
    from lehr.sample import Dataset, Sample
    from lehr.techniques.plan import TrainingPlan

Found = TypeVar("Found")
MAX_KNOWN = 64
"""Values of splits that a rule keeps at most."""
PAGES = "docs/techniques"
"""Folder of the pages, from the repository's root."""


class Run(Protocol):
    """A planned run, as far as techniques need it: a `lehr.preview.Preview`."""

    @property
    def config(self) -> TrainConfig:
        """Its options."""

    @property
    def images(self) -> int:
        """Images of its training split."""

    @property
    def classes(self) -> int:
        """Classes that it learns."""

    @property
    def dataset(self) -> Dataset | None:
        """Its data set, as it trains on it, read when first asked for; None if it is not to be looked at."""

    @property
    def plan(self) -> TrainingPlan:
        """Its rates."""


def training_samples(run: Run) -> Sequence[Sample] | None:
    """Return the training split of a planned run; None if its data set is not to be looked at."""
    return None if run.dataset is None else run.dataset.splits.get("train")


def is_cut(run: Run) -> bool:
    """Return whether a planned run trains on tiles, and cuts an image; True also where its data are not looked at."""
    tile, samples = run.config.data.tile, training_samples(run)
    if tile is None or samples is None:
        return tile is not None
    return _has_larger(getattr(samples, "images", samples), tile)


def once_a_split(compute: Callable[..., Found]) -> Callable[..., Found]:
    """Compute what depends on a split once, however often rules ask for it: a search asks hundreds of times.

    Args:
        compute: from a split, a sequence of samples that nobody changes, and further arguments to a value.
    """
    known: dict[tuple[Any, ...], tuple[Sequence[Sample], Found]] = {}

    @wraps(compute)
    def asked(samples: Sequence[Sample], *arguments: Any) -> Found:
        if arguments not in known or known[arguments][0] is not samples:
            if len(known) >= MAX_KNOWN:
                known.clear()
            known[arguments] = samples, compute(samples, *arguments)
        return known[arguments][1]

    return asked


@once_a_split
def _has_larger(samples: Sequence[Sample], tile: int) -> bool:
    """Return whether an image is larger than a tile."""
    return any(max(sample.width, sample.height) > tile for sample in samples)


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Reason why an option, as a planned run has it, changes nothing in it.

    Attributes:
        why: the reason, as it stands after "has no effect: ".
        acts_as: the value that it acts as, where other values would have an effect; None if no value has one.
    """

    why: str
    acts_as: Any = None


class Section(StrEnum):
    """Part of a run that a technique belongs to: the headings of the index, in its order.

    `COURSE` is whatever acts in steps, `MODEL` what is done once before the first.
    """

    COURSE = "The course of a run"
    MODEL = "The model's start"
    DATA = "The data"
    LOSS = "The loss"
    AUGMENTATION = "Augmentation"
    DEVICE = "The device"


@dataclass(frozen=True, slots=True)
class Switch:
    """Options by which an ablation turns a technique, or a part of it, on and off.

    Attributes:
        name: its name in `--techniques`, with underscores.
        on: values that turn it on where the run has it off; `...` for what the user must give.
        off: values of the same options that turn it off.
        aliases: other names that people know.
        in_all: whether `--techniques all` includes it; not where it shares an option with another switch, or is not
            there to make results better.
        one_of_several: the options choose between more than these two, so it is on only with the very values of `on`;
            otherwise with any values but those of `off`. Its technique may be on either way.
    """

    name: str
    on: Mapping[str, Any]
    off: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    in_all: bool = True
    one_of_several: bool = False

    def is_on(self, options: Mapping[str, Any]) -> bool:
        """Return whether a run has it on.

        Args:
            options: the run's, by flat name.
        """
        if self.one_of_several:
            return all(options[name] == value for name, value in self.on.items())
        return any(options[name] != value for name, value in self.off.items())


@dataclass(frozen=True, slots=True)
class State:
    """A technique in a planned run.

    Attributes:
        on: whether the run uses it.
        value: with what values, where it is on.
        change: options that turn it off where it is on, and on where it is off; empty for what the technique says of
            every run.
        no_effect: why it is off although its options ask for it; empty if they do not.
    """

    on: bool
    value: str = ""
    change: str = ""
    no_effect: str = ""


def _any_family(family: Family) -> bool:
    return True


def _all_have_effect(run: Run) -> Mapping[str, NoEffect]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Technique:
    """A technique's description of itself.

    Attributes:
        name: its name in `--explain`.
        page: its page in docs/techniques, without `.md`; of another package's technique, an address.
        section: where the index lists it.
        why: what it is good for, in one line.
        state: from a planned run to its state in it; not asked about families that it means nothing to.
        order: place in its section, smaller first; the same places go by name.
        options: flat names of the options that it owns, the one that turns it on first; each option belongs to one
            technique at most.
        without_effect: from a planned run to those of its options that change nothing in it, and why; not asked about
            families that it means nothing to. The start of a run, `--explain`, ablations and searches ask it.
        switches: what an ablation can switch, itself first; `one_of_several` choose a variation of it.
        turn_on: options that turn it on, for people; empty for those of its first switch, if that is not a choice of
            a variation.
        turn_off: the same for off; empty also where it is always on.
        suits: returns whether it applies to a family of models.
        family: which families those are, where not all, e.g. "a family with anchors, such as yolov5n".
        code: further files that implement it, from src/lehr.
    """

    name: str
    page: str
    section: Section
    why: str
    state: Callable[[Run], State]
    order: int = 100
    options: tuple[str, ...] = ()
    without_effect: Callable[[Run], Mapping[str, NoEffect]] = _all_have_effect
    switches: tuple[Switch, ...] = ()
    turn_on: str = ""
    turn_off: str = ""
    suits: Callable[[Family], bool] = _any_family
    family: str = ""
    code: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its page from the repository's root, or its address."""
        return self.page if "/" in self.page else f"{PAGES}/{self.page}.md"

    def in_run(self, run: Run) -> State:
        """Its state in a planned run, with the options that change it.

        Args:
            run: the run.
        """
        if not self.suits(run.config.family):
            return State(False, change=self.family)
        state = self.state(run)
        if state.on and self.options and (found := self.without_effect(run).get(self.options[0])) is not None:
            state = State(False, change=state.change, no_effect=found.why)
        usual = self._turned(off=state.on) if not state.change else state.change
        return replace(state, change=usual)

    def _turned(self, off: bool) -> str:
        """Options that turn it off or on in every run."""
        given = self.turn_off if off else self.turn_on
        if given or not self.switches or self.switches[0].one_of_several:
            return given
        return shell_options(self.switches[0].off if off else self.switches[0].on)


def shell_options(options: Mapping[str, Any]) -> str:
    """Options as one gives them in the shell.

    Args:
        options: values by flat name; None for an option that is omitted, `...` for any value.
    """
    return " ".join(_shell_option(f"--{name.replace('_', '-')}", value) for name, value in options.items())


def _shell_option(option: str, value: Any) -> str:
    if isinstance(value, bool):
        return option if value else option.replace("--", "--no-", 1)
    if value is None:
        return f"leave out {option}"
    if value is ...:
        return f"{option} VALUE"
    return f"{option} {value:g}" if isinstance(value, float) else f"{option} {value}"
