"""The bytes of one picture in, the bytes of its results out, without a file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.batch.events import Cancelled, Done, Event, Failed
from sr4.batch.plan import plan_in_memory, plan_pictures
from sr4.errors import UsageError
from sr4.pictures import read_picture, read_provenance
from tests.batch.conftest import smooth

Upscale = Callable[..., list[Event]]


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def done(events: list[Event]) -> Done:
    (found,) = (one for one in events if isinstance(one, Done))
    return found


def test_the_bytes_are_those_of_the_files(
    upscale: Upscale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JPEG keeps its evidence and its place in the provenance."""
    pytest.importorskip("jpegio")
    data = encoded(smooth(40, 24), "JPEG", quality=70)
    (tmp_path / "holiday.jpg").write_bytes(data)
    words = {"samples": 2, "seed": 5}
    files = {"samples": 2, "uncertainty": True}
    named = [str(tmp_path / "holiday.jpg")]
    upscale(plan_pictures(named, tmp_path / "out", **files), **words)  # type: ignore[arg-type]
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    found = done(upscale(plan_in_memory(data, name="holiday.jpg", **files), **words))  # type: ignore[arg-type]
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found.files == written
    assert len(written) == 4
    assert os.listdir() == []
    record = found.record
    assert (record.input, record.output, record.size) == ("holiday.jpg", "holiday.png", (160, 96))
    assert record.evidence == "jpeg (quality 70, 4:2:0)"
    said = read_provenance(tmp_path / "out/holiday.png")
    assert record.provenance == said
    assert said is not None
    assert (said["seed"], said["found"]["kind"]) == (5, "jpeg")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".npy"])
def test_every_format(upscale: Upscale, suffix: str) -> None:
    found = done(upscale(plan_in_memory(encoded(smooth(9, 7)), suffix=suffix.upper())))
    assert list(found.files) == [f"picture{suffix}"]
    assert read_picture(found.files[f"picture{suffix}"]).frames[0].size == (36, 28)


def test_the_format_goes_by_what_holds_the_pixels() -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((8, 8), np.float32))
    tiff = encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF")
    shallow = encoded(smooth(), "TIFF")
    names = [
        plan_in_memory(data, name=name).pictures[0].output.name
        for data, name in ((file.getvalue(), "a.x"), (tiff, "/b"), (shallow, ""), (b"", "c.tif"))
    ]
    assert names == ["a.npy", "b.tif", "picture.png", "c.png"]
    with pytest.raises(UsageError, match=r"'\.ppm'; expected one of \.png"):
        plan_in_memory(shallow, suffix=".ppm")


@pytest.mark.parametrize(
    ("data", "suffix", "part"),
    [
        (b"", None, "'x.png' is empty"),
        (b"no picture", None, "'x.png' is not a picture"),
        (encoded(Image.new("L", (4097, 1))), ".webp", "as .webp holds no more: choose one of .png"),
    ],
)
def test_a_bad_one_fails_in_one_line(
    upscale: Upscale, data: bytes, suffix: str | None, part: str
) -> None:
    events = upscale(plan_in_memory(data, name="x.png", suffix=suffix))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.name == "x.png"
    assert part in failed.error
    assert "\n" not in failed.error


def test_it_can_be_cancelled(upscale: Upscale) -> None:
    events = upscale(plan_in_memory(encoded(smooth())), is_cancelled=lambda: True)
    assert isinstance(events[-1], Cancelled)
    assert len(events[-1].pictures) == 1
