"""`sr4 upscale` with several models, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4.pictures import read_provenance

Run = Callable[..., Any]


def test_names_joined_by_plus_are_a_cascade(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out, name = tmp_path / "large.png", f"{tiny_model}+{tiny_model}"
    words = ("--model", name, "--seed", 4, "--samples", 2, "--evidence", "none", "--json")
    done = run("upscale", face, "-o", out, *words)
    assert (done.code, done.err) == (0, "")
    (result,) = done.json["results"]
    assert (done.json["model"], done.json["backend"]) == (name, "torch")
    assert (result["width"], result["height"]) == (128, 128)
    options: Any = {"seed": 4, "samples": 2, "evidence": "none"}
    expected = sr4.load(name).upscale(Image.open(face), **options)
    assert result["consistency"] == expected.consistency
    for path, sample in zip(result["samples"], expected.samples, strict=True):
        assert (np.asarray(Image.open(path)) == np.asarray(sample)).all()


def test_what_would_fail_for_every_picture_is_said_once(
    run: Run, face: Path, tiny_model: Path
) -> None:
    for options, said in (
        (("--model", f"{tiny_model}+"), "expected names joined by +"),
        (("--model", f"{tiny_model}+nothing"), "no model 'nothing'"),
        (("--model", f"{tiny_model}+{tiny_model}", "--tile", 10), "got tiles of 10 pixels"),
    ):
        done = run("upscale", face, *options)
        assert done.code in (1, 2)
        (error,) = done.errors
        assert said in error


def test_each_model_may_have_its_own_number_of_steps(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out, name = tmp_path / "large.png", f"{tiny_model}+{tiny_model}"
    words = ("upscale", face, "-o", out, "--model", name, "--evidence", "none")
    done = run(*words, "--steps", "1,3")
    assert (done.code, done.err) == (0, "")
    said = read_provenance(out)
    assert said is not None
    assert said["steps"] == [1, 3]
    options: Any = {"steps": (1, 3), "evidence": "none"}
    expected = sr4.load(name).upscale(Image.open(face), **options)
    assert (np.asarray(Image.open(out)) == np.asarray(expected.image)).all()
    again = run(*words, "--steps", "1,3")
    assert "done before" in again.err
    assert run(*words, "--steps", "3,1").code == 1


@pytest.mark.parametrize(
    ("model", "steps", "part"),
    [
        ("{0}", "1,2", "got 2 numbers of steps for the model"),
        ("auto", "1,2", "got 2 numbers of steps for the model 'auto'; expected a single one"),
        ("{0}+{0}", "1,2,3", "expected one for each of its 2, or one for all"),
        ("{0}+{0}", "1,", "expected whole numbers of at least 1"),
        ("{0}", "0", "expected whole numbers of at least 1"),
        ("{0}", "many", "expected whole numbers of at least 1"),
    ],
)
def test_numbers_of_steps_that_fit_no_model(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, model: str, steps: str, part: str
) -> None:
    words = ("--model", model.format(tiny_model), "--steps", steps)
    done = run("upscale", face, "-o", tmp_path / "out", *words)
    assert (done.code, done.out) == (2, "")
    assert part in done.errors[0]
