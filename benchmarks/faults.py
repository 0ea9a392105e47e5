"""Deliberate faults: do the tests notice them?

Each fault of `faults.toml` is a mistake that a tired engineer could make: an off-by-one error, a swapped pair, a state
that is not saved, a lock that is not taken. The faults are written one at a time into a copy of the tree, in which the
tests that should notice it are run. A fault is caught when one of them fails, missed when all pass, and invalid when
its text is not found exactly once, or its tests fail without it.

    python benchmarks/faults.py --write docs/faults.md
    python benchmarks/faults.py --only ema --only losses
    python benchmarks/faults.py --check
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
FAULTS = Path(__file__).with_name("faults.toml")
DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
COPIED = ("src", "tests", "benchmarks", "docs", "examples", "pyproject.toml", "LICENSE", *DOCUMENTS)
TEST_SECONDS = 120
"""Seconds after which a test fails: the fault makes it hang."""
RUN_SECONDS = 300
"""Seconds after which the tests of a fault are killed, if they hang all the same."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One deliberate mistake.

    Attributes:
        what: its effect, in a few words.
        find: text that occurs once in `src/lehr` and the pages of techniques.
        replace: text that replaces it.
        tests: files or node ids of the tests that should notice.
    """

    what: str
    find: str
    replace: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a fault.

    Attributes:
        what: the fault.
        room: the folder of `src/lehr` that it is in, or the file at its top; `docs` of a page.
        state: caught, missed or invalid.
        by: the test that failed, or what is wrong with the fault.
        seconds: duration of its tests.
    """

    what: str
    room: str
    state: str
    by: str
    seconds: float


def read_faults(path: Path = FAULTS) -> list[Fault]:
    """Read all faults of a file."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    return [Fault(row["what"], row["find"], row["replace"], tuple(row["tests"])) for row in rows]


def place_of(fault: Fault, sources: Mapping[Path, str]) -> Path | str:
    """Return the file that contains a fault's text, or the reason why there is no single one."""
    counts = {path: text.count(fault.find) for path, text in sources.items() if fault.find in text}
    if sum(counts.values()) == 1:
        return next(iter(counts))
    return f"its text is found {sum(counts.values())} times"


def read_sources(root: Path) -> dict[Path, str]:
    """Read every module of the package and every page of a technique; return their texts by path."""
    paths = [*(root / "src" / "lehr").rglob("*.py"), *(root / "docs" / "techniques").glob("*.md")]
    return {path: path.read_text(encoding="utf-8") for path in sorted(paths)}


def room_of(path: Path, root: Path) -> str:
    """Return the folder of `src/lehr` that a module is in, or the module's name; `docs` for a page."""
    if path.suffix == ".md":
        return "docs"
    return path.relative_to(root / "src" / "lehr").parts[0].removesuffix(".py")


def missing_tests(fault: Fault, root: Path) -> list[str]:
    """Return those of a fault's tests that do not exist."""
    missing = []
    for test in fault.tests:
        file, _, name = test.partition("::")
        path, function = root / file, name.partition("[")[0]
        if not path.exists() or (function and f"def {function}(" not in path.read_text(encoding="utf-8")):
            missing.append(test)
    return missing


def problems(faults: Sequence[Fault], root: Path) -> list[str]:
    """List outdated faults: texts that are not found once, changes that change nothing, tests that no longer exist."""
    sources, found = read_sources(root), []
    for fault in faults:
        place = place_of(fault, sources)
        found += [f"{fault.what}: {place}"] if isinstance(place, str) else []
        found += [f"{fault.what}: no such test: {test}" for test in missing_tests(fault, root)]
        found += [f"{fault.what}: changes nothing"] if fault.find == fault.replace else []
    twice = [what for what, count in Counter(fault.what for fault in faults).items() if count > 1]
    return [*found, *(f"{what}: is listed twice" for what in twice)]


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Copy the tree, so that faults can be written into it, with what the tests look for next to it."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy = Path(folder) / "tree"
        copy.mkdir()
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / name).is_file():
                shutil.copy2(root / name, copy / name)
        shared = root.parent / "shared"
        if shared.exists():
            (Path(folder) / "shared").symlink_to(shared.resolve())
        yield copy


@contextmanager
def spoiled(path: Path, fault: Fault) -> Iterator[None]:
    """Write the fault into a file; restore the file afterwards, including its time, so that bytecode stays valid."""
    text, stat = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(text.replace(fault.find, fault.replace), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def preload() -> None:
    """Import what nearly every test needs, except lehr itself, so that no forked process takes seconds for it."""
    for name in (
        "cv2",
        "hypothesis",
        "matplotlib",
        "optuna",
        "pydantic",
        "pytest",
        "scipy.stats",
        "torch",
        "torchvision",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def run_tests(copy: Path, tests: Sequence[str], *more: str, seconds: float | None = None) -> tuple[int, str]:
    """Run pytest in a forked process.

    Args:
        copy: the tree.
        tests: files or node ids.
        more: options of pytest.
        seconds: time after which it is killed, together with the processes that it started.

    Returns:
        The exit code, below 0 if it was killed, and its output.
    """
    options = ["-q", "-p", "no:cacheprovider", "--tb=no", "-rfE", f"--timeout={TEST_SECONDS}", *more]
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            _run_here(copy, [*options, *tests], output.fileno())
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            done, status = os.waitpid(child, 0 if end is None else os.WNOHANG)
            if done:
                break
            if end is not None and time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                end = None
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):  # processes that a test has left running
            os.killpg(child, signal.SIGKILL)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read()


def _run_here(copy: Path, arguments: list[str], output: int) -> NoReturn:
    """Run pytest in this process, and end the process."""
    code = 3
    try:
        os.setsid()
        for stream in (1, 2):
            os.dup2(output, stream)
        os.chdir(copy)
        os.environ |= {"PYTHONPATH": str(copy / "src"), "CI": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True  # it would be reused for the next fault of the same size and second
        sys.argv, sys.path[:0] = ["pytest", *arguments], [str(copy), str(copy / "src")]
        code = int(importlib.import_module("pytest").main(arguments))
        sys.stdout.flush()
    finally:
        os._exit(code)


def failed_tests(output: str) -> list[str]:
    """Return the node ids that pytest names as failed."""
    return re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)


def fails_without(copy: Path, faults: Sequence[Fault]) -> dict[str, str]:
    """Run the tests of these faults once each in the unchanged tree; return the failing node id of each that fails."""
    every = {test for fault in faults for test in fault.tests if not missing_tests(fault, copy)}
    tests = sorted(test for test in every if not any(test.startswith((f"{one}::", f"{one}/")) for one in every))
    if not tests:
        return {}
    code, output = run_tests(copy, tests)
    failed = failed_tests(output)
    if code not in (0, 1) or (code == 1 and not failed):
        raise SystemExit(f"The tests cannot be run without a fault:\n{output[-3000:]}")
    return {
        test: each for test in tests for each in failed if each == test or each.startswith((f"{test}::", f"{test}["))
    }


def judge(fault: Fault, copy: Path, broken: Mapping[str, str]) -> Verdict:
    """Try one fault.

    Args:
        fault: the fault.
        copy: the tree that the fault is written into.
        broken: tests that fail without it.
    """
    place, room, began = place_of(fault, read_sources(copy)), "?", time.monotonic()

    def verdict(state: str, by: str) -> Verdict:
        return Verdict(fault.what, room, state, by, round(time.monotonic() - began, 1))

    if isinstance(place, str):
        return verdict("invalid", place)
    room = room_of(place, copy)
    if missing := missing_tests(fault, copy):
        return verdict("invalid", f"no such test: {', '.join(missing)}")
    if bad := [broken[test] for test in fault.tests if test in broken]:
        return verdict("invalid", f"fails without it: {bad[0]}")
    with spoiled(place, fault):
        code, output = run_tests(copy, fault.tests, "-x", seconds=RUN_SECONDS)
    if code < 0:
        return verdict("caught", f"the tests end by {signal.Signals(-code).name}")
    if code in (1, 2):
        return verdict("caught", next(iter(failed_tests(output)), output.strip().splitlines()[-1]))
    if code == 0:
        return verdict("missed", "nothing")
    return verdict("invalid", output.strip().splitlines()[-1])


def as_markdown(verdicts: Sequence[Verdict], before: Mapping[str, Verdict]) -> str:
    """Return the table for the documentation, a row per fault, sorted by room."""
    counts = Counter(each.state for each in verdicts)
    rooms = sorted({each.room for each in verdicts})
    head = ["fault", "room", *(["before"] if before else []), "now" if before else "outcome", "by"]
    lines = [
        f"{len(verdicts)} faults in {len(rooms)} rooms: "
        + ", ".join(f"{counts[state]} {state}" for state in ("caught", "missed", "invalid"))
        + "."
    ]
    if before:
        then = Counter(each.state for each in before.values())
        lines[0] += " Before: " + ", ".join(f"{then[state]} {state}" for state in ("caught", "missed", "invalid")) + "."
    lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for each in sorted(verdicts, key=lambda verdict: (verdict.room, verdict.what)):
        earlier = [before[each.what].state if each.what in before else "-"] if before else []
        by = each.by.removeprefix("tests/").replace("|", "\\|")
        cells = [each.what.replace("|", "\\|"), each.room, *earlier, each.state, f"`{by}`" if "::" in by else by]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_between_marks(path: Path, text: str) -> None:
    """Replace the text between the two marks of a page."""
    page = path.read_text(encoding="utf-8")
    begin, end = "<!-- faults: begin -->\n", "<!-- faults: end -->"
    if begin not in page or end not in page:
        raise SystemExit(f"{path}: lacks the lines {begin.strip()} and {end}.")
    path.write_text(page.partition(begin)[0] + begin + text + end + page.partition(end)[2], encoding="utf-8")


def read_verdicts(path: Path) -> dict[str, Verdict]:
    """Read the outcomes that `--json` wrote, by fault."""
    return {row["what"]: Verdict(**row) for row in json.loads(path.read_text(encoding="utf-8"))}


def main() -> int:
    """Try the faults; return 1 if one was not caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="the tree to copy (default: this one)")
    parser.add_argument("--faults", type=Path, default=FAULTS, help="the list (default: faults.toml)")
    parser.add_argument("--only", action="append", default=[], help="faults with this in their path, words or tests")
    parser.add_argument("--list", action="store_true", help="list the faults, and stop")
    parser.add_argument("--check", action="store_true", help="check that the list matches the tree, and stop")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    parser.add_argument("--before", type=Path, help="outcomes of another tree (--json), for a column to compare with")
    parser.add_argument("--write", type=Path, help="write the table into this page, between its marks")
    given = parser.parse_args()
    root, faults = given.root.resolve(), read_faults(given.faults)
    sources = read_sources(root)

    def about(fault: Fault) -> str:
        place = place_of(fault, sources)
        where = place.relative_to(root).as_posix() if isinstance(place, Path) else place
        return f"{where}: {fault.what} ({', '.join(fault.tests)})"

    faults = [each for each in faults if not given.only or any(word in about(each) for word in given.only)]
    if given.list:
        print("\n".join(about(each) for each in faults))
        return 0
    if given.check:
        found = problems(faults, root)
        print("\n".join([*found, f"{len(faults)} faults, {len(found)} problems"]))
        return 1 if found else 0
    verdicts: list[Verdict] = []
    if (root / "src" / "lehr" / "engine").is_dir():  # its tests train, unlike those of a minimal tree
        preload()
    with copied(root) as copy:
        broken = fails_without(copy, faults)
        for number, fault in enumerate(faults, 1):
            verdicts.append(judge(fault, copy, broken))
            each = verdicts[-1]
            print(
                f"{number:>3}/{len(faults)} {each.state:<7} {each.seconds:6.1f} s  {each.what}  [{each.by}]", flush=True
            )
            if given.json:
                given.json.write_text(
                    json.dumps([asdict(each) for each in verdicts], indent=1) + "\n", encoding="utf-8"
                )
    counts = Counter(each.state for each in verdicts)
    print(", ".join(f"{counts[state]} {state}" for state in ("caught", "missed", "invalid")))
    if given.write:
        write_between_marks(given.write, as_markdown(verdicts, read_verdicts(given.before) if given.before else {}))
    return 0 if counts["caught"] == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
