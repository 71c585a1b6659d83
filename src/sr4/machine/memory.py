"""How much memory there is, and that it is kept for the next computation."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from sr4.machine.control_groups import group_folders

_SYSTEM = Path("/proc/meminfo")
# Limit and use of a control group, and its cache of files among the statistics: versions 2 and 1.
_FORMS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)

# Parameters of glibc's mallopt, and what sets them in the environment.
_KEPT = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_MMAP_THRESHOLD_": -3}


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for what is allocated next, where it is glibc.

    By default arrays of some megabytes go back to the system each time, which has to clear all
    their pages for the next ones: nearly half of the processor time of an evaluation, an eighth of
    that of a training. For programs of our own that compute all the time; what the user has set
    stays.
    """
    if any(name in os.environ for name in _KEPT):
        return
    with suppress(OSError, AttributeError):  # another C library
        set_option = ctypes.CDLL(None).mallopt
        for parameter in _KEPT.values():
            set_option(parameter, 2**31 - 1)


def available_memory() -> int | None:
    """Bytes that this process may still take without harm: what the system has to spare, and what
    the limits of its container and of itself leave. None where nobody tells.
    """
    found = [_of_system(), _of_container(), _of_process()]
    known = [number for number in found if number is not None]
    return max(0, min(known)) if known else None


def _of_system() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in _SYSTEM.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_container() -> int | None:
    """What the control groups leave. What is cached from files counts as free."""
    left = [one for folder in group_folders("memory") for one in _left(folder)]
    return min(left, default=None)


def _left(group: Path) -> list[int]:
    """Of one control group, by each form of its files that it has and that tells a limit."""
    found = []
    for limit, usage, cached in _FORMS:
        with suppress(OSError, ValueError):  # ValueError: "max", no limit
            numbers = [int((group / name).read_text()) for name in (limit, usage)]
            found.append(numbers[0] - numbers[1] + _statistics(group).get(cached, 0))
    return found


def _statistics(group: Path) -> dict[str, int]:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
        return {name: int(number) for name, number in (line.split() for line in lines)}
    except (OSError, ValueError):
        return {}


def _of_process() -> int | None:
    with suppress(ImportError, OSError, ValueError, IndexError):
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return limit - pages * resource.getpagesize()
    return None


def peak_memory() -> int | None:
    """The most bytes of memory that this process has held so far; None where the system does not
    tell.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage, which on Linux counts the process that started this one, too.
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(encoding="ascii"), re.M)
        if found:
            return 1024 * int(found[1])
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
