"""`sr4 upscale` with several models, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import sr4

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
