"""What a training takes, seen before it begins."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

from torch import nn

from sr4.bench.cost import network_cost
from sr4.config import RunSettings
from sr4.config.overrides import override
from sr4.data.bad_pictures import BadPictures
from sr4.data.excluding import excluding
from sr4.data.sources import Source
from sr4.training.books import Run
from sr4.training.checkpoint import list_checkpoints
from sr4.training.run_folder import CHECKPOINTS
from sr4.training.trainer import Training, begin

_TRIED_STEPS, _TRIED_PICTURES = 4, 16  # to see how fast a training is, and in each of them
_READ_AHEAD = 2  # batches that a worker of torch has ready


def describe(settings: RunSettings) -> dict[str, Any]:
    """Size and cost of a recipe, without training: parameters, GFLOPs of one evaluation for one
    picture, size multiple, optimiser steps.
    """
    training = settings.training
    return {
        **network_cost(settings.model)._asdict(),
        "steps": -(-training.total_images // training.batch_size),
    }


def pictures_per_second(
    settings: RunSettings,
    data: Source,
    teacher: nn.Module | None = None,
    init: nn.Module | None = None,
) -> float:
    """The speed of a training on this machine, by a few steps of which nothing is kept; those of
    large batches are tried with fewer pictures. Validations and checkpoints come on top.

    Args:
        settings: the resolved recipe.
        data: training pictures.
        teacher: the trained network, for settings with a distillation.
        init: a network whose weights the training begins with.

    Raises:
        UsageError: an init of another shape.
        DataError: too many training pictures are bad.
    """
    size = min(_TRIED_PICTURES, settings.training.batch_size)
    piece = settings.training.microbatch
    fewer = {"batch_size": size, "microbatch": None if piece is None else min(piece, size)}
    settings = override(settings, {"training": fewer})
    data = excluding(data, settings.data.exclude)
    bad = BadPictures(data, settings.data.max_bad)
    training = Training(Run(settings, data, None, begin(settings, teacher, init), bad), None)
    workers = settings.data.workers
    count = max(_TRIED_STEPS, workers)
    with closing(training.batches()) as batches:
        training.step(training.next_batch(batches))  # the first finds its kernels and memory
        for _ in range(workers * _READ_AHEAD):  # what was read meanwhile
            training.next_batch(batches)
        start = time.monotonic()
        for _ in range(count):
            training.step(training.next_batch(batches))
        return size * count / (time.monotonic() - start)


def trained_pictures(out: Path) -> int:
    """Those that the newest checkpoint of a run folder has seen; 0 where there is none."""
    names = [path.name for path in list_checkpoints(out / CHECKPOINTS)]
    return max((int(name) for name in names if name.isdecimal()), default=0)
