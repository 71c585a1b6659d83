"""Where the time of an upscaled photograph goes: the network, and everything around it.

    python benchmarks/upscale.py picture.png [--backend openvino] [--repeats 3] [--json]

Each part is measured as it runs within `upscale`, in wall time and in processor time; the latter
tells what a part costs on a machine that does other things, too. Parts within another count once.
For that they run in turn; in truth, whose seconds are printed first, the network is at one band
while another is fitted and put together.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import sr4
from sr4.degradation import Degradation
from sr4.diffusion.samplers import PictureNoise
from sr4.evidence.constraint import Constraint
from sr4.machine.processors import available_cpus
from sr4.model.diffusion_model import DiffusionModel
from sr4.pictures import read_picture, write_picture
from sr4.pictures.raster import Span
from sr4.upscaling import canvas, tiling

PARTS: dict[str, tuple[Any, str]] = {
    "network": (DiffusionModel, "evaluate"),
    "fit": (Constraint, "fit"),
    "projection": (Degradation, "project"),
    "upsampling": (Degradation, "upsample"),
    "noise": (PictureNoise, "rows"),
    "quantisation": (Span, "pixels"),
    "consistency": (canvas, "_consistency"),
}


class InTurn:
    """An executor that does at once what it is given, so that parts follow each other."""

    def __init__(self, threads: int, name: str) -> None:
        pass

    def __enter__(self) -> InTurn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """What is done already."""
        done: Future[Any] = Future()
        done.set_result(work())
        return done


class Clock:
    """Wall and processor seconds by part."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.cpu: Counter[str] = Counter()
        self._inside = False

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted for a part unless it runs within another part."""

        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            if self._inside:
                return function(*args, **options)
            self._inside = True
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*args, **options)
            finally:
                self._inside = False
                self.wall[part] += time.perf_counter() - wall
                self.cpu[part] += time.process_time() - cpu

        return call


def measure(pipeline: Any, path: Path, clock: Clock, repeats: int) -> dict[str, Any]:
    """The median of each part over the repeats, after one that warms up."""
    true = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        pipeline.upscale(read_picture(path).frames[0])
        true.append(time.perf_counter() - began)
    for part, (owner, name) in PARTS.items():
        setattr(owner, name, clock.timed(part, getattr(owner, name)))
    tiling.ThreadPoolExecutor = InTurn  # type: ignore[misc,assignment]
    runs: list[tuple[Counter[str], Counter[str]]] = []
    for _ in range(repeats + 1):
        clock.wall, clock.cpu = Counter(), Counter()
        wall, cpu = time.perf_counter(), time.process_time()
        picture = clock.timed("reading", read_picture)(path)
        found = pipeline.upscale(picture.frames[0])
        with tempfile.TemporaryDirectory() as folder:
            made = type(picture)((found.raster,), metadata=picture.metadata)
            clock.timed("writing", write_picture)(made, Path(folder, "result.png"))
        clock.wall["all"] = time.perf_counter() - wall
        clock.cpu["all"] = time.process_time() - cpu
        runs.append((clock.wall, clock.cpu))
    rows = {}
    for part in ["reading", *PARTS, "writing", "all"]:
        walls, cpus = ([run[kind][part] for run in runs[1:]] for kind in (0, 1))
        rows[part] = {"wall": statistics.median(walls), "cpu": statistics.median(cpus)}
    rest = {kind: rows["all"][kind] for kind in ("wall", "cpu")}
    for part in rows.keys() - {"all"}:
        for kind in rest:
            rest[kind] -= rows[part][kind]
    rows["rest"] = rest
    width, height = found.raster.size
    size = {"width": width, "height": height}
    seconds = statistics.median(true[1:])
    return {**size, "consistency": found.consistency, "seconds": seconds, "parts": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", default="photo-x4")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clock = Clock()
    pipeline = sr4.load(options.model, backend=options.backend)
    found = measure(pipeline, options.picture, clock, options.repeats)
    found |= {"backend": pipeline.backend, "threads": available_cpus(), "load": os.getloadavg()[0]}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{found['width']}x{found['height']} on {found['backend']}, {found['threads']} threads, "
        f"load {found['load']:.1f}, consistency {found['consistency']:.4f}: "
        f"{found['seconds']:.3f} s, without writing the file"
    )
    network = found["parts"]["network"]
    print(f"{'':14}{'wall s':>8}{'cpu s':>8}{'of the network (cpu)':>24}")
    for part, seconds in found["parts"].items():
        share = seconds["cpu"] / network["cpu"]
        print(f"{part:14}{seconds['wall']:8.3f}{seconds['cpu']:8.3f}{share:24.1%}")


if __name__ == "__main__":
    main()
