"""Samplers on Gaussian data, where the denoiser, the flow and every moment are closed forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from sr4.diffusion import samplers
from sr4.diffusion.predictions import PREDICTIONS
from sr4.diffusion.process import Transition, like
from sr4.diffusion.samplers import (
    AncestralSampler,
    DDIMSampler,
    Denoised,
    DPMSolverPP2MSampler,
    PictureNoise,
    Sampler,
    Step,
)
from sr4.diffusion.schedules import CosineSchedule, Schedule, alpha_sigma, linear_schedule
from sr4.errors import UsageError

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class UniformLogSNR:
    """A schedule of one's own: log_snr falls from 12 to -12 on a straight line."""

    def log_snr(self, t: ArrayLike) -> Float64:
        return 12 - 24 * np.asarray(t, np.float64)

    def times(self, steps: int) -> Float64:
        return np.linspace(1, 0, steps + 1)


@dataclass(frozen=True)
class GaussianData:
    """x_0 ~ N(mean, deviation²), each element on its own: numbers or arrays of picture shape."""

    mean: Any
    deviation: Any

    def spread(self, log_snr: ArrayLike) -> Any:
        """Deviation of x_t."""
        alpha, sigma = alpha_sigma(np.asarray(log_snr, np.float64))
        return np.sqrt(alpha**2 * self.deviation**2 + sigma**2)

    def denoise(self, x_t: Any, log_snr: float) -> Denoised:
        """E[x_0 | x_t]."""
        alpha, _ = alpha_sigma(np.asarray(log_snr))
        gain = like(self.deviation**2 * alpha / self.spread(log_snr) ** 2, x_t)
        return Denoised(like(self.mean, x_t) + gain * (x_t - like(alpha * self.mean, x_t)))

    def flow(self, x_t: Float64, log_snr_t: float, log_snr_s: float) -> Float64:
        """Where the probability-flow ODE takes x_t: it keeps the standardised variable."""
        (alpha_t, _), (alpha_s, _) = (alpha_sigma(np.asarray(v)) for v in (log_snr_t, log_snr_s))
        standard = (x_t - alpha_t * self.mean) / self.spread(log_snr_t)
        return np.asarray(alpha_s * self.mean + self.spread(log_snr_s) * standard)

    def learned(self, levels: Float64) -> Callable[[Any, float], Denoised]:
        """The denoiser with the variance output that makes each reverse step exact."""
        following = dict(pairwise(levels.tolist()))

        def denoise(x_t: Any, log_snr: float) -> Denoised:
            transition = Transition(log_snr, following[log_snr])
            _, sigma_t = alpha_sigma(np.asarray(log_snr))
            alpha_s, _ = alpha_sigma(np.asarray(following[log_snr]))
            of_x_0 = alpha_s * transition.variance_large / sigma_t**2
            left = self.deviation**2 * sigma_t**2 / self.spread(log_snr) ** 2  # Var[x_0 | x_t]
            small, large = transition.variance_small, transition.variance_large
            share = np.log((small + of_x_0**2 * left) / small) / np.log(large / small)
            return Denoised(self.denoise(x_t, log_snr).x_0, np.full(x_t.shape, 2 * share - 1))

        return denoise


def sample(denoise: Callable[[Any, float], Denoised], *others: Any) -> Any:
    """`samplers.sample` with a denoiser that is told the level alone."""
    return samplers.sample(lambda x_t, step: denoise(x_t, step.log_snr), *others)


def no_noise() -> NDArray[np.float32]:
    raise AssertionError("a deterministic sampler has drawn noise")


def moments(
    sampler: Sampler,
    denoise: Callable[[Any, float], Denoised],
    schedule: Schedule,
    times: Float64,
    start: tuple[float, float] = (0.0, 1.0),
) -> tuple[float, float]:
    """Mean and deviation of a sampler's result, without sampling error.

    The chain is affine in its start and its noises as long as the denoiser is. Picture 0 runs with
    all of them at 0, and each other one with one of them at 1, which shows what that adds.
    """
    count = len(times) + 1
    x = np.zeros((count, 1, 1, 1))
    x[1] = 1.0
    drawn = iter(np.eye(count)[2:].reshape(-1, count, 1, 1, 1))
    result = sample(denoise, x, times, schedule, sampler, lambda: next(drawn))[:, 0, 0, 0]
    effects = result[1:] - result[0]
    mean, deviation = start
    effects[0] *= deviation
    return float(result[0] + effects[0] / deviation * mean), float(np.linalg.norm(effects))


def order(sampler: Sampler, schedule: Schedule, first: float, last: float) -> float:
    """Slope of log error over log step size, between two fixed times."""
    random = np.random.default_rng(0)
    data = GaussianData(random.normal(0, 0.5, (2, 3, 4, 4)), random.uniform(0.1, 1.5, (2, 3, 4, 4)))
    x = random.standard_normal((2, 3, 4, 4))
    levels = schedule.log_snr([first, last])
    truth = data.flow(x, levels[0], levels[1])
    errors = []
    counts = [32, 64, 128, 256]
    for count in counts:
        times = np.linspace(first, last, count + 1)
        result = sample(data.denoise, x, times, schedule, sampler, no_noise)
        errors.append(np.abs(result - truth).mean())
    assert errors[-1] < 0.01
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize(
    ("schedule", "first", "last"), [(CosineSchedule(), 0.9, 0.1), (UniformLogSNR(), 0.8, 0.2)]
)
@pytest.mark.parametrize(
    ("sampler", "expected"), [(DDIMSampler(), 1.0), (DPMSolverPP2MSampler(), 2.0)]
)
def test_order_of_convergence(
    sampler: Sampler, expected: float, schedule: Schedule, first: float, last: float
) -> None:
    assert order(sampler, schedule, first, last) == pytest.approx(expected, abs=0.15)


def test_dpm_solver_is_ddim_until_it_has_a_memory() -> None:
    data = GaussianData(0.3, 0.5)
    x = np.random.default_rng(0).standard_normal((1, 3, 4, 4))
    one_step = (np.array([0.9, 0.2]), CosineSchedule())
    ddim = sample(data.denoise, x, *one_step, DDIMSampler(), no_noise)
    dpm = sample(data.denoise, x, *one_step, DPMSolverPP2MSampler(), no_noise)
    np.testing.assert_allclose(dpm, ddim, rtol=1e-12)


def test_dpm_solver_passes_levels_at_the_limit_of_the_schedule() -> None:
    schedule = linear_schedule(2000, 1e-6, 0.5)  # far below -20 at its end, so the level stands
    times = schedule.times(1000)
    assert schedule.log_snr(times[50]) == schedule.log_snr(times[0])
    x = np.random.default_rng(0).standard_normal((1, 1, 8, 8))
    data = GaussianData(0.3, 0.5)
    result = sample(data.denoise, x, times, schedule, DPMSolverPP2MSampler(), no_noise)
    np.testing.assert_allclose(result, data.flow(x, -20.0, 20.0), atol=0.01)


# What the reverse process must end with, when it starts from the marginal at times[0].
CASES = [
    # Both fixed variances are exact at any number of steps for one kind of data each
    # (Ho et al. 2020, section 3.2).
    ("small", GaussianData(0.4, 0.0)),
    ("large", GaussianData(0.0, 1.0)),
    ("learned", GaussianData(0.4, 0.3)),
    ("learned", GaussianData(-0.2, 0.9)),
]


@pytest.mark.parametrize(("variance", "data"), CASES)
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_the_ancestral_sampler_is_exact_where_its_variance_is(
    variance: str, data: GaussianData, steps: int
) -> None:
    schedule, times = CosineSchedule(), np.linspace(0.95, 0.1, steps + 1)
    levels = schedule.log_snr(times)
    denoise = data.learned(levels) if variance == "learned" else data.denoise
    alpha, _ = alpha_sigma(levels)
    start = float(alpha[0] * data.mean), float(data.spread(levels[0]))
    mean, deviation = moments(AncestralSampler(variance), denoise, schedule, times, start)
    assert mean == pytest.approx(float(alpha[-1]) * data.mean, abs=1e-12)
    assert deviation == pytest.approx(float(data.spread(levels[-1])), rel=1e-12)


@pytest.mark.parametrize(
    ("sampler", "errors"),
    # Relative errors of the deviation with 20, 100, 500 and 2000 steps: they fall as 1 / steps, and
    # the fixed variances lie on either side of the truth.
    [
        (AncestralSampler("small"), (-0.216, -0.063, -0.0147, -0.0039)),
        (AncestralSampler("large"), (0.042, 0.015, 0.0033, 0.0008)),
        (AncestralSampler("learned"), (-0.047, -0.002, -0.0001, 0.0)),  # the last step's mean
        (DDIMSampler(eta=0.5), (-0.149, -0.035, -0.0076, -0.0019)),
        (DDIMSampler(eta=1), (-0.216, -0.063, -0.0147, -0.0039)),
    ],
)
def test_the_moments_become_right_as_one_schedule_gets_more_steps(
    sampler: Sampler, errors: tuple[float, ...]
) -> None:
    schedule, data = linear_schedule(2000), GaussianData(0.4, 0.5)
    for steps, error in zip((20, 100, 500, 2000), errors, strict=True):
        times = schedule.times(steps)
        denoise = data.learned(schedule.log_snr(times))
        mean, deviation = moments(sampler, denoise, schedule, times)
        assert mean == pytest.approx(0.4, abs=5e-4)
        assert deviation / 0.5 - 1 == pytest.approx(error, abs=6e-4)


@pytest.mark.parametrize("sampler", [AncestralSampler("large"), DDIMSampler(eta=1), DDIMSampler()])
def test_samples_have_the_moments_of_the_data(sampler: Sampler) -> None:
    """With drawn noise: 16 pictures of 1024 elements, 200 steps, within four standard errors."""
    schedule, data = linear_schedule(2000), GaussianData(0.4, 0.9)
    noise = PictureNoise(range(16), (1, 32, 32))
    result = sample(data.denoise, noise(), schedule.times(200), schedule, sampler, noise)
    count = result.size
    assert result.dtype == np.float32
    assert result.mean() == pytest.approx(0.4, abs=4 * 0.9 / np.sqrt(count))
    bias = 0.01  # of the deviation, at 200 steps
    assert result.std() == pytest.approx(0.9, rel=bias + 4 / np.sqrt(2 * count))


def test_ddim_with_eta_1_is_the_ancestral_sampler() -> None:
    schedule, data = CosineSchedule(), GaussianData(0.4, 0.5)
    results = []
    for sampler in (AncestralSampler("small"), DDIMSampler(eta=1)):
        noise = PictureNoise([3, 4], (3, 4, 4))
        x = noise().astype(np.float64)
        results.append(sample(data.denoise, x, schedule.times(10), schedule, sampler, noise))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("eta", [-0.1, 1.5, float("nan")])
def test_an_impossible_eta_is_refused(eta: float) -> None:
    with pytest.raises(UsageError, match=r"got eta .*; expected 0 .* to 1"):
        DDIMSampler(eta)


def test_a_learned_variance_needs_a_model_that_has_one() -> None:
    schedule, data, x = CosineSchedule(), GaussianData(0.0, 1.0), np.zeros((1, 1, 2, 2))
    with pytest.raises(UsageError, match="without variance output; expected 'small' or 'large'"):
        sample(data.denoise, x, schedule.times(2), schedule, AncestralSampler("learned"), no_noise)


class TestPictureNoise:
    """A picture's noise depends on its own seed alone."""

    def test_is_the_same_alone_and_in_any_batch(self) -> None:
        batch, other, alone = (PictureNoise(s, (3, 5, 7)) for s in ([7, 1, 2**70], [1, 7], [7]))
        for _ in range(3):
            in_batch, in_other, single = batch(), other(), alone()
            assert in_batch.shape == (3, 3, 5, 7)
            assert in_batch.dtype == np.float32
            assert np.array_equal(in_batch[0], single[0])
            assert np.array_equal(in_other[::-1], in_batch[:2])

    def test_is_new_at_every_draw_and_for_every_seed(self) -> None:
        noise = PictureNoise([0, 1, 0], (1, 64, 64))
        first, second = noise(), noise()
        drawn = np.stack([first[0], first[1], second[0], second[1]]).reshape(4, -1)
        assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 5 / 64
        assert np.array_equal(first[0], first[2])

    def test_is_standard_normal(self) -> None:
        x = PictureNoise(range(8), (1, 100, 100))().astype(np.float64)
        for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert (x**power).mean() == pytest.approx(moment, abs=4 * np.sqrt(variance / x.size))

    def test_stays_what_it_was(self) -> None:
        """A released version's seeds must go on giving the same pictures."""
        expected = [-1.483841, -0.3366286, 0.2008333]
        np.testing.assert_allclose(PictureNoise([42], (3,))()[0], expected, rtol=1e-6)

    def test_refuses_negative_seeds(self) -> None:
        with pytest.raises(UsageError, match="got seed -1; expected a whole number of at least 0"):
            PictureNoise([3, -1], (1, 2, 2))


SAMPLERS = [AncestralSampler("small"), DDIMSampler(), DDIMSampler(0.7), DPMSolverPP2MSampler()]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_picture_alone_is_the_picture_in_a_batch(sampler: Sampler) -> None:
    schedule, data = CosineSchedule(), GaussianData(0.2, 0.6)

    def draw(seeds: list[int]) -> NDArray[np.float32]:
        noise = PictureNoise(seeds, (3, 8, 8))
        result = sample(data.denoise, noise(), schedule.times(6), schedule, sampler, noise)
        return np.asarray(result)

    batch = draw([5, 6, 7])
    for index, seed in enumerate([5, 6, 7]):
        assert np.array_equal(draw([seed])[0], batch[index])
    assert np.array_equal(draw([7, 5])[1], batch[0])


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_torch_gives_what_numpy_gives(sampler: Sampler) -> None:
    torch = pytest.importorskip("torch")
    schedule, data = CosineSchedule(), GaussianData(0.2, 0.6)
    results = []
    for convert in (np.asarray, torch.from_numpy):
        noise = PictureNoise([1, 2], (3, 4, 4))
        start = convert(noise())
        results.append(sample(data.denoise, start, schedule.times(5), schedule, sampler, noise))
    assert isinstance(results[1], torch.Tensor)
    np.testing.assert_allclose(results[1].numpy(), results[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sampler", [DDIMSampler(), AncestralSampler(), DPMSolverPP2MSampler()])
def test_a_network_draws_a_picture_alone_as_in_a_batch(sampler: Sampler) -> None:
    torch = pytest.importorskip("torch")
    from sr4.networks.fast import FastUNet

    generator = torch.Generator().manual_seed(0)
    network = FastUNet(widths=(16, 32), blocks=(1, 1)).eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / 12)
    schedule, low_res = CosineSchedule(), torch.rand(3, 3, 16, 16, generator=generator)

    def draw(indices: list[int]) -> NDArray[np.float32]:
        noise = PictureNoise(indices, (3, 16, 16))

        def denoise(x_t: Any, log_snr: float) -> Denoised:
            levels = torch.full((len(x_t),), log_snr)
            output = network(x_t, levels, low_res[indices])
            return Denoised(PREDICTIONS["v"].x_0(output, x_t, log_snr).clip(-3, 3))

        start = torch.from_numpy(noise())
        result = sample(denoise, start, schedule.times(5), schedule, sampler, noise)
        return np.asarray(result)

    batch = draw([0, 1, 2])
    assert batch.std() > 0.1
    for index in range(3):
        np.testing.assert_allclose(draw([index])[0], batch[index], atol=1e-4)


def test_the_loop_tells_of_each_step() -> None:
    schedule, data = CosineSchedule(), GaussianData(0.2, 0.6)
    evaluations: list[float] = []
    steps: list[Step] = []

    def denoise(x_t: Float64, log_snr: float) -> Denoised:
        evaluations.append(log_snr)
        return data.denoise(x_t, log_snr)

    times = schedule.times(7)
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 4))
    result = sample(denoise, x, times, schedule, DDIMSampler(), no_noise, steps.append)
    assert evaluations == schedule.log_snr(times[:-1]).tolist()  # NFE is the number of steps
    assert [(step.number, step.total) for step in steps] == [(n, 7) for n in range(1, 8)]
    assert steps[-1].x is result
    assert np.array_equal(result, steps[-1].x_0)  # at t = 0 the clean variable itself
    # Each step's x is where the next one starts.
    for before, after in pairwise(steps):
        level = evaluations[before.number]
        assert np.array_equal(data.denoise(before.x, level).x_0, after.x_0)


def test_sampling_may_end_before_t_0() -> None:
    schedule, data = CosineSchedule(), GaussianData(0.2, 0.6)
    steps: list[Step] = []
    x, times = np.ones((1, 1, 2, 2)), np.array([0.5, 0.4])
    result = sample(data.denoise, x, times, schedule, DDIMSampler(), no_noise, steps.append)
    assert not np.array_equal(result, steps[0].x_0)


def test_raising_from_the_hook_cancels() -> None:
    class Cancelled(Exception):
        pass

    seen: list[int] = []

    def cancel(step: Step) -> None:
        seen.append(step.number)
        if step.number == 3:
            raise Cancelled

    schedule, data = CosineSchedule(), GaussianData(0.2, 0.6)
    x = np.zeros((1, 1, 2, 2))
    with pytest.raises(Cancelled):
        sample(data.denoise, x, schedule.times(9), schedule, DDIMSampler(), no_noise, cancel)
    assert seen == [1, 2, 3]
