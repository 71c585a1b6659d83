"""Validation during a training: the figures of an attention over the inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from sr4.build import build_network
from sr4.config import ModelConfig, TrainingSettings
from sr4.config.overrides import override
from sr4.data.encoded import EncodedSource
from sr4.evaluation.table import OF_PICTURES
from sr4.networks.attention_input import InputAttention
from sr4.pictures.pixels import to_image
from sr4.plots.comparison import comparison_picture
from sr4.recipes import recipe
from sr4.training import validation
from sr4.training.validation import validate

TRAINING = TrainingSettings(
    batch_size=2, validation_images=3, validation_steps=4, precision="float32"
)
IN_VALIDATION = {metric.field for metric in OF_PICTURES if metric.in_validation}
Made = tuple[ModelConfig, nn.Module]


@pytest.fixture
def make() -> Callable[[str], Made]:
    """A system of the paper, made tiny, and its network with random weights."""

    def build(name: str) -> Made:
        network: dict[str, Any] = {"inner": 8, "groups": 4, "blocks": 1, "multipliers": [1, 2]}
        changes = {
            "image_size": 32,
            "degradation": {"scale": 4},
            "network": network | {"attention_resolutions": [16]},
            "schedule": {"beta_end": 4e-2},
        }
        settings = override(recipe(name), {"model": changes}).model
        torch.manual_seed(0)
        return ModelConfig(**dict(settings), scale=4, size_multiple=2), build_network(settings)

    return build


def test_the_map_is_measured_over_all_evaluations(
    make: Callable[[str], Made], source: EncodedSource, tmp_path: Path
) -> None:
    config, network = make("attention-input")
    maps: list[Tensor] = []
    (attention,) = (module for module in network.modules() if isinstance(module, InputAttention))
    attention.register_forward_hook(lambda module, inputs, output: maps.append(output.clone()))
    figures = validate(config, network, source, TRAINING, tmp_path / "validation" / "0.png")
    # Three pictures in batches of two, four steps each.
    assert [len(part) for part in maps] == [2] * 4 + [1] * 4
    values = torch.cat([part.flatten() for part in maps]).double()
    assert figures["map_mean"] == pytest.approx(float(values.mean()), rel=1e-12)
    assert figures["map_spread"] == pytest.approx(float(values.std(correction=0)), rel=1e-9)
    assert 0 < figures["map_spread"] < 0.5
    assert {"psnr", "consistency"} <= IN_VALIDATION
    assert figures.keys() == {*IN_VALIDATION, "map_mean", "map_spread"}
    assert len(attention._forward_hooks) == 1  # the test's own; the validation's is gone


def test_a_dead_map_has_no_spread(
    make: Callable[[str], Made], source: EncodedSource, tmp_path: Path
) -> None:
    """What the paper saw: 0.5 everywhere."""
    config, network = make("attention-input")
    nn.init.zeros_(network.get_submodule("input_attention.key").weight)  # type: ignore[arg-type]
    nn.init.zeros_(network.get_submodule("input_attention.key").bias)  # type: ignore[arg-type]
    figures = validate(config, network, source, TRAINING, tmp_path / "validation" / "0.png")
    assert (figures["map_mean"], figures["map_spread"]) == (0.5, 0.0)


def test_no_more_pictures_are_made_than_are_shown(
    make: Callable[[str], Made],
    source: EncodedSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four rows of four, in the order of the source, over batches of three."""
    made: list[NDArray[Any]] = []
    rows: list[Sequence[Mapping[str, Image.Image]]] = []

    def counted(array: NDArray[Any]) -> Image.Image:
        made.append(array)
        return to_image(array)

    def seen(given: Sequence[Mapping[str, Image.Image]], height: int) -> Image.Image:
        rows.append(given)
        return comparison_picture(given, height=height)

    monkeypatch.setattr(validation, "to_image", counted)
    monkeypatch.setattr(validation, "comparison_picture", seen)
    config, network = make("regression")
    training = TRAINING.model_copy(update={"batch_size": 3, "validation_images": 8})
    validate(config, network, source, training, tmp_path / "validation" / "0.png")
    assert len(made) == 16
    truths = [np.asarray(row["truth"]) for row in rows[0]]
    np.testing.assert_array_equal(truths, [source.read(index) for index in range(4)])


@pytest.mark.parametrize("name", ["sr3", "regression"])
def test_other_networks_have_no_map(
    name: str, make: Callable[[str], Made], source: EncodedSource, tmp_path: Path
) -> None:
    config, network = make(name)
    figures = validate(config, network, source, TRAINING, tmp_path / "validation" / "0.png")
    assert figures.keys() == IN_VALIDATION
