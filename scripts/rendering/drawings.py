"""Drawings: cartoons with flat colours and outlines, hatching, diagrams, maps."""

from __future__ import annotations

import numpy as np
from PIL import Image

from rendering.canvas import Canvas, Colour, Point, colour, ink_and_ground
from rendering.fonts import Fonts, word


def _canvas(rng: np.random.Generator, size: int, ground: Colour) -> Canvas:
    """Smooth edges mostly, hard ones at times."""
    return Canvas(size, int(rng.choice([1, 3, 4], p=[0.15, 0.35, 0.5])), ground)


def _blob(rng: np.random.Generator, centre: Point, radius: float) -> list[Point]:
    """A closed curve around a centre: a circle with some random waves."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    reach = np.full_like(angle, radius)
    for wave in range(1, 6):
        phase, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5 / wave)
        reach += radius * depth * np.cos(wave * angle + phase)
    x, y = centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _corners(rng: np.random.Generator, centre: Point, radius: float) -> list[Point]:
    """A regular polygon or a star, turned."""
    count, star = int(rng.integers(3, 9)), rng.random() < 0.4
    turn = rng.uniform(0, 2 * np.pi)
    angles = turn + np.arange(count * (2 if star else 1)) * 2 * np.pi / (count * (2 if star else 1))
    inner = rng.uniform(0.3, 0.7) if star else 1
    reach = [radius * (inner if k % 2 else 1) for k in range(len(angles))]
    return [
        (centre[0] + r * float(np.cos(a)), centre[1] + r * float(np.sin(a)))
        for r, a in zip(reach, angles, strict=True)
    ]


def _wave(rng: np.random.Generator, size: int) -> list[Point]:
    """A smooth open curve across the picture: a Bézier curve of degree three."""
    ends = rng.uniform(-0.2 * size, 1.2 * size, (4, 2))
    t = np.linspace(0, 1, 80)[:, None]
    path = (1 - t) ** 3 * ends[0] + 3 * t * (1 - t) ** 2 * ends[1]
    path += 3 * t**2 * (1 - t) * ends[2] + t**3 * ends[3]
    return [(float(x), float(y)) for x, y in path]


def cartoon(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    canvas = _canvas(rng, size, colour(rng))
    outline: Colour = (0, 0, 0) if rng.random() < 0.75 else colour(rng)
    width = float(rng.uniform(0.7, 7)) if rng.random() < 0.85 else 0.0
    for _ in range(int(rng.integers(5, 25))):
        centre = tuple(rng.uniform(0, size, 2))
        radius = float(np.exp(rng.uniform(np.log(5), np.log(size / 2))))
        pen = width * float(rng.uniform(0.6, 1.4))
        line = outline if width else None
        kind = rng.random()
        if kind < 0.45:
            canvas.polygon(_blob(rng, centre, radius), colour(rng), line, pen)
        elif kind < 0.7:
            canvas.polygon(_corners(rng, centre, radius), colour(rng), line, pen)
        elif kind < 0.85:
            radii = radius, radius * rng.uniform(0.4, 1)
            canvas.ellipse(centre, radii, colour(rng), line, pen)
        else:
            canvas.line(_wave(rng, size), outline, max(pen, 1))
    if rng.random() < 0.35:  # a face, as cartoons have
        _eyes(rng, canvas, size)
    return canvas.finish(rng)


def _eyes(rng: np.random.Generator, canvas: Canvas, size: int) -> None:
    x, y = rng.uniform(0.3, 0.7, 2) * size
    radius = rng.uniform(0.04, 0.12) * size
    for side in (-1, 1):
        centre = x + side * radius * 1.3, y
        canvas.ellipse(centre, (radius, radius * 1.2), (255, 255, 255), (0, 0, 0), radius / 6)
        canvas.ellipse(centre, (radius / 2, radius / 2), (0, 0, 0))
        canvas.ellipse(
            (centre[0] + radius / 5, y - radius / 5), (radius / 6, radius / 6), (255, 255, 255)
        )
    mouth = [
        (x + radius * 2 * float(np.cos(a)), y + radius * (1.5 + float(np.sin(a))))
        for a in np.linspace(0, np.pi, 30)
    ]
    canvas.line(mouth, (0, 0, 0), radius / 4)


def hatching(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """Line art: outlines, and shapes filled with parallel or crossed lines."""
    ink, ground = ink_and_ground(rng)
    canvas = _canvas(rng, size, ground)
    for _ in range(int(rng.integers(2, 8))):
        centre = tuple(rng.uniform(0, size, 2))
        points = (_blob if rng.random() < 0.6 else _corners)(
            rng, centre, float(rng.uniform(20, size / 2))
        )
        pen = float(rng.uniform(0.6, 2.5))
        mask = Canvas(size, canvas.factor, (0, 0, 0))
        mask.polygon(points, (255, 255, 255))
        lines = Canvas(size, canvas.factor, ground)
        for angle in rng.uniform(0, np.pi, int(rng.integers(1, 3))):
            step = rng.uniform(2.5, 14)
            along = size * np.array([np.cos(angle), np.sin(angle)])
            across = np.array([-np.sin(angle), np.cos(angle)])
            for offset in np.arange(-size, size, step):
                middle = size / 2 + offset * across
                lines.line([tuple(middle - along), tuple(middle + along)], ink, pen)
        canvas.image.paste(lines.image, (0, 0), mask.image.convert("L"))
        canvas.polygon(points, None, ink, pen * 1.5)
    for _ in range(int(rng.integers(0, 10))):
        canvas.line(_wave(rng, size), ink, float(rng.uniform(0.6, 3)))
    return canvas.finish(rng)


def diagram(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """Boxes with words, joined by arrows."""
    ink, ground = ink_and_ground(rng)
    canvas, font = _canvas(rng, size, ground), fonts.pick(rng)
    pen, pixels = float(rng.choice([1, 1.5, 2, 3])), float(rng.uniform(9, 18))
    columns, rows = rng.integers(2, 5, 2)
    cells = [
        ((c + rng.uniform(0.4, 0.6)) * size / columns, (r + rng.uniform(0.4, 0.6)) * size / rows)
        for c in range(columns)
        for r in range(rows)
    ]
    for _ in range(len(cells) + 2):
        first, second = rng.choice(len(cells), 2, replace=False)
        _arrow(canvas, cells[first], cells[second], ink, pen, bent=rng.random() < 0.6)
    for x, y in cells:
        width, height = size / columns * 0.33, min(size / rows * 0.3, pixels * 1.2)
        fill = ground if rng.random() < 0.5 else colour(rng)
        kind = rng.random()
        if kind < 0.6:
            radius = float(rng.choice([0, 0, 5]))
            canvas.rectangle((x - width, y - height, x + width, y + height), fill, ink, pen, radius)
        elif kind < 0.8:
            canvas.ellipse((x, y), (width, height), fill, ink, pen)
        else:
            diamond = [(x - width, y), (x, y - height), (x + width, y), (x, y + height)]
            canvas.polygon(diamond, fill, ink, pen)
        canvas.text(
            (x, y), word(rng, "latin", 6), font, pixels, ink if fill == ground else (0, 0, 0), "mm"
        )
    return canvas.finish(rng)


def _arrow(
    canvas: Canvas, start: Point, end: Point, ink: Colour, pen: float, *, bent: bool
) -> None:
    corner = (end[0], start[1])
    path = [start, corner, end] if bent else [start, end]
    canvas.line(path, ink, pen)
    tail = np.array(path[-2])
    way = np.array(end) - tail
    length = float(np.hypot(*way))
    if length < 1:
        return
    tip, way = tail + way * 0.6, way / length * (5 + 2 * pen)
    side = np.array([-way[1], way[0]]) * 0.5
    canvas.polygon([tuple(tip), tuple(tip - way + side), tuple(tip - way - side)], ink)


def town_map(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """Areas, a river, streets with borders, names along the way."""
    canvas, font = _canvas(rng, size, (242, 239, 233)), fonts.pick(rng)
    greens: tuple[Colour, ...] = ((200, 230, 190), (220, 235, 205), (235, 220, 215), colour(rng))
    for _ in range(int(rng.integers(3, 9))):
        canvas.polygon(
            _blob(rng, tuple(rng.uniform(0, size, 2)), rng.uniform(15, 90)), greens[rng.integers(4)]
        )
    canvas.line(_wave(rng, size), (165, 205, 235), float(rng.uniform(4, 20)))
    turn = rng.uniform(0, np.pi / 2)
    for _ in range(int(rng.integers(4, 14))):
        if rng.random() < 0.3:
            path = _wave(rng, size)
        else:
            angle = turn + rng.integers(2) * np.pi / 2
            middle, along = (
                rng.uniform(0, size, 2),
                2 * size * np.array([np.cos(angle), np.sin(angle)]),
            )
            path = [tuple(middle - along), tuple(middle + along)]
        pen = float(rng.choice([1, 2, 4, 7]))
        if pen > 2:
            canvas.line(path, (150, 140, 130), pen + 2)
        shade: Colour = (255, 255, 255) if pen > 2 and rng.random() < 0.7 else colour(rng)
        canvas.line(path, shade, pen)
    for _ in range(int(rng.integers(2, 8))):
        place, alphabet = tuple(rng.uniform(0, size, 2)), fonts.pick_alphabet(rng)
        face = font if alphabet == "latin" else fonts.pick(rng, alphabet)
        canvas.text(place, word(rng, alphabet), face, float(rng.uniform(8, 18)), (50, 50, 60), "mm")
        canvas.ellipse((place[0], place[1] + 12), (2.5, 2.5), (200, 30, 30), (0, 0, 0), 0.7)
    return canvas.finish(rng)
