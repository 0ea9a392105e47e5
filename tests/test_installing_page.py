"""docs/installing.md and the Dockerfile: extras, versions and arguments are those of the project."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_table_has_every_extra_with_its_packages() -> None:
    table = PAGE.split("| extra | for | packages |\n|---|---|---|\n")[1].split("\n\n")[0]
    told: dict[str, str] = {}
    for row in table.splitlines():
        names, _, packages = (cell.strip() for cell in row.strip("|").split("|"))
        told |= dict.fromkeys(re.findall(r"`([a-z]+)`", names), packages)
    extras = PROJECT["optional-dependencies"]
    assert set(told) == set(extras)
    for name, packages in told.items():
        if packages.startswith(("the tool's own", "all that")):
            continue
        named = {re.split(r"[^\w-]", each)[0].replace("_", "-") for each in packages.split(", ")}
        wanted = {re.split(r"[^\w-]", each)[0] for each in extras[name] if not each.startswith("lehr[")}
        assert wanted - {"requests", "pydeprecate"} <= named, name


def test_versions_and_the_arguments_of_the_image_are_the_project_s() -> None:
    python = PROJECT["requires-python"].removeprefix(">=")
    torch = next(each for each in PROJECT["dependencies"] if each.startswith("torch>=")).removeprefix("torch>=")
    assert f"Python {python} or newer" in PAGE and f"PyTorch {torch} or newer" in PAGE
    arguments = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))
    assert arguments == set(re.findall(r"^#   (\w+) ", DOCKERFILE, re.MULTILINE))
    assert set(re.findall(r"--build-arg (\w+)=", PAGE)) <= arguments
    assert all(f"`{name}`" in PAGE for name in arguments)
    default = re.search(r"^ARG EXTRAS=(\S+)", DOCKERFILE, re.MULTILINE)
    assert default and set(default[1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_what_the_image_copies_is_in_the_build_s_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()]
    sources = [word for word in copied if not word.startswith(".") and (ROOT / word).exists()]
    assert {"pyproject.toml", "src"} <= set(sources) and all(f"!{name}" in ignored for name in sources)
