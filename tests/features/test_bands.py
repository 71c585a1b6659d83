"""Training, scoring and upscaling pictures of five bands, by the commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sr4.pictures import read_picture

pytest.importorskip("torch")

SMALL = [
    "model.network.widths=[16,32]", "model.network.blocks=[1,1]", "model.image_size=32",
    "training.total_images=32", "training.precision=float32", "training.validation_images=2",
    "data.workers=0",
]  # fmt: skip
BANDS: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig"}


def bands(count: int, side: int, seed: int) -> np.ndarray:
    """Smooth random bands of 16 bits, (side, side, count)."""
    coarse = np.random.default_rng(seed).integers(0, 65536, (count, 3, 3))
    places, grid = np.linspace(0, 2, side), np.arange(3)
    across = np.stack([[np.interp(places, grid, row) for row in band] for band in coarse])
    both = np.stack([[np.interp(places, grid, row) for row in band.T] for band in across])
    return np.rint(both.transpose(2, 1, 0)).astype(np.uint16)


def words(*settings: str) -> list[str]:
    return [word for one in [*SMALL, *settings] for word in ("--set", one)]


@pytest.mark.parametrize("channels", [5, 1])
def test_a_model_of_bands(run: Callable[..., Any], tmp_path: Path, channels: int) -> None:
    source, model, given = tmp_path / "data", tmp_path / "run", tmp_path / "low.tif"
    source.mkdir()
    for number in range(6):
        np.save(source / f"{number}.npy", bands(channels, 40, number))
    if channels == 5:
        tifffile.imwrite(source / "6.tif", bands(channels, 40, 6), **BANDS)
    settings = words(f"model.channels={channels}", "data.corruption=none")
    done = run("train", "photo-x4", "--data", source, "--val", source, "--out", model, *settings)
    assert done.code == 0, done.err

    done = run("evaluate", "--model", model, "--data", source, "--limit", 3, "--json")
    assert done.code == 0, done.err
    assert done.json["count"] == 3
    assert done.json["psnr"]["value"] > 10
    assert done.json["psnr_luma"] is None
    assert done.json["kid_efflite0"] is None
    assert done.json["consistency"]["value"] < 0.1
    done = run("evaluate", "--model", model, "--data", source, "--corruption", "photo")
    assert done.code == 2
    assert f"of {channels} channels; expected one of RGB" in done.errors[0]

    low = bands(channels, 12, 9)
    tifffile.imwrite(given, low[:, :, 0] if channels == 1 else low, **BANDS)
    done = run("upscale", given, "-o", tmp_path / "out", "--model", model)
    assert done.code == 0, done.err
    (out,) = (tmp_path / "out").iterdir()
    assert out.name == ("low.tif" if channels == 5 else "low.png")
    raster = read_picture(out).frames[0]
    assert raster.pixels.shape == (48, 48, channels)
    assert raster.pixels.dtype == np.uint16


def test_other_bands_than_the_model_has_are_bad_pictures(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data/a.npy", bands(4, 40, 0))
    settings = words("model.channels=5", "data.corruption=none")
    done = run("train", "photo-x4", "--data", tmp_path / "data", "--out", tmp_path / "r", *settings)
    assert done.code == 1
    assert "has 4 channels; expected 5" in done.err
    assert "Traceback" not in done.err
