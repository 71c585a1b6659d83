"""What a picture shows: a table of scenes, each drawn from a random generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from rendering import drawings, patterns, plots, screens
from rendering.fonts import Fonts

Scene = Callable[[np.random.Generator, Fonts, int], Image.Image]

SCENES: dict[str, tuple[Scene, float]] = {  # and how often each is drawn
    "paragraph": (screens.paragraph, 3),
    "words": (screens.words, 3),
    "screen": (screens.screen, 3),
    "listing": (screens.listing, 1.5),
    "table": (screens.table, 1),
    "cartoon": (drawings.cartoon, 3),
    "hatching": (drawings.hatching, 1.5),
    "diagram": (drawings.diagram, 2),
    "map": (drawings.town_map, 2),
    "chart": (plots.chart, 3),
    "pattern": (patterns.pattern, 4),
    "code": (patterns.matrix_code, 1),
    "gradient": (patterns.gradient, 1),
}


def draw(rng: np.random.Generator, fonts: Fonts, size: int) -> tuple[str, Image.Image]:
    """The name of a scene and a picture of it, (size, size)."""
    weights = np.array([weight for _, weight in SCENES.values()])
    name = list(SCENES)[rng.choice(len(SCENES), p=weights / weights.sum())]
    return name, SCENES[name][0](rng, fonts, size)
