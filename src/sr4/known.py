"""What is known of how a low-res picture came to be."""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """What happened to a picture besides the downscaling; None where nobody knows.

    Attributes:
        noise: deviation of the noise, in levels of 255; 0 = none.
        blur: deviation of the Gaussian blur before the downscaling, in pixels of `low_res`.
        quality: of its JPEG compression, 1 to 100 on the scale of the Independent JPEG Group;
            100 = never compressed.
    """

    noise: float | None = None
    blur: float | None = None
    quality: float | None = None
