"""The SR3 U-Net behind an attention over its two inputs (SR4 paper, section 5.1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sr4.networks.sr3 import Entry, SR3UNet
from sr4.networks.watched import Figures


class InputAttention(nn.Module):
    """How much each pixel of the low-res picture counts: a map of numbers in (0, 1).

    The noisy picture is the query and the low-res one the key, each through a 3x3 convolution of
    its own; the map is the sigmoid of their product over the channels, divided by the root of
    their number.

    Args:
        channels: colour channels of the pictures.
        width: channels of query and key.
    """

    def __init__(self, *, channels: int, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, width, 3, padding=1)
        self.key = nn.Conv2d(channels, width, 3, padding=1)
        self.scale = 1 / math.sqrt(width)

    def forward(self, x_t: Tensor, upsampled: Tensor) -> Tensor:
        """(B, C, H, W) twice to (B, 1, H, W)."""
        # Summed in float32: near 0.5, bf16 would round the map to multiples of 0.002.
        product = (self.query(x_t) * self.key(upsampled)).sum(1, keepdim=True, dtype=torch.float32)
        return torch.sigmoid(self.scale * product)


class AttentionInputUNet(SR3UNet):
    """The SR3 U-Net whose low-res picture is multiplied by an attention map first.

    The paper says: noisy picture and low-res picture are query and key, fed into two convolutions
    that give an attention matrix; it is compressed to (0, 1) and multiplied with the value, the
    low-res picture; then the two pictures are concatenated. It gives no sizes, and leaves open what
    attends to what. Chosen here: one number a pixel, made of both pictures around that pixel, since
    the map multiplies the low-res picture and should keep its edges, as that of AHDRNet does, which
    the paper names (a map of all pairs of pixels would take a GiB a picture, too); a sigmoid, as
    there; 3x3 convolutions with `inner` channels, as many as the first level has; torch's initial
    weights.

    Args:
        arguments: as for `SR3UNet`.
    """

    def __init__(self, *, channels: int = 3, inner: int = 64, **others: Any) -> None:
        super().__init__(channels=channels, inner=inner, **others)
        self.input_attention = InputAttention(channels=channels, width=inner)

    def entry(self, x_t: Tensor, upsampled: Tensor) -> Entry:
        """The pictures, the low-res one multiplied by the attention map."""
        return super().entry(x_t, self.input_attention(x_t, upsampled) * upsampled)

    @contextmanager
    def watched(self) -> Iterator[Figures]:
        """The mean and the standard deviation of the map over all evaluations inside the context,
        "map_mean" and "map_spread".
        """
        sums: list[Tensor] = []  # of one evaluation each: count of values, their sum, squares' sum

        def add(module: nn.Module, inputs: object, attention_map: Tensor) -> None:
            values = attention_map.double()
            sums.append(torch.stack([torch.ones_like(values), values, values**2]).flatten(1).sum(1))

        def figures() -> dict[str, float]:
            if not sums:
                return {}
            count, total, squares = torch.stack(sums).sum(0).tolist()
            mean = total / count
            return {"map_mean": mean, "map_spread": max(squares / count - mean**2, 0.0) ** 0.5}

        handle = self.input_attention.register_forward_hook(add)
        try:
            yield figures
        finally:
            handle.remove()
