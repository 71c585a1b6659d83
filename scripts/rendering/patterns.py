"""Regular patterns, codes of black and white cells, and gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rendering.canvas import Canvas, colour, ink_and_ground
from rendering.fonts import Fonts

Plane = NDArray[np.float64]
FACTOR = 4
"""Patterns are computed so many times finer, in both directions, than they end."""


def _stripes(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return (u % 1 < rng.uniform(0.2, 0.8)).astype(float)


def _sine(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return 0.5 + 0.5 * np.sin(2 * np.pi * u)


def _grid(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    width = rng.uniform(0.08, 0.35)
    return ((u % 1 < width) | (v % 1 < width)).astype(float)


def _checks(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return (np.floor(u) + np.floor(v)) % 2


def _bricks(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    width, joint = rng.uniform(1.5, 3.5), rng.uniform(0.06, 0.2)
    shifted = u / width + 0.5 * (np.floor(v) % 2)
    return ((v % 1 < joint) | (shifted % 1 < joint / width)).astype(float)


def _weave(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    over = (np.floor(u) + np.floor(v)) % 2
    thread = np.where(over > 0, np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5))
    return np.clip(1 - 2.2 * thread, 0, 1)


def _halftone(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    slope = rng.uniform(-0.3, 0.3, 2) / max(float(u.max() - u.min()), 1e-9)
    tone = 0.35 + slope[0] * u + slope[1] * v
    return ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < np.clip(tone, 0.05, 0.7) ** 2).astype(float)


def _rings(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    centre = rng.uniform(-8, 8, 2)
    return (np.hypot(u - centre[0], v - centre[1]) % 1 < 0.5).astype(float)


def _zigzag(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return ((v + np.abs(u / 2 % 1 - 0.5) * rng.uniform(0.5, 3)) % 1 < 0.5).astype(float)


def _hexagons(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    v = v / np.sqrt(3) * 2
    first = np.hypot(u % 1 - 0.5, (v % 2 - 1) * np.sqrt(3) / 2)
    second = np.hypot((u + 0.5) % 1 - 0.5, ((v + 1) % 2 - 1) * np.sqrt(3) / 2)
    return (np.abs(first - second) < rng.uniform(0.05, 0.2)).astype(float)


PATTERNS: tuple[Callable[[Plane, Plane, np.random.Generator], Plane], ...] = (
    _stripes, _stripes, _sine, _grid, _checks, _bricks, _weave, _halftone, _rings, _zigzag,
    _hexagons,
)  # fmt: skip


def pattern(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """One pattern over all, or two or three of them in parts of the picture."""
    image = _patterned(rng, size)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.5, 0.3, 0.2]))):
        mask = Canvas(size, FACTOR, (0, 0, 0))
        mask.ellipse(
            tuple(rng.uniform(0, size, 2)), tuple(rng.uniform(40, size / 1.5, 2)), (255,) * 3
        )
        inside = mask.image.convert("L").resize((size, size), Image.Resampling.BOX)
        image = Image.composite(_patterned(rng, size), image, inside)
    return image


def _patterned(rng: np.random.Generator, size: int) -> Image.Image:
    ink, ground = (np.array(value, float) for value in ink_and_ground(rng))
    kind = PATTERNS[rng.integers(len(PATTERNS))]
    period = float(np.exp(rng.uniform(np.log(2.5), np.log(48))))
    hard = rng.random() < 0.15 and period >= 4
    factor = 1 if hard else FACTOR
    angle = rng.choice([0, np.pi / 2, np.pi / 4, rng.uniform(0, np.pi)])
    period = round(period) if hard else period
    y, x = (np.mgrid[: size * factor, : size * factor] + 0.5) / factor
    warp = rng.uniform(0, 0.25) * size if rng.random() < 0.25 else 0  # cloth, a wall seen askew
    x = x + warp * np.sin(2 * np.pi * (y / size * rng.uniform(0.3, 1.5) + rng.random()))
    u = (x * np.cos(angle) + y * np.sin(angle)) / period + rng.random()
    v = (y * np.cos(angle) - x * np.sin(angle)) / period + rng.random()
    share = kind(u, v, rng)[:, :, None]
    pixels = np.rint(share * ink + (1 - share) * ground).astype(np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX)


def matrix_code(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """A square code with three corner marks, or bars of many widths, flat or turned."""
    ink, ground = ink_and_ground(rng) if rng.random() < 0.3 else ((0, 0, 0), (255, 255, 255))
    module = int(rng.integers(2, 11))
    count = min(int(rng.integers(21, 58)), size // module)
    if rng.random() < 0.3:
        cells = np.repeat(rng.random((1, count)) < 0.5, count, axis=0)
    else:
        cells = rng.random((count, count)) < 0.5
        mark = np.pad(np.pad(np.pad(np.ones((3, 3), bool), 1), 1, constant_values=True), (0, 1))
        if count >= 21:
            cells[:8, :8], cells[:8, -8:], cells[-8:, :8] = mark, mark[:, ::-1], mark[::-1]
    flat = rng.random() < 0.5
    canvas = Canvas(size, 1 if flat else FACTOR, ground)
    picture = Image.fromarray(np.where(cells[:, :, None], ink, ground).astype(np.uint8))
    side = count * module * canvas.factor
    canvas.paste(
        picture.resize((side, side), Image.Resampling.NEAREST), tuple(rng.uniform(-10, 30, 2))
    )
    if not flat:
        turn = float(rng.uniform(-25, 25))
        canvas.image = canvas.image.rotate(turn, Image.Resampling.BICUBIC, fillcolor=ground)
    return canvas.finish(rng)


def gradient(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """Smooth colours, with flat shapes that have smooth or hard edges before them."""
    y, x = np.mgrid[:size, :size] / size
    corners = np.array([colour(rng) for _ in range(4)], float)
    if rng.random() < 0.4:
        share = np.hypot(x - rng.random(), y - rng.random())[:, :, None]
        pixels = corners[0] + np.clip(share, 0, 1) * (corners[1] - corners[0])
    else:
        x, y = x[:, :, None], y[:, :, None]
        pixels = (corners[0] * (1 - x) + corners[1] * x) * (1 - y)
        pixels += (corners[2] * (1 - x) + corners[3] * x) * y
    image = Image.fromarray(np.rint(pixels).astype(np.uint8))
    for _ in range(int(rng.integers(0, 6))):
        mask = Canvas(size, FACTOR if rng.random() < 0.8 else 1, (0, 0, 0))
        mask.ellipse(tuple(rng.uniform(0, size, 2)), tuple(rng.uniform(5, 90, 2)), (255,) * 3)
        image.paste(
            colour(rng), (0, 0), mask.image.convert("L").resize((size, size), Image.Resampling.BOX)
        )
    return image
