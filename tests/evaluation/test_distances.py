"""Distances between sets against hand-computed and closed-form values."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from sr4.errors import UsageError
from sr4.evaluation.distances import (
    SmallSampleWarning,
    _frechet_shares,
    frechet_distance,
    frechet_distance_interval,
    kernel_distance_interval,
    kernel_distance_shares,
)
from sr4.evaluation.metrics import Interval


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> float:
    return kernel_distance_interval(real, fake).value


def gaussian(count: int, dimension: int, seed: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, size=(count, dimension))


def test_kernel_distance_by_hand() -> None:
    real, fake = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    # k(x, y) = (xy + 1)³: k(0, 1) = 1; k(2, 3) = 343; across, but for the pairs, 1 and 27.
    assert kernel_distance(real, fake) == pytest.approx(1000 * (1 + 343 - 2 * 28 / 2))


def test_kernel_distance_of_equal_distributions_is_zero_on_average() -> None:
    found = [kernel_distance(gaussian(30, 4, i), gaussian(30, 4, 1000 + i)) for i in range(200)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    shifted = kernel_distance(gaussian(30, 4, 0, mean=1.0), gaussian(30, 4, 1))
    assert shifted > 100 * error


def test_results_that_are_like_their_truths_look_no_nearer_than_others() -> None:
    """Two independent draws of a set and twice the same: with the kernels of pairs, the latter
    would be lower by 2 / N of what the kernel of a picture with itself is above that with others.
    """
    same = gaussian(30, 4, 0)
    assert kernel_distance(same, same) == pytest.approx(0, abs=1e-9)
    # Means of 1, x, x² and x³ of N(0, 1) and N(0.5, 1), of which those of (xy + 1)³ are made.
    n, m, binomial = np.array([1, 0, 1, 0]), np.array([1, 0.5, 1.25, 1.625]), [1, 3, 3, 1]
    truth = 1000 * (binomial * n @ n + binomial * m @ m - 2 * (binomial * n @ m))
    draws = (gaussian(20, 1, seed) for seed in range(2000))
    found = [kernel_distance(x, x + 0.5) for x in draws]
    assert np.mean(found) == pytest.approx(truth, abs=3 * np.std(found) / np.sqrt(len(found)))


def test_kernel_distance_interval_covers_the_true_distance_about_95_times_in_100() -> None:
    # x of N(0, 1) and y of N(1, 1) have the moments 0, 1, 0 and 1, 2, 4, so that the kernel's
    # expectations are 4 among x, 32 among y and 7 across.
    true = 1000 * (4 + 32 - 2 * 7)
    inside = 0
    for trial in range(100):
        real = gaussian(200, 1, trial)
        # Results belong to their truths: half of their variance is shared.
        fake = np.sqrt(0.5) * (real + gaussian(200, 1, 1000 + trial)) + 1.0
        interval = kernel_distance_interval(real, fake)
        assert interval.low < interval.value < interval.high
        inside += interval.low <= true <= interval.high
    assert 88 <= inside <= 99


def test_shares_have_the_mean_and_the_error_of_the_distance() -> None:
    """Of N(0, 1) and N(1, 1), whose distance is known (see above)."""
    truth = 1000 * (4 + 32 - 2 * 7)
    draws = [
        kernel_distance_shares(gaussian(100, 1, seed), gaussian(100, 1, 1000 + seed, mean=1.0))
        for seed in range(400)
    ]
    means = np.array([draw.mean() for draw in draws])
    error = means.std(ddof=1)
    assert means.mean() == pytest.approx(truth, abs=3 * error / np.sqrt(len(means)))
    told = np.sqrt(np.mean([draw.var(ddof=1) / len(draw) for draw in draws]))
    assert told == pytest.approx(error, rel=0.15)


@pytest.mark.parametrize("interval", [kernel_distance_interval, frechet_distance_interval])
def test_patches_of_one_picture_are_no_independent_draws(
    interval: Callable[..., Interval],
) -> None:
    """Pictures of unequal numbers of patches, each with a shift of its own: intervals of the
    patches alone would be several times too narrow.
    """
    counts = np.tile([2, 6, 16], 12)
    pictures = np.repeat(np.arange(len(counts)), counts)
    values, widths, naive = [], [], []
    for trial in range(60):
        shift = gaussian(len(counts), 1, trial)[pictures]
        real = gaussian(len(pictures), 1, 100 + trial)
        fake = real + 0.5 + 0.7 * shift
        found = interval(real, fake, pictures=pictures)
        values.append(found.value)
        widths.append(found.high - found.low)
        alone = interval(real, fake)
        naive.append(alone.high - alone.low)
    true = 2 * 1.96 * np.std(values)
    assert np.mean(widths) == pytest.approx(true, rel=0.3)
    assert np.mean(naive) < 0.6 * true


def test_patches_of_one_picture_make_sets_look_no_farther_apart() -> None:
    """Truths and results of one distribution, in which all patches of a picture have a shift of
    its own; with the kernels of patches of one picture, its variance would count as a distance.
    """
    of = np.repeat(np.arange(6), [2, 20, 9, 9, 15, 5])
    found, biased = [], []
    for trial in range(300):
        real, fake = (
            gaussian(6, 2, seed)[of] + gaussian(len(of), 2, 5000 + seed)
            for seed in (trial, 1000 + trial)
        )
        found.append(kernel_distance_interval(real, fake, pictures=of).value)
        biased.append(kernel_distance(real, fake))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error
    assert np.mean(biased) > 10 * error


def test_patches_of_one_picture_have_no_distance() -> None:
    with pytest.raises(UsageError, match="features of 1 picture"):
        kernel_distance_shares(gaussian(3, 2, 0), gaussian(3, 2, 1), np.zeros(3, dtype=int))


def test_kernel_distance_interval_needs_pairs() -> None:
    with pytest.raises(UsageError, match="3 truths and 4 results"):
        kernel_distance_interval(gaussian(3, 2, 0), gaussian(4, 2, 1))


def test_kernel_distance_agrees_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    kid = pytest.importorskip("torchmetrics.image.kid")
    real, fake = gaussian(60, 8, 0), gaussian(60, 8, 1, mean=0.3)
    with pytest.warns(UserWarning, match="save all extracted features"):
        # One subset of all: its draw without replacement then does not matter.
        metric = kid.KernelInceptionDistance(torch.nn.Identity(), subsets=1, subset_size=60)
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    mean, _ = metric.compute()
    # It counts the kernels of pairs too.
    across = (real @ fake.T / 8 + 1) ** 3
    others = (across.sum() - np.trace(across)) / (60 * 59)
    expected = 1000 * (float(mean) + 2 * (across.mean() - others))
    assert kernel_distance(real, fake) == pytest.approx(expected, rel=1e-6)


def with_moments(x: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    """x moved so that its sample mean is `mean` and its sample covariance `root @ root.T`."""
    x = x - x.mean(axis=0)
    whitened = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return np.asarray(whitened @ root.T + mean)


def test_frechet_distance_of_diagonal_gaussians() -> None:
    real = with_moments(gaussian(50, 3, 0), np.zeros(3), np.diag([1.0, 2.0, 3.0]))
    fake = with_moments(gaussian(60, 3, 1), np.array([1.0, 0, 2.0]), np.diag([2.0, 2.0, 0.5]))
    # |m - m'|² + the sum of the squared differences of the deviations.
    assert frechet_distance(real, fake) == pytest.approx(5 + 1 + 0 + 6.25, rel=1e-9)


def test_frechet_distance_of_gaussians_whose_covariances_do_not_commute() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    root_a, root_b = gaussian(4, 4, 5), gaussian(4, 4, 6)
    real = with_moments(gaussian(50, 4, 0), np.zeros(4), root_a)
    fake = with_moments(gaussian(60, 4, 1), np.zeros(4), root_b)
    a, b = root_a @ root_a.T, root_b @ root_b.T
    expected = np.trace(a + b - 2 * np.real(linalg.sqrtm(a @ b)))
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_a_set_from_itself_is_zero() -> None:
    real = gaussian(40, 8, 0)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-10)


def test_frechet_distance_of_a_small_set_warns_of_its_bias() -> None:
    with pytest.warns(SmallSampleWarning, match="7 pictures in 8 dimensions is biased upwards"):
        distance = frechet_distance(gaussian(7, 8, 0), gaussian(20, 8, 1))
    assert distance > 0


@pytest.mark.parametrize("count", [200, 20])  # with full rank and without
def test_frechet_distance_agrees_with_torchmetrics(count: int) -> None:
    torch = pytest.importorskip("torch")
    fid = pytest.importorskip("torchmetrics.image.fid")
    real, fake = gaussian(count, 40, 0), 1.5 * gaussian(count, 40, 1, mean=0.3)

    class Features(torch.nn.Identity):  # type: ignore[misc,name-defined]
        num_features = 40

    metric = fid.FrechetInceptionDistance(Features()).set_dtype(torch.float64)
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(fake), real=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        # Without full rank it takes roots of eigenvalues that should be 0 and are 1e-16.
        assert frechet_distance(real, fake) == pytest.approx(float(metric.compute()), rel=1e-5)


def test_frechet_interval_is_about_the_distance() -> None:
    for count, dimension in ((50, 6), (6, 50)):  # with full rank and without
        real, fake = gaussian(count, dimension, 0), 2 * gaussian(count, dimension, 1, mean=0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)
            interval = frechet_distance_interval(real, fake)
            assert interval.value == pytest.approx(frechet_distance(real, fake), rel=1e-12)
        assert interval.low < interval.value < interval.high


def test_frechet_shares_are_the_derivative_by_the_weight_of_a_pair() -> None:
    """One pair is given a little more weight than the others; both ranks."""
    linalg = pytest.importorskip("scipy.linalg")
    real, fake = gaussian(30, 4, 0), gaussian(30, 4, 1, mean=0.5) @ gaussian(4, 4, 2)

    def distance(weights: np.ndarray) -> float:
        (m, s), (n, r) = (
            (weights @ x, (x - weights @ x).T @ (weights[:, None] * (x - weights @ x)) * 30 / 29)
            for x in (real, fake)
        )
        return float((m - n) @ (m - n) + np.trace(s + r - 2 * np.real(linalg.sqrtm(s @ r))))

    equal, step = np.full(30, 1 / 30), 1e-5
    shares = _frechet_shares(real, fake)
    assert distance(equal) == pytest.approx(shares.mean(), rel=1e-9)
    for pair in (0, 7, 29):
        toward = np.eye(30)[pair]
        slope = (distance((1 - step) * equal + step * toward) - distance(equal)) / step
        assert slope == pytest.approx(shares[pair] - shares.mean(), rel=1e-3)


def paired(count: int, dimension: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truths of N(0, I), and results of N(0.5, 4 I) that share half of their variance with them."""
    real = gaussian(count, dimension, seed)
    fake = np.sqrt(2) * (real + gaussian(count, dimension, 100_000 + seed)) + 0.5
    return real, fake


def test_frechet_interval_covers_the_true_distance_about_95_times_in_100() -> None:
    # |m - m'|² + the sum of the squared differences of the deviations, 1 and 2.
    true = 3 * (0.25 + 1)
    inside = 0
    for trial in range(200):
        interval = frechet_distance_interval(*paired(400, 3, trial))
        inside += interval.low <= true <= interval.high
    assert 0.90 <= inside / 200 <= 0.98


def test_frechet_interval_of_small_sets_covers_what_other_small_sets_have() -> None:
    """40 pictures in 60 dimensions: the interval tells nothing of the bias, but all of the rest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        found = [frechet_distance_interval(*paired(40, 60, trial)) for trial in range(200)]
    expected = np.mean([interval.value for interval in found])
    assert expected > 1.2 * 60 * (0.25 + 1)
    inside = np.mean([interval.low <= expected <= interval.high for interval in found])
    assert 0.88 <= inside <= 0.99


def test_resampled_pictures_would_give_an_interval_above_the_distance() -> None:
    """Why shares are bootstrapped."""
    real, fake = paired(60, 40, 0)
    rng = np.random.default_rng(0)
    rows = [rng.integers(60, size=60) for _ in range(40)]
    resampled = [frechet_distance(real[chosen], fake[chosen]) for chosen in rows]
    assert np.percentile(resampled, 2.5) > frechet_distance(real, fake)


def test_distances_refuse_what_they_cannot_compare() -> None:
    with pytest.raises(UsageError, match=r"\(3, 2\) and \(3, 4\)"):
        kernel_distance(gaussian(3, 2, 0), gaussian(3, 4, 0))
    with pytest.raises(UsageError, match="got 1 and 3 pictures"):
        frechet_distance(gaussian(1, 2, 0), gaussian(3, 2, 0))
