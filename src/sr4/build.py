"""From settings to objects: the one place where names become things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from sr4.config import (
    CorruptionName,
    DataSettings,
    ModelSettings,
    SamplingSettings,
    ScheduleSettings,
)
from sr4.degradation import Degradation
from sr4.diffusion.denoiser import Denoiser
from sr4.diffusion.predictions import PREDICTIONS
from sr4.diffusion.samplers import AncestralSampler, DDIMSampler, DPMSolverPP2MSampler, Sampler
from sr4.diffusion.schedules import (
    CosineSchedule,
    Schedule,
    cosine_table,
    linear_schedule,
    single_step,
)
from sr4.diffusion.targets import Target
from sr4.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from sr4.data.augmentation import Augmentation
    from sr4.data.corruption import Corruption


_SCHEDULES: Mapping[str, Callable[[ScheduleSettings], Schedule]] = {
    "linear": lambda given: linear_schedule(given.steps, given.beta_start, given.beta_end),
    "cosine": lambda _: CosineSchedule(),
    "cosine-table": lambda given: cosine_table(given.steps),
    "none": lambda _: single_step(),
}


_SAMPLERS: Mapping[str, Callable[[str], Sampler]] = {
    "ddpm": AncestralSampler,
    "ddim": lambda _: DDIMSampler(),
    "dpmpp": lambda _: DPMSolverPP2MSampler(),
}


def build_schedule(settings: ScheduleSettings) -> Schedule:
    """The noise schedule."""
    return _SCHEDULES[settings.kind](settings)


def build_degradation(settings: ModelSettings) -> Degradation:
    """The degradation operator."""
    return Degradation(settings.degradation.scale)


def build_corruption(name: CorruptionName) -> Corruption | None:
    """What low_res goes through when a model is scored; None for nothing."""
    from sr4.data.corruption import PhotoCorruption

    return PhotoCorruption() if name == "photo" else None


def build_training_corruption(settings: DataSettings) -> Corruption | None:
    """What low_res goes through in training; None for nothing."""
    from sr4.data.corruption import SecondOrderCorruption

    if settings.corruption == "none":
        return None
    return SecondOrderCorruption(settings.corruption_strength, settings.clean)


def build_augmentation(settings: DataSettings) -> Augmentation:
    """How training pictures are cropped and changed (needs SciPy)."""
    from sr4.data.augmentation import Augmentation

    return Augmentation(
        settings.flip, settings.augmented, settings.rotation, settings.zoom, settings.shift
    )


def build_target(settings: ModelSettings) -> Target:
    """The diffused variable."""
    objective = settings.objective
    return Target(objective.target, build_degradation(settings), objective.target_scale)


def build_denoiser(settings: ModelSettings) -> Denoiser:
    """What the network's outputs mean."""
    second: Literal["variance", "mean"] | None = None
    if settings.objective.variance == "learned":
        second = "variance"
    elif settings.network.has_mean_output:
        second = "mean"
    prediction = PREDICTIONS[settings.objective.prediction]
    return Denoiser(build_target(settings), prediction, settings.channels, second)


def build_sampler(settings: SamplingSettings, variance: str) -> Sampler:
    """The sampler; the variance is that of the ancestral one."""
    return _SAMPLERS[settings.sampler](variance)


def _networks() -> Mapping[str, type[nn.Module]]:
    from sr4.networks.attention_input import AttentionInputUNet
    from sr4.networks.fast import FastUNet
    from sr4.networks.sr3 import SR3UNet
    from sr4.networks.sr4 import SR4UNet

    return {
        "sr3": SR3UNet,
        "attention-input": AttentionInputUNet,
        "sr4": SR4UNet,
        "fast": FastUNet,
    }


def build_network(settings: ModelSettings) -> nn.Module:
    """The network, with fresh weights (needs torch).

    Raises:
        UsageError: its settings contradict each other or the size of the training pictures.
    """
    network = _networks()[settings.network.kind](
        **settings.network.arguments(
            channels=settings.channels,
            out_channels=build_denoiser(settings).output_channels,
            image_size=settings.image_size,
        )
    )
    multiple = network.size_multiple
    if settings.image_size % multiple:  # type: ignore[operator]
        raise UsageError(
            f"got image_size {settings.image_size} for the network {settings.network.kind!r}; "
            f"expected a multiple of {multiple}: change the one or the other"
        )
    return network
