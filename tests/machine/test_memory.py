"""What memory there is, by the records of a system made up for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sr4.machine import memory


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_SYSTEM", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
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


def test_the_limit_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (10**15, 10**15))
    found = memory._of_process()
    assert found is not None
    assert 10**15 - 10**12 < found < 10**15
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY,) * 2)
    assert memory._of_process() is None
