"""Line charts: one look for all, drawn by Matplotlib without its global state."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from sr4.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_INK, _PALE, _GRID = "#18181b", "#71717a", "#e4e4e7"
_SIZE = (6.6, 4.3)  # inches of a panel
_AXES = (0.115, 0.125, 0.65, 0.795)  # left, bottom, width, height in it; labels on the right
_LETTERS = 17  # of a label, for which there is room on the right
_PER_LETTER = 0.0115  # of the panel's width, that a longer one takes away
_SMALL_SIZE = (4.6, 3.2)  # inches of a panel in a page
_SMALL_AXES = (0.13, 0.155, 0.84, 0.745)  # in it, where nothing stands on the right
_LABEL_GAP = 0.062  # between two labels, as a share of the panel's height
_NEAR_THE_SIDE = 0.5  # from this share of the width on, a line's label stands beside the panel
_LOOK = {
    "axes.edgecolor": _PALE,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titleweight": "bold",
    "font.size": 10,
    "grid.color": _GRID,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",  # letters, not their outlines
    "svg.hashsalt": "sr4",  # the same identifiers each time
    "text.color": _INK,
    "text.parse_math": False,  # a name may hold a dollar
    "xtick.color": _PALE,
    "xtick.labelcolor": _INK,
    "ytick.color": _PALE,
    "ytick.labelcolor": _INK,
}

# Okabe and Ito's colours, which people with any kind of colour vision tell apart, and grey.
_BLACK, _GREY, _ORANGE, _SKY, _GREEN = "#000000", "#7f7f7f", "#e69f00", "#56b4e9", "#009e73"
_BLUE, _RED, _PURPLE = "#0072b2", "#d55e00", "#cc79a7"

# One system looks the same in every chart.
_STYLES = {
    "sr3": (_BLACK, "-"),
    "sr3-500": (_GREY, "-"),
    "sr3-500-matched": (_GREY, "--"),
    "hybrid-vlb": (_ORANGE, "-"),
    "cosine": (_BLUE, "-"),
    "attention-input": (_PURPLE, "-"),
    "residual": (_GREEN, "-"),
    "sr4": (_RED, "-"),
    "regression": (_SKY, "--"),
    "as stated": (_PALE, ":"),
    "calibrated": (_BLUE, "-"),
    "uncalibrated": (_RED, "--"),
}
_OTHERS = (
    (_BLUE, ":"),
    (_RED, ":"),
    (_GREEN, ":"),
    (_ORANGE, "-."),
    (_PURPLE, "-."),
    (_BLACK, ":"),
)
_IN_PAGES = tuple((colour, "-") for colour in (_BLUE, _RED, _GREEN, _ORANGE, _PURPLE, _SKY))


@dataclass(frozen=True)
class Line:
    """A line with its name; `low` and `high` bound its interval at each x, `texts` stand
    beside its points, on their left.

    It looks as the system `like` does in every chart, by default that of its name.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    like: str = ""
    texts: Sequence[str] = ()


@dataclass(frozen=True)
class Panel:
    """A chart of lines.

    Args:
        measured: the lines are single measurements: points with bars in place of bands.
        levels: horizontal lines to compare with, by name.
        marks: places on the x axis to compare with, by name.
        key: name the lines in a key, for where their ends lie close together.
        limits: of the y axis; those of the lines if None.
        binned: the lines are counts in bins: x has their edges, one more than y.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False
    measured: bool = False
    levels: Sequence[tuple[str, float]] = ()
    marks: Sequence[tuple[str, float]] = ()
    key: bool = False
    limits: tuple[float, float] | None = None
    binned: bool = False


def draw(panels: Sequence[Panel], *, columns: int = 1) -> Image.Image:
    """Panels side by side and below each other, RGB on white.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    rows = -(-len(panels) // columns)
    file = io.BytesIO()
    with _figure((_SIZE[0] * columns, _SIZE[1] * rows)) as figure:
        for number, panel in enumerate(panels):
            across, down = number % columns, number // columns
            left, bottom, width, height = _AXES
            names = "\n".join(line.name for line in panel.lines).splitlines()
            longest = max(map(len, names), default=0)
            width -= _PER_LETTER * max(0, longest - _LETTERS)
            corner = ((across + left) / columns, (rows - 1 - down + bottom) / rows)
            _fill(figure.add_axes((*corner, width / columns, height / rows)), panel)
        figure.savefig(file, format="png")
    return Image.open(file).convert("RGB")


def draw_svg(panel: Panel, name: str) -> str:
    """A panel as an `<svg>` element without a background, to lie inside of a page.

    Args:
        name: what its identifiers begin with, so that they differ from those of others; letters,
            digits and hyphens.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    file = io.StringIO()
    with _figure(_SMALL_SIZE) as figure:
        _fill(figure.add_axes(_SMALL_AXES), panel, is_small=True)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg[svg.index("<svg") :])


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[Figure]:
    """A figure of our look, of inches."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError("a chart", "matplotlib", "scores") from error
    # After a reset: what a user's own configuration asks for may be white on black.
    with style.context(_LOOK, after_reset=True):
        yield Figure(figsize=size, dpi=_DPI)


def _fill(axes: Axes, panel: Panel, *, is_small: bool = False) -> None:
    """Draw a panel; of a small one, lines are named inside, in a key."""
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    _scale(axes, panel)
    ends = []
    names = [line.like or line.name for line in panel.lines]
    styles = _styles(names, _IN_PAGES if is_small else _OTHERS)
    for line, (colour, dashes) in zip(panel.lines, styles, strict=True):
        if panel.binned:
            _draw_bins(axes, line, colour, is_filled=len(panel.lines) == 1)
        else:
            _draw_line(axes, line, colour, dashes, panel.measured)
        if not panel.binned:
            ends.append(_End(line.name, line.x[-1], line.y[-1], colour, dashes))
    for name, level in panel.levels:
        axes.axhline(level, color=_PALE, linewidth=1, linestyle=":")
        ends.append(_End(name, axes.get_xlim()[1], level, _PALE, ":"))
    for name, place in panel.marks:
        _mark(axes, name, place)
    if panel.limits is not None:
        axes.set_ylim(panel.limits)
    if is_small:
        axes.locator_params(axis="x", nbins=6)
        if len(panel.lines) > 1:
            axes.legend(loc="best", frameon=False, fontsize="small", handlelength=1.5)
    elif panel.key:
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            fontsize="small",
            handlelength=1.5,
            handletextpad=0.5,
        )
    else:
        _label(axes, ends)


def _mark(axes: Axes, name: str, place: float) -> None:
    """A vertical line with its name along it."""
    axes.axvline(place, color=_PALE, linewidth=1, linestyle=":")
    axes.annotate(
        name,
        (place, 0.98),
        (-3, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top",
        color=_PALE,
        fontsize="small",
    )


def _scale(axes: Axes, panel: Panel) -> None:
    """Linear or logarithmic axes, both with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    values = {
        "x": [*(value for line in panel.lines for value in line.x), *(x for _, x in panel.marks)],
        "y": [value for line in panel.lines for value in line.y],
    }
    for name, axis, logarithmic in (("x", axes.xaxis, panel.log_x), ("y", axes.yaxis, panel.log_y)):
        if logarithmic:
            axes.set(**{f"{name}scale": "log"})
            wide = max(values[name]) > 300 * min(values[name])
            axis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.7g}"))


def _draw_line(axes: Axes, line: Line, colour: str, dashes: str, measured: bool) -> None:
    for x, y, text in zip(line.x, line.y, line.texts, strict=False):
        axes.annotate(
            text, (x, y), (-4, 3), textcoords="offset points", ha="right", fontsize="small"
        )
    if not measured:
        axes.plot(line.x, line.y, color=colour, linestyle=dashes, label=line.name)
        if line.low:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)
        return
    bars = np.abs(np.array([line.low, line.high]) - line.y) if line.low else None
    axes.errorbar(
        line.x,
        line.y,
        bars,
        color=colour,
        linestyle=dashes,
        marker="o",
        markersize=4,
        elinewidth=1,
        label=line.name,
    )


def _draw_bins(axes: Axes, line: Line, colour: str, *, is_filled: bool) -> None:
    alpha = 0.55 if is_filled else 1.0
    axes.set_axisbelow(True)
    axes.locator_params(axis="y", integer=True)
    axes.stairs(line.y, line.x, fill=is_filled, color=colour, alpha=alpha, label=line.name)


def _styles(names: Sequence[str], unnamed: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Colour and dashes of each line."""
    others = cycle(unnamed)
    return [_STYLES.get(name) or next(others) for name in names]


class _End(NamedTuple):
    """Where a line ends, and how it looks."""

    name: str
    x: float
    y: float
    colour: str
    dashes: str


def _label(axes: Axes, ends: Sequence[_End]) -> None:
    """Name the lines at their ends: beside the panel if they come near its right side."""
    axes.autoscale_view()
    axes.autoscale(False)  # the labels shall not move what they are placed by
    place = axes.transData + axes.transAxes.inverted()
    outside = []
    for end in ends:
        x, y = place.transform((end.x, end.y))
        if x < _NEAR_THE_SIDE:
            axes.annotate(end.name, (end.x, end.y), (7, 0), textcoords="offset points", va="center")
        else:
            outside.append(end._replace(x=float(x), y=float(y)))
    outside.sort(key=lambda end: end.y)
    gap = _LABEL_GAP * max((end.name.count("\n") + 1 for end in outside), default=1)
    for end, y in zip(outside, spread([end.y for end in outside], gap), strict=True):
        axes.plot(
            (end.x, 1.04),
            (end.y, y),
            color=end.colour,
            linestyle=end.dashes,
            linewidth=1,
            transform=axes.transAxes,
            clip_on=False,
        )
        axes.text(1.05, y, end.name, transform=axes.transAxes, va="center")


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Rising places in [0, 1], moved as far apart as labels need, and no further than that."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else max(place, 0.0))
    ceiling = 1.0
    for number in reversed(range(len(moved))):
        moved[number] = min(moved[number], ceiling)
        ceiling = moved[number] - gap
    return moved
