"""What memory there is, by the records of a system made up for it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from sr4.machine import control_groups, memory


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_SYSTEM", tmp_path / "meminfo")
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "_OWN", tmp_path / "own")
    monkeypatch.setattr(memory, "_of_process", lambda: None)
    return tmp_path


def test_the_least_of_all_limits(system: Path) -> None:
    assert memory.available_memory() is None
    (system / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:   5000 kB\n")
    assert memory.available_memory() == 5000 * 1024
    (system / "memory.max").write_text("max\n")
    (system / "memory.current").write_text("3000000\n")
    (system / "memory.stat").write_text("anon 2000000\ninactive_file 500000\n")
    assert memory.available_memory() == 5000 * 1024
    (system / "memory.max").write_text("4000000\n")
    assert memory.available_memory() == 4_000_000 - 3_000_000 + 500_000
    (system / "memory.current").write_text("9000000\n")
    assert memory.available_memory() == 0


def test_limits_of_version_1(system: Path) -> None:
    """As Docker shows them on older hosts: no files but these may be there."""
    (system / "meminfo").write_text("MemAvailable:   5000000 kB\n")
    group = system / "memory"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("314572800\n")
    (group / "memory.usage_in_bytes").write_text("104857600\n")
    assert memory.available_memory() == 209_715_200
    (group / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 1000\n")
    assert memory.available_memory() == 209_716_200
    (group / "memory.limit_in_bytes").write_text(f"{2**63 - 4096}\n")  # its word for none
    assert memory.available_memory() == 5_000_000 * 1024


def test_limits_of_inner_and_outer_groups(system: Path) -> None:
    """A service's own group, and the slice that it is in."""
    (system / "own").write_text("4:memory:/a/b\n1:cpu,cpuacct:/\n0::/user.slice/mine.service\n")
    inner, outer = system / "user.slice" / "mine.service", system / "memory" / "a"
    for folder, names in (
        (inner, ("memory.max", "memory.current")),
        (outer, ("memory.limit_in_bytes", "memory.usage_in_bytes")),
    ):
        folder.mkdir(parents=True)
        for name, number in zip(names, (700, 100), strict=True):
            (folder / name).write_text(str(number))
    assert memory.available_memory() == 600
    (outer / "memory.usage_in_bytes").write_text("650")
    assert memory.available_memory() == 50
    (inner / "memory.current").write_text("690")
    assert memory.available_memory() == 10


def test_the_limit_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10**15, 10**15))
    found = memory._of_process()
    assert found is not None
    assert 10**15 - 10**12 < found < 10**15
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert memory._of_process() is None


FAULTS = """
import resource, sys
import numpy as np
from sr4.machine.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries differ")
def test_freed_memory_is_kept_unless_the_user_says_otherwise() -> None:
    """An array of 128 MB, 20 times: only the first takes pages of the system."""

    def faults(word: str, **environment: str) -> int:
        known = {name: one for name, one in os.environ.items() if not name.startswith("MALLOC_")}
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, word],
            env=known | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    pages = 20 * 2**27 // 2**21  # or more: how many are of 2 MiB, the system decides each time
    assert faults("leave") > pages / 2
    assert faults("keep") < pages / 4
    assert faults("keep", MALLOC_TRIM_THRESHOLD_="131072") > pages / 2
