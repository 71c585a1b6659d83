"""`sr4 train`: how settings are resolved, and short runs of a tiny network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import sr4.training
from sr4.cli.train import read_settings, resolve_settings
from sr4.errors import UsageError
from sr4.recipes import RECIPES, recipe

Run = Callable[..., Any]

TINY: dict[str, Any] = {
    "model": {
        "image_size": 32,
        "degradation": {"scale": 4},
        "network": {"widths": [16, 32], "blocks": [1, 1], "attention": False},
    },
    "data": {"workers": 0},
    "training": {"total_images": 8, "batch_size": 4, "precision": "float32"},
}


@pytest.mark.parametrize("words", [("train", "sr4-fast"), ("distill", "sr4-fast")])
def test_without_torch_the_command_and_its_extra_are_named(
    run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str]
) -> None:
    monkeypatch.delitem(sys.modules, "sr4.training.trainer", raising=False)
    monkeypatch.delattr(sr4.training, "trainer", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run(*words, "--data", pictures, "--out", tmp_path / "run")
    assert done.code == 2
    (error,) = done.errors
    assert error.startswith(f"sr4 {words[0]} needs the package 'torch'")
    assert error.endswith("[train]'")


@pytest.fixture
def pictures(make_picture: Run, tmp_path: Path) -> Path:
    """A folder of six 32x32 pictures."""
    for number in range(6):
        make_picture(tmp_path / "pictures" / f"{number}.png", 32, 32, seed=number)
    return tmp_path / "pictures"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A file of settings that make `sr4-fast` tiny."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def test_the_help_names_every_recipe(run: Run) -> None:
    words = run("train", "--help").out.replace(",", " ").split()
    assert set(RECIPES) <= {word.rstrip(".") for word in words}


def test_single_settings_go_over_the_file_and_the_file_over_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training: {batch_size: 3, seed: 7}")
    settings = resolve_settings("sr4-fast", path, ["training.batch_size=5", "data.workers=0"])
    plain = recipe("sr4-fast")
    assert (settings.training.batch_size, settings.training.seed) == (5, 7)
    assert settings.data.workers == 0
    assert settings.model == plain.model
    assert settings.training.learning_rate == plain.training.learning_rate


def test_numbers_that_yaml_reads_as_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("training.learning_rate: 3e-4\n# a dotted key, and a number without a point")
    assert resolve_settings("sr4-fast", path, []).training.learning_rate == 3e-4
    settings = resolve_settings("sr4", None, ["training.learning_rate=2e-4"])
    assert settings.training.learning_rate == 2e-4


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("# nothing yet\n")
    assert read_settings(path) == {}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("training:\n  batch_size: [1\n  seed: 2", ["line 3", "not YAML"]),
        ("a: b: c", ["line 1", "not YAML"]),
        ("- 1\n- 2", ["holds a list"]),
        ("seven", ["holds a str"]),
        ("training: {batchsize: 8}", ["'training.batchsize'", "'training.batch_size'?"]),
        ("training: {batch_size: many}", ["'training.batch_size'", "'many'"]),
        ("training: 5", ["'training'", "5"]),
        ("key: \udce9", []),
        ("!!python/object/apply:os.system ['true']", ["not YAML"]),
    ],
)
def test_a_bad_file_is_named_with_the_line(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        resolve_settings("sr4-fast", path, [])
    for part in ["mine.yaml", *parts]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["sr4-fats"], "did you mean 'sr4-fast'?"),
        (["sr4", "--set", "training.batchsize=8"], "did you mean 'training.batch_size'?"),
        (["sr4", "--set", "training.batch_size"], "expected key=value"),
        (["sr4", "--set", "training.batch_size=0"], "'training.batch_size'"),
        (["sr4", "--set", "training.precision=fp8"], "'fp8'"),
        (["sr4", "--config", "none.yaml"], "none.yaml"),
        (["sr4", "--config", "pictures"], "pictures"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_2(
    run: Run,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    part: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("train", *words, "--data", "pictures", "--out", "run")
    assert (done.code, done.out) == (2, "")
    (error,) = done.errors
    assert part in error
    assert not Path("run").exists()


def test_missing_pictures_are_one_line(run: Run, tmp_path: Path) -> None:
    done = run("train", "sr4", "--data", tmp_path / "none", "--out", tmp_path / "run")
    assert (done.code, done.out) == (1, "")
    assert "none" in done.errors[0]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_prints_the_settings_and_what_they_cost(
    run: Run, pictures: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate")
    words = ["train", "sr4-fast", "--data", pictures, "--out", tmp_path / "run", "--dry-run"]
    done = run(*words, "--config", tiny)
    assert (done.code, done.err) == (0, "")
    assert "# steps: 2\n" in done.out
    assert "# training pictures: 6\n" in done.out
    assert not (tmp_path / "run").exists()

    (tmp_path / "again.yaml").write_text(done.out)  # what it prints is a --config
    plan = run(*words, "--config", tmp_path / "again.yaml", "--val", pictures, "--json").json
    assert plan["settings"] == yaml.safe_load(done.out)
    assert plan["settings"]["training"]["batch_size"] == 4
    assert plan["parameters"] > 10_000
    assert plan["seconds"] == pytest.approx(8 / plan["pictures_per_second"])
    assert "# time: about " in done.out
    assert (plan["steps"], plan["size_multiple"]) == (2, 8)
    assert (plan["training_pictures"], plan["validation_pictures"]) == (6, 6)

    monkeypatch.setenv("WORLD_SIZE", "2")
    shared = run(*words, "--config", tiny)
    assert "# time: not tried, as several processes train\n" in shared.out
    assert run(*words, "--config", tiny, "--json").json["seconds"] is None
    monkeypatch.delenv("WORLD_SIZE")
    other = run(*words, "--config", tiny, "--init", "sr4-fast")
    assert other.code == 2
    assert "got --init with a tensor" in other.errors[-1]

    plan = run(*words, "--config", tiny, "--set", "data.exclude=[0.png, '[45]*']", "--json").json
    assert plan["training_pictures"] == 3
    missed = run(*words, "--config", tiny, "--set", "data.exclude=[6.png]")
    assert missed.code == 1
    assert "'6.png'" in missed.errors[0]


def test_a_run_gives_a_model_and_the_same_command_goes_on(
    run: Run, pictures: Path, tiny: Path, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    words = ["train", "sr4-fast", "--data", pictures, "--out", tmp_path / "run", "--config", tiny]
    first = run(*words, "--json")
    assert first.code == 0, first.err
    assert first.json["images"] == 8
    assert first.json["stopped"] is False
    assert Path(first.json["model"]) == tmp_path / "run/model"

    second = run(*words, "--set", "training.total_images=12")
    assert second.code == 0, second.err
    assert "sr4: resumed at 8 pictures\n" in second.err
    assert second.out.startswith(f"{tmp_path / 'run/model'}  12 pictures, ")

    third = run(*words, "--set", "training.total_images=12")
    assert third.code == 0
    assert third.err.startswith("sr4: complete: its 12 pictures are trained on; to train on, raise")
    assert third.out.startswith(f"{tmp_path / 'run/model'}  12 pictures, ")

    other = run(*words, "--set", "training.batch_size=2")
    assert other.code == 1
    assert "training.batch_size" in other.errors[0]

    low_res, large = pictures / "0.png", tmp_path / "large.png"
    done = run("upscale", low_res, "-o", large, "--model", tmp_path / "run", "--steps", 1)
    assert done.code == 0, done.err


def test_bad_pictures_are_told_of_and_are_no_failure(
    run: Run, pictures: Path, tiny: Path, tmp_path: Path
) -> None:
    pytest.importorskip("accelerate")
    (pictures / "6.png").write_text("no picture")
    words = ["train", "sr4-fast", "--data", pictures, "--out", tmp_path / "run", "--config", tiny]
    done = run(*words)
    assert done.code == 0
    named, counted = done.err.splitlines()
    assert named.startswith("sr4: left out: ")
    assert "6.png' is not a picture" in named
    assert counted == "sr4: left out 1 bad pictures: 6.png"
    again = run(*words, "--json").json
    assert (again["bad_pictures"], again["skipped_steps"]) == (["6.png"], 0)

    for number in range(6):
        (pictures / f"{number}.png").write_text("no picture")
    done = run(*words[:-4], "--out", tmp_path / "other", "--config", tiny)
    assert (done.code, done.out) == (1, "")
    assert "makes 2 bad of the 7 pictures, expected at most 1 (data.max_bad=0.01)" in done.errors[0]


@pytest.mark.skipif(sys.platform == "win32", reason="knows other signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_with_1_and_a_line(
    pictures: Path, tiny: Path, tmp_path: Path, number: signal.Signals
) -> None:
    pytest.importorskip("accelerate")
    program = "import sys; from sr4.cli.main import main; sys.exit(main())"
    words = ["--data", pictures, "--out", tmp_path / "run", "--config", tiny]
    words += ["--set", "training.total_images=100000", "--set", "training.save_every_images=8"]
    with subprocess.Popen(
        [sys.executable, "-c", program, "train", "sr4-fast", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"ACCELERATE_USE_CPU": "true"},
    ) as process:
        checkpoints = tmp_path / "run" / "checkpoints"
        while not list(checkpoints.glob("[0-9]*")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out.startswith(f"{tmp_path / 'run/model'}  ")
    (line,) = err.splitlines()
    assert line.startswith("sr4: stopped after ")
    assert line.endswith("the same command goes on from there")


def test_a_stopped_run_says_how_to_go_on(
    run: Run, pictures: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = pytest.importorskip("sr4.training.trainer")

    def stop(*_: object, **__: object) -> object:
        return trainer.TrainingSummary(tmp_path / "run/model", 4, 1.0, stopped=True)

    monkeypatch.setattr(trainer, "train", stop)
    words = ["train", "sr4-fast", "--data", pictures, "--out", tmp_path / "run", "--config", tiny]
    done = run(*words)
    assert done.code == 1
    assert done.err.startswith("sr4: stopped after 4 of 8 pictures")
    assert "the same command goes on" in done.err
    assert run(*words, "--json").json["stopped"] is True


@pytest.mark.filterwarnings("always::sr4.diffusion.schedules.TerminalSNRWarning")
def test_a_schedule_that_does_not_end_in_noise_warns_once(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    """It is built for training and again for validation."""
    network = {"inner": 16, "multipliers": [1, 2], "groups": 8, "attention_resolutions": [16]}
    training = TINY["training"] | {"validation_images": 2, "validation_steps": 1}
    changes = TINY | {"model": TINY["model"] | {"network": network}, "training": training}
    config = tmp_path / "sr3.yaml"
    config.write_text(yaml.safe_dump(changes))
    words = ("--data", pictures, "--val", pictures, "--out", tmp_path / "run", "--config", config)
    done = run("train", "sr3-500", *words)
    assert done.code == 0
    assert done.err.count("sqrt(gamma_T) = 0.285") == 1
