"""How the cost of work grows: a model fitted to measured points, how wrong it is about points that
it was not fitted to, and what larger work takes.

    python benchmarks/scale.py docs/scale                      # the tables of docs/scale.md
    python benchmarks/scale.py docs/scale --draw               # and its charts
    python benchmarks/scale.py docs/scale --pictures 5e6 --side 512 --workers 200

`docs/scale/points.json` comes from `benchmarks/scale_points.py`, which says what each point is.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from sr4.cluster.bulk import chunk_size
from sr4.cluster.engine import AHEAD
from sr4.plots.charts import Line, Panel, draw
from sr4.plots.tables import Cell, Table, markdown

Point = Mapping[str, float]
Points = Mapping[str, Any]
PARAMETER_BYTES = 20  # of training in float32: itself, gradient, two moments, average
PAPER_PICTURES = 2_560_000
PAPER_PARAMETERS, PAPER_GFLOPS = 97.8e6, 92.0  # of `sr3`: an evaluation, at 128x128


@dataclass(frozen=True)
class Fit:
    """A sum of known quantities, each times a number that is not negative, fitted to relative
    errors.

    Attributes:
        name: what is fitted; unit: its unit.
        numbers: what each quantity is multiplied by.
        left_out: relative error at each point, by the fit to all others.
    """

    name: str
    unit: str
    numbers: tuple[float, ...]
    left_out: tuple[float, ...]

    def __call__(self, *quantities: float) -> float:
        return float(np.dot(self.numbers, quantities))


def fitted(
    name: str, unit: str, points: Sequence[Point], measured: str, *terms: Callable[[Point], float]
) -> Fit:
    """Fit the sum of some terms of each point to what was measured there."""
    rows = np.array([[term(point) for term in terms] for point in points])
    values = np.array([point[measured] for point in points])

    def numbers(kept: Sequence[int]) -> Any:
        return nnls(rows[kept] / values[kept, None], np.ones(len(kept)))[0]

    everything = list(range(len(points)))
    errors = [
        float(rows[one] @ numbers([k for k in everything if k != one]) / values[one] - 1)
        for one in everything
    ]
    return Fit(name, unit, tuple(map(float, numbers(everything))), tuple(errors))


@dataclass(frozen=True)
class Model:
    """All that is fitted."""

    drawing: Fit  # processor seconds of a photograph: of 1 and the pixels of its result
    drawing_memory: Fit  # MB: of 1, a side and those pixels
    face: float  # processor seconds of a face at a worker, beside others at work
    handing: float  # seconds of the driver and Ray for a picture: what is handed out one by one
    call: Fit  # seconds of a call: of 1, its pictures alone, and by worker beside others
    driver_memory: Fit  # MB: of 1 and the pictures
    planning: Fit  # seconds: of the files
    plan_memory: Fit  # MB: of 1 and the files
    step: Fit  # seconds of a training step: of 1 and its GFLOPs
    training_memory: Fit  # MB: of 1, the parameters and the channels


def model_of(points: Points) -> Model:
    """Fit everything."""
    sizes = [one for one in points["sizes"] if one["processors"] == 1]
    calls, sleeps = points["calls"], points["handing"]
    steady = [one for one in calls if one["pictures"] >= 1000 and one["workers"] > 1]
    face = float(np.median([one["worker_ms"] for one in steady])) / 1000
    handing = min(one["each_ms"] for one in sleeps) / 1000

    return Model(
        fitted("a photograph", "s", sizes, "cpu_seconds", _one, _pixels),
        fitted("memory of a photograph", "MB", sizes, "peak_mb", _one, _side, _pixels),
        face,
        handing,
        fitted("a call", "s", calls, "seconds", _one, _alone, _beside_others),
        fitted("memory of the driver", "MB", calls, "driver_mb_at_end", _one, _pictures),
        fitted("planning", "s", points["plans"], "seconds", lambda one: one["files"]),
        fitted(
            "memory of a plan", "MB", points["plans"], "peak_mb", _one, lambda one: one["files"]
        ),
        fitted("a training step", "s", points["trainings"], "seconds", _one, _gflops),
        fitted(
            "memory of a training", "MB", points["trainings"], "peak_mb", _one, _parameters, _maps
        ),
    )


def _one(point: Point) -> float:
    return 1.0


def _pixels(point: Point) -> float:
    return point["side"] ** 2


def _pictures(point: Point) -> float:
    return point["pictures"]


def _side(point: Point) -> float:
    return point["side"]


def _alone(point: Point) -> float:
    """Pictures of a worker on a machine of one processor."""
    return point["pictures"] if point["workers"] == 1 else 0.0


def _beside_others(point: Point) -> float:
    """Pictures of each of several, which share caches and memory."""
    return point["pictures"] / point["workers"] if point["workers"] > 1 else 0.0


def _gflops(point: Point) -> float:
    return point["gflops"]


def _parameters(point: Point) -> float:
    return point["parameters"]


def _maps(point: Point) -> float:
    """What feature maps grow with: the channels."""
    return point["width"]


def simulated(pictures: int, workers: int, seconds: float, handing: float) -> float:
    """Seconds of handing out and drawing, event by event: the driver does one thing at a time, and
    each worker has a chunk that it draws and one that waits.

    Args:
        seconds: of a worker for a picture; handing: of the driver and Ray for one.
    """
    size = chunk_size(pictures, workers)
    left = deque([size] * (pictures // size) + ([pictures % size] if pictures % size else []))
    waiting: list[deque[tuple[float, int]]] = [deque() for _ in range(workers)]
    driver = 0.0  # when it is free
    busy: list[tuple[float, int, int]] = []  # end, worker, pictures
    for _ in range(AHEAD):
        for queue in waiting:
            if left:
                queue.append((0.0, left.popleft()))
    for worker, queue in enumerate(waiting):
        if queue:
            _, own = queue.popleft()
            heapq.heappush(busy, (own * seconds, worker, own))
    while busy:
        now, worker, done = heapq.heappop(busy)
        driver = max(driver, now) + done * handing
        if left:
            waiting[worker].append((driver, left.popleft()))
        if waiting[worker]:
            came, own = waiting[worker].popleft()
            heapq.heappush(busy, (max(now, came) + own * seconds, worker, own))
    return driver


def bulk_seconds(model: Model, pictures: float, seconds: float, workers: int) -> float:
    """Of a call on so many workers with a processor each, whose driver has one of its own."""
    start = model.call.numbers[0] + model.planning(pictures)
    return start + pictures * max(seconds / workers, model.handing)


def measured_calls(points: Points, model: Model) -> Table:
    """Calls on a cluster, and what the model says of each when it is fitted to the others."""
    rows = [
        (
            f"{one['pictures']:,.0f}",
            f"{one['workers']:.0f}",
            f"{one['seconds']:.1f}",
            f"{error:+.0%}",
            f"{one['worker_ms']:.1f}",
            f"{one['driver_ms']:.1f}",
            f"{one['ray_processors']:.2f}",
            f"{one['driver_mb']:.0f}",
            f"{one['driver_mb_at_end']:.0f}",
            f"{one['worker_mb']:.0f}",
        )
        for one, error in zip(points["calls"], model.call.left_out, strict=True)
    ]
    heads = "pictures|workers|s|model, left out|worker, ms|driver, ms|Ray, processors"
    return table(f"{heads}|driver at first, MB|at the end, MB|worker, MB", rows)


def measured_sizes(points: Points, model: Model) -> Table:
    """Photographs by the side of their results."""
    one, two = ([p for p in points["sizes"] if p["processors"] == n] for n in (1, 2))
    rows = [
        (
            f"{single['side']:,.0f}",
            f"{single['cpu_seconds']:.3g}",
            f"{error:+.0%}",
            f"{single['seconds']:.3g}",
            f"{both['seconds']:.3g}",
            f"{single['peak_mb']:,.0f}",
            f"{single['result_bytes'] / 1e6:.3g}",
        )
        for single, both, error in zip(one, two, model.drawing.left_out, strict=True)
    ]
    heads = "side|processor, s|model, left out|on one processor, s|on two, s"
    return table(f"{heads}|peak, MB|result, MB", rows)


def measured_handing(points: Points, model: Model) -> Table:
    """Workers that sleep, beside the simulation and the formula."""
    rows = []
    for one in points["handing"]:
        pictures, workers, sleep = int(one["pictures"]), int(one["workers"]), one["sleep"]
        by_events = pictures / simulated(pictures, workers, sleep, model.handing)
        by_formula = 1 / max(sleep / workers, model.handing)
        figures = (1000 / one["each_ms"], by_events, by_formula)
        rows.append((f"{workers}", f"{1000 * sleep:.0f}", *(f"{rate:,.0f}" for rate in figures)))
    heads = "workers|asleep, ms|measured, pictures/s|simulated|formula"
    return table(heads, rows)


def measured_trainings(points: Points, model: Model) -> Table:
    """Steps of wider and wider networks."""
    fits = zip(
        points["trainings"], model.step.left_out, model.training_memory.left_out, strict=True
    )
    rows = [
        (
            f"{one['parameters'] / 1e6:.1f}",
            f"{one['gflops']:,.0f}",
            f"{one['seconds']:.2f}",
            f"{seconds:+.0%}",
            f"{one['gflops'] / one['seconds']:.0f}",
            f"{one['peak_mb']:,.0f}",
            f"{memory:+.0%}",
        )
        for one, seconds, memory in fits
    ]
    heads = "parameters, M|GFLOPs|s|model, left out|GFLOP/s|peak, MB|model, left out"
    return table(heads, rows)


def fits(model: Model) -> Table:
    """What was fitted, and how far off it is where it was not fitted."""
    terms = {
        "drawing": ("", " per pixel"),
        "drawing_memory": ("", " per pixel of a side", " per pixel"),
        "call": ("", " per picture alone", " per picture of each of several workers"),
        "driver_memory": ("", " per picture"),
        "planning": (" per file",),
        "plan_memory": ("", " per file"),
        "step": ("", " per GFLOP"),
        "training_memory": ("", " per parameter", " per channel"),
    }
    rows = []
    for name, words in terms.items():
        fit: Fit = getattr(model, name)
        sums = " + ".join(f"{k:.3g}{word}" for k, word in zip(fit.numbers, words, strict=True))
        errors = np.abs(fit.left_out)
        worst = f"{np.median(errors):.0%}|{errors.max():.0%}".split("|")
        rows.append((fit.name, f"{sums} {fit.unit}", f"{len(errors)}", *worst))
    return table("what|fit|points|error left out, median|worst", rows, words=2)


KINDS = (
    ("faces, 16x16 to 128x128", 128),
    ("photographs to 512x512", 512),
    ("photographs to 2,048x2,048", 2048),
)


def bulk_forecast(
    points: Points, model: Model, counts: Sequence[float], workers: Sequence[int]
) -> Table:
    """What many pictures take."""
    rows = []
    for count in counts:
        for name, side in KINDS:
            seconds = seconds_of(model, side)
            hours = [bulk_seconds(model, count, seconds, many) / 3600 for many in workers]
            rows.append(
                (
                    name,
                    f"{count:,.0f}",
                    f"{count * seconds / 3600:,.0f}",
                    *(f"{time:,.1f}" for time in hours),
                    f"{seconds / model.handing:,.0f}",
                    f"{count * result_bytes(points, side) / 1e12:,.3g}",
                )
            )
    heads = "|".join(f"hours on {many:,}" for many in workers)
    return table(f"results|pictures|processor hours|{heads}|workers that one driver feeds|TB", rows)


def seconds_of(model: Model, side: int) -> float:
    """Processor seconds of a worker for a result: of a face up to 128 pixels a side."""
    return model.face if side <= KINDS[0][1] else model.drawing(1, side**2)


def result_bytes(points: Points, side: int) -> float:
    """Of the measured result that is nearest in size, in proportion to the pixels."""
    near = min(points["sizes"], key=lambda one: abs(np.log(one["side"] / side)))
    return float(near["result_bytes"] * (side / near["side"]) ** 2)


SPEEDS = (1e12, 1e13, 1e14, 5e14)
LINKS = (1.25e9, 12.5e9, 50e9)  # bytes a second: 10, 100 and 400 Gbit/s
BATCH = 256


def training_forecast() -> tuple[Table, Table]:
    """What a training of the paper's length takes, for its network and for one of a billion
    parameters: time by what a device does a second, and how many devices a link feeds.
    """
    networks = (("sr3", PAPER_PARAMETERS), ("a billion parameters", 1e9))
    rows, links = [], []
    for name, parameters in networks:
        evaluation = PAPER_GFLOPS * 1e9 * parameters / PAPER_PARAMETERS
        work = 3 * evaluation * PAPER_PICTURES
        hours = [f"{work / speed / 3600:,.0f}" for speed in SPEEDS]
        memory = f"{PARAMETER_BYTES * parameters / 1e9:.1f}"
        rows.append((name, f"{work / 1e18:,.2f}", memory, *hours))
        sent = 2 * 4 * parameters  # by each device in a step, of a ring of many
        step = 3 * evaluation * BATCH
        most = [
            f"{max(1.0, step / speed / (sent / link)):,.0f}"
            for link in LINKS
            for speed in SPEEDS[2:3]
        ]
        links.append((name, f"{sent / 1e9:.1f}", *most))
    heads = "|".join(f"hours at {speed / 1e12:,.0f} TFLOP/s" for speed in SPEEDS)
    first = table(f"network|EFLOPs|state, GB|{heads}", rows)
    heads = "|".join(f"devices on {8 * link / 1e9:,.0f} Gbit/s" for link in LINKS)
    return first, table(f"network|GB sent a step|{heads}", links)


def table(heads: str, rows: Sequence[Sequence[str]], words: int = 1) -> Table:
    """Of words and figures."""
    cells = tuple(tuple(map(Cell, row)) for row in rows)
    return Table(tuple(map(Cell, heads.split("|"))), cells, words)


def charts(points: Points, model: Model) -> dict[str, Panel]:
    """By the name of their file."""
    crowd = [2**k for k in range(1, 9)]
    lines = []
    for sleep in sorted({one["sleep"] for one in points["handing"]}):
        own = [one for one in points["handing"] if one["sleep"] == sleep]
        name = f"{1000 * sleep:.0f} ms"
        by_events = [20 * n * 128 / simulated(20 * n * 128, n, sleep, model.handing) for n in crowd]
        lines.append(Line(f"{name}, simulated", crowd, by_events))
        rates = [1000 / one["each_ms"] for one in own]
        lines.append(Line(f"{name}, measured", [one["workers"] for one in own], rates))
    sizes = [one for one in points["sizes"] if one["processors"] == 1]
    sides = [one["side"] for one in sizes]
    return {
        "handing.png": Panel(
            "What one driver can keep at work, by the time of a picture",
            "workers",
            "pictures a second",
            lines,
            log_x=True,
            log_y=True,
            levels=[("the driver's most", 1 / model.handing)],
            key=True,
        ),
        "sizes.png": Panel(
            "A photograph, by the side of its result",
            "pixels a side",
            "processor seconds",
            [
                Line("measured", sides, [one["cpu_seconds"] for one in sizes]),
                Line("fitted", sides, [model.drawing(1, side**2) for side in sides]),
            ],
            log_x=True,
            log_y=True,
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of points.json")
    parser.add_argument("--draw", action="store_true", help="draw the charts there, too")
    parser.add_argument("--pictures", type=float, metavar="N", help="forecast so many alone")
    parser.add_argument("--side", type=int, default=2048, help="of their results, in pixels")
    parser.add_argument("--workers", type=int, default=64, help="of one processor each")
    given = parser.parse_args()
    points = json.loads((given.folder / "points.json").read_text())
    model = model_of(points)
    if given.pictures:
        seconds = seconds_of(model, given.side)
        hours = bulk_seconds(model, given.pictures, seconds, given.workers) / 3600
        print(f"{given.pictures * seconds / 3600:,.1f} processor hours, done in {hours:,.1f} hours")
        return 0
    print(f"{points['machine']}; {points['versions']}")
    for one in tables(points, model):
        print("\n" + markdown(one))
    if given.draw:
        for name, panel in charts(points, model).items():
            draw([panel]).save(given.folder / name)
    return 0


def tables(points: Points, model: Model) -> list[Table]:
    """All of docs/scale.md, in its order."""
    return [
        measured_calls(points, model),
        measured_sizes(points, model),
        measured_handing(points, model),
        fits(model),
        bulk_forecast(points, model, (1e6, 1e9), (2, 64, 1024)),
        measured_trainings(points, model),
        *training_forecast(),
    ]


if __name__ == "__main__":
    sys.exit(main())
