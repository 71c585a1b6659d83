"""Colours of pixels that are not seen, or hardly, taken from those nearby."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_NEAR = np.exp(-0.5 * np.arange(-2, 3, dtype=np.float32) ** 2)  # weights of pixels around one


def filled(unit: Floats, seen: Floats) -> Floats:
    """Pixels (N, H, W) with those that are not seen, (H, W) in {0, 1}, filled from those nearby:
    means of ever larger surroundings, the smallest that has something to be seen (a pyramid, as in
    Gortler et al. 1996, "The Lumigraph", section 3.4, "pull-push").
    """
    if seen.all() or min(seen.shape) < 1:
        return unit
    height, width = seen.shape
    pad = ((0, height % 2), (0, width % 2))
    weights = np.pad(seen, pad)
    sums = np.pad(unit * seen, ((0, 0), *pad))
    coarse_weights = _halves(weights)
    coarse = _halves(sums) / np.maximum(coarse_weights, np.float32(1e-12))
    nearby = filled(coarse, (coarse_weights > 0).astype(np.float32))
    around = nearby.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    found: Floats = np.where(seen > 0, unit, around)
    return found


def towards_the_seen(unit: Floats, seen: Floats) -> Floats:
    """Pixels (N, H, W) whose colours come the nearer to those around, the less is to be seen of
    them, (H, W) in [0, 1], beside these. What is not to be seen at all, and what is as much to be
    seen as all around, stays.
    """
    reach = len(_NEAR) // 2
    most = _along_both_axes(seen, reach, lambda parts: np.max(parts, axis=0))
    own = (seen / np.maximum(most, np.float32(1e-12))) ** 3
    own[seen == 0] = 1
    if own.min() == 1:
        return unit
    weights = seen**3
    sums = _along_both_axes(unit * weights, reach, _weighted)
    around = sums / np.maximum(_along_both_axes(weights, reach, _weighted), np.float32(1e-12))
    found: Floats = around + own * (unit - around)
    found[:, own == 1] = unit[:, own == 1]
    return found


def _weighted(parts: list[Floats]) -> Floats:
    found: Floats = sum(weight * part for weight, part in zip(_NEAR, parts, strict=True))
    return found


def _along_both_axes(x: Floats, reach: int, joined: Callable[[list[Floats]], Floats]) -> Floats:
    """What is made of each pixel (..., H, W) and those beside it along columns, then along rows;
    the outermost are repeated.
    """
    for axis in (-2, -1):
        moved = np.moveaxis(x, axis, 0)
        length = len(moved)
        places = [
            np.clip(np.arange(length) + step, 0, length - 1) for step in range(-reach, reach + 1)
        ]
        x = np.moveaxis(joined([moved[place] for place in places]), 0, axis)
    return x


def _halves(x: Floats) -> Floats:
    """Sums of 2x2 pixels."""
    found: Floats = x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
    return found
