"""`sr4 evaluate --calibrate`."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.model.folder import read_config
from sr4.pictures import read_picture, read_provenance
from tests.conftest import largest_file

pytest.importorskip("skimage")

Run = Callable[..., Any]


@pytest.fixture
def faces(make_picture: Run, tmp_path: Path) -> Path:
    """A folder of four 32x32 pictures."""
    for number in range(4):
        make_picture(tmp_path / "faces" / f"{number}.png", 32, 32, seed=number)
    return tmp_path / "faces"


@pytest.fixture
def model(tiny_exported: Path, tmp_path: Path) -> Path:
    """A model folder of its own."""
    return Path(shutil.copytree(tiny_exported, tmp_path / "model"))


def test_it_goes_into_the_model_folder(run: Run, faces: Path, model: Path) -> None:
    before = read_config(model)
    words = ("evaluate", "--model", model, "--data", faces, "--calibrate", "--samples", 5)
    done = run(*words)
    assert done.code == 0, done.err
    assert f"calibrated on 4 pictures of faces, written to {model}" in done.out
    assert "fitted on every second picture, of 4 samples" in done.out
    assert "fewer than 100 pictures" in done.err
    config = read_config(model)
    (found,) = config.calibrations
    assert config.model_copy(update={"calibrations": ()}) == before
    assert (found.data, found.count, list(found.factors)) == (("faces",), 4, [2, 4])
    assert found.sampling == config.sampling
    assert found.sampling.consistency
    assert [path.name for path in model.iterdir() if path.name.startswith(".")] == []

    again = run(*words, "--samples", 2, "--limit", 3, "--json")  # in the place of the first
    (replaced,) = read_config(model).calibrations
    assert (replaced.count, list(replaced.factors)) == (3, [2])
    assert again.json["calibration"] == replaced.model_dump(mode="json")
    assert run(*words, "--steps", 1).code == 0
    assert [one.sampling.steps for one in read_config(model).calibrations] == [2, 1]
    facts = " ".join(run("info", model).out.split())
    assert "calibrated on 3 pictures of faces, for 2 steps of ddim" in facts


def test_corrupted_pictures_have_a_calibration_of_their_own(
    run: Run, faces: Path, model: Path
) -> None:
    words = ("evaluate", "--model", model, "--data", faces, "--calibrate", "--samples", 2)
    assert run(*words).code == 0
    assert run(*words, "--corruption", "photo").code == 0
    assert [one.corruption for one in read_config(model).calibrations] == ["none", "photo"]


def test_evaluations_then_tell_what_is_covered(
    run: Run, faces: Path, model: Path, tmp_path: Path
) -> None:
    words = ("evaluate", "--model", model, "--data", faces)
    assert run(*words, "--samples", 2, "--json").json["coverage_95"] is None
    assert run(*words, "--samples", 4, "--calibrate").code == 0
    found = run(*words, "--samples", 4, "--out", tmp_path / "report", "--json").json
    # On the very pictures that they were fitted on.
    for level in (50, 80, 95):
        assert found[f"coverage_{level}"]["value"] == pytest.approx(level, abs=1.5)
    assert found["coverage_95_low"]["value"] <= found["coverage_95"]["value"]
    assert -1 <= found["spread_rank"]["value"] <= 1
    assert "on 4 pictures of faces" in found["protocol"]["calibration"]
    with (tmp_path / "report" / "per_picture.csv").open() as file:
        rows = list(csv.DictReader(file))
    covered = [float(row["coverage_95"]) for row in rows]
    assert np.mean(covered) == pytest.approx(found["coverage_95"]["value"])
    ranks = [float(row["spread_rank"]) for row in rows]
    assert np.median(ranks) == pytest.approx(found["spread_rank"]["value"])
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == found
    for other in (("--samples", 1), ("--samples", 4, "--steps", 1)):
        assert run(*words, *other, "--json").json["coverage_95"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "sr4-fast"), "copy it with sr4 export sr4-fast -o my-model"),
        (("--model", "bicubic"), "draws no samples; expected a model folder"),
        (("--model", "no-such-model"), "no model 'no-such-model'"),
        (("--samples", 1), "got 1 sample to calibrate with"),
        (("--limit", 1), "got 1 picture to calibrate on"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    run: Run, faces: Path, model: Path, words: tuple[Any, ...], message: str
) -> None:
    before = (model / "config.json").read_bytes()
    done = run("evaluate", "--model", model, "--data", faces, "--calibrate", "--samples", 2, *words)
    assert done.code in (1, 2)
    assert len(done.errors) == 1
    assert message in done.errors[0]
    assert (model / "config.json").read_bytes() == before


def test_a_folder_that_cannot_be_changed_is_refused_before_the_work(
    run: Run, faces: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    done = run("evaluate", "--model", model, "--data", faces, "--calibrate")
    assert done.code == 2
    assert "which is read-only" in done.errors[0]


def test_a_full_disk_leaves_the_description_as_it_was(run: Run, faces: Path, model: Path) -> None:
    before = (model / "config.json").read_bytes()
    words = ("evaluate", "--model", model, "--data", faces, "--calibrate", "--samples", 2)
    with largest_file(2200):
        done = run(*words)
    assert done.code == 1
    assert "cannot be written" in done.errors[0]
    assert (model / "config.json").read_bytes() == before
    assert [path.name for path in model.iterdir() if path.name.startswith(".")] == []


def test_maps_show_calibrated_units(run: Run, faces: Path, model: Path, tmp_path: Path) -> None:
    assert run("evaluate", "--model", model, "--data", faces, "--calibrate").code == 0
    Image.open(faces / "0.png").resize((8, 8)).save(tmp_path / "a.png")
    words = ("upscale", tmp_path / "a.png", "--model", model, "--backend", "onnx", "--uncertainty")
    done = run(*words, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    path, shows = tmp_path / "out" / "a_uncertainty.png", "half the 90 % interval in levels of 255"
    assert done.out.splitlines()[1] == f"{path} shows {shows}, calibrated on 4 pictures of faces"
    said = read_provenance(path)
    assert said is not None
    assert said["shows"] == "the uncertainty of pixels"
    assert said["found"]["map"] == f"{shows}, calibrated on 4 pictures of faces"
    assert run(*words, "-o", tmp_path / "out").err.startswith("sr4: 1 picture was done before")

    numbers = {}
    for kind, suffix in (("tiff", ".tif"), ("npy", ".npy")):
        out = tmp_path / kind
        assert run(*words, "-o", out, "--uncertainty-format", kind).code == 0
        numbers[kind] = read_picture(out / f"a_uncertainty{suffix}").frames[0].array
    assert numbers["npy"].dtype == np.float32
    assert numbers["npy"].shape == (32, 32)
    np.testing.assert_array_equal(numbers["tiff"], numbers["npy"])
    done = run(*words, "-o", tmp_path / "tiff", "--uncertainty-format", "tiff")
    assert done.err.startswith("sr4: 1 picture was done before")

    # Calibrated anew, a map that is there shows something else.
    assert run("evaluate", "--model", model, "--data", faces, "--calibrate", "--limit", 3).code == 0
    assert "a_uncertainty.png' exists already" in run(*words, "-o", tmp_path / "out").errors[0]

    other = run(*words, "-o", tmp_path / "other", "--steps", 1, "--json").json["results"][0]
    assert other["uncertainty_shows"].startswith("the standard deviation of the samples")
    wrong = run(*words, "-o", tmp_path / "wrong", "--uncertainty-format", "gif")
    assert wrong.code == 2
    assert "expected png, a picture with a scale, or tiff or npy" in wrong.errors[0]
