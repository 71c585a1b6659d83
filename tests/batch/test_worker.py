"""The worker: which events it yields, what it writes when, and what stops it."""

from __future__ import annotations

import errno
import gc
import threading
import traceback
import weakref
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4 import pictures
from sr4.batch import in_work, worker
from sr4.batch.events import (
    Advanced,
    Cancelled,
    Done,
    Estimated,
    Event,
    Failed,
    GoesOn,
    ModelReady,
    NotKept,
    Planned,
    Skipped,
    Started,
)
from sr4.batch.in_work import InWork
from sr4.batch.options import UpscaleOptions
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan, PlannedPicture, plan_pictures
from sr4.batch.preview import Previews
from sr4.batch.provenance import made_before
from sr4.batch.worker import _Work, upscale_pictures
from sr4.errors import PictureError
from sr4.files import unfinished
from sr4.files.unfinished import UnfinishedFile
from sr4.pictures import Picture
from sr4.pictures.raster import Span
from sr4.upscaling import drawing, sizing
from sr4.upscaling.pipeline import Pipeline
from tests.batch.conftest import smooth

Upscale = Callable[..., list[Event]]
Folder = Callable[..., Path]


def named(events: list[Event], kind: type[Any]) -> list[str]:
    """The pictures of all events of a kind, by their names without a suffix."""
    found: list[str] = []
    for event in events:
        if isinstance(event, kind):
            pictures = getattr(event, "pictures", None) or [event.picture]
            found += [one.source.stem for one in pictures]
    return found


def test_events_come_in_the_order_of_the_work(
    upscale: Upscale, folder: Folder, tiny_model: Path, tmp_path: Path
) -> None:
    place = folder(a=(8, 8), b=(8, 8))
    (place / "bad.png").write_bytes(b"no picture")
    events = upscale(place)
    planned, ready, started, *steps, first, second, failed = events
    assert isinstance(planned, Planned)
    assert named(events, Planned) == ["a", "b", "bad"]
    assert isinstance(ready, ModelReady)
    assert (ready.model, ready.backend) == (str(tiny_model), "torch")
    assert started == Started(planned.pictures[:2])
    shares = [(one.share, one.share_of_all) for one in steps if isinstance(one, Advanced)]
    drawn = [(0.25, 0.25), (0.5, 0.5), (0.75, 0.75), (1, 1)]  # one after the other, in two steps
    assert shares == [*drawn, (1, 1)]
    assert len(shares) == len(steps)
    assert isinstance(first, Done)
    assert first.record.size == (32, 32)
    assert (first.record.together, first.files) == (2, {})
    assert first.record.seconds == second.record.seconds  # type: ignore[union-attr]
    assert isinstance(failed, Failed)
    assert failed.name == str(place / "bad.png")
    assert "not a picture" in failed.error
    again = upscale(place)
    assert [type(one) for one in again] == [Skipped, Planned, ModelReady, Failed]
    assert named(again, Skipped) == ["a", "b"]
    assert again[0].models == (str(tiny_model),)  # type: ignore[union-attr]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]


def test_nothing_is_printed(
    upscale: Upscale, folder: Folder, capfd: pytest.CaptureFixture[str]
) -> None:
    place = folder(a=(8, 8), b=(33, 8))
    (place / "bad.png").write_bytes(b"no picture")
    assert named(upscale(place, tile=32), Done) == ["a", "b"]
    assert capfd.readouterr() == ("", "")


def test_what_was_given_up_of_an_animation_is_told_of_its_worst_frame(
    upscale: Upscale, tmp_path: Path
) -> None:
    checkers = np.zeros((64, 112, 3), np.uint8)
    checkers[40:56:2, 40:56:2] = checkers[41:56:2, 41:56:2] = 255
    frames = [Image.new("RGB", (112, 64)), Image.fromarray(checkers)]
    place = tmp_path / "in" / "a.png"
    place.parent.mkdir()
    frames[0].save(place, save_all=True, append_images=frames[1:])
    (done,) = (one for one in upscale(place.parent, evidence="exact") if isinstance(one, Done))
    record = done.record
    (note,) = (note for note in record.notes if "could not be met" in note)
    assert record.frames == 2
    assert record.given_up > 0.001
    assert note.startswith(f"{record.given_up:.1%} of its pixels")
    assert "around (47, 47)" in note


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """How many results there are whenever pictures are drawn."""
    found, draw = [], Pipeline.upscale

    def watched(self: Pipeline, images: Any, **options: Any) -> Any:
        found.append(len(list((tmp_path / "out").glob("*"))))
        return draw(self, images, **options)

    monkeypatch.setattr(Pipeline, "upscale", watched)
    return found


def test_a_large_result_is_written_before_the_next_but_one_is_drawn(
    upscale: Upscale,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    written: list[int],
) -> None:
    monkeypatch.setattr(worker, "LARGE", 100 * 100)
    place = folder(**{f"p{number}": (32, 32) for number in range(6)})
    events = upscale(place, tile=32)
    assert len(named(events, Done)) == 6
    assert all(there >= drawn - 1 for drawn, there in enumerate(written))
    order = [type(one) for one in events if isinstance(one, (Started, Done))]
    assert order.index(Done) < 4  # told long before all are drawn
    assert len(named(events, Estimated)) == 6


def test_the_results_of_a_chunk_are_bounded_by_bytes(
    tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their number, depth and frames; by default up to 16 small samples, and a large one
    alone.
    """
    sides = [8] * 20 + [200, 201, 8, 8]
    place = folder(**{f"p{number:02}": (side, side) for number, side in enumerate(sides)})
    pictures = plan_pictures([str(place)], tmp_path / "out").pictures
    pipelines = Pipelines("onnx")

    def chunks(pictures: list[PlannedPicture], samples: int = 1) -> list[list[InWork]]:
        options = UpscaleOptions(model="photo-x4", samples=samples, evidence="none")
        opened = {"photo-x4": pipelines.get("photo-x4")}
        return list(
            _Work(options, opened, False, lambda: False, Previews(lambda _: False))._chunks(
                pictures
            )
        )

    assert [len(chunk) for chunk in chunks(pictures)] == [16, 4, 1, 1, 2]
    assert [len(chunk) for chunk in chunks(pictures[18:], 8)] == [2, 1, 1, 2]
    frames = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in range(10)]
    frames[0].save(place / "q.gif", save_all=True, append_images=frames[1:])
    np.save(place / "r.npy", np.zeros((8, 8, 3)))
    still, moving, deep = (
        chunks(plan_pictures([str(place / name)], None).pictures)[0][0]
        for name in ("p00.png", "q.gif", "r.npy")
    )
    assert still.result_bytes == 32 * 32 * 3 * (1 + 4)  # as they are written, and drawn
    assert moving.result_bytes == 10 * still.result_bytes
    assert deep.result_bytes == 32 * 32 * 3 * (8 + 4)
    monkeypatch.setattr(worker, "_CHUNK_BYTES", 3 * still.result_bytes)
    assert [len(chunk) for chunk in chunks(pictures[:8])] == [3, 3, 2]


def test_written_results_leave_the_memory(
    upscale: Upscale, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[weakref.ref[Any]] = []
    draw = Pipeline.upscale

    def watched(self: Pipeline, images: Any, **options: Any) -> Any:
        results = draw(self, images, **options)
        kept.extend(weakref.ref(one.raster.pixels) for one in results)
        return results

    monkeypatch.setattr(Pipeline, "upscale", watched)
    events = upscale(folder(a=(8, 8), b=(8, 8)))
    gc.collect()
    assert len(named(events, Done)) == 2
    assert [one() is None for one in kept] == [True, True]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (pictures, "read_picture"),
        (drawing, "whole_result"),
        (pictures, "write_picture"),
    ],
)
def test_what_failed_leaves_the_memory_at_once(
    upscale: Upscale, folder: Folder, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Without a collection: errors are kept, and their frames hold what was drawn."""
    kept: list[weakref.ref[Any]] = []
    do = getattr(owner, name)

    def failing(*given: Any, **options: Any) -> None:
        result = do(*given, **options)
        rasters: Any = getattr(result, "rasters", None) or getattr(result, "frames", ())
        arrays = [np.zeros(9), *(one.pixels for one in rasters)]
        kept.extend(weakref.ref(one) for one in arrays)
        raise RuntimeError("odd")

    monkeypatch.setattr(owner, name, failing)
    place = folder(a=(8, 8), b=(8, 8))
    gc.disable()
    try:
        events = upscale(place)
        failed = [event for event in events if isinstance(event, Failed)]
        causes = [event.cause for event in failed]
        assert len(causes) == 2
        assert kept
        assert [one() for one in kept if one() is not None] == []
        shown = "".join(traceback.format_exception(causes[0]))
        assert 'raise RuntimeError("odd")' in shown
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [OverflowError("too wide"), RuntimeError("odd"), MemoryError()])
@pytest.mark.parametrize("place", ["reader", "network", "encoder"])
def test_whatever_is_raised_costs_one_picture(
    upscale: Upscale,
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: Exception,
    place: str,
) -> None:
    from sr4 import pictures

    owner, name = {
        "reader": (pictures, "read_picture"),
        "network": (Pipeline, "upscale"),
        "encoder": (pictures, "write_picture"),
    }[place]
    whole = getattr(owner, name)

    def fragile(*given: Any, **options: Any) -> Any:
        images = given[1] if place == "network" else []
        if any(isinstance(one, Path) and one.stem == "odd" for one in given) or any(
            image.size[0] == 9 for image in images
        ):
            raise error
        return whole(*given, **options)

    monkeypatch.setattr(owner, name, fragile)
    events = upscale(folder(a=(8, 8), odd=(9, 8), z=(8, 8)))
    assert named(events, Done) == ["a", "z"]
    (failed,) = (one for one in events if isinstance(one, Failed))
    assert failed.name.endswith("odd.png")
    assert failed.cause is error
    assert "\n" not in failed.error
    assert (str(error) or "more memory than there is") in failed.error
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "z.png"]
    last = [one for one in events if isinstance(one, Advanced)][-1]
    assert last.share_of_all == 1


def test_a_call_is_cancelled_between_the_bands_of_a_picture(
    folder: Folder, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was drawn is written and told, and no thread stays."""
    monkeypatch.setattr(worker, "LARGE", 100 * 100)
    place = folder(a=(32, 32), b=(32, 96), c=(32, 32))
    plan = plan_pictures([str(place)], tmp_path / "out")
    options = UpscaleOptions(model=str(tiny_model), tile=32)
    asked, threads = [], threading.active_count()
    draw = Pipeline.upscale

    def watched(self: Pipeline, images: Any, **options: Any) -> Any:
        asked.append(0)
        return draw(self, images, **options)

    def is_cancelled() -> bool:
        """From the 31st time on that it is asked while the second picture is drawn."""
        if threading.current_thread().name.startswith(("sr4-draw", "sr4-network")) and asked:
            asked[-1] += 1
        return len(asked) == 2 and asked[-1] > 30

    monkeypatch.setattr(Pipeline, "upscale", watched)
    events = list(upscale_pictures(plan, options, Pipelines("torch"), is_cancelled=is_cancelled))
    assert named(events, Done) == ["a"]
    assert isinstance(events[-1], Cancelled)
    assert named(events, Cancelled) == ["b", "c"]
    assert named(events, Advanced)[-2:] == ["b", "b"]
    assert asked[1] <= 32  # the network's thread and that which makes use of it, once each
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    assert threading.active_count() == threads


class CountedNetwork:
    """A network whose evaluations are noted."""

    def __init__(self, network: Any, evaluated: list[int]) -> None:
        self._network, self._evaluated = network, evaluated
        self.name, self.told = network.name, network.told
        self.is_for_one = network.is_for_one
        self.native, self.numpy = network.native, network.numpy

    def __call__(self, *given: Any) -> Any:
        self._evaluated.append(1)
        return self._network(*given)


@pytest.mark.parametrize("stages", [1, 2])
def test_a_call_is_cancelled_between_the_tiles_of_a_band(
    folder: Folder, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stages: int
) -> None:
    """A band of a very large result may take minutes."""
    name = "+".join([str(tiny_model)] * stages)
    plan = plan_pictures([str(folder(a=(64, 64)))], tmp_path / "out")
    monkeypatch.setattr("sr4.upscaling.tiling.PIXELS_TOGETHER", 1)  # a tile by itself
    pipelines, evaluated = Pipelines("torch"), list[int]()
    opened = pipelines.get(name)
    stage: Any = getattr(opened, "stages", [opened])[0]  # the same one twice
    monkeypatch.setattr(stage.model, "network", CountedNetwork(stage.model.network, evaluated))
    events = list(
        upscale_pictures(
            plan,
            UpscaleOptions(model=name, tile=32),
            pipelines,
            is_cancelled=lambda: len(evaluated) == 3,
        )
    )
    assert named(events, Cancelled) == ["a"]
    assert len(evaluated) == 3
    assert named(events, Advanced) == []  # not even a band was done


def test_a_call_that_nobody_listens_to_any_more_ends(
    folder: Folder, tiny_model: Path, tmp_path: Path
) -> None:
    place = folder(**{f"p{number:02}": (8, 8) for number in range(40)})
    plan = plan_pictures([str(place)], tmp_path / "out")
    threads = threading.active_count()
    events = upscale_pictures(plan, UpscaleOptions(model=str(tiny_model)), Pipelines("torch"))
    assert any(isinstance(event, Advanced) for event in events)  # it goes no further than the first
    events.close()  # type: ignore[attr-defined]
    assert threading.active_count() == threads
    assert not (tmp_path / "out").exists()


def test_a_model_is_loaded_once_for_all_calls(
    upscale: Upscale, folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sr4.upscaling import load

    loaded, whole = list[int](), load.load

    def counted(*given: Any, **more: Any) -> Any:
        loaded.append(1)
        return whole(*given, **more)

    monkeypatch.setattr(load, "load", counted)
    pipelines, place = Pipelines("torch"), folder(a=(8, 8), b=(9, 9))
    plans = [plan_pictures([str(place / f"{name}.png")], tmp_path / name) for name in "ab"]
    found: dict[str, list[Event]] = {}

    def call(number: int) -> None:
        found["ab"[number]] = upscale(plans[number], pipelines=pipelines)

    threads = [threading.Thread(target=call, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [1]
    assert {name: named(events, Done) for name, events in found.items()} == {"a": ["a"], "b": ["b"]}


def test_what_is_drawn_is_what_python_draws(
    upscale: Upscale, folder: Folder, tiny_model: Path, tmp_path: Path
) -> None:
    upscale(folder(a=(9, 7)), seed=3, steps=1)
    expected = sr4.load(tiny_model, backend="torch").upscale(smooth(9, 7), seed=3, steps=1)
    np.testing.assert_array_equal(Image.open(tmp_path / "out/a.png"), expected.array)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A folder with a picture whose result is made of tiles."""
    smooth(120, 140).save(tmp_path / "in.png")
    place = tmp_path / "in"
    place.mkdir()
    (tmp_path / "in.png").rename(place / "a.png")
    return place


@pytest.fixture
def _kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_WORTH", -1.0)
    monkeypatch.setattr(unfinished, "_SHARE", 1e9)


def stopped(
    upscale: Upscale, folder: Path, bands: int, *, tile: int | None = 64, **options: Any
) -> list[Event]:
    """The events of a call that is cancelled after some bands."""
    drawn = count(1)
    with pytest.MonkeyPatch.context() as patch:
        is_over = threading.Event()
        finish = UnfinishedFile.finish

        def counted(self: UnfinishedFile, number: int) -> None:
            finish(self, number)
            if next(drawn) == bands:
                is_over.set()

        patch.setattr(UnfinishedFile, "finish", counted)
        return upscale(folder, is_cancelled=is_over.is_set, tile=tile, **options)


@pytest.mark.usefixtures("_kept_at_once")
def test_a_large_picture_goes_on_where_it_was(
    upscale: Upscale, large: Path, tmp_path: Path
) -> None:
    events = stopped(upscale, large, 7)
    assert isinstance(events[-1], Cancelled)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".a.png.sr4-unfinished"]
    again = upscale(large, tile=64)
    (found,) = (one for one in again if isinstance(one, GoesOn))
    told = [one.share for one in events if isinstance(one, Advanced)]
    assert len(told) == 6
    assert found.share == pytest.approx(told[-1] * 7 / 6)  # the last one was drawn, and not told
    assert next(one.share for one in again if isinstance(one, Advanced)) == found.share
    resumed = (tmp_path / "out/a.png").read_bytes()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    (tmp_path / "out/a.png").unlink()
    assert not [one for one in upscale(large, tile=64) if isinstance(one, GoesOn)]
    assert (tmp_path / "out/a.png").read_bytes() == resumed


@pytest.mark.usefixtures("_kept_at_once")
@pytest.mark.parametrize("wanted", [{"scale": 3}, {"width": 500}, {"scale": 2.6, "samples": 2}])
def test_shares_of_another_size_are_those_of_what_is_drawn(
    upscale: Upscale, large: Path, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "_BAND_PIXELS", 2**14)
    before = [
        one.share for one in stopped(upscale, large, 4, **wanted) if isinstance(one, Advanced)
    ]
    events = upscale(large, tile=64, **wanted)
    (found,) = (one for one in events if isinstance(one, GoesOn))
    told = [one.share for one in events if isinstance(one, Advanced)]
    assert told[-2] == pytest.approx(1)  # after the last band
    assert told[-3] < 0.999
    assert found.share == pytest.approx(before[-1] * 4 / 3, rel=0.1)  # the last one was not told


@pytest.mark.usefixtures("_kept_at_once")
@pytest.mark.parametrize("other", [{"seed": 1}, {"samples": 2}, {"tile": 96}])
def test_other_options_begin_again(
    upscale: Upscale, large: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    stopped(upscale, large, 3)
    events = upscale(large, **({"tile": 64} | other))
    assert not [one for one in events if isinstance(one, GoesOn)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


@pytest.mark.usefixtures("_kept_at_once")
def test_another_arithmetic_begins_again(upscale: Upscale, large: Path, tmp_path: Path) -> None:
    """Told by the last band that was kept, which is drawn again."""
    stopped(upscale, large, 3)
    with pytest.MonkeyPatch.context() as patch:
        pixels = Span.pixels
        patch.setattr(Span, "pixels", lambda self, unit: pixels(self, 0.99 * unit))
        other = upscale(large, tile=64)
        assert not [one for one in other if isinstance(one, GoesOn)]
        resumed = (tmp_path / "out/a.png").read_bytes()
        (tmp_path / "out/a.png").unlink()
        upscale(large, tile=64)
    assert (tmp_path / "out/a.png").read_bytes() == resumed


@pytest.mark.usefixtures("_kept_at_once")
def test_tiles_are_those_of_the_stopped_call(
    upscale: Upscale, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever would be chosen now."""
    output = tmp_path / "out/a.png"
    upscale(large)
    expected = output.read_bytes()
    output.unlink()
    stopped(upscale, large, 3, tile=None)
    monkeypatch.setattr(drawing, "_NARROW_TILE", 32)
    monkeypatch.setattr(drawing, "_MOST_BANDS_BYTES", 1)
    assert [one for one in upscale(large) if isinstance(one, GoesOn)]
    assert output.read_bytes() == expected
    output.unlink()
    upscale(large)
    assert output.read_bytes() != expected


def test_what_is_in_the_way_is_told_and_stays(
    upscale: Upscale, large: Path, tmp_path: Path
) -> None:
    place = tmp_path / "out/.a.png.sr4-unfinished"
    place.mkdir(parents=True)
    (told,) = (one for one in upscale(large, tile=64) if isinstance(one, NotKept))
    assert "sr4 did not make it" in told.why
    assert place.is_dir()
    assert (tmp_path / "out/a.png").is_file()


@pytest.mark.usefixtures("_kept_at_once")
def test_what_is_left_of_a_finished_picture_goes(
    upscale: Upscale, large: Path, tmp_path: Path
) -> None:
    """A call may be killed between the result and the end of what was kept."""
    stopped(upscale, large, 2)
    kept = tmp_path / "out/.a.png.sr4-unfinished"
    left = kept.read_bytes()
    upscale(large, tile=64)
    kept.write_bytes(left)
    assert isinstance(upscale(large, tile=64)[0], Skipped)
    assert not kept.exists()


@pytest.mark.usefixtures("_kept_at_once")
def test_a_result_takes_the_room_of_what_was_kept(
    upscale: Upscale, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, calls = tmp_path / "out/.a.png.sr4-unfinished", []
    write_picture = pictures.write_picture

    def tight(*args: Any, **options: Any) -> None:
        calls.append(kept.exists())
        if kept.exists():
            full = OSError(errno.ENOSPC, "No space left on device")
            raise PictureError("the disk is full") from full
        write_picture(*args, **options)

    monkeypatch.setattr(pictures, "write_picture", tight)
    assert isinstance(upscale(large, tile=64)[-1], Done)
    assert calls == [True, False]


@pytest.mark.usefixtures("_kept_at_once")
def test_what_cannot_be_written_need_not_be_drawn_again(
    upscale: Upscale, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any, **options: Any) -> None:
        raise PictureError("the folder is read-only") from PermissionError(errno.EACCES, "no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "write_picture", refused)
        assert isinstance(upscale(large, tile=64)[-1], Failed)
    (found,) = (one for one in upscale(large, tile=64) if isinstance(one, GoesOn))
    assert found.share == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_the_result_of_a_faster_call_is_no_failure(
    folder: Folder, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two calls for the same folder: what the other has made is not drawn again, and what it
    makes while this one draws is no other file.
    """
    place = folder(a=(8, 8), b=(33, 33), c=(33, 33), d=(33, 33))
    out, options = tmp_path / "out", UpscaleOptions(model=str(tiny_model))
    plan = plan_pictures([str(place)], out)
    before = plan_pictures([str(place)], tmp_path / "before")
    assert named(list(upscale_pictures(before, options, Pipelines("torch"))), Done) == [*"abcd"]
    out.mkdir()
    for name in "ab":
        (tmp_path / f"before/{name}.png").rename(out / f"{name}.png")
    (out / "d.png").write_bytes(b"of someone else")
    write = in_work.write

    def slower(one: InWork, **how: Any) -> Any:
        (tmp_path / "before/c.png").rename(out / "c.png")
        return write(one, **how)

    monkeypatch.setattr(worker, "write", slower)
    events = list(upscale_pictures(plan, options, Pipelines("torch")))
    assert named(events, Started) == ["c"]
    assert named(events, Skipped) == [*"abc"]
    assert named(events, Failed) == ["d"]
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png", "c.png", "d.png"]
    (last,) = (one for one in events if isinstance(one, Failed))
    assert "exists already" in last.error


def _planned(place: Path, out: Path, **options: Any) -> Plan:
    return plan_pictures([str(place)], out, samples=2, uncertainty=True, **options)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _meanwhile(monkeypatch: pytest.MonkeyPatch, name: str, happens: Callable[[], object]) -> None:
    """Something happens once, just before a file is written."""
    write, left = pictures.write_picture, [happens]

    def later(picture: Picture, path: Path, **how: Any) -> None:
        if path.name == name and left:
            left.pop()()
        write(picture, path, **how)

    monkeypatch.setattr(pictures, "write_picture", later)


@pytest.mark.parametrize("map_suffix", [".png", ".npy"])
@pytest.mark.parametrize("name", ["a_1.png", "a_2.png", "a_uncertainty{}", "a.png"])
def test_calls_that_write_the_files_of_a_picture_at_the_same_time(
    folder: Folder,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    map_suffix: str,
    name: str,
) -> None:
    """One writes them all while another is about to write one of them."""
    out, options = tmp_path / "out", UpscaleOptions(model=str(tiny_model), samples=2)
    plan = _planned(folder(a=(8, 8)), out, map_suffix=map_suffix)
    other: list[Event] = []

    def call() -> None:
        other.extend(upscale_pictures(plan, options, Pipelines("torch")))

    _meanwhile(monkeypatch, name.format(map_suffix), call)
    events = list(upscale_pictures(plan, options, Pipelines("torch")))
    assert isinstance(other[-1], Done)
    assert isinstance(events[-1], Skipped if name == "a_1.png" else Done)
    assert sorted(_contents(out)) == sorted(path.name for path in plan.pictures[0].outputs)


@pytest.mark.parametrize("when", ["before it is read", "while it is written"])
def test_files_of_a_call_that_was_killed_are_completed(
    folder: Folder, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Though nothing was there when the picture was planned."""
    place, options = folder(a=(8, 8)), UpscaleOptions(model=str(tiny_model), samples=2)
    before = _planned(place, tmp_path / "before")
    list(upscale_pictures(before, options, Pipelines("torch")))
    out = tmp_path / "out"
    out.mkdir()
    plan = _planned(place, out)

    def leave() -> None:
        (out / "a_1.png").write_bytes((tmp_path / "before/a_1.png").read_bytes())

    if when == "before it is read":
        leave()
    else:
        _meanwhile(monkeypatch, "a_1.png", leave)
    events = list(upscale_pictures(plan, options, Pipelines("torch")))
    assert named(events, Failed) == []
    assert isinstance(events[-1], Done)
    assert _contents(out) == _contents(tmp_path / "before")


def test_a_failure_leaves_what_other_calls_have_made(
    folder: Folder, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, options = folder(a=(8, 8)), UpscaleOptions(model=str(tiny_model), samples=2)
    list(upscale_pictures(_planned(place, tmp_path / "before"), options, Pipelines("torch")))
    out = tmp_path / "out"

    def stand_in_the_way() -> None:
        (out / "a_2.png").write_bytes((tmp_path / "before/a_2.png").read_bytes())
        (out / "a.png").write_bytes(b"of someone else")

    _meanwhile(monkeypatch, "a_2.png", stand_in_the_way)
    events = list(upscale_pictures(_planned(place, out), options, Pipelines("torch")))
    (failure,) = (one for one in events if isinstance(one, Failed))
    assert "a.png' exists already" in failure.error
    assert sorted(_contents(out)) == ["a.png", "a_2.png"]


def test_a_map_that_says_nothing_is_written_where_a_killed_call_has_left_the_result_alone(
    folder: Folder, tiny_model: Path, tmp_path: Path
) -> None:
    place, options = folder(a=(8, 8)), UpscaleOptions(model=str(tiny_model), samples=2)
    made = partial(made_before, options=options)
    for expected in (Done, Done, Skipped):
        plan = _planned(place, tmp_path / "out", map_suffix=".npy", made=made)
        assert isinstance([*upscale_pictures(plan, options, Pipelines("torch"))][-1], expected)
        if expected is Done and not (tmp_path / "again").exists():
            (tmp_path / "out/a_uncertainty.npy").rename(tmp_path / "again")
    assert (tmp_path / "out/a_uncertainty.npy").read_bytes() == (tmp_path / "again").read_bytes()
