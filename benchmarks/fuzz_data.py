"""Change small data sets in every way that files go wrong, and check that each is read correctly or refused.

Every image contains painted objects, so that the truth is known. A mutant must end in one clear message, or in a data
set in which no box is on another object than its own; never in another exception, in more than 5 s, or in more than 1
GB.

- Dialects of labels, COCO, VOC and CVAT, and other image formats keep the meaning: every box must be on its object, and
  missing objects must be reported as a fault.
- Dialects of data YAMLs and lists, and changed folders, may name fewer images: every box that is read must be on its
  object.
- Bytes changed in labels, JSON or XML may change the numbers themselves: a box on no object must be what the changed
  file says, read the slow, obvious way; boxes of other files must be on their objects.
- Bytes changed in a data YAML or a list change no numbers: every box that is read must be on its object.
- Where the bytes of an image are changed, nothing is compared in that image; all others must be right.

    python -m benchmarks.fuzz_data --count 10000 --seed 0
    python -m benchmarks.fuzz_data --only coco --seed 0 --first 17 --count 1 --keep FOLDER
"""

from __future__ import annotations

import argparse
import gc
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.dialects import MUTATIONS
from benchmarks.fuzz.judge import FAILED, READ, REFUSED, SKIPPED, Outcome, judge
from benchmarks.fuzz.painted import PaintedSet, write


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed data set and its outcome.

    Attributes:
        kind: kind of the change.
        number: number that makes the same mutant, with kind and seed.
        made: the data set.
        outcome: the result of reading it.
    """

    kind: str
    number: int
    made: PaintedSet
    outcome: Outcome


def make_mutant(kind: str, number: int, seed: int) -> PaintedSet:
    """Make a mutant, the same for the same arguments."""
    return MUTATIONS[kind](random.Random(f"{seed} {kind} {number}"))


def run_mutants(
    folder: Path, count: int, seed: int, kinds: Mapping[str, Callable[[random.Random], PaintedSet]], first: int = 0
) -> Iterator[Mutant]:
    """Make, write, read and judge mutants, alternating between the kinds.

    Args:
        folder: folder that each is written to, and removed from.
        count: number of mutants.
        seed: seed of the changes.
        kinds: kinds of changes, by name.
        first: number of the first mutant of each kind.
    """
    for index, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        number = first + index // len(kinds)
        made = make_mutant(kind, number, seed)
        root = folder / "set"
        try:
            write(made, root)
            outcome = judge(made, root)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        yield Mutant(kind, number, made, outcome)


def table(mutants: Counter[tuple[str, str]]) -> str:
    """Return a table that counts outcomes by kind."""
    results = (READ, SKIPPED, REFUSED, FAILED)
    lines = [f"| changed | mutants | {' | '.join(results)} |", f"|---|{'---:|' * (len(results) + 1)}"]
    kinds = list(dict.fromkeys(kind for kind, _ in mutants))
    rows = [(kind, [mutants[kind, result] for result in results]) for kind in kinds]
    rows.append(("together", [sum(each) for each in zip(*(counts for _, counts in rows), strict=True)]))
    lines += [f"| {kind} | {sum(counts)} | {' | '.join(map(str, counts))} |" for kind, counts in rows]
    return "\n".join(lines)


def main() -> int:
    """Run mutants, print each failure and the table; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="number of mutants, all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant of each kind")
    parser.add_argument("--only", action="append", choices=list(MUTATIONS), help="a kind of change; may be repeated")
    parser.add_argument("--keep", type=Path, help="write --count mutants into this folder, without reading them")
    arguments = parser.parse_args()
    kinds = {kind: MUTATIONS[kind] for kind in arguments.only or MUTATIONS}
    if arguments.keep is not None:
        for index, kind in zip(range(arguments.count), itertools.cycle(kinds), strict=False):
            number = arguments.first + index // len(kinds)
            write(make_mutant(kind, number, arguments.seed), arguments.keep / f"{kind}-{number}")
        return 0
    counts: Counter[tuple[str, str]] = Counter()
    slowest, started = 0.0, time.perf_counter()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for mutant in run_mutants(Path(folder), arguments.count, arguments.seed, kinds, arguments.first):
            outcome = mutant.outcome
            counts[mutant.kind, outcome.result] += 1
            if outcome.seconds > max(slowest, 1):
                print(f"{outcome.seconds:.2f} s: --only {mutant.kind} --first {mutant.number}", file=sys.stderr)
            slowest = max(slowest, outcome.seconds)
            if outcome.result == FAILED:
                about = "; ".join(mutant.made.about)
                print(f"--only {mutant.kind} --first {mutant.number}: {about}\n{outcome.message}\n", flush=True)
            if sum(counts.values()) % 500 == 0:
                gc.collect()
    seconds = time.perf_counter() - started
    print(table(counts))
    speed = sum(counts.values()) / seconds
    print(f"seed {arguments.seed}, {seconds:.0f} s, {speed:.0f} mutants per second, slowest {slowest:.2f} s")
    return 1 if any(result == FAILED for _, result in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
