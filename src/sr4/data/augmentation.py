"""Training pictures turned, enlarged and moved, so that a model knows more than one framing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform

from sr4.data.decoded import Pixels


@dataclass(frozen=True)
class Augmentation:
    """Draws how a picture is cropped to a square, mirrored, turned, enlarged and moved.

    What a turned or moved picture lacks at its borders is its own mirror image.

    Args:
        flip: mirror half of the pictures left to right.
        share: of the pictures that are turned, enlarged and moved; the others are only cropped.
        rotation: the largest turn either way, in degrees.
        zoom: the largest enlargement; small ones are as likely as large ones, by their logarithm.
        shift: the largest shift along each axis, in parts of the edge, before it is enlarged.
    """

    flip: bool = True
    share: float = 0.0
    rotation: float = 20.0
    zoom: float = 2.0
    shift: float = 0.1

    def __call__(self, pixels: Pixels, size: int, random: np.random.Generator) -> Pixels:
        """(H, W, C) to (size, size, C); H and W are at least size. All is always drawn, so
        that one setting does not change what the others draw.
        """
        vertical, horizontal, coin = random.random(3)
        is_changed, turn, zoom, right, down = random.random(5)
        height, width = pixels.shape[:2]
        top, left = int(vertical * (height - size + 1)), int(horizontal * (width - size + 1))
        if is_changed < self.share:
            centre = (left + size / 2, top + size / 2)
            angle = math.radians(self.rotation * (2 * turn - 1))
            moved = size * self.shift * (2 * right - 1), size * self.shift * (2 * down - 1)
            pixels = _transformed(pixels, size, centre, angle, self.zoom**zoom, moved)
        else:
            pixels = pixels[top : top + size, left : left + size]
        return pixels[:, ::-1] if self.flip and coin < 0.5 else pixels


def _transformed(
    pixels: Pixels,
    size: int,
    centre: tuple[float, float],
    angle: float,
    zoom: float,
    shift: tuple[float, float],
) -> Pixels:
    """The square around a centre (x, y), turned by an angle in radians, enlarged, and moved by
    (x, y) pixels; by cubic splines.
    """
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    # From a pixel (row, column) of the result to where it comes from.
    matrix = np.array([[cos, -sin], [sin, cos]])
    middle = np.full(2, (size - 1) / 2)
    origin = np.array([centre[1] - 0.5 - shift[1], centre[0] - 0.5 - shift[0]]) - matrix @ middle
    planes = [
        affine_transform(
            np.asarray(plane, np.float32), matrix, origin, (size, size), order=3, mode="reflect"
        )
        for plane in np.moveaxis(pixels, 2, 0)
    ]
    found: Pixels = np.stack(planes, axis=2)
    if pixels.dtype == np.uint8:
        found = np.rint(np.clip(found, 0, 255)).astype(np.uint8)
    else:
        found = np.clip(found, -1.0, 1.0)
    return found
