"""Previews of pictures that are drawn: when they are made, of what, and how large they are."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.batch import preview
from sr4.batch.events import Advanced, Done, Event
from sr4.batch.options import UpscaleOptions
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import plan_in_memory
from sr4.batch.preview import MOST_BYTES, SIDE, encoded
from sr4.batch.worker import upscale_pictures
from sr4.pictures import Picture
from sr4.pictures.metadata import Metadata
from sr4.pictures.raster import checked, from_pil
from sr4.upscaling.canvas import _Canvas
from tests.batch.conftest import smooth
from tests.conftest import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(preview, "monotonic", found)
    return found


def upscale(
    model: Path, given: Image.Image, *, is_wanted: bool = True, **options: Any
) -> Iterator[Event]:
    file = io.BytesIO()
    given.save(file, "PNG")
    return upscale_pictures(
        plan_in_memory(file.getvalue()),
        UpscaleOptions(model=str(model), **options),
        Pipelines("torch"),
        wants_preview=lambda _: is_wanted,
    )


def opened(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)


def result_of(events: list[Event]) -> Image.Image:
    (done,) = (one for one in events if isinstance(one, Done))
    (data,) = done.files.values()
    return Image.open(io.BytesIO(data))


def test_it_shows_the_finished_rows(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "SIDE", 80)
    monkeypatch.setattr(preview, "PAUSE", 0)
    units: list[Any] = []

    def watched(unit: Any, given: Picture) -> bytes:
        units.append(unit)
        return encoded(unit, given)

    monkeypatch.setattr(preview, "encoded", watched)
    events = list(upscale(tiny_model, smooth(32, 40), tile=32))
    shown = [one.preview for one in events if isinstance(one, Advanced) and one.preview]
    result = from_pil(result_of(events)).unit
    small = result.reshape(3, 80, 2, 64, 2).mean(axis=(2, 4))
    assert len(shown) > 2
    for data, unit in zip(shown, units, strict=True):
        look = opened(data)
        there = look[:, :, 3] == 255
        rows = int(there[:, 0].sum())
        assert look.shape == (80, 64, 4)
        assert np.array_equal(there, np.broadcast_to(np.arange(80)[:, None] < rows, (80, 64)))
        assert 0 < rows < 80
        assert set(np.unique(look[:, :, 3])) == {0, 255}
        assert np.allclose(unit[:, :rows], small[:, :rows], atol=1e-6)


def test_at_most_one_a_second(tiny_model: Path, clock: Clock) -> None:
    events = list(upscale(tiny_model, smooth(), steps=8))
    steps = [one for one in events if isinstance(one, Advanced)]
    assert len(steps) > 8
    assert [one.preview is not None for one in steps].index(True) == 0
    assert sum(one.preview is not None for one in steps) == 1


def test_nothing_is_made_where_nobody_looks(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> bytes:
        raise AssertionError

    monkeypatch.setattr(preview, "encoded", never)
    events = list(upscale(tiny_model, smooth(), is_wanted=False, steps=3))
    assert {one.preview for one in events if isinstance(one, Advanced)} == {None}
    assert isinstance(events[-1], Done)


def test_results_are_the_same_and_leave_the_memory(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "PAUSE", 0)
    kept = []
    make = _Canvas.__init__

    def watched(self: _Canvas, *given: Any) -> None:
        make(self, *given)
        kept.append(weakref.ref(self))

    monkeypatch.setattr(_Canvas, "__init__", watched)
    watched_ones, others = (
        list(upscale(tiny_model, smooth(32, 32), is_wanted=is_wanted, tile=32))
        for is_wanted in (True, False)
    )
    gc.collect()
    assert len(kept) == 2
    assert [one() for one in kept] == [None, None]
    assert any(one.preview for one in watched_ones if isinstance(one, Advanced))
    ours, theirs = (
        next(one.files for one in events if isinstance(one, Done))
        for events in (watched_ones, others)
    )
    assert ours == theirs


def test_no_picture_makes_it_large() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (3, SIDE, SIDE)).astype(np.float32)
    raster = checked(np.zeros((4, 4, 3), np.uint8), "rgb")
    profile = Metadata(icc=bytes(8_000))
    data = encoded(noise, Picture((raster,), profile))
    assert len(data) <= MOST_BYTES
    assert max(Image.open(io.BytesIO(data)).size) <= SIDE
    huge = Metadata(icc=bytes(100_000))
    assert len(encoded(noise, Picture((raster,), huge))) <= MOST_BYTES


def test_what_is_transparent_stays_so_and_colours_keep_their_profile() -> None:
    alpha = np.full((4, 4), 255, np.uint8)
    alpha[:, :2] = 0
    raster = checked(np.zeros((4, 4, 3), np.uint8), "rgb", alpha)
    unit = np.zeros((3, 32, 32), np.float32)
    unit[:, 16:] = np.nan
    data = encoded(unit, Picture((raster,), Metadata(icc=b"profile")))
    seen = opened(data)[:, :, 3]
    assert (seen[:16, 24:] == 255).all()
    assert (seen[:16, :8] == 0).all()
    assert (seen[16:] == 0).all()
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == b"profile"


def test_grey_stays_grey() -> None:
    raster = checked(np.zeros((4, 4), np.uint8), "grey")
    unit = np.stack([np.full((8, 8), level, np.float32) for level in (-0.1, 0, 0.1)])
    look = opened(encoded(unit, Picture((raster,))))
    assert np.abs(look[:, :, :3] - 128).max() <= 2
