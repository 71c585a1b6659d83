"""Which rows a benchmark has."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("skimage")

from sr4.bench import plan as module
from sr4.bench.plan import FACES, plan_rows
from sr4.errors import BadPictureError, MissingExtraError, SR4Error, UsageError
from sr4.machine.installation import how_to_install


def test_the_default_rows() -> None:
    plan = plan_rows(backends=["onnx", "torch"])
    assert [str(job) for job in plan.jobs] == [
        "sr3, 2,000 steps, torch",
        "sr3, 500 steps, torch",
        "sr4, 50 steps, torch",
        "sr4-fast, 1 step, onnx",
        "sr4-fast, 1 step, torch",
        "photo-x4, 1 step, onnx",
        "photo-x4, 1 step, torch",
    ]
    assert [job.random for job in plan.jobs] == [True] * 3 + [False] * 4
    assert (plan.data, plan.pictures, plan.notes) == (None, 0, ())


def picture(folder: Path, width: int, height: int, name: str = "a.png") -> str:
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (width, height)).save(folder / name)
    return str(folder)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (128, 128), (256, 200)])
def test_pictures_of_the_size_of_faces_call_for_the_models_of_faces(
    tmp_path: Path, width: int, height: int
) -> None:
    plan = plan_rows(data=[picture(tmp_path / "faces", width, height)], limit=7)
    assert list(dict.fromkeys(job.model for job in plan.jobs)) == [*FACES]
    assert (plan.notes, plan.pictures, plan.limit) == ((), 1, 7)
    assert plan.data == str(tmp_path / "faces")
    assert {(job.data, job.limit) for job in plan.jobs} == {((str(tmp_path / "faces"),), 7)}


@pytest.mark.parametrize(("width", "height"), [(257, 200), (100, 300), (768, 512)])
def test_larger_pictures_call_for_the_model_of_photographs(
    tmp_path: Path, width: int, height: int
) -> None:
    """The others would enlarge what they have never seen, by a factor for nobody, for hours."""
    data = [picture(tmp_path / "photos", width, height)]
    picture(tmp_path / "photos", 16, 16, "b.png")  # the first one counts
    plan = plan_rows(backends=["onnx"], data=data, quick=True)
    assert [str(job) for job in plan.jobs] == ["photo-x4, 1 step, onnx"]
    assert plan.jobs[0].quick
    assert plan.pictures == 2
    assert plan.notes == (
        "rows of sr3, sr4 and sr4-fast are left out: they make faces of at most 256x256 pixels, "
        f"and the first picture has {width}x{height}; --model for them",
    )
    named = plan_rows(["sr4-fast:1"], backends=["onnx"], data=data)
    assert ([str(job) for job in named.jobs], named.notes) == (["sr4-fast, 1 step, onnx"], ())


def test_a_first_picture_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(BadPictureError, match=r"a\.png"):
        plan_rows(data=[str(tmp_path)])


def test_a_backend_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module, "find_spec", lambda name: None if name == "openvino" else find_spec(name)
    )
    plan = plan_rows(["sr4-fast:1"], backends=["openvino", "onnx"])
    assert [job.backend for job in plan.jobs] == ["onnx"]
    advice = how_to_install("openvino", "openvino")
    assert plan.notes == (f"rows on openvino are left out: {advice} for them",)
    with pytest.raises(UsageError, match=r"got nothing to measure .*openvino are left out"):
        plan_rows(["sr4-fast:1"], backends=["openvino"])


def test_a_row_has_the_steps_that_a_model_takes_and_stands_once() -> None:
    plan = plan_rows(["sr4-fast:4,1,1", "sr4-fast"], backends=["onnx"])
    assert [str(job) for job in plan.jobs] == ["sr4-fast, 1 step, onnx"]
    assert plan.notes == ("sr4-fast takes 1 step where 4 are asked for: its row is that of 1",)
    plan = plan_rows(["sr4:100,50,100"], backends=["onnx"])
    assert ([job.steps for job in plan.jobs], plan.notes) == ([100, 50], ())


def test_the_examples_of_the_help_have_no_row_twice() -> None:
    from sr4.cli.bench import EXAMPLES

    for line in EXAMPLES.splitlines():
        models = re.findall(r"--model (\S+)", line)
        if models:
            plan = plan_rows(models, backends=["onnx"])
            assert len({str(job) for job in plan.jobs}) == len(plan.jobs)
            assert not plan.notes


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("sr5", "unknown model 'sr5': did you mean 'sr"),
        ("sr4-fast:0", "got 0 steps for 'sr4-fast'; expected at least 1"),
        ("sr3:3000", "3000"),
        ("sr4-fast:", "unknown model 'sr4-fast:': did you mean 'sr4-fast'"),
    ],
)
def test_impossible_models_are_refused(model: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_rows([model])


def test_impossible_options_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown backend 'onix': did you mean 'onnx'"):
        plan_rows(["sr4-fast"], backends=["onix"])
    with pytest.raises(UsageError, match="limit of 0"):
        plan_rows(["sr4-fast"], limit=0)
    with pytest.raises(UsageError, match="no models"):
        plan_rows([])
    with pytest.raises(SR4Error, match="none"):
        plan_rows(["sr4-fast"], data=[str(tmp_path / "none")])
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(MissingExtraError, match="scikit-image"):
        plan_rows(["sr4-fast"], data=[str(tmp_path)])
