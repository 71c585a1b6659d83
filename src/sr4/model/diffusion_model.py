"""A diffusion model: network, process, target and degradation as one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sr4.build import build_denoiser, build_sampler, build_schedule
from sr4.config import (
    SAMPLERS,
    ModelConfig,
    SamplingSettings,
    explain,
)
from sr4.degradation.arrays import array_namespace
from sr4.degradation.known import CLEAN, Known
from sr4.diffusion.samplers import Denoised, OnStep, PictureNoise, ReverseStep, sample
from sr4.diffusion.targets import Frame
from sr4.errors import ModelError, UsageError, nearest
from sr4.evidence.constraint import Constraint, Corrects, padded
from sr4.evidence.sets import PixelBox
from sr4.model.folder import VALUE_RANGE, find_model, read_config
from sr4.runtime import Network, open_network
from sr4.runtime.files import check_files

Array = Any
Floats = NDArray[np.float32]


class DiffusionModel:
    """Draws high-res pictures for low-res ones, on float arrays.

    Args:
        config: the model's description.
        network: its network on some runtime.
        name: what to call it in reports.
    """

    def __init__(self, config: ModelConfig, network: Network, name: str) -> None:
        self.config = config
        self.network = network
        self.name = name
        self.denoiser = build_denoiser(config)
        self.degradation = self.denoiser.target.degradation
        self.schedule = build_schedule(config.schedule)

    def __repr__(self) -> str:
        return f"DiffusionModel({self.name!r}, x{self.config.scale}, on {self.network.name})"

    @property
    def runtime(self) -> str:
        """What computes, with which precision and on what, in words."""
        return self.network.told

    def sampling(
        self,
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        detail: float | None = None,
    ) -> SamplingSettings:
        """The model's own sampling settings with the given ones in their place; no more steps than
        the model takes.

        Raises:
            UsageError: an unknown sampler, a number of steps that the schedule does not have, or a
                detail that the network does not offer.
        """
        if sampler is not None and sampler not in SAMPLERS:
            raise UsageError(f"unknown sampler {sampler!r}: {nearest(sampler, SAMPLERS)}")
        changes = {
            "steps": steps,
            "sampler": sampler,
            "consistency": consistency,
            "detail": detail,
        }
        given = {key: value for key, value in changes.items() if value is not None}
        try:
            settings = SamplingSettings.model_validate(self.config.sampling.model_dump() | given)
        except ValidationError as error:
            raise UsageError(explain(error, SamplingSettings)) from error
        if settings.steps > settings.most_steps:
            warnings.warn(
                f"got {settings.steps} steps for {self.name}, which was distilled to "
                f"{settings.most_steps} and gets no better by more: {settings.most_steps} are "
                "taken",
                stacklevel=2,
            )
        taken = self.config.steps_taken(settings.steps, settings.detail)
        settings = settings.model_copy(update={"steps": taken} | self._less(settings.detail))
        self.schedule.times(settings.steps)  # a table has no more steps than its own
        return settings

    def _less(self, detail: float) -> dict[str, float]:
        """What makes a result of less detail than a sample's: the mean of all pictures that fit
        comes of no noise, what lies between of a network that gives both.
        """
        if detail == 1:
            return {}
        if detail == 0 and self.config.objective.mean_share > 0:
            return {"temperature": 0.0}
        if not self.config.network.has_mean_output:
            raise UsageError(
                f"got a detail of {detail:g} for the model {self.name!r}, which makes samples "
                "only; expected 1: leave it out, or take the mean of several samples"
            )
        return {}

    def sample(
        self,
        low_res: Floats,
        *,
        seeds: Sequence[int],
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        detail: float | None = None,
        condition: Floats | None = None,
        known: Sequence[Known] | None = None,
        constraints: Sequence[Constraint] | None = None,
        on_step: OnStep | None = None,
    ) -> Floats:
        """Draw one high-res picture for each low-res one.

        Args:
            low_res: (B, C, h, w) in [-1, 1], of any size. What the network's size multiple lacks
                is added by reflection at the bottom and on the right, and cut off again.
            seeds: one per picture; a picture's result depends on its own seed alone.
            steps: number of steps; the model's own by default.
            sampler: "ddpm", "ddim" or "dpmpp"; the model's own by default.
            consistency: keep every step, and the result, on the pictures that D maps onto
                low_res; the model's own choice by default.
            detail: where results lie between the mean of all pictures that fit (0) and a sample
                (1); the model's own choice by default.
            condition: what the network sees in the place of low_res, of the same shape; targets and
                consistency keep to low_res.
            known: what is known of the degradation of each picture, for a network that is told;
                clean ones by default.
            constraints: of each picture, what consistency means; by default that D of it is its
                low_res.
            on_step: called after each step (see `sr4.diffusion.samplers.sample`) with pictures of
                the padded size.

        Returns:
            (B, C, h * scale, w * scale) in [-1, 1].

        Raises:
            UsageError: impossible settings, or seeds or pictures that do not fit.
            ModelError: the network fails, or gives numbers that are not finite.
        """
        settings = self.sampling(steps, sampler, consistency, detail)
        return self.sample_by(
            settings,
            low_res,
            seeds=seeds,
            condition=condition,
            known=known,
            constraints=constraints,
            on_step=on_step,
        )

    def sample_by(
        self,
        settings: SamplingSettings,
        low_res: Floats,
        *,
        seeds: Sequence[int],
        condition: Floats | None = None,
        known: Sequence[Known] | None = None,
        constraints: Sequence[Constraint] | None = None,
        on_step: OnStep | None = None,
    ) -> Floats:
        """The same as `sample`, by settings that `sampling` has made, for those who draw often."""
        channels, scale = self.config.channels, self.config.scale
        if low_res.ndim != 4 or low_res.shape[1] != channels or low_res.size == 0:
            raise UsageError(
                f"got low-res pictures of shape {low_res.shape}; expected (B, {channels}, h, w)"
            )
        if len(seeds) != len(low_res):
            raise UsageError(f"got {len(seeds)} seeds for {len(low_res)} pictures; expected equal")
        if condition is not None and condition.shape != low_res.shape:
            raise UsageError(
                f"got a condition of shape {condition.shape} for low-res pictures of "
                f"{low_res.shape}; expected equal"
            )
        told = self.known_vectors(known or [CLEAN] * len(low_res))
        height, width = low_res.shape[2:]
        larger = self.pad(low_res)
        own = padded(constraints, (height, width), larger) if constraints else None
        seen = None if condition is None else self.pad(condition)
        drawn = self._draw(larger, seen, told, seeds, settings, own, on_step)
        result = np.clip(drawn[..., : height * scale, : width * scale], *VALUE_RANGE)
        if settings.consistency:  # one by one: each takes the rounds that it needs alone
            exact = constraints or [
                Constraint(self.degradation, PixelBox(low, 0)) for low in low_res
            ]
            pairs = zip(result, exact, strict=True)
            result = np.stack([constraint.fit(picture) for picture, constraint in pairs])
        return result

    def frame(
        self, low_res: Array, constraint: Corrects | None = None, upsampled: Array | None = None
    ) -> Frame:
        """What the sampler's variable stands for, given (B, C, h, w) in [-1, 1]: its `decode` makes
        pictures of the x that `on_step` sees.

        Args:
            constraint: see `sr4.diffusion.targets.Frame`.
            upsampled: see `sr4.diffusion.targets.Target.frame`.
        """
        return self.denoiser.target.frame(low_res, constraint, upsampled)

    def pad(self, low_res: Floats) -> Floats:
        """Pictures whose high-res size is the next multiple of the network's."""
        multiple = math.lcm(self.config.scale, self.config.size_multiple) // self.config.scale
        below, right = (-side % multiple for side in low_res.shape[2:])
        if not below and not right:
            return low_res
        # Symmetric reflection works for any padding, also one larger than the picture.
        return np.pad(low_res, ((0, 0), (0, 0), (0, below), (0, right)), mode="symmetric")

    def _draw(
        self,
        low_res: Floats,
        condition: Floats | None,
        told: Array | None,
        seeds: Sequence[int],
        settings: SamplingSettings,
        constraint: Corrects | None,
        on_step: OnStep | None,
    ) -> Floats:
        """Run the sampler on pictures that fit the network: (B, C, h, w) to (B, C, H, W)."""
        network, scale, channels = self.network, self.config.scale, self.config.channels
        height, width = low_res.shape[2] * scale, low_res.shape[3] * scale
        noise = PictureNoise(seeds, (channels, height, width))
        low = network.native(low_res)
        seen = low if condition is None else network.native(condition)
        upsampled = self.degradation.upsample(seen)
        own = upsampled if condition is None else None
        frame = self.frame(low, constraint, own)

        def denoise(x_t: Array, step: ReverseStep) -> Denoised:
            answer = self.evaluate(x_t, step.log_snr, upsampled, told, detail=settings.detail)
            return self.denoised(answer, x_t, step, frame, settings)

        x_0 = sample(
            denoise,
            network.native(noise.start(0, height, settings.temperature)),
            self.schedule.times(settings.steps),
            self.schedule,
            build_sampler(settings, self.config.objective.variance),
            noise,
            on_step,
        )
        return network.numpy(frame.decode(x_0))

    def denoised(
        self,
        answer: Array,
        x_t: Array,
        step: ReverseStep,
        frame: Frame | None,
        settings: SamplingSettings,
    ) -> Denoised:
        """What the answer of `evaluate` says of x_t (see `sr4.diffusion.denoiser.Denoiser`), as a
        picture in [-1, 1], and kept to those that fit where that is wanted. Not in the last step:
        it is clipped when it is decoded, and `Constraint.fit`, which follows it, has to see what
        the network says by itself where no picture fits.

        Args:
            frame: of x_t; the last step needs none.
        """
        if step.is_last:
            return Denoised(self.denoiser.sample(answer, x_t, step.log_snr))
        assert frame is not None
        return self.denoiser(answer, x_t, step.log_snr, frame, consistency=settings.consistency)

    def known_vectors(self, known: Sequence[Known]) -> Array | None:
        """What the network is told of the degradation of each picture, (B, 6) as it takes it; None
        if it is not told.
        """
        if not self.config.network.is_degradation_aware:
            return None
        return self.network.native(np.stack([one.vector() for one in known]))

    def evaluate(
        self,
        x_t: Array,
        log_snr: float,
        upsampled: Array,
        told: Array | None = None,
        *,
        detail: float,
    ) -> Array:
        """The network's answer, between the mean and a sample where it gives both.

        It is of the shape that a model like this has, and all of it numbers; a graph from elsewhere
        could give any, and damaged weights give what would show as black.

        Raises:
            ModelError: it is something else, or the network fails.
        """
        output = self.network(x_t, log_snr, upsampled, *(() if told is None else (told,)))
        expected = (x_t.shape[0], self.denoiser.output_channels, *x_t.shape[2:])
        if tuple(output.shape) != expected:
            raise ModelError(
                f"{self.name}: its network gave numbers of shape {tuple(output.shape)}; expected "
                f"{expected}: copy or export the model again"
            )
        if not array_namespace(output).isfinite(output).all():
            raise ModelError(
                f"{self.name}: its network gave numbers that are not finite; expected pictures: "
                "the weights may be damaged"
            )
        return self.denoiser.blend(output, detail)


def load_model(
    name: str | Path, *, backend: str = "auto", device: str = "auto", draws: int | None = None
) -> DiffusionModel:
    """A model by name or folder, its files checked against the checksums of its config.

    Args:
        backend, device, draws: see `sr4.runtime.open_network`.

    Raises:
        ModelError: nothing there, damaged, or not what its config says.
        UsageError: unknown backend or device, or one that the other does not serve.
        MissingExtraError: the backend's runtime is not installed.
    """
    folder = find_model(name)
    config = read_config(folder)
    check_files(folder, config)
    network = open_network(folder, config, backend=backend, device=device, draws=draws)
    return DiffusionModel(config, network, str(name))
