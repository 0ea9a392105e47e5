from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.processes import together

import lehr.distributed.group
from lehr.distributed.collectives import ALONE, PeerLost, RankFailed, Ranks, check_divides, lost_touch
from lehr.distributed.devices import own_device
from lehr.distributed.environment import world
from lehr.distributed.folder_store import FolderStore
from lehr.distributed.group import joined
from lehr.distributed.messages import decode, encode
from lehr.distributed.process_count import processes_here
from lehr.distributed.rendezvous import meet
from lehr.errors import InputError, LehrError
from lehr.options import DeviceOptions

CPU = torch.device("cpu")
where = pytest.mark.parametrize(
    "port", [pytest.param(True, id="port", marks=pytest.mark.slow), pytest.param(False, id="folder")]
)
"""Where processes meet: as with torchrun, which is slow, or as `lehr` has it."""


def _all_of(ranks: Ranks) -> list[Any]:
    def fail(error: LehrError) -> str:
        raise error

    found: list[Any] = [
        ranks.broadcast_from_rank0(lambda: f"of {ranks.rank}"),
        ranks.broadcast_local(lambda: f"of {ranks.rank}"),
    ]
    found += [ranks.all_gather(ranks.rank), ranks.gather(ranks.rank), ranks.all_reduce(torch.ones(2)).tolist()]
    for error in (InputError("no such file"), LehrError("broken")):
        for ask in (ranks.broadcast_from_rank0, ranks.broadcast_local):
            with pytest.raises(type(error), match=str(error)) as caught:
                ask(lambda error=error: fail(error))
            found.append(caught.value.exit_code)
    return found


def _talk() -> list[Any]:
    with joined(CPU, 60) as group:
        return _all_of(group.ranks)


@where
def test_what_processes_tell_each_other(port: bool, tmp_path: Path) -> None:
    first, second, third = together(3, _talk, folder=tmp_path, port=port).values()
    codes = [2, 2, 1, 1]
    assert first == ["of 0", "of 0", [0, 1, 2], [0, 1, 2], [3, 3], *codes]
    assert second == ["of 0", "of 0", [0, 1, 2], [], [3, 3], *codes]
    assert third == second
    assert _all_of(ALONE) == ["of 0", "of 0", [0], [0], [1, 1], *codes]


def test_parts_and_deals_are_whole_again() -> None:
    for count in range(1, 9):
        everyone = [Ranks(rank, count) for rank in range(count)]
        for length in range(20):
            items = list(range(length))
            parts = [ranks.shard(items) for ranks in everyone]
            assert [item for part in parts for item in part] == items
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            deals = [ranks.stripe(items) for ranks in everyone]
            assert everyone[0].unstripe(deals) == items
            assert max(map(len, deals)) - min(map(len, deals)) <= 1


def test_a_batch_that_does_not_divide_names_those_that_do() -> None:
    check_divides(16, 4)
    with pytest.raises(InputError, match=r"--batch 16: does not divide over 3 processes.* 15 or 18"):
        check_divides(16, 3)
    with pytest.raises(InputError, match=r"Use 8\."):
        check_divides(2, 8)


def test_errors_of_lost_processes_are_told_from_others() -> None:
    gloo = "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1234"
    assert lost_touch(RuntimeError(gloo)) and lost_touch(RuntimeError("Timed out waiting 2000ms for recv operation"))
    assert not lost_touch(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not lost_touch(ValueError("connection"))


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_processes_do_not_meet_where_others_may_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LEHR_PROCESSES", str(tmp_path))):
        monkeypatch.setenv(name, value)
    with pytest.raises(LehrError, match="is not a folder that only this user can open"), joined(CPU, 1):
        pass
    assert list(tmp_path.iterdir()) == []


def _fail_in(rank: int) -> None:
    """One process fails for a reason; the others wait for it."""
    with joined(CPU, 60) as group:
        if group.ranks.rank == rank:
            raise InputError("images/7.jpg: is gone")
        group.ranks.all_gather(1)


def _told_of_failing(rank: int) -> tuple[str, str, int, bool]:
    try:
        _fail_in(rank)
    except LehrError as error:
        return type(error).__name__, str(error), error.exit_code, error.told
    return "", "", 0, False


@where
@pytest.mark.parametrize("rank", [0, 1])
def test_the_others_end_with_the_reason_and_one_of_them_tells_it(rank: int, port: bool, tmp_path: Path) -> None:
    found = together(2, _told_of_failing, rank, folder=tmp_path, port=port)
    kinds, messages, codes, told = zip(*found.values(), strict=True)
    assert kinds[rank] == "InputError" and kinds[1 - rank] == "RankFailed"
    assert messages == ("images/7.jpg: is gone",) * 2 and codes == (2, 2)
    assert sorted(told) == [False, True]


def _wait_for_a_silent_one() -> tuple[str, float]:
    started = time.monotonic()
    lehr.distributed.group.HEARTBEAT_SECONDS, lehr.distributed.group.HEARTBEAT_TIMEOUT = 0.2, 0.7
    try:
        with joined(CPU, 1) as group:
            group.ranks.at("step 4 of epoch 2")
            if group.ranks.rank == 1:  # stopped by its machine, say: it neither answers nor ends
                os.kill(os.getpid(), signal.SIGSTOP)
            group.ranks.all_gather(1)
    except PeerLost as error:
        with open(os.environ["NOTE"], "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(f"{time.monotonic() - started}\n{error}")
        os.kill(int(os.environ["PEER"]) if "PEER" in os.environ else _peer(), signal.SIGKILL)
        raise
    return "", 0.0


def _peer() -> int:
    """The other process of this launcher."""
    mine = Path(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read_text(encoding="ascii").split()
    stopped = [pid for pid in mine if "T (stopped)" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")]
    return int(stopped[0])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks up processes in /proc")
@where
def test_a_silent_process_is_named_within_the_time_out(
    port: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTE", str(tmp_path / "note"))
    with pytest.raises(Exception, match=r"PeerLost|exitcode"):
        together(2, _wait_for_a_silent_one, folder=tmp_path, port=port)
    seconds, message = (tmp_path / "note").read_text(encoding="utf-8").split("\n", 1)
    assert 1 <= float(seconds) < 30
    assert "Rank 0 of 2" in message and "within 1 s (--timeout) at step 4 of epoch 2" in message
    assert "Not responding: rank 1 on" in message


def _meet(folder: str, rank: int, count: int, port: bool) -> str:
    store = dist.FileStore(f"{folder}/store", -1) if port else FolderStore(Path(folder))
    return meet(store, rank, count, 20)


@where
def test_a_start_takes_nothing_of_an_earlier_one(port: bool, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    names = set()
    for _ in range(3):  # the store keeps what the earlier ones left
        with ThreadPoolExecutor(3) as pool:
            found = set(pool.map(lambda rank: _meet(str(tmp_path), rank, 3, port), range(3)))
        assert len(found) == 1
        names |= found
    assert len(names) == 3


@where
def test_who_does_not_come_is_named(port: bool, tmp_path: Path) -> None:
    store: Any = FolderStore(tmp_path)
    if port:
        store = dist.HashStore()
        store.set_timeout(timedelta(seconds=1))
    with pytest.raises(PeerLost, match=r"Rank 0 waited 0\.2 s \(--timeout\) for the 3 processes .* missing: rank 1, 2"):
        meet(store, 0, 3, 0.2)
    with pytest.raises(PeerLost, match=r"Rank 2 of 3 had no answer from rank 0 within 0\.2 s"):
        meet(store, 2, 3, 0.2)


def test_errors_survive_the_way_between_processes() -> None:
    error = decode(encode(("gone", InputError.exit_code)))
    assert error == ("gone", 2) and RankFailed(*error).exit_code == 2


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({"device": "cpu", "processes": 2}, 2),
        ({"device": "0,1,2"}, 3),
        ({"device": [0, 1]}, 2),
        ({"device": "0, 1", "processes": 2}, 2),
        ({"device": "0,1", "parallel": "dp"}, 1),
    ],
)
def test_processes_follow_from_the_devices(options: dict[str, Any], count: int) -> None:
    assert processes_here(DeviceOptions(**options)) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "0,1", "processes": 3}, "names 2 devices for 3 processes"),
        ({"device": "0,0"}, "names a device twice"),
        ({"device": "0,1", "processes": 2, "parallel": "dp"}, "is one process for all devices"),
    ],
)
def test_devices_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        processes_here(DeviceOptions(**options))


def test_each_process_takes_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for name, value in (("RANK", 5), ("WORLD_SIZE", 8), ("LOCAL_RANK", 1), ("LOCAL_WORLD_SIZE", 4), ("GROUP_RANK", 1)):
        monkeypatch.setenv(name, str(value))
    place = world()
    assert (place.rank, place.count, place.local_rank, place.local_count, place.node) == (5, 8, 1, 4, 1)
    for name, expected in (("auto", "cuda:1"), ("cuda", "cuda:1"), ("0,3,2,1", "cuda:3"), ("cpu", "cpu")):
        assert str(own_device(DeviceOptions(device=name), place)) == expected
    with pytest.raises(InputError, match=r"is one device for 4 processes"):
        own_device(DeviceOptions(device="2"), place)
    with pytest.raises(InputError, match=r"names 1 devices|there are 4 CUDA devices|names 2 devices"):
        own_device(DeviceOptions(device="0,9"), place)
