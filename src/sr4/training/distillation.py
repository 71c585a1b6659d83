"""Distillation: a trained diffusion model becomes one that needs a few evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr4.build import build_schedule, build_target
from sr4.config import (
    DistillationSettings,
    RunSettings,
    has_mean_output,
    is_degradation_aware,
)
from sr4.data.loader import Batch
from sr4.degradation import Degradation
from sr4.diffusion.losses import simple_loss
from sr4.diffusion.predictions import PREDICTIONS
from sr4.diffusion.process import q_sample
from sr4.diffusion.samplers import DDIMSampler, Denoised, sample
from sr4.diffusion.targets import Frame
from sr4.networks.discriminator import Discriminator, relativistic_loss
from sr4.networks.fast import with_mean_output
from sr4.runtime.torch_backend import TorchNetwork, channels_last
from sr4.training.checkpoint import Checkpoint, optimiser_tensors, restore_optimiser
from sr4.training.objectives import noisy_condition
from sr4.training.optimisation import Optimisation

_OWN = "discriminator."  # what its tensors are called in a checkpoint
_PENALTY_EVERY = 4  # steps; it counts that many times then
_PENALTY_NOISE = 0.1
_BALANCE_RATE = 0.03
_TINY = 1e-24


class Distillation(Optimisation):
    """A student in training, with the discriminator that it learns against.

    The student starts from the teacher's weights and stays a denoiser: at the few times of its
    steps it makes x_0 in one evaluation. The distance of that to a goal is to become small, either
    to the true picture, with noise of its own, or to what the teacher makes of the same noise in a
    few steps (`teacher_steps`). The first goal leaves results soft, being the mean of all pictures
    that fit; the second is sharp, but only as good as the teacher. So a discriminator pulls too: it
    compares results with the pictures that they stand for (Jolicoeur-Martineau 2019, The
    relativistic discriminator), and is kept smooth by a penalty on what noise changes in its
    scores (Lin et al. 2025, Diffusion Adversarial Post-Training, section 3.3).

    Both pulls are measured where they meet, as gradients by the student's results. The weight of
    the discriminator is the ratio of their norms, for each time by itself: however good the
    discriminator, and however soft the results of that time, it keeps its share (after Esser et
    al. 2021, Taming Transformers, equation 7).

    Args:
        settings: with `distillation`.
        teacher: the trained network.
    """

    def __init__(self, settings: RunSettings, teacher: nn.Module) -> None:
        super().__init__(settings)
        assert settings.distillation is not None
        self._settings: DistillationSettings = settings.distillation
        self._condition_noise = settings.data.condition_noise
        self._schedule = build_schedule(settings.model.schedule)
        self._consistency = settings.model.sampling.consistency
        self._is_aware = is_degradation_aware(settings.model.network)
        self._target = build_target(settings.model)
        self._prediction = PREDICTIONS[settings.model.objective.prediction]
        self._has_mean = has_mean_output(settings.model.network)
        self._mean_share = settings.model.objective.mean_share if self._has_mean else 0.0
        tensors = teacher.state_dict()
        outputs = "conv_out.bias"
        if self._has_mean and tensors[outputs].shape != self.average.state_dict()[outputs].shape:
            tensors = with_mean_output(tensors)
        for network in (self._accelerator.unwrap_model(self._network), self.average):
            network.load_state_dict(tensors)
        device = self._accelerator.device
        self._teacher = TorchNetwork(teacher, device, settings.training.precision)
        self._discriminator = channels_last(Discriminator(settings.model.channels)).to(device)
        self._balance = Balance(self._settings.steps).to(device)
        self._judge = torch.optim.AdamW(
            self._discriminator.parameters(),
            lr=self._settings.discriminator_rate,
            betas=(0.0, 0.99),
            weight_decay=0.0,
            fused=True,
        )

    def step(self, batch: Batch) -> Tensor:
        """One step of the student, then one of the discriminator; returns the student's distance.

        Raises:
            NotFiniteError: the loss or a gradient is not finite. The weights of both are as they
                were, and the batch counts as seen.
        """
        self._begin(batch)
        random = np.random.default_rng([self._training.seed, batch.position, 3])
        device = self._accelerator.device
        generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
        high_res, low_res = batch.high_res.to(device), batch.low_res.to(device)
        clean = CleanFit(self._target.degradation, low_res, batch.is_clean.to(device))
        frame = self._target.frame(low_res, clean)
        condition = noisy_condition(low_res, self._condition_noise, random, generator)
        upsampled = _contiguous(self._target.degradation.upsample(condition))
        real = frame.encode(high_res)
        told = (batch.known.to(device),) if self._is_aware else ()

        steps = student_steps(self._settings, random, len(real))
        log_snr = self._schedule.log_snr(1 - steps / self._settings.steps)
        noise = torch.randn(real.shape, generator=generator, device=device)
        goal = real
        if self._settings.teacher_steps:
            goal = self._teachers(noise, frame, upsampled, *told)
        x_t = q_sample(goal, noise, log_snr)
        # The first pictures teach the mean alone, which needs no noise; the others both outputs.
        means = round(self._mean_share * len(real))
        x_t[:means] = 0
        level = torch.as_tensor(log_snr, dtype=torch.float32, device=device)
        output = self._network(_contiguous(x_t), level, upsampled, *told).float()
        channels = real.shape[1]
        x_0 = self._prediction.x_0(output[:, :channels], x_t, log_snr)
        made = self._possible(frame, x_0)[means:]
        goal, likely, seen, steps = goal[means:], real[means:], upsampled[means:], steps[means:]

        fake = made.detach().requires_grad_()
        pictures = _contiguous(torch.cat([fake, likely]))
        scores = self._scores(pictures, seen)
        # Not squared: its gradient then has one size at all times, as the discriminator's has.
        distance: Tensor = simple_loss(fake, goal, 2).sqrt().mean()
        (pull,) = torch.autograd.grad(distance, fake)
        for_real, for_fake = _halves(scores)
        loss = relativistic_loss(for_fake, [one.detach() for one in for_real])
        (other_pull,) = torch.autograd.grad(loss, fake, retain_graph=True)
        balanced = self._balance(pull, other_pull, torch.as_tensor(steps, device=device))
        pull = pull + self._settings.adversarial_weight * balanced
        aim = (made * pull).sum()  # whose gradient is `pull`
        if self._has_mean:
            mean = self._prediction.x_0(output[:, channels:], x_t, log_snr)
            aim = aim + simple_loss(self._possible(frame, mean), real, 2).sqrt().mean()
        norms = {
            "loss": distance,
            "norm of the gradient": self._slope(aim),
            "norm of the discriminator's gradient": self._judges_slope(
                scores, pictures.detach(), seen, generator
            ),
        }
        try:
            self._descend(batch, norms)
            self._judge.step()
        finally:
            self._judge.zero_grad()
        return distance.detach()

    def _possible(self, frame: Frame, x_0: Tensor) -> Tensor:
        """x_0 as a sampler leaves it, but not clipped: what has left the range would have no
        gradient.
        """
        picture = frame.decode(x_0)
        if self._consistency and frame.constraint is not None and not self._target.is_null_space:
            picture = frame.constraint.correct(picture)
        found: Tensor = frame.encode(picture)  # of the null-space residual always fits
        return found

    def _teachers(
        self, noise: Tensor, frame: Frame, upsampled: Tensor, told: Tensor | None = None
    ) -> Tensor:
        """What the teacher makes of that noise, x_0."""

        def denoise(x_t: Tensor, log_snr: float) -> Denoised:
            output = self._teacher(x_t, log_snr, upsampled, told)
            x_0 = self._prediction.x_0(output[:, : x_t.shape[1]], x_t, log_snr)
            return Denoised(frame.constrain(x_0, consistency=self._consistency))

        def no_noise() -> NDArray[np.float32]:
            raise AssertionError("DDIM without eta draws none")

        times = self._schedule.times(self._settings.teacher_steps)
        found: Tensor = sample(denoise, noise, times, self._schedule, DDIMSampler(), no_noise)
        return found

    def _scores(self, pictures: Tensor, upsampled: Tensor) -> list[Tensor]:
        with self._accelerator.autocast():
            found: list[Tensor] = self._discriminator(pictures, torch.cat([upsampled, upsampled]))
        return found

    def _judges_slope(
        self, scores: list[Tensor], pictures: Tensor, upsampled: Tensor, generator: torch.Generator
    ) -> Tensor:
        """As `_slope`, of the discriminator."""
        for_real, for_fake = _halves(scores)
        loss = relativistic_loss(for_real, for_fake)
        if (self.steps + 1) % _PENALTY_EVERY == 0:
            noise = torch.randn(pictures.shape, generator=generator, device=pictures.device)
            shaken = self._scores(_contiguous(pictures + _PENALTY_NOISE * noise), upsampled)
            changes = [
                (one - other).square().mean() for one, other in zip(shaken, scores, strict=True)
            ]
            loss = loss + _PENALTY_EVERY * torch.stack(changes).mean()
        self._accelerator.backward(loss)
        norm: Tensor = self._accelerator.clip_grad_norm_(self._discriminator.parameters(), 1.0)
        return norm

    def checkpoint(self) -> Checkpoint:
        """All that `restore` needs."""
        plain = super().checkpoint()
        own = {**self._discriminator.state_dict(), **self._balance.state_dict()}
        return dataclasses.replace(
            plain,
            network={**plain.network, **_named(own)},
            optimiser={**plain.optimiser, **_named(optimiser_tensors(self._judge))},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """As `Optimisation.restore`."""
        network, own = _split(checkpoint.network)
        optimiser, judge = _split(checkpoint.optimiser)
        super().restore(dataclasses.replace(checkpoint, network=network, optimiser=optimiser))
        self._balance.load_state_dict({name: own.pop(name) for name in self._balance.state_dict()})
        self._discriminator.load_state_dict(own)
        restore_optimiser(self._judge, judge)


@dataclass(frozen=True)
class CleanFit:
    """Makes pictures fit their low_res where the degradation alone has made that; others would
    keep its noise.

    Args:
        degradation: D.
        low_res: (B, C, h, w).
        is_clean: (B,) bool.
    """

    degradation: Degradation
    low_res: Tensor
    is_clean: Tensor

    def correct(self, x: Tensor) -> Tensor:
        """(B, C, H, W), same shape."""
        fitted = self.degradation.project(x, self.low_res)
        return torch.where(self.is_clean[:, None, None, None], fitted, x)


class Balance(nn.Module):
    """Brings the discriminator's pull to the size of the distance's, at each step of the student.

    Args:
        steps: of the student.
    """

    ratios: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        # Of the squared norms, a running mean; 0 before the first.
        self.register_buffer("ratios", torch.zeros(steps))

    def forward(self, distance: Tensor, adversarial: Tensor, steps: Tensor) -> Tensor:
        """The adversarial gradient, scaled; both (B, C, H, W), steps (B,)."""
        squares = [one.flatten(1).square().sum(dim=1) for one in (distance, adversarial)]
        for step in steps.unique():
            mean, other = (one[steps == step].mean() for one in squares)
            now, before = other / mean.clamp(min=_TINY), self.ratios[step]
            after = torch.where(before > 0, before.lerp(now, _BALANCE_RATE), now)
            # What is not finite is passed over, by the whole step.
            self.ratios[step] = torch.where(after.isfinite(), after, before)
        factors = self.ratios[steps].clamp(min=_TINY).rsqrt()
        return factors[:, None, None, None] * adversarial


def student_steps(
    settings: DistillationSettings, random: np.random.Generator, count: int
) -> NDArray[np.int64]:
    """Which of its steps the student learns, (count,), counted from 0, the first: that one for its
    own share of the pictures, the others alike. A student of 4 steps takes 1 or 2 as well.
    """
    if settings.steps == 1:
        return np.zeros(count, np.int64)
    is_first = random.random(count) < settings.first_share
    return np.where(is_first, 0, random.integers(1, settings.steps, count))


def _contiguous(pictures: Tensor) -> Tensor:
    return pictures.contiguous(memory_format=torch.channels_last)


def _halves(scores: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The scores of pictures, and those of results, which come first."""
    pairs = [one.chunk(2) for one in scores]
    return [real for _, real in pairs], [fake for fake, _ in pairs]


def _named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{_OWN}{name}": tensor for name, tensor in tensors.items()}


def _split(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Those of the student, and those of the discriminator."""
    own = {k.removeprefix(_OWN): v for k, v in tensors.items() if k.startswith(_OWN)}
    return {k: v for k, v in tensors.items() if not k.startswith(_OWN)}, own
