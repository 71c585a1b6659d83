"""What work costs as it grows, measured: pictures, their sizes, workers, files and parameters.

    python benchmarks/scale_points.py points.json                 # all; let nothing else run
    python benchmarks/scale_points.py points.json --only sizes    # one part anew; the others stay

`benchmarks/scale.py` fits a model to the points. The parts are

- calls: n faces of 16x16 pixels through `sr4 upscale --cluster`, on one worker whose node has one
  processor and on two workers whose node has two; start and end of the call are in its seconds;
- sizes: results of several sizes through `sr4 upscale`, on one processor and on two;
- handing: workers that sleep instead of drawing, so that more of them than processors can be
  kept at work: what the driver and Ray can hand out at most;
- plans: so many files, planned;
- trainings: steps of SR3's network with several widths on one processor.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bulk
import numpy as np
import psutil
from bulk import PAUSE, Clock, call, copy_pictures, make_pictures, watch, workers
from local_cluster import Cluster, local_cluster
from PIL import Image
from skimage.data import astronaut
from train_step import random_batch

from sr4._version import __version__
from sr4.batch.events import Done
from sr4.batch.options import UpscaleOptions
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import PlannedPicture, plan_pictures
from sr4.batch.worker import upscale_pictures
from sr4.cli.main import main as main_of_sr4
from sr4.cluster import engine
from sr4.cluster.worker import Chunk, Told, gathered
from sr4.config.overrides import override
from sr4.files.whole import write_text
from sr4.machine.processors import processor
from sr4.recipes import recipe
from sr4.training.plan import describe
from sr4.training.trainer import begin

COUNTS = ((100, 1), (100, 2), (1000, 1), (1000, 2), (10_000, 1), (10_000, 2), (100_000, 2))
SIDES = ((128, 64), (512, 16), (1024, 6), (2048, 3), (4096, 2), (8192, 1))  # and how many
FILES = (10_000, 30_000, 100_000)
SLEEPERS = ((4, 0.02), (16, 0.02), (48, 0.02), (4, 0.002), (16, 0.002), (48, 0.002))
SLEEPS = 40.0  # seconds that the sleepers work
MOST_SLEPT = 40_000  # pictures
UPSCALE = ("upscale", "--backend", "openvino", "--model")
WIDTHS = (16, 24, 32, 48, 64, 96)  # channels of the first level of SR3's network
STEPS = 5

LAUNCHER = """
import os, sys, time
began = time.monotonic()
nothing = os.open(os.devnull, os.O_WRONLY)
quiet = [(os.POSIX_SPAWN_DUP2, nothing, 1), (os.POSIX_SPAWN_DUP2, nothing, 2)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, used = os.wait4(child, 0)
print(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""

Point = dict[str, float]


@contextmanager
def processors(count: int) -> Iterator[None]:
    """What is started inside may use so many processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:count]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Mark:
    """A moment of a call: pictures done, the time, and processor seconds until then."""

    done: int
    now: float
    driver: float
    workers: float
    all: float


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1e6)


def watched(process: subprocess.Popen[bytes], count: int, cluster: Cluster) -> Point:
    """Watch a call from its start on; costs between the first tenth of the results and the last."""
    began = time.monotonic()
    driver = psutil.Process(process.pid)
    clock = Clock([process.pid, cluster.process])
    marks: list[Mark] = []
    memory: list[tuple[float, float]] = []

    def see(done: int) -> None:
        now = time.monotonic()
        if marks and now - marks[-1].now < PAUSE and done < count:
            return
        if done >= count // 10:
            drawing = workers(cluster)
            spent = sum(_seconds(one) for one in drawing)
            marks.append(Mark(done, now, _seconds(driver), spent, clock.seconds()))
            memory.append((_memory(driver), max((_memory(one) for one in drawing), default=0.0)))

    if watch(process, see):
        raise SystemExit("the call has failed")
    first, last = marks[0], marks[-1]
    each = 1000 / (last.done - first.done) if last.done > first.done else float("nan")
    elapsed = last.now - first.now
    ours = (last.driver - first.driver) + (last.workers - first.workers)
    return {
        "pictures": count,
        "seconds": time.monotonic() - began,
        "start": first.now - began,
        "each_ms": each * elapsed,
        "worker_ms": each * (last.workers - first.workers),
        "driver_ms": each * (last.driver - first.driver),
        "ray_processors": (last.all - first.all - ours) / elapsed if elapsed else float("nan"),
        "driver_mb": memory[0][0],
        "driver_mb_at_end": memory[-1][0],
        "worker_mb": max(one for _, one in memory),
    }


def calls(counts: Sequence[tuple[int, int]]) -> Iterator[Point]:
    """Faces on a cluster, so many, on so many workers of one thread."""
    for count, at_work in counts:
        with (
            TemporaryDirectory() as folder,
            processors(at_work),
            local_cluster(2 * at_work) as here,
        ):
            make_pictures(Path(folder, "in"), count)
            process = call(Path(folder, "in"), Path(folder, "out"), "sr4-fast", here)
            yield {"workers": at_work, **watched(process, count, here)}


def _picture(path: Path, side: int, number: int) -> None:
    """A square photograph, each number another part of it in its corner."""
    photograph = Image.fromarray(np.roll(astronaut(), 37 * number, axis=(0, 1)))
    path.parent.mkdir(parents=True, exist_ok=True)
    photograph.resize((side, side), Image.Resampling.BICUBIC).save(path)


def _upscaled(place: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and megabytes of an `sr4 upscale` of a folder."""
    words = [*UPSCALE, "photo-x4", str(place), "-o", f"{place}-out", "--overwrite"]
    # A process is told to have taken at least what the one that started it did: a small one does.
    command = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "sr4", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, spent, kilobytes = map(float, done.stdout.splitlines()[-1].split())
    return seconds, spent, kilobytes / 1024


def sizes(sides: Sequence[tuple[int, int]]) -> Iterator[Point]:
    """Photographs whose results have these sides; what one call with the smallest of them costs is
    taken off, so that starting is not in it.
    """
    smallest = min(side for side, _ in sides)
    for at_work in (1, 2):
        with TemporaryDirectory() as folder, processors(at_work):
            _picture(Path(folder, "one", "0.png"), smallest // 4, 0)
            _upscaled(Path(folder, "one"))  # which fills caches
            start = _upscaled(Path(folder, "one"))
            for side, count in sides:
                place = Path(folder, str(side))
                for number in range(count):
                    _picture(place / f"{number}.png", side // 4, number)
                seconds, spent, memory = _upscaled(place)
                results = list(Path(f"{place}-out").rglob("*.png"))
                yield {
                    "processors": at_work,
                    "side": side,
                    "pictures": count,
                    "seconds": (seconds - start[0]) / count,
                    "cpu_seconds": (spent - start[1]) / count,
                    "start": start[0],
                    "peak_mb": memory,
                    "result_bytes": sum(one.stat().st_size for one in results) / count,
                }


class Sleeper:
    """A worker that takes as long as it is told for each picture and says that it is done.

    Attributes:
        seconds: for each; like: what a true worker has told of one.
    """

    seconds: float
    like: Done

    def __init__(self, order: object, processors: object, when_stopped: object) -> None:
        pass  # as `sr4.cluster.worker.Worker`, but for what it is given there

    def __call__(self, row: Mapping[str, Any]) -> Iterator[dict[str, Told]]:
        """As `sr4.cluster.worker.Worker.__call__`."""
        chunk: Chunk = row["chunk"]
        for told in gathered(chunk.number, self._events(chunk.pictures)):
            yield {"told": told}

    def _events(self, pictures: Sequence[PlannedPicture]) -> Iterator[Done]:
        for picture in pictures:
            time.sleep(self.seconds)
            names = {"input": str(picture.source), "output": str(picture.output)}
            yield Done(picture, replace(self.like.record, **names))


def drive_sleepers(seconds: float, words: list[str]) -> int:
    """Be `sr4`, with workers that sleep; the first picture of the folder is drawn truly."""
    first = next(Path(words[len(UPSCALE) + 1]).rglob("*.png"))
    with TemporaryDirectory() as folder:
        options = UpscaleOptions(model="sr4-fast")
        planned = plan_pictures([str(first)], Path(folder), made=None)
        events = upscale_pictures(planned, options, Pipelines("openvino", "cpu"))
        Sleeper.like = next(one for one in events if isinstance(one, Done))
    Sleeper.seconds = seconds
    engine.Worker = Sleeper  # type: ignore[misc,assignment]
    return main_of_sr4(words)


def handing(cases: Sequence[tuple[int, float]]) -> Iterator[Point]:
    """What is handed out to so many workers that sleep so long for a picture."""
    for at_work, seconds in cases:
        count = min(MOST_SLEPT, round(at_work * SLEEPS / seconds))
        with TemporaryDirectory() as folder, local_cluster(2 * at_work) as here:
            place = Path(folder, "in")
            copy_pictures(place, count)
            words = [*UPSCALE, "sr4-fast", str(place), "-o", f"{place}-out"]
            words += ["--cluster", here.address]
            process = subprocess.Popen(
                [sys.executable, __file__, "--sleep", str(seconds), *words],
                stdout=subprocess.PIPE,
                env=here.environment,
            )
            yield {"workers": at_work, "sleep": seconds, **watched(process, count, here)}


def plans(counts: Sequence[int]) -> Iterator[Point]:
    """So many files, planned."""
    for count in counts:  # by a small process, as above
        command = [sys.executable, str(Path(bulk.__file__)), "--plan", str(count)]
        yield json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def _train(width: int) -> Point:
    """Steps of a network of some width, in a process that did nothing before."""
    settings = override(
        recipe("sr3"),
        {
            "model": {"image_size": 64, "network": {"inner": width, "groups": 8}},
            "training": {"batch_size": 4, "precision": "bf16"},
        },
    )
    cost, learner = describe(settings), begin(settings)
    seconds = []
    for number in range(1 + STEPS):
        batch = random_batch(settings, 4 * number)
        began = time.perf_counter()
        learner.step(batch)
        seconds.append(time.perf_counter() - began)
    return {
        "width": width,
        "parameters": cost["parameters"],
        "gflops": 3 * 4 * cost["gflops"],  # of a step: the backward pass is two forward ones
        "seconds": statistics.median(seconds[1:]),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def trainings(widths: Sequence[int]) -> Iterator[Point]:
    """Steps of networks of several widths, batches of 4 pictures of 64x64, on one processor."""
    for width in widths:
        with processors(1), ProcessPoolExecutor(1, get_context("spawn")) as pool:
            yield pool.submit(_train, width).result()


PARTS: Mapping[str, Callable[[], Iterator[Point]]] = {
    "calls": lambda: calls(COUNTS),
    "sizes": lambda: sizes(SIDES),
    "handing": lambda: handing(SLEEPERS),
    "plans": lambda: plans(FILES),
    "trainings": lambda: trainings(WIDTHS),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("points", type=Path, help="the file of the points")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given several times")
    given = parser.parse_args()
    found = json.loads(given.points.read_text()) if given.points.exists() else {}
    found["machine"] = f"{processor()}, {os.cpu_count()} processors"
    found["versions"] = ", ".join(
        [
            f"sr4 {__version__}",
            *(f"{name} {version(name)}" for name in ("ray", "openvino", "torch")),
        ]
    )
    for part in given.only or PARTS:
        found[part] = []
        for point in PARTS[part]():
            found[part].append({key: round(value, 6) for key, value in point.items()})
            print(part, json.dumps(found[part][-1]), file=sys.stderr, flush=True)
            write_text(given.points, json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sleep"]:
        sys.exit(drive_sleepers(float(sys.argv[2]), sys.argv[3:]))
    sys.exit(main())
