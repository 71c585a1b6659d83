"""Pixels that are not seen, filled from those nearby."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


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


def _halves(x: Floats) -> Floats:
    """Sums of 2x2 pixels."""
    found: Floats = x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
    return found
