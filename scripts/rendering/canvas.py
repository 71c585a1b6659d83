"""A surface that is drawn larger than it ends, so that edges are as smooth as in real pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from rendering import fonts

Colour = tuple[int, int, int]
Point = tuple[float, float]

_FILTERS = (Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


class Canvas:
    """Draws in the final pixels' coordinates.

    With `factor` 1, shapes have hard edges, and text is as a screen shows it (`smooth_text`) or as
    a terminal without antialiasing does.
    """

    def __init__(self, size: int, factor: int, ground: Colour, *, smooth_text: bool = True) -> None:
        self.size, self.factor = size, factor
        self.image = Image.new("RGB", (size * factor, size * factor), ground)
        self._draw = ImageDraw.Draw(self.image)
        self._draw.fontmode = "L" if smooth_text or factor > 1 else "1"

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.factor, y * self.factor) for x, y in points]

    def _pen(self, width: float) -> int:
        return max(1, round(width * self.factor))

    def polygon(
        self,
        points: Sequence[Point],
        fill: Colour | None,
        line: Colour | None = None,
        width: float = 1,
    ) -> None:
        if fill is not None:
            self._draw.polygon(self._scaled(points), fill=fill)
        if line is not None:
            self.line([*points, points[0], points[1]], line, width)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 1) -> None:
        self._draw.line(self._scaled(points), fill=colour, width=self._pen(width), joint="curve")

    def rectangle(
        self,
        box: tuple[float, float, float, float],
        fill: Colour | None,
        line: Colour | None = None,
        width: float = 1,
        radius: float = 0,
    ) -> None:
        x0, y0, x1, y1 = (value * self.factor for value in box)
        corners = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))  # Pillow's include their last pixel
        pen = self._pen(width) if line is not None else 0
        self._draw.rounded_rectangle(corners, radius * self.factor, fill, line, pen)

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        fill: Colour | None,
        line: Colour | None = None,
        width: float = 1,
    ) -> None:
        (x, y), (a, b), f = centre, radii, self.factor
        box = ((x - a) * f, (y - b) * f, (x + a) * f, (y + b) * f)
        self._draw.ellipse(box, fill, line, self._pen(width) if line is not None else 0)

    def text(
        self, place: Point, text: str, font: Path, pixels: float, colour: Colour, anchor: str = "la"
    ) -> float:
        """Write a line; returns its width."""
        face = fonts.load(font, max(4, round(pixels * self.factor)))
        x, y = place
        self._draw.text(
            (x * self.factor, y * self.factor), text, fill=colour, font=face, anchor=anchor
        )
        return face.getlength(text) / self.factor

    def paste(self, picture: Image.Image, place: Point) -> None:
        self.image.paste(picture, (round(place[0] * self.factor), round(place[1] * self.factor)))

    def finish(self, rng: np.random.Generator) -> Image.Image:
        if self.factor == 1:
            return self.image
        return self.image.resize((self.size, self.size), _FILTERS[rng.integers(len(_FILTERS))])


def colour(rng: np.random.Generator) -> Colour:
    """Any colour: grey, pastel or saturated."""
    kind = rng.random()
    value = rng.integers(0, 256, 3)
    if kind < 0.2:
        value[:] = value[0]
    elif kind < 0.4:
        value = 160 + value * 95 // 255
    elif kind < 0.7:
        value[rng.permutation(3)[:2]] = (0, 255) if rng.random() < 0.5 else rng.integers(0, 256, 2)
    return int(value[0]), int(value[1]), int(value[2])


def luma(value: Colour) -> float:
    return 0.299 * value[0] + 0.587 * value[1] + 0.114 * value[2]


def ink_and_ground(rng: np.random.Generator) -> tuple[Colour, Colour]:
    """Two colours that can be told apart: black on white often, light on dark, coloured."""
    kind = rng.random()
    if kind < 0.3:
        pair: tuple[Colour, Colour] = ((0, 0, 0), (255, 255, 255))
    elif kind < 0.4:
        pair = ((255, 255, 255), (0, 0, 0))
    else:
        pair = colour(rng), colour(rng)
        while abs(luma(pair[0]) - luma(pair[1])) < 60:
            pair = colour(rng), colour(rng)
    return pair
