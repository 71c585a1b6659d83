"""What a call asks of its models: draws and their seeds, sizes and ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sr4.degradation import Degradation, DegradationChain
from sr4.errors import PictureError, UsageError
from sr4.evidence.choose import choose
from sr4.pictures.parts import Parts
from sr4.pictures.raster import from_array
from sr4.upscaling.calls import planned, sample_seeds
from sr4.upscaling.draws import Task
from sr4.upscaling.sizing import SizeWanted

X4, X2 = Degradation(4), Degradation(2)


def tasks(
    *shapes: tuple[int, ...],
    seeds: range = range(1),
    models: tuple[Degradation, ...] = (X4,),
    evidence: str = "exact",
    channels: int = 3,
    **size: Any,
) -> list[Task]:
    """Of pictures of these shapes, (h, w, N)."""
    rasters = [from_array(np.full(shape, 90, np.uint8)) for shape in shapes]
    return planned(
        [Parts(raster, channels) for raster in rasters],
        [choose(raster, None, evidence) for raster in rasters],
        seeds,
        SizeWanted(**size),
        models=models,
        own=DegradationChain(models) if len(models) > 1 else models[0],
    )


def test_each_sample_of_each_picture_is_a_draw_of_its_own_seed() -> None:
    first, second = tasks((5, 7, 3), (6, 6, 3), seeds=range(3, 6))
    for task in (first, second):
        assert [[draw.seed for draw in sample] for sample in task.samples] == [[3], [4], [5]]
        assert (task.size.repeats, task.degradation) == (0, X4)
    assert (first.drawn, second.drawn) == ((20, 28), (24, 24))
    shown = [draw.is_shown for task in (first, second) for (draw,) in task.samples]
    assert shown == [True, *[False] * 5]  # the first of all


def test_channels_beyond_those_of_a_model_are_draws_too() -> None:
    (task,) = tasks((5, 7, 3), channels=1)
    assert [draw.low_res.shape for draw in task.samples[0]] == [(1, 5, 7)] * 3
    assert not any(draw.is_shown for draw in task.samples[0])  # they are no picture


def test_another_size_is_an_end_of_each_draw() -> None:
    (task,) = tasks((5, 7, 3), width=20)
    ((draw,),) = task.samples
    assert draw.resizing is not None
    assert draw.resizing.constraint is not None
    assert (task.drawn, task.size.repeats) == ((20, 28), 0)
    assert task.degradation is not X4
    ((draw,),) = tasks((5, 7, 3), width=20, evidence="none")[0].samples
    assert draw.resizing is not None
    assert draw.resizing.constraint is None
    (twice,) = tasks((5, 7, 3), scale=10)
    assert (twice.drawn, twice.size.repeats, twice.samples[0][0].taken) == ((52, 72), 1, (13, 18))


def test_models_in_turn_draw_the_product_of_their_scales() -> None:
    (task,) = tasks((5, 7, 3), models=(X4, X2))
    assert task.drawn == (40, 56)
    assert task.degradation == DegradationChain((X4, X2))


def test_a_picture_larger_than_its_result_is_refused() -> None:
    with pytest.raises(PictureError):
        tasks((5, 7, 3), width=6)


def test_seeds_of_samples() -> None:
    assert sample_seeds(3, 2) == range(3, 5)
    assert sample_seeds(np.int64(3), np.uint8(2)) == range(3, 5)
    assert len(sample_seeds(0, 10_000)) == 10_000
    for seed, samples, said in (
        (-1, 1, "seed -1"),
        (0.5, 1, "seed 0.5"),
        (0, 0, "0 samples"),
        (0, 10_001, "10001 samples"),
    ):
        with pytest.raises(UsageError, match=f"got {said}"):
            sample_seeds(seed, samples)  # type: ignore[arg-type]
