"""What is said of a result: for people, for JSON, for the headers of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr4.batch.given_up import what_was_given_up
from sr4.batch.heatmap import legend
from sr4.plots.heatmap import Legend
from sr4.upscaling.thresholds import WORTH_SAYING

if TYPE_CHECKING:
    from sr4.batch.plan import PlannedPicture
    from sr4.pictures import Provenance
    from sr4.upscaling.result import Result


@dataclass(frozen=True)
class ResultRecord:
    """What is said of the result of one picture.

    Attributes:
        input: the picture; output: the result's file or name.
        model: its name or folder; backend: the runtime.
        size: width and height of the result.
        consistency: see `Result.consistency`; of an animation that of its worst frame.
        consistencies: the same of each sample.
        seconds: of drawing; where pictures were drawn together, the mean of theirs.
        together: pictures that were.
        evidence: what the picture was taken to say, in words.
        evidence_numbers: the same with numbers.
        given_up: share of the picture's pixels that the result does not meet; see `Result`. Of an
            animation that of its worst frame, as is what the notes say of it.
        frames: of an animation, 1 of a still picture.
        notes: what else is to be known, each a clause.
        samples, uncertainty: the further files; legend: what the latter shows.
        provenance: what the result's file says of how it was made.
    """

    input: str
    output: str
    model: str
    backend: str
    size: tuple[int, int]
    consistency: float
    consistencies: tuple[float, ...]
    seconds: float
    together: int
    evidence: str
    evidence_numbers: Mapping[str, Any]
    given_up: float
    frames: int
    notes: tuple[str, ...]
    samples: tuple[str, ...]
    uncertainty: str | None
    legend: Legend | None
    provenance: Provenance = field(repr=False)

    def json(self) -> dict[str, Any]:
        """The object for JSON, without what goes without saying."""
        found: dict[str, Any] = {
            "input": self.input,
            "output": self.output,
            "model": self.model,
            "width": self.size[0],
            "height": self.size[1],
            "consistency": self.consistency,
            "seconds": self.seconds,
        }
        if self.together > 1:
            found["together"] = self.together
        found |= {"evidence": dict(self.evidence_numbers), "given_up": self.given_up}
        if self.frames > 1:
            found["frames"] = self.frames
        if self.notes:
            found["notes"] = list(self.notes)
        if self.samples:
            found["samples"] = list(self.samples)
        if self.uncertainty and self.legend:
            found["uncertainty"] = self.uncertainty
            found["uncertainty_shows"] = self.legend.shows
        return found


def record_of(
    picture: PlannedPicture,
    results: Sequence[Result],
    *,
    model: str,
    backend: str,
    seconds: float,
    together: int,
    losses: Sequence[str],
    provenance: Mapping[Path, Provenance],
) -> ResultRecord:
    """The record of a picture's results, one for each frame.

    Args:
        losses: what reading and writing it lost, each a clause.
        provenance: what each of its files says.
    """
    first = results[0]
    worst = max(results, key=lambda one: one.given_up.mean())
    given_up = float(worst.given_up.mean())
    notes = [*first.evidence.notes, *losses]
    if worst.evidence.constrains and given_up >= WORTH_SAYING:
        notes.append(what_was_given_up(worst.given_up))
    return ResultRecord(
        input=str(picture.source),
        output=str(picture.output),
        model=model,
        backend=backend,
        size=first.raster.size,
        consistency=max(one.consistency for one in results),
        consistencies=tuple(map(max, zip(*(one.consistencies for one in results), strict=True))),
        seconds=seconds,
        together=together,
        evidence=str(first.evidence),
        evidence_numbers=first.evidence.numbers,
        given_up=given_up,
        frames=len(results),
        notes=tuple(notes),
        samples=tuple(map(str, picture.samples)),
        uncertainty=None if picture.uncertainty is None else str(picture.uncertainty),
        legend=None if picture.uncertainty is None else legend(first),
        provenance=provenance[picture.output],
    )
