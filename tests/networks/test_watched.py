"""Networks that can be watched, and others."""

from __future__ import annotations

import torch
from torch import nn

from sr4.networks.attention_input import AttentionInputUNet
from sr4.networks.watched import Watchable, watched


def test_a_network_without_figures_has_none() -> None:
    network = nn.Conv2d(3, 3, 1)
    assert not isinstance(network, Watchable)
    with watched(network) as figures:
        network(torch.zeros(1, 3, 2, 2))
    assert figures() == {}


def test_a_map_is_watched_inside_the_context_only() -> None:
    network = AttentionInputUNet(
        inner=8, groups=4, multipliers=(1, 2), attention_resolutions=(), blocks=1, image_size=8
    )
    pictures = torch.zeros(2, 3, 8, 8)
    level = torch.zeros(2)
    network(pictures, level, pictures)
    with watched(network) as figures:
        assert figures() == {}
        for convolution in (network.input_attention.query, network.input_attention.key):
            nn.init.zeros_(convolution.weight)
            assert convolution.bias is not None
            nn.init.ones_(convolution.bias)  # product 8, divided by its root: sigmoid of 8 ** 0.5
        network(pictures, level, pictures)
    seen = figures()
    network.input_attention.scale = 0.0
    network(pictures, level, pictures)
    assert figures() == seen
    mean = float(torch.sigmoid(torch.tensor(8.0).sqrt()))
    assert abs(seen["map_mean"] - mean) < 1e-6
    assert seen["map_spread"] < 1e-3
