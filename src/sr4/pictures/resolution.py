"""How many pixels of a picture make an inch of its print."""

from __future__ import annotations

import math
from typing import NamedTuple

from PIL import Image

from sr4.pictures.png import Side

MOST = 1e7
"""What a number of pixels to an inch is below, in whatever file."""

_INCHES_A_METRE = 1 / 0.0254
_JFIF_UNITS = {1: 1.0, 2: 2.54}  # inches to the unit: inch, centimetre
_TIFF_TAGS = {282, 283}  # XResolution and YResolution


class Resolution(NamedTuple):
    """Pixels an inch along each axis; of no known length, but in this ratio, if not absolute."""

    across: float
    down: float
    is_absolute: bool = True

    def scaled(self, across: float, down: float) -> Resolution | None:
        """The resolution of a picture with as many times more pixels in the same print."""
        return checked(self.across * across, self.down * down, self.is_absolute)


def checked(across: float, down: float, is_absolute: bool = True) -> Resolution | None:
    """The resolution of these numbers; None if they are no positive ones, or say no more than that
    pixels are squares.
    """
    if not all(math.isfinite(one) and 0 < one < MOST for one in (across, down)):
        return None
    return Resolution(across, down, is_absolute) if is_absolute or across != down else None


def stated(image: Image.Image) -> Resolution | None:
    """The resolution of a file that Pillow has opened, by its format's own place: pHYs of a PNG,
    JFIF, tags of a TIFF, the header of a BMP.
    """
    info = image.info
    side = info.get("png")
    if isinstance(side, Side):
        if side.physical is None:
            return None
        *pair, unit = side.physical
        if unit != 1:
            return checked(pair[0], pair[1], is_absolute=False)
        return _of_metres(*(one / _INCHES_A_METRE for one in pair))
    if "jfif_density" in info:
        width, height = info["jfif_density"]
        unit = info.get("jfif_unit", 0)
        factor = _JFIF_UNITS.get(unit, 1.0)
        return checked(width * factor, height * factor, is_absolute=unit in _JFIF_UNITS)
    if image.format in ("JPEG", "MPO"):  # what Pillow says then is of EXIF, or its own
        return None
    if _is_of_pillow(image):
        return None
    for key, is_absolute in (("dpi", True), ("resolution", False), ("aspect", False)):
        if key in info:
            try:
                across, down = map(float, info[key])
            except (TypeError, ValueError, ZeroDivisionError):
                return None
            return _of_metres(across, down) if is_absolute else checked(across, down, False)
    return None


def _is_of_pillow(image: Image.Image) -> bool:
    """Whether a resolution is what Pillow says where tags of a TIFF are missing: one pixel an inch.
    Of a copy that was made of such a picture, the number alone is left.
    """
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return bool(image.info.get("dpi") == (1, 1))
    return not set(tags) >= _TIFF_TAGS


def _of_metres(across: float, down: float) -> Resolution | None:
    """Whole numbers an inch, where rounding to whole ones a metre has made fractions of them."""
    whole = [round(one) if abs(one - round(one)) < 0.013 else one for one in (across, down)]
    return checked(whole[0], whole[1])
