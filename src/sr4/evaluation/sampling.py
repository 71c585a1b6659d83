"""How an evaluation has pictures drawn: no more together than memory is to hold, and large ones in
tiles, as `sr4 upscale` makes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.config import SamplingSettings
from sr4.data.evaluation import EvaluationBatch
from sr4.diffusion.samplers import OnStep
from sr4.errors import ModelError
from sr4.model.diffusion_model import DiffusionModel
from sr4.upscaling.drawing import Drawing
from sr4.upscaling.draws import Draw
from sr4.upscaling.thresholds import LARGE

MOST_PIXELS = 50 * 128 * 128
"""Of the pictures of a batch, beyond the first: what 50 faces have, whatever the size is."""

Floats = NDArray[np.float32]


def is_large(high_res: Floats) -> bool:
    """Whether pictures (B, C, H, W) are drawn in tiles."""
    return math.prod(high_res.shape[2:]) > LARGE


def in_tiles(
    model: DiffusionModel,
    settings: SamplingSettings,
    low_res: Floats,
    seeds: Sequence[int],
    evidence: Mapping[str, Any],
    on_step: Callable[[int], OnStep],
) -> Floats:
    """Samples of large pictures, one after the other: (B, C, h, w) to (B, C, H, W), in [-1, 1].

    Args:
        evidence: `known` and `constraints` of the pictures, as `DiffusionModel.sample` takes them,
            where there are any.
        on_step: of the number of a picture, what is called after each of its bands.
    """
    found = []
    for number, (low, seed) in enumerate(zip(low_res, seeds, strict=True)):
        draw = Draw(low, seed)
        if evidence:
            own = {"constraint": evidence["constraints"], "known": evidence["known"]}
            draw = draw._replace(**{name: given[number] for name, given in own.items()})
        found += Drawing(model, settings, on_step=on_step(number)).samples([draw])
    return np.stack(found)


def start_runtime(model: DiffusionModel, low_res: Floats, detail: float | None) -> None:
    """Evaluate the network once, so that what it takes to start a runtime for such pictures is no
    part of the time of the first ones.

    Args:
        low_res: (B, C, h, w), of the first batch; of large pictures a part does.
    """
    if math.prod(low_res.shape[2:]) * model.config.scale**2 > LARGE:
        edge = 2 * model.config.image_size // model.config.scale
        low_res = low_res[:1, :, :edge, :edge]
    model.sample(low_res, seeds=range(len(low_res)), steps=1, detail=detail)


def check_result(model: str, result: Floats, batch: EvaluationBatch) -> None:
    """Refuse what is no picture for each of a batch.

    Raises:
        ModelError: another shape, or numbers that are not finite.
    """
    if result.shape != batch.high_res.shape:
        raise ModelError(
            f"the model {model!r} gave pictures of shape {result.shape}; expected "
            f"{batch.high_res.shape}: its scale or channels do not fit its degradation"
        )
    if not np.all(np.isfinite(result)):
        raise ModelError(
            f"the model {model!r} gave numbers that are not finite for {batch.names[0]!r} or one "
            f"of the {len(batch.names) - 1} pictures after it; expected values in [-1, 1]: its "
            "weights may be damaged"
        )
