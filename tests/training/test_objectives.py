"""The denoising objective: its draws, its losses, and where its gradients go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr4.build import build_target
from sr4.config import (
    DataSettings,
    DegradationSettings,
    FastNetworkSettings,
    ModelSettings,
    ObjectiveSettings,
    SamplingSettings,
    ScheduleSettings,
    SR3NetworkSettings,
)
from sr4.data.loader import Batch
from sr4.degradation.known import KNOWN_LENGTH
from sr4.diffusion.predictions import PREDICTIONS
from sr4.training.objectives import DenoisingObjective

Float64 = NDArray[np.float64]


def model(schedule: str = "cosine", steps: int = 50, **objective: Any) -> ModelSettings:
    learned = objective.get("variance") == "learned"
    temperature = 0.0 if schedule == "none" else 1.0
    return ModelSettings(
        recipe="test",
        image_size=32,
        network=SR3NetworkSettings() if learned else FastNetworkSettings(),
        degradation=DegradationSettings(scale=4),
        schedule=ScheduleSettings(kind=schedule, steps=steps),
        objective=ObjectiveSettings(**objective),
        sampling=SamplingSettings(steps=1, temperature=temperature),
    )


def batch(count: int = 8, position: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(0)
    high_res = torch.rand(count, 3, 32, 32, generator=generator) * 2 - 1
    low_res = build_target(model()).degradation.observe(high_res)
    names = tuple(map(str, range(count)))
    known, is_clean = torch.zeros(count, KNOWN_LENGTH), torch.ones(count, dtype=torch.bool)
    return Batch(high_res, low_res, names, position, known, is_clean)


class Recorder(nn.Module):
    """Answers with a function of (x_t, log_snr), and keeps what it was asked."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, log_snr: Tensor, low_res: Tensor) -> Tensor:
        self.asked.append((x_t, log_snr, low_res))
        return self.answer(x_t, log_snr)

    @property
    def times(self) -> Float64:
        """Times of the last question, from the levels of the continuous cosine schedule."""
        level = self.asked[-1][1].double().numpy()
        start = np.cos(0.008 / 1.008 * np.pi / 2)
        angle = np.arccos(start / np.sqrt(1 + np.exp(-level)))
        return np.asarray(angle * 2 / np.pi * 1.008 - 0.008)


def zeros() -> Recorder:
    return Recorder(lambda x_t, log_snr: torch.zeros_like(x_t))


def objective(settings: ModelSettings, seed: int = 0, **data: Any) -> DenoisingObjective:
    return DenoisingObjective(settings, DataSettings(**data), seed)


def test_all_draws_follow_from_seed_and_position() -> None:
    first = objective(model())(zeros(), batch(position=96))
    torch.manual_seed(1234)  # the global generator has no part in it
    assert torch.equal(objective(model())(zeros(), batch(position=96)), first)
    for other in (
        objective(model())(zeros(), batch(position=104)),
        objective(model(), seed=1)(zeros(), batch(position=96)),
    ):
        assert not torch.isclose(other, first, rtol=1e-4).any()


def test_the_network_sees_the_upsampled_picture() -> None:
    network, data = zeros(), batch()
    loss = objective(model())(network, data)
    assert loss.shape == (8,)
    assert loss.dtype == torch.float32
    x_t, log_snr, condition = network.asked[0]
    assert x_t.shape == condition.shape == data.high_res.shape
    assert (log_snr.shape, log_snr.dtype) == ((8,), torch.float32)
    degradation = build_target(model()).degradation
    torch.testing.assert_close(condition, degradation.upsample(data.low_res))


def test_the_times_of_a_batch_lie_one_in_each_stratum() -> None:
    network, drawn = zeros(), []
    for position in range(0, 4000, 8):
        objective(model())(network, batch(position=position))
        times = np.sort(network.times)
        np.testing.assert_allclose(np.diff(times), 1 / 8, atol=1e-4)
        assert times[0] > 0
        assert times[-1] <= 1 + 1e-4
        drawn.append(network.times)
    # Each place of the batch by itself is uniform, too: 500 draws, Kolmogorov's bound at 1e-4.
    for place in np.array(drawn).T:
        distance = np.abs(np.sort(place) - (np.arange(500) + 0.5) / 500).max()
        assert distance < 2.23 / np.sqrt(500)


def test_one_level_for_a_batch() -> None:
    network, drawn = zeros(), []
    for position in range(0, 4000, 8):
        objective(model(noise_level="batch"))(network, batch(position=position))
        assert np.ptp(network.times) == 0
        drawn.append(network.times[0])
    distance = np.abs(np.sort(drawn) - (np.arange(500) + 0.5) / 500).max()
    assert distance < 2.23 / np.sqrt(500)


@pytest.mark.parametrize("noise", ["sample", "batch"])
def test_one_noise_for_a_batch(noise: str) -> None:
    """Pictures that are equal, at one level, differ by their noise alone."""
    network, same = zeros(), batch()
    same = replace(same, high_res=same.high_res[:1].expand(8, -1, -1, -1))
    objective(model(noise_level="batch", noise=noise))(network, same)
    x_t = network.asked[-1][0]
    are_equal = [torch.equal(x_t[0], other) for other in x_t[1:]]
    assert are_equal == [noise == "batch"] * 7
    objective(model(noise_level="batch", noise=noise))(network, replace(same, position=8))
    assert not torch.isclose(network.asked[-1][0][0], x_t[0]).all()  # the next batch has its own


def test_a_share_of_the_pictures_trains_the_last_time_alone() -> None:
    network, plain = zeros(), zeros()
    for position in range(0, 400, 8):
        objective(model(mean_share=0.25))(network, batch(position=position))
        objective(model())(plain, batch(position=position))
        assert (network.times > 1 - 1e-4).sum() == 2  # of 8, whatever the draw
        expected = np.minimum(plain.times / 0.75, 1)
        np.testing.assert_allclose(network.times, expected, atol=1e-4)
        is_zero = ~network.asked[-1][0].any(dim=(1, 2, 3))
        np.testing.assert_array_equal(is_zero, expected == 1)  # without noise, which tells nothing
    objective(model(mean_share=1))(network, batch())
    np.testing.assert_allclose(network.times, 1, atol=1e-4)


def test_only_a_network_that_is_told_sees_what_is_known() -> None:
    told: list[Tensor] = []

    class Told(nn.Module):
        def forward(self, x_t: Tensor, log_snr: Tensor, low_res: Tensor, *known: Tensor) -> Tensor:
            told.extend(known)
            return torch.zeros_like(x_t)

    data = replace(batch(), known=torch.rand(8, KNOWN_LENGTH))
    objective(model())(Told(), data)
    assert told == []
    aware = model().model_copy(update={"network": FastNetworkSettings(degradation_aware=True)})
    objective(aware)(Told(), data)
    assert torch.equal(told[0], data.known)


@pytest.mark.parametrize("target", ["picture", "residual", "null-space"])
@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_a_network_that_knows_has_no_loss(target: str, prediction: str) -> None:
    settings = model(target=target, prediction=prediction, target_scale=0.5, p=2)
    data = batch()
    x_0 = build_target(settings).frame(data.low_res).encode(data.high_res)

    def answer(x_t: Tensor, log_snr: Tensor) -> Tensor:
        level = log_snr.double().reshape(-1, 1, 1, 1)
        alpha, sigma = torch.sigmoid(level).sqrt(), torch.sigmoid(-level).sqrt()
        eps = (x_t.double() - alpha * x_0.double()) / sigma
        wanted: Tensor = PREDICTIONS[prediction].target(x_0.double(), eps, log_snr.double().numpy())
        return wanted

    loss = objective(settings)(Recorder(answer), data)
    np.testing.assert_allclose(loss, 0, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2])
def test_losses_of_a_network_that_says_nothing(p: int) -> None:
    """Its loss is E|target|^p: a closed form for every prediction."""
    data = batch()
    x_0 = build_target(model(target="residual")).frame(data.low_res).encode(data.high_res).double()
    power = (x_0**2).mean(dim=(1, 2, 3)).numpy()
    loss = objective(model(target="residual", prediction="x0", p=p))(zeros(), data)
    np.testing.assert_allclose(loss, (x_0.abs() ** p).mean(dim=(1, 2, 3)), rtol=1e-5)
    error = 5 / np.sqrt(x_0[0].numel())
    loss = objective(model(prediction="eps", p=p))(zeros(), data)
    np.testing.assert_allclose(loss, np.sqrt(2 / np.pi) if p == 1 else 1.0, rtol=2 * error)
    if p == 2:
        network = zeros()
        loss = objective(model(target="residual", prediction="v", p=2))(network, data)
        gamma = 1 / (1 + np.exp(-network.asked[0][1].double().numpy()))
        np.testing.assert_allclose(loss, gamma + (1 - gamma) * power, rtol=2 * error)


LEARNED: dict[str, Any] = {"variance": "learned", "p": 2}


def test_the_bound_trains_the_variance_alone() -> None:
    """SR4 paper, equation 8; the mean is detached there (Nichol & Dhariwal 2021, section 3.1)."""

    def gradients(weight: float) -> tuple[Tensor, Tensor]:
        output = (torch.ones(8, 6, 32, 32) / 3).requires_grad_()
        network = Recorder(lambda x_t, log_snr: output)
        settings = model("cosine-table", vlb_weight=weight, **LEARNED)
        objective(settings)(network, batch()).sum().backward()
        assert output.grad is not None
        return output.grad[:, :3], output.grad[:, 3:]

    (mean, variance), (mean_without, variance_without) = gradients(0.1), gradients(0.0)
    assert torch.equal(mean, mean_without)
    assert mean.abs().min() > 0
    assert not variance_without.any()
    assert variance.flatten(1).any(1).all()


def test_a_bound_takes_the_steps_of_the_table() -> None:
    network = Recorder(lambda x_t, log_snr: torch.zeros(len(x_t), 6, 32, 32))
    for position in range(0, 80, 8):
        objective(model("cosine-table", 10, **LEARNED))(network, batch(position=position))
        times = network.times * 10
        inside = times < 9.5  # the table's last beta is clipped
        np.testing.assert_allclose(times[inside], np.round(times[inside]), atol=1e-3)
        assert times.min() > 0.99


def test_the_bound_of_the_true_posterior_is_zero() -> None:
    """A perfect mean with variance output -1 is the posterior itself, at all steps but the first,
    where the likelihood of the 8-bit picture is left.
    """
    settings = model("cosine-table", vlb_weight=1.0, **LEARNED)
    data = batch(4)
    x_0, eps = data.high_res, torch.randn(data.high_res.shape, generator=torch.Generator())
    network = Recorder(lambda x_t, log_snr: torch.cat([eps, -torch.ones_like(eps)], dim=1))
    times = np.array([1, 2, 25, 49]) / 50
    loss = objective(settings).loss(network, x_0, data.low_res, eps, times)
    assert loss[0] > 1
    np.testing.assert_allclose(loss[1:], 0, atol=1e-4)


def test_hybrid_loss_of_the_reference_code(shared: Path) -> None:
    """The bound is a sum over 50 steps: one step's term counts 50 times, the weight 1/50 here."""
    with np.load(shared / "golden" / "gaussian_diffusion.npz") as file:
        golden = {name: file[name] for name in file.files}
    settings = model("cosine-table", vlb_weight=1 / 50, **LEARNED)
    network = Recorder(lambda x_t, log_snr: torch.from_numpy(golden["model_output"]))
    x_0, noise = torch.from_numpy(golden["x0"]), torch.from_numpy(golden["noise"])
    times = (golden["t"] + 1) / 50
    loss = objective(settings).loss(network, x_0, torch.zeros(6, 3, 2, 2), noise, times)
    np.testing.assert_allclose(network.asked[0][0], golden["x_t"], atol=1e-6)
    np.testing.assert_allclose(loss, golden["hybrid_loss"], rtol=1e-5)


@pytest.mark.filterwarnings("ignore::sr4.diffusion.schedules.TerminalSNRWarning")
@pytest.mark.parametrize("schedule", ["cosine-table", "linear"])
def test_hybrid_loss_in_closed_form(schedule: str) -> None:
    """The whole objective against the formulas of Nichol & Dhariwal 2021 (equations 4 to 7, 9, 15
    and 16), written on betas, at every step of a short table. The first beta of the linear one is
    1e-6, so that what is left of the clean picture's noise, were there any, would show.
    """
    steps, weight = 10, 0.05
    random = np.random.default_rng(0)
    x_0 = random.integers(0, 256, (steps, 3, 8, 8)) / 127.5 - 1  # black and white, too
    eps = random.standard_normal(x_0.shape)
    output = random.normal(0, 0.5, (steps, 6, 8, 8))
    t = np.arange(steps)  # from 0, as there
    grid = (np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2
    betas = np.minimum(1 - (np.cos(grid[1:]) / np.cos(grid[:-1])) ** 2, 0.999)
    if schedule == "linear":
        betas = np.linspace(1e-6, 1e-2, steps)
    gamma = np.cumprod(1 - betas)
    before = np.append(1.0, gamma[:-1])

    def column(values: Float64) -> Float64:
        return values[t].reshape(-1, 1, 1, 1)

    x_t = np.sqrt(column(gamma)) * x_0 + np.sqrt(1 - column(gamma)) * eps
    guess = (x_t - np.sqrt(1 - column(gamma)) * output[:, :3]) / np.sqrt(column(gamma))
    gap = column(np.sqrt(before) * betas / (1 - gamma)) * (x_0 - guess)  # of the two means
    mean = x_0 - gap  # of the first step, whose posterior is x_0 itself
    small = betas * (1 - before) / (1 - gamma)
    small[0] = small[1]
    share = (output[:, 3:] + 1) / 2
    log_variance = share * np.log(column(betas)) + (1 - share) * np.log(column(small))
    divergence = 0.5 * (
        log_variance - np.log(column(small)) + (column(small) + gap**2) * np.exp(-log_variance) - 1
    )

    def below(distance: Float64) -> Float64:
        z = distance * np.exp(-0.5 * log_variance)
        return np.asarray(0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))))

    upper = np.where(x_0 > 0.999, 1, below(x_0 - mean + 1 / 255))
    lower = np.where(x_0 < -0.999, 0, below(x_0 - mean - 1 / 255))
    likelihood = -np.log(np.maximum(upper - lower, 1e-12))
    terms = np.where(t.reshape(-1, 1, 1, 1) == 0, likelihood, divergence)
    bound = terms.mean((1, 2, 3)) / np.log(2)
    simple = ((output[:, :3] - eps) ** 2).mean((1, 2, 3))

    settings = model(schedule, steps, vlb_weight=weight, **LEARNED)
    network = Recorder(lambda x_t, log_snr: torch.from_numpy(output))
    clean, noise = torch.from_numpy(x_0), torch.from_numpy(eps)
    loss = objective(settings).loss(
        network, clean, torch.zeros(steps, 3, 2, 2), noise, (t + 1) / steps
    )
    np.testing.assert_allclose(network.asked[0][0], x_t, atol=1e-12)
    np.testing.assert_allclose(loss, simple + weight * steps * bound, rtol=1e-6)


@pytest.mark.parametrize("p", [1, 2])
def test_a_regression_learns_the_picture_from_nothing(p: int) -> None:
    """No noise, no leak of the picture, and the level that sampling asks at."""
    settings = model("none", prediction="x0", p=p)
    answer = torch.full((8, 3, 32, 32), 0.25, requires_grad=True)
    network, data = Recorder(lambda x_t, log_snr: answer), batch()
    loss = objective(settings)(network, data)
    x_t, log_snr, _ = network.asked[0]
    assert torch.equal(x_t, torch.zeros(8, 3, 32, 32))
    assert torch.equal(log_snr, torch.full((8,), -20.0))
    error = (answer.detach() - data.high_res).abs() ** p
    torch.testing.assert_close(loss.detach(), error.mean(dim=(1, 2, 3)))
    again = objective(settings, seed=1)(network, replace(data, position=8))
    assert torch.equal(again, loss)  # nothing is drawn
    loss.sum().backward()
    assert answer.grad is not None
    assert answer.grad.abs().min() > 0
