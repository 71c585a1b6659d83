"""What a benchmark measures: rows of models, runtimes and numbers of steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from sr4.bench.row import Job
from sr4.build import build_schedule
from sr4.config import ModelSettings
from sr4.data.sources import Source, open_sources
from sr4.errors import MissingExtraError, UsageError, nearest
from sr4.machine.installation import how_to_install
from sr4.model.folder import DEFAULT_MODEL, PHOTO_MODEL, find_model, read_config, shipped_models
from sr4.recipes import RECIPES, recipe
from sr4.runtime import GRAPH
from sr4.upscaling.choose import FACE_SIDES

FACES = ("sr3", "sr4", DEFAULT_MODEL)
"""What is measured with pictures of faces; with others, PHOTO_MODEL is."""
STEPS: Mapping[str, tuple[int, ...]] = {"sr3": (2000, 500), "sr4": (50,), "sr4-fast": (4, 2, 1)}
# By backend: its package, and the extra that brings it.
PACKAGES: Mapping[str, tuple[str, str | None]] = {
    "onnx": ("onnxruntime", None),
    "openvino": ("openvino", "openvino"),
    "torch": ("torch", "train"),
}
LIMIT = 200


@dataclass(frozen=True)
class Plan:
    """The rows of a benchmark, in their order.

    Attributes:
        notes: what is left out, and how to have it; steps that a model does not take.
        data: where the pictures are from; None where speed alone is measured.
        limit: the most pictures that a trained model is scored on; pictures: as many as there are.
    """

    jobs: tuple[Job, ...]
    notes: tuple[str, ...]
    data: str | None
    limit: int
    pictures: int


@dataclass(frozen=True)
class _Entry:
    """One of the models to measure."""

    name: str
    random: bool
    has_graph: bool
    steps: tuple[int, ...]
    notes: tuple[str, ...]  # of steps that it does not take


def plan_rows(
    models: Sequence[str] | None = None,
    *,
    backends: Sequence[str] = tuple(PACKAGES),
    data: Sequence[str] = (),
    limit: int = LIMIT,
    quick: bool = False,
) -> Plan:
    """The rows to measure.

    Args:
        models: each a recipe (with random weights: its speed does not depend on them), a shipped
            model or a folder, and perhaps steps: "sr4:100,50". Without, those of `STEPS`, or the
            model's own. By default `FACES` for data whose first picture is as small as faces are,
            PHOTO_MODEL for other data, and all of them without data.
        backends: of "onnx", "openvino" and "torch", for models that are exported. Those that are
            not installed are left out. Models without a graph run on torch in float32.
        data: high-resolution pictures; without any, speed alone is measured.
        limit: how many of them to score.
        quick: fewer repeats, and no long picture.

    Raises:
        UsageError: an unknown model or backend, or an impossible number of steps or pictures.
        DataError: the data is no source of pictures, or its first one cannot be read.
        ModelError: a model folder is damaged.
        MissingExtraError: nothing asked for is installed, or SSIM is not.
    """
    if limit < 1:
        raise UsageError(f"got a limit of {limit} pictures; expected at least 1")
    for backend in backends:
        if backend not in PACKAGES:
            raise UsageError(f"unknown backend {backend!r}: {nearest(backend, PACKAGES)}")
    source = open_sources(data) if data else None
    if source is not None and find_spec("skimage") is None:
        raise MissingExtraError("SSIM", "scikit-image", "scores")
    notes: tuple[str, ...] = ()
    if models is None:
        models, notes = _usual_models(source)
    entries = [_entry(text) for text in models]
    rows, left_out = _rows(entries, backends)
    given = {"data": tuple(data), "limit": limit, "quick": quick}
    return Plan(
        jobs=tuple(job.model_copy(update=given) for job in rows),
        notes=(*notes, *(note for entry in entries for note in entry.notes), *left_out),
        data=None if source is None else source.location,
        limit=limit,
        pictures=0 if source is None else min(limit, len(source)),
    )


def _usual_models(source: Source | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The models for pictures of that size, and what is left out."""
    if source is None:
        return (*FACES, PHOTO_MODEL), ()
    most = max(FACE_SIDES) * read_config(find_model(DEFAULT_MODEL)).scale
    height, width = source.read(0).shape[:2]
    if max(height, width) <= most:
        return FACES, ()
    *others, last = FACES
    return (PHOTO_MODEL,), (
        f"rows of {', '.join(others)} and {last} are left out: they make faces of at most "
        f"{most}x{most} pixels, and the first picture has {width}x{height}; --model for them",
    )


def _entry(text: str) -> _Entry:
    """A model and its steps from "NAME" or "NAME:4,2,1"."""
    head, colon, tail = text.rpartition(":")
    with_steps = bool(colon) and all(part.strip().isdecimal() for part in tail.split(","))
    name = head if with_steps else text
    known = {*RECIPES, *shipped_models()}
    if name not in known and not os.path.lexists(name):
        raise UsageError(f"unknown model {name!r}: {nearest(name, known)}")
    random = name in RECIPES and name not in shipped_models()
    folder = None if random else find_model(name)
    settings: ModelSettings = recipe(name).model if folder is None else read_config(folder)
    usual = STEPS.get(settings.recipe, (settings.sampling.steps,))
    asked = tuple(map(int, tail.split(","))) if with_steps else usual
    taken = {number: settings.steps_taken(number, None) for number in asked}
    steps = tuple(dict.fromkeys(taken.values()))
    schedule = build_schedule(settings.schedule)
    for number in steps:
        if number < 1:
            raise UsageError(f"got {number} steps for {name!r}; expected at least 1")
        schedule.times(number)  # a table has no more than its own
    notes = tuple(
        f"{name} takes {own:,} step{'s' * (own != 1)} where {number:,} are asked for: its row is "
        f"that of {own:,}"
        for number, own in taken.items()
        if with_steps and own != number
    )
    has_graph = folder is not None and (folder / GRAPH).exists()
    return _Entry(name, random, has_graph, steps, notes)


def _rows(entries: Sequence[_Entry], backends: Sequence[str]) -> tuple[list[Job], list[str]]:
    """The rows in their order, and what was left out."""
    jobs, notes = [], {}
    for entry in entries:
        for backend in backends if entry.has_graph else ("torch",):
            package, extra = PACKAGES[backend]
            if find_spec(package) is None:
                alone = f"pip install '{package}'"
                advice = how_to_install(extra, package) if extra else alone
                notes[f"rows on {backend} are left out: {advice} for them"] = extra
                continue
            jobs += [
                Job(model=entry.name, random=entry.random, backend=backend, steps=steps)
                for steps in entry.steps
            ]
    if not jobs:
        raise UsageError(f"got nothing to measure ({'; '.join(notes) or 'no models'})")
    return list(dict.fromkeys(jobs)), list(notes)
