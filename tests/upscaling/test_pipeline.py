"""Pictures in, pictures out, with a tiny exported model on ONNX Runtime."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import sr4
from sr4.config import DegradationSettings, FastNetworkSettings, ModelConfig, SamplingSettings
from sr4.degradation import Degradation
from sr4.degradation.known import Known
from sr4.diffusion.samplers import Step
from sr4.errors import PictureError, UsageError
from sr4.model.diffusion_model import DiffusionModel
from sr4.model.folder import find_model, read_config
from sr4.pictures.pixels import quantise, to_array
from sr4.pictures.raster import checked, from_array
from sr4.upscaling import canvas as canvas_module
from sr4.upscaling import drawing as drawing_module
from sr4.upscaling.canvas import result_bytes
from sr4.upscaling.draws import Draw
from sr4.upscaling.pipeline import Pipeline
from sr4.upscaling.result import Result
from sr4.upscaling.tiling import Tiles


@pytest.fixture(scope="module")
def model(tiny_exported: Path) -> Pipeline:
    pipeline = sr4.load(tiny_exported, backend="onnx")
    assert isinstance(pipeline, Pipeline)
    return pipeline


def smooth(width: int = 6, height: int = 6, seed: int = 0, contrast: int = 127) -> Image.Image:
    """A picture as photographs are: neighbours resemble each other. Grey by less than contrast."""
    levels = np.random.default_rng(seed).integers(-contrast, contrast + 1, (3, 3, 3))
    coarse = (128 + levels).astype(np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def distance(a: Result, b: Result) -> int:
    """Largest difference in 8-bit levels."""
    return int(np.abs(pixels(a.image) - pixels(b.image)).max())


def misfit(image: Image.Image, given_picture: Image.Image) -> float:
    """Consistency from its definition."""
    degraded = Degradation(4)(np.moveaxis(np.asarray(image) / 255, -1, 0))
    return float(
        np.mean((degraded - np.moveaxis(np.asarray(given_picture) / 255, -1, 0)) ** 2) * 1e5
    )


# The result


def test_a_single_sample(model: Pipeline) -> None:
    picture = smooth(7, 5)
    result = model.upscale(picture)
    assert isinstance(result, Result)
    assert (result.image.size, result.image.mode) == ((28, 20), "RGB")
    assert len(result.samples) == 1
    for same in (result.samples[0], result.mean):
        np.testing.assert_array_equal(pixels(same), pixels(result.image))
    np.testing.assert_array_equal(result.uncertainty, np.zeros((20, 28), np.float32))
    assert result.consistency == pytest.approx(misfit(result.image, picture), rel=1e-4)


def test_samples_their_mean_and_their_deviation(model: Pipeline) -> None:
    picture = smooth()
    result = model.upscale(picture, samples=3, seed=10, steps=1)
    low_res = np.stack([to_array(picture)] * 3)
    drawn = model.model.sample(low_res, seeds=[10, 11, 12], steps=1)
    assert [np.asarray(sample).tolist() for sample in result.samples] == quantise(drawn).tolist()
    np.testing.assert_array_equal(pixels(result.image), pixels(result.samples[0]))

    unit = (drawn.astype(np.float64) + 1) / 2
    centred = unit - unit.mean(axis=0)
    deviation = np.sqrt((centred**2).sum(axis=0) / 2).mean(axis=0)
    assert (result.uncertainty.shape, result.uncertainty.dtype) == ((24, 24), np.float32)
    np.testing.assert_allclose(result.uncertainty, deviation, atol=1e-6)
    assert result.uncertainty.max() > 0.02

    rough_mean = np.moveaxis(unit.mean(axis=0), 0, -1) * 255
    assert np.abs(pixels(result.mean) - rough_mean).mean() < 2
    assert misfit(result.mean, picture) < 0.1


def test_the_mean_as_the_image(model: Pipeline) -> None:
    picture = smooth()
    result = model.upscale(picture, samples=2, use_mean=True)
    np.testing.assert_array_equal(pixels(result.image), pixels(result.mean))
    assert (pixels(result.image) != pixels(result.samples[0])).any()
    assert result.consistency == pytest.approx(misfit(result.mean, picture), rel=1e-4)
    each = [misfit(sample, picture) for sample in result.samples]
    assert result.consistencies == pytest.approx(each, rel=1e-4)


def test_seeds(model: Pipeline) -> None:
    picture = smooth()
    first = model.upscale(picture, seed=3, samples=2)
    again = model.upscale(picture, seed=3, samples=2)
    np.testing.assert_array_equal(pixels(first.image), pixels(again.image))
    np.testing.assert_array_equal(first.uncertainty, again.uncertainty)
    second = model.upscale(picture, seed=4)
    assert np.abs(pixels(second.image) - pixels(first.samples[1])).max() <= 1
    assert distance(first, second) > 10


def test_a_list_gives_what_its_pictures_give_alone(model: Pipeline) -> None:
    pictures = [smooth(6, 6, 0), smooth(9, 4, 1), smooth(6, 6, 2), smooth(1, 1, 3)]
    results = model.upscale(pictures, samples=2)
    assert isinstance(results, list)
    for picture, result in zip(pictures, results, strict=True):
        assert result.image.size == (picture.width * 4, picture.height * 4)
        assert len(result.samples) == 2
        assert distance(result, model.upscale(picture, samples=2)) <= 1
    assert distance(results[0], results[2]) > 10
    assert [r.image.size for r in model.upscale(tuple(pictures[1:2]))] == [(36, 16)]
    assert model.upscale([]) == []


@settings(max_examples=8, deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40))
def test_every_size_becomes_exactly_scale_times_as_large(
    model: Pipeline, width: int, height: int
) -> None:
    result = model.upscale(smooth(width, height, contrast=60), steps=1)
    assert result.image.size == (width * 4, height * 4)
    assert result.consistency < 0.1


# Consistency: measured with this untrained network, whose guesses are as bad as they get

_FLAT = {
    "black": np.zeros((12, 12, 3), np.uint8),
    "white": np.full((12, 12, 3), 255, np.uint8),
    "grey": np.full((12, 12, 3), 128, np.uint8),
    "ramp": np.broadcast_to(np.linspace(0, 255, 12).astype(np.uint8)[:, None], (12, 12, 3)),
}


@pytest.mark.parametrize("name", [*_FLAT, "smooth 1", "smooth 2", "smooth 3"])
@pytest.mark.parametrize("steps", [1, 4])
def test_the_result_gives_its_input_back(model: Pipeline, name: str, steps: int) -> None:
    """Measured: at most 0.02; rounding to 8 bits alone leaves about 0.005."""
    picture = _FLAT.get(name)
    given_picture = smooth(12, 12, int(name[-1])) if picture is None else Image.fromarray(picture)
    assert model.upscale(given_picture, steps=steps).consistency < 0.1


def test_what_no_picture_can_match_is_still_upscaled(model: Pipeline) -> None:
    """No 8-bit picture shrinks to a chequerboard of black and white pixels."""
    checkers = np.indices((12, 12)).sum(0) % 2 * np.uint8(255)
    picture = Image.fromarray(checkers.astype(np.uint8))
    assert 5000 < model.upscale(picture).consistency < 20_000  # plain grey has 25,000


def test_consistency_can_be_left_out(model: Pipeline) -> None:
    picture = smooth()
    free = model.upscale(picture, consistency=False)
    assert free.consistency > 10 * model.upscale(picture).consistency
    assert free.consistency == pytest.approx(misfit(free.image, picture), rel=1e-4)


# What is accepted


MODES = {  # Pillow's: what the result has
    **dict.fromkeys(("L", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F")),
    "P": "RGB",
    "PA": "RGBA",
    "1": "L",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "RGBa": "RGBA",
}


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    if mode in ("PA", "RGBa"):
        picture = picture.convert("L" if mode == "PA" else "RGBA")
    return picture.convert("L").convert(mode) if mode in ("I", "F") else picture.convert(mode)


SIDE = st.integers(1, 300)  # three tiles of a result
SIZES = st.tuples(SIDE, SIDE).filter(lambda size: math.prod(size) <= 20_000)  # quickly done


@settings(max_examples=60, deadline=None, derandomize=True)
@given(size=SIZES, mode=st.sampled_from(list(MODES)))
def test_any_size_and_mode(model: Pipeline, size: tuple[int, int], mode: str) -> None:
    width, height = size
    picture = in_mode(smooth(width, height, contrast=60), mode)
    result = model.upscale(picture, steps=1)
    assert result.image.mode == (MODES[mode] or mode)
    assert result.image.size == (width * 4, height * 4)
    assert result.uncertainty.shape == (height * 4, width * 4)
    if mode not in ("1", "P"):  # dithered: no picture shrinks to black beside white
        assert result.consistency < 0.1


def test_colours_of_every_mode_are_those_of_rgb(model: Pipeline) -> None:
    picture = smooth(9, 7)
    expected = pixels(model.upscale(picture, steps=1).image)
    for mode in ("RGBA", "RGBX"):
        image = model.upscale(in_mode(picture, mode), steps=1).image
        np.testing.assert_array_equal(pixels(image)[:, :, :3], expected)
    grey = model.upscale(picture.convert("L").convert("RGB"), steps=1)
    for mode in ("L", "LA"):
        image = model.upscale(in_mode(picture, mode), steps=1).image
        found = pixels(image) if mode == "L" else pixels(image)[:, :, 0]
        assert np.abs(found - pixels(grey.image).mean(axis=2)).max() <= 1
    inks = model.upscale(picture.convert("CMYK"), steps=1)  # without black: RGB, inverted
    np.testing.assert_array_equal(255 - pixels(inks.image)[:, :, :3], expected)


def test_what_is_opaque_or_transparent_stays_so(model: Pipeline) -> None:
    picture = smooth(8, 8)
    for level in (0, 255):
        picture.putalpha(level)
        assert set(np.asarray(model.upscale(picture, steps=1).image)[:, :, 3].ravel()) == {level}


def test_transparency_is_enlarged_and_fits(model: Pipeline) -> None:
    picture = smooth(16, 12)
    alpha = smooth(16, 12, seed=1).convert("L")
    picture.putalpha(alpha)
    results = [model.upscale(picture, steps=1, seed=seed).array[:, :, 3] for seed in (0, 1)]
    np.testing.assert_array_equal(results[0], results[1])  # nothing of it is drawn
    back = Degradation(4)(results[0] / 255.0)
    assert np.abs(back - np.asarray(alpha) / 255).max() < 2 / 255


def test_hidden_colours_do_not_bleed(model: Pipeline) -> None:
    """A red disc on what nobody sees, be that black or white."""
    disc = np.hypot(*(np.indices((16, 16)) - 7.5)) < 5
    results = []
    for hidden in (0, 255):
        array = np.full((16, 16, 4), hidden, np.uint8)
        array[:, :, 3] = 0
        array[disc] = (200, 30, 30, 255)
        results.append(pixels(model.upscale(Image.fromarray(array), steps=1).image))
    np.testing.assert_array_equal(results[0], results[1])


def test_16_bits_are_kept(model: Pipeline) -> None:
    """Levels between those of 8 bits come back: the result fits them, as 8 bits could not."""
    ramp = np.linspace(20_000, 20_600, 16).astype(np.uint16)[None, :, None]
    array = np.broadcast_to(ramp, (16, 16, 3))
    result = model.upscale(array, steps=1)
    assert result.array.dtype == np.uint16
    assert result.array.shape == (64, 64, 3)
    back = Degradation(4)(np.moveaxis(result.array.astype(np.float64), 2, 0))
    assert np.abs(back - np.moveaxis(array, 2, 0)).max() < 3  # of 65,535
    assert (result.image.mode, result.image.size) == ("RGB", (64, 64))
    assert result.consistency < 1e-3


def test_numbers_of_any_range_come_back_in_it(model: Pipeline) -> None:
    heights = np.asarray(smooth(12, 9).convert("F"), np.float64) * 20 - 1500
    result = model.upscale(raster := checked(heights, "grey"), steps=1)
    assert result.array.dtype == np.float64
    assert result.array.shape == (36, 48)
    assert (raster.span.low, raster.span.high) == (heights.min(), heights.max())
    assert result.array.min() >= heights.min() - 1e-6
    back = Degradation(4)(result.array)
    assert np.abs(back - heights).max() < 1e-3 * np.ptp(heights)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (-3e38, 3e38, np.float32), (-6e4, 6.5e4, np.float16), (1e300, 1e300, np.float64),
        (-(2**31), 2**31 - 1, np.int32), (0, 2**32 - 1, np.uint32), (5, 5, np.int16),
        (-(2**63), 2**63 - 1, np.int64), (0, 2**64 - 1, np.uint64),
    ],
)  # fmt: skip
def test_extreme_ranges_stay_in_their_type(
    model: Pipeline, low: float, high: float, dtype: Any
) -> None:
    steps = list(np.linspace(low, high, 12))
    if np.dtype(dtype).kind != "f":  # floats do not reach the ends of 64 bits
        steps = [int(low) + int(high - low) * part // 11 for part in range(12)]
    ramp = np.array(steps, dtype)[None].repeat(9, 0)
    result = model.upscale(checked(ramp, "grey"), steps=1)
    assert result.array.dtype == dtype
    assert np.isfinite(result.array).all()
    assert result.array.min() >= ramp.min()
    assert result.array.max() <= result.raster.span.high
    assert result.consistency < 5


def test_ranges_that_floats_do_not_scale_are_refused() -> None:
    for values in ([-1e308, 1.5e308], [0.0, -5e-324]):
        with pytest.raises(PictureError, match="expected a range"):
            checked(np.array([values]), "grey")


def test_floats_give_floats(model: Pipeline) -> None:
    array = np.asarray(smooth(6, 5)).astype(np.float32) / 255
    result = model.upscale(array, steps=1)
    assert result.array.dtype == np.float32
    assert 0 <= result.array.min() <= result.array.max() <= 1
    assert np.unique(result.array * 255 % 1).size > 100  # no longer multiples of 1 / 255


def test_large_pictures_of_every_mode_are_those_drawn_whole(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pointwise = Stand(model.model.network, lambda x_t, log_snr, low: 0.6 * x_t - 0.3 * low)
    monkeypatch.setattr(model.model, "network", pointwise)
    for mode in ("LA", "CMYK", "I;16"):
        picture = in_mode(smooth(41, 30, contrast=60), mode)
        whole, tiled = (model.upscale(picture, steps=1, samples=2, tile=n) for n in (0, 64))
        most = 65_535 if mode == "I;16" else 255
        for one, other in ((whole, tiled), (tiled, whole)):
            # A level of a dark colour is several of its inks.
            assert np.abs(one.array - other.array.astype(float)).max() <= 0.012 * most
        assert tiled.image.mode == mode


# Arrays


def test_arrays(model: Pipeline) -> None:
    picture = smooth(5, 7)
    array = np.asarray(picture)
    expected = model.upscale(picture, steps=1)
    assert expected.image.size == (20, 28)
    for same in (array, array[::-1][::-1], array / 255, (array / 255).astype(np.float32)):
        assert distance(model.upscale(same, steps=1), expected) == 0
    deep = model.upscale(array.astype(np.uint16) * 257, steps=1)
    assert np.abs(deep.array / 257 - pixels(expected.image)).max() <= 0.51
    grey = model.upscale(array[:, :, 0], steps=1)
    assert grey.array.shape == (28, 20)
    np.testing.assert_array_equal(model.upscale(array[:, :, :1], steps=1).array, grey.array)
    with_alpha = np.concatenate([array, array[:, :, :1]], axis=2)
    assert model.upscale(with_alpha, steps=1).image.mode == "RGBA"
    assert model.upscale(with_alpha[:, :, 2:], steps=1).image.mode == "LA"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (np.zeros((4, 4, 5), np.uint8), "shape (4, 4, 5); expected (height, width)"),
        (np.zeros((3, 4, 7), np.uint8), "shape (3, 4, 7)"),
        (np.zeros((0, 4, 3), np.uint8), "not empty"),
        (np.zeros((4, 4, 3), np.int64), "got an array of int64"),
        (np.zeros((4, 4, 3), bool), "got an array of bool"),
        (np.full((4, 4, 3), 1.01), "outside [0, 1]"),
        (np.full((4, 4, 3), -0.01), "outside [0, 1]"),
        (np.full((4, 4, 3), np.nan), "not finite"),
        ("none.png", "does not exist"),
        (Path("none.png"), "does not exist"),
        (None, "got NoneType for a picture"),
        (3, "got an array of shape ()"),
        (Image.new("RGB", (0, 4)), "not empty"),
        (Image.fromarray(np.full((4, 4), np.nan, np.float32)), "not finite"),
        (checked(np.zeros((4, 4, 5), np.uint8), "bands"), "5 bands for a model of 3 channels"),
    ],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_what_is_no_picture_is_refused(model: Pipeline, bad: Any, said: str) -> None:
    for given_pictures in (bad, [smooth(), bad]):
        with pytest.raises(PictureError) as caught:
            model.upscale(given_pictures)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(model: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with Image.open(path) as picture, pytest.raises(PictureError, match="cannot be decoded"):
        model.upscale(picture)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 0}, "got 0 samples"),
        ({"seed": -1}, "got seed -1"),
        ({"steps": 0}, "'steps'"),
        ({"sampler": "dim"}, "did you mean 'ddim'?"),
    ],
)
def test_impossible_options_are_refused(
    model: Pipeline, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        model.upscale(smooth(), **options)
    assert said in str(caught.value)


def test_the_size_is_limited_by_the_memory_there_is(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the results of all pictures together, before anything is drawn."""
    monkeypatch.setattr(model.model, "network", Stand(model.model.network, print))
    monkeypatch.setattr(drawing_module, "available_memory", lambda: 1_000_000_000)
    said = (
        r"^got a 6000x4000 picture, for whose result of 24000x16000 1\.4 GB of memory are needed; "
        r"expected at most the 1\.0 GB that there are"
    )
    large = np.zeros((4000, 6000, 3), np.uint8)
    with pytest.raises(PictureError, match=said):
        model.upscale(large, tile=16)
    with pytest.raises(PictureError, match=r"1\.4 GB of memory are needed"):
        model.upscale([large[:2000], large[:2000]], tile=16)


@pytest.mark.parametrize("tile", [0, 8192])
def test_a_large_picture_is_drawn_whole_where_that_was_asked(
    model: Pipeline, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what the network takes for all of its pixels counted, and for no more."""
    seen: list[tuple[int, ...]] = []
    network: Callable[..., Any] = model.model.network

    def call(x_t: Any, log_snr: float, upsampled: Any) -> Any:
        seen.append(x_t.shape)
        return network(x_t, log_snr, upsampled)

    monkeypatch.setattr(model.model, "network", Stand(network, call))
    monkeypatch.setattr(drawing_module, "LARGE", 50 * 50)
    monkeypatch.setattr(drawing_module, "available_memory", lambda: 10**9)
    model.upscale(smooth(60, 20), steps=1, tile=tile)
    assert seen == [(1, 3, 80, 240)]
    monkeypatch.setattr(drawing_module, "available_memory", lambda: 3_000_000)
    with pytest.raises(PictureError, match="of memory are needed"):
        model.upscale(smooth(60, 20), steps=1, tile=tile)


@pytest.mark.parametrize(
    ("pixels", "samples", "expected"),
    [
        (np.zeros((2, 5, 3), np.uint8), 1, 160 * 3),
        (np.zeros((2, 5, 4), np.uint16), 1, 160 * 8),  # alpha too
        (np.zeros((2, 5), np.uint8), 3, 160 * (3 + 1 + 4)),  # the mean, and float32 deviations
    ],
)
def test_what_a_result_takes_in_memory(
    model: Pipeline, pixels: np.ndarray, samples: int, expected: int
) -> None:
    size = (pixels.shape[0] * 4, pixels.shape[1] * 4)
    assert result_bytes(from_array(pixels), size, samples) == expected
    result = model.upscale(pixels, samples=samples, steps=1)
    arrays = {id(one): one.pixels for one in (*result.rasters, result.mean_raster)}
    held = sum(one.nbytes for one in arrays.values())
    held += 0 if result.raster.alpha is None else result.raster.alpha.nbytes
    held += result.uncertainty.nbytes if samples > 1 else 0
    assert held == expected


def test_consistency_is_that_of_the_whole_picture_however_it_is_cut(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.effect_noise((20, 70), 60)
    whole = model.upscale(picture, steps=1)
    monkeypatch.setattr(canvas_module, "_BAND_PIXELS", 1)
    cut = model.upscale(picture, steps=1)
    assert whole.consistency > 0
    assert cut.consistency == pytest.approx(whole.consistency, rel=1e-5)
    np.testing.assert_array_equal(cut.given_up, whole.given_up)


def test_consistency_after_a_blur_is_that_of_the_whole_picture(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its rows sees what a blur of three pixels brings there from far."""
    picture = smooth(12, 200)
    whole = model.upscale(picture, steps=1, blur=3.0)
    monkeypatch.setattr(canvas_module, "_BAND_PIXELS", 1)
    cut = model.upscale(picture, steps=1, blur=3.0)
    assert cut.consistency == pytest.approx(whole.consistency, rel=1e-3)
    np.testing.assert_array_equal(cut.given_up, whole.given_up)


# Tiles


class Stand:
    """In the place of a network: what it does not do itself, that one does."""

    name = "stand"
    told = "made up, float32"
    is_for_one = False

    def __init__(self, network: Any, call: Callable[..., Any]) -> None:
        self._network, self._call = network, call

    def __call__(self, x_t: Any, log_snr: float, upsampled: Any, known: Any = None) -> Any:
        assert known is None
        return self._call(x_t, log_snr, upsampled)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


@pytest.mark.parametrize("samples", [1, 3])
def test_tiles_change_nothing_to_speak_of(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    pointwise = Stand(model.model.network, lambda x_t, log_snr, low: 0.6 * x_t - 0.3 * low)
    monkeypatch.setattr(model.model, "network", pointwise)
    picture = smooth(41, 30)
    whole = model.upscale(picture, samples=samples, steps=2, tile=0)
    tiled = model.upscale(picture, samples=samples, steps=2, tile=64)
    assert tiled.image.size == whole.image.size == (164, 120)
    for one, other in zip((tiled.mean, *tiled.samples), (whole.mean, *whole.samples), strict=True):
        assert np.square(pixels(one) - pixels(other)).mean() < 0.5
    assert np.abs(tiled.uncertainty - whole.uncertainty).max() < 0.01
    assert tiled.consistency == pytest.approx(misfit(tiled.image, picture), abs=1e-6)
    assert tiled.consistency < 0.02
    assert (tiled.image is tiled.mean) == (samples == 1)


def test_smaller_tiles_are_taken_where_memory_is_short(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    network: Callable[..., Any] = model.model.network
    seen: list[int] = []

    def call(x_t: Any, log_snr: float, upsampled: Any) -> Any:
        seen.append(x_t.shape[-1])
        if seen[-1] > 32:
            raise MemoryError
        return network(x_t, log_snr, upsampled)

    monkeypatch.setattr(model.model, "network", Stand(network, call))
    monkeypatch.setattr(drawing_module, "LARGE", 50 * 50)
    assert model.upscale(smooth(30, 20), steps=1).image.size == (120, 80)
    assert seen[0] == 64
    assert seen[-1] == 32
    with pytest.raises(MemoryError):
        model.upscale(smooth(30, 20), steps=1, tile=64)


def test_tiles_fit_the_memory_there_is(model: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it is enough for the tiles; a model of 16 channels on 4x4 pixels takes little."""
    network: Callable[..., Any] = model.model.network
    seen: list[tuple[int, ...]] = []

    def call(x_t: Any, log_snr: float, upsampled: Any) -> Any:
        seen.append(x_t.shape)
        return network(x_t, log_snr, upsampled)

    monkeypatch.setattr(model.model, "network", Stand(network, call))
    monkeypatch.setattr(drawing_module, "LARGE", 50 * 50)
    for available, edge in ((None, 64), (10**9, 64), (8_000_000, 32), (3_000_000, 16)):
        monkeypatch.setattr(drawing_module, "available_memory", lambda given=available: given)
        seen.clear()
        model.upscale(smooth(60, 20), steps=1)
        assert {shape[2:] for shape in seen} == {(edge, edge)}


def test_tiles_leave_the_network_little_to_do_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without attention, whose cost goes by the square; and wide pictures keep flat bands."""
    config = read_config(find_model("photo-x4"))
    model = DiffusionModel(config, Stand(None, print), "photo-x4")
    monkeypatch.setattr(drawing_module, "available_memory", lambda: None)

    def edge(model: DiffusionModel, height: int, width: int) -> int:
        drawing = drawing_module.Drawing(model, model.sampling())
        return drawing._affordable_tile([Draw(np.zeros((3, height, width), np.float32), 0)])

    chosen = edge(model, 512, 512)
    tiles = Tiles(2048, chosen, 32)
    assert tiles.drawn < 1.06 * 2048
    assert 256 <= chosen <= 640
    assert edge(model, 2000, 2500) == 256
    assert edge(model, 4000, 6000) == 128  # as its bands are six megabytes for each row of a tile
    with_attention = config.network.model_copy(update={"attention": True})
    other = config.model_copy(update={"network": with_attention})
    assert edge(DiffusionModel(other, Stand(None, print), "other"), 512, 512) == 256


# Batches and progress


@pytest.fixture
def batches(model: Pipeline, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that the network will see."""
    shapes: list[tuple[int, ...]] = []
    network: Callable[..., Any] = model.model.network

    class Spy:
        name = "spy"
        told = "made up, float32"
        is_for_one = False

        def __call__(self, x_t: np.ndarray, log_snr: float, upsampled: np.ndarray) -> Any:
            shapes.append(x_t.shape)
            return network(x_t, log_snr, upsampled)

        def native(self, array: np.ndarray) -> np.ndarray:
            return array

        numpy = native

    monkeypatch.setattr(model.model, "network", Spy())
    return shapes


def test_draws_of_one_size_go_together_within_bounds(
    model: Pipeline, batches: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [smooth(8, 8), smooth(4, 4), smooth(8, 8)]
    model.upscale(pictures, samples=3, steps=1)
    assert batches == [(6, 3, 32, 32), (3, 3, 16, 16)]
    batches.clear()
    monkeypatch.setattr(drawing_module, "_BATCH_PIXELS", 4 * 32 * 32)
    model.upscale(pictures, samples=3, steps=1)
    assert batches == [(4, 3, 32, 32), (2, 3, 32, 32), (3, 3, 16, 16)]
    batches.clear()
    monkeypatch.setattr(drawing_module, "_BATCH_PIXELS", 1)
    model.upscale(pictures[0], samples=2, steps=1)
    assert batches == [(1, 3, 32, 32)] * 2


def test_settings_are_made_once_in_a_call(model: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    made, sampling = list[Any](), model.model.sampling

    def counted(*options: Any) -> SamplingSettings:
        made.append(sampling(*options))
        return made[-1]

    monkeypatch.setattr(model.model, "sampling", counted)
    model.upscale([smooth(8, 8), smooth(4, 4)], samples=2, steps=2)
    assert [one.steps for one in made] == [2]


def test_progress_and_cancelling(model: Pipeline, batches: list[tuple[int, ...]]) -> None:
    seen: list[tuple[int, int]] = []
    model.upscale(smooth(), steps=3, on_step=lambda step: seen.append((step.number, step.total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]

    class Cancelled(Exception):
        pass

    def cancel(step: Step) -> None:
        raise Cancelled

    batches.clear()
    with pytest.raises(Cancelled):
        model.upscale([smooth(8, 8), smooth(4, 4)], steps=3, on_step=cancel)
    assert len(batches) == 1


def test_models_of_bands(make_model: Callable[..., Path], tmp_path: Path) -> None:
    """A model of five channels takes five bands, and nothing else."""
    model = sr4.load(make_model(tmp_path, channels=5), backend="torch")
    bands = np.random.default_rng(0).integers(100, 150, (6, 7, 5), dtype=np.uint8)
    result = model.upscale(bands, steps=1)
    assert result.array.shape == (24, 28, 5)
    assert result.consistency < 0.1
    with pytest.raises(PictureError, match="5 bands; expected grey, RGB or CMYK"):
        _ = result.image
    with pytest.raises(PictureError, match="3 RGB channels for a model of 5"):
        model.upscale(smooth())


def test_a_model_of_grey_takes_every_channel_alone(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = sr4.load(make_model(tmp_path, channels=1), backend="torch")
    picture = smooth(7, 6)
    colours = pixels(model.upscale(picture, steps=1).image)
    for number, channel in enumerate(picture.split()):
        alone = pixels(model.upscale(channel, steps=1).image)
        assert np.abs(colours[:, :, number] - alone).max() <= 1


def test_a_model_of_grey_takes_a_jpeg_file_in_colour(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    model = sr4.load(make_model(tmp_path, channels=1), backend="torch")
    smooth(24, 20).save(tmp_path / "a.jpg", quality=70)
    picture = Image.open(tmp_path / "a.jpg")
    result, loose = (model.upscale(picture, steps=1, evidence=kind) for kind in ("auto", "none"))
    assert result.evidence.kind == "jpeg"
    # Each colour is held to what quantising can have taken from it.
    assert result.consistency < 0.3 * loose.consistency


# The package


def test_the_public_names() -> None:
    assert sr4.__all__ == [
        "AutoPipeline",
        "CascadePipeline",
        "Degradation",
        "Pipeline",
        "Result",
        "SR4Error",
        "__version__",
        "load",
        "upscale",
    ]
    assert dir(sr4) == sr4.__all__
    assert all(hasattr(sr4, name) for name in sr4.__all__)
    assert sr4.Pipeline is Pipeline
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        sr4.laod  # noqa: B018


def test_an_exported_model_needs_no_torch(tiny_exported: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['safetensors'] = None\n"
        "import numpy as np, sr4\n"
        f"model = sr4.load({str(tiny_exported)!r}, backend='onnx')\n"
        "result = model.upscale(np.zeros((5, 4, 3), np.uint8))\n"
        "assert result.image.size == (16, 20)\n"
        "heavy = {'torch', 'onnx', 'openvino', 'safetensors', 'accelerate', 'skimage'}\n"
        "loaded = {name for name in heavy if sys.modules.get(name) is not None}\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_network_is_told_what_the_evidence_knows_whole_and_in_tiles() -> None:
    told: list[np.ndarray] = []

    class Told:
        name = "told"
        told = "made up, float32"
        is_for_one = False

        def __call__(self, x_t: Any, log_snr: float, upsampled: Any, known: Any = None) -> Any:
            told.extend(known)
            return np.zeros((len(x_t), 6, *x_t.shape[2:]), np.float32)

        def native(self, array: Any) -> Any:
            return array

        numpy = native

    config = ModelConfig(
        recipe="test",
        network=FastNetworkSettings(
            patch=4, widths=(8, 16), blocks=(1, 1), degradation_aware=True, mean_output=True
        ),
        degradation=DegradationSettings(scale=4),
        sampling=SamplingSettings(steps=1, sampler="ddim"),
        scale=4,
        size_multiple=8,
    )
    pipeline = Pipeline(DiffusionModel(config, Told(), "told"))
    picture = np.full((16, 40, 3), 99, np.uint8)
    expected = Known(noise=6.0, quality=100.0).vector()
    for tile in (0, 64):
        pipeline.upscale(picture, evidence="noise", noise=6.0, tile=tile, detail=0.5)
        assert told
        np.testing.assert_array_equal(told, [expected] * len(told))
        told.clear()
    pipeline.upscale(picture)
    np.testing.assert_array_equal(told[0], Known(noise=0.0, quality=100.0).vector())
    wrong: tuple[Any, ...] = (2.0, -0.1, np.nan, "x", True)
    for detail in wrong:
        with pytest.raises(UsageError, match=r"got detail .*; expected a number from 0"):
            pipeline.upscale(picture, detail=detail)


def test_numbers_of_numpy_are_numbers(model: Pipeline, tmp_path: Path) -> None:
    options: Any = {"width": 17, "noise": 2.0, "seed": 3, "steps": 2, "tile": 0}
    kinds = {int: np.int64, float: np.float32}
    plain = model.upscale(smooth(), **options)
    given = {name: kinds[type(value)](value) for name, value in options.items()}
    result = model.upscale(smooth(), **given)
    assert result.provenance == plain.provenance
    result.save(tmp_path / "a.png")  # which says so in JSON
    np.testing.assert_array_equal(pixels(result.image), pixels(plain.image))
    assert model.upscale(smooth(), scale=np.float32(2.5), steps=1).image.size == (15, 15)


def test_results_say_what_was_done_not_what_was_asked() -> None:
    model = sr4.load("photo-x4", backend="onnx")
    assert (model.upscale(smooth(), evidence="none").provenance or {})["consistency"] is False
    with pytest.warns(UserWarning, match="got 8 steps for photo-x4, which was distilled to 1"):
        result = model.upscale(smooth(), steps=8)
    said = result.provenance or {}
    assert (said["steps"], said["consistency"]) == (1, True)


def test_what_is_no_picture_is_named_with_what_is_one(model: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        model.upscale({"a": 1})  # type: ignore[call-overload]
    assert str(caught.value).startswith("got dict for a picture; expected a path, the bytes of a")
    (tmp_path / "a").write_bytes(b"x")
    with (tmp_path / "a").open("rb") as file, pytest.raises(PictureError, match="not a picture"):
        model.upscale(file)
    torch = pytest.importorskip("torch")
    with pytest.raises(PictureError, match=r"^got Tensor for a picture, .*requires grad"):
        model.upscale(torch.zeros(8, 8, 3, requires_grad=True))


def test_an_animation_is_told_of_once(model: Pipeline) -> None:
    moves = io.BytesIO()
    smooth().save(moves, "GIF", save_all=True, append_images=[smooth(seed=1)])
    with pytest.warns(UserWarning, match="an animation of 2 frames") as told:
        model.upscale(Image.open(moves), steps=1)
    assert len(told) == 1
