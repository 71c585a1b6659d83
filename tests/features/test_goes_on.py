"""`sr4 upscale` of a large picture, stopped at random moments: called again, it goes on where it
was, and its files are those of a call that nothing stopped, byte for byte.

SR4_KILLS=50 stops each kind of picture fifty times instead of a few.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.files.unfinished import unfinished_path

DRIVER = Path(__file__).with_name("goes_on_driver.py")
KILLS = int(os.environ.get("SR4_KILLS", "3"))
SIZE = (110, 200)
KINDS = {
    "one sample, a JPEG": ("big.jpg", "--steps 2"),
    "several samples, 16 bits": (
        "big.tif",
        "--samples 2 --uncertainty --mean --sampler dpmpp --steps 2",
    ),
    "transparent, of another size": ("big.png", "--scale 3.7 --seed 5"),
}

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere a kill may leave a temporary file"
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each kind, with results of more than 2^18 pixels: these are made of tiles."""
    place, chance = tmp_path_factory.mktemp("in"), np.random.default_rng(0)
    coarse = Image.fromarray(chance.integers(0, 256, (30, 15, 4), dtype=np.uint8))
    whole = coarse.resize(SIZE, Image.Resampling.BICUBIC)
    whole.save(place / "big.png")
    whole.convert("RGB").save(place / "big.jpg", quality=70)
    grey = np.asarray(whole.convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(place / "big.tif")
    return place


def words(picture: Path, options: str, model: Path, out: Path) -> list[str]:
    command = [sys.executable, str(DRIVER), "upscale", str(picture), "-o", str(out)]
    command += ["--model", str(model), "--backend", "onnx", "--tile", "64"]
    return [*command, *options.split()]


def files(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def size_of(file: Path) -> int:
    """Bytes of a file, which a process beside this one may remove at any moment."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def stop(command: list[str], kept: Path, when: tuple[int, float], signal_: int) -> tuple[int, str]:
    """Run a command, and send it a signal once the hidden file has grown by so many bytes, and so
    many seconds have passed since: its exit code, and what it said.
    """
    growth, delay = when
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    size = size_of(kept)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if kept.exists() and size_of(kept) >= size + growth:
            time.sleep(delay)
            process.send_signal(signal_)
            break
        time.sleep(0.001)
    said = process.communicate(timeout=120)[1].decode()
    assert "Traceback" not in said
    assert "error" not in said, said
    return process.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_picture_goes_on_where_it_was(
    kind: str, pictures: Path, tiny_exported: Path, tmp_path: Path
) -> None:
    name, options = KINDS[kind]
    picture, chance = pictures / name, random.Random(kind)

    def command(out: str) -> list[str]:
        return words(picture, options, tiny_exported, tmp_path / out)

    subprocess.run(command("peace"), check=True, capture_output=True)
    expected = files(tmp_path / "peace")
    assert not [name for name in expected if name.startswith(".")]

    stops, rounds, went_on = 0, 0, 0
    while stops < KILLS:
        place, shares = tmp_path / f"out{rounds}", [0]
        output = next(place / name for name in expected if re.fullmatch(r"big\.\w+", name))
        rounds += 1
        assert rounds < 20 + KILLS, "calls end before they are stopped"
        while stops < KILLS:
            when = chance.randint(0, 150_000), chance.uniform(0, 0.1)
            number = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            code, said = stop(command(place.name), unfinished_path(output), when, number)
            found = re.findall(r"goes on at (\d+) %", said)
            shares += map(int, found)
            if code == 0:
                break
            stops += 1
            assert code in (-number, 130)
            left = files(place)
            left.pop(unfinished_path(output).name, None)
            assert left.items() <= expected.items()  # what is there is whole
        done = subprocess.run(command(place.name), check=True, capture_output=True)
        shares += map(int, re.findall(r"goes on at (\d+) %", done.stderr.decode()))
        assert shares == sorted(shares)  # nothing that was kept is drawn again
        went_on += len(shares) - 1
        assert files(place) == expected
    assert went_on >= KILLS // 2
