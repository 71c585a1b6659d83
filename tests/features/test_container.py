"""A process as containers start it: without a home, or one that may not be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("openvino")

UPSCALE = """
import pwd, sys
def nobody(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
if "HOME" not in __import__("os").environ:
    pwd.getpwuid = nobody
from sr4.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def upscale(model: Path, folder: Path, home: str | None) -> subprocess.CompletedProcess[str]:
    """One picture on OpenVINO, by a process of that home."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    environment = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")
    }
    environment |= {} if home is None else {"HOME": home}
    words = ["upscale", str(folder / "a.png"), "-o", str(folder / "out.png"), "--model", str(model)]
    return subprocess.run(
        [sys.executable, "-c", UPSCALE, *words, "--backend", "openvino", "--no-consistency"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="homes of other systems are found elsewhere")
@pytest.mark.parametrize("home", [None, "/proc"])
def test_no_home_that_can_be_written(tiny_exported: Path, tmp_path: Path, home: str | None) -> None:
    done = upscale(tiny_exported, tmp_path, home)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "out.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="caches of other systems are elsewhere")
def test_nothing_but_the_cache_is_written_to_the_home(tiny_exported: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert upscale(tiny_exported, tmp_path, str(home)).returncode == 0
    assert [path.name for path in home.iterdir()] == [".cache"]
    assert [path.name for path in (home / ".cache").iterdir()] == ["sr4"]
    assert len(list((home / ".cache/sr4/openvino").iterdir())) == 1


def test_openvino_loads_without_its_telemetry() -> None:
    program = (
        "import sys; from sr4.runtime.openvino_backend import openvino\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])\n"
        "from openvino.tools.ovc import telemetry; print(type(telemetry).__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\nopenvino.tools.ovc.telemetry_stub\n"
