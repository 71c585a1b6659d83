"""Speed and quality of several models, runtimes and numbers of steps in one table.

Each row is measured in a process of its own, one after the other, on the same pictures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from tempfile import TemporaryFile
from typing import IO, Any

from pydantic import BaseModel, ConfigDict

from sr4._version import __version__
from sr4.bench.row import Job, Row
from sr4.build import build_schedule
from sr4.config import ModelSettings
from sr4.data.sources import open_sources
from sr4.errors import MissingExtraError, SR4Error, UsageError, nearest
from sr4.machine.installation import how_to_install
from sr4.machine.processors import processor
from sr4.model.folder import find_model, read_config, shipped_models
from sr4.recipes import RECIPES, recipe
from sr4.runtime import GRAPH

MODELS = ("sr3", "sr4", "sr4-fast")
STEPS: Mapping[str, tuple[int, ...]] = {"sr3": (2000, 500), "sr4": (50,), "sr4-fast": (4, 2, 1)}
BASELINE = ("sr3", 2000)  # recipe and steps
# By backend: its package, and the extra that brings it.
PACKAGES: Mapping[str, tuple[str, str | None]] = {
    "onnx": ("onnxruntime", None),
    "openvino": ("openvino", "openvino"),
    "torch": ("torch", "train"),
}
LIMIT = 200

_ROW = "from sr4.bench.row import main; main()"

OnProgress = Callable[[int, int, str], None]


class Peak(BaseModel):
    """The most GFLOP/s that a convolution reached, which one, and what the others did."""

    model_config = ConfigDict(frozen=True)

    gflops_per_second: float
    convolution: str
    all: dict[str, float]


class Benchmark(BaseModel):
    """What a benchmark found.

    Attributes:
        failures: a line for each row that could not be measured.
        notes: what else there is to know, such as backends left out.
        data: where the pictures are from; None where speed alone was measured.
        baseline: the row that `times_faster` compares with, by its name; None without one.
    """

    model_config = ConfigDict(frozen=True)

    rows: tuple[Row, ...]
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    data: str | None
    limit: int
    peak: Peak | None
    baseline: str | None
    processor: str
    cpus: int | None
    versions: dict[str, str]


@dataclass(frozen=True)
class _Entry:
    """One of the models to measure."""

    name: str
    random: bool
    has_graph: bool
    steps: tuple[int, ...]


def benchmark(
    models: Sequence[str] = MODELS,
    *,
    backends: Sequence[str] = tuple(PACKAGES),
    data: Sequence[str] = (),
    limit: int = LIMIT,
    quick: bool = False,
    on_progress: OnProgress | None = None,
) -> Benchmark:
    """Measure models on this machine's processor.

    Args:
        models: each a recipe (with random weights: its speed does not depend on them), a shipped
            model or a folder, and perhaps steps: "sr4-fast:4,1". Without, those of `STEPS`, or the
            model's own.
        backends: of "onnx", "openvino" and "torch", for models that are exported. Those that are
            not installed are left out. Models without a graph run on torch in float32.
        data: high-resolution pictures; without any, speed alone is measured.
        limit: how many of them to score.
        quick: fewer repeats, and no long picture.
        on_progress: called with the rows done, the number of all, and what is being done.

    Raises:
        UsageError: an unknown model or backend, or an impossible number of steps or pictures.
        DataError: the data is no source of pictures.
        ModelError: a model folder is damaged.
        MissingExtraError: nothing asked for is installed, or SSIM is not.
    """
    if limit < 1:
        raise UsageError(f"got a limit of {limit} pictures; expected at least 1")
    for backend in backends:
        if backend not in PACKAGES:
            raise UsageError(f"unknown backend {backend!r}: {nearest(backend, PACKAGES)}")
    entries = [_entry(text) for text in models]
    if data:
        open_sources(data)
        if find_spec("skimage") is None:
            raise MissingExtraError("SSIM", "scikit-image", "scores")
    jobs, notes = _jobs(entries, backends)
    rows, failures = [], []
    for number, job in enumerate(jobs):
        job = job.model_copy(update={"data": tuple(data), "limit": limit, "quick": quick})

        def tell(doing: str, number: int = number, job: Job = job) -> None:
            if on_progress is not None:
                on_progress(number, len(jobs), f"{job}: {doing}")

        try:
            rows.append(_measure(job, tell, notes))
        except SR4Error as error:
            failures.append(f"{job}: {error}")
    return _summary(rows, failures, notes, data, limit)


def _entry(text: str) -> _Entry:
    """A model and its steps from "NAME" or "NAME:4,2,1"."""
    head, colon, tail = text.rpartition(":")
    with_steps = bool(colon) and all(part.strip().isdecimal() for part in tail.split(","))
    name = head if with_steps else text
    known = {*RECIPES, *shipped_models()}
    if name not in known and not os.path.lexists(name):
        raise UsageError(f"unknown model {name!r}: {nearest(name, known)}")
    random = name in RECIPES and name not in shipped_models()
    folder = None if random else find_model(name)
    settings: ModelSettings = recipe(name).model if folder is None else read_config(folder)
    usual = STEPS.get(settings.recipe, (settings.sampling.steps,))
    own = dict.fromkeys(settings.steps_taken(number, None) for number in usual)
    steps = tuple(map(int, tail.split(","))) if with_steps else tuple(own)
    schedule = build_schedule(settings.schedule)
    for number in steps:
        if number < 1:
            raise UsageError(f"got {number} steps for {name!r}; expected at least 1")
        schedule.times(number)  # a table has no more than its own
    return _Entry(name, random, folder is not None and (folder / GRAPH).exists(), steps)


def _jobs(entries: Sequence[_Entry], backends: Sequence[str]) -> tuple[list[Job], list[str]]:
    """The rows in their order, and what was left out."""
    jobs, notes = [], {}
    for entry in entries:
        for backend in backends if entry.has_graph else ("torch",):
            package, extra = PACKAGES[backend]
            if find_spec(package) is None:
                alone = f"pip install '{package}'"
                advice = how_to_install(extra, package) if extra else alone
                notes[f"rows on {backend} are left out: {advice} for them"] = extra
                continue
            jobs += [
                Job(model=entry.name, random=entry.random, backend=backend, steps=steps)
                for steps in entry.steps
            ]
    if not jobs:
        raise UsageError(f"got nothing to measure ({'; '.join(notes) or 'no models'})")
    return jobs, list(notes)


def _measure(job: Job, tell: Callable[[str], None], notes: list[str]) -> Row:
    """The row of a job, from a process of its own.

    Raises:
        SR4Error: the process says why it cannot, or has died.
    """
    found = sys.path[1:] if sys.path[0] == "" else sys.path
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found), "PYTHONSAFEPATH": "1"}
    tell("starting")
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints,
        subprocess.Popen(
            [sys.executable, "-c", _ROW],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            encoding="utf-8",
            env=environment,
        ) as process,
    ):
        try:
            for message in _conversation(process, job):
                if "row" in message:
                    return Row.model_validate(message["row"])
                if "error" in message:
                    raise SR4Error(message["error"])
                if "note" in message:
                    notes.append(f"{job}: {message['note']}")
                if "progress" in message:
                    done, total, doing = message["progress"]
                    tell(f"{done} of {total} {doing}")
        except BaseException:
            process.kill()
            raise
        raise SR4Error(_epitaph(process.wait(), complaints))


def _conversation(process: subprocess.Popen[str], job: Job) -> Iterator[dict[str, Any]]:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError), process.stdin:  # it may have died already
        process.stdin.write(job.model_dump_json())
    for line in process.stdout:
        yield json.loads(line)


def _epitaph(code: int, complaints: IO[str]) -> str:
    complaints.seek(0)
    if code < 0:
        return (
            f"its process was killed by signal {-code}; expected it to live: most often the memory "
            "is too small"
        )
    last = (complaints.read().strip().splitlines() or ["it said nothing"])[-1]
    return f"its process ended early ({last[:300]}); expected a row: this is a bug in sr4"


def _summary(
    rows: Sequence[Row],
    failures: Sequence[str],
    notes: Sequence[str],
    data: Sequence[str],
    limit: int,
) -> Benchmark:
    """The rows, compared with the baseline, and what they were measured with."""
    bases = [row for row in rows if (row.recipe, row.nfe) == BASELINE]
    base = bases[0] if bases else None
    if base is not None:
        seconds = base.speed.seconds.median
        rows = [
            row.model_copy(update={"times_faster": seconds / row.speed.seconds.median})
            for row in rows
        ]
    return Benchmark(
        rows=tuple(rows),
        failures=tuple(failures),
        notes=tuple(notes),
        data=open_sources(data).location if data else None,
        limit=limit,
        peak=_peak(rows),
        baseline=base.title if base else None,
        processor=processor(),
        cpus=os.cpu_count(),
        versions=_versions(),
    )


def _peak(rows: Sequence[Row]) -> Peak | None:
    best: dict[str, float] = {}
    for one in (one for row in rows for one in row.rounds):
        for shape, speed in one.peaks.items():
            best[shape] = max(speed, best.get(shape, 0.0))
    if not best:
        return None
    shape = max(best, key=lambda name: best[name])
    return Peak(gflops_per_second=best[shape], convolution=shape, all=best)


def _versions() -> dict[str, str]:
    """Of what computes here, as far as it is installed."""
    found = {"sr4": __version__}
    for package, _ in PACKAGES.values():
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
