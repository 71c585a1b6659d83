"""Previews: small pictures of what is being drawn, for whoever looks on."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sr4.batch.in_work import InWork
    from sr4.batch.plan import PlannedPicture
    from sr4.diffusion.samplers import Step
    from sr4.pictures import Picture

SIDE = 768  # pixels along the longer side, at most
MOST_BYTES = 64_000
PAUSE = 1.0  # seconds between two, at least
_QUALITIES = (75, 40, 10)  # of WebP, until the bytes suffice
_ICC_BYTES = 8_000  # of a colour profile that a preview carries


class Previews:
    """Makes previews of grey and RGB pictures that are drawn alone, at most one a second.

    Args:
        is_wanted: whether somebody looks on at a picture; asked after each step. Where nobody does,
            nothing is made.
    """

    def __init__(self, is_wanted: Callable[[PlannedPicture], bool]) -> None:
        self._is_wanted = is_wanted
        self._last = -math.inf

    def of(self, group: Sequence[InWork], step: Step) -> bytes | None:
        """A WebP file of what there is after a step, transparent where there is nothing yet; None
        where none is due.
        """
        if len(group) > 1 or step.preview is None or monotonic() - self._last < PAUSE:
            return None
        (one,) = group
        if one.picture is None or len(one.picture.frames) > 1:
            return None
        is_colour = one.picture.frames[0].colour in ("grey", "rgb")
        if not (is_colour and self._is_wanted(one.planned) and features.check("webp")):
            return None
        found = encoded(step.preview(SIDE), one.picture)
        self._last = monotonic()
        return found


def encoded(unit: NDArray[np.float32], given: Picture) -> bytes:
    """A WebP file of at most `MOST_BYTES`.

    Args:
        unit: (N, h, w) in [-1, 1] with NaN where nothing is there yet, N being 1 or 3.
        given: the picture that it becomes of, whose transparency and colours it takes.
    """
    raster, icc = given.frames[0], given.metadata.icc
    if raster.colour == "grey":
        unit = unit.mean(axis=0, keepdims=True)
    is_there = np.isfinite(unit).all(axis=0)
    colours = _bytes(np.where(is_there, unit, -1))
    small = Image.fromarray(np.moveaxis(np.broadcast_to(colours, (3, *is_there.shape)), 0, 2))
    alpha = Image.fromarray(255 * is_there.astype(np.uint8))
    if raster.unit_alpha is not None:
        seen = Image.fromarray(_bytes(raster.unit_alpha[0])).resize(small.size)
        alpha = Image.fromarray(np.asarray(seen) * is_there)
    small.putalpha(alpha)
    profile = icc if icc is not None and len(icc) <= _ICC_BYTES and raster.colour == "rgb" else None
    while True:
        for quality in _QUALITIES:
            file = io.BytesIO()
            small.save(file, "WEBP", quality=quality, method=1, icc_profile=profile)
            if file.tell() <= MOST_BYTES:
                return file.getvalue()
        small = small.reduce(2)


def _bytes(unit: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[0, 255] of [-1, 1]."""
    levels: NDArray[np.uint8] = np.rint((np.clip(unit, -1, 1) + 1) * 127.5).astype(np.uint8)
    return levels
