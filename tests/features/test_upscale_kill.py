"""`sr4 upscale` of a folder, killed at random moments: nothing lost, nothing half-written.

SR4_KILLS=50 kills it fifty times instead of a few.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sr4.pictures import read_picture, read_provenance

PICTURES = 30
KILLS = int(os.environ.get("SR4_KILLS", "4"))

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere a kill may leave a temporary file"
)


def command(folder: Path, out: Path, model: Path) -> list[str]:
    code = "from sr4.cli.main import main; main()"
    words = ["upscale", folder, "-o", out, "--model", model, "--samples", 2, "--uncertainty"]
    return [sys.executable, "-c", code, *map(str, [*words, "--backend", "onnx"])]


def contents(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones too."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kill_once(words: list[str], out: Path, chance: random.Random) -> bool:
    """Start it, and kill it once some more files are there, within the milliseconds that follow.
    Whether it was killed, or finished before.
    """
    before = len(list(out.rglob("*"))) if out.exists() else 0
    wanted, delay = before + chance.randint(0, 12), chance.uniform(0, 0.03)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(out.rglob("*"))) >= wanted:
            time.sleep(delay)
            break
        time.sleep(0.001)
    process.kill()
    error = process.communicate()[1].decode()
    assert "Traceback" not in error
    assert "error" not in error, error
    return process.returncode < 0


def test_a_killed_folder_goes_on_where_it_was(
    make_picture: Callable[..., Path], tiny_exported: Path, tmp_path: Path
) -> None:
    chance = random.Random(7)
    for number in range(PICTURES):
        make_picture(tmp_path / "in" / f"{number // 10}" / f"{number:02}.png", 40, 40, number)
    quiet = {"check": True, "capture_output": True}
    subprocess.run(command(tmp_path / "in", tmp_path / "whole", tiny_exported), **quiet)  # type: ignore[call-overload]
    expected = contents(tmp_path / "whole")
    assert len(expected) == 4 * PICTURES

    kills, rounds = 0, 0
    while kills < KILLS:
        out = tmp_path / f"out{rounds}"
        rounds += 1
        words = command(tmp_path / "in", out, tiny_exported)
        while kills < KILLS and kill_once(words, out, chance):
            kills += 1
            found = contents(out) if out.exists() else {}
            assert found.items() <= expected.items()  # what is there is whole
        done = subprocess.run(words, **quiet)  # type: ignore[call-overload]
        assert done.returncode == 0
        assert contents(out) == expected
    some = tmp_path / "whole/0/03.png"
    assert read_picture(some).frames[0].size == (160, 160)
    assert read_provenance(some) is not None
