"""Speed and quality of several models, runtimes and numbers of steps in one table.

Each row is measured in a process of its own, one after the other, on the same pictures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from sr4._version import __version__
from sr4.bench.left import TimeLeft
from sr4.bench.plan import PACKAGES, Plan
from sr4.bench.row import Job, Row
from sr4.errors import SR4Error
from sr4.machine.processors import processor

BASELINE = ("sr3", 2000)  # recipe and steps

_ROW = "from sr4.bench.row import main; main()"


class Progress(NamedTuple):
    """What `on_progress` sees.

    Attributes:
        doing: the row under way, and what is done for it.
        done: rows that have ended; total: of all.
        seconds_left: None where that is not known, as before a row was measured.
        ended: the row that has just been measured, or the line that says why it could not be.
    """

    doing: str
    done: int
    total: int
    seconds_left: float | None
    ended: Row | str | None = None


OnProgress = Callable[[Progress], None]


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
        missing: the rows that an interrupt has prevented, by their names.
        notes: what else there is to know, such as backends left out.
        data: where the pictures are from; None where speed alone was measured.
        baseline: the row that `times_faster` compares with, by its name; None without one.
    """

    model_config = ConfigDict(frozen=True)

    rows: tuple[Row, ...]
    failures: tuple[str, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...]
    data: str | None
    limit: int
    peak: Peak | None
    baseline: str | None
    processor: str
    cpus: int | None
    versions: dict[str, str]


def benchmark(plan: Plan, on_progress: OnProgress | None = None) -> Benchmark:
    """Measure the rows of a plan on this machine's processor, one after the other. An interrupt
    (SIGINT) ends the work with those that are complete.
    """
    rows: list[Row] = []
    failures: list[str] = []
    notes = list(plan.notes)
    left = TimeLeft(plan.jobs)
    began = monotonic()

    def tell(doing: str, ended: Row | str | None = None) -> None:
        done = len(rows) + len(failures)
        if on_progress is not None:
            elapsed = 0.0 if ended else monotonic() - began
            seconds_left = left.after(done, elapsed)
            on_progress(Progress(doing, done, len(plan.jobs), seconds_left, ended))

    missing: tuple[Job, ...] = ()
    try:
        for job in plan.jobs:
            began = monotonic()
            try:
                row = _measure(job, tell, notes)
            except SR4Error as error:
                failures.append(f"{job}: {error}")
                tell(str(job), failures[-1])
            else:
                rows.append(row)
                left.add(job, monotonic() - began)
                tell(str(job), row)
    except KeyboardInterrupt:
        missing = plan.jobs[len(rows) + len(failures) :]
    return _summary(plan, rows, failures, missing, notes)


def _measure(job: Job, tell: Callable[[str], None], notes: list[str]) -> Row:
    """The row of a job, from a process of its own.

    Raises:
        SR4Error: the process says why it cannot, or has died.
    """
    found = sys.path[1:] if sys.path[0] == "" else sys.path
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found), "PYTHONSAFEPATH": "1"}
    tell(f"{job}: starting")
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
                    tell(f"{job}: {done} of {total} {doing}")
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
    plan: Plan,
    rows: Sequence[Row],
    failures: Sequence[str],
    missing: Sequence[Job],
    notes: Sequence[str],
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
        missing=tuple(map(str, missing)),
        notes=tuple(notes),
        data=plan.data,
        limit=plan.limit,
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
