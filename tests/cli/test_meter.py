"""Shares of work, the time that is left, and what is shown of them."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import numpy as np
import pytest

from sr4.cli import console, meter
from sr4.cli.meter import Group, Meter, Pace
from sr4.diffusion.samplers import Step


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(meter, "monotonic", found)
    monkeypatch.setattr(console, "monotonic", found)
    return found


def step(number: int, total: int, *shape: int) -> Step:
    x = np.zeros(shape, np.float32)
    return Step(number, total, x, x)


def test_time_is_left_by_the_speed_since_the_first_share() -> None:
    pace = Pace()
    assert pace.left(0.1, 50.0) is None  # after loading for 50 s
    assert pace.left(0.1, 51.0) is None
    assert pace.left(0.2, 60.0) == pytest.approx(80)
    assert pace.left(0.6, 80.0) == pytest.approx(24)
    assert pace.left(1.0, 99.0) == 0


def test_a_group_counts_the_pixels_of_steps_and_bands() -> None:
    group = Group("a", weight=1, pixels=2 * 2 * 16 * 16, widths={16}, draws=2)
    assert group.count(step(1, 2, 2, 3, 16, 16)) == pytest.approx(0.25)  # two of four, half done
    assert group.count(step(2, 2, 2, 3, 16, 16)) == pytest.approx(0.5)
    assert group.count(step(1, 2, 3, 8, 16)) == pytest.approx(0.75)  # half of both draws of one
    assert group.count(step(2, 2, 3, 8, 16)) == pytest.approx(1)
    assert group.count(step(1, 1, 1, 3, 99, 99)) == 1  # never more


def test_a_large_picture_is_announced_once(clock: Clock) -> None:
    """By the speed from the first band to the second: before the first one, two rows of tiles are
    drawn.
    """
    shown: list[Any] = []
    announced: list[float] = []
    group = Group("a", 30, pixels=10 * 4 * 8, widths={8}, announce=announced.append, began=100.0)
    whole = Meter(lambda *all_of_it: shown.append(all_of_it), total=60)
    for number in range(10):
        clock.now += 20 if number == 0 else 10
        whole.step(group, step(number + 1, 10, 3, 4, 8))
    assert announced == [pytest.approx(20 + 10 + 80)]
    whole.finish(group)
    assert [share for share, _, _ in shown] == pytest.approx(
        [*(number / 20 for number in range(1, 11)), 0.5]
    )
    assert [left for _, _, left in shown[:3]] == [None, pytest.approx(180), pytest.approx(170)]


def test_in_a_pipe_a_line_now_and_then(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.shares("upscaling") as show:
        for second in range(1, 101):
            clock.now += 1
            show(second / 100, "holiday.jpg", None if second < 40 else 100 - second)
    assert stream.getvalue().splitlines() == [
        "sr4: holiday.jpg: 30 % done",
        "sr4: holiday.jpg: 60 % done, about 40 seconds left",
        "sr4: holiday.jpg: 90 % done, about 10 seconds left",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    with console.shares("upscaling") as show:
        show(0.4, "holiday.jpg", 125.0)
    assert "upscaling" in screen.getvalue()
    assert " 40% about 2 minutes left, holiday.jpg" in re.sub(
        r"\x1b\[[\d;]*m", "", screen.getvalue()
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "about 0 seconds"),
        (1.2, "about 1 second"),
        (8.7, "about 9 seconds"),
        (43, "about 45 seconds"),
        (100, "about 2 minutes"),
        (3000, "about 50 minutes"),
        (9000, "about 2.5 hours"),
    ],
)
def test_times_in_words(seconds: float, said: str) -> None:
    assert console.about(seconds) == said
