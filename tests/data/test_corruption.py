"""What photographs go through: each step against its closed form, and the stream that draws it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.data.corruption import PhotoCorruption, blurred, compressed, noisy
from sr4.data.evaluation import evaluation_batches
from sr4.data.sources import EncodedSource, open_source
from sr4.degradation import Degradation
from sr4.images import quantise, to_array

Pixels = NDArray[np.uint8]
Write = Callable[[Path, Mapping[str, bytes]], Path]
D = Degradation(4)


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], write_tar: Write
) -> EncodedSource:
    return open_source(write_tar(tmp_path_factory.mktemp("data") / "t.tar", files))


def photo(seed: int = 0) -> NDArray[np.float64]:
    """A picture (3, 64, 64) as photographs are: neighbours resemble each other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    large = Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)
    return to_array(large).astype(np.float64)


# Blur


@pytest.mark.parametrize("deviation", [0.5, 1.0, 3.2])
def test_a_blur_weakens_a_wave_as_a_gaussian_does(deviation: float) -> None:
    """By exp(-(deviation · frequency)² / 2); sampling the kernel lets one of 0.5 be 3 % off."""
    frequency = 2 * np.pi / 16
    wave = np.cos(frequency * np.arange(96))
    expected = np.exp(-0.5 * (deviation * frequency) ** 2)
    for picture in (np.tile(wave, (96, 1)), np.tile(wave, (96, 1)).T):
        found = blurred(picture, deviation)
        inner = (slice(24, 72), slice(24, 72))  # away from the borders
        np.testing.assert_allclose(found[inner], expected * picture[inner], atol=0.03 * expected)


def test_a_blur_keeps_a_flat_picture_and_the_brightness() -> None:
    np.testing.assert_allclose(blurred(np.full((3, 20, 30), 0.7), 2.5), 0.7, rtol=1e-12)
    point = np.zeros((41, 41))
    point[20, 20] = 1
    spread = blurred(point, 2.0)
    assert spread.sum() == pytest.approx(1, abs=1e-9)
    places = np.arange(41) - 20
    assert (spread.sum(axis=0) * places**2).sum() == pytest.approx(4, rel=1e-6)


def test_hardly_any_blur_is_none() -> None:
    picture = photo()
    for deviation in (0.0, 1e-200, 0.099):
        assert blurred(picture, deviation) is picture
    np.testing.assert_allclose(blurred(picture, 0.1), picture, atol=1e-12)


# Noise


@pytest.mark.parametrize("level", [-1.0, -0.5, 0.0, 1.0])
@pytest.mark.parametrize(("gaussian", "shot"), [(8, 0), (0, 6), (3, 4), (0, 0)])
def test_the_variance_grows_with_the_light(level: float, gaussian: float, shot: float) -> None:
    grey = np.full((3, 100, 100), level)
    noise = (noisy(grey, gaussian, shot, np.random.default_rng(0)) - grey) * 127.5  # in levels
    expected = np.sqrt(gaussian**2 + shot**2 * (level + 1) / 2)
    assert noise.std() == pytest.approx(expected, rel=0.02, abs=1e-12)
    assert abs(noise.mean()) <= 4 * expected / np.sqrt(noise.size)


# JPEG


def test_jpeg_is_pillows() -> None:
    pixels = quantise(photo())
    errors = []
    for quality in (40, 70, 95):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        with Image.open(io.BytesIO(buffer.getvalue())) as expected:
            np.testing.assert_array_equal(compressed(pixels, quality), np.asarray(expected))
        errors.append(np.abs(compressed(pixels, quality).astype(int) - pixels).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[-1] > 0


# All of it


def test_the_steps_come_one_after_the_other() -> None:
    """With each strength between bounds that leave one value."""
    corruption = PhotoCorruption((0.5, 0.5), (4, 4), (3, 3), (60, 60))
    random, ours = np.random.default_rng(7), np.random.default_rng(7)
    for _ in range(3):
        ours.uniform()
    ours.integers(60, 61)
    expected = compressed(quantise(noisy(D(blurred(photo(), 2.0)), 4, 3, ours)), 60)
    found = corruption(photo(), D, random)
    assert (found.shape, found.dtype) == ((3, 16, 16), np.float32)
    np.testing.assert_array_equal(found, to_array(expected))


def test_strengths_fill_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[float]] = {"blur": [], "gaussian": [], "shot": [], "quality": []}

    def blur(x: Any, deviation: float) -> Any:
        drawn["blur"].append(deviation / D.scale)
        return x

    def noise(x: Any, gaussian: float, shot: float, random: Any) -> Any:
        drawn["gaussian"].append(gaussian)
        drawn["shot"].append(shot)
        return x

    def jpeg(pixels: Any, quality: int) -> Any:
        drawn["quality"].append(quality)
        return pixels

    for name, stand in (("blurred", blur), ("noisy", noise), ("compressed", jpeg)):
        monkeypatch.setattr(f"sr4.data.corruption.{name}", stand)
    corruption = PhotoCorruption()
    for number in range(600):
        corruption(photo()[:, :8, :8], D, np.random.default_rng(number))
    for name, values in drawn.items():
        low, high = getattr(corruption, name)
        unit = (np.sort(values) - low) / (high - low)
        assert 0 <= unit[0] <= 0.02
        assert 0.98 <= unit[-1] <= 1
        # Kolmogorov's bound at 1e-4, and half a step of the whole numbers of the quality.
        distance = np.abs(unit - (np.arange(600) + 0.5) / 600).max()
        assert distance < 2.23 / np.sqrt(600) + 0.01
    assert max(abs(np.corrcoef(list(drawn.values()))[np.triu_indices(4, 1)])) < 0.2


def test_bounds_of_one_strength_move_no_other_draw() -> None:
    """Noise of no deviation, but drawn, and the same file quality."""
    random, other = np.random.default_rng(1), np.random.default_rng(1)
    PhotoCorruption()(photo(), D, random)
    PhotoCorruption(blur=(0, 0), gaussian=(0, 0))(photo(), D, other)
    assert random.random() == other.random()


# The streams


def stream(source: EncodedSource, count: int, **changes: Any) -> list[Any]:
    loader = pytest.importorskip("sr4.data.loader")
    options: dict[str, Any] = {
        "degradation": D,
        "size": 16,
        "batch_size": 3,
        "seed": 7,
        "flip": True,
        "corruption": PhotoCorruption(),
    }
    return list(islice(loader.training_batches(source, **options | changes), count))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_batches_follow_from_seed_and_position(source: EncodedSource) -> None:
    whole = stream(source, 8)
    levels = (whole[0].low_res + 1) * 127.5
    assert float((levels - levels.round()).abs().max()) < 1e-4
    for others, first in (
        (stream(source, 8, workers=2), 0),
        (stream(source, 5, position=9, workers=1), 3),
        (stream(source, 5, position=9), 3),
    ):
        for ours, theirs in zip(others, whole[first:], strict=True):
            assert ours.names == theirs.names
            np.testing.assert_array_equal(ours.low_res, theirs.low_res)
            np.testing.assert_array_equal(ours.high_res, theirs.high_res)
    (odd,) = stream(source, 1, position=5, batch_size=11)  # however it is cut into batches
    together = np.concatenate([batch.low_res for batch in whole])
    np.testing.assert_array_equal(odd.low_res, together[5:16])


def test_it_is_drawn_anew_at_every_position_and_changes_nothing_else(
    source: EncodedSource,
) -> None:
    """Seven pictures, which come back a whole number of epochs later."""
    corrupted = stream(source, 14, batch_size=1, size=24, flip=False)
    clean = stream(source, 14, batch_size=1, size=24, flip=False, corruption=None)
    by_name: dict[str, list[Any]] = {}
    for ours, theirs in zip(corrupted, clean, strict=True):
        np.testing.assert_array_equal(ours.high_res, theirs.high_res)
        np.testing.assert_array_equal(
            theirs.low_res[0], D.observe(theirs.high_res.double()).float()[0]
        )
        assert (ours.low_res - theirs.low_res).abs().mean() > 1 / 255
        by_name.setdefault(ours.names[0], []).append(ours.low_res)
    assert all(not np.array_equal(first, again) for first, again in by_name.values())


def test_measuring_sees_the_same_whatever_the_batches(source: EncodedSource) -> None:
    def low_res(batch_size: int, **options: Any) -> NDArray[np.float32]:
        batches = evaluation_batches(source, degradation=D, batch_size=batch_size, **options)
        return np.concatenate([batch.low_res for batch in batches])

    corrupted = low_res(3, corruption=PhotoCorruption())
    np.testing.assert_array_equal(low_res(7, corruption=PhotoCorruption()), corrupted)
    assert np.abs(corrupted - low_res(3)).mean() > 1 / 255
