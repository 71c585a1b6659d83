"""How many threads there may be, and work that they share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sr4.machine import control_groups, processors


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One of 8 processors without limits; gives the folder of its control group."""
    processors._quota_of.cache_clear()
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "_OWN", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    yield tmp_path
    processors._quota_of.cache_clear()


def test_affinity(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processors.available_cpus() == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert processors.available_cpus() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # as on Windows and macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert processors.available_cpus() == 6


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("250000 100000\n", 3),
        ("20000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("damaged", 8),
    ],
)
def test_quota_of_version_2(machine: Path, said: str, expected: int) -> None:
    (machine / "cpu.max").write_text(said)
    assert processors.available_cpus() == expected


def test_the_quota_is_read_once_in_a_process(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "cpu.max").write_text("200000 100000\n")
    assert processors.available_cpus() == 2
    (machine / "cpu.max").write_text("300000 100000\n")
    assert processors.available_cpus() == 2
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as after a fork
    assert processors.available_cpus() == 3


@pytest.mark.parametrize(("quota", "expected"), [(-1, 8), (150_000, 2), (50_000, 1)])
def test_quota_of_version_1(machine: Path, quota: int, expected: int) -> None:
    (machine / "cpu").mkdir()
    (machine / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (machine / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert processors.available_cpus() == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("3", 3), ("4,2", 4), ("99", 8), ("0", 8), ("-1", 8), ("all", 8), ("", 8)],
)
def test_the_users_bound(
    machine: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert processors.available_cpus() == expected


@pytest.mark.parametrize(
    ("limit", "given", "expected"),
    [
        ("200000 100000", None, "2"),
        ("200000 100000", "5", "5"),
        ("max 100000", None, None),
        ("900000 100000", None, None),
    ],
)
def test_libraries_are_bound_by_the_quota_and_openblas_to_one_thread(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    given: str | None,
    expected: str | None,
) -> None:
    (machine / "cpu.max").write_text(limit)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
        if given is not None:
            monkeypatch.setenv(name, given)
    processors.bound_libraries()
    assert [os.environ.get(name) for name in names] == [expected, given or "1"]


@pytest.mark.parametrize("length", [1, 63, 64, 1000, 4096])
@pytest.mark.parametrize("cpus", [1, 2, 3, 8])
def test_pieces_cover_a_range_once(monkeypatch: pytest.MonkeyPatch, length: int, cpus: int) -> None:
    monkeypatch.setattr(processors, "available_cpus", lambda: cpus)
    seen, threads = np.zeros(length, int), set()

    def do(start: int, stop: int) -> None:
        seen[start:stop] += 1
        threads.add(threading.get_ident())

    processors.in_pieces(do, length, 10**9)
    assert (seen == 1).all()
    assert len(threads) <= cpus
    seen[:] = 0
    processors.in_pieces(do, length, 1000)  # too little for a second thread
    assert (seen == 1).all()


def test_all_numbers_of_pieces_share_the_same_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "available_cpus", lambda: 8)
    processors._threads.cache_clear()
    seen: set[threading.Thread] = set()
    for count in range(2, 9):
        # Each waits for the others, so that none does two of them.
        barrier = threading.Barrier(count)

        def do(start: int, stop: int, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(10)
            seen.add(threading.current_thread())

        processors.in_pieces(do, 64 * count, 10**9)
    processors._threads.cache_clear()  # so that other tests have those of this machine
    assert len(seen) == 8


def test_a_failure_in_any_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "available_cpus", lambda: 3)
    done = []

    def do(item: int) -> None:
        if item == 4:
            raise ValueError("the fourth")
        done.append(item)

    with pytest.raises(ValueError, match="the fourth"):
        processors.for_each(do, list(range(9)), 10**6)
    processors.for_each(done.append, list(range(100, 109)), 10**6)
    assert sorted(done)[-9:] == list(range(100, 109))


def test_work_inside_of_work_waits_for_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that waited for one of its own kind would wait for ever."""
    monkeypatch.setattr(processors, "available_cpus", lambda: 2)
    seen = np.zeros((4, 128), int)

    def do(item: int) -> None:
        def inner(start: int, stop: int) -> None:
            seen[item, start:stop] += 1

        processors.in_pieces(inner, 128, 10**9)

    processors.for_each(do, range(4), 10**9)
    assert (seen == 1).all()
    barrier = threading.Barrier(2)  # and what comes after it is shared again
    processors.for_each(lambda item: barrier.wait(10), range(2), 10**9)
