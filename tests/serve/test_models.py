"""The models that requests may name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sr4.batch.pipelines import Pipelines
from sr4.errors import ModelError, UsageError
from sr4.serve.models import Models
from sr4.upscaling.load import public_name


def test_without_names_the_shipped_ones() -> None:
    models = Models()
    assert models.names == ("auto", "photo-x4", "sr4-fast")
    assert (models.find(None), models.find("sr4-fast")) == ("auto", "sr4-fast")
    assert set(models.described) == {"photo-x4", "sr4-fast"}
    assert models.scale("sr4-fast") == 8


def test_what_auto_chooses_can_be_named(tiny_exported: Path, tmp_path: Path) -> None:
    """By answers, which say how the picture is made again."""
    models = Models(["auto", str(tiny_exported)])
    assert models.names == ("auto", "tiny", "photo-x4", "sr4-fast")
    assert models.find(None) == "auto"
    assert models.find("photo-x4") == "photo-x4"
    assert models.loaded == (str(tiny_exported), "photo-x4", "sr4-fast")
    other = shutil.copytree(tiny_exported, tmp_path / "photo-x4")
    with pytest.raises(UsageError, match="two models called 'photo-x4'"):
        Models([str(other), "auto"])


def test_folders_go_by_their_names(tiny_exported: Path) -> None:
    both = f"{tiny_exported}+{tiny_exported}"
    models = Models([str(tiny_exported), both])
    assert models.names == ("tiny", "tiny+tiny")
    assert models.find(None) == str(tiny_exported)
    assert models.scale(models.find("tiny+tiny")) == 16
    assert public_name(both) == "tiny+tiny"
    for name in (str(tiny_exported), "sr4-fast", "auto", ""):
        with pytest.raises(UsageError, match="unknown model"):
            models.find(name)


def test_names_are_those_of_one_model(tiny_exported: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny_exported, tmp_path / "tiny")
    with pytest.raises(UsageError, match="two models called 'tiny'"):
        Models([str(tiny_exported), str(other)])
    with pytest.raises(ModelError, match="no model 'sr5'"):
        Models(["sr5"])


def test_warm_models_are_loaded(tiny_exported: Path) -> None:
    pipelines = Pipelines("onnx")
    Models([str(tiny_exported)]).warm(pipelines)
    assert list(pipelines._loaded) == [str(tiny_exported)]
    Models().warm(pipelines, is_cancelled=lambda: True)
    assert list(pipelines._loaded) == [str(tiny_exported)]


def test_warm_models_have_compiled_what_requests_need() -> None:
    pytest.importorskip("openvino")
    pipelines = Pipelines("openvino")
    Models(["sr4-fast", "photo-x4"]).warm(pipelines)
    faces, photographs = (
        set(pipelines.get(name).model.network._compiled)  # type: ignore[union-attr]
        for name in ("sr4-fast", "photo-x4")
    )
    assert faces == {8, 1}
    assert photographs == {None}  # of any size


def test_a_model_that_fails_is_told(tiny_exported: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_exported, tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelError):
        Models([str(broken)]).warm(Pipelines("onnx"))
