"""What tickets take of a service, and when they give it back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sr4.batch.events import Done
from sr4.serve.app import make_app
from sr4.serve.limits import Limits, Share
from sr4.serve.models import Models
from sr4.serve.painter import LocalPainter
from sr4.serve.problems import Problem
from sr4.serve.service import Service, Settings
from sr4.serve.tickets import Ticket
from tests.conftest import Clock
from tests.features.service_process import encoded

RESULT: Any = None


def test_jobs_whose_time_is_over_make_room(
    ticket: Callable[..., Ticket], tiny_exported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For whatever is submitted next, though nobody asks for a job any more."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    limits = Limits(all_pixels=1100, kept_seconds=60)
    service = Service(Settings(models=[str(tiny_exported)], limits=limits))

    def submit(*, as_job: bool) -> Ticket:
        one = ticket()  # of 1024 pixels
        service.submit(one, Share(service.bytes), as_job=as_job)
        return one

    submit(as_job=True).finish(Done(ticket().planned, RESULT))
    service._core._small.clear()  # as if it had been drawn
    clock.now += 50.5
    with pytest.raises(Problem, match="as many pixels of results as it can") as error:
        submit(as_job=False)
    assert error.value.status == 429
    assert error.value.headers["Retry-After"] == "10"  # when the result is forgotten
    clock.now += 8.5
    with pytest.raises(Problem):
        submit(as_job=False)
    clock.now += 2
    submit(as_job=False)


def test_jobs_without_a_result_keep_nothing(
    ticket: Callable[..., Ticket], tiny_exported: Any
) -> None:
    """But the line that says why, until there are too many."""
    service = Service(Settings(models=[str(tiny_exported)], limits=Limits(all_pixels=1100, jobs=2)))
    found = []
    for end in (lambda one: one.fail(ValueError()), Ticket.cancel, Ticket.cancel):
        one = ticket()  # of 1024 pixels
        found.append(service.submit(one, Share(service.bytes), as_job=True))
        with pytest.raises(Problem, match="as many pixels of results as it can") as error:
            service.submit(ticket(), Share(service.bytes), as_job=False)
        assert error.value.headers["Retry-After"] == "1"
        end(one)
        service.submit(second := ticket(), Share(service.bytes), as_job=False)
        second.cancel()
    assert len(service.jobs) == 2
    assert all(job is not None for job in found)


def test_pictures_wait_until_the_models_are_loaded(tiny_exported: Any) -> None:
    """And nobody else for them."""
    asked, may_load = threading.Event(), threading.Event()

    class Slow(LocalPainter):
        def warm(self, models: Models, is_cancelled: Callable[[], bool]) -> None:
            may_load.wait()
            super().warm(models, is_cancelled)

        def check(self, *words: Any) -> None:
            assert may_load.is_set()
            super().check(*words)

    found = []
    service = Service(Settings(models=[str(tiny_exported)]), Slow("onnx"))
    with TestClient(make_app(service)) as client:

        def ask() -> None:
            asked.set()
            found.append(client.post("/v1/upscale", files={"file": encoded()}).status_code)

        waiting = [threading.Thread(target=ask) for _ in range(4)]
        for one in waiting:
            one.start()
        assert asked.wait(60)
        time.sleep(0.3)
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        may_load.set()
        for one in waiting:
            one.join(60)
    assert found == [200] * 4


def test_who_waits_for_models_that_cannot_be_loaded_is_told(tiny_exported: Any) -> None:
    class Broken(LocalPainter):
        def warm(self, *_: Any) -> None:
            raise ValueError

    service = Service(Settings(models=[str(tiny_exported)]), Broken("onnx"))
    with TestClient(make_app(service)) as client:
        assert client.post("/v1/upscale", files={"file": encoded()}).status_code == 503
