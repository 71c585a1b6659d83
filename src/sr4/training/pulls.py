"""The pulls at a student's results, and how all of them are brought to one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr4.config import DistillationSettings
from sr4.data.part import Part
from sr4.diffusion.targets import Frame
from sr4.networks.discriminator import Discriminator, FeatureDiscriminator, relativistic_loss
from sr4.runtime.torch_backend import channels_last
from sr4.training import processes
from sr4.training.feature_maps import CHANNELS, FeatureMaps, perceptual_distance
from sr4.training.objectives import Learner, gaussian

# What the tensors of each pull are called in a checkpoint.
_DISCRIMINATOR, _FEATURES, _PERCEPTUAL = "discriminator", "features", "perceptual"
_CLIP_NORM = 1.0  # of a discriminator's gradient
_PENALTY_EVERY = 4  # steps; it counts that many times then
_PENALTY_NOISE = 0.1
_ZOOMS = (1, 2, 4)
_BALANCE_RATE = 0.03
_TINY = 1e-24


@dataclass(frozen=True)
class Results:
    """What a student has made of a batch.

    Attributes:
        x_0: of its results, a leaf that gradients are taken by, (B, C, H, W).
        real: the same of the pictures that they stand for.
        upsampled: of what it was given, of that size.
        frame: of x_0.
        steps: which of its steps made each, (B,) int64.
        part: which pictures of the whole batch these are.
        weight: what each counts, so that the mean over all parts is that of the batch.
        others: another sample for each, of other noise, (B, C, H, W); None where diversity has no
            weight.
    """

    x_0: Tensor
    real: Tensor
    upsampled: Tensor
    frame: Frame
    steps: Tensor
    part: Part
    weight: float
    others: Tensor | None = None


class Pulls:
    """The pulls at a student's results beside that of their distance from the goal.

    A discriminator compares results with the pictures that they stand for, given low_res
    (Jolicoeur-Martineau 2019, The relativistic discriminator); another one compares their feature
    maps; and a perceptual distance in feature maps is to be small. Each that has a weight above 0
    takes part.

    All are measured where they meet, as gradients by the results. Each is brought to its weight
    times the size of the distance's, for each step of the student by itself: however good a
    discriminator, and however soft the results of that step, it keeps its share (after Esser et
    al. 2021, Taming Transformers, equation 7).

    Args:
        settings: of the distillation.
        channels: of the pictures.
        precision: of the feature maps, "bf16" or "float32".
    """

    def __init__(self, settings: DistillationSettings, channels: int, precision: str) -> None:
        weights = {
            _DISCRIMINATOR: settings.adversarial_weight,
            _FEATURES: settings.feature_weight,
            _PERCEPTUAL: settings.perceptual_weight,
        }
        self._weights = {name: weight for name, weight in weights.items() if weight > 0}
        self._balances = nn.ModuleDict({name: Balance(settings.steps) for name in self._weights})
        is_in_maps = not self._weights.keys().isdisjoint({_FEATURES, _PERCEPTUAL})
        self._maps = FeatureMaps() if is_in_maps else None
        self._channels, self._rate = channels, settings.discriminator_rate
        self._is_bf16 = precision == "bf16"
        self._diversity = settings.diversity_weight

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The balances, which change in place."""
        return dict(self._balances.state_dict())

    def rivals(self, device: torch.device) -> Sequence[Learner]:
        """The discriminators; what else there is goes to the device as well."""
        self._balances.to(device)
        if self._maps is not None:
            self._maps.to(device)
        learners = []
        if _DISCRIMINATOR in self._weights:
            learners.append(self._learner(_DISCRIMINATOR, Discriminator(self._channels), device))
        if _FEATURES in self._weights:
            learners.append(self._learner(_FEATURES, FeatureDiscriminator(CHANNELS), device))
        return learners

    def _learner(self, name: str, module: nn.Module, device: torch.device) -> Learner:
        module = channels_last(module).to(device)
        optimiser = torch.optim.AdamW(
            module.parameters(), lr=self._rate, betas=(0.0, 0.99), weight_decay=0.0, fused=True
        )
        return Learner(name, module, optimiser, _CLIP_NORM)

    def __call__(
        self,
        results: Results,
        pull: Tensor,
        rivals: Sequence[nn.Module],
        *,
        step: int,
        random: np.random.Generator,
        generator: torch.Generator,
    ) -> tuple[Tensor, list[Tensor]]:
        """All pulls together, and what the discriminators are to learn.

        Args:
            results: what the student has made.
            pull: the gradient of the distance by `results.x_0`.
            rivals: the modules of `rivals`.
            step: of the optimiser.
            random: draws where to look.
            generator: draws noise.

        Returns:
            The gradient by `results.x_0`; the loss of each rival, a scalar.
        """
        shaking = None
        if step % _PENALTY_EVERY == 0:
            shaking = Shaking(_PENALTY_EVERY, results.part, generator)
        left, losses, pulls = list(rivals), list[Tensor](), dict[str, Tensor]()
        if _DISCRIMINATOR in self._weights:
            judge = _given(left.pop(0), torch.cat([results.upsampled, results.upsampled]))
            (pulls[_DISCRIMINATOR],), loss = contest(judge, [results.x_0], [results.real], shaking)
            losses.append(loss)
        if self._maps is not None:
            view = View.drawn(random, results.x_0.shape[-2:])
            made, real = self._seen(self._maps, results, view)
            if _PERCEPTUAL in self._weights:
                distance = self._perceptual(self._maps, results, view, made, real)
                (found,) = torch.autograd.grad(distance, results.x_0, retain_graph=True)
                pulls[_PERCEPTUAL] = found
            if _FEATURES in self._weights:
                slopes, loss = contest(left.pop(0), made, real, shaking)
                (pulls[_FEATURES],) = torch.autograd.grad(made, results.x_0, slopes)
                losses.append(loss)
        whole = pull
        for name, other in pulls.items():
            balanced = self._balances[name](pull, results.weight * other, results.steps)
            whole = whole + self._weights[name] * balanced
        return whole, [results.weight * loss for loss in losses]

    def _perceptual(
        self,
        maps: FeatureMaps,
        results: Results,
        view: View,
        made: Sequence[Tensor],
        real: Sequence[Tensor],
    ) -> Tensor:
        """How far results are from their pictures in feature maps, a scalar; of each place the
        energy score if others are there.
        """
        if results.others is None:
            return perceptual_distance(made, real).mean()
        with torch.no_grad():
            others, _ = self._seen(maps, replace(results, x_0=results.others), view)
        return energy_score(
            lambda goal: perceptual_distance(made, goal, is_squared=False).mean(),
            real,
            others,
            self._diversity,
        )

    def _seen(
        self, maps: FeatureMaps, results: Results, view: View
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The feature maps of results and of the pictures that they stand for."""
        with torch.autocast(results.x_0.device.type, torch.bfloat16, enabled=self._is_bf16):
            with torch.no_grad():
                real = maps(view(results.frame.decode(results.real)))
            return maps(view(results.frame.decode(results.x_0))), real


@dataclass(frozen=True)
class View:
    """A look at pictures as a whole, or at a part of them, enlarged: what is sharp at one size may
    not be so at another.

    Args:
        zoom: how much larger; the part is so many times smaller.
        corner: of the part, row and column.
    """

    zoom: int
    corner: tuple[int, int]

    @classmethod
    def drawn(cls, random: np.random.Generator, size: Sequence[int]) -> View:
        """One of `_ZOOMS`, and a place, the same for all processes.

        Args:
            random: what draws.
            size: (H, W) of the pictures.
        """
        zoom = int(random.choice(_ZOOMS))
        row, column = (int(random.integers(side - side // zoom + 1)) for side in size)
        return cls(zoom, (row, column))

    def __call__(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W), same shape."""
        if self.zoom == 1:
            return contiguous(pictures)
        (row, column), (height, width) = self.corner, pictures.shape[-2:]
        rows, columns = height // self.zoom, width // self.zoom
        part = pictures[..., row : row + rows, column : column + columns]
        return contiguous(F.interpolate(part, (height, width), mode="bicubic", antialias=True))


def energy_score(
    distance: Callable[[Any], Tensor], real: Any, others: Any, diversity: float
) -> Tensor:
    """A distance to the truth, less that to another sample, whose gradient is that of the energy
    score (Gneiting & Raftery 2007, Strictly Proper Scoring Rules, equation 22): smallest on
    average if samples are drawn from what the truth is drawn from.

    The score takes off half of the distance between two samples, of which both follow the
    gradient; here one follows it, and the whole is taken off.

    Args:
        distance: of results from others of their kind, a scalar.
        real: what they are to be like.
        others: of the same low-res pictures, without gradient.
        diversity: share of the distance from others that is taken off; 1 for the score.
    """
    return distance(real) - diversity * distance(others)


Judge = Callable[[Sequence[Tensor]], list[Tensor]]
"""Scores, each (2B, 1, h, w), of what it is shown, each (2B, C, H, W)."""


def _given(discriminator: nn.Module, upsampled: Tensor) -> Judge:
    def judge(shown: Sequence[Tensor]) -> list[Tensor]:
        (pictures,) = shown
        scores: list[Tensor] = discriminator(pictures, upsampled)
        return scores

    return judge


def contest(
    judge: Judge,
    made: Sequence[Tensor],
    real: Sequence[Tensor],
    shaking: Shaking | None = None,
) -> tuple[Sequence[Tensor], Tensor]:
    """A discriminator between results and the pictures that they stand for.

    Args:
        judge: the discriminator.
        made: what it sees of the results, each (B, ...).
        real: the same of the pictures.
        shaking: penalise what a little noise changes in its scores.

    Returns:
        The gradients of the student's loss by each of `made`; the loss of the discriminator.
    """
    made = [one.detach().requires_grad_() for one in made]
    shown = [contiguous(torch.cat(pair)) for pair in zip(made, real, strict=True)]
    scores = judge(shown)
    for_fake, for_real = _halves(scores)
    loss = relativistic_loss(for_fake, [one.detach() for one in for_real])
    pulls = torch.autograd.grad(loss, made, retain_graph=True)
    judged = relativistic_loss(for_real, for_fake)
    if shaking is not None:
        shaken = [contiguous(one.detach() + shaking.noise(one)) for one in shown]
        judged = judged + shaking.weight * _change(judge(shaken), scores)
    return pulls, judged


@dataclass(frozen=True)
class Shaking:
    """What keeps a discriminator smooth: a penalty on what noise changes in its scores (Lin et al.
    2025, Diffusion Adversarial Post-Training, section 3.3).

    Args:
        weight: of the penalty.
        part: which of the batch's pictures there are, once for results and once for pictures.
        generator: what the noise is drawn with.
    """

    weight: float
    part: Part
    generator: torch.Generator

    def noise(self, shown: Tensor) -> Tensor:
        """Noise for what is shown, results first, (2B, ...)."""
        both = Part(range(2 * self.part.of), 2 * self.part.of)
        halves = gaussian(both, shown.shape[1:], self.generator).chunk(2)
        return _PENALTY_NOISE * torch.cat([self.part.take(half) for half in halves])


class Balance(nn.Module):
    """Brings another pull, such as a discriminator's, to the size of the distance's, at each step
    of the student, measured over the pictures of all processes.

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


def contiguous(tensor: Tensor) -> Tensor:
    """The tensor (B, C, H, W), its channels together in memory."""
    return tensor.contiguous(memory_format=torch.channels_last)


def _halves(scores: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The scores of results, which come first, and those of pictures."""
    pairs = [one.chunk(2) for one in scores]
    return [fake for fake, _ in pairs], [real for _, real in pairs]


def _change(shaken: list[Tensor], scores: list[Tensor]) -> Tensor:
    """The mean square by which scores differ, over levels."""
    pairs = zip(shaken, scores, strict=True)
    return torch.stack([(one - other).square().mean() for one, other in pairs]).mean()
