"""The model of how cost grows finds known numbers, and docs/scale.md says what it prints."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "scale"


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scale", ROOT / "benchmarks" / "scale.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module  # where its dataclasses look for their names
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def points() -> Any:
    return json.loads((DOCS / "points.json").read_text(encoding="utf-8"))


def test_a_fit_finds_what_made_the_points(scale: ModuleType) -> None:
    points = [{"side": side, "cost": 0.25 + 3e-6 * side**2} for side in (64, 500, 2000, 8000)]
    fit = scale.fitted("x", "s", points, "cost", scale._one, scale._pixels)
    assert fit.numbers == pytest.approx((0.25, 3e-6))
    assert fit.left_out == pytest.approx((0, 0, 0, 0), abs=1e-9)
    assert fit(1, 100**2) == pytest.approx(0.28)


def test_what_a_fit_says_of_a_point_does_not_rest_on_it(scale: ModuleType) -> None:
    points = [{"side": side, "cost": 3e-6 * side**2} for side in (64, 500, 2000, 8000)]
    points[2]["cost"] *= 2
    fit = scale.fitted("x", "s", points, "cost", scale._pixels)
    assert fit.left_out[2] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("pictures", "workers", "seconds", "handing", "expected"),
    [
        (1000, 1, 0.5, 0.0, 500.0),  # one worker, nothing to wait for
        (1000, 4, 0.5, 1e-9, 128.0),  # chunks of 16, of which two workers do one more
        (100_000, 50, 0.001, 0.01, 1000.0),  # the driver is always busy
        (3, 8, 2.0, 0.1, 2.3),  # one each, told one after the other
    ],
)
def test_simulated_calls_take_what_can_be_told_beforehand(
    scale: ModuleType,
    pictures: int,
    workers: int,
    seconds: float,
    handing: float,
    expected: float,
) -> None:
    found = scale.simulated(pictures, workers, seconds, handing)
    assert found == pytest.approx(expected, rel=0.02)


def test_simulation_and_formula_agree_on_the_bottleneck(scale: ModuleType) -> None:
    """Away from where both take as long, to 5 %."""
    for workers, most in ((10, 100.0), (1000, 500.0)):
        pictures = workers * 4096
        rate = pictures / scale.simulated(pictures, workers, 0.1, 0.002)
        assert rate == pytest.approx(most, rel=0.05)


def test_the_page_says_what_the_model_prints(scale: ModuleType, points: Any) -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for table in scale.tables(points, scale.model_of(points)):
        assert scale.markdown(table).strip() in text


def test_charts_are_drawn(scale: ModuleType, points: Any) -> None:
    found = scale.charts(points, scale.model_of(points))
    assert set(found) == {path.name for path in DOCS.glob("*.png")}
    for panel in found.values():
        assert scale.draw([panel]).size > (300, 200)
