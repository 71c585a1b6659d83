"""From settings to objects: the one place where names become things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sr4.config import (
    AttentionInputNetworkSettings,
    CorruptionName,
    DataSettings,
    FastNetworkSettings,
    ModelSettings,
    SamplingSettings,
    ScheduleSettings,
    SR4NetworkSettings,
    has_mean_output,
)
from sr4.data.corruption import Corruption, PhotoCorruption, SecondOrderCorruption
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


def build_schedule(settings: ScheduleSettings) -> Schedule:
    """The noise schedule."""
    if settings.kind == "linear":
        return linear_schedule(settings.steps, settings.beta_start, settings.beta_end)
    if settings.kind == "cosine-table":
        return cosine_table(settings.steps)
    if settings.kind == "none":
        return single_step()
    return CosineSchedule()


def build_degradation(settings: ModelSettings) -> Degradation:
    """The degradation operator."""
    return Degradation(settings.degradation.scale)


def build_corruption(name: CorruptionName) -> Corruption | None:
    """What low_res goes through when a model is scored; None for nothing."""
    return PhotoCorruption() if name == "photo" else None


def build_training_corruption(settings: DataSettings) -> Corruption | None:
    """What low_res goes through in training; None for nothing."""
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
    elif has_mean_output(settings.network):
        second = "mean"
    prediction = PREDICTIONS[settings.objective.prediction]
    return Denoiser(build_target(settings), prediction, settings.channels, second)


def build_sampler(settings: SamplingSettings, variance: str) -> Sampler:
    """The sampler; the variance is that of the ancestral one."""
    samplers: dict[str, Sampler] = {
        "ddpm": AncestralSampler(variance),
        "ddim": DDIMSampler(),
        "dpmpp": DPMSolverPP2MSampler(),
    }
    return samplers[settings.sampler]


def build_network(settings: ModelSettings) -> nn.Module:
    """The network, with fresh weights (needs torch).

    Raises:
        UsageError: its settings contradict each other or the size of the training pictures.
    """
    network = _network(settings)
    multiple = network.size_multiple
    if settings.image_size % multiple:  # type: ignore[operator]
        raise UsageError(
            f"got image_size {settings.image_size} for the network {settings.network.kind!r}; "
            f"expected a multiple of {multiple}: change the one or the other"
        )
    return network


def _network(settings: ModelSettings) -> nn.Module:
    network = settings.network
    if isinstance(network, FastNetworkSettings):
        from sr4.networks.fast import FastUNet

        return FastUNet(channels=settings.channels, **network.model_dump(exclude={"kind"}))
    out_channels = settings.channels * (2 if settings.objective.variance == "learned" else 1)
    common = network.model_dump(exclude={"kind"}) | {
        "channels": settings.channels,
        "out_channels": out_channels,
        "image_size": settings.image_size,
    }
    if isinstance(network, SR4NetworkSettings):
        from sr4.networks.sr4 import SR4UNet

        return SR4UNet(**common)
    if isinstance(network, AttentionInputNetworkSettings):
        from sr4.networks.attention_input import AttentionInputUNet

        return AttentionInputUNet(**common)
    from sr4.networks.sr3 import SR3UNet

    return SR3UNet(**common)
