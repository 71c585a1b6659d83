"""`sr4 models`, `sr4 info`, `sr4 export`, and folders that are no sound models."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sr4.model.folder

Run = Callable[..., Any]


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to damage."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def change(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_models_lists_what_is_shipped(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sr4.model.folder, "SHIPPED", tiny_model.parent)
    (listed,) = run("models", "--json").json["models"]
    config = json.loads((tiny_model / "config.json").read_text())
    assert listed["name"] == "tiny"
    assert (listed["scale"], listed["licence"]) == (4, "For tests only")
    assert listed["parameters"] == config["parameters"]
    assert listed["bytes"] == sum(path.stat().st_size for path in tiny_model.iterdir())
    header, row = run("models").out.splitlines()
    assert header.split()[:4] == ["name", "scale", "parameters", "size"]
    assert row.split()[:2] == ["tiny", "x4"]
    assert row.rstrip().endswith("For tests only")


def test_info_states_the_terms_of_the_weights_apart_from_those_of_the_code(
    run: Run, tiny_model: Path
) -> None:
    done = run("info", tiny_model)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("LICENCE OF THE WEIGHTS: For tests only\n")
    assert "Apache-2.0" in done.out.splitlines()[1]
    facts, scores = done.out.split("\n\n")
    lines = dict(re.split(r"\s{2,}", line.strip()) for line in facts.splitlines()[2:])
    assert lines["recipe"] == "sr4-fast"
    assert lines["sampling"] == "2 steps of ddim"
    assert re.search(r"\nsampling +1 step of ddim\n", run("info", "sr4-fast").out)
    assert lines["trained on"] == "nothing"
    assert "file: model.safetensors" in lines
    _, header, row = scores.splitlines()
    assert (header.split(), row.split()) == (
        ["score", "test"],
        ["psnr", "20.00", "±", "0.50"],
    )


def test_info_as_json_is_the_config_and_more(run: Run, tiny_model: Path) -> None:
    described = run("info", tiny_model, "--json").json
    assert described["folder"] == str(tiny_model)
    assert described["bytes"].keys() == {"config.json", "model.safetensors"}
    config = json.loads((tiny_model / "config.json").read_text())
    assert {key: described[key] for key in config} == config


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04}\x94.")
    change(folder, sha256={})


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def of_another_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(folder, network=config["network"] | {"widths": [16, 48]})


UNSOUND: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle as weights": (pickled, "safetensors"),
    "truncated weights": (truncated, "checksum"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
    "weights of another shape": (of_another_shape, "expects of shape (48,)"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "a damaged config": (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
    "an unknown key": (lambda folder: change(folder, scael=4), "did you mean 'scale'?"),
}


@pytest.mark.parametrize("kind", UNSOUND)
def test_an_unsound_model_is_one_line(
    run: Run, face: Path, model: Path, tmp_path: Path, kind: str
) -> None:
    make, part = UNSOUND[kind]
    make(model)
    done = run("upscale", face, "-o", tmp_path / "out", "--model", model)
    assert (done.code, done.out) == (1, "")
    (error,) = done.errors
    assert str(model) in error
    assert part in error
    assert not (tmp_path / "out").exists()


def test_a_pickle_is_no_model(run: Run, face: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"\x80\x04}\x94.")
    for words in (("upscale", face, "--model", path), ("info", path)):
        done = run(*words)
        assert (done.code, done.out) == (1, "")
        assert "sr4 import" in done.errors[0]


def test_export_writes_a_model_that_runs_without_torch(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    out = tmp_path / "exported"
    done = run("export", tiny_model, "-o", out, "--precision", "float32", "--json")
    assert done.code == 0, done.err
    assert done.json["folder"] == str(out)
    assert 0 <= done.json["difference"] < 1e-3
    assert done.json["bytes"] > 1000
    said = f"sr4: exporting {tiny_model} to {out}, and comparing it with torch: a minute or so"
    assert said in done.err.splitlines()

    again = run("export", tiny_model, "-o", out)
    assert again.code == 1
    assert str(out) in again.errors[0]

    words = ("upscale", face, "-o", tmp_path / "large.png", "--model", out, "--json")
    assert run(*words).json["backend"] == "onnx"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--format", "onx"], "'onx'"),
        (["--precision", "float61"], "'float61'"),
    ],
)
def test_export_refuses_what_it_does_not_know(
    run: Run, tiny_model: Path, tmp_path: Path, words: list[str], part: str
) -> None:
    done = run("export", tiny_model, "-o", tmp_path / "out", *words)
    assert (done.code, done.out) == (2, "")
    assert part in done.errors[0]
    assert not (tmp_path / "out").exists()


def test_info_says_what_low_res_a_model_was_trained_on(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    assert "trained to undo" not in (plain := run("info", tiny_model).out)
    assert "condition noise" not in plain
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    values = json.loads((folder / "config.json").read_text())
    values |= {"corruption": "photo", "condition_noise": 0.25}
    (folder / "config.json").write_text(json.dumps(values))
    said = " ".join(run("info", folder).out.split())
    assert "trained to undo what corrupts a photo" in said
    assert "condition noise trained with deviations up to 0.25 on the [-1, 1] scale" in said
