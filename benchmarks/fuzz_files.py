"""Change weights, checkpoints, run folders, studies and option files, and check that each is read or refused.

Each mutant is read by the code that commands call: loading for `lehr val` and `lehr predict`, the start from weights,
the search for a run to resume and its preparation, joining a study, drawing values and reporting in it, options of
`--config` and `--hyp`. Checkpoints of other trainers (`published`) are given as weights. A mutant must end in one clear
message or be read; never in another exception, in more than 5 s, in more than 1 GB, in code that is run, or in a file
that is written outside its folder.

    python -m benchmarks.fuzz_files --count 20000 --seed 0
    python -m benchmarks.fuzz_files --only checkpoint --seed 0 --first 17 --count 1
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import itertools
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from benchmarks.fuzz import foreign_files as change
from benchmarks.fuzz.guard import Guard
from benchmarks.fuzz.judge import FAILED, GIGABYTE, READ, REFUSED, SECONDS, Outcome, TooSlow, time_limit
from benchmarks.fuzz.painted import write, yolo
from benchmarks.fuzz.published_files import change_published, published_seeds

from lehr.checkpoint.format import read_position
from lehr.config import build_config
from lehr.engine import run as engine
from lehr.engine.resume import as_planned, closed_epochs, find_run, open_run, peek, restore
from lehr.engine.setup import prepare
from lehr.engine.state import TrainState
from lehr.errors import LehrError
from lehr.hyperparameters import read_hyperparameters
from lehr.models.build import build_model
from lehr.search.fitness import read_epochs
from lehr.techniques.plan import TrainingPlan
from lehr.weights.load import load_model, read_metadata
from lehr.weights.transfer import take_fitting_weights
from lehr.yaml_files import read_mapping

KINDS = ("weights", "published", "checkpoint", "run folder", "SQLite study", "journal study", "options")
MARK = "ran"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Originals that mutants are made of.

    Attributes:
        run: the folder of a finished run.
        database: a study as an SQLite file.
        journal: the same study as a journal.
        published: checkpoints of other trainers.
        state: a training state of the run, which checkpoints are restored into.
        plan: the run's plan.
    """

    run: Path
    database: bytes
    journal: bytes
    published: tuple[bytes, ...]
    state: TrainState
    plan: TrainingPlan


def make_seeds(folder: Path) -> Seeds:
    """Train a small run and begin two small studies."""
    from tests.studies.hostile import begun, url_of

    write(yolo(), folder / "data")
    options = {"data": str(folder / "data" / "data.yaml"), "project": folder / "runs", "name": "run", "device": "cpu"}
    options |= {"imgsz": 64, "batch": 4, "epochs": 2, "width": 0.125, "amp": "off", "close_mosaic": 1}
    with contextlib.redirect_stdout(io.StringIO()):
        engine.train(build_config(options))
        for name in ("sqlite", "journal"):
            (folder / name).mkdir()
            begun(url_of(name, folder / name))
    run = folder / "runs" / "run"
    prepared = prepare(open_run(run, None, {}).config, run)
    database, journal = folder / "sqlite" / "study.db", folder / "journal" / "study.journal"
    published = published_seeds(build_model("yolov8n", ("dog", "cat"), imgsz=64, width=0.125))
    return Seeds(run, database.read_bytes(), journal.read_bytes(), published, prepared.state, prepared.plan)


def make_mutant(kind: str, number: int, seed: int, seeds: Seeds, root: Path, unchanged: bool = False) -> None:
    """Write a mutant, the same for the same arguments, into a folder that does not exist yet."""
    rng = random.Random(f"{seed} {kind} {number}")
    mark = str(root / MARK)
    root.mkdir()
    options = yaml.safe_load((seeds.run / "config.yaml").read_text())

    def changed(name: str) -> bytes:
        if name == "config.yaml":
            return change.change_options(options, rng)
        if name.endswith(".ckpt"):
            return change.change_checkpoint(seeds.run / "last.ckpt", rng, mark)
        return change.change_results((seeds.run / name).read_bytes(), rng)

    run, hyp = root / "runs" / "run", {"lr0": 0.01, "momentum": 0.9, "box": 0.05, "anchors": 3, "mosaic": 1.0}
    if kind == "weights":
        weights = (seeds.run / "best.safetensors").read_bytes()
        (root / "w.safetensors").write_bytes(weights if unchanged else change.change_weights(weights, rng))
    elif kind == "published":
        (root / "w.pt").write_bytes(seeds.published[0] if unchanged else change_published(seeds.published, rng, mark))
    elif kind in ("checkpoint", "run folder"):
        shutil.copytree(seeds.run, run)
        if not unchanged and kind == "checkpoint":
            (run / "last.ckpt").write_bytes(changed("last.ckpt"))
            (run / "previous.ckpt").unlink()
        elif not unchanged:
            change.change_run_folder(run, rng, changed)
    elif kind == "SQLite study":
        (root / "study.db").write_bytes(seeds.database)
        if not unchanged:
            change.change_database(root / "study.db", rng)
    elif kind == "journal study":
        (root / "study.journal").write_bytes(seeds.journal if unchanged else change.change_journal(seeds.journal, rng))
    elif unchanged:
        (root / "options.yaml").write_text(yaml.safe_dump(options))
        (root / "hyp.yaml").write_text(yaml.safe_dump(hyp))
    else:
        (root / "options.yaml").write_bytes(change.change_options(options, rng))
        (root / "hyp.yaml").write_bytes(change.change_options({**hyp, "iou_t": 0.2, "family": "yolov8"}, rng))


def read_mutant(kind: str, seeds: Seeds, root: Path) -> int:
    """Read a mutant with everything that a command calls; return how often it was refused.

    Raises:
        Failure: a message is not clear.
    """
    refused = 0
    for reader in READERS[kind]:
        try:
            reader(seeds, root)
        except LehrError as error:
            refused += 1
            _clear(str(error), root)
    return refused


class Failure(Exception):
    """A mutant was refused without a clear message, or did what reading must not do."""


def _clear(message: str, root: Path) -> None:
    if str(root) not in message and "--" not in message:
        raise Failure(f"message that names no file or option: {message[:2000]!r}")
    if len(message.split()) < 4 or "Traceback" in message or len(message) > 20_000:
        raise Failure(f"unclear message: {message[:500]!r} ({len(message)} characters)")


def _found_without_a_name(seeds: Seeds, root: Path) -> None:
    """Look for a run to resume, as `--resume` without a name does; finding none is not a refusal."""
    with contextlib.suppress(LehrError):
        find_run(None, root / "runs")


def _resume(seeds: Seeds, root: Path, named: bool) -> None:
    """Resume a run, up to the first step."""
    folder = root / "runs" / "run"
    found, file = find_run(folder / "last.ckpt" if named else folder, root / "runs")
    config = peek(found, file, {"epochs": 3})
    resumption = open_run(found, file, {"epochs": 3})
    if resumption.finished or resumption.checkpoint is None:
        return
    build_config(config.flat())
    plan = as_planned(seeds.plan, resumption.checkpoint)
    closed_epochs(resumption.config, resumption.checkpoint)
    restore(seeds.state, plan, resumption)
    state = seeds.state
    for parameter in state.model.parameters():
        parameter.grad = parameter.detach() * 0
    state.optimizer.step()
    plan.at(state.step)
    assert state.sums.images_per_second >= 0 and len(state.sums.mean_losses()) > 0


def _options(seeds: Seeds, root: Path) -> None:
    path = root / "options.yaml"
    options = {str(name).replace("-", "_"): value for name, value in read_mapping(path).items()}
    build_config(options, str(path)).for_file()


def _study(seeds: Seeds, root: Path) -> None:
    from tests.studies import hostile

    from lehr.studies import study

    hostile.PATIENCE = study.ADOPTION = 1.0  # seconds that another process may take to begin
    hostile.used(hostile.url_of("sqlite" if (root / "study.db").exists() else "journal", root))


def _no_weights(path: Path) -> None:
    """Check that a checkpoint is not accepted as weights."""
    try:
        load_model(path)
    except LehrError as error:
        _clear(str(error), path)
    else:
        raise Failure("a checkpoint was accepted as weights")


def _results(seeds: Seeds, root: Path) -> None:
    read_epochs(root / "runs" / "run" / "results.csv")


Reader = Callable[[Seeds, Path], object]
READERS: dict[str, tuple[Reader, ...]] = {
    "weights": (
        lambda seeds, root: load_model(root / "w.safetensors"),
        lambda seeds, root: read_metadata(root / "w.safetensors"),
        lambda seeds, root: take_fitting_weights(build_model("yolov8n", ("dog",), width=0.125), root / "w.safetensors"),
    ),
    "published": (
        lambda seeds, root: load_model(root / "w.pt"),
        lambda seeds, root: take_fitting_weights(build_model("yolov8n", ("dog",), width=0.125), root / "w.pt"),
    ),
    "checkpoint": (
        lambda seeds, root: read_position(root / "runs" / "run" / "last.ckpt"),
        lambda seeds, root: _resume(seeds, root, named=True),
        lambda seeds, root: _no_weights(root / "runs" / "run" / "last.ckpt"),
    ),
    "run folder": (
        _found_without_a_name,
        lambda seeds, root: _resume(seeds, root, named=False),
        lambda seeds, root: _resume(seeds, root, named=True),
        _results,
    ),
    "SQLite study": (_study,),
    "journal study": (_study,),
    "options": (
        _options,
        lambda seeds, root: read_hyperparameters(root / "hyp.yaml", "yolov8n"),
        lambda seeds, root: build_config({"hyp": str(root / "hyp.yaml")}, "options of a test"),
    ),
}


def judge(kind: str, seeds: Seeds, root: Path, guard: Guard, seconds: float = SECONDS) -> Outcome:
    """Read a mutant, and judge the outcome."""
    started, before = time.perf_counter(), _memory()
    try:
        with guard.watching(root) as seen, time_limit(seconds):
            refused = read_mutant(kind, seeds, root)
        result, message = (REFUSED, "") if refused else (READ, "")
    except TooSlow:
        result, message = FAILED, f"took more than {seconds:g} s"
    except Failure as error:
        result, message = FAILED, str(error)
    except Exception:
        result, message = FAILED, traceback.format_exc()
    taken = time.perf_counter() - started
    if taken > seconds:
        result, message = FAILED, f"took {taken:.1f} s"
    if seen or (root / MARK).exists():
        result, message = FAILED, f"did what reading must not do: {seen[:3] or 'a pickle was run'}"
    if _memory() > before + GIGABYTE:
        result, message = FAILED, f"took {(_memory() - before) / GIGABYTE:.1f} GB of memory"
    return Outcome(result, message, taken)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run_mutants(
    folder: Path, count: int, seed: int, guard: Guard, kinds: tuple[str, ...] = KINDS, first: int = 0
) -> Iterator[tuple[str, int, Outcome]]:
    """Make, read and judge mutants, alternating between the kinds.

    Args:
        folder: folder that everything is written to.
        count: number of mutants.
        seed: seed of the changes.
        guard: watches what reading does.
        kinds: kinds of files.
        first: number of the first mutant of each kind.
    """
    seeds = make_seeds(folder)
    for kind in kinds:  # unchanged, so that everything loaded on first use is loaded
        root = folder / "mutant"
        make_mutant(kind, 0, seed, seeds, root, unchanged=True)
        outcome = judge(kind, seeds, root, guard, seconds=60)
        shutil.rmtree(root)
        if outcome.result != READ:
            raise RuntimeError(f"unchanged {kind}: {outcome}")
    for index, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        number, root = first + index // len(kinds), folder / "mutant"
        try:
            make_mutant(kind, number, seed, seeds, root)
        except Exception as error:  # a file of that name or content cannot be made
            print(f"not made: --only '{kind}' --first {number}: {error!r}"[:300], file=sys.stderr)
            shutil.rmtree(root, ignore_errors=True)
            continue
        try:
            outcome = judge(kind, seeds, root, guard)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        yield kind, number, outcome


def table(counts: Counter[tuple[str, str]]) -> str:
    """Return a table that counts outcomes by kind."""
    results = (READ, REFUSED, FAILED)
    lines = [f"| changed | mutants | {' | '.join(results)} |", f"|---|{'---:|' * (len(results) + 1)}"]
    rows = [(kind, [counts[kind, result] for result in results]) for kind in KINDS if any(k == kind for k, _ in counts)]
    rows.append(("together", [sum(each) for each in zip(*(numbers for _, numbers in rows), strict=True)]))
    lines += [f"| {kind} | {sum(numbers)} | {' | '.join(map(str, numbers))} |" for kind, numbers in rows]
    return "\n".join(lines)


warnings.filterwarnings("ignore", "Duplicate name", UserWarning)


def main() -> int:
    """Run mutants, print each failure and the table; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="number of mutants, all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant of each kind")
    parser.add_argument("--only", action="append", choices=KINDS, help="a kind of file; may be repeated")
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True  # of a library that is first imported here, in a new environment
    counts: Counter[tuple[str, str]] = Counter()
    slowest, started = 0.0, time.perf_counter()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        os.environ["LEHR_CACHE"] = f"{folder}/cache"
        kinds = tuple(arguments.only or KINDS)
        for kind, number, outcome in run_mutants(
            Path(folder), arguments.count, arguments.seed, Guard(), kinds, arguments.first
        ):
            counts[kind, outcome.result] += 1
            slowest = max(slowest, outcome.seconds)
            if outcome.result == FAILED:
                print(f"--only '{kind}' --first {number}:\n{outcome.message}\n", flush=True)
            if sum(counts.values()) % 500 == 0:
                gc.collect()
                print(
                    f"{table(counts)}\n{time.perf_counter() - started:.0f} s, slowest {slowest:.2f} s", file=sys.stderr
                )
    seconds = time.perf_counter() - started
    print(table(counts))
    print(f"seed {arguments.seed}, {seconds:.0f} s, slowest {slowest:.2f} s, {_memory() / GIGABYTE:.2f} GB at most")
    return 1 if any(result == FAILED for _, result in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
