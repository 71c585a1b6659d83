"""What a result says of the pixels of its input that it could not meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sr4.upscaling.thresholds import WORTH_SAYING

_AREA = 32  # pixels along each side of what counts as one place
_SMALL = 100  # pixels along the longer side, below which a place is no help to find it


def what_was_given_up(given_up: NDArray[np.bool_]) -> str:
    """How much, and in words where most of it lies, if that is one place of a large picture: the
    mean position of its pixels.

    Args:
        given_up: (h, w), which pixels of the input were not met.
    """
    count = np.add.reduceat(given_up, range(0, len(given_up), _AREA), axis=0)
    count = np.add.reduceat(count, range(0, count.shape[1], _AREA), axis=1)
    row, column = np.unravel_index(int(np.argmax(count)), count.shape)
    share = given_up.mean()
    # A smaller share would be told as none in a hundred.
    much = f"{share:.1%}" if share >= WORTH_SAYING else f"{given_up.sum():,}"
    where = ""
    if 2 * count[row, column] > given_up.sum() and max(given_up.shape) >= _SMALL:
        top, left = row * _AREA, column * _AREA
        y, x = np.nonzero(given_up[top : top + _AREA, left : left + _AREA])
        where = f", most of them around ({left + int(x.mean())}, {top + int(y.mean())})"
    return (
        f"{much} of its pixels could not be met to a level{where}: the nearest result without dots "
        "is taken"
    )
