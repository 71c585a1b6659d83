"""From settings to objects."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from sr4.build import (
    build_degradation,
    build_denoiser,
    build_network,
    build_sampler,
    build_schedule,
    build_target,
)
from sr4.config import (
    SAMPLERS,
    AttentionInputNetworkSettings,
    DegradationSettings,
    FastNetworkSettings,
    ModelSettings,
    NetworkSettings,
    ObjectiveSettings,
    SamplingSettings,
    ScheduleSettings,
    SR3NetworkSettings,
    SR4NetworkSettings,
)
from sr4.diffusion.samplers import AncestralSampler, DDIMSampler, DPMSolverPP2MSampler
from sr4.diffusion.schedules import CosineSchedule, TableSchedule, TerminalSNRWarning
from sr4.errors import UsageError
from sr4.networks.attention_input import AttentionInputUNet
from sr4.networks.fast import FastUNet
from sr4.networks.low_res_path import ACTIVATIONS, DOWNSCALES
from sr4.networks.sr3 import GroupAttention, SR3UNet
from sr4.networks.sr4 import SR4UNet


def model(network: NetworkSettings | None = None, **changes: Any) -> ModelSettings:
    return ModelSettings(recipe="test", network=network or FastNetworkSettings(), **changes)


def test_schedules() -> None:
    assert build_schedule(ScheduleSettings(kind="cosine", steps=7)) == CosineSchedule()
    linear = build_schedule(
        ScheduleSettings(kind="linear", steps=4, beta_start=0.1, beta_end=0.999)
    )
    assert isinstance(linear, TableSchedule)
    np.testing.assert_allclose(linear.betas, [0.1, 0.1 + 0.899 / 3, 0.1 + 1.798 / 3, 0.999])
    cosine = build_schedule(ScheduleSettings(kind="cosine-table", steps=50))
    assert isinstance(cosine, TableSchedule)
    assert cosine.betas.size == 50
    with pytest.warns(TerminalSNRWarning):
        build_schedule(ScheduleSettings(kind="linear", steps=500))
    for steps in (1, 2000):
        single = build_schedule(ScheduleSettings(kind="none", steps=steps))
        np.testing.assert_array_equal(single.times(1), [1, 0])
        np.testing.assert_allclose(single.log_snr([1, 0]), [-20, 20])
        with pytest.raises(UsageError, match="got 2 steps; the schedule has 1: choose at most 1"):
            single.times(2)


def test_samplers() -> None:
    built = {name: build_sampler(SamplingSettings(sampler=name), "large") for name in SAMPLERS}
    assert built == {
        "ddpm": AncestralSampler("large"),
        "ddim": DDIMSampler(eta=0.0),
        "dpmpp": DPMSolverPP2MSampler(),
    }


def test_target_and_degradation() -> None:
    settings = model(
        degradation=DegradationSettings(scale=4),
        objective=ObjectiveSettings(target="null-space", target_scale=0.14),
    )
    assert build_degradation(settings).scale == 4
    target = build_target(settings)
    assert (target.kind, target.scale) == ("null-space", 0.14)
    assert target.degradation == build_degradation(settings)


SMALL = {"inner": 16, "multipliers": (1, 2), "groups": 8, "blocks": 1}


@pytest.mark.parametrize(
    ("network", "kind", "multiple"),
    [
        (SR3NetworkSettings(**SMALL, attention_resolutions=(16,)), SR3UNet, 2),
        (SR4NetworkSettings(**SMALL, attention_resolutions=(16,), heads=2), SR4UNet, 2),
        (AttentionInputNetworkSettings(**SMALL), AttentionInputUNet, 2),
        (FastNetworkSettings(patch=2, widths=(8, 16), blocks=(1, 2)), FastUNet, 4),
    ],
)
def test_networks(network: Any, kind: type, multiple: int) -> None:
    built = build_network(model(network, channels=1, image_size=32))
    assert type(built) is kind
    assert built.size_multiple == multiple
    picture = torch.zeros(1, 1, 32, 32)
    assert built(picture, torch.zeros(1), picture).shape == picture.shape


@pytest.mark.parametrize(
    "kind", [SR3NetworkSettings, SR4NetworkSettings, AttentionInputNetworkSettings]
)
def test_where_attention_sits_and_with_how_many_heads(kind: Any) -> None:
    small = SMALL | {"multipliers": (1, 2, 2)}
    for edges, heads in (((8,), 4), ((16, 8), 2), ((), 1)):
        network = build_network(
            model(kind(**small, attention_resolutions=edges, heads=heads), image_size=32)
        )
        attending = {
            name.rpartition(".blocks")[0]: module.heads
            for name, module in network.named_modules()
            if isinstance(module, GroupAttention)
        }
        levels = [f"{way}.{[32, 16, 8].index(edge)}" for way in ("down", "up") for edge in edges]
        assert attending == dict.fromkeys([*levels, ""], heads)  # "": the middle


def test_the_low_res_path_and_its_scheme() -> None:
    small: dict[str, Any] = SMALL | {"attention_resolutions": (16,), "path_resolution": 16}
    paths = get_args(SR4NetworkSettings.model_fields["path"].annotation)
    assert set(paths) == {*DOWNSCALES, "none"}
    for path in paths:
        built = build_network(model(SR4NetworkSettings(**small, path=path), image_size=32))
        assert isinstance(built, SR4UNet)
        if path == "none":
            assert built.low_res_path is None
        else:
            assert built.low_res_path is not None
            assert repr(built.low_res_path.downscale) == repr(
                DOWNSCALES[path](3, 1, 32, ACTIVATIONS["silu"])[0]
            )


def test_the_activation_of_the_low_res_path() -> None:
    small: dict[str, Any] = SMALL | {"attention_resolutions": (16,), "path_resolution": 16}
    names = get_args(SR4NetworkSettings.model_fields["path_activation"].annotation)
    assert set(names) == set(ACTIVATIONS)
    for name in names:
        settings = SR4NetworkSettings(**small, path_activation=name)
        built = build_network(model(settings, image_size=32))
        assert isinstance(built, SR4UNet)
        assert built.low_res_path is not None
        assert repr(built.low_res_path.downscale.get_submodule("1")) == repr(ACTIVATIONS[name]())


def test_a_learned_variance_doubles_the_outputs() -> None:
    settings = model(
        SR3NetworkSettings(**SMALL, attention_resolutions=()),
        image_size=16,
        schedule=ScheduleSettings(kind="cosine-table"),
        objective=ObjectiveSettings(variance="learned"),
    )
    picture = torch.zeros(2, 3, 16, 16)
    assert build_network(settings)(picture, torch.zeros(2), picture).shape == (2, 6, 16, 16)


def test_a_network_that_does_not_fit_the_training_pictures_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"got image_size 100 .* 'fast'; expected a multiple of 16"
    ):
        build_network(model(image_size=100))


@pytest.mark.parametrize(
    ("network", "variance", "count"),
    [
        (FastNetworkSettings(), "small", 1),
        (FastNetworkSettings(mean_output=True), "small", 2),
        (SR3NetworkSettings(), "large", 1),
        (SR3NetworkSettings(), "learned", 2),
    ],
)
def test_outputs_are_counted(network: Any, variance: Any, count: int) -> None:
    settings = model(
        network,
        channels=4,
        schedule=ScheduleSettings(kind="linear", steps=2000),
        objective=ObjectiveSettings(variance=variance),
    )
    assert build_denoiser(settings).output_channels == 4 * count
