"""Four bands of reflectance, uint16 of 0 to 10,000, through all commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sr4
from sr4.cli.main import main
from sr4.data.sources import open_source
from sr4.degradation import Degradation
from sr4.errors import PictureError, UsageError
from sr4.pictures import read_picture
from sr4.pictures.rgb import read_header

pytest.importorskip("torch")

Run = Callable[..., Any]
SETTINGS = [
    "model.channels=4", "model.data_range=[0,10000]", "model.image_size=32",
    "model.network.widths=[16,32]", "model.network.blocks=[1,1]", "data.corruption=none",
    "training.total_images=16", "training.batch_size=4", "training.precision=float32",
    "training.validation_images=2", "data.workers=0",
]  # fmt: skip
WORDS = [word for one in SETTINGS for word in ("--set", one)]


def scene(side: int, seed: int, low: int = 0, high: int = 10_000) -> np.ndarray:
    """Smooth random bands, (side, side, 4), from somewhat above `low` to below `high`."""
    coarse = np.random.default_rng(seed).uniform(low, high, (3, 3, 4))
    across = np.linspace(0, 2, side)
    rows = np.stack([[np.interp(across, range(3), row) for row in band.T] for band in coarse])
    both = np.stack(
        [np.stack([np.interp(across, range(3), column) for column in band.T]) for band in
         np.moveaxis(rows, 1, 0)]
    )  # fmt: skip
    return np.rint(np.moveaxis(both, 0, 2)).astype(np.uint16)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(6):
        np.save(folder / f"{number}.npy", scene(48, number))
    return folder


def call(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def prepared(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "shards"
    call("data", "prepare", scenes, out, "--size", 40, "--channels", 4)
    return out


@pytest.fixture(scope="module")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    call("train", "photo-x4", "--data", prepared, "--val", prepared, "--out", out, *WORDS)
    return out


def test_prepared_pictures_keep_their_numbers(prepared: Path, scenes: Path) -> None:
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert (manifest["format"], manifest["count"], manifest["size"]) == ("tif", 6, 40)
    source = open_source(prepared, 4)
    found = source.numbers(0)
    assert (found.shape, found.dtype) == ((40, 40, 4), np.uint16)
    given = np.load(scenes / "0.npy").astype(float)
    assert abs(found.mean() - given.mean()) < 20
    assert found.max() <= 10_000
    assert len(np.unique(found)) > 1000


def test_a_run_and_its_scores(run: Run, trained: Path, scenes: Path) -> None:
    config = json.loads((trained / "model" / "config.json").read_text())
    assert (config["data_range"], config["value_range"]) == ([0, 10_000], [-1, 1])
    assert "0 (black) to 10000 (white)" in run("info", trained).out
    done = run("evaluate", "--model", trained, "--data", scenes, "--limit", 2, "--json")
    assert done.code == 0, done.err
    assert "not rounded" in done.json["protocol"]["degradation"]
    assert done.json["psnr"]["value"] > 10


def test_results_are_comparable(run: Run, trained: Path, tmp_path: Path) -> None:
    """Of a dark and of a light picture, to a unit of the numbers of their files."""
    for name, low, high in (("dark", 0, 900), ("light", 5000, 10_000)):
        np.save(tmp_path / f"{name}.npy", scene(12, 9, low, high))
    done = run(
        "upscale", tmp_path / "dark.npy", tmp_path / "light.npy", "--model", trained,
        "-o", tmp_path / "out", "--evidence", "exact",
    )  # fmt: skip
    assert done.code == 0, done.err
    for name in ("dark", "light"):
        given, found = np.load(tmp_path / f"{name}.npy"), np.load(tmp_path / f"out/{name}.npy")
        assert (found.dtype, found.shape) == (np.uint16, (48, 48, 4))
        seen = Degradation(4)(np.moveaxis(found.astype(float), 2, 0))
        assert np.abs(seen - np.moveaxis(given.astype(float), 2, 0)).max() < 1
        assert len(np.unique(found)) > 300


def test_python_and_the_command_agree(run: Run, trained: Path, tmp_path: Path) -> None:
    given = scene(12, 3, 0, 2000)
    np.save(tmp_path / "a.npy", given)
    assert (
        run("upscale", tmp_path / "a.npy", "--model", trained, "-o", tmp_path / "o.npy").code == 0
    )
    model = sr4.load(trained)
    result = model.upscale(read_picture(tmp_path / "a.npy").frames[0], evidence="exact")
    assert (result.raster.span.low, result.raster.span.high) == (0, 10_000)
    np.testing.assert_array_equal(result.array, np.load(tmp_path / "o.npy"))
    # Other numbers of the same values, which without a range nobody would take.
    wide = model.upscale(given.astype(np.int32))
    assert wide.array.dtype == np.int32
    np.testing.assert_array_equal(wide.array, model.upscale(given).array)
    with pytest.raises(PictureError, match="got a picture of uint8 for a model of values from 0 "):
        model.upscale((given // 10).astype(np.uint8))
    with pytest.raises(UsageError, match="got stages of"):
        sr4.CascadePipeline([model, sr4.load("photo-x4")])


def test_it_is_measured_and_plotted(
    run: Run, trained: Path, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = "from sr4.bench import cost, row\ncost.PEAK_SHAPES = ((32, 16),)\nrow.main()"
    monkeypatch.setattr("sr4.bench.benchmark._ROW", small)
    for data in ((), ("--data", scenes, "--limit", 1)):
        done = run("bench", "--model", f"{trained}:1", "--quick", *data, "--json")
        assert (done.code, done.json["failures"]) == (0, []), done.err
    (row,) = done.json["rows"]
    assert row["quality"]["psnr"]["value"] > 10
    np.save(tmp_path / "a.npy", scene(8, 1))
    out = tmp_path / "a.png"
    done = run("plot", "process", trained, tmp_path / "a.npy", "-o", out, "--steps", 2)
    assert done.code == 0, done.err
    assert read_header(out).mode == "RGB"
