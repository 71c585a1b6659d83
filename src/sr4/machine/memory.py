"""How much memory there is."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

_SYSTEM = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


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
    """By control groups, version 2. What is cached from files counts as free."""
    with suppress(OSError, ValueError, IndexError):
        limit, used = (int((_GROUP / f"memory.{what}").read_text()) for what in ("max", "current"))
        facts = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
        return limit - used + int(facts.get("inactive_file", 0))
    return None


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
