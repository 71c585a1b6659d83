"""The recipes: what the paper's table says, and that each of them can be built."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
import yaml

from sr4.build import build_degradation, build_network, build_sampler, build_schedule, build_target
from sr4.config import RunSettings, SR3NetworkSettings
from sr4.config.overrides import override
from sr4.diffusion.schedules import TerminalSNRWarning, alpha_sigma
from sr4.errors import UsageError
from sr4.networks.fused import Dropout
from sr4.networks.sr3 import GroupAttention
from sr4.recipes import OURS, RECIPES, recipe
from sr4.recipes.sizes import at_size
from sr4.training.objectives import DenoisingObjective


@pytest.fixture(params=RECIPES)
def settings(request: pytest.FixtureRequest) -> RunSettings:
    return recipe(request.param)


def test_a_recipe_is_called_by_its_name() -> None:
    for name in RECIPES:
        assert recipe(name).model.recipe == name
        assert recipe(name) == recipe(name)
    with pytest.raises(UsageError, match=r"unknown recipe 'sr4_fast': did you mean 'sr4-fast'\?"):
        recipe("sr4_fast")
    known = ", ".join(sorted(RECIPES))
    with pytest.raises(UsageError, match=f"unknown recipe 'unet': known: {known}"):
        recipe("unet")


def test_a_recipe_survives_yaml_and_json(settings: RunSettings) -> None:
    values = settings.model_dump(mode="json")
    assert RunSettings.model_validate(yaml.safe_load(yaml.safe_dump(values))) == settings
    assert RunSettings.model_validate_json(json.dumps(values)) == settings
    assert override(settings, {}) == settings


def test_a_recipe_becomes_objects(settings: RunSettings) -> None:
    model = settings.model
    with warnings.catch_warnings(), torch.device("meta"):
        # As in the paper, three systems keep the end points of beta over a quarter of the steps.
        unmatched = model.recipe in ("sr3-500", "hybrid-vlb", "attention-input")
        warnings.simplefilter("ignore" if unmatched else "error", TerminalSNRWarning)
        network = build_network(model)
        schedule = build_schedule(model.schedule)
        build_target(model)
        build_sampler(model.sampling, model.objective.variance)
        DenoisingObjective(model, settings.data, settings.training.seed)
        picture = torch.zeros(1, model.channels, model.image_size, model.image_size)
        output = network(picture, torch.zeros(1), build_degradation(model)(picture))
    outputs = 2 if model.objective.variance == "learned" else 1
    assert output.shape == (1, outputs * 3, *picture.shape[2:])
    assert schedule.times(model.sampling.steps).size == model.sampling.steps + 1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sr3", 97_807_491),
        ("residual", 97_807_491),
        ("attention-input", 97_807_491 + 2 * 64 * 28),
        ("sr4", 97_999_811),
        ("regression", 97_807_491),
        ("sr4-fast", 11_038_352),
        ("photo-x4", 4_796_928),
    ],
)
def test_sizes_of_the_networks(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build_network(recipe(name).model)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_the_papers_systems() -> None:
    """Table of the systems: schedule, steps, what is diffused, what is predicted, loss."""
    for name, schedule, steps, target in (
        ("sr3", "linear", 2000, "picture"),
        ("sr3-500", "linear", 500, "picture"),
        ("sr3-500-matched", "linear", 500, "picture"),
        ("hybrid-vlb", "linear", 500, "picture"),
        ("cosine", "cosine-table", 500, "picture"),
        ("attention-input", "linear", 500, "picture"),
        ("residual", "cosine-table", 500, "residual"),
        ("sr4", "cosine-table", 500, "residual"),
    ):
        settings = recipe(name)
        model, objective = settings.model, settings.model.objective
        assert (model.schedule.kind, model.schedule.steps) == (schedule, steps)
        assert (model.sampling.steps, model.sampling.sampler) == (steps, "ddpm")
        assert (objective.target, objective.prediction, objective.p) == (target, "eps", 1)
        assert objective.target_scale == 1
        assert settings.training.batch_size == 4
        assert settings.training.total_images == 4 * 640_000
        assert settings.training.learning_rate == 1e-4
    assert recipe("sr3").training.warmup_images == 0
    assert recipe("sr4").training.warmup_images > 0


def test_the_papers_values() -> None:
    """What no score would show at once: the weight of the bound, whose variance is learned, warm-up
    and average, dropout, heads and places of attention.
    """
    systems = [name for name in RECIPES if name not in OURS and name != "regression"]
    for name in systems:
        settings = recipe(name)
        objective, network, training = (
            settings.model.objective,
            settings.model.network,
            settings.training,
        )
        learned = ("learned", 0.001) if name == "hybrid-vlb" else ("small", 0.0)
        assert (objective.variance, objective.vlb_weight) == learned, name
        is_warm = name in ("cosine", "residual", "sr4")
        # 10,000 steps, as in SR3.
        assert training.warmup_images == (4 * 10_000 if is_warm else 0), name
        assert (training.ema_decay, training.cooldown) == (0.9999, 0), name
        assert not settings.model.sampling.consistency, name  # the paper does not project
        assert isinstance(network, SR3NetworkSettings)
        assert network.dropout == 0.2, name
        where = ((8,), 4) if name == "sr4" else ((16,), 1)
        assert (network.attention_resolutions, network.heads) == where, name


def test_the_values_of_the_tiny_scale() -> None:
    """Those that docs/paper.md states: a 64th of the budget, and what follows from that."""
    for name in ("sr3", "hybrid-vlb", "cosine", "residual", "sr4"):
        full, tiny = recipe(name).training, at_size(recipe(name), "tiny").training
        assert tiny.total_images == full.total_images / 64 == 40_000
        assert (tiny.learning_rate, tiny.ema_decay, tiny.cooldown) == (5e-4, 0.999, 0.2), name
        assert tiny.warmup_images == (1_000 if full.warmup_images else 0), name
        assert tiny.batch_size == full.batch_size


@pytest.mark.parametrize("name", ["sr3", "sr4", "hybrid-vlb", "attention-input"])
@pytest.mark.filterwarnings("ignore::sr4.diffusion.schedules.TerminalSNRWarning")
def test_the_papers_values_are_built(name: str) -> None:
    with torch.device("meta"):
        network = build_network(recipe(name).model)
    dropped = {one.dropped for one in network.modules() if isinstance(one, Dropout)}
    assert dropped == {round(0.2 * 2**16)}
    heads = {one.heads for one in network.modules() if isinstance(one, GroupAttention)}
    assert heads == {4 if name == "sr4" else 1}
    outputs = network.get_submodule("conv_out")
    assert isinstance(outputs, torch.nn.Conv2d)
    assert outputs.out_channels == (6 if name == "hybrid-vlb" else 3)


def test_the_matched_control_ends_in_the_noise_of_the_baseline() -> None:
    """DESIGN, section 3: an end point of 4e-2 repairs what 500 steps to 1e-2 leave, 0.285."""
    ends = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TerminalSNRWarning)
        for name in ("sr3", "sr3-500", "sr3-500-matched"):
            log_snr = build_schedule(recipe(name).model.schedule).log_snr(1.0)
            ends[name] = float(alpha_sigma(log_snr)[0])
    assert ends["sr3-500"] == pytest.approx(0.285, abs=5e-4)
    assert ends["sr3-500-matched"] == pytest.approx(ends["sr3"], abs=1e-3)


def test_the_regression_is_the_baseline_without_diffusion() -> None:
    settings, baseline = recipe("regression"), recipe("sr3")
    model, objective = settings.model, settings.model.objective
    assert model.network == baseline.model.network
    assert settings.training == baseline.training
    assert (model.schedule.kind, model.schedule.steps, model.sampling.steps) == ("none", 1, 1)
    assert (objective.target, objective.prediction, objective.p) == ("picture", "x0", 1)
    assert (model.sampling.temperature, model.sampling.consistency) == (0, False)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in OURS])
@pytest.mark.filterwarnings("ignore::sr4.diffusion.schedules.TerminalSNRWarning")
def test_tiny_is_the_same_system(name: str) -> None:
    """Half the edge everywhere, a quarter of the channels, attention at the same levels."""
    full, tiny = recipe(name), at_size(recipe(name), "tiny", budget=120)
    unchanged = {"objective", "schedule", "sampling", "degradation"}
    assert full.model.model_dump(include=unchanged) == tiny.model.model_dump(include=unchanged)
    assert (tiny.model.image_size, tiny.training.total_images) == (64, 120)
    assert bool(tiny.training.warmup_images) == bool(full.training.warmup_images)
    with torch.device("meta"):
        networks = [build_network(settings.model) for settings in (full, tiny)]
    modules = [[module for module, _ in network.named_modules()] for network in networks]
    assert modules[0] == modules[1]
    for large, small in zip(*(network.parameters() for network in networks), strict=True):
        for wide, narrow in zip(large.shape, small.shape, strict=True):
            assert wide in (narrow, 4 * narrow)


def test_only_the_papers_systems_have_a_tiny_size() -> None:
    with pytest.raises(UsageError, match="got the recipe 'sr4-fast' at the size tiny"):
        at_size(recipe("sr4-fast"), "tiny")
