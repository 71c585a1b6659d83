"""Noise schedules against closed forms."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sr4.diffusion.schedules import (
    LOG_SNR_LIMIT,
    CosineSchedule,
    Schedule,
    TableSchedule,
    TerminalSNRWarning,
    alpha_sigma,
    cosine_table,
    linear_schedule,
    single_step,
)
from sr4.errors import UsageError

SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "linear": linear_schedule,
    "cosine": CosineSchedule,
    "cosine-table": cosine_table,
    "table": lambda: TableSchedule(np.full(30, 0.5)),
    "none": single_step,
}


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return SCHEDULES[request.param]()


def test_alpha_and_sigma_of_a_log_snr() -> None:
    log_snr = np.linspace(-60, 60, 1201)
    alpha, sigma = alpha_sigma(log_snr)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-15)
    np.testing.assert_allclose(2 * np.log(alpha / sigma), log_snr, rtol=1e-14, atol=1e-14)
    # Far out no overflow, and the small one keeps its digits.
    np.testing.assert_allclose(alpha_sigma(np.asarray(-1400.0)), (np.exp(-700.0), 1), rtol=1e-13)


def test_alpha_and_sigma_in_torch() -> None:
    torch = pytest.importorskip("torch")
    log_snr = np.linspace(-20, 20, 41)
    for got, expected in zip(
        alpha_sigma(torch.from_numpy(log_snr)), alpha_sigma(log_snr), strict=True
    ):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-14)


def test_log_snr_falls_from_clean_to_noise(schedule: Schedule) -> None:
    levels = schedule.log_snr(np.linspace(0, 1, 5001))
    assert levels.dtype == np.float64
    assert levels[0] == LOG_SNR_LIMIT
    assert np.all(np.abs(levels) <= LOG_SNR_LIMIT)
    inside = np.abs(levels) < LOG_SNR_LIMIT
    assert np.all(np.diff(levels[inside]) < 0)
    assert np.all(np.diff(levels) <= 0)
    alpha, sigma = alpha_sigma(levels)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-15)


@pytest.mark.parametrize("t", [0.5, [0.5], [[0.25, 0.5], [0.75, 1.0]]])
def test_log_snr_keeps_the_shape_of_its_times(schedule: Schedule, t: Any) -> None:
    assert schedule.log_snr(t).shape == np.shape(t)


def test_the_cosine_schedule_is_its_formula() -> None:
    # gamma(t) = cos²((t + s) / (1 + s) · π/2) / cos²(s / (1 + s) · π/2), with s = 0.008.
    def gamma(t: float) -> float:
        return float(np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2)

    alpha, _ = alpha_sigma(CosineSchedule().log_snr(np.array([0.1, 0.5, 0.9])))
    expected = np.array([gamma(0.1), gamma(0.5), gamma(0.9)]) / gamma(0.0)
    np.testing.assert_allclose(alpha**2, expected, rtol=1e-13)
    assert CosineSchedule().log_snr(1.0) == -LOG_SNR_LIMIT


@pytest.mark.parametrize("steps", [50, 500])
def test_the_cosine_table_samples_the_continuous_schedule(steps: int) -> None:
    table = cosine_table(steps)
    clipped = table.betas >= 0.999
    assert clipped.tolist() == [False] * (steps - 1) + [True]
    times = np.arange(1, steps) / steps
    np.testing.assert_allclose(
        table.log_snr(times), CosineSchedule().log_snr(times), rtol=1e-9, atol=1e-9
    )


def test_a_table_interpolates_alpha_linearly() -> None:
    table = linear_schedule(10, 0.01, 0.9)
    roots = np.sqrt(np.cumprod(1 - np.linspace(0.01, 0.9, 10)))
    alpha, _ = alpha_sigma(table.log_snr((3 + np.array([0.0, 0.25, 0.5, 1.0])) / 10))
    expected = roots[2] + np.array([0.0, 0.25, 0.5, 1.0]) * (roots[3] - roots[2])
    np.testing.assert_allclose(alpha, expected, rtol=1e-12)


def test_a_table_keeps_its_betas() -> None:
    betas = np.array([0.5, 0.9, 0.999])
    table = TableSchedule(betas)
    betas[:] = 0.1
    assert table.betas.tolist() == [0.5, 0.9, 0.999]
    np.testing.assert_allclose(table.gammas, [1, 0.5, 0.05, 5e-5], rtol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        table.betas[0] = 0.1


def test_a_schedule_that_leaves_signal_at_its_end_warns() -> None:
    with pytest.warns(TerminalSNRWarning, match=r"sqrt\(gamma_T\) = 0\.285 of") as caught:
        linear_schedule(500)
    assert len(caught) == 1
    with pytest.warns(TerminalSNRWarning) as caught:
        TableSchedule(np.full(500, 1e-4))
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("schedule", "alpha"),
    [
        (lambda: linear_schedule(2000), 0.0065),
        (lambda: linear_schedule(500, 1e-6, 4e-2), 0.0065),
        (lambda: cosine_table(500), 1e-4),
    ],
)
def test_a_schedule_that_ends_in_noise_does_not_warn(
    schedule: Callable[[], Schedule], alpha: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        terminal, _ = alpha_sigma(schedule().log_snr(1.0))
    assert terminal == pytest.approx(alpha, rel=0.1)


@pytest.mark.parametrize("total", [50, 500, 2000])
def test_a_table_spreads_any_number_of_steps_over_its_grid(total: int) -> None:
    table = cosine_table(total)
    for steps in {*range(1, 51), total // 2 + 1, total - 1, total}:
        places = table.times(steps) * total
        np.testing.assert_allclose(places, np.round(places), atol=1e-9)
        assert places[0] == total
        assert places[-1] == 0
        gaps = -np.diff(np.round(places))
        assert gaps.size == steps
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 2
    assert table.times(total).tolist() == (np.arange(total, -1, -1) / total).tolist()


def test_the_continuous_schedule_takes_any_number_of_steps() -> None:
    assert CosineSchedule().times(4).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert CosineSchedule().times(9999).size == 10_000


@pytest.mark.parametrize("t", [-0.1, 1.1, np.nan, [0.5, 1.5], np.linspace(0, 2, 5000)])
def test_times_outside_the_process_are_refused(schedule: Schedule, t: object) -> None:
    with pytest.raises(UsageError, match=r"^got time \S+; expected times between 0 .* and 1 .*$"):
        schedule.log_snr(t)  # type: ignore[arg-type]


def test_impossible_numbers_of_steps_are_refused(schedule: Schedule) -> None:
    with pytest.raises(UsageError, match="got 0 steps; expected at least 1"):
        schedule.times(0)
    for make in (linear_schedule, cosine_table):
        with pytest.raises(UsageError, match="got -3 steps; expected at least 1"):
            make(-3)
    with pytest.raises(UsageError, match=r"got 51 steps; .* at most 50 steps"):
        cosine_table(50).times(51)


@pytest.mark.parametrize(
    ("betas", "message"),
    [
        ([], "shape"),
        ([[0.5, 0.5]], "shape"),
        (0.5, "shape"),
        ([0.0, 0.5], "got beta 0.0"),
        ([0.5, 1.0], "got beta 1.0"),
        ([0.5, -0.1], "got beta -0.1"),
        ([0.5, np.nan], "got beta nan"),
    ],
)
def test_impossible_betas_are_refused(betas: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TableSchedule(betas)  # type: ignore[arg-type]
