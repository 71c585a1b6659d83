"""Replicas that draw for the service, by a stand-in for their handle; what their deaths cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
ray = pytest.importorskip("ray")
pytest.importorskip("ray.serve")  # which also leaves its warnings of others out

from sr4._version import __version__  # noqa: E402
from sr4.batch.events import Advanced, Done, Event, Failed, Started  # noqa: E402
from sr4.batch.options import UpscaleOptions  # noqa: E402
from sr4.batch.pipelines import Pipelines  # noqa: E402
from sr4.batch.plan import PlannedPicture, plan_in_memory  # noqa: E402
from sr4.cluster import drawers  # noqa: E402
from sr4.cluster.drawers import ClusterPainter, Drawer, Post, Sent  # noqa: E402
from sr4.cluster.worker import checksums_of  # noqa: E402
from sr4.errors import ClusterError, PictureError, UsageError  # noqa: E402
from sr4.serve.painter import LocalPainter  # noqa: E402
from sr4.serve.problems import Problem  # noqa: E402
from tests.features.service_process import encoded  # noqa: E402


@pytest.fixture
def post(tiny_exported: Path, monkeypatch: pytest.MonkeyPatch) -> Post:
    monkeypatch.setattr(drawers, "processors_of_a_cpu", lambda: 1.0)
    name = str(tiny_exported)
    return Post((name,), "openvino", "cpu", 2, __version__, checksums_of([name]))


@pytest.fixture
def pictures() -> list[PlannedPicture]:
    return [plan_in_memory(encoded(8, 8, seed=seed)).pictures[0] for seed in range(3)]


@pytest.fixture
def asked(tiny_exported: Path) -> UpscaleOptions:
    return UpscaleOptions(model=str(tiny_exported), seed=5)


class Handle:
    """What a front sees of replicas.

    Args:
        drawer: that draws; dies: whether it does when asked for so many pictures, and is asked for
            the given time.
    """

    def __init__(
        self, drawer: Drawer, dies: Callable[[int, int], bool | Exception] = lambda *_: False
    ) -> None:
        self._drawer, self._dies = drawer, dies
        self.calls: list[int] = []
        self.draw = self

    def options(self, *, stream: bool) -> Handle:
        assert stream
        return self

    def remote(self, pictures: Sequence[PlannedPicture], options: UpscaleOptions) -> Answer:
        self.calls.append(len(pictures))
        return Answer(self._drawer, pictures, options, self._dies(len(pictures), len(self.calls)))


class Answer:
    """Messages of one call, over an event loop as on Ray."""

    def __init__(
        self, drawer: Drawer, pictures: Sequence[PlannedPicture], options: Any, dies: Any
    ) -> None:
        self._messages = drawer.draw([replace(one) for one in pictures], options)
        self._dies = dies
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def __iter__(self) -> Iterator[tuple[Sent, ...]]:
        if isinstance(self._dies, Exception):
            raise self._dies
        if self._dies:
            raise ray.exceptions.ActorDiedError
        loop = asyncio.new_event_loop()
        try:
            while (message := loop.run_until_complete(anext(self._messages, None))) is not None:
                if self.is_cancelled:
                    raise asyncio.CancelledError
                yield message
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


def paint(
    handle: Handle, pictures: Sequence[PlannedPicture], options: UpscaleOptions, **words: Any
) -> list[Event]:
    words = {"is_cancelled": lambda: False, "wants_preview": lambda _: False, **words}
    return list(ClusterPainter(handle).paint(pictures, options, **words))


def files(events: Sequence[Event]) -> list[bytes]:
    return [data for one in events if isinstance(one, Done) for data in one.files.values()]


def test_it_tells_what_one_process_would(
    post: Post, pictures: list[PlannedPicture], asked: UpscaleOptions
) -> None:
    found = paint(Handle(Drawer(post)), pictures, asked)
    plain = LocalPainter("openvino").paint(
        pictures, asked, is_cancelled=lambda: False, wants_preview=lambda _: False
    )
    assert files(found) == files(list(plain))
    ends = [one.picture for one in found if isinstance(one, Done)]
    assert [id(one) for one in ends] == [id(one) for one in pictures]
    (started,) = (one for one in found if isinstance(one, Started))
    assert [id(one) for one in started.pictures] == [id(one) for one in pictures]


def test_pictures_travel_without_their_bytes_on_the_way_back(
    post: Post, pictures: list[PlannedPicture], asked: UpscaleOptions
) -> None:
    messages = list(Answer(Drawer(post), pictures, asked, False))
    sent = [one for message in messages for one in message]
    assert {type(one.event) for one in sent} == {Started, Advanced, Done}
    for one in sent:
        if isinstance(one.event, Done | Failed):
            assert one.event.picture is not None
            assert one.event.picture.data is None
        else:
            assert all(picture.data is None for picture in one.event.pictures)


def test_the_pictures_of_a_dead_replica_are_drawn_again_one_by_one(
    post: Post, pictures: list[PlannedPicture], asked: UpscaleOptions
) -> None:
    handle = Handle(Drawer(post), lambda count, _: count > 1)
    found = paint(handle, pictures, asked)
    assert handle.calls == [3, 1, 1, 1]
    assert files(found) == files(paint(Handle(Drawer(post)), pictures, asked))


def test_a_picture_that_kills_is_given_up(
    post: Post, pictures: list[PlannedPicture], asked: UpscaleOptions
) -> None:
    handle = Handle(Drawer(post), lambda count, call: count > 1 or call in (2, 5, 6))
    found = paint(handle, pictures, asked)
    assert handle.calls == [3, 1, 1, 1, 1, 1]
    (failed,) = (one for one in found if isinstance(one, Failed))
    assert failed.picture is pictures[0]
    assert "was killed 3 times, with this picture alone" in failed.error
    assert len(files(found)) == 2


def test_nobody_who_draws_is_a_problem(
    post: Post, pictures: list[PlannedPicture], asked: UpscaleOptions
) -> None:
    from ray.serve.exceptions import DeploymentUnavailableError

    gone = DeploymentUnavailableError("Drawer")
    with pytest.raises(Problem, match="no replica can start to draw") as caught:
        paint(Handle(Drawer(post), lambda *_: gone), pictures, asked)
    assert caught.value.status == 503


def test_who_leaves_cancels(post: Post, asked: UpscaleOptions) -> None:
    painting = ClusterPainter(Handle(Drawer(post))).paint(
        plan_in_memory(encoded(64, 64)).pictures,
        replace(asked, steps=100, samples=16),
        is_cancelled=lambda: is_over,
        wants_preview=lambda _: False,
    )
    is_over = False
    assert isinstance(next(painting), Started)
    is_over = True
    assert not any(isinstance(one, Done | Failed) for one in painting)


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"sampler": "x"}, UsageError), ({"width": 2}, PictureError), ({"tile": 3}, UsageError)],
)
def test_causes_keep_the_kind_that_decides_the_status(
    post: Post,
    pictures: list[PlannedPicture],
    asked: UpscaleOptions,
    change: dict[str, Any],
    kind: type,
) -> None:
    (failed,) = paint(Handle(Drawer(post)), pictures[:1], replace(asked, **change))[-1:]
    assert isinstance(failed, Failed)
    assert type(failed.cause) is kind
    assert str(failed.cause) == failed.error
    assert "\n" not in failed.error


def test_what_nobody_foresaw_fails_the_pictures_and_is_logged(
    post: Post,
    pictures: list[PlannedPicture],
    asked: UpscaleOptions,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Pipelines, "get", broken)
    drawer = object.__new__(Drawer)
    drawer._pipelines = Pipelines()
    found = paint(Handle(drawer), pictures, asked)
    assert [type(one) for one in found] == [Failed] * 3
    assert all(one.cause is None and "broken" not in one.error for one in found)  # type: ignore[union-attr]
    assert "broken" in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "9.9"}, "expected 9.9, as where the call was made"),
        ({"checksums": {"sr4-fast": [{"model.onnx": "0"}]}}, "'sr4-fast' has other checksums on"),
    ],
)
def test_a_replica_with_other_things_does_not_start(
    post: Post, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ClusterError, match=said):
        Drawer(replace(post, **change))
