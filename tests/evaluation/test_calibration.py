"""Intervals fitted on some pictures cover the truth of others."""

from __future__ import annotations

import numpy as np
import pytest

from sr4.config import Calibration, SamplingSettings
from sr4.config.calibration import LEVELS
from sr4.errors import UsageError
from sr4.evaluation import calibration as module
from sr4.evaluation.calibration import Calibrator, fitted
from sr4.evaluation.spread import Intervals, Pixels, RunningSpread, Spread, spread_rank
from sr4.pictures.pixels import quantise
from sr4.upscaling.intervals import deviation

SAMPLING = SamplingSettings(steps=1, sampler="ddim")
EDGE = 32


def drawn(
    pictures: int, samples: int, seed: int, *, too_sure: float, least: float = 0.03
) -> tuple[Pixels, dict[int, Spread]]:
    """Truths and samples of one normal distribution at each pixel, whose deviation changes from
    place to place; that of the samples is smaller than it should be by a factor.
    """
    rng = np.random.default_rng(seed)
    mean = rng.uniform(-0.4, 0.4, (pictures, 3, EDGE, EDGE))
    ramp = np.linspace(least, 0.2, EDGE)
    deviations = ramp * rng.uniform(0.7, 1.3, (pictures, 1, 1, 1))
    truths = quantise(mean + deviations * rng.standard_normal(mean.shape))
    running = RunningSpread((2, 4, 8, 16))
    for _ in range(samples):
        noise = rng.standard_normal(mean.shape)
        running.add((mean + deviations / too_sure * noise).astype(np.float32))
    return truths, running.kept


def fit(truths: Pixels, spreads: dict[int, Spread], samples: int) -> Calibration:
    calibrator = Calibrator(samples)
    calibrator.add([f"{number}.png" for number in range(len(truths))], truths, spreads)
    return calibrator.calibration(["some/where/val.tar"], "none", SAMPLING)


def test_intervals_cover_what_they_say_though_samples_are_too_sure() -> None:
    """Deviations are half of what they should be; 1.96 of them would hold 67 %."""
    made_by = fit(*drawn(60, 16, seed=0, too_sure=2), samples=16)
    assert list(made_by.factors) == [2, 4, 8, 16]
    truths, spreads = drawn(60, 16, seed=1, too_sure=2)
    for spread in spreads.values():
        intervals = Intervals(truths, spread, made_by)
        for level in LEVELS:
            assert intervals.coverage(level).mean() == pytest.approx(level, abs=0.012)
    assert spreads[16].uncalibrated_coverage(truths).mean() < 0.75
    assert np.median(Intervals(truths, spreads[16], made_by).rank) > 0.2


def test_the_factors_are_those_of_the_distribution() -> None:
    """With the deviations as they should be, 50, 80 and 95 % of a normal distribution; 16 samples
    tell their mean to a quarter of it, which makes the distance to the truth larger by 3 %, and
    the floor and the 8 bits change little.
    """
    made_by = fit(*drawn(80, 16, seed=2, too_sure=1, least=0.15), samples=16)
    found = dict(zip(made_by.levels, made_by.factors[16], strict=True))
    for level, expected in ((0.5, 0.674), (0.8, 1.282), (0.95, 1.960)):
        assert found[level] == pytest.approx(expected * np.sqrt(1 + 1 / 16), rel=0.08)


def test_one_half_checks_the_other() -> None:
    """The second half of pictures, which are as sure as they should be, against factors for the
    first, whose are twice too sure.
    """
    sure, unsure = (drawn(20, 4, seed=3, too_sure=factor) for factor in (2, 1))
    order = np.arange(40).reshape(2, 20).T.ravel()  # one of each in turn
    truths = np.concatenate([sure[0], unsure[0]])[order]
    both = {
        count: Spread(
            np.concatenate([sure[1][count].mean, unsure[1][count].mean])[order],
            np.concatenate([sure[1][count].uncertainty, unsure[1][count].uncertainty])[order],
            count,
        )
        for count in (2, 4)
    }
    check = fit(truths, both, samples=4).check
    assert check.samples == 4
    assert check.coverage_50 > 0.7
    assert check.coverage_80 > 0.95
    assert check.coverage_95_low <= check.coverage_95
    # What is said beside the coverage is of the second half, too.
    others, spread = unsure[0], unsure[1][4]
    assert check.uncalibrated_95 == pytest.approx(spread.uncalibrated_coverage(others).mean())
    deviations = deviation(spread.uncertainty, smoothing=module.SMOOTHING, floor=module.FLOOR)
    ranks = spread_rank(deviations, spread.errors(others))
    assert check.spread_rank == pytest.approx(np.median(ranks))
    alone = fit(*sure, samples=4).check
    assert alone.coverage_95 == pytest.approx(0.95, abs=0.02)
    assert alone.uncalibrated_95 < 0.75


def test_quantiles_by_hand() -> None:
    """Of nine scores in nine bins: the 5th for 50 %, the 9th for 90 %, and for 95 %, which would
    take a tenth, the largest there is.
    """
    edges, counts = module._EDGES, np.zeros(len(module._EDGES), np.int64)
    bins = np.arange(100, 1000, 100)
    counts[bins] = 1
    found = dict(zip(LEVELS, fitted(counts), strict=True))
    assert found[0.1] == edges[101]
    assert found[0.5] == edges[501]
    assert found[0.8] == edges[801]
    assert found[0.9] == found[0.95] == found[0.99] == edges[901]


def test_scores_lie_below_the_upper_edge_of_their_bin() -> None:
    scores = np.array([0.0, 1e-9, 0.5, module._EDGES[700], 999.0, 5000.0])
    places = np.flatnonzero(module._counted(scores.astype(np.float64)))
    assert places[0] == 0
    assert 699 in places
    assert places[-1] == len(module._EDGES) - 1
    half = np.searchsorted(module._EDGES, 0.5) - 1
    assert half in places
    assert module._EDGES[half] < 0.5 <= module._EDGES[half + 1]


def test_the_pictures_are_known_by_their_pixels_and_names() -> None:
    truths, spreads = drawn(2, 2, seed=0, too_sure=1)

    def digest(names: list[str], pixels: Pixels) -> str:
        calibrator = Calibrator(2)
        calibrator.add(names, pixels, spreads)
        return calibrator.calibration(["x"], "none", SAMPLING).sha256

    first = digest(["a.png", "b.png"], truths)
    assert digest(["a.webp", "b.tif"], truths) == first  # whatever format they are kept in
    assert digest(["a.png", "c.png"], truths) != first
    assert digest(["a.png", "b.png"], truths[::-1]) != first


def test_what_is_too_little_is_refused() -> None:
    with pytest.raises(UsageError, match="got 1 sample to calibrate with; expected at least 2"):
        Calibrator(1)
    with pytest.raises(UsageError, match="got 1 picture to calibrate on; expected at least 2"):
        fit(*drawn(1, 2, seed=0, too_sure=1), samples=2)
    assert Calibrator(11).counts == (2, 4, 8)
