"""What a result says of how it was made: the models, and the options that they were used with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sr4._version import __version__
from sr4.config import ModelConfig
from sr4.model.folder import weights_checksum

NOTE = "contains generated detail"
_SIZES = ("scale", "width", "height")


def common_provenance(
    names: Iterable[str], stages: Sequence[ModelConfig], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What all results of a picture say.

    Args:
        names: of the models that it went through, or their folders.
        stages: the description of each.
        options: those of `CascadePipeline.upscale`; what is missing was left to the models.
    """
    sampling = [stage.sampling for stage in stages]
    steps, detail = options.get("steps"), options.get("detail")
    each = steps if isinstance(steps, (list, tuple)) else [steps] * len(stages)
    taken = (one.steps_taken(asked, detail) for asked, one in zip(each, stages, strict=True))
    return {
        "software": f"sr4 {__version__}",
        "note": NOTE,
        "model": "+".join(Path(name).name for name in names),
        "sha256": "+".join(weights_checksum(stage) for stage in stages),
        "steps": _joined(taken),
        "sampler": _joined(options.get("sampler") or one.sampler for one in sampling),
        "detail": _joined(one.detail if detail is None else detail for one in sampling),
        "consistency": options.get("consistency") is not False
        and options.get("evidence") != "none",
        **{key: options.get(key) for key in ("evidence", "noise", "blur")},
        # Left out where the model decides, as results of earlier versions have it.
        **{key: side for key in _SIZES if (side := options.get(key)) is not None},
        "tile": options.get("tile"),
    }


def shown(seed: int, samples: int, use_mean: bool) -> dict[str, Any]:
    """What a result of several samples says that it shows: the first of them, or their mean."""
    if use_mean:
        return {"shows": "the mean of samples", "seed": seed, "samples": samples}
    return {"shows": "a sample", "seed": seed}


def _joined(values: Iterable[Any]) -> Any:
    """The one value, or those of the stages of a cascade."""
    several = list(values)
    return several[0] if len(several) == 1 else several
