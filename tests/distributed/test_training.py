"""Training by several processes: what one process does, in parts."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.crash import differences
from tests.conftest import MakeYolo, draw_squares
from tests.distributed.processes import read_results, state_of, stopped_at, traced, traced_in_double
from tests.processes import together

from lehr.callbacks.events import TrainStart
from lehr.checkpoint.format import read_checkpoint
from lehr.comparison.difference import compare_runs
from lehr.config import build_config
from lehr.engine.past_batches import open_past_batches
from lehr.engine.run import resume, train
from lehr.errors import InputError

Trace = list[dict[str, Any]]


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Two batches of 4 and one of a single image, which leaves a second process none."""
    return make_yolo(counts={"train": 9, "val": 7})


def put_together(traces: dict[int, Trace]) -> Trace:
    """The steps of a run, each with what the processes did of it."""
    whole = []
    for parts in zip(*traces.values(), strict=True):
        assert len({part["step"] for part in parts}) == 1
        assert all(part["losses"] == parts[0]["losses"] for part in parts)  # all of them know the whole batch's
        together = {name: [item for part in parts for item in part[name]] for name in ("images", "pictures")}
        whole.append({"step": parts[0]["step"], "losses": parts[0]["losses"], **together})
    return whole


def hashed(images: torch.Tensor) -> list[str]:
    """Images as a trace has them."""
    return [hashlib.blake2b(image.contiguous().numpy().tobytes()).hexdigest()[:16] for image in images]


def assert_same_steps(one: Trace, other: Trace, losses: float | None) -> None:
    """Equal images and pictures in each step, and losses equal to a relative tolerance; None does not compare them."""
    for mine, theirs in zip(one, other, strict=True):
        assert {**mine, "losses": 0} == {**theirs, "losses": 0}
        if losses is not None:
            assert theirs["losses"] == pytest.approx(mine["losses"], rel=losses, abs=losses)


@pytest.mark.parametrize("model", ["yolov8n", pytest.param("yolov5n", marks=pytest.mark.slow)])
def test_two_processes_train_as_one_does(model: str, make_yolo: MakeYolo, tmp_path: Path) -> None:
    """Without the rounding of float32, which grows in a run: even that of float64 grows tenfold in two steps."""
    data = make_yolo(counts={"train": 29, "val": 7})
    options = {"model": model, "data": str(data), "epochs": 1, "close_mosaic": 0}
    options |= {"optimizer": "SGD", "sync_bn": True, "project": str(tmp_path)}
    options |= {"backbone_lr_mult": 0.1} if model == "yolov5n" else {}
    one = traced_in_double({**options, "name": "one"})
    two = put_together(together(2, traced_in_double, {**options, "name": "two"}, folder=tmp_path))
    assert len(one) == 8
    assert_same_steps(one, two, losses=1e-5)
    mine, theirs = state_of(tmp_path / "one"), state_of(tmp_path / "two")
    assert mine.keys() == theirs.keys()
    for name, values in mine.items():
        torch.testing.assert_close(theirs[name], values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "options"),
    [
        pytest.param(4, {}, marks=pytest.mark.slow),
        pytest.param(2, {"rect": True, "nominal_batch": 8}, marks=pytest.mark.slow),
        pytest.param(
            2,
            {"multi_scale": 0.5, "image_weights": True, "repeat_threshold": 0.9, "mixup": 0.5, "model": "yolov5n"},
            marks=pytest.mark.slow,
        ),
        (2, {"augment_on": "device", "workers": 1, "cache": "disk"}),
    ],
    ids=str,
)
def test_any_count_of_processes_sees_the_same_pictures(
    count: int, options: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    given = {"data": str(data), "project": str(tmp_path), "digests": True, **options}
    one = traced({**given, "name": "one"})
    assert sorted(len(step["images"]) for step in one) == [1, 1, 4, 4, 4, 4]
    several = put_together(together(count, traced, {**given, "name": "several"}, folder=tmp_path))
    assert_same_steps(one, several, losses=None)  # each normalizes its own images
    assert differences(tmp_path / "one", tmp_path / "several") != []
    parting = compare_runs(tmp_path / "one", tmp_path / "several").course.parting
    assert parting is not None and (parting.source, parting.stage, parting.run_step) == ("digests", "loss", 1)
    past = open_past_batches(tmp_path / "several")
    for step in several:
        made = past.make(past.place(None, step["step"] + 1)).batch
        assert (made.indices.tolist(), hashed(made.images)) == (step["images"], step["pictures"])


def test_any_count_of_processes_replays_the_same_images(data: Path, make_yolo: MakeYolo, tmp_path: Path) -> None:
    older = make_yolo("older", counts={"train": 3, "val": 5})
    given = {"data": str(data), "project": str(tmp_path), "keep_val": str(older), "replay": 0.25, "lr0": 1e-9}
    one = traced({**given, "name": "one"})
    assert [len(step["images"]) for step in one] == [4, 4, 4] * 2
    two = put_together(together(2, traced, {**given, "name": "two"}, folder=tmp_path))
    assert_same_steps(one, two, losses=None)
    mine, theirs = read_results(tmp_path / "one"), read_results(tmp_path / "two")
    assert [row["keep/map"] for row in mine] == [row["keep/map"] for row in theirs] and mine[0]["keep/map"]


def test_the_first_loss_and_gradient_are_those_of_the_whole_batch(data: Path, tmp_path: Path) -> None:
    """Shares of 2, and of one image and none, in float32."""
    for batch in (4, 8):
        options = {"data": str(data), "project": str(tmp_path), "sync_bn": True, "batch": batch, "epochs": 1}
        options |= {"optimizer": "SGD", "warmup": "none", "lr0": 1e-6}
        one = traced({**options, "name": f"one-{batch}"})
        two = put_together(together(2, traced, {**options, "name": f"two-{batch}"}, folder=tmp_path))
        assert_same_steps(one, two, losses=1e-4)
        mine, theirs = state_of(tmp_path / f"one-{batch}"), state_of(tmp_path / f"two-{batch}")
        for name, values in mine.items():
            torch.testing.assert_close(theirs[name], values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("before", "after", "step"), [(2, 1, 4), pytest.param(1, 2, 1, marks=pytest.mark.slow)])
def test_a_run_goes_on_with_another_number_of_processes(
    before: int, after: int, step: int, data: Path, tmp_path: Path
) -> None:
    given = {"data": str(data), "project": str(tmp_path), "sync_bn": True, "nominal_batch": 8, "warmup": "none"}
    whole = traced({**given, "name": "whole"})
    first = put_together(together(before, stopped_at, step, {**given, "name": "run"}, folder=tmp_path))
    assert read_checkpoint(tmp_path / "run" / "last.ckpt").position.step == step + 1
    target = str(tmp_path / "run")
    second = put_together(together(after, traced, {}, target, folder=tmp_path))
    assert_same_steps(whole, first + second, losses=None)  # none twice, none left out
    assert len(read_results(tmp_path / "run")) == 2


@pytest.mark.slow
def test_every_process_finds_the_newest_run(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data), "project": str(tmp_path), "name": "run"}
    together(2, stopped_at, 1, given, folder=tmp_path)
    together(2, newest, str(tmp_path), folder=tmp_path)
    assert len(read_results(tmp_path / "run")) == 2


def newest(project: str) -> None:
    """Goes on with the newest run, as torchrun's processes do, rank 0 a second before the others."""
    if int(os.environ["RANK"]) > 0:
        time.sleep(1)
    resume(None, {"project": project})


def test_processes_stop_together_go_on_to_the_same_end_and_unpickle_nothing(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data), "project": str(tmp_path), "nominal_batch": 8, "warmup": "none"}
    given |= {"model": "yolov5n", "sync_bn": True}
    unpickled_by_two(tmp_path, traced, {**given, "name": "whole"})
    arguments = (4, {**given, "name": "stopped"}, 1)  # the one that does not write
    stopped = put_together(unpickled_by_two(tmp_path, stopped_at, *arguments))
    assert [step["step"] for step in stopped] == [0, 1, 2, 3, 4]
    unpickled_by_two(tmp_path, traced, {}, str(tmp_path / "stopped"))
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []


def unpickled_by_two(folder: Path, work: Callable[..., Trace], *arguments: Any) -> dict[int, Trace]:
    """What a run of two processes does, during which neither may read a pickle that names anything."""
    found = together(2, unpickled, work, arguments, folder=folder, port=False)
    assert [named for _, named in found.values()] == [[], []]
    return {rank: trace for rank, (trace, _) in found.items()}


def unpickled(work: Callable[..., Trace], arguments: tuple[Any, ...]) -> tuple[Trace, list[str]]:
    """What a run does, and what is named in pickles that are read during it."""
    seen: list[str] = []
    sys.addaudithook(lambda event, found: seen.append(str(found)) if event == "pickle.find_class" else None)
    pickle.loads(pickle.dumps(Path()))
    shown = len(seen)
    assert shown > 0  # it would be seen
    trace = work(*arguments)
    return trace, seen[shown:]


@pytest.mark.slow
def test_three_processes_go_on_to_the_same_end(make_yolo: MakeYolo, tmp_path: Path) -> None:
    """Sums of three depend on their order, so the buckets of gradients have to be those of the first start."""
    data = make_yolo(counts={"train": 10, "val": 4})
    given = {"data": str(data), "project": str(tmp_path), "batch": 6, "model": "yolov5n"}
    together(3, traced, {**given, "name": "whole"}, folder=tmp_path)
    together(3, stopped_at, 1, {**given, "name": "stopped"}, folder=tmp_path)
    together(3, traced, {}, str(tmp_path / "stopped"), folder=tmp_path)
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []


def test_a_validation_over_processes_is_that_of_one(data: Path, tmp_path: Path, trained_squares: Path) -> None:
    """7 images in batches of 3, 3 and 1, over 2 and 3 processes, and in one batch of 7 over 2."""
    weights = str(trained_squares / "run" / "best.safetensors")
    alone = evaluated(weights, str(data), [3, 7])
    assert all(each["images"] == 7 and each["map50"] > 0.2 and min(each["losses"]) > 0 for each in alone)
    for count, batches in ((2, [3, 7]), (3, [3])):
        for found in together(count, evaluated, weights, str(data), batches, folder=tmp_path).values():
            assert found == alone[: len(batches)]


def evaluated(weights: str, data: str, batches: list[int]) -> list[dict[str, Any]]:
    """The numbers of weights on a validation split, by all processes together, and the losses, for sizes of batches."""
    from lehr.data.batch_makers import EvalBatches
    from lehr.data.cache import ImageStore
    from lehr.data.load import load_dataset
    from lehr.data.loader import Loader
    from lehr.data.requests import eval_requests
    from lehr.distributed.group import joined
    from lehr.evaluation.evaluator import evaluate
    from lehr.losses.build import build_loss
    from lehr.options import LossOptions
    from lehr.weights.load import load_model

    torch.set_num_threads(1)
    model = load_model(Path(weights), torch.device("cpu"))
    store = ImageStore(load_dataset(data).splits["val"], 64)
    loss = build_loss(model, LossOptions(), 64)
    loader, all_keys = Loader(EvalBatches(store, 64)), [eval_requests(store, batch) for batch in batches]
    with joined(torch.device("cpu"), 60) as group:
        found = [evaluate(model, store.samples, loader, keys, loss=loss, ranks=group.ranks) for keys in all_keys]
    return [{**each.as_dict(), "losses": each.loss, "seconds": None} for each in found]


def test_what_is_measured_or_fitted_is_rank_0s_for_all(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 40, "val": 2})
    given = {"data": str(data), "project": str(tmp_path), "name": "run", "batch": "auto", "model": "yolov5n"}
    two = put_together(together(2, traced, {**given, "epochs": 1, "anchors": 2}, folder=tmp_path))
    sizes = [len(step["images"]) for step in two]
    assert sum(sizes) == 40 and sizes[0] % 2 == 0 and sizes[0] >= 2
    assert "AutoBatch on cpu (1 threads)" in (log := (tmp_path / "run" / "train.log").read_text())
    assert f"Batch {sizes[0]}, {sizes[0] // 2} on each of 2 devices" in log
    assert log.count("AutoAnchor: best possible recall") == 1


def test_a_batch_that_is_not_finite_is_left_out_by_all(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data), "project": str(tmp_path), "name": "run", "nominal_batch": 4, "warmup": "none"}
    together(2, poisoned, {**given, "epochs": 1}, folder=tmp_path)
    row = read_results(tmp_path / "run")[0]
    assert int(row["skipped"]) == 1
    log = (tmp_path / "run" / "train.log").read_text()
    assert "Optimizer step skipped: epoch 1, batch 2: loss" in log
    weights = state_of(tmp_path / "run")
    assert all(bool(values.isfinite().all()) for values in weights.values())


def test_all_go_back_to_what_rank_0_reads_in_the_precision_that_it_checked(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data), "project": str(tmp_path), "name": "run", "nominal_batch": 4, "warmup": "none"}
    first, second = together(2, poisoned, {**given, "skip_limit": 1, "amp": "bf16"}, folder=tmp_path).values()
    assert [note["losses"] for note in first] == [note["losses"] for note in second]
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("Rolled back to") == 1 and "Precision check of bfloat16" in log
    assert len(read_results(tmp_path / "run")) == 2


def poisoned(options: dict[str, Any]) -> Trace:
    """A run whose second batch has an image that is not a number, on rank 1 only."""
    from lehr.data.batch import Batch

    normalized, calls = Batch.normalized, [0]

    def changed(batch: Batch, dtype: torch.dtype) -> torch.Tensor:
        images = normalized(batch, dtype)
        if batch.whole:
            calls[0] += 1
            if calls[0] == 2 and batch.indices[0] != batch.whole[0]:
                images[0] = float("nan")
        return images

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "normalized", changed)
        return traced(options)


def test_images_that_are_gone_are_named_whoever_misses_them(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data), "project": str(tmp_path), "name": "run", "cache": "none", "epochs": 1, "mosaic": 0.0}
    together(2, bereft, {**given}, str(data.parent / "images" / "train" / "3.jpg"), folder=tmp_path)
    log = (tmp_path / "run" / "train.log").read_text()
    assert log.count("Image became unreadable during training, replaced") == 1 and "3.jpg" in log
    assert "1 sample replaced" in log


def bereft(options: dict[str, Any], gone: str) -> Trace:
    """A run that loses an image once it has begun."""

    class Lose:
        all_ranks = True

        def on_train_start(self, event: TrainStart) -> None:
            Path(gone).unlink(missing_ok=True)

    return traced(options, callbacks=[Lose()])


def test_options_that_do_not_fit_are_refused_before_anything_starts(data: Path, tmp_path: Path) -> None:
    given = {"data": str(data), "project": tmp_path / "runs", "imgsz": 64, "device": "cpu"}
    for options, message in (
        ({"processes": 3, "batch": 16}, "--batch 16: does not divide over 3 processes"),
        ({"parallel": "dp"}, "DataParallel needs several CUDA devices"),
        ({"device": "0,1"}, "PyTorch sees no CUDA device here"),
    ):
        if "0,1" in options.values() and torch.cuda.is_available():
            continue
        with pytest.raises(InputError, match=message):
            train(build_config({**given, **options}))
    with pytest.raises(InputError, match="--sync-bn and --compile default do not go together"):
        build_config({"sync_bn": True, "compile": "default"})
    for option in ({"sync_bn": True}, {"compile": "max"}):
        with pytest.raises(InputError, match=r"--parallel dp and --(sync-bn|compile) do not go together"):
            build_config({"parallel": "dp", **option})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_processes_of_a_machine_share_the_cache(cache: str, data: Path, tmp_path: Path) -> None:
    draw_squares(data.parent / "images" / "train" / "4.jpg", [(4, 4, 30, 30)])
    first, second = together(2, cached, str(data), cache, folder=tmp_path).values()
    assert first["path"] == second["path"] is not None
    assert first["digest"] == second["digest"]
    assert first["decoded"] == 16 and second["decoded"] == 0


def cached(data: str, cache: str) -> dict[str, Any]:
    """What a process finds in the cache, and how many images it decoded itself."""
    import hashlib

    from lehr.data import cache as module
    from lehr.distributed.group import joined
    from lehr.engine.data import start_data

    read, count = module.read_image, [0]

    def counted(path: Path) -> Any:
        count[0] += 1
        return read(path)

    module.read_image = counted  # type: ignore[assignment]
    config = build_config({"data": data, "imgsz": 64, "cache": cache, "device": "cpu"})
    with joined(torch.device("cpu"), 60) as group:
        stores = start_data(config, torch.device("cpu"), print, group.ranks)
        digest = hashlib.blake2b()
        for store in (stores.train_store, stores.val_store):
            for index in range(len(store.samples)):
                digest.update(store(index)[0].tobytes())
        group.ranks.all_gather(0)
        return {"path": stores.train_store.path, "digest": digest.hexdigest(), "decoded": count[0]}
