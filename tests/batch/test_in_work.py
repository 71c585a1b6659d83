"""What reading refuses before it costs anything."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.batch import in_work
from sr4.batch.options import UpscaleOptions
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import plan_in_memory
from sr4.degradation import resize
from sr4.pictures import read_picture


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


def test_frames_of_an_animation_have_the_dithering_of_the_first(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    smooth = np.clip(resize(random.uniform(0, 255, (3, 6, 8)), 96, 144), 0, 255)
    wide = Image.fromarray(np.moveaxis(smooth, 0, 2).astype(np.uint8))
    frames = [wide.crop((left, 0, left + 128, 96)) for left in (0, 8, 16)]
    palette = wide.quantize(24)
    few = [one.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for one in frames]
    few[0].save(tmp_path / "few.gif", save_all=True, append_images=few[1:])
    path = tmp_path / "few.gif"
    picture = read_picture(path)
    found = in_work._evidences(picture, path, UpscaleOptions())
    assert [one.kind for one in found] == ["noise"] * 3
    assert len({one.known.noise for one in found}) == 1
    lost = np.asarray(few[0].convert("RGB"), float) - np.asarray(frames[0])
    assert found[0].known.noise == pytest.approx(np.sqrt((lost**2).mean()), rel=0.5)
    exact = in_work._evidences(picture, path, UpscaleOptions(evidence="exact"))
    assert [one.kind for one in exact] == ["exact"] * 3
    small = [one.crop((0, 0, 63, 63)) for one in few]  # too few pixels to see noise in
    small[0].save(path, save_all=True, append_images=small[1:])
    found = in_work._evidences(read_picture(path), path, UpscaleOptions())
    assert [one.kind for one in found] == ["exact"] * 3
