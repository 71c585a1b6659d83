"""What a network costs, and what the machine could do: the two sides of a share of its peak."""

from __future__ import annotations

import time
from typing import NamedTuple

from sr4.build import build_network
from sr4.config import ModelSettings

PEAK_SHAPES = ((128, 128), (256, 64), (512, 32), (512, 16))  # channels and edge
PEAK_BATCH, PEAK_REPEATS = 4, 3


class Cost(NamedTuple):
    """The cost of a network: parameters, GFLOPs of one evaluation for a picture, size multiple."""

    parameters: int
    gflops: float
    size_multiple: int


def network_cost(model: ModelSettings, size: tuple[int, int] | None = None) -> Cost:
    """What a network costs, counted by torch without running it (needs torch).

    Args:
        size: height and width of the picture; that of the training pictures by default.

    Raises:
        UsageError: the settings contradict each other.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    height, width = size or (model.image_size, model.image_size)
    with torch.device("meta"):
        network = build_network(model).eval()
        picture = torch.zeros(1, model.channels, height, width)
        with FlopCounterMode(display=False) as counter:
            network(picture, torch.zeros(1), picture)
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        gflops=counter.get_total_flops() / 1e9,
        size_multiple=int(network.size_multiple),  # type: ignore[arg-type]
    )


def convolution_peaks() -> dict[str, float]:
    """GFLOP/s of some large 3x3 convolutions in torch on the CPU, forward, bf16, channels_last; the
    best of a few runs of each, by its shape.
    """
    import torch
    import torch.nn.functional as F

    found = {}
    for channels, edge in PEAK_SHAPES:
        x = torch.randn(PEAK_BATCH, channels, edge, edge).bfloat16()
        x = x.to(memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3).bfloat16()
        weight = weight.to(memory_format=torch.channels_last)
        gflops = 2 * x.numel() * channels * 9 / 1e9
        seconds = []
        with torch.inference_mode():
            for _ in range(PEAK_REPEATS):
                began = time.perf_counter()
                F.conv2d(x, weight, padding=1)
                seconds.append(time.perf_counter() - began)
        found[f"{channels} channels at {PEAK_BATCH}x{edge}x{edge}"] = gflops / min(seconds)
    return found
