"""What is seen through alpha: a button in its shadow, by models that interpolate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4.degradation import Degradation, DegradationChain, SizedDegradation
from sr4.degradation.protocols import Degrades
from sr4.evidence.kinds import exact, nothing
from sr4.evidence.sets import LEVEL
from sr4.pictures.parts import Parts
from sr4.pictures.raster import Raster, checked
from sr4.upscaling.canvas import whole_result
from sr4.upscaling.result import Result
from sr4.upscaling.transparency import is_transparent, seen_through, share_of

D = Degradation(4)
BLUE = (40, 120, 220)


def button(hidden: int = 0, dtype: Any = np.uint8) -> Raster:
    """A blue box over black that lets half of what is behind through, and nothing around."""
    y, x = np.mgrid[:24, :32]
    body, shadow = (y > 5) & (y < 16) & (x > 6) & (x < 25), (y > 3) & (y < 20) & (x > 4) & (x < 27)
    pixels = np.full((24, 32, 3), hidden)
    pixels[shadow], pixels[body] = 0, BLUE
    alpha = np.where(body, 255, np.where(shadow, 115, 0))
    alpha[(y == 16) & (x > 6) & (x < 25)] = 185  # half a pixel of the body over its shadow
    pixels[(y == 16) & (x > 6) & (x < 25)] = [77 * one // 100 for one in BLUE]
    scale = np.iinfo(dtype).max // 255
    return checked((scale * pixels).astype(dtype), "rgb", (scale * alpha).astype(dtype))


def enlarged(given: Raster, degradation: Degrades = D, evidence: Any = None) -> Result:
    """By a model that gives the bicubic picture of what it sees, made to fit."""
    evidence = evidence or exact()
    parts = Parts(given, 3)
    drawn = [D.fit(np.clip(D.upsample(one), -1, 1), one) for one in parts.split()]
    if isinstance(degradation, SizedDegradation):
        drawn = [np.clip(degradation.upsample(one), -1, 1) for one in parts.split()]
    return whole_result(parts, [drawn, drawn], degradation, evidence, use_mean=False)


def on(raster: Raster, background: float) -> np.ndarray:
    """Laid on black (0) or white (1): (N, H, W) in [0, 1]."""
    share = share_of(raster)
    unit = np.moveaxis(raster.span.unit(raster.pixels), 2, 0)
    return share * (unit + 1) / 2 + (1 - share) * background


def test_what_counts_as_transparent() -> None:
    given = button()
    assert is_transparent(given)
    assert not is_transparent(checked(given.pixels, "rgb"))
    assert not is_transparent(checked(given.pixels, "rgb", np.full((24, 32), 255, np.uint8)))
    assert not is_transparent(checked(given.pixels, "rgb", given.alpha, nodata=0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_shadow_does_not_change_the_colours_of_an_object(dtype: Any) -> None:
    result = enlarged(button(dtype=dtype))
    for raster in (*result.rasters, result.mean_raster):
        inside = raster.with_bits(8).pixels[28:60, 32:96].astype(int)
        assert np.abs(inside - BLUE).max() <= 8
        shadow = raster.with_bits(8).pixels[74:78, 40:88].astype(int)
        assert shadow.max() <= 16


@pytest.mark.parametrize("background", [0, 1])
def test_what_is_seen_fits(background: float) -> None:
    given = button()
    back = D(on(enlarged(given).raster, background))
    off = np.abs(back - on(given, background)) * 255
    assert off[:, 7:15, 8:24].max() < 8  # inside the body
    assert off.mean() < 4
    plain = np.moveaxis(given.pixels, 2, 0) / 255
    alpha = share_of(given)
    bicubic, share = (np.clip(D.upsample(one), 0, 1) for one in (plain, alpha))
    off_plain = np.abs(D(share * bicubic + (1 - share) * background) - on(given, background)) * 255
    assert off.mean() < 0.8 * off_plain.mean()


def test_opaque_pictures_and_far_parts_stay() -> None:
    given = button()
    opaque = checked(given.pixels, "rgb", np.full((24, 32), 255, np.uint8))
    without = enlarged(checked(given.pixels, "rgb"))
    np.testing.assert_array_equal(enlarged(opaque).raster.pixels, without.raster.pixels)
    assert enlarged(opaque).consistency == without.consistency


def test_consistency_is_of_what_is_seen() -> None:
    given = button()
    result = enlarged(given)
    seen = seen_through(D, result.raster, slice(0, 96), given.shown)
    rest = (seen - given.shown) * share_of(given)
    assert result.consistency == pytest.approx(np.mean((rest / 2) ** 2) / 1e-5, rel=1e-4)
    np.testing.assert_array_equal(result.given_up, np.abs(rest).max(axis=0) > LEVEL)
    hidden = button(hidden=200)
    assert enlarged(hidden).consistency == pytest.approx(result.consistency)


@pytest.mark.parametrize("size", [None, (70, 95)])
def test_bands_make_what_the_whole_makes(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int] | None
) -> None:
    given = button()
    tall = checked(np.tile(given.pixels, (4, 1, 1)), "rgb", np.tile(given.alpha, (4, 1)))  # type: ignore[arg-type]
    degradation = D if size is None else SizedDegradation((4 * size[0], size[1]), (96, 32))
    whole = enlarged(tall, degradation)
    monkeypatch.setattr("sr4.upscaling.canvas._ALPHA_PIXELS", 1)
    cut = enlarged(tall, degradation)
    for one, other in (
        (whole.raster.alpha, cut.raster.alpha),
        (on(whole.raster, 0), on(cut.raster, 0)),
    ):
        assert one is not None
        assert other is not None
        scale = 1 if one.dtype == np.uint8 else 255
        assert np.abs(scale * one.astype(float) - scale * other.astype(float)).max() <= 3
    assert cut.consistency == pytest.approx(whole.consistency, rel=0.05)


def test_without_evidence_shadows_keep_their_colours() -> None:
    raster = enlarged(button(), evidence=nothing()).raster
    assert raster.pixels[74:78, 40:88].max() <= 40


def test_models_in_turn() -> None:
    chain = DegradationChain((Degradation(2), Degradation(2)))
    raster = enlarged(button(), chain).raster
    assert np.abs(raster.pixels[28:60, 32:96].astype(int) - BLUE).max() <= 8
    assert raster.pixels[74:78, 40:88].max() <= 16


def test_a_shipped_model_keeps_the_rim() -> None:
    image = Image.fromarray(button().array)
    result = sr4.load("photo-x4").upscale(image, seed=1).raster
    assert np.abs(result.pixels[26:60, 30:98].astype(int) - BLUE).max() <= 30
