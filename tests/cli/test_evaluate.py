"""`sr4 evaluate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.evaluation.evaluate import BicubicUpscaler

pytest.importorskip("skimage")

Run = Callable[..., Any]


@pytest.fixture
def faces(make_picture: Run, tmp_path: Path) -> Path:
    """A folder of three 32x32 pictures."""
    for number in range(3):
        make_picture(tmp_path / "faces" / f"{number}.png", 32, 32, seed=number)
    return tmp_path / "faces"


def test_a_model_is_scored(run: Run, faces: Path, tiny_model: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    words = ("evaluate", "--model", tiny_model, "--data", faces, "--steps", 1, "--out", report)
    done = run(*words, "--limit", 2, "--json")
    assert done.code == 0
    result = done.json
    # What to know of the scores stands on stderr too: here, that two pictures are few.
    assert done.err.splitlines() == [f"sr4: note: {note}" for note in result["notes"]]
    assert result["count"] == 2
    assert result["nfe"] == 1
    assert result["model"] == str(tiny_model)
    for name in ("psnr", "ssim", "consistency"):
        assert result[name]["low"] <= result[name]["value"] <= result[name]["high"]
    assert result["protocol"]["sampling"].startswith("steps 1,")
    assert result["seconds_per_image"] > 0
    assert json.loads((report / "report.json").read_text()) == result

    again = run(*words)
    assert again.code == 2
    assert str(report) in again.errors[0]
    assert run(*words, "--overwrite").code == 0


def test_a_baseline_at_a_scale(run: Run, faces: Path) -> None:
    done = run("evaluate", "--model", "bicubic-projected", "--data", faces, "--scale", 4)
    assert done.code == 0
    title, _, *rows = done.out.splitlines()
    assert title == f"bicubic-projected on 3 pictures of {faces}"
    table = {row.split()[0]: row.split()[1:] for row in rows if row.split()}
    assert float(table["psnr"][0]) > 25
    assert float(table["consistency"][0]) < 1
    assert table["nfe"][0] == "0"


def test_the_scale_of_a_baseline_is_told_where_none_was_given(run: Run, faces: Path) -> None:
    words = ("evaluate", "--model", "bicubic", "--data", faces, "--limit", 1)
    line = "sr4: note: bicubic has the scale 8, as none was given: --scale for another"
    assert line in run(*words).err.splitlines()
    assert line not in run(*words, "--scale", 8).err.splitlines()


def test_bad_pictures_are_named_and_left_out(run: Run, faces: Path) -> None:
    words = ("evaluate", "--model", "bicubic", "--data", faces, "--scale", 4, "--json")
    whole = run(*words)
    (faces / "a.png").write_text("no picture")
    done = run(*words)
    assert (whole.code, done.code) == (0, 1)
    assert done.json["psnr"] == whole.json["psnr"]
    assert done.json["count"] == 3
    errors = [line for line in done.err.splitlines() if line.startswith("sr4: error: ")]
    assert len(errors) == 1
    assert "a.png' is not a picture" in errors[0]
    assert "1 of the 4 pictures are bad and were left out" in done.json["notes"]


def test_a_picture_too_small_to_be_scored_is_left_out(run: Run, faces: Path) -> None:
    words = ("evaluate", "--model", "bicubic", "--data", faces, "--scale", 4, "--json")
    whole = run(*words)
    Image.new("RGB", (200, 4)).save(faces / "small.png")
    done = run(*words)
    assert done.code == 1
    assert (done.json["count"], done.json["psnr"]) == (3, whole.json["psnr"])
    (error,) = [line for line in done.err.splitlines() if line.startswith("sr4: error: ")]
    assert "small.png" in error


def test_degraded_pictures_have_fixed_draws(run: Run, faces: Path) -> None:
    words = ("evaluate", "--model", "bicubic", "--data", faces, "--scale", 4, "--json")
    clean, first, second = run(*words), *(run(*words, "--corruption", "photo") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert first.json["psnr"] == second.json["psnr"]
    assert first.json["psnr"]["value"] < clean.json["psnr"]["value"]
    assert first.json["protocol"]["corruption"].startswith("low_res made by PhotoCorruption(")


def test_an_interrupt_says_what_is_lost(
    run: Run, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the third batch of three, two pictures are done."""
    whole, calls = BicubicUpscaler.sample, []

    def interrupted(self: BicubicUpscaler, low_res: np.ndarray, **given: Any) -> np.ndarray:
        calls.append(len(low_res))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, low_res, **given)

    monkeypatch.setattr(BicubicUpscaler, "sample", interrupted)
    report = tmp_path / "report"
    words = ("--model", "bicubic", "--data", faces, "--scale", 4, "--batch-size", 1)
    done = run("evaluate", *words, "--out", report)
    assert (done.code, done.out) == (130, "")
    assert done.err == (
        "sr4: interrupted: the work of 2 of 3 pictures is lost, since no scores are kept before "
        "all are done\n"
    )
    assert not report.exists()


def test_an_interrupt_before_the_first_picture_has_nothing_to_say(
    run: Run, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sr4.evaluation.evaluate.EfficientNetLite0", interrupted)
    done = run("evaluate", "--model", "bicubic", "--data", faces, "--scale", 4)
    assert (done.code, done.out, done.err) == (130, "", "sr4: interrupted\n")


class Inception:
    """Mean colours in place of the network of FID."""

    protocol = "mean colour"

    def __init__(self, weights: Path) -> None:
        self.caution = f"{weights.name} is not canonical"

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return np.asarray(pictures.mean(axis=(1, 2)) / 255)


def test_fid_with_weights_at_hand(run: Run, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr4.evaluation.features.InceptionV3", Inception)
    words = ("evaluate", "--model", "bicubic", "--data", faces, "--scale", 4)
    done = run(*words, "--inception", "mine.pth", "--json")
    assert done.code == 0
    for name in ("fid", "kid"):
        assert done.json[name]["low"] <= done.json[name]["value"] <= done.json[name]["high"]
    assert "sr4: note: mine.pth is not canonical" in done.err.splitlines()
    assert run(*words, "--json").json["fid"] is None


def test_fid_without_its_extra(run: Run, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    done = run("evaluate", "--model", "bicubic", "--data", faces, "--inception", "mine.pth")
    assert (done.code, done.out) == (2, "")
    (error,) = done.errors
    assert "[fid]'" in error


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--scale", "4"], 2, "expected --scale with bicubic"),
        (["--model", "bicubic", "--data", "none"], 1, "none"),
        (["--model", "bicubic", "--detail", "0", "--device", "cpu"], 2, "--detail and --device"),
        (["--detail", "2"], 2, "got --detail '2'; expected a number from 0 to 1"),
        (["--sampler", "dpmp"], 2, "did you mean 'dpmpp'?"),
        (["--out", "notes.txt"], 2, "notes.txt"),
        (["--model", "nothing"], 1, "no model 'nothing'"),
        (["--corruption", "foto"], 2, "did you mean 'photo'?"),
    ],
)
def test_what_cannot_work_is_one_line(
    run: Run,
    faces: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    part: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").touch()
    done = run("evaluate", "--model", tiny_model, "--data", faces, *words)
    assert (done.code, done.out) == (code, "")
    (error,) = done.errors
    assert part in error
