"""Previews of results in the making: what is finished, shrunk, and nothing else changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sr4
from sr4.diffusion.samplers import Step
from sr4.upscaling.preview import shrunk
from tests.batch.conftest import smooth

SIDE = 64


def same(unit: Any) -> Any:
    return unit


def blocks(pixels: Any, factor: int) -> Any:
    """Means of whole blocks of (H, W, N), (N, h, w)."""
    height, width, channels = pixels.shape
    cut = pixels.reshape(height // factor, factor, width // factor, factor, channels)
    return np.moveaxis(cut.mean(axis=(1, 3)), 2, 0)


def test_pixels_are_means_of_what_is_done() -> None:
    pixels = np.random.default_rng(0).uniform(-1, 1, (40, 60, 3)).astype(np.float32)
    pixels[17:] = 9  # what nobody has drawn yet
    small = shrunk(pixels, 17, 30, same)
    assert small.shape == (3, 20, 30)
    assert np.allclose(small[:, :8], blocks(pixels[:16], 2), atol=1e-6)
    assert np.isnan(small[:, 8:]).all()
    assert np.array_equal(shrunk(pixels, 17, 60, same)[:, :17], np.moveaxis(pixels[:17], 2, 0))


def test_sides_that_are_no_multiples() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (41, 7, 1)).astype(np.uint8)
    small = shrunk(pixels, 41, 20, lambda levels: levels.astype(np.float32))
    assert small.shape == (1, 14, 3)
    assert np.isfinite(small).all()
    assert small[0, -1, -1] == pixels[[39, 40]][:, 6].mean()


def test_the_cost_does_not_grow_with_the_result() -> None:
    seen = []

    def watched(pixels: Any) -> Any:
        seen.append(pixels.size)
        return pixels.astype(np.float32)

    small = shrunk(np.ones((3000, 2000, 1), np.uint8), 3000, 100, watched)
    assert small.shape == (1, 100, 67)
    assert sum(seen) == 4 * small.size
    assert np.all(small == 1)


class Looks:
    """What steps show, as numbers of all pixels that are there."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def __call__(self, step: Step) -> None:
        self.found.append(None if step.preview is None else step.preview(SIDE))


@pytest.mark.parametrize("options", [{"samples": 2, "use_mean": True}, {"scale": 3.0}, {}])
def test_bands_are_those_of_the_result(tiny_model: Path, options: Any) -> None:
    looks, model = Looks(), sr4.load(tiny_model, backend="torch")
    result = model.upscale(smooth(32, 40), tile=32, on_step=looks, **options)
    pixels = result.rasters[0].span.unit(result.rasters[0].pixels)
    height, width = (-(-side // -(-max(pixels.shape) // SIDE)) for side in pixels.shape[:2])
    rows = []
    for look in looks.found:
        assert look.shape == (3, height, width)
        there = np.isfinite(look).all(axis=(0, 2))
        assert np.array_equal(there, np.sort(there)[::-1])  # from the top
        assert np.array_equal(look[:, there], shrunk(pixels, len(pixels), SIDE, same)[:, there])
        rows.append(there.sum())
    assert rows == sorted(rows)
    assert rows[-1] == height
    assert "scale" in options or rows[0] < height
    alone = model.upscale(smooth(32, 40), tile=32, **options)
    assert np.array_equal(alone.raster.pixels, result.raster.pixels)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_estimates_come_near_the_result(tiny_model: Path, mode: str) -> None:
    looks, model = Looks(), sr4.load(tiny_model, backend="torch")
    given = smooth(7, 9).convert(mode)  # which is padded
    options: Any = {"steps": 4, "samples": 2, "seed": 3, "consistency": False}
    result = model.upscale(given, on_step=looks, **options)
    shown = [look for look in looks.found if look is not None]  # not of the second sample
    assert [look.shape for look in shown] == [(3, 36, 28)] * 4
    channels = 3 if mode == "RGB" else 1
    joined = [look.reshape(channels, -1, 36, 28).mean(axis=1) for look in shown]
    off = [float(np.abs(look - result.rasters[0].unit).mean()) for look in joined]
    assert off[-1] < 1 / 255 < off[0]  # half a level, as [-1, 1] has 255 of them in 2
    alone = model.upscale(given, **options)
    assert np.array_equal(alone.raster.pixels, result.raster.pixels)


def test_of_several_pictures_it_is_the_first(tiny_model: Path) -> None:
    looks, model = Looks(), sr4.load(tiny_model, backend="torch")
    pictures = [smooth(8, 8, seed=5), smooth(9, 8), smooth(8, 8, seed=6)]
    first = model.upscale(pictures, consistency=False, on_step=looks)[0]
    shown = [look for look in looks.found if look is not None]
    assert 0 < len(shown) < len(looks.found)
    assert np.abs(shown[-1] - first.raster.unit).mean() < 1 / 255


def test_stages_show_what_the_next_one_draws_on(tiny_model: Path) -> None:
    looks, model = Looks(), sr4.load(tiny_model, backend="torch")
    cascade = sr4.CascadePipeline([model, model])
    result = cascade.upscale(smooth(8, 10), tile=32, on_step=looks)
    assert result.raster.size == (128, 160)
    shapes = [look.shape[1:] for look in looks.found]
    assert shapes[0] == (40, 32)
    assert shapes[-1] == (54, 43)
    assert np.isfinite(looks.found[shapes.index((54, 43)) - 1]).all()  # the first stage's, whole


def test_ink_is_not_shown_before_it_is_joined(tiny_model: Path) -> None:
    looks, model = Looks(), sr4.load(tiny_model, backend="torch")
    model.upscale(smooth(8, 8).convert("CMYK"), on_step=looks)
    assert set(map(type, looks.found)) == {type(None)}
