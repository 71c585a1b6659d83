"""What a result says of how it was made: the models, and the options that they were used with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sr4._version import __version__
from sr4.config import ModelConfig
from sr4.model.folder import weights_checksum
from sr4.pictures import Provenance
from sr4.upscaling.asked import Asked

NOTE = "contains generated detail"
_SIZES = ("scale", "width", "height")


def common_provenance(
    names: Iterable[str], stages: Sequence[ModelConfig], asked: Asked
) -> dict[str, Any]:
    """What all results of a picture say.

    Args:
        names: of the models that it went through, or their folders.
        stages: the description of each.
    """
    sampling = [stage.sampling for stage in stages]
    steps, detail = asked.steps, asked.detail
    each = steps if isinstance(steps, Sequence) else [steps] * len(stages)
    taken = (one.steps_taken(count, detail) for count, one in zip(each, stages, strict=True))
    return {
        "software": f"sr4 {__version__}",
        "note": NOTE,
        "model": "+".join(Path(name).name for name in names),
        "sha256": "+".join(weights_checksum(stage) for stage in stages),
        "steps": _joined(taken),
        "sampler": _joined(asked.sampler or one.sampler for one in sampling),
        "detail": _joined(one.detail if detail is None else detail for one in sampling),
        "consistency": asked.consistency is not False and asked.evidence != "none",
        "evidence": asked.evidence,
        "noise": asked.noise,
        "blur": asked.blur,
        # Left out where the model decides, as results of earlier versions have it.
        **{key: side for key in _SIZES if (side := getattr(asked, key)) is not None},
        "tile": asked.tile,
    }


def shown(asked: Asked) -> dict[str, Any]:
    """What a result of several samples says that it shows: the first of them, or their mean."""
    if asked.use_mean:
        return {"shows": "the mean of samples", "seed": asked.seed, "samples": asked.samples}
    return {"shows": "a sample", "seed": asked.seed}


def with_quality(said: Provenance, quality: int | None) -> Provenance:
    """What a file says that was written with a quality; the same where nobody asked for one, as
    results of earlier versions have it.
    """
    return said if quality is None else {**said, "quality": int(quality)}


def _joined(values: Iterable[Any]) -> Any:
    """The one value, or those of the stages of a cascade."""
    several = list(values)
    return several[0] if len(several) == 1 else several
