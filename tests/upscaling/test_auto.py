"""The model that each picture calls for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4.errors import UsageError
from sr4.upscaling.auto import AutoPipeline
from sr4.upscaling.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]
FACE = np.asarray(Image.open(ROOT / "examples/astronaut-16.png"))
PHOTO = np.full((40, 24, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def opened(tiny_exported: Path) -> Pipeline:
    return sr4.load(tiny_exported, backend="onnx")  # type: ignore[return-value]


def test_each_picture_goes_through_its_model_and_comes_back_in_order(opened: Pipeline) -> None:
    asked: list[str] = []
    second = Pipeline(opened.model)

    def open_model(name: str) -> Pipeline:
        asked.append(name)
        return opened if name == "sr4-fast" else second

    auto = AutoPipeline(open_model)
    assert asked == []
    results = auto([PHOTO, FACE, PHOTO], evidence=["none", "exact", "exact"])
    assert sorted(asked) == ["photo-x4", "sr4-fast"]
    assert [one.raster.size for one in results] == [(96, 160), (64, 64), (96, 160)]
    assert [one.evidence.kind for one in results] == ["none", "exact", "exact"]
    assert auto.upscale(FACE).raster.size == (64, 64)
    assert len(asked) == 2
    assert auto.pipeline_for(FACE) is opened
    assert auto.pipeline_for(np.full((16, 16, 3), 90, np.uint8)) is second


@pytest.mark.parametrize("options", [{}, {"evidence": "auto"}, {"evidence": ["auto", "auto"]}])
def test_results_say_what_was_asked_as_those_of_a_pipeline_do(
    opened: Pipeline, options: Any
) -> None:
    results = AutoPipeline(lambda name: opened).upscale([FACE, PHOTO], **options)
    expected = opened.upscale([FACE, PHOTO], **options)
    assert [one.provenance for one in results] == [one.provenance for one in expected]
    said = [one.provenance["evidence"] for one in results if one.provenance is not None]
    assert said == (["exact"] * 2 if isinstance(options.get("evidence"), list) else ["auto"] * 2)


def test_as_many_kinds_of_evidence_as_pictures(opened: Pipeline) -> None:
    with pytest.raises(UsageError, match="got 1 kinds of evidence for 2 pictures"):
        AutoPipeline(lambda name: opened).upscale([FACE, FACE], evidence=["none"])


def test_auto_is_what_load_takes_without_a_name() -> None:
    assert isinstance(sr4.load("auto"), AutoPipeline)
    assert isinstance(sr4.load(), AutoPipeline)
    assert isinstance(sr4.load("sr4-fast", backend="onnx"), Pipeline)


@pytest.mark.parametrize("name", [None, "", 3, b"sr4-fast", []])
def test_what_is_no_name_of_a_model_is_refused(name: object) -> None:
    with pytest.raises(UsageError, match="expected a name, such as 'photo-x4'"):
        sr4.load(name)  # type: ignore[call-overload]
