"""All networks show their feature maps, which a discriminator looks at."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from sr4.build import build_network
from sr4.recipes import recipe
from sr4.recipes.sizes import at_size

SETTINGS = {
    **{name: at_size(recipe(name), "tiny") for name in ("sr3", "sr4", "attention-input")},
    "sr4-fast": recipe("sr4-fast"),
}


@pytest.mark.parametrize("name", SETTINGS)
@torch.no_grad()
def test_features_are_the_maps_of_the_way_down(name: str) -> None:
    settings = SETTINGS[name]
    network: Any = build_network(settings.model).eval()
    edge = settings.model.image_size
    arguments = torch.randn(2, 3, edge, edge), torch.zeros(2), torch.randn(2, 3, edge, edge)
    maps = network.features(*arguments)
    assert tuple(one.shape[1] for one in maps) == network.feature_widths
    edges = [one.shape[2] for one in maps]
    assert all(large == 2 * small for large, small in pairwise(edges))
    # The network's own call takes the same way: what its up path gets at the bottom is the last.
    seen: list[Tensor] = []
    bottom = network.middle if name == "sr4-fast" else network.middle[-1]
    handle = bottom.register_forward_hook(lambda _, args, output: seen.append(output))
    network(*arguments)
    handle.remove()
    assert torch.equal(seen[0], maps[-1])
