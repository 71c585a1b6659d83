"""The table of metrics: what an evaluation computes, and how each score is told.

A new metric is a function, a row here and its test: evaluation, benchmark, ablation, validation,
reports and cards read this table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from sr4.evaluation import metrics
from sr4.evaluation.distances import (
    frechet_distance_interval,
    kernel_distance_interval,
    kernel_distance_shares,
)
from sr4.evaluation.metrics import Float64, Interval
from sr4.evaluation.observed import PEAK, Observed
from sr4.evaluation.perceptual import SMALLEST
from sr4.evaluation.set_words import (
    Compared,
    bias_caution,
    few_caution,
    frechet_protocol,
    kernel_protocol,
)

PSNR_LIMIT = 100.0  # dB; an exact result would make every mean infinite
CONSISTENCY_UNIT = 1e-5
_NOT_NEGATIVE = (0.0, math.inf)
_PERCENT = (0.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score of an evaluation.

    Args:
        field: its name in reports and JSON; title: its name in tables.
        unit: in tables, "" for none; description: unit and meaning, in full.
        higher_is_better: None where neither is.
        decimals: shown in tables.
        of_luma: whether it takes Y alone; None where there is no such choice.
        tables: where it stands in tables: in "all", in "long" ones, or in full reports alone ("").
        limits: the least and the greatest number that it can be, which intervals keep to.
    """

    field: str
    title: str
    unit: str = ""
    description: str
    higher_is_better: bool | None
    decimals: int
    of_luma: bool | None = None
    tables: str = ""
    limits: tuple[float, float] = (-math.inf, math.inf)

    def shown(self, value: float) -> str:
        """The score as tables show it."""
        return f"{value:.{self.decimals}f}"


@dataclass(frozen=True, kw_only=True)
class PictureMetric(Metric):
    """A score of single pictures, of which one number for the set is reported.

    Args:
        of: the scores of a batch, (B,), those that it cannot give not a number; None where it was
            not asked for.
        protocol: how it is computed.
        over: what makes that number; their mean unless said otherwise.
        of_some: whether it is made of the scores that there are; else of all or not at all.
        in_pictures: whether it is kept for each picture.
        in_validation: whether validation computes it while a model trains.
    """

    of: Callable[[Observed], Float64 | None]
    protocol: str = ""
    over: Callable[[Float64], Any] = np.mean
    of_some: bool = False
    in_pictures: bool = True
    in_validation: bool = False


@dataclass(frozen=True, kw_only=True)
class SetMetric(Metric):
    """A distance between the features of the results and of the originals, as sets.

    Args:
        network: of the features: "efflite0" or "inception".
        of: the distance with its interval, of features (N, F) of originals and results, by a seed
            and the picture that each is of.
        protocol: how it is computed.
        caution: what to know of so many features, and of their dimension; shares: of each picture,
            if any.
    """

    network: str
    of: Callable[..., Interval]
    protocol: Callable[[Compared], str]
    caution: Callable[[Compared, int], str | None] = lambda of, dimension: None
    shares: Callable[..., Float64] | None = None


def psnr(truth: Float64, result: Float64, *, luma: bool = False) -> Float64:
    """PSNR in dB as in `sr4.evaluation.metrics.psnr`, but at most 100."""
    return np.minimum(metrics.psnr(truth, result, luma=luma), PSNR_LIMIT)


def _perceptual(seen: Observed) -> Float64 | None:
    if seen.perceptual is None or not seen.is_rgb:
        return None
    if min(seen.truths.shape[1:3]) < SMALLEST:
        return np.full(len(seen.truths), np.nan)
    return seen.perceptual(seen.truths, seen.results)


def _coverage(percent: int) -> PictureMetric:
    return PictureMetric(
        field=f"coverage_{percent}",
        title=f"Coverage of {percent} %",
        unit="%",
        description=f"% of the values in their {percent} % interval",
        higher_is_better=None,  # the nearer to its level the better
        decimals=1,
        limits=_PERCENT,
        of=lambda seen: (
            None if seen.intervals is None else 100 * seen.intervals.coverage(percent / 100)
        ),
        protocol="share of the values of all pixels and channels, 8 bits, that lie in the "
        "calibrated interval around the mean of the samples; see docs/uncertainty.md",
    )


def _ssim_protocol() -> str:
    try:
        package = f"scikit-image {version('scikit-image')}"
    except PackageNotFoundError:
        package = "scikit-image"
    return (
        f"{package}; Gaussian window of {metrics.SSIM_WINDOW} pixels, sigma {metrics.SSIM_SIGMA}, "
        "population covariance, where the window is inside the picture; mean over the channels"
    )


_LUMA = "Y of ITU-R BT.601, 16 to 235, not rounded"
_OF_MEAN = "of the mean of the samples, rounded to 8 bits"

METRICS: tuple[PictureMetric | SetMetric, ...] = (
    PictureMetric(
        field="psnr",
        title="PSNR",
        unit="dB",
        description="dB, all channels",
        higher_is_better=True,
        decimals=2,
        limits=(0, PSNR_LIMIT),
        of_luma=False,
        tables="all",
        of=lambda seen: psnr(seen.truth, seen.result),
        protocol=f"mean over pictures; over all channels together; at most {PSNR_LIMIT:g} dB",
        in_validation=True,
    ),
    PictureMetric(
        field="psnr_luma",
        title="PSNR of Y",
        unit="dB",
        description="dB, Y of BT.601",
        higher_is_better=True,
        decimals=2,
        limits=(0, PSNR_LIMIT),
        of_luma=True,
        of=lambda seen: psnr(seen.truth, seen.result, luma=True) if seen.is_rgb else None,
        protocol=_LUMA,
    ),
    PictureMetric(
        field="psnr_mean",
        title="PSNR of the mean",
        unit="dB",
        description="dB, of the mean of the samples",
        higher_is_better=True,
        decimals=2,
        limits=(0, PSNR_LIMIT),
        of_luma=False,
        of=lambda seen: psnr(seen.truth, seen.mean) if len(seen.draws) > 1 else None,
        protocol=_OF_MEAN,
    ),
    PictureMetric(
        field="psnr_luma_mean",
        title="PSNR of Y of the mean",
        unit="dB",
        description="dB, Y of BT.601, of the mean of the samples",
        higher_is_better=True,
        decimals=2,
        limits=(0, PSNR_LIMIT),
        of_luma=True,
        of=lambda seen: (
            psnr(seen.truth, seen.mean, luma=True) if seen.is_rgb and len(seen.draws) > 1 else None
        ),
        protocol=_OF_MEAN,
    ),
    PictureMetric(
        field="ssim",
        title="SSIM",
        description="mean over the channels",
        higher_is_better=True,
        decimals=3,
        limits=(-1, 1),
        of_luma=False,
        tables="all",
        of=lambda seen: metrics.ssim(seen.truth, seen.result, luma=False),
        protocol=_ssim_protocol(),
    ),
    PictureMetric(
        field="ssim_luma",
        title="SSIM of Y",
        description="Y of BT.601",
        higher_is_better=True,
        decimals=3,
        limits=(-1, 1),
        of_luma=True,
        of=lambda seen: metrics.ssim(seen.truth, seen.result, luma=True) if seen.is_rgb else None,
        protocol=_LUMA,
    ),
    PictureMetric(
        field="consistency",
        title="Consistency",
        unit="× 1e-5",
        description="mean((D(result) - low_res)²) x 1e-5",
        higher_is_better=False,
        decimals=3,
        limits=_NOT_NEGATIVE,
        tables="all",
        of=lambda seen: metrics.consistency(*seen.degraded) / CONSISTENCY_UNIT,
        protocol="mean((D(result) - low_res)²) of values in [0, 1], x 1e-5; D without rounding",
        in_validation=True,
    ),
    PictureMetric(
        field="colour_drift",
        title="Colour drift",
        unit="8-bit levels",
        description="mean colour of D(result) - low_res, 8-bit levels",
        higher_is_better=False,
        decimals=2,
        limits=_NOT_NEGATIVE,
        tables="long",
        of=lambda seen: metrics.colour_drift(*seen.degraded) * PEAK,
        protocol="mean(D(result) - low_res) over the pixels, root mean square over R, G and B, in "
        "8-bit levels; D without rounding",
    ),
    PictureMetric(
        field="perceptual",
        title="Perceptual distance",
        description="distance in features of EfficientNet-Lite0, 0 to 4",
        higher_is_better=False,
        decimals=3,
        limits=(0, 4),
        tables="all",
        of=_perceptual,
    ),
    PictureMetric(
        field="diversity",
        title="Diversity",
        unit="8-bit levels",
        description="deviation between samples, in 8-bit levels",
        higher_is_better=None,
        decimals=2,
        limits=_NOT_NEGATIVE,
        of=lambda seen: (
            seen.levels.std(axis=0, ddof=1).mean(axis=(1, 2, 3)) if len(seen.draws) > 1 else None
        ),
        protocol="sample standard deviation of the samples, mean over pixels and channels",
    ),
    _coverage(50),
    _coverage(80),
    _coverage(95),
    PictureMetric(
        field="coverage_95_low",
        title="Coverage of 95 %, low",
        unit="%",
        description="% of the values in their 95 % interval, in the picture at the 5th percentile",
        higher_is_better=True,
        decimals=1,
        limits=_PERCENT,
        of=lambda seen: None if seen.intervals is None else 100 * seen.intervals.coverage(0.95),
        protocol="coverage_95 of the picture at the 5th percentile",
        over=lambda values: np.percentile(values, 5),
        in_pictures=False,
    ),
    PictureMetric(
        field="spread_rank",
        title="Spread and error",
        description="rank correlation of spread and error, -1 to 1",
        higher_is_better=True,
        decimals=3,
        limits=(-1, 1),
        of=lambda seen: None if seen.intervals is None else seen.intervals.rank,
        protocol="Spearman's correlation over the pixels of a picture of the smoothed deviation of "
        "its samples and of the error of their mean, mean over the channels; median over pictures",
        over=np.median,
        of_some=True,
    ),
    SetMetric(
        field="kid_efflite0",
        title="Kernel distance",
        unit="× 1000",
        description="kernel distance x 1000",
        higher_is_better=False,
        decimals=1,
        tables="all",
        network="efflite0",
        of=kernel_distance_interval,
        shares=kernel_distance_shares,
        protocol=kernel_protocol,
        caution=few_caution,
    ),
    SetMetric(
        field="fd_efflite0",
        title="Fréchet distance",
        description="Fréchet distance",
        higher_is_better=False,
        decimals=1,
        limits=_NOT_NEGATIVE,
        tables="long",
        network="efflite0",
        of=frechet_distance_interval,
        protocol=frechet_protocol,
        caution=bias_caution("kid_efflite0"),
    ),
    SetMetric(
        field="kid",
        title="KID",
        unit="× 1000",
        description="kernel distance x 1000, Inception v3",
        higher_is_better=False,
        decimals=1,
        tables="long",
        network="inception",
        of=kernel_distance_interval,
        shares=kernel_distance_shares,
        protocol=kernel_protocol,
        caution=few_caution,
    ),
    SetMetric(
        field="fid",
        title="FID",
        description="Fréchet distance, Inception v3",
        higher_is_better=False,
        decimals=1,
        limits=_NOT_NEGATIVE,
        tables="long",
        network="inception",
        of=frechet_distance_interval,
        protocol=frechet_protocol,
        caution=bias_caution("kid"),
    ),
)
"""All scores, in the order in which they are shown."""

FIELDS = {metric.field: metric for metric in METRICS}
OF_PICTURES = tuple(one for one in METRICS if isinstance(one, PictureMetric))
OF_SETS = tuple(one for one in METRICS if isinstance(one, SetMetric))
IN_PICTURES = tuple(one.field for one in OF_PICTURES if one.in_pictures)
