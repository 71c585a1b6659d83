"""How many processors there are for this process, and threads that share work among them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from sr4.machine.control_groups import group_folders

_PIECE = 2**19  # numbers for which it is worth waking a thread
_LEAST = 64  # pieces are multiples of this

Item = TypeVar("Item")


def available_cpus() -> int:
    """Threads that may compute at the same time: the processors that this process may run on, no
    more than the quota of its container (control groups, version 1 or 2), rounded up, and than
    OMP_NUM_THREADS, by which users bound the threads of a program.
    """
    found = [_by_affinity(), _quota_of(os.getpid()), _by_environment()]
    return max(1, min(number for number in found if number is not None))


def _by_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _quota_of(process: int) -> int | None:
    """That of one process, read once: it takes a tenth of a millisecond, and every large array is
    shared among threads. A process that was forked may be in another group.
    """
    return _by_quota()


def _by_quota() -> int | None:
    """Processors' worth of time that the container may use, None without a limit."""
    found = [one for folder in group_folders("cpu") for one in _quotas(folder)]
    return min(found, default=None)


def _quotas(group: Path) -> list[int]:
    """Of one control group, by each form of its files that it has and that tells a limit."""
    found = []
    with suppress(OSError, ValueError):  # ValueError: "max", no limit
        limit, period = map(int, (group / "cpu.max").read_text().split())
        found.append(-(-limit // period))
    with suppress(OSError, ValueError):
        limit, period = (
            int((group / f"cpu.cfs_{what}_us").read_text()) for what in ("quota", "period")
        )
        found += [-(-limit // period)] if limit > 0 else []
    return found


def _by_environment() -> int | None:
    # A list bounds nested parallel regions, the outermost first (OpenMP 5.2, section 21.1.2).
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else None


def bound_libraries() -> None:
    """Bound the threads that libraries start in this process: of OpenBLAS, NumPy's, to one, and of
    OpenMP, torch's, where the quota of the container is less than its processors, which it does not
    see.

    What is large is shared out by `in_pieces`. Of what is small, OpenBLAS makes parts that wait for
    each other in busy loops, beside a network that has all processors: a thousandth of a second
    becomes a quarter of one.

    For programs of our own, before they load these libraries; what the user has set stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    quota = _by_quota()
    if quota is not None and quota < _by_affinity():
        bound_threads(quota)


def bound_threads(count: int) -> None:
    """Bound the threads of each computation in this process, for programs that compute several
    things at once; what the user has set stays.

    For programs of our own, before they load these libraries.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(max(1, count)))


def in_pieces(
    do: Callable[[int, int], object], length: int, work: int, least: int = _LEAST
) -> None:
    """Call `do(start, stop)` for parts of a range, by all processors where there is enough to do.

    `do` has to release Python's lock, as NumPy does.

    Args:
        length: of the range.
        work: numbers read and written in all.
        least: what the length of each part but the last is a multiple of.
    """
    count = min(work // _PIECE, length // least)
    count = min(count, available_cpus()) if count > 1 else 1
    step = -(-length // count // least) * least
    _together([partial(do, one, min(one + step, length)) for one in range(0, length, step)])


def for_each(do: Callable[[Item], object], items: Sequence[Item], work: int) -> None:
    """Call `do` of each item, by all processors where there is enough to do. What `do` itself asks
    for here or of `in_pieces` is then done one after another.

    Args:
        work: numbers read and written for an item.
    """
    count = min(len(items), len(items) * work // _PIECE)
    count = min(count, available_cpus()) if count > 1 else 1
    left = iter(items)  # of a list: one thread at a time moves it

    def take() -> None:
        for item in left:
            do(item)

    _together([take] * count)


def _together(tasks: Sequence[Callable[[], object]]) -> None:
    """Run tasks at the same time, the first in this thread. Those of a task that runs so itself
    follow each other: threads that wait for a thread of their own kind may wait for ever.
    """
    if len(tasks) == 1 or _is_one_of_many.get():
        for task in tasks:
            task()
        return
    threads = _threads(os.getpid())
    others = [threads.submit(_run_as_one, task) for task in tasks[1:]]
    try:
        _run_as_one(tasks[0])
    finally:
        wait(others)
        while others:  # no name holds one that failed, whose traceback leads here
            others.pop().result()


_is_one_of_many: ContextVar[bool] = ContextVar("is_one_of_many", default=False)


def _run_as_one(task: Callable[[], object]) -> None:
    """Run one of several tasks that run at the same time."""
    token = _is_one_of_many.set(True)
    try:
        task()
    finally:
        _is_one_of_many.reset(token)


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Of one process, as threads do not outlive a fork: one beside each that asks for them, for
    all numbers of tasks. None of them waits for another, so fewer than tasks will do.
    """
    return ThreadPoolExecutor(max(1, available_cpus() - 1), "sr4")


def processor() -> str:
    """What the processor calls itself."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.M)
        if found:
            return found[1]
    return platform.processor() or platform.machine()
