"""Charts as matplotlib draws them: lines, bars, pies, points, heat maps."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.style import context as style_context
from PIL import Image

from rendering.canvas import colour
from rendering.fonts import Fonts, word


def chart(rng: np.random.Generator, fonts: Fonts, size: int) -> Image.Image:
    """One chart or a few, with axes, labels and legends, drawn in its final size."""
    settings = {"font.size": float(rng.uniform(6, 13)), "axes.unicode_minus": False}
    settings["lines.linewidth"] = float(rng.uniform(0.6, 3))
    dark = rng.random() < 0.25
    with style_context(["dark_background"] if dark else []), mpl.rc_context(settings):
        figure = Figure(figsize=(size / 100, size / 100), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        rows, columns = ((1, 1), (1, 1), (1, 1), (2, 1), (1, 2), (2, 2))[rng.integers(6)]
        font = font_manager.FontProperties(fname=fonts.pick(rng))
        for axes in np.ravel(figure.subplots(rows, columns)):
            _fill(rng, axes, font, settings["font.size"])
        canvas.draw()
        return Image.frombuffer("RGBA", (size, size), canvas.buffer_rgba()).convert("RGB")


def _fill(
    rng: np.random.Generator, axes: Axes, font: font_manager.FontProperties, points: float
) -> None:
    font = font.copy()
    font.set_size(points)
    colours = [tuple(value / 255 for value in colour(rng)) for _ in range(5)]
    _PLOTS[rng.integers(len(_PLOTS))](rng, axes, colours)
    if rng.random() < 0.4:
        axes.grid(True, linewidth=rng.uniform(0.3, 1), linestyle=("-", ":", "--")[rng.integers(3)])
    if rng.random() < 0.6:
        axes.set_title(word(rng, "latin"), fontproperties=font)
    if rng.random() < 0.6:
        axes.set_xlabel(word(rng, "latin"), fontproperties=font)
        axes.set_ylabel(word(rng, "latin"), fontproperties=font)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(font)
    if axes.get_legend_handles_labels()[1] and rng.random() < 0.6:
        axes.legend(prop=font)


def _lines(rng: np.random.Generator, axes: Axes, colours: list[tuple[float, ...]]) -> None:
    x = np.linspace(0, rng.uniform(1, 100), int(rng.integers(5, 200)))
    for shade in colours[: rng.integers(1, 6)]:
        y = np.cumsum(rng.normal(size=len(x))) * rng.uniform(0.1, 10)
        marker = ("", "", "o", "s", "^", "x")[rng.integers(6)] if len(x) < 40 else ""
        style = ("-", "-", "--", ":")[rng.integers(4)]
        axes.plot(x, y, style, color=shade, marker=marker, label=word(rng, "latin", 6))


def _bars(rng: np.random.Generator, axes: Axes, colours: list[tuple[float, ...]]) -> None:
    count, groups = int(rng.integers(2, 12)), int(rng.integers(1, 4))
    draw = axes.barh if rng.random() < 0.3 else axes.bar
    edge = "black" if rng.random() < 0.4 else "none"
    for k in range(groups):
        places, heights = np.arange(count) + k * 0.8 / groups, rng.uniform(0, 10, count)
        draw(
            places,
            heights,
            0.8 / groups,
            color=colours[k],
            edgecolor=edge,
            label=word(rng, "latin", 6),
        )


def _pie(rng: np.random.Generator, axes: Axes, colours: list[tuple[float, ...]]) -> None:
    width = rng.uniform(0.3, 0.6) if rng.random() < 0.3 else 1
    axes.pie(
        rng.uniform(0.5, 5, 5), colors=colours, wedgeprops={"width": width, "edgecolor": "white"}
    )


def _points(rng: np.random.Generator, axes: Axes, colours: list[tuple[float, ...]]) -> None:
    for shade in colours[: rng.integers(1, 4)]:
        x, y = rng.normal(size=2)[:, None] + rng.normal(size=(2, rng.integers(10, 150)))
        marker = "os^xD+"[rng.integers(6)]
        axes.scatter(x, y, rng.uniform(3, 40), [shade], marker=marker, label=word(rng, "latin", 6))


def _steps(rng: np.random.Generator, axes: Axes, colours: list[tuple[float, ...]]) -> None:
    axes.hist(
        rng.normal(size=300), int(rng.integers(8, 40)), color=colours[0], histtype="stepfilled"
    )
    axes.hist(rng.normal(1, 2, 300), int(rng.integers(8, 40)), color=colours[1], histtype="step")


def _heat(rng: np.random.Generator, axes: Axes, colours: list[tuple[float, ...]]) -> None:
    cells = rng.random(tuple(rng.integers(3, 25, 2)))
    names = ("viridis", "gray", "coolwarm", "jet", "tab10")
    axes.imshow(cells, cmap=names[rng.integers(len(names))], aspect="auto", interpolation="nearest")


def _areas(rng: np.random.Generator, axes: Axes, colours: list[tuple[float, ...]]) -> None:
    x = np.arange(40)
    layers = np.abs(np.cumsum(rng.normal(size=(4, 40)), axis=1)) + 1
    axes.stackplot(x, layers, colors=colours)


_PLOTS = (_lines, _lines, _bars, _bars, _pie, _points, _steps, _heat, _areas)
