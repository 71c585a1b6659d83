"""What a training step minimises: pictures in, one loss per picture out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr4.build import build_schedule, build_target
from sr4.config import DataSettings, ModelSettings, is_degradation_aware
from sr4.data.loader import Batch
from sr4.diffusion.losses import hybrid_loss, simple_loss, vlb_term
from sr4.diffusion.predictions import PREDICTIONS, learned_log_variance
from sr4.diffusion.process import Transition, q_sample

Float64 = NDArray[np.float64]


class DenoisingObjective:
    """The denoising loss of a diffusion model (SR4 paper, equations 6 and 8).

    All randomness follows from the seed and the batch's position in the data, so that a resumed
    run draws what an uninterrupted one draws.
    """

    def __init__(self, model: ModelSettings, data: DataSettings, seed: int) -> None:
        self._settings = model.objective
        self._schedule = build_schedule(model.schedule)
        self._target = build_target(model)
        self._prediction = PREDICTIONS[model.objective.prediction]
        self._condition_noise = data.condition_noise
        self._seed = seed
        # The bound is a sum over the steps of a table; ModelSettings sees to it that there is one.
        self._steps = model.schedule.steps if model.objective.variance == "learned" else None
        self._is_regression = model.schedule.kind == "none"
        self._is_aware = is_degradation_aware(model.network)

    def __call__(self, network: nn.Module, batch: Batch, device: torch.device) -> Tensor:
        """The loss of each picture of a batch, (B,), float32.

        Args:
            network: called as `network(x_t, log_snr, low_res)`.
        """
        random = np.random.default_rng([self._seed, batch.position, 2])
        generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
        high_res, low_res = batch.high_res.to(device), batch.low_res.to(device)
        x_0 = self._target.frame(low_res).encode(high_res)
        eps = torch.randn(x_0.shape, generator=generator, device=device)
        times = self._times(random, len(x_0))
        condition = noisy_condition(low_res, self._condition_noise, random, generator)
        known = batch.known.to(device) if self._is_aware else None
        return self.loss(network, x_0, condition, eps, times, known)

    def loss(
        self,
        network: nn.Module,
        x_0: Tensor,
        condition: Tensor,
        eps: Tensor,
        times: Float64,
        known: Tensor | None = None,
    ) -> Tensor:
        """The loss of each picture, (B,), for given noise and times: no randomness but dropout.

        Args:
            x_0: (B, C, H, W) clean variables; eps: their noise.
            condition: (B, C, h, w), low_res as the network sees it.
            times: (B,) in (0, 1]; with a learned variance, times of the schedule's table. A
                regression knows neither noise nor times.
            known: (B, 6) what the network is told of the degradation, if it takes that.
        """
        if self._is_regression:
            times = np.ones(len(x_0))
        log_snr = self._schedule.log_snr(times)
        x_t = self._noisy(x_0, eps, times)
        output = network(
            x_t.contiguous(memory_format=torch.channels_last),
            torch.as_tensor(log_snr, dtype=torch.float32, device=x_t.device),
            self._target.degradation.upsample(condition).contiguous(
                memory_format=torch.channels_last
            ),
            *(() if known is None else (known,)),
        ).float()
        predicted = output[:, : x_0.shape[1]]
        wanted = self._prediction.target(x_0, eps, log_snr)
        loss: Tensor = simple_loss(predicted, wanted, self._settings.p)
        if self._steps is None:
            return loss
        vlb = self._vlb(x_0, x_t, output, times, self._steps)
        return hybrid_loss(loss, vlb, self._settings.vlb_weight)  # type: ignore[no-any-return]

    def _noisy(self, x_0: Tensor, eps: Tensor, times: Float64) -> Tensor:
        """x_t; 0 where noise would tell nothing, and hide what there is to learn."""
        if self._is_regression:
            return torch.zeros_like(x_0)
        x_t: Tensor = q_sample(x_0, eps, self._schedule.log_snr(times))
        if self._settings.mean_share > 0:
            x_t = x_t * torch.as_tensor(times < 1, device=x_t.device)[:, None, None, None]
        return x_t

    def _times(self, random: np.random.Generator, count: int) -> Float64:
        """Times in (0, 1], one a picture, spread evenly over a batch: each is uniform, and their
        sum varies less than that of independent ones (Kingma et al. 2021, appendix I.1). With a
        `mean_share`, that share of all times is 1, and the others are uniform.
        """
        if self._settings.noise_level == "batch":
            times = np.full(count, 1 - random.random())
        else:
            times = 1 - (random.random() + random.permutation(count) / count) % 1.0
        share = self._settings.mean_share
        times = np.minimum(times / (1 - share), 1.0) if share < 1 else np.ones(count)
        return times if self._steps is None else np.ceil(times * self._steps) / self._steps

    def _vlb(self, x_0: Tensor, x_t: Tensor, output: Tensor, times: Float64, steps: int) -> Tensor:
        """An unbiased estimate of the bound, a sum over the steps, from one of them: bits per
        dimension, (B,). Its gradient reaches the variance alone.
        """
        log_snr = self._schedule.log_snr(times)
        transition = Transition(log_snr, self._schedule.log_snr(np.maximum(times - 1 / steps, 0)))
        is_first = times <= 1 / steps
        # beta~ of the first step is 0; as in the reference code, that of the second one serves it.
        level_1, level_2 = self._schedule.log_snr([1 / steps, 2 / steps])
        floor = np.where(is_first, np.log(Transition(level_2, level_1).variance_small), -np.inf)
        eps_like, variance_output = output.chunk(2, dim=1)
        predicted_x_0 = self._prediction.x_0(eps_like.detach(), x_t, log_snr)
        log_variance = learned_log_variance(variance_output, transition, floor)
        term: Tensor = vlb_term(x_0, x_t, predicted_x_0, log_variance, transition, is_first, floor)
        return steps * term


def noisy_condition(
    low_res: Tensor, most: float, random: np.random.Generator, generator: torch.Generator
) -> Tensor:
    """low_res as a network sees it in training: with Gaussian noise, of a deviation of its own for
    each picture, uniform from 0 to `most` (Ho et al. 2021, Cascaded Diffusion Models, section 4).

    A network that has seen it makes less of the faults of the stage before. Unlike in that paper,
    low_res is not scaled down as noise comes in, and the network, called as
    `network(x_t, log_snr, low_res)`, is not told the deviation: it has to see it.

    Args:
        low_res: (B, C, h, w) in [-1, 1].
        most: the largest deviation, on that scale; 0 draws nothing and returns low_res itself.
        random: decides the deviations; generator: the noise, on the device of low_res.

    Returns:
        (B, C, h, w), which may leave [-1, 1].
    """
    if most == 0:
        return low_res
    deviations = torch.as_tensor(most * random.random(len(low_res)), dtype=low_res.dtype)
    noise = torch.randn(low_res.shape, generator=generator, device=low_res.device)
    return low_res + deviations.to(low_res.device)[:, None, None, None] * noise
