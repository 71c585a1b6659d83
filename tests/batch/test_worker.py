"""The worker: which events it yields, what it writes when, and what stops it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4.batch import worker
from sr4.batch.events import (
    Advanced,
    Cancelled,
    Done,
    Estimated,
    Event,
    Failed,
    ModelReady,
    Planned,
    Skipped,
    Started,
)
from sr4.batch.in_work import InWork
from sr4.batch.options import UpscaleOptions
from sr4.batch.plan import PlannedPicture, plan_pictures
from sr4.batch.preview import Previews
from sr4.batch.worker import Pipelines, _Work, upscale_pictures
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
    monkeypatch.setattr(worker, "_LARGE", 100 * 100)
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
    monkeypatch.setattr(worker, "_LARGE", 100 * 100)
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
        if threading.current_thread().name.startswith("sr4-draw") and asked:
            asked[-1] += 1
        return len(asked) == 2 and asked[-1] > 30

    monkeypatch.setattr(Pipeline, "upscale", watched)
    events = list(upscale_pictures(plan, options, Pipelines("torch"), is_cancelled=is_cancelled))
    assert named(events, Done) == ["a"]
    assert isinstance(events[-1], Cancelled)
    assert named(events, Cancelled) == ["b", "c"]
    assert named(events, Advanced)[-2:] == ["b", "b"]
    assert asked[1] == 31
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    assert threading.active_count() == threads


class CountedNetwork:
    """A network whose evaluations are noted."""

    def __init__(self, network: Any, evaluated: list[int]) -> None:
        self._network, self._evaluated = network, evaluated
        self.name, self.is_for_one = network.name, network.is_for_one
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
