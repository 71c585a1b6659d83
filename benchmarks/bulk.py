"""Many small pictures on a local Ray cluster of two workers, beside the same on one machine.

    python benchmarks/bulk.py --pictures 20000             # cost, kills, and each byte compared
    python benchmarks/bulk.py --plan 100000                # planning alone

The pictures are smooth noise of 16x16 pixels. They go through `sr4 upscale`, then through `sr4
upscale --cluster` in peace, and once more with one worker killed at a third and the driver at two
thirds, and called again. Cost is what lies between the first tenth of the results and the last:
start-up is not in it. The processor time of the cluster is that of all its processes and of the
driver.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from local_cluster import Cluster, local_cluster

SIDE = 16
CPUS = 4  # logical ones, for two workers
PAUSE = 0.25  # seconds between looking
FOLDER = 500  # pictures


@dataclass(frozen=True)
class Cost:
    """What a picture costs, after start-up.

    Attributes:
        cpu, wall: milliseconds of processor time and of time.
        start: seconds until the first tenth was there.
        memory: megabytes of the process that was called, after a tenth; memory_at_end: at the end.
    """

    cpu: float
    wall: float
    start: float
    memory: float
    memory_at_end: float


class Clock:
    """The processor time of processes and all that they start, those that have ended too."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = [psutil.Process(root) for root in roots]
        self._seconds: dict[tuple[int, float], tuple[str, float]] = {}

    def seconds(self) -> float:
        """So far."""
        for root in self._roots:
            try:
                family = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for one in family:
                try:
                    times = one.cpu_times()
                    name = one.name()
                    self._seconds[one.pid, one.create_time()] = name, times.user + times.system
                except psutil.NoSuchProcess:
                    continue
        return sum(seconds for _, seconds in self._seconds.values())


def make_pictures(place: Path, count: int) -> None:
    """Smooth noise, each picture another."""
    chance = np.random.default_rng(0)
    for number in range(count):
        path = place / f"{number // FOLDER:04}" / f"{number:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = chance.integers(50, 200, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


def copy_pictures(place: Path, count: int) -> None:
    """So many names of one picture."""
    make_pictures(place, 1)
    (first,) = results(place).values()
    for number in range(1, count):
        copy = place / f"{number // FOLDER:04}" / f"{number:06}.png"
        copy.parent.mkdir(exist_ok=True)
        if number % FOLDER:
            os.link(first, copy)  # a file has no more than some ten thousand names
        else:
            first = Path(shutil.copy(first, copy))


def results(out: Path) -> dict[str, Path]:
    """The files of a folder by their place in it, hidden ones too."""
    return {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}


def call(place: Path, out: Path, model: str, cluster: Cluster | None) -> subprocess.Popen[bytes]:
    """Start `sr4 upscale`."""
    words = ["upscale", str(place), "-o", str(out), "--model", model, "--backend", "openvino"]
    words += ["--cluster", cluster.address] if cluster else []
    return subprocess.Popen(
        [sys.executable, "-c", "from sr4.cli.main import main; raise SystemExit(main())", *words],
        stdout=subprocess.PIPE,
        env=cluster.environment if cluster else None,
    )


def watch(process: subprocess.Popen[bytes], see: Callable[[int], None]) -> int:
    """Count the lines of results until the call ends; its exit code."""
    assert process.stdout is not None
    for count, _ in enumerate(process.stdout, start=1):
        see(count)
    return process.wait()


def measure(place: Path, out: Path, model: str, count: int, cluster: Cluster | None) -> Cost:
    """The cost of one call in peace."""
    began = time.monotonic()
    process = call(place, out, model, cluster)
    clock = Clock([process.pid, *([cluster.process] if cluster else [])])
    marks: list[tuple[int, float, float, float]] = []
    seen = -PAUSE

    def see(done: int) -> None:
        nonlocal seen
        now = time.monotonic()
        if (done >= count // 10 and now - seen >= PAUSE) or done == count:
            seen = now
            memory = psutil.Process(process.pid).memory_info().rss / 1e6
            marks.append((done, now, clock.seconds(), memory))

    if watch(process, see):
        raise SystemExit("the call has failed")
    (few, early, spent, memory), (many, late, spent_late, at_end) = marks[0], marks[-1]
    each = 1000 / (many - few)
    return Cost(each * (spent_late - spent), each * (late - early), early - began, memory, at_end)


def workers(cluster: Cluster) -> list[psutil.Process]:
    """The processes of a cluster that hold models."""
    family = psutil.Process(cluster.process).children(recursive=True)
    return [one for one in family if "Worker)" in " ".join(one.cmdline())]


def kill(place: Path, out: Path, model: str, count: int, cluster: Cluster) -> None:
    """A call of which one worker is killed, and then the driver; and the call that ends it."""
    process = call(place, out, model, cluster)

    def see(done: int) -> None:
        if done == count // 3:
            workers(cluster)[0].kill()
        if done == 2 * count // 3:
            process.kill()

    if watch(process, see) >= 0:
        raise SystemExit("the driver was not killed")
    if watch(call(place, out, model, cluster), lambda _: None):
        raise SystemExit("the call after the kill has failed")


def compare(one: Path, other: Path) -> int:
    """How many files are missing, too many, or of other bytes."""
    ours, theirs = results(one), results(other)
    both = ours.keys() & theirs.keys()
    different = sum(ours[name].read_bytes() != theirs[name].read_bytes() for name in both)
    return different + len(ours.keys() ^ theirs.keys())


def plan(count: int) -> dict[str, float]:
    """The cost of planning so many files, in a process that did nothing before."""
    with TemporaryDirectory() as folder:
        place = Path(folder, "in")
        copy_pictures(place, count)
        code = (
            "import sys, time, resource; from pathlib import Path\n"
            "from sr4.batch.plan import plan_pictures\n"
            "began, spent = time.perf_counter(), time.process_time()\n"
            "made = plan_pictures([sys.argv[1]], Path(sys.argv[1] + '-out'), made=None)\n"
            "seconds = time.perf_counter() - began, time.process_time() - spent\n"
            "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
            "print(len(made.pictures), *seconds, peak)"
        )
        words = [sys.executable, "-c", code, str(place)]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    if int(said[0]) != count:
        raise SystemExit(f"{said[0]} pictures were planned")
    named = zip(("seconds", "cpu_seconds", "peak_mb"), map(float, said[1:]), strict=True)
    return {"files": count, **dict(named)}


def bulk(count: int, model: str) -> dict[str, object]:
    """The cost on one machine and on a cluster, and what kills leave."""
    with TemporaryDirectory() as folder:
        base = Path(folder)
        make_pictures(base / "in", count)
        plain = measure(base / "in", base / "plain", model, count, None)
        with local_cluster(CPUS) as cluster:
            spread = measure(base / "in", base / "spread", model, count, cluster)
            kill(base / "in", base / "killed", model, count, cluster)
        return {
            "pictures": count,
            "model": model,
            "one_machine": asdict(plain),
            "cluster": asdict(spread),
            "cpu_ratio": spread.cpu / plain.cpu,
            "wall_ratio": spread.wall / plain.wall,
            "different": compare(base / "plain", base / "spread"),
            "different_after_kills": compare(base / "plain", base / "killed"),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--model", default="sr4-fast")
    parser.add_argument("--plan", type=int, metavar="FILES", help="plan so many files, and end")
    given = parser.parse_args()
    found = plan(given.plan) if given.plan else bulk(given.pictures, given.model)
    print(json.dumps(found, indent=2))
    return 1 if found.get("different") or found.get("different_after_kills") else 0


if __name__ == "__main__":
    sys.exit(main())
