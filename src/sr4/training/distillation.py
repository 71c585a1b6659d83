"""Distillation: a trained diffusion model becomes one that needs a few evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr4.build import build_denoiser, build_schedule
from sr4.config import (
    DistillationSettings,
    RunSettings,
)
from sr4.data.loader import Batch
from sr4.data.part import Part
from sr4.degradation import Degradation
from sr4.diffusion.losses import simple_loss
from sr4.diffusion.process import q_sample
from sr4.diffusion.samplers import DDIMSampler, Denoised, sample
from sr4.diffusion.targets import Frame
from sr4.errors import UsageError
from sr4.networks.blocks import with_mean_output
from sr4.networks.discriminator import Discriminator, relativistic_loss
from sr4.runtime.torch_backend import TorchNetwork, channels_last
from sr4.training import processes
from sr4.training.objectives import Learner, Losses, gaussian, noisy_condition
from sr4.training.perceptual import PerceptualDistance

_DISCRIMINATOR = "discriminator"  # what its tensors are called in a checkpoint
_PERCEPTUAL = "perceptual"
_CLIP_NORM = 1.0  # of its gradient
_PENALTY_EVERY = 4  # steps; it counts that many times then
_PENALTY_NOISE = 0.1
_BALANCE_RATE = 0.03
_TINY = 1e-24


class Distillation:
    """The objective of a student, which learns from its teacher and against a discriminator.

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
    al. 2021, Taming Transformers, equation 7). The same holds of a third pull, that of a perceptual
    distance from the true pictures, where there is one.

    Args:
        settings: with `distillation`.
        teacher: the trained network.
    """

    def __init__(self, settings: RunSettings, teacher: nn.Module) -> None:
        assert settings.distillation is not None
        self._settings: DistillationSettings = settings.distillation
        self._seed, self._precision = settings.training.seed, settings.training.precision
        self._condition_noise = settings.data.condition_noise
        self._schedule = build_schedule(settings.model.schedule)
        self._consistency = settings.model.sampling.consistency
        self._is_aware = settings.model.network.is_degradation_aware
        self._denoiser = build_denoiser(settings.model)
        # A teacher may give a mean as well, but its samples are what is learnt.
        self._of_teacher = replace(self._denoiser, second=None)
        self._target = self._denoiser.target
        self._has_mean = settings.model.network.has_mean_output
        self._mean_share = settings.model.objective.mean_share if self._has_mean else 0.0
        self._check_share(settings.training.batch_size)
        self._teacher = TorchNetwork(teacher, torch.device("cpu"), self._precision)
        self._balance = Balance(self._settings.steps)
        self._perceptual = PerceptualDistance() if self._settings.perceptual_weight else None
        self._balance_perceptual = Balance(self._settings.steps)

    def _check_share(self, batch_size: int) -> None:
        """See to it that each process has a picture for the discriminator."""
        drawn = batch_size - round(self._mean_share * batch_size)
        if (count := processes.count()) > 1 and drawn < count:
            raise UsageError(
                f"got {count} processes to distil with training.batch_size {batch_size}, of which "
                f"{drawn} pictures are drawn and the others teach the mean; expected no more "
                "processes than are drawn: start fewer, or take larger batches"
            )

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The balance of the pulls."""
        state = {f"{_DISCRIMINATOR}.{k}": v for k, v in self._balance.state_dict().items()}
        if self._perceptual is not None:
            perceptual = self._balance_perceptual.state_dict()
            state |= {f"{_PERCEPTUAL}.{name}": tensor for name, tensor in perceptual.items()}
        return state

    def rivals(self, device: torch.device) -> Sequence[Learner]:
        """The discriminator; the teacher goes to the device as well."""
        self._teacher = TorchNetwork(self._teacher.module, device, self._precision)
        self._balance.to(device)
        self._balance_perceptual.to(device)
        if self._perceptual is not None:
            self._perceptual.to(device)
        discriminator = channels_last(Discriminator(self._denoiser.channels)).to(device)
        optimiser = torch.optim.AdamW(
            discriminator.parameters(),
            lr=self._settings.discriminator_rate,
            betas=(0.0, 0.99),
            weight_decay=0.0,
            fused=True,
        )
        return (Learner(_DISCRIMINATOR, discriminator, optimiser, _CLIP_NORM),)

    def losses(self, modules: Sequence[nn.Module], batch: Batch, step: int) -> Losses:
        """See `Objective.losses`; the distance of the student is shown."""
        student, discriminator = modules
        random = np.random.default_rng([self._seed, batch.position, 3])
        part, low_res, device = batch.part, batch.low_res, batch.low_res.device
        generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
        clean = CleanFit(self._target.degradation, low_res, batch.is_clean)
        frame = self._target.frame(low_res, clean)
        condition = noisy_condition(low_res, self._condition_noise, random, generator, part)
        upsampled = _contiguous(self._target.degradation.upsample(condition))
        real = frame.encode(batch.high_res)
        told = (batch.known,) if self._is_aware else ()

        steps = part.take(student_steps(self._settings, random, part.of))
        log_snr = self._schedule.log_snr(1 - steps / self._settings.steps)
        noise = gaussian(part, real.shape[1:], generator)
        goal = real
        if self._settings.teacher_steps:
            goal = self._teachers(noise, frame, upsampled, *told)
        x_t = q_sample(goal, noise, log_snr)
        # The first pictures teach the mean alone, which needs no noise; the others both outputs.
        left = part.after(round(self._mean_share * part.of))
        means = len(part.rows) - len(left.rows)
        x_t[:means] = 0
        level = torch.as_tensor(log_snr, dtype=torch.float32, device=device)
        output = student(_contiguous(x_t), level, upsampled, *told).float()
        x_0 = self._denoiser.sample(output, x_t, log_snr)
        made = frame.constrain_unclipped(x_0, consistency=self._consistency)[means:]
        goal, likely, seen, steps = goal[means:], real[means:], upsampled[means:], steps[means:]

        # Parts may have unequal numbers of those others, of which each is to count the same.
        weight = len(left.rows) * part.of / (left.of * len(part.rows))
        fake = made.detach().requires_grad_()
        pictures = _contiguous(torch.cat([fake, likely]))
        seen = torch.cat([seen, seen])
        scores: list[Tensor] = discriminator(pictures, seen)
        for_real, for_fake = _halves(scores)
        # Not squared: its gradient then has one size at all times, as the discriminator's has.
        distance: Tensor = weight * simple_loss(fake, goal, 2).sqrt().mean()
        (pull,) = torch.autograd.grad(distance, fake)
        loss = weight * relativistic_loss(for_fake, [one.detach() for one in for_real])
        (other_pull,) = torch.autograd.grad(loss, fake, retain_graph=True)
        at = torch.as_tensor(steps, device=device)
        whole = pull + self._settings.adversarial_weight * self._balance(pull, other_pull, at)
        if self._perceptual is not None:
            own = replace(frame, base=frame.base[means:])
            other_pull = weight * self._perceptual_pull(self._perceptual, own, fake, likely)
            balanced = self._balance_perceptual(pull, other_pull, at)
            whole = whole + self._settings.perceptual_weight * balanced
        aim = (made * whole).sum()  # whose gradient is `whole`
        if self._has_mean:
            x_0 = self._denoiser.mean(output, x_t, log_snr)
            mean = frame.constrain_unclipped(x_0, consistency=self._consistency)
            aim = aim + simple_loss(mean, real, 2).sqrt().mean()
        judged = relativistic_loss(for_real, for_fake)
        if step % _PENALTY_EVERY == 0:
            shaken = _contiguous(pictures.detach() + _PENALTY_NOISE * _twice(left, fake, generator))
            judged = judged + _PENALTY_EVERY * _change(discriminator(shaken, seen), scores)
        return Losses(distance.detach(), (aim, weight * judged))

    def _perceptual_pull(
        self, distance_of: PerceptualDistance, frame: Frame, fake: Tensor, real: Tensor
    ) -> Tensor:
        """The gradient, by the student's x_0, of their perceptual distance from the true ones."""
        is_bf16 = self._precision == "bf16"
        with torch.autocast(fake.device.type, torch.bfloat16, enabled=is_bf16):
            pictures = (_contiguous(frame.decode(x_0)) for x_0 in (fake, real))
            distance: Tensor = distance_of(*pictures).mean()
        (pull,) = torch.autograd.grad(distance, fake)
        return pull

    def _teachers(
        self, noise: Tensor, frame: Frame, upsampled: Tensor, told: Tensor | None = None
    ) -> Tensor:
        """What the teacher makes of that noise, x_0."""

        def denoise(x_t: Tensor, log_snr: float) -> Denoised:
            output = self._teacher(x_t, log_snr, upsampled, told)
            return self._of_teacher(output, x_t, log_snr, frame, consistency=self._consistency)

        def no_noise() -> NDArray[np.float32]:
            raise AssertionError("DDIM without eta draws none")

        times = self._schedule.times(self._settings.teacher_steps)
        found: Tensor = sample(denoise, noise, times, self._schedule, DDIMSampler(), no_noise)
        return found


def student_weights(teacher: nn.Module, student: nn.Module) -> Mapping[str, Tensor]:
    """What a student begins with: its teacher's weights, whose outputs serve as a mean as well
    where the student alone gives one.
    """
    given, own = teacher.state_dict(), student.state_dict()
    is_same = all(own[name].shape == tensor.shape for name, tensor in given.items())
    return given if is_same else with_mean_output(given)


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
    """Brings the discriminator's pull to the size of the distance's, at each step of the student,
    measured over the pictures of all processes.

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
        squares = [torch.ones_like(squares[0]), *squares]
        groups = [steps == step for step in range(len(self.ratios))]
        sums = [torch.stack([one[group].sum() for one in squares]) for group in groups]
        for step, (count, *totals) in enumerate(processes.total(torch.stack(sums))):
            if not count:
                continue
            mean, other = (one / count for one in totals)
            now, before = other / mean.clamp(min=_TINY), self.ratios[step]
            after = torch.where(before > 0, before.lerp(now, _BALANCE_RATE), now)
            # What is not finite is passed over, by the whole step.
            self.ratios[step] = torch.where(after.isfinite(), after, before)
        factors = self.ratios[steps].clamp(min=_TINY).rsqrt()
        return factors[:, None, None, None] * adversarial


def student_steps(
    settings: DistillationSettings, random: np.random.Generator, count: int
) -> NDArray[np.int64]:
    """The step that the student learns from each picture, (count,), counted from 0: the first for
    its own share of the pictures, the others alike. A student of 4 steps takes 1 or 2 as well.
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


def _twice(part: Part, pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Noise for results and the pictures that they stand for, of their shape (B, C, H, W) each."""
    both = Part(range(2 * part.of), 2 * part.of)
    halves = gaussian(both, pictures.shape[1:], generator).chunk(2)
    return torch.cat([part.take(half) for half in halves])


def _change(shaken: list[Tensor], scores: list[Tensor]) -> Tensor:
    """The mean square by which scores differ, over levels."""
    pairs = zip(shaken, scores, strict=True)
    return torch.stack([(one - other).square().mean() for one, other in pairs]).mean()
