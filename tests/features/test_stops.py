"""Every command, stopped at any moment by SIGKILL or by a disk that is full: nothing is lost,
nothing of others is touched, and the same command again ends as it does in peace.

SR4_KILLS=10 stops each command at ten moments of either kind instead of one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

from sr4.cli.main import main
from sr4.files.whole import is_leftover
from tests.conftest import TheirModel, fill_disk, free_bytes, mounted_disk

pytest.importorskip("onnxscript")

DRIVER = Path(__file__).with_name("stops_driver.py")
MOMENTS = int(os.environ.get("SR4_KILLS", "1"))
DISK = 192  # MB
OF_LOSSES = ("metrics.jsonl", "loss.png", "README.md", "index.html")
"""Files that tell the loss, whose logged values are means since the last start."""

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere a kill may leave a temporary file"
)

_RUN = {
    "data.workers": 0,
    "training.total_images": 24,
    "training.batch_size": 4,
    "training.precision": "float32",
    "training.save_every_images": 8,
}
TRAINING = _RUN | {
    "model.image_size": 32,
    "model.degradation.scale": 4,
    "model.network.widths": [16, 32],
    "model.network.blocks": [1, 1],
    "training.validate_every_images": 16,
    "training.validation_images": 2,
    "training.validation_steps": 1,
}
ABLATION = {
    "model.image_size": 16,
    "model.degradation.scale": 2,
    "model.network.inner": 8,
    "model.network.groups": 4,
    "model.network.multipliers": [1, 2, 2],
    "model.network.blocks": 1,
    "model.schedule.steps": 4,
    "model.sampling.steps": 4,
    "data.workers": 0,
    "training.precision": "float32",
    "training.save_every_images": 8,
}


class Command(NamedTuple):
    """A command, and what its end is.

    Attributes:
        words: with places for the inputs and {out}.
        other: more words, for another result of the same kind.
        goes_on: called again it does what is left; else what is whole is replaced on request.
    """

    words: str
    other: str = ""
    goes_on: bool = False


def settings(values: dict[str, Any]) -> str:
    return " ".join(
        f"--set {key}={json.dumps(value, separators=(',', ':'))}" for key, value in values.items()
    )


COMMANDS = {
    "upscale": Command(
        "upscale {pictures} -o {out} --model {exported} --backend onnx --samples 2 --uncertainty",
        goes_on=True,
    ),
    "train": Command(
        f"train sr4-fast --data {{pictures}} --val {{pictures}} -o {{out}} {settings(TRAINING)}",
        goes_on=True,
    ),
    "distill": Command(
        f"distill {{teacher}} --data {{pictures}} -o {{out}} --steps 1 {settings(_RUN)}",
        goes_on=True,
    ),
    "evaluate": Command(
        "evaluate --model {exported} --backend onnx --data {pictures} -o {out}", "--limit 3"
    ),
    "compare": Command("compare {bicubic} {projected} -o {out}", "{bicubic}"),
    "bench": Command(
        "bench --model {exported}:1 --backends onnx --quick -o {out}", "--model {exported}:2"
    ),
    "ablate": Command(
        "ablate --data {pictures} --test {pictures} -o {out} --recipes cosine,residual "
        f"--budget 16 --limit 2 --steps 2 {settings(ABLATION)}",
        goes_on=True,
    ),
    "export": Command("export {tiny} -o {out}", "--precision float32"),
    "import": Command("import {checkpoint} --config {configuration} -o {out}", "--licence mine"),
    "prepare": Command("data prepare {pictures} {out} --size 16 --shard-images 2", "--format webp"),
}


Files = dict[str, bytes]


def files_of(folder: Path) -> Files:
    """All files at any depth but TensorBoard's, whose names are new each time, and those in folders
    that a killed process of ours has left.
    """
    found = {}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_leftover(Path(root, name))]
        for name in names:
            path = Path(root, name)
            if "tfevents" not in name:
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


@dataclass(frozen=True)
class Peace:
    """What a command does when nothing stops it.

    Attributes:
        names: of the files that it makes.
        stable: those of them that are the same each time.
        seconds: that it takes.
        changes: of files and folders that it makes.
        room: bytes of a disk that it takes at most.
    """

    names: frozenset[str]
    stable: Files
    seconds: float
    changes: int
    room: int

    def wrong(self, found: Files) -> list[str]:
        """Names of files that are missing, too many, or not what it makes."""
        different = {name for name in self.stable if found.get(name) != self.stable[name]}
        return sorted((found.keys() ^ self.names) | different)


class Stage:
    """Where commands are run: their inputs, and a process that runs them."""

    def __init__(self, inputs: dict[str, Path], driver: subprocess.Popen[str], place: Path) -> None:
        self.inputs = inputs
        self._driver = driver
        self._place = place
        self._peace: dict[str, Peace] = {}

    def run(
        self,
        name: str,
        out: Path,
        more: str = "",
        *,
        at_change: int | None = None,
        after: float | None = None,
    ) -> dict[str, Any]:
        """A command to its end or its kill."""
        words = f"{COMMANDS[name].words} {more}".format(out=out, **self.inputs).split()
        request = {"words": words, "at_change": at_change, "after": after}
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        answer: dict[str, Any] = json.loads(self._driver.stdout.readline())
        return answer

    def peace(self, name: str) -> Peace:
        """A command that nothing stops; run once for all moments."""
        if name not in self._peace:
            place = self._place / name
            place.mkdir()
            first = self.run(name, place / "first")
            assert first["code"] == 0, first["err"]
            with mounted_disk(place / "disk", DISK) as disk, most_used(disk) as used:
                again = self.run(name, disk / "out")
                found = files_of(disk / "out")
            assert again["code"] == 0, again["err"]
            made = files_of(place / "first")
            assert made.keys() == found.keys()
            both = made.items() & found.items()
            stable = {key: data for key, data in both if Path(key).name not in OF_LOSSES}
            self._peace[name] = Peace(
                frozenset(made), stable, first["seconds"], first["changes"], used()
            )
        return self._peace[name]

    def older(self, name: str, out: Path) -> Files:
        """Puts there what the command has made in another way, and returns it."""
        place = self._place / name / "older"
        if not place.exists():
            assert self.run(name, place, COMMANDS[name].other)["code"] == 0
        shutil.copytree(place, out)
        return files_of(out)


@contextmanager
def most_used(disk: Path) -> Iterator[Callable[[], int]]:
    """The bytes of a disk that were used at any time inside."""
    ended, free = Event(), [free_bytes(disk)]

    def watch() -> None:
        while not ended.wait(0.0005):
            free.append(min(free[-1], free_bytes(disk)))

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield lambda: free[0] - free[-1]
    finally:
        ended.set()
        watcher.join()


@pytest.fixture(scope="module")
def stage(
    tiny_model: Path,
    tiny_exported: Path,
    their_model: TheirModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    place = tmp_path_factory.mktemp("stage")
    pictures, random = place / "pictures", np.random.default_rng(0)
    pictures.mkdir()
    for number in range(6):
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((32, 32), Image.Resampling.BICUBIC).save(pictures / f"{number}.png")
    teacher = Path(shutil.copytree(tiny_model, place / "teacher"))
    config = json.loads((teacher / "config.json").read_text())
    config["objective"]["prediction"] = "v"
    (teacher / "config.json").write_text(json.dumps(config))
    reports = {name: place / "reports" / name for name in ("bicubic", "bicubic-projected")}
    for name, report in reports.items():
        words = f"evaluate --model {name} --scale 4 --data {pictures} --out {report}"
        assert main(words.split()) == 0
    inputs = {
        "pictures": pictures,
        "bicubic": reports["bicubic"],
        "projected": reports["bicubic-projected"],
        "tiny": tiny_model,
        "teacher": teacher,
        "exported": tiny_exported,
        "checkpoint": their_model.checkpoint,
        "configuration": their_model.configuration,
    }
    # On the CPU: only there is float32 arithmetic the same from run to run.
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(DRIVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as driver:
        yield Stage(inputs, driver, place)


def put_neighbours(folder: Path) -> Files:
    """What others keep beside a result, some of it by the names of what our kills leave."""
    for name in ("notes.txt", ".env.old", "data.tmp", ".0123456789abcdef.sr4/theirs"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"others' {name}")
    return files_of(folder)


def inputs_of(stage: Stage) -> list[Files]:
    places = stage.inputs.values()
    return [files_of(one) if one.is_dir() else {"": one.read_bytes()} for one in places]


def check_readable(files: Files) -> None:
    """None is cut."""
    for name, data in files.items():
        if name.endswith(".png"):
            with Image.open(io.BytesIO(data)) as image:
                image.load()
        elif name.endswith(".safetensors"):
            assert load(data)
        elif name.endswith(".json"):
            json.loads(data)


def check_stopped(stage: Stage, name: str, out: Path, older: Files | None) -> None:
    """Whatever has stopped the command: the old, the new, or a part that it goes on from."""
    found = files_of(out)
    if older is not None and found == older:
        return
    if COMMANDS[name].goes_on:
        check_readable(found)
    else:
        assert (older is None and not found) or not stage.peace(name).wrong(found)


def check_again(stage: Stage, name: str, out: Path) -> None:
    """The same command ends as in peace, and clears what the stopped one has left."""
    again = stage.run(name, out, "" if COMMANDS[name].goes_on else "--overwrite")
    assert again["code"] == 0, again["err"]
    assert stage.peace(name).wrong(files_of(out)) == []
    assert not [path for path in out.parent.rglob("*") if is_leftover(path)]


def share(moment: int) -> float:
    """The part of the whole that comes before a moment."""
    return (moment + 0.5) / MOMENTS


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill(stage: Stage, name: str, moment: int, tmp_path: Path) -> None:
    """Half of them before a change of a file or folder, half of them at a time."""
    peace, given = stage.peace(name), inputs_of(stage)
    out = tmp_path / "place" / "out"
    out.parent.mkdir()
    replaces = moment // 2 % 2 == 0 and not COMMANDS[name].goes_on
    neighbours = put_neighbours(out.parent)
    older = stage.older(name, out) if replaces else None
    if moment % 2:
        when: dict[str, Any] = {"after": share(moment) * peace.seconds}
    else:
        when = {"at_change": 1 + int(share(moment) * peace.changes)}

    stopped = stage.run(name, out, "--overwrite" if replaces else "", **when)
    assert stopped["code"] in (-signal.SIGKILL, 0), stopped["err"]
    assert stopped["survivors"] == 0
    assert "error" not in stopped["err"]
    check_stopped(stage, name, out, older)
    check_again(stage, name, out)
    assert neighbours.items() <= files_of(out.parent).items()
    assert inputs_of(stage) == given


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk(stage: Stage, name: str, moment: int, tmp_path: Path) -> None:
    """The disk has room for a part of what the command takes at most."""
    peace, given = stage.peace(name), inputs_of(stage)
    with mounted_disk(tmp_path / "disk", DISK) as disk:
        out = disk / "out"
        replaces = moment % 2 == 0 and not COMMANDS[name].goes_on
        neighbours = put_neighbours(disk)
        older = stage.older(name, out) if replaces else None
        fill_disk(disk / "filler", room=int(share(moment) * peace.room))

        stopped = stage.run(name, out, "--overwrite" if replaces else "")
        lines = stopped["err"].splitlines()
        assert stopped["code"] in (0, 1), stopped["err"]
        assert all(line.startswith("sr4: ") for line in lines), lines
        assert "bug in sr4" not in stopped["err"]
        assert bool(stopped["code"]) == any("No space left on device" in line for line in lines)
        check_stopped(stage, name, out, older)
        (disk / "filler").unlink()
        check_again(stage, name, out)
        assert neighbours.items() <= files_of(disk).items()
    assert inputs_of(stage) == given
