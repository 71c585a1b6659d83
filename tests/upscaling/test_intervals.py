"""Intervals of pixels of results."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sr4
from sr4.config import SamplingSettings
from sr4.errors import UsageError
from sr4.evidence.kinds import exact, noisy
from sr4.model.folder import add_calibration
from sr4.upscaling.cascade import CascadePipeline
from sr4.upscaling.intervals import calibration_of, corruption_of, deviation, factor
from sr4.upscaling.pipeline import Pipeline
from tests.config.test_calibration import calibration

SAMPLING = SamplingSettings(steps=2, sampler="ddim")


@pytest.fixture(scope="module")
def model(tiny_exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Calibrated for clean pictures, with 3 levels of 255 as the floor."""
    folder = tmp_path_factory.mktemp("calibrated") / "tiny"
    shutil.copytree(tiny_exported, folder)
    add_calibration(folder, calibration(sampling=SAMPLING, smoothing=1.0, floor=3.0))
    return sr4.load(folder, backend="onnx")  # type: ignore[return-value]


def picture(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    numbers = np.random.default_rng(0).random(shape)
    return (numbers * np.iinfo(dtype).max).astype(dtype)


def test_a_deviation_that_is_the_same_everywhere_stays() -> None:
    found = deviation(np.full((2, 9, 7), 0.25), smoothing=2.0, floor=51.0)
    assert (found.shape, found.dtype) == ((2, 9, 7), np.float32)
    np.testing.assert_allclose(found, 0.25 + 0.2, rtol=1e-6)


def test_it_is_smoothed_by_a_gaussian() -> None:
    """Of one pixel, the separable Gaussian itself, whose sum stays."""
    spread = np.zeros((31, 31), np.float32)
    spread[15, 15] = 1.0
    found = deviation(spread, smoothing=1.5, floor=1e-9)
    places = np.arange(-6, 7)
    weights = np.exp(-0.5 * (places / 1.5) ** 2)
    weights /= weights.sum()
    np.testing.assert_allclose(found[9:22, 9:22], np.outer(weights, weights), atol=1e-7)
    assert found.sum() == pytest.approx(1, abs=1e-4)
    corner = np.zeros((3, 3), np.float32)  # smaller than what is looked at around a pixel
    corner[0, 0] = 1.0
    assert deviation(corner, smoothing=1.5, floor=1e-9).sum() == pytest.approx(1, abs=1e-4)


def test_the_factor_is_that_of_no_more_samples() -> None:
    made_by = calibration()
    assert [factor(made_by, 0.9, count) for count in (2, 3, 4, 100)] == [3.0, 3.0, 2.0, 2.0]
    assert factor(made_by, 0.45 + 0.45, 4) == 2.0
    with pytest.raises(UsageError, match=r"got 1 sample for an interval; expected at least 2"):
        factor(made_by, 0.9, 1)
    with pytest.raises(UsageError, match=r"got the level 0\.95 .* calibrated: 0\.5, 0\.9"):
        factor(made_by, 0.95, 4)


def test_a_calibration_holds_for_what_it_was_fitted_on() -> None:
    clean, photo = calibration(), calibration(corruption="photo")
    sampling = clean.sampling
    assert calibration_of([photo, clean], sampling, "none") is clean
    assert calibration_of([photo, clean], sampling, "photo") is photo
    other = sampling.model_copy(update={"consistency": False})
    assert calibration_of([photo, clean], other, "none") is None
    assert calibration_of([photo, clean], None, "none") is None
    assert (corruption_of(exact()), corruption_of(exact(blur=1.0))) == ("none", "photo")
    assert corruption_of(noisy(2.0)) == "photo"


def test_the_interval_lies_around_the_mean(model: Pipeline) -> None:
    result = model.upscale(picture(8, 6, 3), samples=4)
    low, high = result.interval(0.9)
    half = 2.0 * deviation(result.uncertainty, smoothing=1.0, floor=3.0)
    mean = result.mean_raster.pixels / 255
    assert (low.shape, low.dtype, high.dtype) == ((32, 24, 3), np.float32, np.float32)
    np.testing.assert_allclose(low, np.clip(mean - half[..., None], 0, 1), atol=1e-6)
    np.testing.assert_allclose(high, np.clip(mean + half[..., None], 0, 1), atol=1e-6)
    np.testing.assert_array_equal(result.half_width(0.9), half)
    assert (result.half_width(0.5) < half).all()
    assert "calibrated on 1,400 pictures of val.tar" in repr(result)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (picture(8, 6), (32, 24)),  # grey
        (picture(8, 6, 2), (32, 24)),  # with alpha, which is not drawn
        (picture(8, 6, 4), (32, 24, 3)),
        (picture(8, 6, 3, dtype=np.uint16), (32, 24, 3)),
    ],
)
def test_shapes_are_those_of_the_colours(
    model: Pipeline, given: np.ndarray, shape: tuple[int, ...]
) -> None:
    result = model.upscale(given, samples=2, use_mean=True)
    low, high = result.interval(0.5)
    assert low.shape == high.shape == shape
    assert 0 <= low.min() <= high.max() <= 1
    colours = result.raster.pixels / np.iinfo(given.dtype).max
    mean = colours.reshape(shape)
    assert (low <= mean + 1e-6).all()
    assert (mean <= high + 1e-6).all()
    assert (high - low).min() > 0  # no pixel is certain


def test_a_result_without_intervals_says_why(model: Pipeline, tiny_exported: Path) -> None:
    given = picture(8, 6, 3)

    def why(one: Any = model, **options: Any) -> str:
        result = one.upscale(given, **{"samples": 2, **options})
        assert not result.is_calibrated
        assert "calibrated on" not in repr(result)
        with pytest.raises(UsageError) as found:
            result.interval(0.9)
        assert "\n" not in str(found.value)
        return str(found.value)

    assert "got 1 sample" in why(samples=1)
    steps = why(steps=1)
    assert "clean pictures in 1 step of ddim, detail 1, with consistency" in steps
    assert "expected clean pictures in 2 steps of ddim" in steps
    assert "in 2 steps of ddpm" in why(sampler="ddpm")
    assert "without consistency" in why(consistency=False)
    assert "noise, blur or compression" in why(evidence="noise", noise=2.0)
    assert "expected the scale 4" in why(scale=2)
    assert "expected the scale 4" in why(width=100)
    assert "several models in turn" in why(CascadePipeline([model, model]))
    assert "has no calibration" in why(sr4.load(tiny_exported, backend="onnx"))


def test_a_result_of_tiles_has_intervals(model: Pipeline) -> None:
    result = model.upscale(picture(24, 20, 3), samples=2, tile=32)
    assert result.interval(0.9)[0].shape == (96, 80, 3)
