"""What an ablation found: the numbers that its table and its page are made from.

A folder of results holds `results.json`, and pictures that it names:

    results.json
    samples/low_res/0.png …     the shown pictures as the systems got them
    samples/truth/0.png …       and as they were
    samples/bicubic/0.png …
    samples/RECIPE/0.png …      the results of a system at its own number of steps
    samples/RECIPE/steps.png    the first one's way from noise to picture, frames side by side
    samples/RECIPE/halfway.png  if it drew any while it trained, those after half of its budget
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sr4.config import RunSettings, explain
from sr4.errors import UsageError, reason
from sr4.evaluation.report import Evaluation
from sr4.files.whole import write_text

RESULTS = "results.json"
SAMPLES = "samples"
HALFWAY = "halfway.png"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LossPoint(_Record):
    """The mean training loss of the steps before a data position."""

    images: int
    loss: float


class CurvePoint(_Record):
    """A validation during training."""

    images: int
    psnr: float  # dB
    consistency: float  # x 1e-5
    map_mean: float | None = None  # of the input attention's map, in (0, 1)
    map_spread: float | None = None  # its standard deviation


Point = TypeVar("Point", LossPoint, CurvePoint)


def points(
    metrics: Iterable[Mapping[str, Any]], kind: str, point: type[Point]
) -> tuple[Point, ...]:
    """The lines of a metrics.jsonl of one kind ("train" or "validation") as points of a curve,
    without the figures that it does not hold.
    """
    return tuple(
        point(**{key: line[key] for key in point.model_fields if key in line})
        for line in metrics
        if line["kind"] == kind
    )


class Score(_Record):
    """An evaluation at a number of steps."""

    steps: int
    own: bool  # the system's own number of steps, and its own way: no projection
    projected: bool  # onto the pictures that D maps onto low_res, in every step
    evaluation: Evaluation
    # Of single pictures, in the order of the test set, so that systems can be compared in pairs:
    # psnr (dB), ssim, consistency (x 1e-5), and shares of kid_efflite0 (x 1000).
    pictures: dict[str, tuple[float, ...]]
    key: str = ""  # tells other settings and weights; earlier versions wrote none


Kind = Literal["own", "own projected", "projected", "fewest"]
"""At the system's own number of steps, without projection as in the paper, or with it; with it at
the most steps that all systems were scored at; without it at the fewest, if these are few.
"""

FEW = 100
"""Steps; the paper says of less than these what it says of few."""


class Row(_Record):
    """One run of a system."""

    recipe: str
    seed: int = 0  # how far it is from the first one's
    settings: RunSettings
    parameters: int
    gflops: float  # of one evaluation for one picture
    images: int  # training pictures seen
    losses: tuple[LossPoint, ...]
    curve: tuple[CurvePoint, ...]
    scores: tuple[Score, ...]  # the own number of steps first
    # Where it was scored; earlier versions say it of all results together.
    machine: str = ""
    versions: str = ""

    @property
    def own(self) -> Evaluation:
        """The scores at the system's own number of steps."""
        return next(score.evaluation for score in self.scores if score.own)

    def score(self, kind: Kind) -> Score | None:
        """The scores of a kind, if there are any."""
        if kind == "own":
            return next(one for one in self.scores if one.own)
        if kind == "fewest":
            few = [one for one in self.scores if not one.projected and one.steps < FEW]
            return min(few, key=lambda one: one.steps, default=None)
        projected = [one for one in self.scores if one.projected]
        own = next((one for one in projected if one.steps == self.own.nfe), None)
        if kind == "own projected":
            return own
        return next((one for one in projected if one is not own), own)


class Results(_Record):
    """A whole ablation."""

    size: str
    budget: int  # training pictures for each system
    seed: int
    data: str  # of the training, and how many pictures it holds
    test: str
    machine: str
    versions: str
    baselines: tuple[Evaluation, ...]  # bicubic and its projection
    rows: tuple[Row, ...]  # a run of each system, with the first seed
    repeats: tuple[Row, ...] = ()  # further ones, with other seeds
    shown: int  # pictures in samples/

    def runs(self, name: str) -> tuple[Row, ...]:
        """The runs of a system, by their seeds; none of one that is not there."""
        return tuple(row for row in (*self.rows, *self.repeats) if row.recipe == name)

    def is_alike(self, names: Iterable[str], kind: Kind) -> bool:
        """Whether scores of a kind are all at the same number of steps, if they are to be."""
        scores = (row.score(kind) for name in names for row in self.runs(name))
        steps = {score.steps for score in scores if score is not None}
        return len(steps) < 2 or kind in ("own", "own projected")

    def write(self, folder: Path) -> None:
        """Write results.json, whole or not at all."""
        write_text(folder / RESULTS, self.model_dump_json(indent=1) + "\n")


def read_results(folder: Path) -> Results:
    """The results in a folder.

    Raises:
        UsageError: there are none, or they are damaged.
    """
    path = folder / RESULTS
    expected = "expected the results of an ablation: name the folder that `sr4 ablate --out` wrote"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)}); {expected}") from error
    try:
        return Results.model_validate_json(text)
    except ValidationError as error:
        raise UsageError(f"{path}: {explain(error, Results)}; {expected}") from error
