"""`sr4 evaluate --calibrate`: intervals fitted on the pictures, put into the model folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sr4.cli import console
from sr4.errors import UsageError

if TYPE_CHECKING:
    from sr4.config import Calibration, CorruptionName, SamplingSettings
    from sr4.evaluation.calibration import Calibrator

SAMPLES = 16
"""Of each picture, unless --samples says otherwise."""


class Calibrating:
    """A calibration in the making.

    Args:
        model: what --model names; samples: of each picture.
        is_baseline: whether it is no model.

    Raises:
        UsageError: it is no model folder that can be changed, or the samples are too few.
        ModelError: there is no such model.
    """

    def __init__(self, model: str, samples: int, *, is_baseline: bool) -> None:
        from sr4.evaluation.calibration import Calibrator
        from sr4.model.folder import find_model, shipped_models
        from sr4.runtime import CONFIG

        if is_baseline:
            raise UsageError(
                f"got --calibrate for the baseline {model!r}, which draws no samples; expected a "
                "model folder: leave it out"
            )
        if model in shipped_models():
            raise UsageError(
                f"got --calibrate for the shipped model {model!r}, which stays as it is; expected "
                f"a folder of your own: copy it with sr4 export {model} -o my-model, then --model "
                "my-model"
            )
        self.folder = find_model(model)
        for place in (self.folder, self.folder / CONFIG):
            if not os.access(place, os.W_OK):
                raise UsageError(
                    f"got --calibrate for {str(place)!r}, which is read-only; expected a folder "
                    "that can be changed: copy it"
                )
        self.calibrator: Calibrator = Calibrator(samples)

    def write(
        self, data: Sequence[str], corruption: CorruptionName, sampling: SamplingSettings
    ) -> Calibration:
        """Put what was fitted into the model folder."""
        from sr4.model.folder import add_calibration

        calibration = self.calibrator.calibration(data, corruption, sampling)
        add_calibration(self.folder, calibration)
        return calibration


def show(calibration: Calibration, folder: Path, *, is_quiet: bool) -> None:
    """Print what was fitted, and what it did on pictures that had no part in it.

    Args:
        is_quiet: whether only cautions are printed.
    """
    from sr4.evaluation.calibration import FEW

    if calibration.count < FEW:
        console.note(
            f"sr4: note: a calibration on fewer than {FEW} pictures hangs on which ones they are"
        )
    if is_quiet:
        return
    check = calibration.check
    console.say("")
    console.say(f"calibrated on {calibration.data_name}, written to {folder}")
    header = ("samples", *(f"{100 * level:g} %" for level in calibration.levels))
    rows = [
        (str(samples), *(f"{factor:.2f}" for factor in factors))
        for samples, factors in calibration.factors.items()
    ]
    console.say_table(rows, header=header)
    console.say(
        f"fitted on every second picture, of {check.samples} samples, the intervals held on the "
        f"others: 50 % {_percent(check.coverage_50)}, 80 % {_percent(check.coverage_80)}, 95 % "
        f"{_percent(check.coverage_95)} ({_percent(check.coverage_95_low)} in the picture at the "
        f"5th percentile); 1.96 deviations hold {_percent(check.uncalibrated_95)}"
    )
    if check.spread_rank is not None:
        console.say(f"rank correlation of spread and error: {check.spread_rank:.3f}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
