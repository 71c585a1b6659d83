"""How the results of one call of `sr4 upscale` are made, and how an earlier call's are told."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr4._version import __version__
from sr4.errors import PictureError
from sr4.files.whole import file_sha256

if TYPE_CHECKING:
    from sr4.batch.plan import Job
    from sr4.config import ModelConfig
    from sr4.pictures import Provenance

AUTO = "auto"
NOTE = "contains generated detail"
# What a result says of how it was made that is no option: it follows from them and the input.
_FOUND = {"software": "", "found": ""}
_SIZES = ("scale", "width", "height")


@dataclass(frozen=True)
class Making:
    """The options of a call that decide its pixels.

    Attributes:
        model: a name or a folder; "auto" takes a shipped one for each picture, by its size.
        options: those of `Pipeline.upscale`.
    """

    model: str
    options: Mapping[str, Any]

    def model_for(self, job: Job) -> str:
        """The name or folder of the model that a picture goes through."""
        return _chosen(job.source) if self.model == AUTO else self.model

    def size_of(self, job: Job) -> tuple[int, int] | None:
        """Width and height of a picture by its header; None where there is none to be read."""
        return _size(job.source)

    def pixels_drawn(self, job: Job, size: tuple[int, int]) -> int:
        """Of a picture of that width and height: those of the results of all stages, of all
        samples.
        """
        scales = accumulate((one.scale for one in _stages(self.model_for(job))), operator.mul)
        samples: int = self.options["samples"]
        return int(samples * size[0] * size[1] * sum(scale**2 for scale in scales))

    def provenance(self, job: Job) -> dict[Path, Provenance]:
        """What each file of a job says of how it was made."""
        from sr4.runtime import WEIGHTS

        model, options = self.model_for(job), self.options
        stages = _stages(model)
        sampling = [stage.sampling for stage in stages]
        common = {
            "software": f"sr4 {__version__}",
            "note": NOTE,
            "model": "+".join(Path(one).name for one in _names(model)),
            "sha256": "+".join(stage.sha256.get(WEIGHTS, "") for stage in stages),
            "steps": _joined(options["steps"] or one.steps for one in sampling),
            "sampler": _joined(options["sampler"] or one.sampler for one in sampling),
            "detail": _joined(
                one.detail if options["detail"] is None else options["detail"] for one in sampling
            ),
            "consistency": options["consistency"] is not False,
            **{key: options[key] for key in ("evidence", "noise", "blur")},
            # Left out where the model decides, as results of earlier versions have it.
            **{key: options[key] for key in _SIZES if options.get(key) is not None},
            "tile": options["tile"],
            "input": file_sha256(job.source),
        }
        seed, several = options["seed"], {"seed": options["seed"], "samples": options["samples"]}
        said = {
            path: {**common, "shows": "a sample", "seed": seed + number}
            for number, path in enumerate(job.samples)
        }
        if job.uncertainty:
            said[job.uncertainty] = {**common, "shows": "the deviation of samples", **several}
        result = {"shows": "the mean of samples", **several}
        if not options["use_mean"]:
            result = {"shows": "a sample", "seed": seed}
        return {**said, job.output: {**common, **result}}

    def made(self, job: Job) -> Collection[Path]:
        """The files of a job that are there already, made of the same input in the same way,
        whatever the version.
        """
        try:
            wanted = self.provenance(job)
        except OSError:  # said when the picture is read
            return ()
        return {path for path, provenance in wanted.items() if _says(path, provenance)}


@cache
def _size(path: Path) -> tuple[int, int] | None:
    from sr4.pictures import read_size

    try:
        return read_size(path)
    except PictureError:  # said when the picture is read
        return None


def _chosen(path: Path) -> str:
    from sr4.model.folder import PHOTO_MODEL, model_for

    size = _size(path)
    return PHOTO_MODEL if size is None else model_for(*size)


def _names(model: str) -> list[str]:
    from sr4.upscaling.load import model_names

    return model_names(model)


@cache
def _stages(model: str) -> list[ModelConfig]:
    from sr4.model.folder import find_model, read_config

    return [read_config(find_model(name)) for name in _names(model)]


def _joined(values: Iterable[Any]) -> Any:
    """The one value, or those of the stages of a cascade."""
    several = list(values)
    return several[0] if len(several) == 1 else several


def _says(path: Path, wanted: Provenance) -> bool:
    from sr4.pictures import read_provenance

    try:
        found = read_provenance(path)
    except PictureError:  # not there, or someone else's
        return False
    return found is not None and {**found, **_FOUND} == {**wanted, **_FOUND}
