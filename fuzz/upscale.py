"""Damaged picture files through `sr4 upscale`: each is upscaled, or refused in one line.

Run `python fuzz/upscale.py --count 10000`; README.md beside this file says what is checked.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mutations import mutate
from seeds import Seed, make_seeds

_DEATH_SIGNAL = 1  # of prctl: PR_SET_PDEATHSIG
_MOST_SECONDS = 3600.0
_SECONDS = 20.0  # for one file, and for each million pixels that the network goes through
_TILE = 128  # a narrow result costs as much as one of this width
_START_SECONDS = 120.0  # for a worker to load the model
_OURS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF", "NPY")
_DONE = re.compile(
    r".+ -> .+  \d+x\d+(, \d+ frames)?, evidence .+, consistency [\d.]+, [\d.]+ s on onnx\n"
)
_RUN = "import sys; from sr4.cli.main import main; sys.exit(main())"


@dataclass
class Run:
    """What one call of the command line did with one file."""

    code: int | None = None  # None: it never came back
    out: str = ""
    err: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0  # peak of the process
    files: list[str] = field(default_factory=list)  # in the output folder


@dataclass
class Outcome:
    """One line of results.jsonl."""

    number: int
    format: str
    upscaled: bool
    seconds: float
    megabytes: float
    problems: list[str]


def make_file(seed: int, number: int, seeds: Sequence[Seed], folder: Path) -> tuple[Seed, Path]:
    """The file of a number: the same one each time, whatever files came before."""
    random_ = random.Random(f"{seed} {number}")
    formats = sorted({one.format for one in seeds})
    kind = random_.choice(formats if random_.random() < 0.4 else _OURS)
    chosen = random_.choice([one for one in seeds if one.format == kind])
    data = chosen.data
    if random_.random() < 0.95:  # some stay whole
        data = mutate(data, [one.data for one in seeds], random_)
    path = folder / f"{number}.{chosen.suffix}"
    path.write_bytes(data)
    return chosen, path


# Workers: a process that runs the command line on one file after another.


def _limit(gigabytes: float) -> None:
    size = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024


def work(connection: Connection, model: str, gigabytes: float) -> None:
    """Answer each (file, output folder) with a `Run`. What is the same for all is made once: the
    model, and the parser of the command line.
    """
    from sr4.cli import main as program
    from sr4.model import diffusion_model

    # Ends with the harness, however that ends; busy with a picture, it would not notice.
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    loaded = diffusion_model.load_model(model, backend="onnx")
    diffusion_model.load_model = lambda *_, **__: loaded
    program.get_command = functools.cache(program.get_command)
    _limit(gigabytes)
    connection.send(None)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # What libraries written in C print counts too.
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        while True:
            path, folder = connection.recv()
            for stream in (out, err):
                stream.seek(0)
                stream.truncate()
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak
            began = time.perf_counter()
            code = program.main(
                ["upscale", path, "-o", folder, "--model", model, "--backend", "onnx"]
            )
            seconds = time.perf_counter() - began
            said = []
            for stream in (out, err):
                stream.seek(0)
                said.append(stream.read().decode("utf-8", "replace"))
            connection.send(Run(code, *said, seconds, _peak_megabytes()))


class Worker:
    """The other end of such a process, which is started anew when it has died."""

    def __init__(self, model: str, gigabytes: float) -> None:
        self._model, self._gigabytes = model, gigabytes
        self._process: Any = None

    def run(self, path: Path, seconds: float) -> Run:
        """One file, in at most so many seconds."""
        if self._process is None:
            self._start()
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out")
            self._connection.send((str(path), str(out)))
            began = time.perf_counter()
            run = None
            with contextlib.suppress(EOFError, ConnectionError):
                run = self._connection.recv() if self._connection.poll(seconds) else None
            if run is None:
                alive = self._process.is_alive()
                self.stop()
                why = "hangs" if alive else "died"
                run = Run(None, err=why, seconds=time.perf_counter() - began)
            run.files = sorted(file.name for file in out.rglob("*")) if out.exists() else []
            return run

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, self._model, self._gigabytes)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        if not self._connection.poll(_START_SECONDS):
            raise RuntimeError("the worker did not start")
        self._connection.recv()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def run_alone(path: Path, model: str, gigabytes: float, seconds: float) -> Run:
    """The same in a process of its own, which tells a culprit from its predecessor in a worker."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        command = [sys.executable, "-c", _RUN, "upscale", str(path), "-o", str(out)]
        began = time.perf_counter()
        try:
            done = subprocess.run(
                [*command, "--model", model, "--backend", "onnx"],
                capture_output=True,
                timeout=seconds,
                preexec_fn=lambda: _limit(gigabytes),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Run(None, err="hangs", seconds=seconds)
        said = [text.decode("utf-8", "replace") for text in (done.stdout, done.stderr)]
        files = sorted(file.name for file in out.rglob("*")) if out.exists() else []
        return Run(done.returncode, *said, time.perf_counter() - began, 0.0, files)


# Judging


def allowed_seconds(path: Path, scale: int) -> float:
    """What a file may take: more if it says that it is large."""
    from PIL import Image

    from sr4.errors import PictureError
    from sr4.pictures import read_size

    try:
        size = read_size(path)
    except PictureError:
        return _SECONDS
    frames = 1
    with contextlib.suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            frames = getattr(image, "n_frames", 1)
    width, height = (max(_TILE, side * scale) for side in size)
    return min(_MOST_SECONDS, _SECONDS * max(1.0, frames * width * height / 1e6))


def problems_of(run: Run, path: Path, megabytes: float) -> list[str]:
    """What a call did that it must not do."""
    if run.code is None:
        return [f"the process {run.err}"]
    found = []
    lines = [line for line in run.err.splitlines() if line]
    if "Traceback" in run.err or "bug in sr4" in run.err:
        found.append("an error that nobody expected")
    if run.code == 0:
        notes = [line for line in lines if line.startswith(f"sr4: {path}: ")]
        if notes != lines or not _DONE.fullmatch(run.out) or path.name not in run.out:
            found.append("success that is not one line, or more than notes of it")
        if [Path(file).stem for file in run.files] != [path.stem]:
            found.append(f"the files {run.files}")
    elif run.code == 1:
        if len(lines) != 1 or not lines[0].startswith("sr4: error: ") or path.name not in lines[0]:
            found.append(f"{len(lines)} lines of refusal")
        if run.out:
            found.append("a refusal with a result")
        if run.files:
            found.append(f"files of a failure: {run.files}")
    else:
        found.append(f"exit code {run.code}")
    if run.megabytes > megabytes:
        found.append(f"{run.megabytes:,.0f} MB")
    return found


@dataclass(frozen=True)
class Options:
    """Those of the command line."""

    count: int
    seed: int
    out: Path
    model: str
    workers: int
    memory: float  # GB, of addresses
    peak: float  # MB, of memory


class Harness:
    """Files by number, shared out among workers; what is known already is not done again."""

    def __init__(self, options: Options) -> None:
        from sr4.model.folder import find_model, read_config

        self.options = options
        self.seeds = make_seeds()
        self.scale = read_config(find_model(options.model)).scale
        self.culprits = options.out / "culprits"
        self.pictures = options.out / "pictures"
        for folder in (self.culprits, self.pictures):
            folder.mkdir(parents=True, exist_ok=True)
        self.log = options.out / f"results-{options.seed}.jsonl"
        self.outcomes = self._known()
        self._lock = threading.Lock()

    def _known(self) -> dict[int, Outcome]:
        if not self.log.exists():
            return {}
        lines = self.log.read_text(encoding="utf-8").splitlines()
        known = (Outcome(**json.loads(line)) for line in lines)
        return {one.number: one for one in known if one.number < self.options.count}

    def run(self) -> list[Outcome]:
        """Everything up to the count."""
        numbers = (n for n in range(self.options.count) if n not in self.outcomes)
        threads = [
            threading.Thread(target=self._share, args=(numbers,))
            for _ in range(self.options.workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(self.outcomes) < self.options.count:
            raise SystemExit("a worker failed: see above")
        return [self.outcomes[number] for number in sorted(self.outcomes)]

    def _share(self, numbers: Iterator[int]) -> None:
        worker = Worker(self.options.model, self.options.memory)
        try:
            while True:
                with self._lock:
                    number = next(numbers, None)
                if number is None:
                    return
                outcome = self._judge(number, worker)
                with self._lock, self.log.open("a", encoding="utf-8") as log:
                    self.outcomes[number] = outcome
                    log.write(json.dumps(asdict(outcome)) + "\n")
        finally:
            worker.stop()

    def _judge(self, number: int, worker: Worker) -> Outcome:
        options = self.options
        seed, path = make_file(options.seed, number, self.seeds, self.pictures)
        try:
            seconds = allowed_seconds(path, self.scale)
            run = worker.run(path, seconds)
            problems = problems_of(run, path, options.peak)
            if problems:
                alone = run_alone(path, options.model, options.memory, seconds + 30)
                again = problems_of(alone, path, options.peak)
                problems.append(f"alone: {'; '.join(again) or 'none of this'}")
                self._keep(path, run, alone, problems)
        finally:
            path.unlink()
        upscaled = run.code == 0
        return Outcome(number, seed.format, upscaled, run.seconds, run.megabytes, problems)

    def _keep(self, path: Path, run: Run, alone: Run, problems: list[str]) -> None:
        shutil.copyfile(path, self.culprits / path.name)
        said = "\n".join([*problems, run.out, run.err, "alone:", alone.out, alone.err])
        (self.culprits / f"{path.name}.txt").write_text(said, encoding="utf-8")


def table(outcomes: Sequence[Outcome]) -> str:
    """Lines by format, and one of all."""
    rows = [("format", "files", "upscaled", "refused", "worst s", "peak MB", "problems")]
    formats = sorted({one.format for one in outcomes})
    for name in [*formats, "all"]:
        group = [one for one in outcomes if name in (one.format, "all")]
        upscaled = sum(one.upscaled for one in group)
        rows.append(
            (
                name,
                str(len(group)),
                str(upscaled),
                str(len(group) - upscaled),
                f"{max((one.seconds for one in group), default=0):.2f}",
                f"{max((one.megabytes for one in group), default=0):.0f}",
                str(sum(bool(one.problems) for one in group)),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def main() -> int:
    """Exit code 1 if there is any problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="files in all")
    parser.add_argument("--seed", type=int, default=0, help="other files for each")
    parser.add_argument("--out", type=Path, default=Path("fuzz-results"))
    parser.add_argument("--model", default="sr4-fast", help="name or folder, with an ONNX graph")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--memory", type=float, default=6.0, help="limit of addresses in GB")
    parser.add_argument("--peak", type=float, default=2000.0, help="limit of memory in MB")
    options = Options(**vars(parser.parse_args()))
    outcomes = Harness(options).run()
    print(table(outcomes))
    failed = [one for one in outcomes if one.problems]
    for one in failed:
        print(f"{one.number} ({one.format}): {'; '.join(one.problems)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
