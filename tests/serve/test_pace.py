"""How long those who are refused are asked to stay away."""

from __future__ import annotations

import time

import pytest

from sr4.serve.pace import QueuePace
from tests.conftest import Clock


def test_it_goes_by_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    pace = QueuePace(2)
    assert pace.seconds_until_free(1000) == 1
    with pace.measured(4):
        clock.now += 8
    assert pace.seconds_until_free(10) == 5  # half of ten, by two, two seconds each
    assert pace.seconds_until_free(1000) == 60
    with pace.measured(1):
        clock.now += 7
    assert pace.seconds_until_free(10) == 8  # 2 + 0.2 * (7 - 2) = 3 seconds each
