"""Shares of work, and the time that is left."""

from __future__ import annotations

import numpy as np
import pytest

from sr4.batch import pace
from sr4.batch.pace import Meter, Pace, Portion
from sr4.diffusion.samplers import Step
from tests.conftest import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(pace, "monotonic", found)
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


def test_a_portion_counts_the_pixels_of_steps_and_bands() -> None:
    portion = Portion(weight=1, pixels=2 * 2 * 16 * 16, factors={16: 1}, draws=2)
    assert portion.count(step(1, 2, 2, 3, 16, 16)) == pytest.approx(0.25)  # two of four, half done
    assert portion.count(step(2, 2, 2, 3, 16, 16)) == pytest.approx(0.5)
    assert portion.count(step(1, 2, 3, 8, 16)) == pytest.approx(0.75)  # half of both draws of one
    assert portion.count(step(2, 2, 3, 8, 16)) == pytest.approx(1)
    assert portion.count(step(1, 1, 1, 3, 99, 99)) == 1  # never more


def test_bands_of_another_size_count_what_is_drawn_for_them() -> None:
    portion = Portion(weight=1, pixels=2 * 32 * 32, factors={8: 16, 24: 0.5}, draws=2)
    assert portion.count(step(1, 2, 3, 4, 8)) == pytest.approx(0.5)
    assert portion.count(step(1, 2, 3, 4, 24)) == pytest.approx(0.5 + 2 * 48 / 2048)
    assert portion.count(step(1, 2, 3, 4, 16)) == pytest.approx(0.5 + 160 / 2048)  # of a stage


def test_how_long_a_portion_takes_is_told_once(clock: Clock) -> None:
    """By the speed from the first band to the second: before the first one, two rows of tiles are
    drawn.
    """
    portion, meter = Portion(30, pixels=10 * 4 * 8, factors={8: 1}, began=clock.now), Meter(60)
    told = []
    for number in range(10):
        clock.now += 20 if number == 0 else 10
        told.append(meter.step(portion, step(number + 1, 10, 3, 4, 8)))
    told.append(meter.finish(30))
    assert [one.seconds for one in told if one.seconds] == [pytest.approx(20 + 10 + 80)]
    assert [one.share for one in told] == pytest.approx([*np.arange(1, 11) / 10, 1])
    assert [one.share_of_all for one in told] == pytest.approx([*np.arange(1, 11) / 20, 0.5])
    assert [one.seconds_left for one in told[:3]] == [
        None, pytest.approx(180), pytest.approx(170),
    ]  # fmt: skip


def test_without_work_all_is_done() -> None:
    assert Meter(0).finish(0).share_of_all == 1


def test_what_need_not_be_drawn_takes_no_time(clock: Clock) -> None:
    """Neither of its own portion nor of all work."""
    meter = Meter(60)
    before = Portion(30, pixels=10 * 4 * 8, factors={8: 1}, began=clock.now)
    for number in range(10):
        clock.now += 10
        meter.step(before, step(number + 1, 10, 3, 4, 8))
    meter.finish(30)
    portion = Portion(30, pixels=10 * 4 * 8, factors={8: 1}, began=clock.now)
    found = meter.skip(portion, 6 * 4 * 8)
    assert (found.share, found.share_of_all) == (pytest.approx(0.6), pytest.approx(0.8))
    clock.now += 10
    first = meter.step(portion, step(7, 10, 3, 4, 8))
    assert (first.share, first.share_of_all) == (pytest.approx(0.7), pytest.approx(0.85))
    assert first.seconds_left == pytest.approx(30)
    clock.now += 10
    second = meter.step(portion, step(8, 10, 3, 4, 8))
    assert second.seconds == pytest.approx(20 + 20)
    assert second.seconds_left == pytest.approx(20)
