"""Results of any size: how often a model has to draw for one, and the last stage that makes it.

A model enlarges by its own factor. For another one it draws as often as needed, each time on its
own result, and what it drew is scaled down to the size wanted, or up if a tenth is missing at most,
then made to satisfy the evidence under the degradation from that size. What it draws on for the
last time is scaled down before, so that no more is drawn than what the result is made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sr4.degradation import SizedDegradation
from sr4.degradation.banded import resized
from sr4.degradation.bicubic import resize_rows
from sr4.degradation.sized import MARGIN, Window
from sr4.errors import PictureError, UsageError
from sr4.evidence.constraint import Constraint
from sr4.upscaling.row_window import RowWindow
from sr4.upscaling.tiling import BandedSampling

Floats = NDArray[np.float32]

_BAND_PIXELS = 2**21  # of a result, that are resized and fitted together
# By which what was drawn is enlarged by interpolation alone: to draw once more would take as many
# times longer as the model's factor squared, for detail that nobody sees.
_STRETCHED = 1.1
_MOST = 2**31  # a factor, or pixels along an axis, that can be computed with


@dataclass(frozen=True)
class SizeWanted:
    """The options that say how large a result is to be; without any, as the model makes it.

    Args:
        scale: the factor along both axes, at least 1.
        width: of the result; alone, its height follows.
        height: likewise.

    Raises:
        UsageError: impossible numbers, or a scale beside a width or height.
    """

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and (self.width is not None or self.height is not None):
            raise UsageError(
                "got a scale beside a width or a height; expected one of both: leave the other out"
            )
        if self.scale is not None and not (_is_number(self.scale) and 1 <= self.scale <= _MOST):
            raise UsageError(
                f"got scale {self.scale!r}; expected a factor of at least 1, such as 1.5, and "
                f"of at most {_MOST:,}"
            )
        for name, side in (("width", self.width), ("height", self.height)):
            if side is not None and not (_is_count(side) and side <= _MOST):
                raise UsageError(
                    f"got {name} {side!r}; expected a whole number of pixels, from 1 to {_MOST:,}"
                )

    def of(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height of the result for a picture; None for what the model makes.

        Raises:
            PictureError: the picture is larger than that.
        """
        if self.scale is not None:
            return _rounded(width * self.scale), _rounded(height * self.scale)
        if self.width is None and self.height is None:
            return None
        factor = (self.width or 0) / width or (self.height or 0) / height
        found = self.width or _rounded(width * factor), self.height or _rounded(height * factor)
        for name, given, wanted in zip(("width", "height"), (width, height), found, strict=True):
            if wanted < given:
                raise PictureError(
                    f"got a {name} of {wanted} for a picture of {width}x{height} pixels; expected "
                    f"at least {given}: pictures are enlarged here, scale it down with another tool"
                )
        return found


@dataclass(frozen=True)
class Size:
    """How a result gets its size.

    Attributes:
        repeats: how often the last model draws once more on its own result.
        before: width and height of what is drawn before the last time, or of the picture.
        taken: those that it is scaled down to.
        drawn: those of what is drawn at last.
        wanted: those of the result; None where it is what a model makes by itself.
    """

    repeats: int
    before: tuple[int, int]
    taken: tuple[int, int]
    drawn: tuple[int, int]
    wanted: tuple[int, int] | None

    @classmethod
    def plan(cls, wanted: SizeWanted, low: tuple[int, int], scales: Sequence[int]) -> Size:
        """The way in which the result of a picture gets its size.

        Args:
            low: its width and height.
            scales: of the models, in the order of their use.

        Raises:
            PictureError: the picture is larger than the result wanted, or models of scale 1 cannot
                make it.
        """
        scale, size, repeats = math.prod(scales), wanted.of(*low), 0
        own = (low[0] * scale, low[1] * scale)
        before = (own[0] // scales[-1], own[1] // scales[-1])
        if size is None or size == own:
            return cls(0, before, before, own, None)
        while any(_STRETCHED * side * scale < goal for side, goal in zip(low, size, strict=True)):
            if scales[-1] == 1:
                raise PictureError(
                    f"got a size of {size[0]}x{size[1]} for a picture of {low[0]}x{low[1]} pixels; "
                    f"expected at most {own[0]}x{own[1]} of a model of scale {math.prod(scales)}"
                )
            scale, repeats = scale * scales[-1], repeats + 1
        last, before = scales[-1], (low[0] * scale // scales[-1], low[1] * scale // scales[-1])
        taken = before
        if repeats:  # to no less than what the time before was drawn on
            width, height = (
                min(side, max(side // last, -(-goal // last)))
                for side, goal in zip(before, size, strict=True)
            )
            taken = (width, height)
        return cls(repeats, before, taken, (taken[0] * last, taken[1] * last), size)

    def degradation(self, low: tuple[int, int]) -> SizedDegradation | None:
        """D from the size wanted to the picture's; None where it is the models' own."""
        if self.wanted is None:
            return None
        (width, height), (low_width, low_height) = self.wanted, low
        return SizedDegradation((height, width), (low_height, low_width))


@dataclass(frozen=True)
class Resizing:
    """The last stage of a result of another size than its model makes.

    Large pictures are done in bands of rows: of each, what its low-res rows and some around them
    see is resized and fitted together.

    Args:
        degradation: D from the result's size.
        constraint: what the result has to satisfy; None for nothing.
    """

    degradation: SizedDegradation
    constraint: Constraint | None

    @property
    def bands(self) -> list[tuple[int, int]]:
        """The first row of each band of the result, and the one after its last."""
        places = (self.degradation.place(slice(*band))[0] for band in self._low_bands)
        return [(place.start, place.stop) for place in places]

    @property
    def _low_bands(self) -> list[tuple[int, int]]:
        height = self.degradation.low[0]
        row = math.prod(self.degradation.high) / height
        return list(pairwise([*range(0, height, max(1, int(_BAND_PIXELS / row))), height]))

    def whole(self, drawn: Floats) -> Floats:
        """The result (C, H, W) of a picture of any size, in [-1, 1]."""
        return np.concatenate(list(self.of(iter([drawn]), drawn.shape[1])), axis=1)

    def first_row(self, band: int, height: int) -> int:
        """The first row of a drawn picture of that height that a band of the result follows from,
        and those after it.
        """
        return self._under(*self._low_bands[band], height)[2].columns[0]

    def of(
        self, drawn: Iterator[Floats], height: int, start_row: int = 0, first_band: int = 0
    ) -> Iterator[Floats]:
        """The bands of the result.

        Args:
            drawn: bands (C, rows, W) of the picture; height: its rows in all.
            start_row: the first row of `drawn`; first_band: the number of the first band to make.
        """
        x, width = RowWindow(drawn, start_row), self.degradation.high[1]
        for start, stop in self._low_bands[first_band:]:
            (top, bottom), rows, window = self._under(start, stop, height)
            first, last = window.columns
            given, count = x.rows(first, last), rows.stop - rows.start
            picture = resized(given, window, count, width, across=resize_rows)
            picture = np.clip(picture, -1.0, 1.0)
            if self.constraint is not None:
                picture = self.constraint.rows(top, bottom).fit(picture)
            inside, _ = self.degradation.place(slice(start, stop))
            yield picture[:, inside.start - rows.start : inside.stop - rows.start]
            x.forget(first)

    def _under(self, start: int, stop: int, height: int) -> tuple[tuple[int, int], slice, Window]:
        """What a band of low-res rows is fitted with: low-res rows, those of the result that they
        see, and how these are resized from a drawn picture of that height.
        """
        margin = MARGIN + (self.constraint.degradation.reach if self.constraint is not None else 0)
        top, bottom = max(0, start - margin), min(self.degradation.low[0], stop + margin)
        if self.constraint is not None:
            top, bottom = self.constraint.allowed.around(top, bottom)
        _, (rows, _) = self.degradation.cut(slice(top, bottom))
        window = Window(resize_rows, height, self.degradation.high[0], rows.start, rows.stop)
        return (top, bottom), rows, window


@dataclass(frozen=True)
class ResizedSampling:
    """A sample drawn in bands, resized band by band; see `BandedSampling`."""

    sampling: BandedSampling
    resizing: Resizing

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result, (C, H, W)."""
        return (self.sampling.shape[0], *self.resizing.degradation.high)

    @property
    def bands(self) -> list[tuple[int, int]]:
        """The first row of each, and the one after its last."""
        return self.resizing.bands

    @property
    def tile(self) -> int:
        """The edge of the tiles that it is drawn in."""
        return self.sampling.tile

    def __iter__(self) -> Iterator[Floats]:
        """The result's bands (C, rows, W) in [-1, 1], those of `bands`."""
        return self.bands_from(0)

    def bands_from(self, first: int) -> Iterator[Floats]:
        """Those from one on, by its number; see `BandedSampling.bands_from`."""
        if first == len(self.bands):
            return iter(())
        sampling, height = self.sampling, self.sampling.shape[1]
        row = self.resizing.first_row(first, height)
        number = sum(stop <= row for _, stop in sampling.bands)
        drawn = sampling.bands_from(number)
        return self.resizing.of(drawn, height, sampling.bands[number][0], first)


AnySampling = BandedSampling | ResizedSampling


def _is_number(value: object) -> bool:
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        return False
    return math.isfinite(value)


def _is_count(value: object) -> bool:
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return is_whole and value >= 1  # type: ignore[operator]


def _rounded(side: float) -> int:
    """The nearest whole number; of two, the larger."""
    return math.floor(side + 0.5)
