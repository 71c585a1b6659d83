"""Distillation: a trained diffusion model becomes one that needs a few evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr4.build import build_schedule, build_target
from sr4.config import DistillationSettings, RunSettings
from sr4.data.loader import Batch
from sr4.diffusion.losses import simple_loss
from sr4.diffusion.predictions import PREDICTIONS
from sr4.diffusion.process import q_sample
from sr4.networks.discriminator import Discriminator, generator_loss, hinge_loss
from sr4.runtime.torch_backend import channels_last
from sr4.training.checkpoint import Checkpoint, optimiser_tensors, restore_optimiser
from sr4.training.optimisation import Optimisation

_OWN = "discriminator."  # what its tensors are called in a checkpoint


class Judged(NamedTuple):
    """Noisy pictures for the discriminator: x_t, its noise level, and the low-res picture."""

    x_t: Tensor
    log_snr: Tensor
    upsampled: Tensor


class Distillation(Optimisation):
    """A student in training, with the discriminator that it learns against.

    The student starts from the teacher's weights and stays a denoiser: at the few times of its
    steps it makes x_0 in one evaluation. A denoiser's best guess is the mean of all pictures that
    fit, and too soft; so besides the distance to the true picture the student minimises the score
    of a discriminator on the teacher's feature maps, which sees both pictures with fresh noise
    (Sauer et al. 2024, Latent Adversarial Diffusion Distillation).

    Args:
        settings: with `distillation`.
        teacher: the trained network; it becomes part of the discriminator, frozen.
    """

    def __init__(self, settings: RunSettings, teacher: nn.Module) -> None:
        super().__init__(settings)
        assert settings.distillation is not None
        self._settings: DistillationSettings = settings.distillation
        self._schedule = build_schedule(settings.model.schedule)
        self._target = build_target(settings.model)
        self._prediction = PREDICTIONS[settings.model.objective.prediction]
        for network in (self._accelerator.unwrap_model(self._network), self.average):
            network.load_state_dict(teacher.state_dict())
        device = self._accelerator.device
        self._discriminator = Discriminator(channels_last(teacher).to(device))
        channels_last(self._discriminator.heads.to(device))
        self._judge = torch.optim.AdamW(
            self._discriminator.heads.parameters(),
            lr=self._settings.discriminator_rate,
            betas=settings.training.betas,
            weight_decay=0.0,
            fused=True,
        )

    def step(self, batch: Batch) -> Tensor:
        """One step of the student, then one of the discriminator; returns the student's loss.

        Raises:
            RunError: the loss or its gradient is not finite; the weights are as they were.
        """
        self._begin(batch)
        random = np.random.default_rng([self._training.seed, batch.position, 3])
        device = self._accelerator.device
        generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
        high_res, low_res = batch.high_res.to(device), batch.low_res.to(device)
        frame = self._target.frame(low_res)
        upsampled = _contiguous(self._target.degradation.upsample(low_res))
        real = frame.encode(high_res)

        def noise() -> Tensor:
            return torch.randn(real.shape, generator=generator, device=device)

        times = student_times(self._settings, random, len(real))
        log_snr = self._schedule.log_snr(times)
        x_t = q_sample(real, noise(), log_snr)
        output = self._network(_contiguous(x_t), _level(log_snr, x_t), upsampled).float()
        x_0 = self._prediction.x_0(output[:, : real.shape[1]], x_t, log_snr)
        # Not clipped, as a sampler would: what has left the range would have no gradient.
        fake = frame.encode(frame.decode(x_0))

        low, high = self._settings.discriminator_times
        level = self._schedule.log_snr(random.uniform(low, high, len(real)))
        fresh = noise()
        judged = [
            Judged(_contiguous(q_sample(one, fresh, level)), _level(level, one), upsampled)
            for one in (fake, real)
        ]
        with self._accelerator.autocast():
            features = self._discriminator.features(*judged[0])
            scores = self._discriminator(features)
        # Not squared: its gradient then has one size at all times, as the discriminator's has.
        distance = simple_loss(fake, real, 2).sqrt().mean()
        loss: Tensor = distance + self._settings.adversarial_weight * generator_loss(scores)
        self._descend(loss, batch)
        self._train_discriminator([one.detach() for one in features], judged[1])
        return loss.detach()

    def _train_discriminator(self, fake: list[Tensor], real: Judged) -> None:
        with torch.no_grad(), self._accelerator.autocast():
            features = self._discriminator.features(*real)
        with self._accelerator.autocast():
            loss = hinge_loss(self._discriminator(features), self._discriminator(fake))
        self._judge.zero_grad()  # the student's loss went through it too
        self._accelerator.backward(loss)
        self._judge.step()

    def checkpoint(self) -> Checkpoint:
        """All that `restore` needs."""
        plain = super().checkpoint()
        return dataclasses.replace(
            plain,
            network={**plain.network, **_named(self._discriminator.heads.state_dict())},
            optimiser={**plain.optimiser, **_named(optimiser_tensors(self._judge))},
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """As `Optimisation.restore`."""
        network, heads = _split(checkpoint.network)
        optimiser, judge = _split(checkpoint.optimiser)
        super().restore(dataclasses.replace(checkpoint, network=network, optimiser=optimiser))
        self._discriminator.heads.load_state_dict(heads)
        restore_optimiser(self._judge, judge)


def student_times(
    settings: DistillationSettings, random: np.random.Generator, count: int
) -> NDArray[np.float64]:
    """Times at which a student of that many steps is ever asked, (count,): 1 for its own share of
    them, the others alike. A student of 4 steps takes 1 or 2 as well.
    """
    later = 1 - np.arange(1, settings.steps) / settings.steps
    if not later.size:
        return np.ones(count)
    is_first = random.random(count) < settings.first_share
    return np.where(is_first, 1.0, random.choice(later, count))


def _contiguous(pictures: Tensor) -> Tensor:
    return pictures.contiguous(memory_format=torch.channels_last)


def _level(log_snr: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.as_tensor(log_snr, dtype=torch.float32, device=like.device)


def _named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{_OWN}{name}": tensor for name, tensor in tensors.items()}


def _split(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Those of the student, and those of the discriminator."""
    own = {k.removeprefix(_OWN): v for k, v in tensors.items() if k.startswith(_OWN)}
    return {k: v for k, v in tensors.items() if not k.startswith(_OWN)}, own
