"""The paper's systems from a model folder to pictures, with networks made tiny."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sr4.config import ModelConfig
from sr4.config.overrides import override
from sr4.degradation import Degradation
from sr4.diffusion.samplers import PictureNoise
from sr4.errors import UsageError
from sr4.model.diffusion_model import DiffusionModel, load_model
from sr4.model.folder import save_model
from sr4.recipes import recipe

torch = pytest.importorskip("torch")

NETWORK = {
    "inner": 8,
    "multipliers": [1, 2],
    "groups": 4,
    "attention_resolutions": [],
    "blocks": 1,
}
CHANGES = {"image_size": 16, "degradation": {"scale": 4}, "network": NETWORK}
LOW_RES = np.random.default_rng(0).uniform(-0.8, 0.8, (1, 3, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], DiffusionModel]:
    """A recipe's model with random weights, written to a folder and read again."""
    from sr4.build import build_network

    def make(name: str) -> DiffusionModel:
        settings = override(recipe(name), {"model": CHANGES}).model
        torch.manual_seed(0)
        network = build_network(settings)
        config = ModelConfig(**dict(settings), scale=4, size_multiple=2)
        folder = tmp_path_factory.mktemp("systems") / name
        save_model(folder, config, network.state_dict())
        return load_model(folder, backend="torch", device="cpu")

    return make


def chain_of_the_paper(model: DiffusionModel, steps: int) -> np.ndarray:
    """Algorithm 2 of SR3 on every (2000 / steps)-th step: equations (4), (5) and (7), on gammas."""
    upsampled = model.network.native(Degradation(4).upsample(LOW_RES))
    noise = PictureNoise([5], (3, 16, 16))
    gammas = np.append(1.0, np.cumprod(1 - np.linspace(1e-6, 1e-2, 2000)))
    chosen = gammas[:: -2000 // steps]
    x = noise().astype(np.float64)
    for gamma, before in pairwise(chosen):
        alpha, given = gamma / before, np.log(gamma / (1 - gamma))
        output = model.network(model.network.native(x.astype(np.float32)), given, upsampled)
        eps = model.network.numpy(output).astype(np.float64)
        x_0 = np.clip((x - np.sqrt(1 - gamma) * eps) / np.sqrt(gamma), -1, 1)
        x = (np.sqrt(before) * (1 - alpha) * x_0 + np.sqrt(alpha) * (1 - before) * x) / (1 - gamma)
        if before < 1:
            x += np.sqrt((1 - before) * (1 - alpha) / (1 - gamma)) * noise()
    return x


@pytest.mark.parametrize("steps", [20, 100, 500, 2000])
def test_one_sr3_model_takes_any_number_of_steps(
    load: Callable[[str], DiffusionModel], steps: int
) -> None:
    """The network knows noise levels, not steps: a re-spaced chain needs no other weights."""
    model = load("sr3")
    told: list[Any] = []
    drawn = model.sample(LOW_RES, seeds=[5], steps=steps, on_step=told.append)
    assert [step.number for step in told] == list(range(1, steps + 1))
    assert model.sampling(steps).steps == steps
    np.testing.assert_allclose(drawn, chain_of_the_paper(model, steps), rtol=0, atol=1e-4)
    assert drawn.std() > 0.05


def test_a_regression_gives_what_its_network_says(
    load: Callable[[str], DiffusionModel],
) -> None:
    model = load("regression")
    native = model.network.native
    upsampled = native(Degradation(4).upsample(LOW_RES))
    said = model.network.numpy(
        model.network(native(np.zeros((1, 3, 16, 16), np.float32)), -20.0, upsampled)
    )
    assert np.abs(said).max() > 0.1
    for sampler in (None, "ddpm", "dpmpp"):
        for seed in (0, 1):
            drawn = model.sample(LOW_RES, seeds=[seed], sampler=sampler)
            np.testing.assert_allclose(drawn, np.clip(said, -1, 1), rtol=0, atol=1e-6)
    assert model.sampling().steps == 1
    with pytest.raises(UsageError, match="got 20 steps; the schedule has 1: choose") as caught:
        model.sample(LOW_RES, seeds=[0], steps=20)
    assert "\n" not in str(caught.value)
