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
from sr4.degradation import Degradation
from sr4.diffusion.losses import simple_loss
from sr4.diffusion.process import q_sample
from sr4.diffusion.samplers import DDIMSampler, Denoised, ReverseStep, sample
from sr4.diffusion.targets import Frame
from sr4.errors import UsageError
from sr4.networks.blocks import with_mean_output
from sr4.runtime.torch_backend import TorchNetwork
from sr4.training import processes
from sr4.training.objectives import Learner, Losses, gaussian, noisy_condition
from sr4.training.pulls import Pulls, Results, contiguous, energy_score


class Distillation:
    """The objective of a student, which learns from its teacher and against a discriminator.

    The student starts from the teacher's weights and stays a denoiser: at the few times of its
    steps it makes x_0 in one evaluation. The distance of that to a goal is to become small, either
    to the true picture, with noise of its own, or to what the teacher makes of the same noise in a
    few steps (`teacher_steps`). The first goal leaves results soft, being the mean of all pictures
    that fit; the second is sharp, but only as good as the teacher. So others pull too (`Pulls`):
    discriminators, which compare results with the pictures that they stand for, and a perceptual
    distance from those.

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
        self._pulls = Pulls(self._settings, self._denoiser.channels, settings.training.precision)

    def _check_share(self, batch_size: int) -> None:
        """See to it that each process has a picture for the discriminator."""
        drawn = batch_size - round(self._mean_share * batch_size)
        if drawn < (count := processes.count()):
            raise UsageError(
                f"got training.batch_size {batch_size} to distil with {count} "
                f"{'process' if count == 1 else 'processes'}, of which {drawn} pictures are drawn "
                "and the others teach the mean; expected at least one drawn for each process: "
                "start fewer, take larger batches, or a smaller objective.mean_share"
            )

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The balance of the pulls."""
        return self._pulls.state

    def rivals(self, device: torch.device) -> Sequence[Learner]:
        """The discriminators; the teacher goes to the device as well."""
        self._teacher = TorchNetwork(self._teacher.module, device, self._precision)
        return self._pulls.rivals(device)

    def losses(self, modules: Sequence[nn.Module], batch: Batch, step: int) -> Losses:
        """See `Objective.losses`; the distance of the student is shown."""
        student, *rivals = modules
        random = np.random.default_rng([self._seed, batch.position, 3])
        part, low_res, device = batch.part, batch.low_res, batch.low_res.device
        generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
        clean = CleanFit(self._target.degradation, low_res, batch.is_clean)
        frame = self._target.frame(low_res, clean)
        condition = noisy_condition(low_res, self._condition_noise, random, generator, part)
        upsampled = contiguous(self._target.degradation.upsample(condition))
        real = frame.encode(batch.high_res)
        told = (batch.known,) if self._is_aware else ()

        steps = part.take(student_steps(self._settings, random, part.of))
        # The first pictures teach the mean alone, which needs no noise, as at the first step; the
        # others both outputs.
        left = part.after(round(self._mean_share * part.of))
        means = len(part.rows) - len(left.rows)
        steps[:means] = 0
        log_snr = self._schedule.log_snr(1 - steps / self._settings.steps)
        noise = gaussian(part, real.shape[1:], generator)
        goal = real
        if self._settings.teacher_steps:
            goal = self._teachers(noise, frame, upsampled, *told)
        x_t = q_sample(goal, noise, log_snr)
        x_t[:means] = 0
        level = torch.as_tensor(log_snr, dtype=torch.float32, device=device)

        def evaluate(x_t: Tensor) -> tuple[Tensor, Tensor]:
            output = student(contiguous(x_t), level, upsampled, *told).float()
            x_0 = self._denoiser.sample(output, x_t, log_snr)
            return output, frame.constrain_unclipped(x_0, consistency=self._consistency)[means:]

        others = None
        if self._settings.diversity_weight:
            noise = gaussian(part, real.shape[1:], generator)
            with torch.no_grad():
                _, others = evaluate(q_sample(goal, noise, log_snr))
        output, made = evaluate(x_t)
        steps, fake = steps[means:], made.detach().requires_grad_()
        results = Results(
            fake,
            real[means:],
            upsampled[means:],
            replace(frame, base=frame.base[means:]),
            torch.as_tensor(steps, device=device),
            left,
            # Parts may have unequal numbers of those others, of which each is to count the same.
            len(left.rows) * part.of / (left.of * len(part.rows)),
            others,
        )
        distance = results.weight * self._distance(fake, goal[means:], others)
        (pull,) = torch.autograd.grad(distance, fake)
        whole, judged = self._pulls(
            results, pull, rivals, step=step, random=random, generator=generator
        )
        aim = (made * whole).sum()  # whose gradient is `whole`
        if self._has_mean:
            aim = aim + self._error_of_mean(output, x_t, log_snr, frame, real)
        return Losses(distance.detach(), (aim, *judged))

    def _error_of_mean(
        self, output: Tensor, x_t: Tensor, log_snr: NDArray[np.float64], frame: Frame, real: Tensor
    ) -> Tensor:
        x_0 = self._denoiser.mean(output, x_t, log_snr)
        mean = frame.constrain_unclipped(x_0, consistency=self._consistency)
        found: Tensor = simple_loss(mean, real, 2).sqrt().mean()
        return found

    def _distance(self, made: Tensor, goal: Tensor, others: Tensor | None) -> Tensor:
        """Of results from their goal, a scalar: an energy score if others are there. Not squared:
        its gradient then has one size at all times, as the discriminators' have.
        """

        def distance(goal: Tensor) -> Tensor:
            found: Tensor = simple_loss(made, goal, 2).sqrt().mean()
            return found

        if others is None:
            return distance(goal)
        return energy_score(distance, goal, others, self._settings.diversity_weight)

    def _teachers(
        self, noise: Tensor, frame: Frame, upsampled: Tensor, told: Tensor | None = None
    ) -> Tensor:
        """What the teacher makes of that noise, x_0."""

        def denoise(x_t: Tensor, step: ReverseStep) -> Denoised:
            output = self._teacher(x_t, step.log_snr, upsampled, told)
            return self._of_teacher(output, x_t, step.log_snr, frame, consistency=self._consistency)

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
    is_same = all(own[name].shape == one.shape for name, one in given.items() if name in own)
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
