"""A disk that fills up in a run: one line, nothing lost, and with room again the same end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from sr4.cli.main import main  # noqa: E402
from sr4.config import RunSettings  # noqa: E402
from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.errors import RunError  # noqa: E402
from sr4.training import books, run_folder  # noqa: E402 - needs torch
from sr4.training.checkpoint import Checkpoint  # noqa: E402
from sr4.training.run_folder import MetricsLog  # noqa: E402
from sr4.training.trainer import train  # noqa: E402
from tests.conftest import fill_disk, mounted_disk  # noqa: E402

Tiny = Callable[..., RunSettings]
Weights = Callable[[Path], dict[str, Any]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB of its own."""
    with mounted_disk(tmp_path / "disk", 16) as place:
        yield place


def fill(disk: Path) -> None:
    """Leave room for nothing."""
    fill_disk(disk / "filler", room=0)


def full_before(disk: Path, function: Any, nth: int) -> Any:
    """The function, with a disk that becomes full before its nth call, counted from 1."""
    calls = []

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == nth:
            fill(disk)
        return function(*arguments, **named)

    return call


@pytest.mark.parametrize(
    ("owner", "name", "nth", "named", "left"),
    [
        (run_folder, "fingerprint", 1, "config.yaml", []),
        (books, "MetricsLog", 1, "metrics.jsonl", []),
        (Checkpoint, "_write", 1, "checkpoints/000000000016", []),
        (books, "validate", 1, "validation/000000000016.png", [16]),
        (MetricsLog, "write", 1, "metrics.jsonl", [16]),
        (Checkpoint, "_write", 2, "checkpoints/000000000032", [16]),
        (books, "save_model", 1, "model", [16, 32]),
    ],
)
def test_a_full_disk_is_one_line_and_with_room_the_run_goes_on(
    tiny: Tiny,
    source: EncodedSource,
    finished: Path,
    weights: Weights,
    disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    nth: int,
    named: str,
    left: list[int],
) -> None:
    out = disk / "run"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full_before(disk, getattr(owner, name), nth))
        with pytest.raises(RunError, match=r"No space left .* start the run again") as caught:
            train(tiny(), data=source, val=source, out=out)
    assert str(caught.value).startswith(f"{out / named}: cannot be written")
    assert "\n" not in str(caught.value)
    assert [
        Checkpoint.load(path).images for path in sorted((out / "checkpoints").glob("*"))
    ] == left

    (disk / "filler").unlink()
    summary = train(tiny(), data=source, val=source, out=out)
    assert (summary.images, summary.stopped) == (32, False)
    ours, theirs = weights(out), weights(finished)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    model = Path("model/model.safetensors")
    assert (out / model).read_bytes() == (finished / model).read_bytes()
    kinds = [(line["images"], line["kind"]) for line in run_folder.read_metrics(out)]
    assert kinds == [(16, "validation"), (32, "train"), (32, "validation")]
    assert sorted(path.name for path in (out / "validation").iterdir()) == [
        f"{images:012d}.png" for images in (16, 32)
    ]
    assert not list(out.rglob(".*.sr4"))


def test_a_log_on_a_full_disk_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where only TensorBoard's file has no room."""
    resource = pytest.importorskip("resource")
    log = MetricsLog(tmp_path, 0)
    log.write(4, "train", {"loss": 1.0})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    (board,) = (tmp_path / "tensorboard").iterdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (board.stat().st_size + 9, before[1]))
    try:
        with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written"):
            log.write(8, "train", {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.close()
    assert capfd.readouterr() == ("", "")


def test_the_command_ends_with_1_and_one_line(
    source: EncodedSource, disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(disk)
    assert main(["train", "sr4-fast", "--data", source.location, "--out", str(disk / "run")]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("sr4: error: ")
    assert "No space left on device" in line
