"""What reading refuses before it costs anything."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from sr4.batch import in_work
from sr4.batch.options import UpscaleOptions
from sr4.batch.plan import plan_in_memory
from sr4.batch.worker import Pipelines


def test_what_a_picture_says_is_not_worked_out_where_its_result_does_not_fit(
    tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Estimates take many times the memory of a picture."""
    side, options = 2000, UpscaleOptions(model=str(tiny_exported), samples=8)
    pipeline = Pipelines("onnx").get(str(tiny_exported))
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "PNG")
    (planned,) = plan_in_memory(file.getvalue()).pictures
    # Eight samples, their mean, three channels of a byte each; the uncertainty is of floats.
    needed = (side * pipeline.scale) ** 2 * (9 * 3 + 4)
    asked: list[object] = []
    monkeypatch.setattr(in_work, "_evidences", lambda *given: asked.append(given))
    monkeypatch.setattr(in_work, "available_memory", lambda: needed - 1)

    one = in_work.read(planned, options, pipeline)
    assert f"{needed / 1e9:.1f} GB of memory are needed" in one.reason
    assert not asked

    monkeypatch.setattr(in_work, "available_memory", lambda: needed)
    in_work.read(planned, options, pipeline)
    assert len(asked) == 1
