"""The charts of evaluations say what was found."""

from __future__ import annotations

import re

import pytest

from sr4.evaluation.figures import distributions, reliability
from sr4.evaluation.metrics import Interval
from sr4.evaluation.report import PictureScore, Reliability

pytest.importorskip("matplotlib")


def covered(level: float, found: float, raw: float) -> Reliability:
    def interval(value: float) -> Interval:
        return Interval(value=value, low=value - 0.01, high=value + 0.01)

    return Reliability(level=level, calibrated=interval(found), uncalibrated=interval(raw))


POINTS = [covered(0.5, 0.52, 0.3), covered(0.95, 0.941, 0.7), covered(0.99, 0.985, 0.8)]


def test_a_chart_of_coverage_tells_it_in_words() -> None:
    found = reliability({"it": POINTS})
    assert found is not None
    assert found.alt == (
        "calibrated: 95 % stated, 94.1 % found; uncalibrated: 95 % stated, 70.0 % found"
    )
    for name in ("as stated", "calibrated", "uncalibrated"):
        assert f">{name}</text>" in found.svg


def test_of_several_systems_each_has_one_line() -> None:
    raw = [one.model_copy(update={"calibrated": None}) for one in POINTS]
    found = reliability({"a": POINTS, "b": raw, "c": ()})
    assert found is not None
    assert found.alt == (
        "a, calibrated: 95 % stated, 94.1 % found; b, uncalibrated: 95 % stated, 70.0 % found"
    )
    assert reliability({"c": ()}) is None


def test_single_samples_have_no_chart() -> None:
    assert reliability({}) is None


def scored(*values: float) -> list[PictureScore]:
    return [PictureScore(name=f"{at}", psnr=value, ssim=0.5) for at, value in enumerate(values)]


def test_distributions_tell_their_quarters() -> None:
    (found,) = distributions({"it": scored(20, 21, 22, 23, 30)})  # SSIM is the same for all
    assert found.caption == "From 20.00 to 30.00, half of them between 21.00 and 23.00."
    assert found.alt.startswith("PSNR of pictures. it: from 20.00")
    assert re.search(r">PSNR</text>", found.svg)
    (both,) = distributions({"a": scored(20, 21), "b": scored(25, 26, 30)})
    assert both.caption == "Medians: a 20.50, b 26.00."


def test_what_nobody_has_is_not_shown() -> None:
    assert list(distributions({"it": []})) == []
    assert list(distributions({"a": scored(20, 21), "b": []})) == []
