"""What a training step minimises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr4.build import build_denoiser, build_schedule
from sr4.config import DataSettings, ModelSettings
from sr4.data.loader import Batch
from sr4.data.part import Part
from sr4.diffusion.losses import hybrid_loss, simple_loss, vlb_term
from sr4.diffusion.predictions import learned_log_variance
from sr4.diffusion.process import Transition, q_sample

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Learner:
    """A network in training.

    Attributes:
        name: before the names of its tensors in a checkpoint; empty for the one that is wanted.
        module: the network.
        optimiser: of all its parameters.
        clip_norm: its gradient is scaled down to this norm where it is larger.
    """

    name: str
    module: nn.Module
    optimiser: torch.optim.Optimizer
    clip_norm: float


class Losses(NamedTuple):
    """What a batch costs; scalars.

    Attributes:
        shown: what the metrics show.
        each: of each learner the one whose gradient it follows.
    """

    shown: Tensor
    each: Sequence[Tensor]


class Objective(Protocol):
    """What a training minimises. All randomness follows from the seed and the batch's position in
    the data, so that a resumed run draws what an uninterrupted one draws.
    """

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The tensors that the objective changes in place from step to step, for checkpoints."""
        ...

    def rivals(self, device: torch.device) -> Sequence[Learner]:
        """Further networks that learn beside the one that is wanted, on the device, with fresh
        weights; what else it needs goes there, too.
        """
        ...

    def losses(self, modules: Sequence[nn.Module], batch: Batch, step: int) -> Losses:
        """What a batch costs.

        Args:
            modules: those of all learners, the one that is wanted first.
            batch: on their device; of a part the cost is such that the mean over equal parts is
                that of the whole.
            step: of the optimiser, from 1.
        """
        ...


class DenoisingObjective:
    """The denoising loss of a diffusion model (SR4 paper, equations 6 and 8), or, without a noise
    schedule, that of a regression.
    """

    def __init__(self, model: ModelSettings, data: DataSettings, seed: int) -> None:
        self._settings = model.objective
        self._schedule = build_schedule(model.schedule)
        self._denoiser = build_denoiser(model)
        self._target = self._denoiser.target
        self._condition_noise = data.condition_noise
        self._seed = seed
        # The bound is a sum over the steps of a table; ModelSettings sees to it that there is one.
        self._steps = model.schedule.steps if model.objective.variance == "learned" else None
        # A regression gives the mean of all pictures, or their median where p is 1: it is a
        # denoiser of t = 1 alone.
        self._mean_share = model.objective.mean_share if model.schedule.is_diffusion else 1.0
        self._is_aware = model.network.is_degradation_aware
        self.state: Mapping[str, Tensor] = {}

    def rivals(self, device: torch.device) -> Sequence[Learner]:
        """No rivals: the denoising objective trains the network alone."""
        return ()

    def losses(self, modules: Sequence[nn.Module], batch: Batch, step: int) -> Losses:
        """See `Objective.losses`: the mean over the pictures."""
        (network,) = modules
        loss = self(network, batch).mean()
        return Losses(loss.detach(), (loss,))

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        """The loss of each picture of a batch, (B,), float32.

        Args:
            network: called as `network(x_t, log_snr, low_res)`.
            batch: on its device.
        """
        random = np.random.default_rng([self._seed, batch.position, 2])
        generator = torch.Generator(batch.high_res.device).manual_seed(int(random.integers(2**62)))
        x_0 = self._target.frame(batch.low_res).encode(batch.high_res)
        part = batch.part
        eps = self._noise(part, x_0.shape[1:], generator)
        times = part.take(self._times(random, part.of))
        condition = noisy_condition(batch.low_res, self._condition_noise, random, generator, part)
        known = batch.known if self._is_aware else None
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
            times: (B,) in (0, 1]; with a learned variance, times of the schedule's table.
            known: (B, 6) what the network is told of the degradation, if it takes that.
        """
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
        wanted = self._denoiser.prediction.target(x_0, eps, log_snr)
        loss: Tensor = simple_loss(predicted, wanted, self._settings.p)
        if self._steps is None:
            return loss
        vlb = self._vlb(x_0, x_t, output, times, self._steps)
        return hybrid_loss(loss, vlb, self._settings.vlb_weight)  # type: ignore[no-any-return]

    def _noisy(self, x_0: Tensor, eps: Tensor, times: Float64) -> Tensor:
        """x_t; 0 where noise would tell nothing, and hide what there is to learn."""
        x_t: Tensor = q_sample(x_0, eps, self._schedule.log_snr(times))
        if self._mean_share > 0:
            x_t[torch.as_tensor(times == 1, device=x_t.device)] = 0
        return x_t

    def _noise(self, part: Part, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        if self._settings.noise == "batch":
            one = gaussian(Part(range(1), 1), shape, generator)
            return one.expand(len(part.rows), *shape)
        return gaussian(part, shape, generator)

    def _times(self, random: np.random.Generator, count: int) -> Float64:
        """Times in (0, 1], one a picture, spread evenly over a batch: each is uniform, and their
        sum varies less than that of independent ones (Kingma et al. 2021, appendix I.1). With a
        share for the mean, that share of all times is 1, and the others are uniform.
        """
        if self._settings.noise_level == "batch":
            times = np.full(count, 1 - random.random())
        else:
            times = 1 - (random.random() + random.permutation(count) / count) % 1.0
        share = self._mean_share
        times = np.minimum(times / (1 - share), 1.0) if share < 1 else np.ones(count)
        return times if self._steps is None else np.ceil(times * self._steps) / self._steps

    def _vlb(self, x_0: Tensor, x_t: Tensor, output: Tensor, times: Float64, steps: int) -> Tensor:
        """An unbiased estimate of the bound, a sum over the steps, from one of them: bits per
        dimension, (B,). Its gradient reaches the variance alone.
        """
        log_snr = self._schedule.log_snr(times)
        is_first = times <= 1 / steps
        before = self._schedule.log_snr(np.maximum(times - 1 / steps, 0))
        # The clean picture has no noise at all: what little schedules leave of it, for networks,
        # would change the first term by 1.5 %.
        transition = Transition(log_snr, np.where(is_first, np.inf, before))
        # beta~ of the first step is 0; as in the reference code, that of the second one serves it.
        level_1, level_2 = self._schedule.log_snr([1 / steps, 2 / steps])
        floor = np.where(is_first, np.log(Transition(level_2, level_1).variance_small), -np.inf)
        predicted_x_0 = self._denoiser.sample(output.detach(), x_t, log_snr)
        log_variance = learned_log_variance(self._denoiser.variance(output), transition, floor)
        term: Tensor = vlb_term(x_0, x_t, predicted_x_0, log_variance, transition, is_first, floor)
        return steps * term


def noisy_condition(
    low_res: Tensor,
    most: float,
    random: np.random.Generator,
    generator: torch.Generator,
    part: Part | None = None,
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
        part: which pictures of a batch these are; all of it if None.

    Returns:
        (B, C, h, w), which may leave [-1, 1].
    """
    if most == 0:
        return low_res
    part = part or Part(range(len(low_res)), len(low_res))
    drawn = part.take(most * random.random(part.of))
    deviations = torch.as_tensor(drawn, dtype=low_res.dtype)
    noise = gaussian(part, low_res.shape[1:], generator)
    return low_res + deviations.to(low_res.device)[:, None, None, None] * noise


def gaussian(part: Part, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Noise of some pictures of a batch, (B, *shape), drawn for all of it."""
    device = generator.device
    noise: Tensor = part.take(torch.randn((part.of, *shape), generator=generator, device=device))
    return noise
