"""The run folder: who may go on with it, and what its log holds."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from sr4.config import RunSettings  # noqa: E402
from sr4.config.overrides import override  # noqa: E402
from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.data.sources import open_source, open_sources  # noqa: E402
from sr4.errors import RunError  # noqa: E402
from sr4.training.run_folder import MetricsLog, RunFolder, locked  # noqa: E402 - needs torch

Tiny = Callable[..., RunSettings]
MakeSource = Callable[[np.ndarray], EncodedSource]

# Python 3.12 warns of a fork in a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def samples(folder: Path) -> dict[str, str]:
    """The checksums by which a run knows its pictures again."""
    return dict(json.loads((folder / "data.json").read_text(encoding="utf-8"))["samples"])


def test_the_same_settings_may_go_on(run: Path, tiny: Tiny, source: EncodedSource) -> None:
    before = files(run)
    RunFolder(run).settle(tiny(), source)
    assert files(run) == before


def test_a_start_clears_what_a_kill_has_left(run: Path, tiny: Tiny, source: EncodedSource) -> None:
    (run / "validation").mkdir(exist_ok=True)
    kept = set(run.rglob("*"))
    half = run / "checkpoints" / ".000000000040.tmp"
    half.mkdir()
    (half / "network.safetensors").write_bytes(b"half of it")
    (run / ".0123456789abcdef.old").mkdir()
    (run / "validation" / ".0123456789abcdef.tmp").write_bytes(b"half a picture")
    RunFolder(run).settle(tiny(), source)
    assert set(run.rglob("*")) == kept


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"training": {"learning_rate": 1e-3}}, ["training.learning_rate = 0.002, got 0.001"]),
        (
            {"model": {"network": {"widths": [16, 48]}}},
            ["model.network.widths = (16, 32)"],
        ),
        (
            {"training": {"seed": 1, "batch_size": 2}, "data": {"flip": False}},
            ["data.flip = True, got False", "batch_size = 4, got 2", "training.seed = 0, got 1"],
        ),
        (
            {"training": {"seed": 1, "batch_size": 2, "clip_norm": 2, "ema_decay": 0}},
            ["training.batch_size = 4, got 2", "(and 1 more)"],
        ),
    ],
)
def test_other_settings_are_refused_and_shown(
    run: Path, tiny: Tiny, source: EncodedSource, changes: dict[str, object], shown: list[str]
) -> None:
    before = files(run)
    with pytest.raises(RunError) as caught:
        RunFolder(run).settle(override(tiny(), changes), source)
    for text in (str(run), *shown):
        assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(run) == before


def test_settings_that_touch_no_step_may_change(
    run: Path, tiny: Tiny, source: EncodedSource
) -> None:
    changed = tiny(
        workers=1,
        total_images=64,
        save_every_images=8,
        validate_every_images=8,
        validation_images=1,
        validation_steps=1,
        keep_checkpoints=5,
    )
    RunFolder(run).settle(changed, source)
    assert yaml.safe_load((run / "config.yaml").read_text()) == changed.model_dump(mode="json")


def test_a_run_without_a_checkpoint_takes_any_settings(
    tmp_path: Path, tiny: Tiny, source: EncodedSource
) -> None:
    """The first steps failed, say, and the learning rate is lowered: the same command must do."""
    RunFolder(tmp_path).settle(tiny(), source)
    RunFolder(tmp_path).settle(tiny(learning_rate=1e-5), source)
    assert (
        yaml.safe_load((tmp_path / "config.yaml").read_text())["training"]["learning_rate"] == 1e-5
    )


def test_settings_of_an_older_version_may_go_on(
    run: Path, tiny: Tiny, source: EncodedSource
) -> None:
    """They lack keys that have come since."""
    file = run / "config.yaml"
    settings = yaml.safe_load(file.read_text())
    del settings["training"]["clip_norm"], settings["data"], settings["model"]["sampling"]
    file.write_text(yaml.safe_dump(settings))
    RunFolder(run).settle(tiny(), source)
    assert yaml.safe_load(file.read_text()) == tiny().model_dump(mode="json")


@pytest.mark.parametrize(
    "text", ["", "[1]", "a: [", "[" * 2000, "model: {widht: 3}", "training: {seed: -1}", "\x00"]
)
def test_unreadable_settings_are_one_line(
    run: Path, tiny: Tiny, source: EncodedSource, text: str
) -> None:
    (run / "config.yaml").write_text(text)
    with pytest.raises(RunError, match=r"config\.yaml") as caught:
        RunFolder(run).settle(tiny(), source)
    assert "\n" not in str(caught.value)


def test_an_unreadable_record_of_the_pictures_is_one_line(
    run: Path, tiny: Tiny, source: EncodedSource
) -> None:
    (run / "data.json").write_text("[" * 200_000)
    with pytest.raises(RunError, match=r"data\.json: cannot be read") as caught:
        RunFolder(run).settle(tiny(), source)
    assert "\n" not in str(caught.value)


def test_other_pictures_are_refused(
    run: Path, tiny: Tiny, source: EncodedSource, make_source: MakeSource, tmp_path: Path
) -> None:
    fewer = make_source(np.zeros((9, 32, 32, 3), np.uint8))
    twice = open_sources([source.location, source.location])
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number in range(10):
        (renamed / f"other-{number:02d}.png").write_bytes(source.read_bytes(number))
    before = files(run)
    for other in (fewer, twice, open_source(renamed)):
        with pytest.raises(RunError) as caught:
            RunFolder(run).settle(tiny(), other)
        assert "trains on 10 pictures of" in str(caught.value)
        assert f"got {len(other)} of {other.location!r}" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert files(run) == before


def test_pictures_may_move(run: Path, tiny: Tiny, source: EncodedSource, tmp_path: Path) -> None:
    """The same names in the same order, elsewhere and of another kind."""
    moved = tmp_path / "moved"
    moved.mkdir()
    for number, name in enumerate(source.names):
        (moved / name).write_bytes(source.read_bytes(number))
    RunFolder(run).settle(tiny(), open_source(moved))
    assert json.loads((run / "data.json").read_text())["location"] == str(moved)


def test_a_run_that_never_recorded_its_pictures_does_so_now(
    run: Path, tiny: Tiny, source: EncodedSource
) -> None:
    recorded = (run / "data.json").read_text()
    (run / "data.json").unlink()
    RunFolder(run).settle(tiny(), source)
    assert (run / "data.json").read_text() == recorded
    # sha256 of the ten names, each ended by a zero byte, by another program
    found = json.loads(recorded)
    samples = found.pop("samples")
    assert list(samples) == list(source.names)
    assert samples["03.png"] == hashlib.sha256(source.read(3).tobytes()).hexdigest()
    assert found == {
        "location": source.location,
        "pictures": 10,
        "sha256": "0e08725a05f7414f71ba244685d0e2c1ddde67f7318999985d3e5c3de4840c62",
    }


def test_other_pictures_of_the_same_names_are_refused(
    run: Path, tiny: Tiny, make_source: MakeSource, source: EncodedSource
) -> None:
    other = make_source(np.stack([source.read(index) // 2 for index in range(10)]))
    before = files(run)
    with pytest.raises(
        RunError, match=r"'00\.png' of .* as are 9 of 9 others looked at.*/data\.json"
    ) as error:
        RunFolder(run).settle(tiny(), other)
    assert "\n" not in str(error.value)
    assert files(run) == before
    (run / "data.json").unlink()
    RunFolder(run).settle(tiny(), other)


def test_a_picture_may_be_repaired(
    run: Path, tiny: Tiny, source: EncodedSource, tmp_path: Path
) -> None:
    """Or come to harm: as a bad one, another takes its place."""
    folder, known = tmp_path / "folder", samples(run)
    folder.mkdir()
    for number, name in enumerate(source.names):
        (folder / name).write_bytes(source.read_bytes(number))
    for damaged in (True, False):
        (folder / "04.png").write_bytes(source.read_bytes(4)[: 99 if damaged else None])
        RunFolder(run).settle(tiny(), open_source(folder))
        assert set(known) ^ set(samples(run)) == ({"04.png"} if damaged else set())


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="choose another --out") as caught:
            RunFolder(out)
        assert "\n" not in str(caught.value)


def test_files_that_cannot_be_written_are_one_line(
    tmp_path: Path, tiny: Tiny, source: EncodedSource
) -> None:
    folder = RunFolder(tmp_path)
    for name in (".lock", "config.yaml", "metrics.jsonl"):
        (tmp_path / name).mkdir()
    with pytest.raises(RunError, match=r"\.lock"), locked(folder.path, "trains this run"):
        pytest.fail("locked without a lock file")
    with pytest.raises(RunError, match=r"config\.yaml"):
        folder.settle(tiny(), source)
    with pytest.raises(RunError, match=r"metrics\.jsonl"):
        MetricsLog(tmp_path, 0)


@contextmanager
def another_process(path: Path, *, with_reader: bool = False) -> Iterator[int]:
    """A process that holds the lock of a run, perhaps with one that reads ahead for it."""
    if not hasattr(os, "fork"):
        pytest.skip("the system has no fork")
    told, tell = os.pipe()
    holder = os.fork()
    if holder == 0:
        with locked(RunFolder(path).path, "trains this run"):
            reader = os.fork() if with_reader else 0
            if reader or not with_reader:
                os.write(tell, reader.to_bytes(4, "little"))
            time.sleep(60)
        os._exit(0)
    os.close(tell)
    reader = int.from_bytes(os.read(told, 4), "little")
    os.close(told)
    try:
        yield holder
    finally:
        for process in filter(None, (holder, reader)):
            os.kill(process, signal.SIGKILL)
        os.waitpid(holder, 0)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    refused = pytest.raises(RunError, match="another process trains this run")
    with another_process(tmp_path), refused, locked(folder.path, "trains this run"):
        pytest.fail("locked twice")
    with locked(folder.path, "trains this run"):
        pass


def test_a_killed_process_keeps_no_lock_by_its_readers(tmp_path: Path) -> None:
    """Processes that read ahead live on for seconds after their parent was killed."""
    path = RunFolder(tmp_path).path
    with another_process(tmp_path, with_reader=True) as holder:
        with pytest.raises(RunError), locked(path, "trains this run"):
            pytest.fail("locked twice")
        os.kill(holder, signal.SIGKILL)
        os.waitid(os.P_PID, holder, os.WEXITED | os.WNOWAIT)
        with locked(path, "trains this run"):
            pass


def lines(folder: Path) -> list[dict[str, object]]:
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_resumed_log_holds_each_position_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0)
    for images in (8, 16, 24, 32):
        log.write(images, "train", {"loss": images / 2})
    log.write(16, "validation", {"psnr": 20.0})
    log.close()
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write("[" * 200_000 + "\n" + '{"images": Infinity}\n')  # of someone else
        file.write('{"images": 40, "ki')  # a kill cut it off
    log = MetricsLog(tmp_path, 24)
    assert log.validated_at == 16
    log.write(32, "train", {"loss": -1.0})
    log.close()
    found = [(line["images"], line["kind"]) for line in lines(tmp_path)]
    assert found == [(8, "train"), (16, "train"), (24, "train"), (16, "validation"), (32, "train")]
    assert lines(tmp_path)[-1] == {"images": 32, "kind": "train", "loss": -1.0}


def test_tensorboard_shows_the_same_figures(tmp_path: Path) -> None:
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for start, value in ((0, 1.0), (16, 2.0)):
        log = MetricsLog(tmp_path, start)
        for images in (8, 16, 24, 32):
            if images > start:
                log.write(images, "train", {"loss": value})
        log.close()
    board = module.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    figures = [(event.step, event.value) for event in board.Scalars("train/loss")]
    assert figures == [(8, 1.0), (16, 1.0), (24, 2.0), (32, 2.0)]
