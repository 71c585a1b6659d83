"""One call of `upscale`: what pictures and options ask of models in turn, and what comes of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence

from sr4.degradation import Degradation
from sr4.degradation.protocols import Degrades
from sr4.errors import UsageError
from sr4.evidence.kinds import Evidence
from sr4.model.diffusion_model import DiffusionModel
from sr4.pictures.parts import Parts
from sr4.upscaling.asked import Asked
from sr4.upscaling.drawing import Drawing, results_in_turn
from sr4.upscaling.draws import Draw, Task
from sr4.upscaling.given import given_evidence, told
from sr4.upscaling.intervals import calibrated
from sr4.upscaling.provenance import common_provenance, shown
from sr4.upscaling.result import Result
from sr4.upscaling.sizing import Resizing, Size, SizeWanted

MOST_SAMPLES = 10_000
"""Of a picture; intervals need no more than 16."""


def upscaled(
    image: object,
    models: Sequence[DiffusionModel],
    own: Degrades,
    drawings: Callable[[bool], Sequence[Drawing]],
    asked: Asked,
    *,
    condition_noise: float = 0.0,
) -> Result | list[Result]:
    """The result of a picture, or of each of a list or tuple.

    Args:
        models: that draw in turn, each on the result of the one before.
        own: the D of all of them.
        drawings: how each is to draw, by whether what it draws is to be fitted.
        condition_noise: see `CascadePipeline.upscale`.
    """
    given, evidences, pictures = given_evidence(
        image,
        models[0].config,
        asked.evidence,
        asked.noise,
        asked.blur,
        asked.consistency,
    )
    # Options are checked even where there are no pictures.
    turns = {used: drawings(used) for used in {one.constrains for one in evidences} or {False}}
    some = next(iter(turns.values()))
    tasks = planned(
        given,
        evidences,
        sample_seeds(asked.seed, asked.samples),
        SizeWanted(asked.scale, asked.width, asked.height),
        models=[model.degradation for model in models],
        own=own,
    )
    some[-1].check_memory(tasks)
    results = results_in_turn(
        turns, tasks, use_mean=asked.use_mean, condition_noise=condition_noise
    )
    if len(models) == 1:
        results = [
            calibrated(result, models[0], some[0].settings, is_own_size=task.is_own_size)
            for task, result in zip(tasks, results, strict=True)
        ]
    names, configs = [model.name for model in models], [model.config for model in models]
    said = common_provenance(names, configs, asked) | shown(asked)
    results = told(results, pictures, said)
    return results if isinstance(image, (list, tuple)) else results[0]


def planned(
    given: Sequence[Parts],
    evidences: Sequence[Evidence],
    seeds: Iterable[int],
    wanted: SizeWanted,
    *,
    models: Sequence[Degradation],
    own: Degrades,
) -> list[Task]:
    """What models in turn are to draw for pictures.

    Args:
        models: the D of each.
        own: that of all of them.

    Raises:
        PictureError: a picture larger than its result is to be.
    """
    tasks: list[Task] = []
    for parts, evidence in zip(given, evidences, strict=True):
        width, height = parts.raster.size
        size = Size.plan(wanted, (width, height), [model.scale for model in models])
        sized, split = size.degradation((width, height)), parts.split()
        ends: list[Resizing | None] = [None] * len(split)
        if sized is not None:
            used = evidence.constrains
            ends = [
                Resizing(sized, evidence.constraint(part, sized) if used else None)
                for part in split
            ]
        constraints = [evidence.constraint(part, models[0]) for part in split]
        draws = [
            [
                Draw(
                    part,
                    seed,
                    constraint=constraint,
                    known=evidence.known,
                    taken=size.taken[::-1],
                    resizing=end,
                )
                for part, constraint, end in zip(split, constraints, ends, strict=True)
            ]
            for seed in seeds
        ]
        if not tasks and len(split) == 1:
            draws[0][0] = draws[0][0]._replace(is_shown=True)
        tasks.append(Task(parts, evidence, sized or own, draws, size))
    return tasks


def sample_seeds(seed: int, samples: int) -> range:
    """The seed of each sample.

    Raises:
        UsageError: there are none, or too many, or these are no whole numbers.
    """
    first, count = _whole(seed), _whole(samples)
    if first is None or first < 0:
        raise UsageError(f"got seed {seed!r}; expected a whole number of at least 0")
    if count is None or not 1 <= count <= MOST_SAMPLES:
        raise UsageError(
            f"got {samples!r} samples; expected a whole number of at least 1, and at most "
            f"{MOST_SAMPLES:,}"
        )
    return range(first, first + count)


def _whole(value: object) -> int | None:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None
