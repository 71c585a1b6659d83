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
from PIL.Image import Resampling
from scipy import ndimage

from sr4.data.blurs import anisotropic_kernel, blurred, convolved, sinc_kernel
from sr4.data.corruption import (
    Corruption,
    PhotoCorruption,
    SecondOrderCorruption,
    _Chain,
    decoded,
    dithered,
    jpeg_file,
    nearest,
    noisy,
    resized,
)
from sr4.data.encoded import EncodedSource
from sr4.data.evaluation import evaluation_batches
from sr4.data.sources import open_source
from sr4.degradation import Degradation
from sr4.degradation.known import CLEAN, UNKNOWN, Known
from sr4.errors import DataError
from sr4.pictures.pixels import quantise, to_array

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
        assert jpeg_file(pixels, quality) == buffer.getvalue()
        found = decoded(buffer.getvalue())
        with Image.open(buffer) as expected:
            np.testing.assert_array_equal(found, np.asarray(expected))
        errors.append(np.abs(found.astype(int) - pixels).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[-1] > 0


# Kernels


def moments(kernel: Any) -> NDArray[np.float64]:
    """The covariance matrix of a kernel, x before y."""
    radius = len(kernel) // 2
    places = np.mgrid[-radius : radius + 1, -radius : radius + 1][::-1].reshape(2, -1)
    return np.asarray((places * kernel.ravel()) @ places.T)


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
def test_an_anisotropic_gaussian_has_the_deviations_asked_for(angle: float) -> None:
    kernel = anisotropic_kernel(3.0, 1.5, angle)
    assert kernel.sum() == pytest.approx(1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = turn @ np.diag([9.0, 2.25]) @ turn.T
    np.testing.assert_allclose(moments(kernel), expected, atol=0.25)  # cut off at 3 deviations
    isotropic = convolved(photo(), anisotropic_kernel(1.5, 1.5, angle))
    inner = (slice(None), slice(10, 54), slice(10, 54))
    np.testing.assert_allclose(isotropic[inner], blurred(photo(), 1.5)[inner], atol=5e-3)


def test_the_power_decides_the_tails() -> None:
    peaked, gaussian, flat = (anisotropic_kernel(2.0, 2.0, 0.0, power) for power in (0.5, 1, 2))
    for kernel, power in ((peaked, 0.5), (gaussian, 1), (flat, 2)):
        fall = kernel[6, :6] / kernel[6, 6]  # at 3 to half a deviation from the middle
        distances = np.arange(3, 0, -0.5)
        np.testing.assert_allclose(fall, np.exp(-0.5 * distances ** (2 * power)), rtol=1e-9)


def test_a_sinc_keeps_low_waves_and_drops_high_ones() -> None:
    kernel = sinc_kernel(np.pi / 2)
    assert kernel.sum() == pytest.approx(1)
    for frequency, expected in ((np.pi / 8, 1.0), (7 * np.pi / 8, 0.0)):
        wave = np.tile(np.cos(frequency * np.arange(128)), (64, 1))
        found = convolved(wave, kernel)[16:48, 16:112]
        np.testing.assert_allclose(found, expected * wave[16:48, 16:112], atol=0.1)


def test_convolution_is_that_of_the_plain_sum() -> None:
    kernel = np.random.default_rng(0).random((5, 5))
    expected = [ndimage.convolve(plane, kernel, mode="reflect") for plane in photo()]
    np.testing.assert_allclose(convolved(photo(), kernel), expected, atol=1e-12)


def test_resizing_by_the_kernel_of_d_is_d() -> None:
    found = resized(photo(), 16, 16, Resampling.BICUBIC)
    np.testing.assert_allclose(found, D(photo()), atol=1e-5)


# Twice


def second_order(count: int = 400, **settings: float) -> list[Any]:
    corruption = SecondOrderCorruption(**settings)
    return [corruption(photo(n), D, np.random.default_rng(n)) for n in range(count)]


def test_a_share_stays_clean_and_is_known_to_be() -> None:
    exact = [D.observe(photo(n)).astype(np.float32) for n in range(400)]
    found = second_order(clean=0.25, forget=0)
    is_clean = [np.array_equal(one.low_res, other) for one, other in zip(found, exact, strict=True)]
    assert 70 <= sum(is_clean) <= 130
    assert all(equal for one, equal in zip(found, is_clean, strict=True) if one.is_clean)
    told = [one.known for one, clean in zip(found, is_clean, strict=True) if clean]
    assert set(told) == {CLEAN, UNKNOWN}  # of a fifth nothing is known
    assert 5 <= told.count(UNKNOWN) <= 40
    assert all(one.file is None for one, clean in zip(found, is_clean, strict=True) if clean)


def test_the_hits_grow_with_the_strength() -> None:
    def distance(strength: float) -> float:
        corruption = SecondOrderCorruption(strength=strength, clean=0)
        distances = []
        for number in range(150):
            # Kernels of resizing differ little on smooth pictures, subsampling on grey ones.
            smooth = np.broadcast_to(blurred(photo(number), 3.0).mean(axis=0), (3, 64, 64))
            found = corruption(smooth, D, np.random.default_rng(number))
            distances.append(np.abs(found.low_res - D(smooth)).mean())
        return float(np.mean(distances))

    weak, medium, strong = (distance(strength) for strength in (0.0, 0.5, 1.0))
    assert weak < medium < strong
    assert strong > 1.9 * weak


def test_the_file_is_the_picture_and_of_the_quality_that_is_known() -> None:
    found = second_order(200, clean=0, forget=0)
    files = [one for one in found if one.file is not None]
    assert 120 <= len(files) <= 180
    for one in files:
        np.testing.assert_array_equal(one.low_res, to_array(decoded(one.file)))
        if one.known.quality is not None:
            assert 12 <= one.known.quality <= 95
            with Image.open(io.BytesIO(one.file)) as picture:
                table = picture.quantization[0]
            reference = jpeg_file(np.zeros((8, 8, 3), np.uint8), int(one.known.quality))
            with Image.open(io.BytesIO(reference)) as expected:
                assert table == expected.quantization[0]


def test_the_noise_that_is_known_is_what_is_left_of_it() -> None:
    """Of a grey picture all that differs, whichever kernels it went through, where no file was
    compressed.
    """
    grey, ratios = np.zeros((3, 256, 256)), []
    for number in range(400):
        chain = _Chain(grey, 4, 1.0, np.random.default_rng(number))
        found = chain.second_order()
        if found.known.quality == 100 and (found.known.noise or 0) > 0.5:  # else rounding eats it
            left = 127.5 * found.low_res[1].astype(float)
            # Rounding adds a twelfth of a level, squared.
            ratios.append(found.known.noise / np.sqrt(max(left.var() - 1 / 12, 1e-3)))
    assert len(ratios) > 20
    assert np.median(ratios) == pytest.approx(1, abs=0.01)
    assert np.percentile(ratios, [10, 90]) == pytest.approx(
        [1, 1], abs=0.08
    )  # few colours are off in the mean


def test_what_is_known_is_forgotten_now_and_then() -> None:
    known = [one.known for one in second_order(400, clean=1, forget=0.25)]
    for field in Known._fields:
        gone = sum(getattr(one, field) is None for one in known) / 400
        assert gone == pytest.approx(0.2 + 0.8 * 0.25, abs=0.08)


# All of it


def test_the_steps_come_one_after_the_other() -> None:
    """With each strength between bounds that leave one value."""
    corruption = PhotoCorruption((0.5, 0.5), (4, 4), (3, 3), (60, 60))
    random, ours = np.random.default_rng(7), np.random.default_rng(7)
    for _ in range(3):
        ours.uniform()
    ours.integers(60, 61)
    kernels = (Resampling.BOX, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)
    kernel = kernels[ours.integers(4)]
    subsampling = 2 if ours.random() < 0.6 else 0
    small = resized(blurred(photo(), 2.0), 16, 16, kernel)
    grainy = noisy(small, 4, 3, ours)
    expected = jpeg_file(quantise(grainy), 60, subsampling)
    found = corruption(photo(), D, random)
    assert found.file == expected
    assert (found.low_res.shape, found.low_res.dtype) == ((3, 16, 16), np.float32)
    np.testing.assert_array_equal(found.low_res, to_array(decoded(expected)))
    noise = 127.5 * (grainy - small).std()
    assert (found.known.blur, found.known.quality) == (0.5, 60)
    assert found.known.noise == pytest.approx(noise, rel=0.01)
    assert noise == pytest.approx(np.sqrt(16 + 9 * (small.mean() + 1) / 2), rel=0.1)


def test_strengths_fill_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[float]] = {"blur": [], "gaussian": [], "shot": [], "quality": []}

    def blur(x: Any, deviation: float) -> Any:
        drawn["blur"].append(deviation / D.scale)
        return x

    def noise(x: Any, gaussian: float, shot: float, random: Any) -> Any:
        drawn["gaussian"].append(gaussian)
        drawn["shot"].append(shot)
        return x

    def jpeg(pixels: Any, quality: int, subsampling: int) -> bytes:
        drawn["quality"].append(quality)
        return jpeg_file(pixels, quality)

    for name, stand in (("blurred", blur), ("noisy", noise), ("jpeg_file", jpeg)):
        monkeypatch.setattr(f"sr4.data.corruption.{name}", stand)
    corruption = PhotoCorruption(shot=(0, 8))
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
    corrupted = stream(source, 14, batch_size=1, size=24)
    clean = stream(source, 14, batch_size=1, size=24, corruption=None)
    by_name: dict[str, list[Any]] = {}
    for ours, theirs in zip(corrupted, clean, strict=True):
        assert ours.names == theirs.names
        np.testing.assert_array_equal(
            theirs.low_res[0], D.observe(theirs.high_res.double()).float()[0]
        )
        (exact,) = D.observe(ours.high_res.double())
        assert (ours.low_res[0] - exact).abs().mean() > 1 / 255
        by_name.setdefault(ours.names[0], []).append(ours.low_res)
    assert all(not np.array_equal(first, again) for first, again in by_name.values())


def test_measuring_sees_the_same_whatever_the_batches(source: EncodedSource) -> None:
    def low_res(batch_size: int, **options: Any) -> NDArray[np.float32]:
        batches = evaluation_batches(source, degradation=D, batch_size=batch_size, **options)
        return np.concatenate([batch.low_res for batch in batches])

    corrupted = low_res(3, corruption=PhotoCorruption())
    np.testing.assert_array_equal(low_res(7, corruption=PhotoCorruption()), corrupted)
    assert np.abs(corrupted - low_res(3)).mean() > 1 / 255


@pytest.mark.parametrize("corruption", [PhotoCorruption(), SecondOrderCorruption(clean=1.0)])
@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_than_those_of_rgb_are_refused(
    corruption: Corruption, channels: int
) -> None:
    with pytest.raises(DataError, match=f"got pictures of {channels} channels to corrupt"):
        corruption(np.zeros((channels, 16, 16)), D, np.random.default_rng(0))


def test_few_colours_are_right_in_the_mean() -> None:
    ramp = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (64, 1))
    pixels = np.stack([ramp, ramp.T, ramp], axis=2)
    few = dithered(pixels, 16)
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 16
    off = few - pixels.astype(np.float64)
    of_squares = off.reshape(8, 8, 8, 8, 3).mean(axis=(1, 3))  # 8x8 pixels each
    assert np.sqrt((off**2).mean()) > 16
    assert np.median(np.abs(of_squares)) < 2  # beside colours that no mean of the few gives


def test_hard_edges_are_pixels_of_the_picture() -> None:
    x = np.arange(3 * 8 * 12, dtype=np.float64).reshape(3, 8, 12)
    found = [nearest(x, 4, np.random.default_rng(seed)) for seed in range(200)]
    first = {tuple(divmod(int(one[0, 0, 0]), 12)) for one in found}
    assert first == {(1, 1), (1, 2), (2, 1), (2, 2)}
    np.testing.assert_allclose(np.mean(found), x.mean(), rtol=0.01)  # and so it is not moved
    (odd,) = {float(nearest(x, 3, np.random.default_rng(seed))[0, 0, 0]) for seed in range(20)}
    assert odd == x[0, 1, 1]
