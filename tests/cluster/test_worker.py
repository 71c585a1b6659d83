"""A worker: what it refuses, how it tells, and which threads it takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sr4.batch import in_work
from sr4.batch.events import Advanced, Done, Event, Failed, Planned, Skipped
from sr4.batch.options import UpscaleOptions
from sr4.batch.plan import PlannedPicture, plan_pictures
from sr4.cluster import worker
from sr4.cluster.worker import Chunk, Order, Told, Worker, gathered, order_of
from sr4.machine.processors import available_cpus

Planner = Callable[[Path], tuple[PlannedPicture, ...]]


@pytest.fixture
def order(options: UpscaleOptions) -> Order:
    return order_of(options, overwrite=False, backend="torch", device="cpu")


def told(order: Order, *pictures: PlannedPicture) -> list[Told]:
    one = Worker(order, lambda: 1.0, lambda do: None)
    return [row["told"] for row in one({"chunk": Chunk(7, pictures)})]


def events(order: Order, *pictures: PlannedPicture) -> list[Event]:
    return [event for message in told(order, *pictures) for event in message.events]


def test_results_have_the_quality_that_was_planned(
    order: Order, folder: Callable[..., Path], tmp_path: Path
) -> None:
    words: dict[str, Any] = {"suffix": ".jpg", "made": None}
    (fine,) = plan_pictures([str(folder(a=(8, 8)))], tmp_path / "fine", **words).pictures
    (small,) = plan_pictures([str(fine.source)], tmp_path / "small", quality=20, **words).pictures
    assert [type(one) for one in events(order, fine, small)][-2:] == [Done, Done]
    assert small.output.stat().st_size < fine.output.stat().st_size
    assert any(isinstance(one, Skipped) for one in events(order, small))
    (failed,) = events(order, replace(small, quality=30))
    assert isinstance(failed, Failed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "9.9"}, "has sr4 0.1.0; expected 9.9"),
        ({"folder": "/nowhere/at/all"}, "'/nowhere/at/all' cannot be entered"),
        ({"checksums": {"sr4-fast": [{"model.onnx": "0"}]}}, "'sr4-fast' has other checksums"),
        ({"checksums": {"nothing": [{}]}}, "no model 'nothing'"),
    ],
)
def test_it_refuses_to_work_with_other_things(
    order: Order, change: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "__version__", "0.1.0")
    (one,) = told(
        replace(order, version="0.1.0", **change)
        if "version" not in change
        else replace(order, **change)
    )
    assert one.refusal is not None
    assert said in one.refusal[0]
    assert one.refusal[0].count("\n") == 0
    assert one.refusal[1] == 1


def test_an_order_names_all_models_that_pictures_may_call_for(options: UpscaleOptions) -> None:
    found = order_of(UpscaleOptions(), overwrite=False, backend="auto", device="auto")
    assert set(found.checksums) == {"sr4-fast", "photo-x4"}
    assert all("model.safetensors" in one for sums in found.checksums.values() for one in sums)


def test_an_impossible_option_is_a_refusal(
    order: Order, folder: Callable[..., Path], planned: Planner
) -> None:
    wrong = replace(order, options=replace(order.options, detail=0.5))
    *_, last = told(wrong, *planned(folder(a=(8, 8))))
    assert last.refusal is not None
    assert last.refusal[1] == 2


def test_a_bug_is_one_line(
    order: Order, folder: Callable[..., Path], planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr(worker, "upscale_pictures", fail)
    *_, last = told(order, *planned(folder(a=(8, 8))))
    assert last.refusal is not None
    assert "(unexpected ZeroDivisionError: by nothing)" in last.refusal[0]


def test_the_result_of_a_faster_worker_is_no_failure(
    order: Order, folder: Callable[..., Path], planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was taken for dead may still write."""
    (picture,) = planned(folder(a=(8, 8)))
    write = in_work._write_files

    def twice(*words: Any, **options: Any) -> None:
        write(*words, **options)
        write(*words, **options)

    monkeypatch.setattr(in_work, "_write_files", twice)
    found = events(order, picture)
    assert [type(one) for one in found if not isinstance(one, Advanced)][-1] is Skipped
    picture.output.write_bytes(b"of another")
    (failure,) = (one for one in events(order, picture) if isinstance(one, Failed))
    assert "exists already" in failure.error
    assert failure.cause is None


def test_messages_hold_what_happened_since_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 1.9, 2.5, 2.5, 3.0, 3.1])
    monkeypatch.setattr(worker, "monotonic", lambda: next(now))
    step, other = (Advanced((), share, share, None) for share in (0.1, 0.2))
    plan = Planned(())
    messages = list(gathered(3, [plan, step, other, plan, step]))
    assert [one.events for one in messages] == [(plan, other), (plan, step)]
    assert [one.is_end for one in messages] == [False, True]
    assert {one.chunk for one in messages} == {3}


@pytest.mark.parametrize(
    ("given", "share", "bound"),
    [("2", 1.0, 2), ("2", 0.5, 1), ("2", 0.1, 1), ("1", 1.0, 1)],
)
def test_threads_are_bounded_by_the_share_of_the_node(
    given: str, share: float, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray sets the variable to the logical processors; what else it holds is the user's."""
    monkeypatch.setattr("sr4.machine.processors._by_affinity", lambda: 8)
    monkeypatch.setattr("sr4.machine.processors._by_quota", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    worker.bound_to_share(worker.CPUS, share)
    assert available_cpus() == bound
    assert os.environ["OMP_NUM_THREADS"] == str(bound)


def test_each_picture_is_told_once(
    order: Order, folder: Callable[..., Path], planned: Planner
) -> None:
    pictures = planned(folder(a=(8, 8), b=(9, 8)))
    first = [one.picture for one in events(order, *pictures) if isinstance(one, Done)]
    assert first == list(pictures)
    (again,) = (one for one in events(order, *pictures) if isinstance(one, Skipped))
    assert [one.output for one in again.pictures] == [one.output for one in pictures]
