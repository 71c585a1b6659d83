"""`sr4 upscale --evidence`: what it says, what it refuses, and what stands in the results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4.pictures import read_provenance
from tests.cli.conftest import Outcome

pytest.importorskip("jpegio")

Run = Callable[..., Outcome]


@pytest.fixture
def photo(make_picture: Callable[..., Path], tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.open(make_picture(tmp_path / "a.png", 40, 24)).save(path, quality=70)
    return path


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ((), "jpeg (quality 70, 4:2:0)"),
        (("--evidence", "exact"), "exact"),
        (("--evidence", "noise", "--noise", "4"), "noise (noise of 4.0 levels)"),
        (("--noise", "4"), "jpeg (quality 70, 4:2:0, noise of 4.0 levels)"),
        (("--blur", "0.5"), "jpeg (quality 70, 4:2:0, blur of 0.50 pixels)"),
        (("--no-consistency",), "none"),
        (("--evidence", "none"), "none"),
    ],
)
def test_the_line_says_which_evidence_was_used(
    run: Run, photo: Path, tiny_model: Path, tmp_path: Path, words: tuple[str, ...], kind: str
) -> None:
    done = run("upscale", photo, "-o", tmp_path / "x.png", "--model", tiny_model, *words)
    assert done.code == 0, done.err
    assert f"160x96, evidence {kind}, consistency " in done.out


def test_json_and_provenance_say_it_with_numbers(
    run: Run, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.png"
    words = ("upscale", photo, "-o", out, "--model", tiny_model, "--blur", 0.5, "--json")
    done = run(*words)
    entry = done.json["results"][0]
    found = {"kind": "jpeg", "quality": 70.0, "blur": 0.5, "subsampling": "4:2:0"}
    assert entry["evidence"] == found
    assert entry["given_up"] == 0
    said = read_provenance(out)
    assert said is not None
    assert (said["evidence"], said["noise"], said["blur"]) == ("auto", None, 0.5)
    assert said["found"] == found
    again = run(*words)  # the same options: nothing is left to do
    assert again.json["done_before"] == [{"input": str(photo), "output": str(out)}]
    other = run(*words[:-3], "--blur", 0.6)  # other options: another result
    assert other.code == 1
    assert str(out) in other.errors[0]


def test_python_and_the_command_line_give_the_same(
    run: Run, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    calls: list[dict[str, Any]] = [{}, {"evidence": "noise", "noise": 3.0}, {"blur": 0.4}]
    for number, words in enumerate(calls):
        out = tmp_path / f"{number}.png"
        options = [part for key, value in words.items() for part in (f"--{key}", value)]
        command = ("upscale", photo, "-o", out, "--model", tiny_model, "--backend", "torch")
        assert run(*command, *options).code == 0
        result = sr4.load(tiny_model, backend="torch").upscale(Image.open(photo), **words)
        np.testing.assert_array_equal(np.asarray(Image.open(out)), result.array)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--evidence", "jpg"), "unknown evidence 'jpg': did you mean 'jpeg'"),
        (("--evidence", "exact", "--noise", "3"), "got evidence exact with noise 3"),
        (("--evidence", "jpeg", "--no-consistency"), "got evidence jpeg without consistency"),
        (("--evidence", "none", "--consistency"), "got evidence none with consistency"),
        (("--noise", "-1"), "got noise -1.0; expected a deviation from 0 to 128"),
        (("--noise", "nan"), "got noise nan; expected"),
        (("--blur", "much"), "got --blur 'much'; expected a number of pixels, or auto"),
        (("--blur", "99"), "got blur 99.0; expected a deviation from 0 to 8"),
    ],
)
def test_contradictions_are_usage_errors(
    run: Run, photo: Path, tiny_model: Path, words: tuple[str, ...], message: str
) -> None:
    done = run("upscale", photo, "--model", tiny_model, *words)
    assert done.code == 2
    assert len(done.errors) == 1
    assert done.errors[0].startswith(message)


def test_a_file_without_the_evidence_asked_for_fails_alone(
    run: Run, photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ("-o", tmp_path / "out", "--model", tiny_model, "--evidence", "jpeg")
    done = run("upscale", photo, photo.with_name("a.png"), *words)
    assert done.code == 1
    assert "without a trace of JPEG" in done.errors[0]
    assert "a.png" in done.errors[0]
    assert (tmp_path / "out" / "photo.png").is_file()


def test_odd_jpegs_are_taken_with_a_line(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "inks.jpg"
    Image.new("CMYK", (24, 24), (40, 30, 20, 10)).save(path, quality=70)
    done = run("upscale", path, "-o", tmp_path / "x.tif", "--model", tiny_model)
    assert done.code == 0
    assert f"sr4: {path}: it has 4 components: its pixels are taken to" in done.err


def test_what_was_given_up_is_said(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "squares.png"  # no downscaled picture of anything
    Image.fromarray((np.indices((24, 24)).sum(0) % 2 * 255).astype(np.uint8)).save(path)
    done = run("upscale", path, "-o", tmp_path / "x.png", "--model", tiny_model, "--json")
    entry = done.json["results"][0]
    assert entry["given_up"] > 0.5
    assert "of its pixels could not be met to a level: the nearest result" in entry["notes"][0]
