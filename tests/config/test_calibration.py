"""Settings of intervals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from sr4.config import (
    Calibration,
    HalfSplit,
    ModelConfig,
    SamplingSettings,
    parse_model_config,
)
from sr4.errors import ModelError
from sr4.model.folder import read_config, shipped_models

CHECK = HalfSplit(
    samples=4,
    coverage_50=0.5,
    coverage_80=0.8,
    coverage_95=0.95,
    coverage_95_low=0.9,
    uncalibrated_95=0.7,
    spread_rank=0.5,
)


def calibration(**changes: Any) -> Calibration:
    """Of two levels and up to 4 samples, with other values where they are given."""
    given: dict[str, Any] = {
        "data": ("val.tar",),
        "sha256": "0" * 64,
        "count": 1400,
        "sampling": SamplingSettings(steps=1, sampler="ddim"),
        "smoothing": 0.0,
        "floor": 1.0,
        "levels": (0.5, 0.9),
        "factors": {2: (1.0, 3.0), 4: (1.0, 2.0)},
        "check": CHECK,
    }
    return Calibration(**(given | changes))


def test_it_survives_json() -> None:
    one = calibration()
    again = Calibration.model_validate_json(one.model_dump_json())
    assert again == one
    assert list(again.factors) == [2, 4]
    assert again.key == one.key != calibration(floor=2.0).key


def test_it_says_what_it_was_fitted_on() -> None:
    assert calibration().data_name == "1,400 pictures of val.tar"
    two = calibration(data=("a", "b.tar"), count=2, corruption="photo")
    assert two.data_name == "2 pictures of a and b.tar, degraded as a photo"


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": (0.9, 0.5)},
        {"levels": (0.0, 0.5)},
        {"levels": (0.5, 1.0)},
        {"levels": (0.5,)},
        {"factors": {2: (3.0, 1.0)}},
        {"factors": {2: (-1.0, 1.0)}},
        {"factors": {1: (1.0, 2.0)}},
        {"factors": {}},
        {"factors": {2: (1.0, 1e308)}},
        {"data": ()},
        {"sha256": "x"},
        {"count": 1},
        {"floor": 0.0},
        {"floor": float("nan")},
        {"corruption": "scan"},
        {"unknown": 1},
    ],
)
def test_what_makes_no_intervals_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        calibration(**changes)


def test_a_model_without_is_a_model() -> None:
    """As all folders were that earlier versions wrote."""
    config = read_config(shipped_models()["sr4-fast"])
    older = config.model_dump(exclude={"calibrations"})
    assert ModelConfig.model_validate(older).calibrations == ()


def test_the_shipped_models_are_calibrated_for_what_they_do_by_themselves() -> None:
    for name, corruptions in {"sr4-fast": ["none"], "photo-x4": ["none", "photo"]}.items():
        config = read_config(shipped_models()[name])
        found = [one for one in config.calibrations if one.sampling == config.sampling]
        assert sorted(one.corruption for one in found) == corruptions
        for one in found:
            assert abs(one.check.coverage_95 - 0.95) < 0.03  # of few photographs
            assert one.check.uncalibrated_95 < 0.8


def test_a_wrong_calibration_is_named_by_its_place() -> None:
    config = read_config(shipped_models()["sr4-fast"]).model_dump(mode="json")
    config["calibrations"][0]["floor"] = 0
    with pytest.raises(ModelError, match=r"where: setting 'calibrations\.0\.floor'"):
        parse_model_config(json.dumps(config), "where", ModelError)
