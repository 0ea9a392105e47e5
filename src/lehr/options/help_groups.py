"""The headings under which `--help` shows options, and which of them only `--help-all` opens."""

from __future__ import annotations

from enum import StrEnum


class HelpGroup(StrEnum):
    """A heading of `--help`, in the order in which they are shown.

    An option says which one it belongs to: in `Annotated` among its marks, or by the default of its group of options.
    """

    BASICS = "Basics"
    INPUT = "Input"
    TRAINING = "Training"
    DATA = "Data and loading"
    AUGMENTATION = "Augmentation"
    STUDY = "Study"
    DETECTIONS = "Detections"
    CONVERSION = "Conversion"
    OUTPUT = "Output"
    WORKERS = "Workers and storage"
    RATES = "Learning rates"
    MODEL = "Model details"
    LOSS = "Loss"
    MORE_AUGMENTATION = "More augmentation"
    BALANCE = "Class balance"
    MORE_DATA = "More on data"
    SPEED = "Speed"
    DEVICES = "Several devices"
    RECOVERY = "Recovery"
    RECORDS = "Checks and callbacks"

    @property
    def folded(self) -> bool:
        """Return whether `--help` names the heading only, and `--help-all` shows its options."""
        return self in FOLDED


BASICS_ORDER = {
    name: place for place, name in enumerate(("data", "model", "weights", "epochs", "imgsz", "batch", "device"))
}
"""The first options of the basics; others follow them as they are defined."""
FOLDED = frozenset(
    {
        HelpGroup.RATES,
        HelpGroup.MODEL,
        HelpGroup.LOSS,
        HelpGroup.MORE_AUGMENTATION,
        HelpGroup.BALANCE,
        HelpGroup.MORE_DATA,
        HelpGroup.SPEED,
        HelpGroup.DEVICES,
        HelpGroup.RECOVERY,
        HelpGroup.RECORDS,
    }
)
