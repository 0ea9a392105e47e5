"""What a run says of options that have no effect."""

from __future__ import annotations

from lehr.config import build_config
from lehr.preview import describe_without_effect, preview


def said_of(**options: object) -> list[str]:
    """The lines that a run says at its start of options without effect; its data are not looked at."""
    return describe_without_effect(preview(build_config({"device": "cpu", **options}), images=205, classes=3))
