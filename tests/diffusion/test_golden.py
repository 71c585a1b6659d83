"""The numbers of improved DDPM's reference code, from the optional shared folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.diffusion.losses import hybrid_loss, simple_loss, vlb_term
from sr4.diffusion.predictions import PREDICTIONS, learned_log_variance
from sr4.diffusion.process import Transition, q_sample
from sr4.diffusion.schedules import TableSchedule, alpha_sigma, cosine_table, linear_schedule

Golden = Mapping[str, NDArray[Any]]
pytestmark = pytest.mark.filterwarnings("ignore::sr4.diffusion.schedules.TerminalSNRWarning")


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    with np.load(shared / "golden" / "gaussian_diffusion.npz") as file:
        return {name: file[name] for name in file.files}


class Chain:
    """The stored case: cosine, T = 50, at the stored steps; step 0 is the one ending at t = 0."""

    def __init__(self, golden: Golden) -> None:
        self.schedule = cosine_table(50)
        index = golden["t"].astype(int)
        levels = self.schedule.log_snr(np.arange(51) / 50)
        self.log_snr = levels[index + 1]
        self.transition = Transition(levels[index + 1], levels[index])
        self.is_first = index == 0
        self.floor = np.log(Transition(levels[2], levels[1]).variance_small)
        self.x_0, self.noise = golden["x0"], golden["noise"]
        self.x_t = q_sample(self.x_0, self.noise, self.log_snr)
        self.output, self.variance_output = np.split(golden["model_output"], 2, axis=1)
        self.predicted = PREDICTIONS["eps"].x_0(self.output, self.x_t, self.log_snr)
        self.log_variance = learned_log_variance(
            self.variance_output, self.transition, np.where(self.is_first, self.floor, -np.inf)
        )


def close(got: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("cosine_50", lambda: cosine_table(50)),
        ("cosine_500", lambda: cosine_table(500)),
        ("unofficial_cosine_500", lambda: cosine_table(500)),
        ("unofficial_linear_500", lambda: linear_schedule(500)),
        ("unofficial_linear_2000", lambda: linear_schedule(2000)),
    ],
)
def test_betas(golden: Golden, name: str, schedule) -> None:  # type: ignore[no-untyped-def]
    table: TableSchedule = schedule()
    np.testing.assert_allclose(table.betas, golden[name], rtol=1e-9, atol=1e-12)


def test_forward_and_posterior(golden: Golden) -> None:
    chain = Chain(golden)
    close(chain.x_t, golden["x_t"])
    close(chain.transition.mean(chain.x_t, chain.x_0), golden["posterior_mean"])
    shape = (-1, 1, 1, 1)
    small = chain.transition.variance_small
    close(np.broadcast_to(small.reshape(shape), chain.x_0.shape), golden["posterior_variance"])
    clipped = np.where(chain.is_first, chain.floor, np.log(small))
    close(
        np.broadcast_to(clipped.reshape(shape), chain.x_0.shape), golden["posterior_log_variance"]
    )


def test_learned_range_variance(golden: Golden) -> None:
    chain = Chain(golden)
    close(chain.predicted, golden["pred_x0"])
    close(chain.transition.mean(chain.x_t, chain.predicted), golden["learned_mean"])
    close(chain.log_variance, golden["learned_log_variance"])
    close(np.exp(chain.log_variance), golden["learned_variance"])


def test_losses(golden: Golden) -> None:
    chain = Chain(golden)
    mse = simple_loss(chain.output, chain.noise, p=2)
    vlb = vlb_term(
        chain.x_0,
        chain.x_t,
        chain.predicted,
        chain.log_variance,
        chain.transition,
        chain.is_first,
        np.where(chain.is_first, chain.floor, -np.inf),
    )
    close(mse, golden["hybrid_mse"])
    close(vlb, golden["vb_bits_per_dim"])
    close(vlb, golden["hybrid_vb_term"])
    close(hybrid_loss(mse, vlb, 1.0), golden["hybrid_loss"])


def test_prior(golden: Golden) -> None:
    """KL(q(x_T | x_0) || N(0, I)) in bits per dimension."""
    chain = Chain(golden)
    alpha, sigma = alpha_sigma(chain.schedule.log_snr(1.0))
    kl = 0.5 * ((alpha * chain.x_0) ** 2 + sigma**2 - 1 - np.log(sigma**2))
    close(kl.mean(axis=(1, 2, 3)) / np.log(2), golden["prior_bpd"])
