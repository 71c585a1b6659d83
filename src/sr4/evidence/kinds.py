"""The four kinds of evidence: what an input says about its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sr4.degradation.known import UNKNOWN, Known
from sr4.degradation.protocols import Degrades, Invertible
from sr4.errors import UsageError
from sr4.evidence import Kind
from sr4.evidence.boxes import JpegBoxes
from sr4.evidence.constraint import Constraint
from sr4.evidence.jpeg import (
    Tables,
    pixel_boxes,
    quality_of,
    quantisation_noise,
    subsampling_name,
)
from sr4.evidence.sets import BLOCK, LEVEL, ConvexSet, Everything, NoiseBox, PixelBox

Floats = NDArray[np.float32]
D = TypeVar("D", bound=Degrades)

_ROUNDING = 0.5  # of a step between values, by which the rounding of a file moves a pixel
_DEVIATIONS = 3.0  # of the noise of a coefficient that are taken for possible
_CLEAN = Known(0.0, None, 100.0)


@dataclass(frozen=True)
class Evidence:
    """What an input says about its picture; made by `exact`, `jpeg`, `noisy` and `nothing`.

    Attributes:
        kind: "exact" (the pixels), "jpeg" (the coefficients of its blocks), "noise" (the pixels, to
            a deviation) or "none".
        known: noise, blur and JPEG quality, as far as they are known or estimated.
        blur: deviation of the Gaussian that D begins with, in low-res pixels.
        subsampling: of a JPEG, such as "4:2:0".
        is_sharpened: whether the picture was sharpened, so that its finest detail binds less.
        notes: what was seen of the input that people may not expect of the kind, each a clause: why
            a wider set was taken than the one asked for, that it was compressed before, or that it
            shows no noise.
    """

    kind: Kind
    known: Known = UNKNOWN
    blur: float = 0.0
    subsampling: str | None = None
    is_sharpened: bool = False
    notes: tuple[str, ...] = ()
    # Of the pixels and a radius; or, where the file itself gives it, the set.
    _around: Callable[[Floats, float], ConvexSet] = field(default=PixelBox, repr=False)
    _radius: float = field(default=0.0, repr=False)
    _given: JpegBoxes | None = field(default=None, repr=False, compare=False)

    @property
    def constrains(self) -> bool:
        """Whether it says anything that a result could contradict."""
        return self.kind != "none"

    @property
    def is_of_clean_pixels(self) -> bool:
        """Whether the pixels are taken as they are, in the way of pictures that nothing happened to
        but downscaling.
        """
        return self.kind in ("exact", "none") and not self.blur

    def of_sharpened(self, note: str) -> Evidence:
        """What it says of a picture that was sharpened before it was saved: wider boxes of a JPEG,
        or such boxes around pixels.
        """
        found = replace(self, is_sharpened=True, notes=(*self.notes, note))
        if self._given is not None:
            return replace(found, _given=self._given.sharpened())
        return replace(found, kind="noise", _around=_sharpened_box)

    def allowed(self, low_res: Floats) -> ConvexSet:
        """The set that D x may lie in, for low_res (C, h, w) in [-1, 1].

        Raises:
            UsageError: it is the evidence of a file of another size.
        """
        if not self.constrains:
            return Everything()
        if self._given is None:
            return self._around(low_res, self._radius)
        if self._given.size != low_res.shape[-2:]:
            (height, width), (rows, columns) = self._given.size, low_res.shape[-2:]
            raise UsageError(
                f"got the evidence of a picture of {width}x{height} pixels for one of "
                f"{columns}x{rows}; expected that of the same picture: give it by name, as 'auto'"
            )
        if self._given.colour == "ycc" and low_res.shape[-3] == 1:
            # Of a colour alone, in which a model of grey takes the picture, boxes of luma and
            # differences say little.
            deviation = quantisation_noise([self._given.planes[0].table])
            return NoiseBox(low_res, _DEVIATIONS * deviation * LEVEL)
        return self._given

    def measured(self, low_res: Floats) -> ConvexSet:
        """The set that consistency is the distance to; without evidence that of the pixels."""
        return self.allowed(low_res) if self.constrains else PixelBox(low_res, 0.0)

    def degradation(self, plain: D) -> D:
        """D with the blur, given the one of a model or of a cascade."""
        return plain.blurred(self.blur) if self.blur else plain

    def constraint(self, low_res: Floats, plain: Invertible) -> Constraint:
        """What results for low_res have to satisfy, given the D of a model."""
        return Constraint(self.degradation(plain), self.allowed(low_res))

    @property
    def numbers(self) -> Mapping[str, Any]:
        """Kind and the numbers used, for JSON; a quality of JPEG alone."""
        found: dict[str, Any] = {"kind": self.kind}
        if self.constrains:
            found |= {"noise": self.known.noise, "blur": self.blur}
        if self.kind == "jpeg":
            found["quality"] = self.known.quality
        if self.subsampling is not None:
            found["subsampling"] = self.subsampling
        if self.is_sharpened:
            found["sharpened"] = True
        if self.notes:
            found["notes"] = list(self.notes)
        return {key: value for key, value in found.items() if value is not None}

    def __str__(self) -> str:
        details = []
        if self.subsampling is not None:
            details += [f"quality {self.known.quality:.0f}", self.subsampling]
        if self.known.noise and self.constrains:
            details.append(f"noise of {self.known.noise:.1f} levels")
        if self.blur and self.constrains:
            details.append(f"blur of {self.blur:.2f} pixels")
        if self.is_sharpened:
            details.append("sharpened")
        return self.kind + (f" ({', '.join(details)})" if details else "")


def _sharpened_box(low_res: Floats, _: float) -> JpegBoxes:
    """What pixels may have been before they were sharpened, as blocks that begin at the first."""
    steps = np.ones((BLOCK, BLOCK))
    return pixel_boxes(low_res, (steps,), (1, 1), is_decoded=False).sharpened()


def exact(step: float = LEVEL, *, known: Known = _CLEAN, blur: float = 0.0) -> Evidence:
    """The pixels themselves. Where D begins with a blur, they may be off by what rounding did, as
    the inverse of a blur would make noise of that; floats by as much as 8 bits, as most were that
    once, or hold noise of that size.

    Args:
        step: between the values that pixels can have, on the [-1, 1] scale; 0 for floats.
    """
    return Evidence("exact", known, blur, _radius=_ROUNDING * (step or LEVEL) if blur else 0.0)


def jpeg(
    boxes: JpegBoxes, tables: Tables, *, known: Known = UNKNOWN, blur: float = 0.0
) -> Evidence:
    """The boxes of a JPEG file, widened by the noise that was there before it was compressed, if
    that is known.

    Args:
        tables: of luma and colour; the quality that is known follows from them.
    """
    known = known._replace(quality=float(quality_of(tables)))
    wider = boxes.widened(known.noise) if known.noise else boxes
    return Evidence("jpeg", known, blur, subsampling_name(boxes), _given=wider)


def noisy(
    deviation: float, *, known: Known = UNKNOWN, blur: float = 0.0, notes: tuple[str, ...] = ()
) -> Evidence:
    """The pixels, to a deviation in levels of 255."""
    radius = _DEVIATIONS * deviation * LEVEL
    return Evidence("noise", known, blur, notes=notes, _around=NoiseBox, _radius=radius)


def nothing(known: Known = UNKNOWN) -> Evidence:
    """No evidence: results may be anything."""
    return Evidence("none", known)
