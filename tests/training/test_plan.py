"""What a training takes, seen before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("accelerate")

from torch import nn

from sr4.config import RunSettings
from sr4.config.overrides import override
from sr4.data.encoded import EncodedSource
from sr4.errors import DataError, UsageError
from sr4.model.diffusion_model import load_model
from sr4.training.plan import (
    describe,
    pictures_per_second,
    trained_pictures,
)
from sr4.training.trainer import Training

Tiny = Callable[..., RunSettings]


def test_describe_gives_size_and_cost_without_training(tiny: Tiny, finished: Path) -> None:
    facts = describe(tiny(total_images=33))
    assert facts["parameters"] == load_model(finished, backend="torch").config.parameters
    assert facts["size_multiple"] == 8
    assert facts["steps"] == 9
    assert 0.001 < facts["gflops"] < 0.1


@pytest.mark.parametrize(("batch", "speed"), [(4, 2.0), (64, 8.0)])
def test_the_speed_of_a_training_is_that_of_its_steps(
    tiny: Tiny, source: EncodedSource, monkeypatch: pytest.MonkeyPatch, batch: int, speed: float
) -> None:
    """Steps of two seconds, of 16 pictures at most; the first takes longer and does not count."""
    now, seen = [0.0], list[int]()

    def step(training: Training, given: Any) -> None:
        now[0] += 2.0 if seen else 60.0
        seen.append(len(given.high_res))

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Training, "step", step)
    settings = override(tiny(), {"training": {"batch_size": batch}})
    assert pictures_per_second(settings, source) == pytest.approx(speed)
    assert seen == [min(batch, 16)] * 5


def test_the_speed_of_a_training_is_tried_with_the_pictures_that_it_takes(
    tiny: Tiny, spoilt: EncodedSource
) -> None:
    assert pictures_per_second(tiny(), spoilt) > 0
    few = override(tiny(), {"data": {"max_bad": 0}})
    with pytest.raises(DataError, match=r"03\.png.* makes 1 bad of the 10"):
        pictures_per_second(few, spoilt)
    without = override(few, {"data": {"exclude": ["03.png"]}})
    assert pictures_per_second(without, spoilt) > 0


def test_the_speed_of_a_training_is_tried_as_it_trains(
    tiny: Tiny, source: EncodedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces as small as memory asks for, and not by what had been read before."""
    settings = override(tiny(), {"training": {"microbatch": 2}, "data": {"workers": 2}})
    seen: list[tuple[int, int | None]] = []

    def step(training: Training, given: Any) -> None:
        seen.append((given.position, training.training.microbatch))

    monkeypatch.setattr(Training, "step", step)
    pictures_per_second(settings, source)
    assert seen == [(4 * number, 2) for number in (0, 5, 6, 7, 8)]


def test_the_speed_of_a_training_begins_with_a_network_that_fits(
    tiny: Tiny, source: EncodedSource
) -> None:
    with pytest.raises(UsageError, match="--init"):
        pictures_per_second(tiny(), source, init=nn.Conv2d(3, 3, 1))


def test_pictures_that_a_run_has_trained_on_are_those_of_its_newest_checkpoint(
    run: Path, tmp_path: Path
) -> None:
    assert trained_pictures(run) == 32
    assert trained_pictures(tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()
