"""Damaged pictures, tars, models and settings, one after another in one process: each is taken, or
refused in one line.

    python fuzz/inputs.py MODEL --count 20000 --seed 0

MODEL is a small exported model; README.md beside this file says what is checked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from graphs import wild_document, wild_model
from mutations import mutate
from seeds import make_seeds
from structures import tar

from sr4.cli.train import lay_over
from sr4.config import ModelConfig, RunSettings
from sr4.data.prepare import info
from sr4.data.sources import open_source
from sr4.errors import SR4Error
from sr4.model.diffusion_model import load_model
from sr4.pictures import read_picture, write_picture
from sr4.recipes import recipe
from sr4.runtime import rehearsal

SECONDS = 20
_MOST_PIXELS = 1_000_000  # a large picture is slow, not wrong
_MOST_LINE = 3000


class Inputs:
    """Inputs by their number: the same one each time, whatever came before."""

    def __init__(self, model: Path, seed: int, place: Path) -> None:
        self._model, self._seed, self._place = model, seed, place
        self._seeds = make_seeds(bombs=False)
        self._datas = [one.data for one in self._seeds]
        self._small = [one for one in self._seeds if one.suffix in ("png", "jpg", "webp")]
        self._run = recipe("sr4-fast")
        self._kinds: dict[str, tuple[int, Callable[[random.Random], None]]] = {
            "picture": (60, self._picture),
            "tar": (20, self._tar),
            "settings": (15, self._settings),
            "model": (5, self._wild_model),
        }

    def try_one(self, number: int) -> tuple[str, bool]:
        """What kind it was, and whether it was taken.

        Raises:
            Exception: anything but an error of sr4's own with one line.
        """
        random_ = random.Random(f"{self._seed} {number}")
        weights = [weight for weight, _ in self._kinds.values()]
        (kind,) = random_.choices(list(self._kinds), weights)
        try:
            self._kinds[kind][1](random_)
        except SR4Error as error:
            if not str(error) or "\n" in str(error) or len(str(error)) > _MOST_LINE:
                raise AssertionError(f"not one line: {error}") from error
            return kind, False
        return kind, True

    def _picture(self, random_: random.Random) -> None:
        """Read, written again with all that it says, and read again."""
        seed = random_.choice(self._seeds)
        data = mutate(seed.data, self._datas, random_)
        picture = read_picture(data, name="given", max_pixels=_MOST_PIXELS)
        made = self._place / f"made{random_.choice(('.png', '.jpg', '.webp', '.tif'))}"
        try:
            write_picture(picture, made)
            again = read_picture(made)
            made.unlink()
        finally:
            left = [one.name for one in self._place.iterdir() if one.name.startswith((".", "made"))]
            assert not left, f"left {left}"
        before, after = picture.frames[0].size, again.frames[0].size
        assert before == after, f"{before} became {after} as {made.suffix}"

    def _tar(self, random_: random.Random) -> None:
        """Opened, looked at and read, as training does."""
        chosen = random_.sample(self._small, 4)
        members = [(f"{number}.{one.suffix}", one.data) for number, one in enumerate(chosen)]
        path = self._place / "given.tar"
        path.write_bytes(tar(members, random_))
        source = open_source(path)
        info(path)
        for index in range(len(source)):
            source.read(index)

    def _settings(self, random_: random.Random) -> None:
        """Laid over a recipe, and taken for a model's config."""
        run = self._run.model_dump(mode="json", exclude_unset=random_.random() < 0.5)
        path = self._place / "given.yaml"
        path.write_text(yaml.safe_dump(wild_document(run, random_)), encoding="utf-8")
        assert isinstance(lay_over(self._run, path, []), RunSettings)

    def _wild_model(self, random_: random.Random) -> None:
        """Opened and run, as an upscale does."""
        with tempfile.TemporaryDirectory(dir=self._place) as folder:
            wild_model(self._model, Path(folder), random_)
            model = load_model(folder, backend="onnx")
            assert isinstance(model.config, ModelConfig)
            low_res = np.zeros((1, model.config.channels, 8, 8), np.float32)
            model.sample(low_res, seeds=[0], steps=1)


def rehearse_in_forks() -> None:
    """The first opening of each graph in a fork of this process, which starts at once, not in a new
    one: what it does is the same.
    """

    def run(command: Any, *, input: bytes, timeout: float, **_: Any) -> Any:
        process = os.fork()
        if process == 0:
            with tempfile.TemporaryFile() as words:
                words.write(input)
                words.seek(0)
                os.dup2(words.fileno(), 0)
                sys.stdin = os.fdopen(0)
                signal.alarm(SECONDS)
                for stream in (1, 2):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
                rehearsal.rehearse()
        _, status = os.waitpid(process, 0)
        return rehearsal.subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status))

    class Forks:
        """What `rehearsal` takes of subprocess."""

        DEVNULL = rehearsal.subprocess.DEVNULL
        CompletedProcess = rehearsal.subprocess.CompletedProcess
        TimeoutExpired = rehearsal.subprocess.TimeoutExpired

    Forks.run = staticmethod(run)  # type: ignore[attr-defined]
    rehearsal.subprocess = Forks  # type: ignore[assignment]


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], str]]:
    """What anybody, libraries in C too, prints inside; it is taken away by each call."""
    kept = [os.dup(stream) for stream in (1, 2)]
    with tempfile.TemporaryFile() as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)

        def take() -> str:
            said.seek(0)
            text = said.read().decode("utf-8", "replace")
            said.seek(0)
            said.truncate()
            return text

        try:
            yield take
        finally:
            for stream, old in zip((1, 2), kept, strict=True):
                os.dup2(old, stream)


def resident_megabytes() -> float:
    """The most memory that this process has had since the last call."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return int(re.findall(r"VmHWM:\s*(\d+)", status)[0]) / 1024


def hang(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> int:
    """Exit code 1 if there is any problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder with an ONNX graph, whose copies change")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number to begin with")
    parser.add_argument("--seed", type=int, default=0, help="other inputs for each")
    parser.add_argument("--peak", type=float, default=2000.0, help="limit of memory in MB")
    options = parser.parse_args()
    taken: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    problems: list[str] = []
    worst = peak = 0.0
    signal.signal(signal.SIGALRM, hang)
    rehearse_in_forks()
    with tempfile.TemporaryDirectory() as place, listening() as said:
        inputs = Inputs(options.model, options.seed, Path(place))
        said()
        for number in range(options.first, options.first + options.count):
            began = time.perf_counter()
            signal.alarm(SECONDS)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # which the command line shows as its own
                    kind, done = inputs.try_one(number)
                (taken if done else refused)[kind] += 1
            except Exception as error:  # noqa: BLE001 - each is told
                problems.append(f"{number}: {type(error).__name__}: {str(error)[:300]}")
            finally:
                signal.alarm(0)
            if text := said():
                problems.append(f"{number}: printed {text[:300]!r}")
            worst = max(worst, time.perf_counter() - began)
            used = resident_megabytes()
            peak = max(peak, used)
            if used > options.peak:
                problems.append(f"{number}: {used:,.0f} MB")
    found = {"taken": taken, "refused": refused, "worst_seconds": round(worst, 2)}
    print(json.dumps(found | {"peak_megabytes": round(peak), "problems": len(problems)}))
    for line in problems:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
