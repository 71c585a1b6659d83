"""Metrics against closed forms and other implementations."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sr4.degradation import Degradation
from sr4.errors import MissingExtraError, UsageError
from sr4.evaluation.metrics import bootstrap, colour_drift, consistency, luma, psnr, ssim


def pictures(count: int = 2, size: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(count, channels, size, size))


def test_psnr_of_a_constant_offset() -> None:
    truth = 0.5 * pictures()
    np.testing.assert_allclose(psnr(truth, truth + 0.1), 20.0, rtol=1e-12)
    offsets = np.array([0.01, 0.1]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(psnr(truth, truth + offsets), [40.0, 20.0])


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert np.all(psnr(pictures(), pictures()) == np.inf)


def test_psnr_counts_all_channels_together_not_one_by_one() -> None:
    truth = np.full((1, 3, 4, 4), 0.5)
    result = truth.copy()
    result[:, 0] += 0.3  # one channel of three: mean squared error 0.03
    np.testing.assert_allclose(psnr(truth, result), -10 * np.log10(0.03))


def test_luma_of_black_white_and_the_primaries() -> None:
    # ITU-R BT.601, 8 bits: 16, 235, and 81.481, 144.553, 40.966 for red, green and blue.
    colours = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    levels = 255 * luma(colours[:, :, None, None])
    np.testing.assert_allclose(levels.ravel(), [16, 235, 81.481, 144.553, 40.966])


def test_psnr_of_luma_weighs_the_channels() -> None:
    truth = np.full((1, 3, 4, 4), 0.5)
    result = truth.copy()
    result[:, 1] += 0.1  # green
    np.testing.assert_allclose(psnr(truth, result, luma=True), -20 * np.log10(12.8553 / 255))


@pytest.mark.parametrize("of_luma", [False, True])
def test_ssim_of_equal_pictures_is_one(of_luma: bool) -> None:
    pytest.importorskip("skimage")
    np.testing.assert_allclose(ssim(pictures(), pictures(), luma=of_luma), 1.0, rtol=1e-12)


def test_ssim_of_constant_pictures() -> None:
    pytest.importorskip("skimage")
    a, b = np.full((1, 1, 16, 16), 0.5), np.full((1, 1, 16, 16), 0.7)
    # Without variance only the luminance term is left (Wang et al. 2004, equation 6).
    expected = (2 * 0.5 * 0.7 + 1e-4) / (0.5**2 + 0.7**2 + 1e-4)
    np.testing.assert_allclose(ssim(a, b, luma=False), expected, rtol=1e-9)


@pytest.mark.parametrize("of_luma", [False, True])
def test_psnr_agrees_with_scikit_image_and_torchmetrics(of_luma: bool) -> None:
    similarity = pytest.importorskip("skimage.metrics")
    colour = pytest.importorskip("skimage.color")
    a = pictures()
    b = np.clip(a + 0.2 * pictures(seed=1), 0, 1)
    found = psnr(a, b, luma=of_luma)
    if of_luma:  # scikit-image's Y of BT.601 runs from 16 to 235
        a, b = (colour.rgb2ycbcr(x, channel_axis=1)[:, :1] / 255 for x in (a, b))
    pairs = list(zip(a, b, strict=True))
    expected = [similarity.peak_signal_noise_ratio(x, y, data_range=1.0) for x, y in pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # its weights have five digits

    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.image")
    a, b = torch.from_numpy(a), torch.from_numpy(b)
    whole = functional.peak_signal_noise_ratio(
        b, a, data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    np.testing.assert_allclose(found, whole, rtol=1e-5)


def test_ssim_agrees_with_scikit_image_channel_by_channel() -> None:
    similarity = pytest.importorskip("skimage.metrics")
    a = pictures()
    b = np.clip(a + 0.2 * pictures(seed=1), 0, 1)
    options = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 255}
    expected = [
        [
            similarity.structural_similarity(255 * x, 255 * y, **options)
            for x, y in zip(one, other, strict=True)
        ]
        for one, other in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(ssim(a, b, luma=False), np.mean(expected, axis=1), rtol=1e-9)


def test_ssim_agrees_with_torchmetrics() -> None:
    pytest.importorskip("skimage")
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.image")
    a = pictures()
    b = np.clip(a + 0.2 * pictures(seed=1), 0, 1)
    _, full = functional.structural_similarity_index_measure(
        torch.from_numpy(b), torch.from_numpy(a), data_range=1.0, return_full_image=True
    )
    inside = full.numpy()[:, :, 5:-5, 5:-5]  # its mean counts the border too, where it mirrors
    np.testing.assert_allclose(ssim(a, b, luma=False), inside.mean(axis=(1, 2, 3)), rtol=1e-9)


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    pytest.importorskip("skimage")
    with pytest.raises(UsageError, match="8x8 pixels; SSIM needs at least 11"):
        ssim(pictures(size=8), pictures(size=8), luma=False)


def test_ssim_without_scikit_image_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(MissingExtraError, match=r"scikit-image.*\[scores\]"):
        ssim(pictures(), pictures(), luma=False)


def test_consistency_of_a_projected_picture_is_zero() -> None:
    degradation = Degradation(4)
    low_res = pictures(size=8)
    result = degradation.project(pictures(size=32, seed=1), low_res)
    np.testing.assert_allclose(consistency(result, low_res, degradation), 0.0, atol=1e-28)


def test_consistency_of_a_shifted_picture_is_the_squared_shift() -> None:
    degradation = Degradation(4)
    high_res = pictures()
    found = consistency(high_res + 0.01, degradation(high_res), degradation)
    np.testing.assert_allclose(found, 1e-4, rtol=1e-9)  # D keeps constants


def test_colour_drift_is_the_root_mean_square_of_the_channels_shifts() -> None:
    degradation = Degradation(4)
    high_res = pictures()
    shift = np.array([[3, 0, -4], [0, 0, 0]])[:, :, None, None]  # of two pictures
    found = colour_drift(high_res + shift / 255, degradation(high_res), degradation)
    np.testing.assert_allclose(255 * found, [np.sqrt((9 + 16) / 3), 0], atol=1e-9)


def test_colour_drift_does_not_count_invented_detail_nor_misplaced_colour() -> None:
    degradation = Degradation(4)
    rng = np.random.default_rng(0)
    high_res, low_res = pictures(), degradation(pictures())
    detail = degradation.null_space(rng.normal(size=high_res.shape))
    np.testing.assert_allclose(colour_drift(high_res + detail, low_res, degradation), 0, atol=1e-12)
    # Left brighter, right darker by as much: inconsistent, but no drift.
    halves = np.where(np.arange(32) < 16, 0.1, -0.1)
    assert np.all(consistency(high_res + halves, low_res, degradation) > 5e-3)
    np.testing.assert_allclose(colour_drift(high_res + halves, low_res, degradation), 0, atol=1e-12)


def test_consistency_is_the_squared_drift_plus_the_spread_around_it() -> None:
    degradation = Degradation(4)
    result, low_res = pictures(seed=1), degradation(pictures())
    error = degradation(result) - low_res
    np.testing.assert_allclose(
        consistency(result, low_res, degradation),
        colour_drift(result, low_res, degradation) ** 2 + error.var(axis=(2, 3)).mean(axis=1),
    )


def test_luma_of_grey_pictures_is_refused() -> None:
    with pytest.raises(UsageError, match="1 channels"):
        psnr(pictures(channels=1), pictures(channels=1), luma=True)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(2, 3, 32, 32\) and \(2, 3, 16, 16\)"):
        psnr(pictures(), pictures(size=16))


@pytest.mark.parametrize("count", [2, 5, 14, 50])
def test_bootstrap_interval_covers_the_mean_about_95_times_in_100(count: int) -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(600):
        interval = bootstrap(rng.normal(3.0, 1.0, size=count), seed=trial, resamples=300)
        inside += interval.low <= 3.0 <= interval.high
    assert 0.92 <= inside / 600 <= 0.98


def test_bootstrap_interval_of_a_median_is_between_values() -> None:
    values = [1.0, 2.0, 3.0, 7.0, 20.0]
    interval = bootstrap(values, over=np.median)
    assert (interval.low, interval.value, interval.high) == (1.0, 3.0, 20.0)


def test_bootstrap_interval_has_the_width_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(size=400)
    interval = bootstrap(values)
    assert interval.value == pytest.approx(values.mean())
    expected = 2 * 1.96 * values.std() / np.sqrt(400)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


def test_bootstrap_depends_on_its_seed_only() -> None:
    values = np.random.default_rng(2).normal(size=20)
    assert bootstrap(values, seed=1) == bootstrap(values, seed=1)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


def test_bootstrap_of_one_value_is_that_value() -> None:
    interval = bootstrap([2.5])
    assert (interval.low, interval.value, interval.high) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_bootstrap_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(UsageError, match="at least one number"):
        bootstrap(values)
