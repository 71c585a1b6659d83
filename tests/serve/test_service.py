"""What tickets take of a service, and when they give it back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from sr4.serve.limits import Limits, Share
from sr4.serve.problems import Problem
from sr4.serve.service import Service, Settings
from sr4.serve.tickets import Ticket
from tests.conftest import Clock


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

    submit(as_job=True).result.set_exception(Problem(500, "x"))
    clock.now += 59
    with pytest.raises(Problem, match="as many pixels of results as it can") as error:
        submit(as_job=False)
    assert error.value.status == 429
    clock.now += 2
    submit(as_job=False)
