"""Distances between sets of pictures, each given by the features of a network.

The kernel distance (KID, Bińkowski et al. 2018) hangs little on their number; the Fréchet distance
(FID, Heusel et al. 2017) is the better known one.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from sr4.errors import UsageError
from sr4.evaluation.features import Features
from sr4.evaluation.metrics import Float64, Interval, bootstrap

Indices = NDArray[np.int64]

KERNEL_SCALE = 1000.0  # kernel distances are reported x 1000
_AT_ONCE = 500  # pictures whose kernels are taken together


class SmallSampleWarning(UserWarning):
    """A distance between sets is biased because the sets are small."""


def _check(real: Features, fake: Features) -> tuple[Float64, Float64]:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise UsageError(
            f"got features of shapes {real.shape} and {fake.shape}; expected (N, F) and (M, F)"
        )
    if min(len(real), len(fake)) < 2:
        raise UsageError(
            f"got {len(real)} and {len(fake)} pictures; a distance between sets needs at least 2 "
            "of each"
        )
    return real.astype(np.float64), fake.astype(np.float64)


def _check_pairs(real: Features, fake: Features) -> tuple[Float64, Float64]:
    if len(real) != len(fake):
        raise UsageError(
            f"got {len(real)} truths and {len(fake)} results; expected one result for each truth"
        )
    return _check(real, fake)


def _kernel(x: Float64, y: Float64) -> Float64:
    """`(x·y / F + 1)³` (Bińkowski et al. 2018, section 4): (N, F) and (M, F) to (N, M)."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def kernel_distance_interval(
    real: Features, fake: Features, *, seed: int = 0, pictures: Indices | None = None
) -> Interval:
    """The kernel distance of results from the truths they belong to, with its 95 % interval:
    squared MMD with the cubic kernel, x 1000, unbiased, 0 on average for equal distributions.

    The kernel of each truth with its own result is left out, as is that of each picture with
    itself: what pairs have in common would make sets of 100 look nearer by several units. So are
    those of the patches of one picture with each other, which would make small sets look farther
    apart. Means over random subsets (Bińkowski et al. 2018) estimate the same, with more noise.

    Resampling pictures with replacement would be no interval, since a picture's kernel with its own
    copy is biased. So each pair of pictures gets its share of the distance (the first-order
    projection of the U-statistic, Hoeffding 1948), and the shares are bootstrapped.

    Args:
        real: (N, F) features of the truths.
        fake: (N, F) features of the results, in the same order.
        pictures: (N,) numbers, counted from 0, of the pictures that features of patches belong to;
            None where each is of a picture of its own.
    """
    return bootstrap(kernel_distance_shares(real, fake, pictures), seed)


def kernel_distance_shares(
    real: Features, fake: Features, pictures: Indices | None = None
) -> Float64:
    """(P,) numbers, one for each picture, whose mean is the kernel distance (Gretton et al. 2012,
    equation 4), and whose spread is that of single pictures: the distances of two models from the
    same truths can be compared by their shares.

    Args:
        real, fake, pictures: see `kernel_distance_interval`.

    Raises:
        UsageError: all features are of one picture.
    """
    real, fake = _check_pairs(real, fake)
    of = np.arange(len(real)) if pictures is None else pictures
    counts = np.bincount(of)
    if len(counts) < 2:
        raise UsageError("got features of 1 picture; a distance between sets needs 2 or more")
    sums = np.bincount(of, _kernel_sums(real, fake, of))
    pairs = counts * (len(of) - counts)  # of patches, one of them of the picture
    value = sums.sum() / pairs.sum()
    # A picture is in the sums twice, in rows and in columns: so its error counts twice.
    return np.asarray(KERNEL_SCALE * (value + 2 * (sums - value * pairs) / pairs.mean()))


def _kernel_sums(real: Float64, fake: Float64, of: Indices) -> Float64:
    """(N,) numbers: of each pair (real_i, fake_i), its part in MMD² with all those of other
    pictures, summed up.
    """
    sums = np.empty(len(real))
    for start in range(0, len(real), _AT_ONCE):  # in blocks, to bound the memory
        rows = slice(start, start + _AT_ONCE)
        x, y = real[rows], fake[rows]
        block = _kernel(x, real) + _kernel(y, fake) - _kernel(x, fake) - _kernel(y, real)
        sums[rows] = np.sum(block, axis=1, where=of[rows, None] != of)
    return sums


def _of_pictures(shares: Float64, pictures: Indices | None) -> Float64:
    """The shares of pictures, of those of their patches: patches of one picture are no independent
    draws. A mean of all patches is a ratio, sum by count, so a picture differs from it by what its
    patches do together (Cochran 1977, section 6.3).

    Args:
        shares: (N,); pictures: (N,) numbers below P, or None.

    Returns:
        (P,) numbers of the same mean; the shares themselves without `pictures`.
    """
    if pictures is None:
        return shares
    mean = shares.mean()
    apart = np.bincount(pictures, shares - mean)
    return np.asarray(mean + apart * (len(apart) / len(shares)))


def frechet_distance(real: Features, fake: Features) -> float:
    """Squared Fréchet distance of two Gaussians with the sets' means and covariances, float64:
    `|m - m'|² + tr(S + S' - 2 (S S')^(1/2))` (Dowson & Landau 1982).

    Biased upwards, the more the smaller the sets; a SmallSampleWarning says so when there are fewer
    pictures than features.

    Args:
        real: (N, F) features.
        fake: (M, F) features.
    """
    real, fake = _check(real, fake)
    _warn_of_bias(real, fake)
    mean_term = np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    # With S = aᵀa and S' = bᵀb, S S' has the non-zero eigenvalues of (b aᵀ)(a bᵀ): the squared
    # singular values of a bᵀ. No matrix root is needed, and no rank.
    # Triangular a and b of at most F rows will do.
    a, b = (np.asarray(np.linalg.qr(_deviations(x), mode="r")) for x in (real, fake))
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(mean_term + np.sum(a**2) + np.sum(b**2) - 2 * cross)


def frechet_distance_interval(
    real: Features, fake: Features, *, seed: int = 0, pictures: Indices | None = None
) -> Interval:
    """The Fréchet distance of results from the truths they belong to, with its 95 % interval.

    Resampling pictures with replacement would not do: sets with copies have fewer different
    pictures, hence a larger bias, and the interval would lie above the value. So each pair of
    pictures gets its share of the distance (its influence, Hampel 1974; the delta method), and the
    shares are bootstrapped.

    The interval says how much another set as large might change the distance. It leaves the bias
    of small sets where it is, and a SmallSampleWarning names it, as for `frechet_distance`.

    Args:
        real: (N, F) features of the truths.
        fake: (N, F) features of the results, in the same order.
        pictures: see `kernel_distance_interval`.
    """
    real, fake = _check_pairs(real, fake)
    _warn_of_bias(real, fake)
    return bootstrap(_of_pictures(_frechet_shares(real, fake), pictures), seed)


def _frechet_shares(real: Float64, fake: Float64) -> Float64:
    """(N,) numbers whose mean is the distance and whose differences from it are the influences.

    The distance has the derivatives I - T by S and I - T' by S', where x -> T x and its inverse T'
    transport one Gaussian onto the other. With S = aᵀa, S' = bᵀb and a bᵀ = U C Vᵀ, row i of a
    has aᵢᵀ T aᵢ = (U C Uᵀ)ᵢᵢ and row i of b has bᵢᵀ T' bᵢ = (V C Vᵀ)ᵢᵢ, whatever the ranks.
    """
    a, b = _deviations(real), _deviations(fake)
    (q_a, r_a), (q_b, r_b) = np.linalg.qr(a), np.linalg.qr(b)
    u, c, vt = np.linalg.svd(r_a @ r_b.T)
    transported = (q_a @ u) ** 2 @ c + (q_b @ vt.T) ** 2 @ c
    spread = np.sum(a**2, axis=1) + np.sum(b**2, axis=1) - transported
    shift = real.mean(axis=0) - fake.mean(axis=0)
    along = (real - fake) @ shift  # its mean is |m - m'|²
    return np.asarray(2 * along - shift @ shift + len(real) * spread)


def _deviations(x: Float64) -> Float64:
    """The matrix a with `aᵀa` the sample covariance: (N, F) to (N, F)."""
    return np.asarray((x - x.mean(axis=0)) / np.sqrt(len(x) - 1))


def frechet_bias(pictures: int, dimension: int) -> str | None:
    """What is wrong with a Fréchet distance of so few pictures; None if they are enough."""
    if pictures >= dimension:
        return None
    return (
        f"the Fréchet distance of {pictures} pictures in {dimension} dimensions is biased upwards "
        "(covariances without full rank): compare it only with that of sets of the same size, or "
        "use the kernel distance, which is unbiased"
    )


def _warn_of_bias(real: Float64, fake: Float64) -> None:
    bias = frechet_bias(min(len(real), len(fake)), real.shape[1])
    if bias:
        warnings.warn(bias, SmallSampleWarning, stacklevel=3)
