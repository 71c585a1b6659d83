"""The queue: what goes together, what may wait, and how it ends."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from sr4.batch.events import Advanced, Done, Event, Failed, Started
from sr4.batch.options import UpscaleOptions
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan, PlannedPicture
from sr4.errors import PictureError
from sr4.serve import painter as module
from sr4.serve.core import Core
from sr4.serve.metrics import Metrics
from sr4.serve.painter import LocalPainter
from sr4.serve.problems import Problem
from sr4.serve.tickets import Ticket

MakeTicket = Callable[..., Ticket]
PATIENCE = 30.0


class Drawing:
    """Stands in for `upscale_pictures`: notes the groups, and draws when it is told to."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.may_go_on = threading.Event()
        self.has_begun = threading.Semaphore(0)
        self.has_shown = threading.Semaphore(0)
        self.may_end = threading.Event()

    def __call__(
        self,
        plan: Plan,
        options: UpscaleOptions,
        pipelines: Pipelines,
        *,
        is_cancelled: Callable[[], bool],
        wants_preview: Callable[[PlannedPicture], bool],
    ) -> Iterator[Event]:
        self.groups.append(len(plan.pictures))
        self.has_begun.release()
        yield Started(tuple(plan.pictures))
        while not self.may_go_on.wait(0.01):
            if is_cancelled():
                return
        for picture in plan.pictures:
            if wants_preview(picture):
                yield Advanced((picture,), 0.5, 0.5, None, b"a look")
                self.has_shown.release()
                assert self.may_end.wait(PATIENCE)
            record: Any = picture  # by which tests know it again
            yield Done(picture, record)


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Drawing:
    found = Drawing()
    monkeypatch.setattr(module, "upscale_pictures", found)
    return found


@contextmanager
def started(workers: int = 2, waiting: int = 100) -> Iterator[Core]:
    core = Core(LocalPainter("onnx"), workers=workers, waiting=waiting, metrics=Metrics())
    core.start()
    try:
        yield core
    finally:
        core.give_up()
        core.join()


def submit(core: Core, tickets: Sequence[Ticket]) -> Sequence[Ticket]:
    for one in tickets:
        core.submit(one)
    return tickets


def hold_both(core: Core, drawing: Drawing, ticket: MakeTicket) -> None:
    """Give both workers something to do until they may go on."""
    for seed in (1001, 1002):
        core.submit(ticket(seed=seed))
        assert drawing.has_begun.acquire(timeout=PATIENCE)


def test_what_is_alike_is_drawn_in_eights(drawing: Drawing, ticket: MakeTicket) -> None:
    """Where there are less, all together; what differs in anything goes alone."""
    with started() as core:
        hold_both(core, drawing, ticket)
        alike = [ticket() for _ in range(20)]
        others = [ticket(seed=1), ticket((8, 9)), ticket(frames=2), ticket(frames=2)]
        given = [one.planned for one in (*alike, *others)]
        submit(core, [*alike, *others])
        assert core.waiting == 24
        drawing.may_go_on.set()
        for one, picture in zip((*alike, *others), given, strict=True):
            record: Any = one.result.result(PATIENCE).record
            assert record is picture
            assert (one.state, one.share) == ("done", 1.0)
    assert sorted(drawing.groups) == [1, 1, 1, 1, 1, 1, 4, 16]
    assert core.is_idle


def test_a_settled_ticket_holds_no_input(ticket: MakeTicket) -> None:
    with started() as core:
        done, failed = submit(core, [ticket(), ticket(evidence="jpeg")])
        files = done.result.result(PATIENCE).files
        assert failed.result.exception(PATIENCE) is not None
    assert list(files) == [str(done.planned.output)]
    assert done.result.result().picture.data is None
    assert done.planned.data is failed.planned.data is None


@pytest.mark.parametrize("options", [{}, {"evidence": "jpeg"}], ids=["done", "failed"])
def test_a_ticket_that_nobody_keeps_is_let_go(ticket: MakeTicket, options: dict[str, str]) -> None:
    """Its files may be large; neither an idle worker nor a cycle keeps them."""
    with started() as core:
        one = ticket(**options)
        held, is_good = weakref.ref(one), not options
        gc.disable()
        try:
            core.submit(one)
            assert (one.result.exception(PATIENCE) is None) == is_good
            del one
            ends = time.monotonic() + PATIENCE
            while not core.is_idle or (held() is not None and time.monotonic() < ends):
                time.sleep(0.01)
            assert held() is None
        finally:
            gc.enable()


def test_samples_count(drawing: Drawing, ticket: MakeTicket) -> None:
    """Sixteen are drawn at a time, whosever they are."""
    with started() as core:
        hold_both(core, drawing, ticket)
        tickets = submit(core, [ticket(samples=8) for _ in range(4)])
        drawing.may_go_on.set()
        for one in tickets:
            one.result.result(PATIENCE)
    assert drawing.groups == [1, 1, 2, 2]


def test_one_worker_is_kept_for_small_ones(drawing: Drawing, ticket: MakeTicket) -> None:
    with started() as core:
        large = submit(core, [ticket(is_small=False) for _ in range(3)])
        assert drawing.has_begun.acquire(timeout=PATIENCE)
        small = ticket()
        core.submit(small)
        assert drawing.has_begun.acquire(timeout=PATIENCE)
        assert not drawing.has_begun.acquire(timeout=0.1)
        assert sorted(one.state for one in large) == ["running", "waiting", "waiting"]
        drawing.may_go_on.set()
        for one in (*large, small):
            one.result.result(PATIENCE)
    assert drawing.groups == [1, 1, 1, 1]


def test_whoever_has_waited_longest_is_next(drawing: Drawing, ticket: MakeTicket) -> None:
    order: list[str] = []
    with started() as core:
        hold_both(core, drawing, ticket)
        for name, one in (("large", ticket(is_small=False)), ("small", ticket())):
            core.submit(one)
            one.result.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
        assert core.waiting == 2
        drawing.may_go_on.set()
    assert set(order) == {"large", "small"}


def test_a_full_queue_refuses(drawing: Drawing, ticket: MakeTicket) -> None:
    with started(waiting=3) as core:
        hold_both(core, drawing, ticket)
        submit(core, [ticket(), ticket(is_small=False), ticket()])
        with pytest.raises(Problem, match="3 pictures are waiting already") as error:
            core.submit(ticket())
        assert error.value.status == 429
        assert int(error.value.headers["Retry-After"]) >= 1


def test_metrics_count_what_waits_while_others_change_it(ticket: MakeTicket) -> None:
    """Queues of what goes together come and go, and none may do so while they are counted."""
    metrics = Metrics()
    core = Core(LocalPainter("onnx"), workers=2, waiting=9, metrics=metrics)
    submit(core, [ticket(), ticket(seed=1), ticket(is_small=False)])
    texts: list[bytes] = []
    reader = threading.Thread(target=lambda: texts.append(metrics.text()))
    with core._changed:
        reader.start()
        reader.join(0.1)
        assert texts == []
        core._small.popitem()
    reader.join(PATIENCE)
    assert b"sr4_waiting 2.0" in texts[0]


def test_what_is_cancelled_leaves_the_queue(drawing: Drawing, ticket: MakeTicket) -> None:
    with started() as core:
        hold_both(core, drawing, ticket)
        waiting = submit(core, [ticket(), ticket(is_small=False), ticket(seed=5)])
        assert core.waiting == 3
        for one in waiting:
            assert one.cancel()
            assert one.state == "cancelled"
        assert core.waiting == 0
        running = ticket(seed=9)
        drawing.may_go_on.set()
        core.submit(running)
        running.result.result(PATIENCE)
    assert drawing.groups == [1, 1, 1]


def test_who_cancels_costs_those_like_it_no_place(ticket: MakeTicket) -> None:
    core = Core(LocalPainter("onnx"), workers=2, waiting=9, metrics=Metrics())
    first, second, other = submit(core, [ticket(), ticket(), ticket(seed=1)])
    first.cancel()
    assert [core._take() for _ in range(3)] == [[second], [other], []]


def test_drawing_ends_once_nobody_wants_any_of_it(drawing: Drawing, ticket: MakeTicket) -> None:
    with started() as core:
        one = ticket()
        core.submit(one)
        assert drawing.has_begun.acquire(timeout=PATIENCE)
        one.cancel()
        last = ticket(seed=1)  # which the same worker may draw
        core.submit(last)
        assert drawing.has_begun.acquire(timeout=PATIENCE)
        while len(core._running) > 1:
            threading.Event().wait(0.01)
        assert one.state == "cancelled"


def test_whoever_looks_on_sees_what_there_is(drawing: Drawing, ticket: MakeTicket) -> None:
    drawing.may_go_on.set()
    with started() as core:
        seen, unseen = ticket(is_small=False), ticket(is_small=False)
        seen.is_watched = True
        submit(core, [unseen, seen])
        assert drawing.has_shown.acquire(timeout=PATIENCE)
        assert (seen.preview, seen.previews, seen.share) == (b"a look", 1, 0.5)
        drawing.may_end.set()
        for one in (seen, unseen):
            one.result.result(PATIENCE)
        assert (seen.preview, seen.previews) == (None, 1)
        assert unseen.previews == 0


def test_it_stops(drawing: Drawing, ticket: MakeTicket) -> None:
    with started() as core:
        hold_both(core, drawing, ticket)
        waiting = ticket()
        core.submit(waiting)
        core.drain()
        assert core.is_draining
        with pytest.raises(Problem, match="is stopping") as refused:
            core.submit(ticket())
        assert refused.value.status == 503
        core.give_up()
        assert waiting.problem is not None
        assert waiting.problem.status == 503
        core.join()
        assert core.is_idle


def test_failures_cost_their_group(
    ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(plan: Plan, options: UpscaleOptions, *_: object, **__: object) -> Iterator[Event]:
        if options.seed == 1:
            raise RuntimeError("broken")
        first, second = plan.pictures
        yield Failed("picture", "cannot be read", PictureError("x"), first)
        yield Failed("picture", "unexpected", RuntimeError("y"), second)

    monkeypatch.setattr(module, "upscale_pictures", failing)
    core = Core(LocalPainter("onnx"), workers=2, waiting=9, metrics=Metrics())
    tickets = submit(core, [ticket(seed=1), ticket(), ticket()])
    core.start()
    problems = [one.result.exception(PATIENCE) for one in tickets]
    core.give_up()
    core.join()
    found = [(one.status, one.detail) for one in problems if isinstance(one, Problem)]
    assert found[1:] == [(422, "cannot be read"), (500, "unexpected")]
    assert found[0][0] == 500
    assert "broken" not in found[0][1]
    assert "broken" in caplog.text
    assert "a picture failed: unexpected" in caplog.text
    assert "cannot be read" not in caplog.text  # which is the picture's fault


def test_real_pictures(ticket: MakeTicket) -> None:
    with started() as core:
        tickets = submit(core, [ticket(), ticket(), ticket((9, 7), samples=2)])
        for one in tickets:
            done = one.result.result(PATIENCE)
            assert done.files[str(one.planned.output)].startswith(b"\x89PNG")
            assert done.record.size == (4 * one.size[0], 4 * one.size[1])
