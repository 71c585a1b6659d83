"""One training in several processes learns what it learns in one, and goes on in any number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sr4.data.encoded import EncodedSource

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402 - comes with torch

from sr4.training.checkpoint import Checkpoint, list_checkpoints  # noqa: E402
from tests.conftest import fill_disk, mounted_disk  # noqa: E402

DRIVER = Path(__file__).with_name("processes_driver.py")
STEPS, BATCH = 50, 4
NEAR = 1e-5  # relative, of a loss or a score
SETTINGS = {
    "model.image_size": 32,
    "model.degradation.scale": 4,
    "data.workers": 0,
    "training.total_images": STEPS * BATCH,
    "training.batch_size": BATCH,
    "training.learning_rate": 1e-3,
    "training.warmup_images": 8,
    "training.precision": "float32",
    "training.save_every_images": 20,
    "training.validate_every_images": 100,
    "training.validation_images": 3,
    "training.validation_steps": 2,
}
FAST = {"model.network.widths": [16, 32], "model.network.blocks": [1, 1]}
SR3 = {
    "model.network.inner": 8,
    "model.network.groups": 4,
    "model.network.blocks": 1,
    "model.network.multipliers": [1, 2],
    "model.network.attention_resolutions": [],
    "model.network.dropout": 0.2,
}
FEW = {"training.total_images": 5 * BATCH}
# A fork has to be able to listen to the processes beside it, and float32 to be the same each time.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

Answer = dict[str, Any]


def words(command: str, data: object, out: Path, *settings: dict[str, Any]) -> list[str]:
    """A command line for the pictures of a folder, or at an address."""
    found = [*command.split(), "--data", str(data), "--out", str(out)]
    for each in settings:
        for key, value in each.items():
            found += ["--set", f"{key}={value}"]
    return found


@pytest.fixture(scope="module")
def pictures(source: EncodedSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures, and one that is cut off."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(source.names):
        (folder / name).write_bytes(source.read_bytes(number))
    (folder / "bad.png").write_bytes(source.read_bytes(0)[:99])
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def forbidden() -> Iterator[str]:
    """The address of a tar that nobody may read."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/train.tar"
        server.shutdown()


@pytest.fixture(scope="module")
def ended(source: EncodedSource, pictures: Path, runs: Path, forbidden: str) -> dict[str, Answer]:
    """How each of the jobs ended; one program runs them all, since to start one takes seconds."""

    def fast(out: str, **settings: Any) -> list[str]:
        line = words("train sr4-fast", pictures, runs / out, SETTINGS, FAST, settings)
        return [*line, "--val", source.location]

    def others(command: str, out: str, *settings: dict[str, Any]) -> list[str]:
        return words(command, pictures, runs / out, SETTINGS, *settings)

    pieces = FEW | {"training.microbatch": 1}
    teacher = f"distill {runs / '1'}"
    jobs: dict[str, dict[str, Any]] = {
        "1": {"count": 1, "words": fast("1")},
        "2": {"count": 2, "words": fast("2")},
        "4": {"count": 4, "words": fast("4")},
        "one of 4 killed": {"count": 4, "words": fast("killed"), "kill": [2], "at": 60},
        "all of 2 killed": {"count": 2, "words": fast("killed"), "kill": [0, 1], "at": 140},
        "resumed": {"count": 1, "words": fast("killed")},
        "indivisible": {"count": 3, "words": fast("none")},
        "forbidden": {
            "count": 2,
            "words": words("train sr4-fast", forbidden, runs / "none", SETTINGS, FAST),
        },
        "unlike": {"count": 2, "words": fast("none"), "other": ["--set", "training.seed=7"]},
        "spoilt": {"count": 2, "words": fast("spoilt", **{"data.max_bad": 0})},
        "not finite": {"count": 2, "words": fast("not finite", **FEW), "spoilt": 3},
        "sr3 1": {"count": 1, "words": others("train sr3", "sr3-1", SR3, FEW)},
        "sr3 2": {"count": 2, "words": others("train sr3", "sr3-2", SR3, pieces)},
        "regression 1": {"count": 1, "words": others("train regression", "regression-1", SR3, FEW)},
        "regression 2": {"count": 2, "words": others("train regression", "regression-2", SR3, FEW)},
    }
    for steps, count in ((4, 1), (4, 2), (1, 1), (1, 2)):
        line = others(f"{teacher} --steps {steps}", f"student-{steps}-{count}", FEW)
        jobs[f"student {steps} {count}"] = {"count": count, "words": line}
    file = runs / "jobs.json"
    file.write_text(json.dumps(list(jobs.values())))
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(jobs, json.loads(done.stdout), strict=True))


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_alike(run: Path, other: Path) -> None:
    """The same lines of metrics, and the same averaged weights but for what rounding makes of them:
    Adam takes steps of full size along gradients that are nothing but rounding.
    """
    lines, others = metrics(run), metrics(other)
    for line, other_line in zip(lines, others, strict=True):
        assert line.pop("kind") == other_line.pop("kind")
        assert line == pytest.approx(other_line, rel=NEAR)
    ours, theirs = (load_file(one / "model" / "model.safetensors") for one in (run, other))
    assert ours.keys() == theirs.keys()
    apart = sum(float((ours[name] - theirs[name]).square().sum()) for name in ours)
    size = sum(float(one.square().sum()) for one in ours.values())
    assert (apart / size) ** 0.5 < 1e-4


@pytest.mark.parametrize("count", [2, 4])
def test_all_numbers_of_processes_learn_the_same(
    ended: dict[str, Answer], runs: Path, count: int
) -> None:
    assert ended["1"]["codes"] == [0], ended["1"]["said"]
    assert ended[str(count)]["codes"] == [0] * count, ended[str(count)]["said"]
    losses = [line["loss"] for line in metrics(runs / "1") if line["kind"] == "train"]
    assert len(losses) == STEPS
    assert len(set(losses)) == STEPS
    assert_alike(runs / "1", runs / str(count))
    kinds = [line["images"] for line in metrics(runs / "1") if line["kind"] == "validation"]
    assert kinds == [100, 200]


def test_the_first_process_alone_speaks_and_all_know_of_bad_pictures(
    ended: dict[str, Answer], runs: Path
) -> None:
    first, *others = ended["4"]["said"]
    assert first.count("left out: ") == first.count("bad.png' cannot be decoded") == 1
    assert first.count("validation: psnr") == 2
    assert f"{runs / '4' / 'model'}  {STEPS * BATCH} pictures" in first
    assert others == [""] * 3
    (last,) = list_checkpoints(runs / "4" / "checkpoints")[-1:]
    assert list(Checkpoint.load(last).bad_pictures) == ["bad.png"]


def test_a_killed_process_ends_all_and_another_number_goes_on(
    ended: dict[str, Answer], runs: Path
) -> None:
    killed = ended["one of 4 killed"]
    assert killed["codes"] == [1, 1, -signal.SIGKILL, 1]
    assert killed["seconds"] < 60
    for rank in (0, 1, 3):
        *_, line = killed["said"][rank].splitlines()
        assert line.startswith(
            f"sr4: error: process {rank} of 4: another process of this training has ended"
        )
    assert ended["all of 2 killed"]["codes"] == [-signal.SIGKILL] * 2
    assert "resumed at" in ended["all of 2 killed"]["said"][0]
    assert ended["resumed"]["codes"] == [0]
    assert "resumed at" in ended["resumed"]["said"][0]
    assert_alike(runs / "1", runs / "killed")


@pytest.mark.parametrize(
    ("job", "other"),
    [
        ("sr3 1", "sr3 2"),
        ("regression 1", "regression 2"),
        ("student 4 1", "student 4 2"),
        ("student 1 1", "student 1 2"),
    ],
)
def test_so_do_pieces_of_batches_dropout_and_the_other_objectives(
    ended: dict[str, Answer], runs: Path, job: str, other: str
) -> None:
    """With a learned variance, without noise, and against a discriminator, which learns too."""
    for one in (job, other):
        assert set(ended[one]["codes"]) == {0}, ended[one]["said"]
    assert_alike(*(runs / one.replace(" ", "-") for one in (job, other)))


def test_pictures_that_fail_in_one_process_end_all_with_a_checkpoint(
    ended: dict[str, Answer], runs: Path
) -> None:
    assert ended["spoilt"]["codes"] == [1, 1]
    lines = [said.splitlines()[-1] for said in ended["spoilt"]["said"]]
    assert lines[0] == lines[1]
    assert lines[0].startswith("sr4: error: ")
    assert "bad.png' cannot be decoded" in lines[0]
    assert list_checkpoints(runs / "spoilt" / "checkpoints")


def test_a_step_that_is_not_finite_in_one_process_is_skipped_by_all(
    ended: dict[str, Answer], runs: Path
) -> None:
    assert ended["not finite"]["codes"] == [0, 0]
    said = ended["not finite"]["said"][0]
    (line,) = [line for line in said.splitlines() if "expected a finite one" in line]
    names = line.partition("of the pictures ")[2].partition(";")[0]
    assert len(names.split(", ")) == BATCH
    (*_, last) = metrics(runs / "not finite")[:-1]
    assert last["skipped"] == 1


def test_processes_that_were_started_unlike_are_refused(
    ended: dict[str, Answer], runs: Path
) -> None:
    assert ended["unlike"]["codes"] == [2, 2]
    for said in ended["unlike"]["said"]:
        (line,) = said.splitlines()
        assert line.startswith("sr4: error: process 0 has training.seed = 0, got 7 in process 1;")
    assert not (runs / "none").exists()


def test_a_number_that_does_not_divide_the_batch_is_refused(ended: dict[str, Answer]) -> None:
    assert ended["indivisible"]["codes"] == [2, 2, 2]
    for said in ended["indivisible"]["said"]:
        (line,) = said.splitlines()
        assert "got 3 processes for training.batch_size 4; expected a number that divides" in line


def test_pictures_that_nobody_may_read_are_one_line(ended: dict[str, Answer]) -> None:
    assert ended["forbidden"]["codes"] == [1, 1]
    for said in ended["forbidden"]["said"]:
        (line,) = said.splitlines()
        assert "expected the right to read it: check your credentials" in line


def test_a_full_disk_of_the_first_process_ends_all(pictures: Path, tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", 4) as disk:
        fill_disk(disk / "filler", room=30_000)
        line = words("train sr4-fast", pictures, disk / "run", SETTINGS, FAST)
        torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "sr4"]
        done = subprocess.run(
            [sys.executable, "-m", *torchrun, *line],
            capture_output=True,
            text=True,
            env=os.environ | ENVIRONMENT,
            timeout=120,
        )
    assert done.returncode == 1
    said = [one for one in done.stderr.splitlines() if one.startswith("sr4: error: ")]
    assert len(said) in (1, 2)  # torchrun may end the other before it says anything
    assert any("No space left on device" in one for one in said), done.stderr
    assert "sr4.cli" not in done.stderr  # no traceback of ours


@pytest.fixture
def launched(pictures: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`torchrun` with a training of two processes that would take long."""
    endless = SETTINGS | {"training.total_images": 10**6}
    line = words("train sr4-fast", pictures, tmp_path / "run", endless, FAST)
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "sr4"]
    launcher = subprocess.Popen(
        [sys.executable, "-m", *torchrun, *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT,
    )
    yield launcher
    launcher.kill()
    launcher.communicate()


def test_a_signal_to_torchrun_stops_all_with_a_checkpoint(
    launched: subprocess.Popen[str], tmp_path: Path
) -> None:
    folder, deadline = tmp_path / "run" / "checkpoints", time.monotonic() + 60
    while not list_checkpoints(folder):
        assert time.monotonic() < deadline, "no checkpoint"
        assert launched.poll() is None, launched.communicate()
        time.sleep(0.01)
    launched.send_signal(signal.SIGTERM)
    _, said = launched.communicate(timeout=60)
    (line,) = [line for line in said.splitlines() if line.startswith("sr4: stopped after")]
    assert "sr4: error" not in said
    (last,) = list_checkpoints(folder)[-1:]
    checkpoint = Checkpoint.load(last)
    assert f"stopped after {checkpoint.images:,} of" in line
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
