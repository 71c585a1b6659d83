"""Results of any size, with a tiny model and with the shipped one for photographs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4.degradation import SizedDegradation, resize, resize_matrix
from sr4.errors import PictureError, UsageError
from sr4.evidence.constraint import Constraint
from sr4.evidence.sets import LEVEL, PixelBox
from sr4.model.folder import PHOTO_MODEL
from sr4.upscaling import drawing as drawing_module
from sr4.upscaling import sizing
from sr4.upscaling.cascade import CascadePipeline
from sr4.upscaling.draws import Draw
from sr4.upscaling.pipeline import Pipeline
from sr4.upscaling.result import Result
from sr4.upscaling.sizing import Resizing, Size, SizeWanted


@pytest.fixture(scope="module")
def model(tiny_exported: Path) -> Pipeline:
    found = sr4.load(tiny_exported, backend="onnx")
    assert isinstance(found, Pipeline)
    return found


def smooth(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A picture without hard edges, away from black and white."""
    levels = np.random.default_rng(seed).integers(60, 196, (4, 4, 4)).astype(np.uint8)
    coarse = Image.fromarray(levels, "RGBA").convert(mode)
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def misfit(result: Image.Image, given: Image.Image) -> float:
    """Consistency by its definition, with dense matrices."""
    high, low = (np.moveaxis(np.asarray(one) / 255, -1, 0) for one in (result, given))
    a, b = (resize_matrix(high.shape[n], low.shape[n]) for n in (1, 2))
    return float(np.mean((a @ high @ b.T - low) ** 2) * 1e5)


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ({}, None),
        ({"scale": 1.5}, (60, 47)),
        ({"scale": 1}, (40, 31)),
        ({"width": 100}, (100, 78)),  # 77.5: of two nearest the larger
        ({"height": 62}, (80, 62)),
        ({"width": 41, "height": 90}, (41, 90)),
    ],
)
def test_size_of_a_result(wanted: dict[str, float], size: tuple[int, int] | None) -> None:
    assert SizeWanted(**wanted).of(40, 31) == size  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "scales", "repeats", "taken", "drawn"),
    [
        ((40, 20), (4,), 0, (10, 5), (40, 20)),
        ((15, 6), (4,), 0, (10, 5), (40, 20)),
        ((44, 22), (4,), 0, (10, 5), (40, 20)),  # a tenth is interpolated
        ((45, 20), (4,), 1, (12, 5), (48, 20)),
        ((175, 88), (4,), 1, (40, 20), (160, 80)),  # a tenth again
        ((10, 89), (4,), 2, (40, 23), (160, 92)),  # the width asks for no repeat
        ((170, 89), (8, 2), 1, (85, 45), (170, 90)),
        ((30, 20), (4, 4), 0, (40, 20), (160, 80)),  # models that were named draw all they can
    ],
)
def test_how_often_a_model_draws(
    wanted: tuple[int, int],
    scales: tuple[int, ...],
    repeats: int,
    taken: tuple[int, int],
    drawn: tuple[int, int],
) -> None:
    found = Size.plan(SizeWanted(None, *wanted), (10, 5), scales)
    assert (found.repeats, found.taken, found.drawn) == (repeats, taken, drawn)
    assert found.wanted == (None if wanted == (40, 20) else wanted)


def test_a_little_more_than_a_model_makes_is_drawn_once(model: Pipeline) -> None:
    for scale, size, times in ((4.3, (86, 69), 1), (4.5, (90, 72), 2)):
        steps = list[object]()
        result = model.upscale(smooth(20, 16), scale=scale, steps=1, on_step=steps.append)
        assert (result.image.size, len(steps)) == (size, times)
        assert result.consistency < 0.3


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("scale", [1, 1.3, 2.5, 5, 16])
def test_sizes_of_all_that_comes_back(model: Pipeline, mode: str, scale: float) -> None:
    given = smooth(9, 7, mode)
    result = model.upscale(given, scale=scale, samples=2, steps=1)
    assert isinstance(result, Result)
    size = (int(9 * scale + 0.5), int(7 * scale + 0.5))
    assert {one.size for one in (result.image, *result.samples, result.mean)} == {size}
    assert result.image.mode == mode
    assert result.uncertainty.shape == size[::-1]
    assert result.given_up.shape == (7, 9)
    if mode == "RGB":
        assert result.consistency == pytest.approx(misfit(result.image, given), rel=1e-3, abs=1e-9)
    if mode == "RGBA":  # alpha fits as colour does, and is the bicubic one
        alphas = [one.getchannel("A").convert("RGB") for one in (result.image, given)]
        assert misfit(*alphas) < 0.3
        bicubic = np.asarray(given.getchannel("A").resize(size, Image.Resampling.BICUBIC))
        alpha = np.asarray(result.image.getchannel("A"))
        assert np.abs(alpha.astype(int) - bicubic).max() < 12


def test_without_change_at_the_own_factor(model: Pipeline) -> None:
    given = smooth(9, 7)
    plain = np.asarray(model.upscale(given).image)
    same: list[dict[str, Any]] = [{"scale": 4}, {"width": 36}, {"width": 36, "height": 28}]
    for options in same:
        np.testing.assert_array_equal(np.asarray(model.upscale(given, **options).image), plain)


def test_exact_pixels_come_back_at_factor_1(model: Pipeline) -> None:
    given = smooth(9, 7)
    np.testing.assert_array_equal(np.asarray(model.upscale(given, scale=1).image), given)


def test_without_evidence_nothing_is_fitted(model: Pipeline) -> None:
    given = smooth(9, 7)
    free = model.upscale(given, scale=2.5, evidence="none")
    assert free.consistency > 10 * model.upscale(given, scale=2.5).consistency


def test_above_the_own_factor_the_last_drawing_takes_what_the_result_needs(
    model: Pipeline,
) -> None:
    """As a cascade does with what its first model drew, scaled down to a quarter of the result."""
    given = smooth(9, 7)
    low_res = np.moveaxis(np.asarray(given) / 127.5 - 1, -1, 0).astype(np.float32)
    drawn = model.upscale(given, scale=6)
    once = model.model.sample(low_res[None], seeds=[0])
    shrunk = np.clip(resize(once, 11, 14), -1, 1)
    later = Draw(low_res, 0, taken=(11, 14)).at_stage(1, once[0], 0.0, True)
    np.testing.assert_array_equal(later.low_res, shrunk[0])
    twice = model.model.sample(shrunk, seeds=[later.seed])[0]
    constraint = Constraint(SizedDegradation((42, 54), (7, 9)), PixelBox(low_res, 0))
    fitted = constraint.fit(np.clip(resize(twice, 42, 54), -1, 1))
    off = np.asarray(drawn.image) - (np.moveaxis(fitted, 0, -1) + 1) * 127.5
    assert np.abs(off).max() < 2


def test_models_that_are_named_draw_all_they_can(model: Pipeline) -> None:
    given = smooth(9, 7)
    cascade = CascadePipeline([model, model])
    drawn = cascade.upscale(given, scale=6)
    large, low = (
        np.moveaxis(np.asarray(one) / 127.5 - 1, -1, 0)
        for one in (cascade.upscale(given).image, given)
    )
    d = SizedDegradation((42, 54), (7, 9))
    fitted = Constraint(d, PixelBox(low.astype(np.float32), 0)).fit(
        resize(large, 42, 54).clip(-1, 1)
    )
    off = np.asarray(drawn.image) - (np.moveaxis(fitted, 0, -1) + 1) * 127.5
    assert np.abs(off).max() < 2


def test_pictures_of_a_list_are_what_they_are_alone(model: Pipeline) -> None:
    given = [smooth(9, 7), smooth(20, 12), smooth(30, 8), smooth(9, 7, seed=1)]
    together = model.upscale(given, width=48)
    for one, result in zip(given, together, strict=True):
        alone = model.upscale(one, width=48)
        off = np.asarray(alone.image).astype(int) - np.asarray(result.image)
        assert np.abs(off).max() <= 1


@pytest.mark.parametrize("ratio", [1.02, 1.6, 3.3])
@pytest.mark.parametrize("mode", ["sparse", "black"])
def test_bands_are_the_whole(monkeypatch: pytest.MonkeyPatch, ratio: float, mode: str) -> None:
    low = np.asarray(smooth(40, 120)).astype(np.float32) / 127.5 - 1
    if mode == "black":
        low = np.clip(2 * low, -1, 1)
    low = np.ascontiguousarray(np.moveaxis(low, -1, 0))
    drawn = np.random.default_rng(0).uniform(-1, 1, (3, 480, 160)).astype(np.float32)
    d = SizedDegradation((round(120 * ratio), round(40 * ratio)), (120, 40))
    resizing = Resizing(d, Constraint(d, PixelBox(low, 0)))
    whole = resizing.whole(drawn)
    assert len(resizing.bands) == 1
    monkeypatch.setattr(sizing, "_BAND_PIXELS", 30 * 40 * ratio**2)
    strips = iter(np.split(drawn, [7, 200, 201, 333], axis=1))
    bands = list(resizing.of(strips, 480))
    assert [band.shape[1] for band in bands] == [stop - start for start, stop in resizing.bands]
    assert len(bands) in (4, 5)
    banded = np.concatenate(bands, axis=1)
    assert np.abs(banded - whole).max() < (0.004 if mode == "sparse" else 0.1)
    assert np.abs(d(banded) - low).max() < LEVEL


def test_results_in_tiles(model: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "_BAND_PIXELS", 2000)
    monkeypatch.setattr(drawing_module, "LARGE", 2000)
    given, bands = smooth(24, 40, "RGBA"), list[object]()
    result = model.upscale(given, scale=2.6, tile=32, on_step=bands.append)
    assert result.image.size == (62, 104)
    assert result.consistency < 0.3
    assert len(bands) > 2


def test_refusals(model: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    upscale = partial(model.upscale, smooth(20, 10))
    for bad in (0, 0.5, -2, float("nan"), float("inf"), 1e308, True, "2"):
        with pytest.raises(UsageError, match="expected a factor of at least 1"):
            upscale(scale=bad)
    for name in ("width", "height"):
        with pytest.raises(UsageError, match="got a scale beside a width or a height"):
            upscale(scale=2, **{name: 40})
        for bad in (0, -3, 40.5, "40", True):
            with pytest.raises(UsageError, match=f"got {name} {bad!r}; expected a whole number"):
                upscale(**{name: bad})
    with pytest.raises(PictureError, match="got a width of 19 for a picture of 20x10"):
        upscale(width=19)
    with pytest.raises(PictureError, match="got a height of 9 for a picture of 20x10"):
        upscale(width=40, height=9)
    with pytest.raises(PictureError, match="expected at most 20x10 of a model of scale 1"):
        Size.plan(SizeWanted(2), (20, 10), [1])
    monkeypatch.setattr(drawing_module, "available_memory", lambda: 10)
    large = smooth(200, 100)
    with pytest.raises(PictureError, match=r"whose result of 1400x700 .* GB of memory are needed"):
        model.upscale(large, scale=7)


def test_what_is_drawn_on_again_counts_in_its_own_size(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs: list[int] = []

    def refused(given: Any, size: Any, needed: int, available: int) -> PictureError:
        needs.append(needed)
        return PictureError("too large")

    monkeypatch.setattr(drawing_module, "available_memory", lambda: 10)
    monkeypatch.setattr(drawing_module, "too_large", refused)
    small, twice = smooth(50, 25), CascadePipeline([model, model])
    for upscale in (
        partial(model.upscale, smooth(200, 100)),
        partial(model.upscale, small, scale=16),
        partial(twice.upscale, small),
        partial(model.upscale, smooth(188, 94), width=750, height=375),
        partial(model.upscale, small, scale=15),
    ):
        with pytest.raises(PictureError, match="too large"):
            upscale()
    once, again, in_turn, once_smaller, smaller = needs
    assert again == in_turn == once + 3 * 4 * 200 * 100
    assert smaller == once_smaller + 3 * 4 * 200 * 100  # before that is scaled down


@pytest.fixture(scope="module")
def photo_model() -> Pipeline:
    found = sr4.load(PHOTO_MODEL, backend="onnx")
    assert isinstance(found, Pipeline)
    return found


@pytest.mark.parametrize("scale", [1.5, 2, 3, 3.7, 5, 7.3])
@pytest.mark.parametrize("name", ["chelsea", "astronaut"])
def test_photographs_are_met_at_any_factor(photo_model: Pipeline, name: str, scale: float) -> None:
    data = pytest.importorskip("skimage.data")
    truth = Image.fromarray(getattr(data, name)()).crop((100, 40, 292, 200))
    given = truth.resize((48, 40), Image.Resampling.BICUBIC)
    result = photo_model.upscale(given, scale=scale)
    assert result.image.size == (int(48 * scale + 0.5), int(40 * scale + 0.5))
    assert result.consistency < 0.05
    assert result.consistency == pytest.approx(misfit(result.image, given), rel=1e-3)
    assert not result.given_up.any()
