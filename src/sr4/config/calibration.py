"""Settings of intervals: what makes a pixel's interval of samples, and what it was fitted on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from sr4.config.base import Settings
from sr4.config.names import CorruptionName
from sr4.config.sampling import SamplingSettings

_Factor = Annotated[float, Field(ge=0, le=1e6)]


LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""The levels that calibrations are fitted for."""


class HalfSplit(Settings):
    """What intervals fitted on every second picture did on the others, by the most samples.

    Attributes:
        samples: of each picture.
        coverage_50, coverage_80, coverage_95: share of the pixels' values that lay inside.
        coverage_95_low: that of the 95 % interval in the picture at the 5th percentile.
        uncalibrated_95: what 1.96 deviations to each side of the mean held.
        spread_rank: Spearman's correlation of deviation and error, median over the pictures.
    """

    samples: int = Field(ge=2)
    coverage_50: float = Field(ge=0, le=1)
    coverage_80: float = Field(ge=0, le=1)
    coverage_95: float = Field(ge=0, le=1)
    coverage_95_low: float = Field(ge=0, le=1)
    uncalibrated_95: float = Field(ge=0, le=1)
    spread_rank: float | None = Field(ge=-1, le=1)


class Calibration(Settings):
    """What makes intervals of samples, for pictures like those that it was fitted on.

    The interval of a value is the mean of the samples, give or take a factor times their deviation
    after smoothing, to which `floor` is added.

    Attributes:
        data: file or folder names of the pictures it was fitted on; sha256: of their names without
            suffix and their 8-bit pixels; count: how many there were.
        corruption: what their low-resolution versions went through.
        sampling: how the samples were drawn, which is all that it holds for.
        smoothing: deviation of the Gaussian that smooths the map of deviations, in pixels.
        floor: added to it, in levels of 255.
        levels: shares of values that are to lie inside, rising.
        factors: for each of the levels, by the number of samples.
        check: what came of it on pictures that had no part in it.
    """

    data: tuple[str, ...] = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    count: int = Field(ge=2)
    corruption: CorruptionName = "none"
    sampling: SamplingSettings
    smoothing: float = Field(ge=0, le=64)
    floor: float = Field(gt=0, le=255)
    levels: tuple[float, ...] = Field(min_length=1)
    factors: Mapping[int, tuple[_Factor, ...]] = Field(min_length=1)
    check: HalfSplit

    @model_validator(mode="after")
    def _rises(self) -> Calibration:
        rows = [(0.0, *self.levels, 1.0), *self.factors.values()]
        is_rising = all(a < b for a, b in pairwise(rows[0]))
        is_rising = is_rising and all(a <= b for row in rows[1:] for a, b in pairwise((0.0, *row)))
        if not is_rising or any(len(row) != len(self.levels) for row in rows[1:]):
            raise ValueError(
                f"got levels {list(self.levels)} and factors {dict(self.factors)}; expected rising "
                "levels between 0 and 1, with a factor each that falls nowhere: calibrate again"
            )
        if min(self.factors) < 2:
            raise ValueError("got factors for 1 sample; expected at least 2: calibrate again")
        return self

    @property
    def data_name(self) -> str:
        """The pictures in words, such as "400 pictures of val.tar"."""
        degraded = "" if self.corruption == "none" else f", degraded as a {self.corruption}"
        return f"{self.count:,} pictures of {' and '.join(self.data)}{degraded}"

    @property
    def key(self) -> str:
        """What tells it from others, 16 hexadecimal digits."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
