"""Intervals of pixels, fitted on pictures whose truth is known, and what they held.

The score of a value is how far the truth lies from the mean of the samples, in deviations. The
factor of a level is the conformal quantile of the scores of all values of all pictures
(Papadopoulos et al. 2002, "Inductive confidence machines for regression"; for pictures
Angelopoulos et al. 2022, "Image-to-image regression with distribution-free uncertainty
quantification"). Scores are counted in bins, so that memory does not grow with the size of the
pictures.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from sr4.config import Calibration, CorruptionName, HalfSplit, SamplingSettings
from sr4.config.calibration import LEVELS
from sr4.errors import UsageError
from sr4.evaluation.metrics import Float64
from sr4.evaluation.spread import Pixels, Spread, spread_rank
from sr4.files.paths import plain
from sr4.upscaling.intervals import deviation

SMOOTHING = 2.0  # pixels
FLOOR = 1.0  # levels of 255; docs/uncertainty.md tells how both were chosen
FEW = 100  # pictures below which a calibration hangs on which ones they are
_LOW = 5  # percentile over pictures

# Of the bins that scores are counted in, evenly spaced in their logarithm.
_BINS = 2048
_LEAST, _MOST = 1e-2, 1e3
_EDGES = np.geomspace(_LEAST, _MOST, _BINS + 1).round(6)


@dataclass
class Calibrator:
    """Fits intervals on pictures, batch by batch.

    Args:
        samples: of each picture; factors are fitted for the powers of two up to it.

    Raises:
        UsageError: fewer than 2.
    """

    samples: int
    _pictures: dict[int, list[NDArray[np.uint32]]] = field(default_factory=dict)  # counts of scores
    _uncalibrated: list[float] = field(default_factory=list)
    _ranks: list[float] = field(default_factory=list)
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise UsageError(
                f"got {self.samples} sample to calibrate with; expected at least 2, such as 16"
            )

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of samples that factors are fitted for."""
        return tuple(2**power for power in range(1, self.samples.bit_length()))

    def add(self, names: Sequence[str], truths: Pixels, spreads: Mapping[int, Spread]) -> None:
        """Pictures (B, H, W, C) in 8 bits, and the spread of their samples by their number."""
        for name, truth in zip(names, truths, strict=True):
            stem = PurePosixPath(name).with_suffix("")
            self._digest.update(f"{plain(str(stem))}\n{truth.shape}\n".encode())
            self._digest.update(np.ascontiguousarray(truth).data)
        for count in self.counts:
            spread = spreads[count]
            deviations = deviation(spread.uncertainty, smoothing=SMOOTHING, floor=FLOOR)
            errors = spread.errors(truths)
            scores = errors / deviations[..., None]
            self._pictures.setdefault(count, []).extend(map(_counted, scores))
            if count == self.counts[-1]:
                self._uncalibrated.extend(spread.uncalibrated_coverage(truths))
                self._ranks.extend(spread_rank(deviations, errors))

    def calibration(
        self, data: Sequence[str], corruption: CorruptionName, sampling: SamplingSettings
    ) -> Calibration:
        """What was fitted on all pictures, with the check of one half by the other.

        Args:
            data: where the pictures come from, of which names alone are kept.

        Raises:
            UsageError: there are fewer than 2 pictures.
        """
        count = len(self._ranks)
        if count < 2:
            raise UsageError(
                f"got {count} picture to calibrate on; expected at least 2, and {FEW} for factors "
                "that hold: give more"
            )
        return Calibration(
            data=tuple(Path(os.path.abspath(one)).name for one in data),
            sha256=self._digest.hexdigest(),
            count=count,
            corruption=corruption,
            sampling=sampling,
            smoothing=SMOOTHING,
            floor=FLOOR,
            levels=LEVELS,
            factors={
                samples: fitted(np.sum(one, axis=0)) for samples, one in self._pictures.items()
            },
            check=self._check(),
        )

    def _check(self) -> HalfSplit:
        """All of the pictures at odd places alone, by factors for the others."""
        most = self.counts[-1]
        pictures = np.stack(self._pictures[most]).astype(np.float64)
        others = pictures[1::2]
        factors = dict(zip(LEVELS, fitted(pictures[::2].sum(axis=0)), strict=True))
        covered = {level: _below(others, factors[level]) for level in (0.5, 0.8, 0.95)}
        ranks = np.array(self._ranks[1::2])
        known = ranks[~np.isnan(ranks)]
        return HalfSplit(
            samples=most,
            coverage_50=covered[0.5].mean(),
            coverage_80=covered[0.8].mean(),
            coverage_95=covered[0.95].mean(),
            coverage_95_low=np.percentile(covered[0.95], _LOW),
            uncalibrated_95=float(np.mean(self._uncalibrated[1::2])),
            spread_rank=float(np.median(known)) if known.size else None,
        )


def _counted(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """How many scores of a picture lie in each bin, up to its upper edge; those below the first in
    it, those above the last in one more.
    """
    places = np.searchsorted(_EDGES[1:], scores.ravel(), side="left")
    return np.bincount(places, minlength=_BINS + 1).astype(np.uint32)


def fitted(counts: NDArray[np.integer] | Float64) -> tuple[float, ...]:
    """The conformal quantile of scores for each level: of n, the `ceil((n + 1) level)`th smallest,
    at the upper edge of its bin.

    Args:
        counts: of the scores by bin.
    """
    below = np.cumsum(counts.astype(np.float64))
    total = below[-1]
    ranks = [min(total, math.ceil((total + 1) * level)) for level in LEVELS]
    places = np.searchsorted(below, ranks, side="left")
    return tuple(float(_EDGES[min(place + 1, _BINS)]) for place in places)


def _below(counts: Float64, factor: float) -> Float64:
    """Share of the scores of each picture that are at most a factor, which is an edge of bins."""
    place = int(np.searchsorted(_EDGES[1:], factor, side="left"))
    return np.asarray(counts[:, : place + 1].sum(axis=1) / counts.sum(axis=1))
