"""Text: prose, single words, user interfaces, program listings, tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rendering.canvas import Canvas, Colour, colour, ink_and_ground, luma
from rendering.fonts import Fonts, number, word
from rendering.fonts import words as some_words


def _canvas(rng: np.random.Generator, size: int, ground: Colour) -> Canvas:
    """As a screen draws it most of the time; else as a document that was scaled down."""
    factor = int(rng.choice([1, 2, 3, 4], p=[0.6, 0.15, 0.1, 0.15]))
    return Canvas(size, factor, ground, smooth_text=rng.random() < 0.85)


def _size(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def paragraph(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    ink, ground = ink_and_ground(rng)
    canvas = _canvas(rng, size, ground)
    alphabet = fonts.pick_alphabet(rng)
    font, pixels = fonts.pick(rng, alphabet), _size(rng, 8, 28)
    left, y = rng.uniform(-40, 20), rng.uniform(-20, 20)
    if rng.random() < 0.4:  # a heading
        heading = pixels * rng.uniform(1.4, 2.2)
        canvas.text(
            (left, y), some_words(rng, alphabet, 4), fonts.pick(rng, alphabet), heading, ink
        )
        y += heading * 1.5
    spacing = rng.uniform(1.1, 1.7)
    columns = 2 if pixels < 12 and rng.random() < 0.4 else 1
    for column in range(columns):
        x, row, width = left + column * size / columns, y, size / columns - 12
        while row < size:
            end = x
            while end < x + width:
                end += canvas.text((end, row), word(rng, alphabet) + " ", font, pixels, ink)
            row += pixels * (spacing if rng.random() < 0.92 else 2 * spacing)
    return canvas.finish(rng)


def words(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """Few words of any size, colour and turn, as on signs and covers."""
    ink, ground = ink_and_ground(rng)
    canvas = _canvas(rng, size, ground)
    if rng.random() < 0.4:
        canvas.ellipse(tuple(rng.uniform(0, size, 2)), tuple(rng.uniform(20, size, 2)), colour(rng))
    for _ in range(int(rng.integers(3, 14))):
        alphabet, pixels = fonts.pick_alphabet(rng), _size(rng, 12, 60)
        place = rng.uniform(-30, size - 40), rng.uniform(-10, size - 10)
        shade = ink if rng.random() < 0.6 else colour(rng)
        text = some_words(rng, alphabet, int(rng.integers(1, 3)))
        if rng.random() < 0.25 and canvas.factor > 1:
            layer = Canvas(size, canvas.factor, (0, 0, 0))
            layer.text(
                (size / 2, size / 2), text, fonts.pick(rng, alphabet), pixels, (255,) * 3, "mm"
            )
            mask = layer.image.convert("L").rotate(rng.uniform(-90, 90), Image.Resampling.BICUBIC)
            canvas.image.paste(shade, (0, 0), mask)
        else:
            canvas.text(place, text, fonts.pick(rng, alphabet), pixels, shade)
    return canvas.finish(rng)


def screen(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """Windows with a title bar, buttons, fields and lists, in one theme."""
    dark = rng.random() < 0.4
    ground: Colour = (30, 32, 36) if dark else (240, 240, 242)
    ink: Colour = (225, 225, 225) if dark else (20, 20, 20)
    accent, font, pixels = colour(rng), fonts.pick(rng), _size(rng, 9, 17)
    canvas = _canvas(rng, size, colour(rng))
    radius = float(rng.choice([0, 0, 3, 6]))
    for _ in range(int(rng.integers(2, 5))):
        x0, y0 = rng.uniform(-60, size * 0.4, 2).round()
        x1, y1 = (x0 + rng.uniform(120, size)).round(), (y0 + rng.uniform(100, size)).round()
        edge = colour(rng)
        canvas.rectangle((x0, y0, x1, y1), ground, edge, 1, radius)
        bar = round(pixels * 1.8)
        canvas.rectangle((x0, y0, x1, y0 + bar), accent, None, 1, radius)
        title: Colour = (0, 0, 0) if luma(accent) > 130 else (255, 255, 255)
        canvas.text((x0 + 8, y0 + bar / 2), some_words(rng, "latin", 2), font, pixels, title, "lm")
        for k in range(3):
            canvas.ellipse((x1 - 10 - 14 * k, y0 + bar / 2), (4, 4), colour(rng))
        y = y0 + bar + 6
        while y < y1 - bar:
            _widget(rng, canvas, (x0 + 8, y, x1 - 8, y + bar), font, pixels, (ink, ground, accent))
            y += bar + round(rng.uniform(2, 8))
    return canvas.finish(rng)


def _widget(
    rng: np.random.Generator,
    canvas: Canvas,
    box: tuple[float, float, float, float],
    font: Path,
    pixels: float,
    theme: tuple[Colour, Colour, Colour],
) -> None:
    ink, ground, accent = theme
    x0, y0, x1, y1 = box
    middle = (y0 + y1) / 2
    kind = rng.integers(5)
    if kind == 0:  # buttons
        for k in range(int(rng.integers(1, 4))):
            left = x0 + 78 * k
            fill = accent if rng.random() < 0.3 else ground
            canvas.rectangle((left, y0, left + 70, y1), fill, ink, 1, float(rng.choice([0, 4])))
            shade: Colour = (0, 0, 0) if luma(fill) > 130 else (255, 255, 255)
            canvas.text((left + 35, middle), word(rng, "latin", 6), font, pixels, shade, "mm")
    elif kind == 1:  # a box or circle to tick, with its words
        canvas.rectangle((x0, middle - 6, x0 + 12, middle + 6), None, ink, 1)
        if rng.random() < 0.5:
            canvas.line([(x0 + 2, middle), (x0 + 5, middle + 4), (x0 + 10, middle - 4)], accent, 2)
        canvas.text((x0 + 18, middle), some_words(rng, "latin", 3), font, pixels, ink, "lm")
    elif kind == 2:  # a field
        canvas.rectangle((x0, y0, x1, y1), (255, 255, 255), (128, 128, 128), 1)
        canvas.text((x0 + 4, middle), some_words(rng, "latin", 2), font, pixels, (0, 0, 0), "lm")
    elif kind == 3:  # progress
        canvas.rectangle((x0, middle - 4, x1, middle + 4), (160, 160, 160), None)
        canvas.rectangle(
            (x0, middle - 4, x0 + (x1 - x0) * rng.uniform(0.1, 0.9), middle + 4), accent, None
        )
    else:
        canvas.text((x0, middle), some_words(rng, "latin", 6), font, pixels, ink, "lm")


def listing(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """Coloured lines of a program or a terminal."""
    _, ground = ink_and_ground(rng)
    light = luma(ground) < 128
    canvas, font, pixels = _canvas(rng, size, ground), fonts.pick(rng), _size(rng, 8, 20)
    palette = [_apart(rng, light) for _ in range(4)]
    y = rng.uniform(-10, 5)
    tokens = ("(", ")", "[0]", "=", "+", "{", "}", ";", "->", "//", "!=", "&&", ".", "#", "*")
    while y < size:
        x = 4 + 2 * pixels * rng.integers(0, 4)
        for _ in range(int(rng.integers(0, 8))):
            text = tokens[rng.integers(len(tokens))] if rng.random() < 0.4 else word(rng, "latin")
            x += canvas.text((x, y), text + " ", font, pixels, palette[rng.integers(4)])
        y += round(pixels * 1.3)
    return canvas.finish(rng)


def _apart(rng: np.random.Generator, light: bool) -> Colour:
    """A colour of the light or of the dark half."""
    while True:
        value = colour(rng)
        if (luma(value) > 150) if light else (luma(value) < 105):
            return value


def table(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    ink, ground = ink_and_ground(rng)
    canvas, font, pixels = _canvas(rng, size, ground), fonts.pick(rng), _size(rng, 8, 18)
    height, width = round(pixels * rng.uniform(1.3, 2)), round(pixels * rng.uniform(4, 9))
    striped, shade = rng.random() < 0.5, colour(rng)
    if abs(luma(shade) - luma(ink)) < 60:
        shade = ground
    x0, y0 = rng.integers(-20, 20, 2)
    for row, y in enumerate(range(int(y0), size, height)):
        if striped and row % 2:
            canvas.rectangle((0, y, size, y + height), shade)
        canvas.line([(0, y), (size, y)], ink, 1)
        for x in range(int(x0), size, width):
            text = number(rng) if x > x0 and row else word(rng, "latin", 7)
            canvas.text((x + 4, y + height / 2), text, font, pixels, ink, "lm")
    if rng.random() < 0.6:
        for x in range(int(x0), size, width):
            canvas.line([(x, 0), (x, size)], ink, 1)
    return canvas.finish(rng)
