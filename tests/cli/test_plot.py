"""`sr4 plot`: what is drawn, and that nothing is drawn over. `plot ablation`: see test_page.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")

Run = Callable[..., Any]

SR3, COSINE = (0, 0, 0), (0, 114, 178)  # the colours of these systems


def count(path: Path, colour: tuple[int, int, int]) -> int:
    """How many pixels of a picture have a colour."""
    with Image.open(path) as picture:
        return int(np.all(np.asarray(picture) == colour, axis=-1).sum())


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run with ten lines of losses, two validations, and a last line that was cut off."""
    folder = tmp_path / "sr3"
    folder.mkdir()
    lines: list[dict[str, Any]] = [
        {"images": 80 * n, "kind": "train", "loss": 1 / n, "learning_rate": 1e-4}
        for n in range(1, 11)
    ]
    lines += [
        {"images": n, "kind": "validation", "psnr": 20 + n / 800, "consistency": 9.0}
        for n in (400, 800)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + '{"images": 880, "ki')
    return folder


@pytest.fixture
def residual_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model, as one that draws a residual."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "residual"))
    config = json.loads((folder / "config.json").read_text())
    config["objective"] |= {"target": "residual", "target_scale": 0.2}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_schedules_are_drawn_once_each(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "schedules.png"
    done = run("plot", "schedules", "-o", out, "--recipes", "sr3, cosine,residual", "--json")
    assert (done.code, done.err) == (0, "")  # no warning about the schedules either
    assert done.json == {"file": str(out), "recipes": ["sr3", "cosine", "residual"]}
    assert min(count(out, SR3), count(out, COSINE)) > 500
    assert run("plot", "schedules", "-o", tmp_path / "default.png").out.endswith("default.png\n")


@pytest.mark.parametrize(
    ("recipes", "part"),
    [("sr3,cosin", "did you mean 'cosine'?"), ("regression", "have no schedule"), ("", "known:")],
)
def test_schedules_of_nobody_are_refused(run: Run, tmp_path: Path, recipes: str, part: str) -> None:
    done = run("plot", "schedules", "-o", tmp_path / "a.png", "--recipes", recipes)
    assert (done.code, done.out) == (2, "")
    (error,) = done.errors
    assert part in error
    assert not (tmp_path / "a.png").exists()


def test_a_run_is_drawn_from_its_metrics(run: Run, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.png"
    done = run("plot", "run", run_folder, "-o", out, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json == {"file": str(out), "images": 800}
    with Image.open(out) as picture:
        three = picture.size
    # Without validations there is the loss alone.
    metrics = run_folder / "metrics.jsonl"
    metrics.write_text(metrics.read_text().partition('{"images": 400')[0])
    assert run("plot", "run", run_folder, "-o", out, "--overwrite").code == 0
    with Image.open(out) as picture:
        assert (picture.width, 3 * picture.height) == three


def test_a_folder_without_metrics_is_no_run(run: Run, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        done = run("plot", "run", folder, "-o", tmp_path / "run.png")
        assert (done.code, done.out) == (2, "")
        assert f"{folder}: has no metrics" in done.errors[0]


def test_a_process_ends_in_what_upscale_gives(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out, large = tmp_path / "process.png", tmp_path / "large.png"
    words: tuple[object, ...] = (
        tiny_model,
        face,
        "-o",
        out,
        "--steps",
        5,
        "--moments",
        3,
        "--seed",
        7,
        "--json",
    )
    done = run("plot", "process", *words)
    assert (done.code, done.err) == (0, "")
    assert done.json == {"file": str(out), "steps": [1, 3, 5]}
    words = (face, "-o", large, "--model", tiny_model, "--steps", 5, "--seed", 7)
    assert run("upscale", *words).code == 0
    shown = np.asarray(Image.open(large).convert("RGB")).repeat(4, axis=0).repeat(4, axis=1)
    strip = np.asarray(Image.open(out))
    windows = (
        strip[top : top + 128, left : left + 128]
        for top in range(strip.shape[0] - 127)
        for left in range(strip.shape[1] // 2, strip.shape[1] - 127)
    )
    assert any(np.array_equal(window, shown) for window in windows)


def test_a_residual_gets_a_row_of_its_own(
    run: Run, face: Path, tiny_model: Path, residual_model: Path, tmp_path: Path
) -> None:
    heights = []
    for model in (tiny_model, residual_model):
        out = tmp_path / f"{model.name}.png"
        assert run("plot", "process", model, face, "-o", out).code == 0
        with Image.open(out) as picture:
            heights.append(picture.height)
    assert heights[1] > heights[0] + 128


def test_moments_are_the_pictures_of_their_variables(residual_model: Path) -> None:
    from sr4.ablation.denoising import denoising_moments
    from sr4.model.diffusion_model import load_model

    model = load_model(residual_model)
    low_res = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 7, 9)).astype(np.float32)
    seen = []
    found = denoising_moments(
        model, low_res, steps=9, moments=4, on_step=lambda step: seen.append(step.number)
    )
    assert list(found) == [1, 4, 6, 9]
    assert seen == [*range(1, 10)]  # every step is told of
    base = np.moveaxis(np.asarray(model.frame(low_res[None]).base)[0], 0, -1)
    for number in (1, 4, 6):  # the last is also projected
        picture, variable = (np.asarray(one) / 127.5 - 1 for one in found[number])
        assert picture.shape == (28, 36, 3)
        inside = (np.abs(variable) < 0.99) & (np.abs(picture) < 0.99)
        assert inside.sum() > 100
        expected = base + 0.2 * 2 * variable
        assert np.abs(picture - expected)[inside].max() < 1 / 127.5
    result = model.sample(low_res[None], seeds=[0], steps=9)[0]
    last = np.moveaxis(np.asarray(found[9].picture) / 127.5 - 1, -1, 0)
    assert np.abs(last - np.clip(result, -1, 1)).max() <= 0.5 / 127.5 + 1e-6


def test_a_large_picture_is_refused(
    run: Run, make_picture: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    picture = make_picture(tmp_path / "wide.png", 129, 8)
    done = run("plot", "process", tiny_model, picture, "-o", tmp_path / "out.png")
    assert (done.code, done.out) == (1, "")
    assert "got a 129x8 picture; expected no side above 128" in done.errors[0]


def test_nothing_is_drawn_over_unless_asked(
    run: Run, face: Path, run_folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.png"
    out.write_bytes(b"mine")
    commands = (("schedules",), ("run", run_folder), ("process", tiny_model, face))
    for command in commands:
        done = run("plot", *command, "-o", out)
        assert (done.code, done.out) == (1, "")
        assert "exists already" in done.errors[0]
        assert out.read_bytes() == b"mine"
        assert "suffixes" in run("plot", *command, "-o", tmp_path / "a.txt").errors[0]
        assert "does not exist" in run("plot", *command, "-o", tmp_path / "no" / "a.png").errors[0]
    # Said before any work, such as looking for the model.
    assert "exists already" in run("plot", "process", "nobody", face, "-o", out).errors[0]
    assert run("plot", *commands[0], "-o", out, "--overwrite").code == 0
    with Image.open(out) as picture:
        picture.load()
