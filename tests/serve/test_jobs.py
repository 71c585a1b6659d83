"""Jobs: found by their names, kept for a time, and no more than there is room for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sr4.batch.events import Done
from sr4.serve import jobs as module
from sr4.serve.app import make_app
from sr4.serve.jobs import Jobs, changes
from sr4.serve.limits import Limits
from sr4.serve.problems import Problem
from sr4.serve.service import Service, Settings
from sr4.serve.tickets import Ticket
from tests.conftest import Clock

MakeTicket = Callable[..., Ticket]
RESULT: Any = None


def test_a_job_is_kept_until_its_time_is_over(
    ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, released = Clock(), []
    monkeypatch.setattr(time, "monotonic", clock)
    jobs = Jobs(2, 60.0)
    job = jobs.open(ticket(), lambda: released.append(1))
    clock.now += 1000  # of waiting
    assert jobs.find(job.name) is job
    job.ticket.result.set_result(RESULT)
    clock.now += 59
    assert jobs.find(job.name) is job
    assert released == []
    clock.now += 2
    with pytest.raises(Problem, match="one of the last 60 s") as error:
        jobs.find(job.name)
    assert error.value.status == 404
    assert released == [1]


def test_results_that_nobody_asks_for_do_not_stay(
    ticket: MakeTicket, tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an application that is asked for nothing else."""
    monkeypatch.setattr(module, "_SWEEP", 0.01)
    settings = Settings(models=[str(tiny_exported)], limits=Limits(kept_seconds=0.1))
    service = Service(settings)
    with TestClient(make_app(service)):
        released = threading.Event()
        service.jobs.open(ticket(), released.set).ticket.result.set_result(RESULT)
        assert released.wait(60)
    assert len(service.jobs) == 0


def test_there_is_room_for_so_many(ticket: MakeTicket) -> None:
    jobs = Jobs(2, 60.0)
    one, _ = (jobs.open(ticket(), lambda: None) for _ in range(2))
    with pytest.raises(Problem, match="2 jobs are drawn or kept already") as error:
        jobs.check_room()
    assert error.value.status == 429
    jobs.close(one)
    jobs.close(one)
    assert one.ticket.state == "cancelled"
    jobs.check_room()
    assert len(jobs) == 1


def test_failed_ones_make_room_first(ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, released = Clock(), []
    monkeypatch.setattr(time, "monotonic", clock)
    jobs = Jobs(3, 60.0)
    done, failed, running = (
        jobs.open(ticket(), lambda number=number: released.append(number))  # type: ignore[misc]
        for number in range(3)
    )
    done.ticket.result.set_result(RESULT)
    with pytest.raises(Problem) as error:
        jobs.check_room()
    assert error.value.headers["Retry-After"] == "5"  # for some are drawn
    failed.ticket.fail(ValueError())
    assert set(released) == {1}
    assert jobs.find(failed.name) is failed
    jobs.check_room()
    with pytest.raises(Problem, match="jobs that failed make room"):
        jobs.find(failed.name)
    jobs.open(running.ticket, lambda: None)
    clock.now += 9.5
    running.ticket.result.set_result(RESULT)
    with pytest.raises(Problem) as error:
        jobs.check_room()
    assert error.value.headers["Retry-After"] == "51"  # when the first is forgotten
    assert set(released) == {1}


def test_who_still_waits_for_a_result(ticket: MakeTicket) -> None:
    jobs = Jobs(9, 60.0)
    assert jobs.are_fetched
    done, failed = (jobs.open(ticket(), lambda: None) for _ in range(2))
    failed.ticket.fail(ValueError())
    assert not jobs.are_fetched
    done.ticket.result.set_result(RESULT)
    assert not jobs.are_fetched
    done.is_fetched = True
    assert jobs.are_fetched


def test_names_cannot_be_guessed(ticket: MakeTicket) -> None:
    jobs = Jobs(100, 60.0)
    names = {jobs.open(ticket(), lambda: None).name for _ in range(50)}
    assert len(names) == 50
    assert min(map(len, names)) >= 22  # 128 bits


def test_changes_are_told_until_the_end(
    ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK", 0.001)
    monkeypatch.setattr(module, "_ALIVE", 0.02)
    one = ticket()

    async def watch() -> list[tuple[bool, str, float]]:
        found: list[tuple[bool, str, float]] = []
        async for has_changed in changes(one):
            found.append((has_changed, one.state, one.share))
            if len(found) == 1:
                one.advance(0.25, 3.0)
            elif len(found) == 2:
                one.advance(0.25, 3.0, b"a look")
            elif not has_changed:
                one.finish(Done(one.planned, RESULT))
        return found

    assert asyncio.run(watch()) == [
        (True, "waiting", 0.0),
        (True, "running", 0.25),
        (True, "running", 0.25),
        (False, "running", 0.25),
        (True, "done", 1.0),
    ]
