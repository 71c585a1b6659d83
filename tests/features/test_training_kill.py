"""A run that SIGKILL stops at any moment ends with the weights of one that nothing stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sr4.data.encoded import EncodedSource
from sr4.pictures.rgb import read_image

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402 - comes with torch

DRIVER = Path(__file__).with_name("training_kill_driver.py")
KILLS = int(os.environ.get("SR4_KILLS", "10"))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.fixture
def spoilt(source: EncodedSource, tmp_path: Path) -> str:
    """A folder of the ten pictures and a truncated one."""
    folder = tmp_path / "spoilt"
    folder.mkdir()
    for number, name in enumerate(source.names):
        (folder / name).write_bytes(source.read_bytes(number))
    (folder / "bad.png").write_bytes(source.read_bytes(0)[:99])
    return str(folder)


def test_kills_at_random_moments_change_no_bit(
    source: EncodedSource, spoilt: str, tmp_path: Path
) -> None:
    # On the CPU: only there is float32 arithmetic the same from run to run.
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, str(DRIVER), spoilt, source.location, str(tmp_path), str(KILLS), "0"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)
    ends = [end for run in runs for end in run]

    assert [end["signal"] for end in ends] == [signal.SIGKILL] * KILLS
    positions = {end["position"] for end in ends if 0 < end["position"] < 128}
    assert len(positions) >= 4, "the kills are not spread over the run"
    assert any(end["writing"] for end in ends), "no kill came while a checkpoint was being written"
    assert "resumed at" in done.stderr

    for number in range(len(runs)):
        killed = tmp_path / f"killed-{number}"
        assert_same_weights(tmp_path / "peaceful", killed)
        assert_metrics_in_order(killed)
        assert not [path for path in killed.rglob(".*") if path.name != ".lock"]
        for picture in (killed / "validation").iterdir():
            read_image(picture)
        state = json.loads((killed / "checkpoints" / f"{128:012d}" / "state.json").read_text())
        assert list(state["bad_pictures"]) == ["bad.png"]


def assert_same_weights(one: Path, other: Path) -> None:
    last = Path("checkpoints") / f"{128:012d}"
    files = [last / f"{part}.safetensors" for part in ("network", "ema", "optimiser")]
    for file in (*files, Path("model/model.safetensors")):
        ours, theirs = load_file(one / file), load_file(other / file)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), f"{file}: {name}"


def assert_metrics_in_order(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    places = [(found["images"], found["kind"]) for found in map(json.loads, lines)]
    assert places == sorted(set(places))
    assert [images for images, kind in places if kind == "validation"] == [32, 64, 96, 128]
    assert (128, "train") in places
