"""Opened models: each once, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sr4.batch.pipelines import Pipelines
from sr4.errors import ModelError
from sr4.upscaling import load


def test_a_model_is_opened_once_for_all_threads(
    tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    own = load.load

    def counted(model: str, **options: Any) -> Any:
        opened.append(model)
        return own(model, **options)

    monkeypatch.setattr(load, "load", counted)
    pipelines, name = Pipelines("onnx"), str(tiny_exported)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(pipelines.get, [name] * 8))
    assert opened == [name]
    assert len(set(map(id, found))) == 1
    assert found[0].backend == "onnx"


def test_one_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    pipelines = Pipelines("onnx")
    for _ in range(2):
        with pytest.raises(ModelError, match="does not exist"):
            pipelines.get(str(tmp_path / "none"))
