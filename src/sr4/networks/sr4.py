"""The SR4 U-Net (SR4 paper, section 5.6 and figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sr4.networks.low_res_path import LowResPath
from sr4.networks.sr3 import Entry, SR3UNet, level_edges, level_of


class SR4UNet(SR3UNet):
    """The SR3 U-Net with its attention moved to 8x8, and a learned path for the low-res picture.

    The paper says: multi-head attention in the middle, at 8x8, in place of 16x16; the full-size
    upsampled picture goes through several small convolutions with activations, which did better
    than one large kernel and than bicubic downscaling, and is added in two places of 16x16. It
    gives no number of heads, no widths and no exact places. Chosen here: 4 heads of 128 channels;
    three strided 3x3 convolutions (32, 64, 128 channels); added where the feature maps enter the
    16x16 level, on the way down and on the way up, through projections that start at zero.

    Args:
        path: how the low-res path downscales: "convolutions", "large-kernel", "bicubic" or
            "direct" (see `sr4.networks.low_res_path`), or "none" for no such path.
        path_resolution: edge of the feature maps that the low-res path joins, at an input of
            `image_size`; smaller than `image_size`.
        path_width: channels after the path's first convolution.
        path_activation: after its convolutions: "silu", "relu", "leaky-relu" or "gelu".
        others: as for `SR3UNet`.

    Raises:
        UsageError: the arguments contradict each other.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        multipliers: Sequence[int] = (1, 2, 4, 8, 8),
        attention_resolutions: Sequence[int] = (8,),
        heads: int = 4,
        image_size: int = 128,
        path: str = "convolutions",
        path_resolution: int = 16,
        path_width: int = 32,
        path_activation: str = "silu",
        **others: Any,
    ) -> None:
        super().__init__(
            channels=channels,
            multipliers=multipliers,
            attention_resolutions=attention_resolutions,
            heads=heads,
            image_size=image_size,
            **others,
        )
        self.low_res_path = None
        if path != "none":
            edges = level_edges(image_size, len(multipliers))
            self.path_level = level_of("the low-res path", path_resolution, edges[1:]) + 1
            self.low_res_path = LowResPath(
                scheme=path,
                channels=channels,
                halvings=self.path_level,
                outputs=(self.down_widths[self.path_level], self.up_widths[self.path_level]),
                width=path_width,
                activation=path_activation,
            )

    def entry(self, x_t: Tensor, upsampled: Tensor) -> Entry:
        """The pictures, and what the low-res path adds."""
        pictures = super().entry(x_t, upsampled).pictures
        if self.low_res_path is None:
            return Entry(pictures)
        down, up = self.low_res_path(upsampled)
        return Entry(pictures, {self.path_level: down}, {self.path_level: up})
