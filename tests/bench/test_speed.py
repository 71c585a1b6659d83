"""The clock, with a network whose time is known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.bench import speed
from sr4.bench.speed import SpeedTest, Spread, measure_speed
from sr4.model.diffusion_model import DiffusionModel
from sr4.model.folder import read_config

NAP = 0.02  # seconds of an evaluation

Floats = NDArray[np.float32]


class Sleeper:
    """Predicts nothing, slowly."""

    name = "sleeper"
    told = "made up, float32"
    is_for_one = False

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x_t: Floats, log_snr: float, upsampled: Floats, known: Any = None) -> Floats:
        self.calls += 1
        time.sleep(NAP)
        return np.zeros_like(x_t)

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
def make_test(sleeper: Sleeper, tiny_model: Path) -> Any:
    model = DiffusionModel(read_config(tiny_model), sleeper, "sleeper")
    return lambda steps: SpeedTest(model, Image.new("RGB", (8, 8)), steps)


def quiet(done: int, total: int, doing: str) -> None:
    assert 0 <= done <= total
    assert doing


def test_a_spread() -> None:
    spread = Spread.of([3.0, 1.0, 2.0, 10.0])
    assert (spread.median, spread.low, spread.high) == (2.5, 1.0, 10.0)
    assert spread.times(2) == Spread(median=5, low=2, high=20)


def test_a_short_picture_is_drawn_and_timed(make_test: Any, sleeper: Sleeper) -> None:
    found = measure_speed(make_test(3), quiet, quick=True)
    assert sleeper.calls == 2 * 2 + 3 * speed._WARM_UP_PICTURES + 3 * speed._QUICK_PICTURES
    assert NAP <= found.evaluation_seconds.low <= found.evaluation_seconds.median < 5 * NAP
    assert 3 * NAP <= found.seconds.low <= found.seconds.median <= found.seconds.high
    assert found.seconds.median < 15 * NAP
    assert (found.computed, found.step_seconds, found.full_seconds) == (False, None, None)


@pytest.mark.parametrize(
    ("steps", "quick", "drawn"), [(12, False, 12), (12, True, 0), (600, False, 0)]
)
def test_a_long_picture_is_computed(
    make_test: Any, sleeper: Sleeper, steps: int, quick: bool, drawn: int
) -> None:
    found = measure_speed(make_test(steps), quiet, quick=quick, long_seconds=0.05)
    timed = speed._QUICK_STEPS if quick else speed._STEPS
    assert sleeper.calls == 2 * 2 + 1 + timed + drawn
    assert found.computed
    assert found.step_seconds is not None
    assert found.seconds == found.step_seconds.times(steps)
    assert NAP <= found.evaluation_seconds.median <= found.step_seconds.median < 5 * NAP
    if drawn:
        assert found.full_seconds == pytest.approx(found.seconds.median, rel=2)
    else:
        assert found.full_seconds is None


def test_one_long_step_is_computed_from_itself(make_test: Any) -> None:
    found = measure_speed(make_test(1), quiet, quick=True, long_seconds=0)
    assert found.seconds == found.step_seconds


def test_the_first_steps_alone(make_test: Any, sleeper: Sleeper) -> None:
    test = make_test(50)
    assert len(test.steps(3)) == sleeper.calls == 3
    assert len(test.evaluations()) == 3
    assert test.evaluations() == []
