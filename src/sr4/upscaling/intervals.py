"""Intervals of pixels: how far the truth may lie from the mean of samples, by their deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr4.errors import UsageError, any_of

if TYPE_CHECKING:
    from sr4.config import Calibration, CorruptionName, SamplingSettings
    from sr4.evidence.kinds import Evidence
    from sr4.model.diffusion_model import DiffusionModel
    from sr4.upscaling.result import Result

Floats = NDArray[np.float32]

_LEVELS = 255  # of 8 bits
SEVERAL_MODELS = (
    "got a result of several models in turn, which are not calibrated together; expected one of a "
    "single model: load it by its name"
)
"""Why results of cascades have no intervals."""

_REACH = 4  # deviations beyond which a Gaussian is left out


def deviation(uncertainty: NDArray[Any], *, smoothing: float, floor: float) -> Floats:
    """What intervals are multiples of: the deviation of samples, smoothed, and a floor.

    That of few samples is itself uncertain, and its neighbours say more of it; without the floor
    pixels in which all samples agree would have no interval.

    Args:
        uncertainty: (..., H, W), see `Result.uncertainty`.
        smoothing, floor: see `Calibration`.

    Returns:
        (..., H, W) on the [0, 1] scale.
    """
    found = np.asarray(uncertainty, np.float32)
    if smoothing > 0:
        found = _blurred(_blurred(found, -1, smoothing), -2, smoothing)
    return np.asarray(found + floor / _LEVELS, np.float32)


def _blurred(values: Floats, axis: int, smoothing: float) -> Floats:
    """A Gaussian blur along an axis, which is reflected at its ends."""
    reach = math.ceil(_REACH * smoothing)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / smoothing) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    along = np.moveaxis(values, axis, 0)
    padded = np.pad(along, [(reach, reach), *[(0, 0)] * (along.ndim - 1)], mode="symmetric")
    blurred = np.zeros_like(along)
    for first, weight in enumerate(weights):
        blurred += weight * padded[first : first + len(along)]
    return np.moveaxis(blurred, 0, axis)


def factor(calibration: Calibration, level: float, samples: int) -> float:
    """What the deviation is multiplied by for half the width of an interval.

    Of a number of samples that it was not fitted for, that of the next smaller one is taken, whose
    intervals are wider.

    Raises:
        UsageError: the level is not one of the calibration's, or there are too few samples.
    """
    levels = calibration.levels
    places = [place for place, one in enumerate(levels) if math.isclose(one, level, abs_tol=1e-9)]
    if not places:
        raise UsageError(
            f"got the level {level!r} of an interval; expected one that was calibrated: "
            f"{', '.join(f'{one:g}' for one in levels)}"
        )
    fewer = [count for count in calibration.factors if count <= samples]
    if not fewer:
        raise UsageError(
            f"got {samples} sample{'s' * (samples > 1)} for an interval; expected at least "
            f"{min(calibration.factors)}, whose deviation tells how sure they are: pass samples=8"
        )
    return calibration.factors[max(fewer)][places[0]]


def calibration_of(
    calibrations: Sequence[Calibration],
    sampling: SamplingSettings | None,
    corruption: CorruptionName,
) -> Calibration | None:
    """The calibration of a model that holds for pictures sampled so; None if there is none."""
    fitting = (
        one for one in calibrations if one.sampling == sampling and one.corruption == corruption
    )
    return next(fitting, None)


def corruption_of(evidence: Evidence) -> CorruptionName:
    """What pictures of that evidence went through, in the words of calibrations."""
    return "none" if evidence.is_of_clean_pixels else "photo"


def calibrated(
    result: Result, model: DiffusionModel, sampling: SamplingSettings, *, is_own_size: bool
) -> Result:
    """A result with the calibration of its model, or with the reason why there is none for it.

    Args:
        sampling: how its samples were drawn.
        is_own_size: whether it is as large as the model makes it.
    """
    calibrations, evidence = model.config.calibrations, result.evidence
    sampling = sampling.model_copy(update={"consistency": evidence.constrains})
    found = calibration_of(calibrations, sampling, corruption_of(evidence))
    why = "" if found else _missing(model.name, calibrations, sampling, evidence)
    if found and not is_own_size:
        found, why = (
            None,
            f"got a result of another size than the model {model.name!r} makes by itself, for "
            f"which it is not calibrated; expected the scale {model.config.scale}: leave scale, "
            "width and height out",
        )
    return replace(result, calibration=found, why_uncalibrated=why)


def _missing(
    model: str,
    calibrations: Sequence[Calibration],
    sampling: SamplingSettings,
    evidence: Evidence,
) -> str:
    if not calibrations:
        return (
            f"got a result of the model {model!r}, which has no calibration; expected a model that "
            "has one: make it with sr4 evaluate --calibrate"
        )
    there = dict.fromkeys(_shown(one.sampling, one.corruption) for one in calibrations)
    return (
        f"got a result for {_shown(sampling, corruption_of(evidence))}, for which the model "
        f"{model!r} is not calibrated; expected {any_of(tuple(there))}: leave the options out that "
        "differ, or calibrate for them with sr4 evaluate --calibrate"
    )


def _shown(sampling: SamplingSettings, corruption: CorruptionName) -> str:
    fits = "with" if sampling.consistency else "without"
    kind = "clean pictures" if corruption == "none" else "pictures with noise, blur or compression"
    return (
        f"{kind} in {sampling.steps} step{'s' * (sampling.steps > 1)} of {sampling.sampler}, "
        f"detail {sampling.detail:g}, {fits} consistency"
    )
