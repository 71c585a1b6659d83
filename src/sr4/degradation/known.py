"""What is known of how a picture was degraded, as networks are told it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# What brings the usual values to about [0, 1].
_NOISE_UNIT = 16.0  # levels of 255
_BLUR_UNIT = 1.0  # pixels of low_res
_QUALITY_UNIT = 70.0  # below 100


class Known(NamedTuple):
    """The degradation of a `low_res` picture beyond the operator D, as far as it is known: from
    its file, by an estimate, or because somebody says so. None stands for what is not known.

    Attributes:
        noise: standard deviation, in levels of 255; 0 for none.
        blur: deviation of a Gaussian, in pixels of `low_res`; 0 for none.
        quality: of its JPEG compression, 1 to 100 on the scale of the Independent JPEG Group; 100
            for a picture that was never compressed.
    """

    noise: float | None = None
    blur: float | None = None
    quality: float | None = None

    def vector(self) -> NDArray[np.float32]:
        """The vector (6,) that a network is given: for each quantity a number from about 0 (clean)
        to 1 and whether it is known, both 0 if it is not.
        """
        loss = None if self.quality is None else 100.0 - self.quality
        found = np.zeros((3, 2), np.float32)
        for row, value, unit in (
            (0, self.noise, _NOISE_UNIT),
            (1, self.blur, _BLUR_UNIT),
            (2, loss, _QUALITY_UNIT),
        ):
            if value is not None:
                found[row] = value / unit, 1.0
        return found.ravel()


KNOWN_LENGTH = Known().vector().size
"""Of the vector that networks are given."""

UNKNOWN = Known()
CLEAN = Known(noise=0.0, blur=0.0, quality=100.0)
"""A picture that D alone has made."""
