"""Settings of networks, by their `kind`.

Settings are data without behaviour of their own: `sr4.build` makes objects of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sr4.config.base import Settings

# The limits are far above what anyone trains, and low enough that a network of these settings can
# be laid out, without its weights, in a moment.
_Width = Annotated[int, Field(ge=1, le=8192)]


_Multiplier = Annotated[int, Field(ge=1, le=64)]


_Blocks = Annotated[int, Field(ge=1, le=64)]


_Edge = Annotated[int, Field(ge=1, le=65_536)]


class SR3NetworkSettings(Settings):
    """The U-Net of SR3 (see `sr4.networks.sr3`)."""

    kind: Literal["sr3"] = "sr3"
    inner: int = Field(64, ge=8, le=1024)
    multipliers: tuple[_Multiplier, ...] = Field((1, 2, 4, 8, 8), min_length=1, max_length=8)
    groups: int = Field(32, ge=1, le=1024)
    attention_resolutions: tuple[_Edge, ...] = Field((16,), max_length=8)
    heads: int = Field(1, ge=1, le=64)
    blocks: int = Field(2, ge=1, le=16)
    dropout: float = Field(0.2, ge=0, lt=1)

    @property
    def size_multiple(self) -> int:
        """What divides the sides of every picture that the network takes."""
        return 1 << (len(self.multipliers) - 1)

    def bytes_per_pixel(self, channels: int) -> int:
        """What the network takes, at most, for a pixel of its result: some twelve float32 maps of
        its finest level at once.
        """
        return 48 * self.inner

    @property
    def is_local(self) -> bool:
        """Whether what the network makes of a place follows from its surroundings alone, so tiles
        of any size give the same picture.
        """
        return False  # attention, and norms over groups


class SR4NetworkSettings(SR3NetworkSettings):
    """The U-Net of SR4: attention at 8x8 only, and a low-res path (see `sr4.networks.sr4`)."""

    kind: Literal["sr4"] = "sr4"  # type: ignore[assignment]
    attention_resolutions: tuple[_Edge, ...] = Field((8,), max_length=8)
    heads: int = Field(4, ge=1, le=64)
    path: Literal["convolutions", "large-kernel", "bicubic", "direct", "none"] = "convolutions"
    path_resolution: _Edge = 16
    path_width: int = Field(32, ge=1, le=1024)


class AttentionInputNetworkSettings(SR3NetworkSettings):
    """The U-Net of SR3 behind an attention over its inputs (see `sr4.networks.attention_input`)."""

    kind: Literal["attention-input"] = "attention-input"  # type: ignore[assignment]


class FastNetworkSettings(Settings):
    """The efficient U-Net on patches (see `sr4.networks.fast`)."""

    kind: Literal["fast"] = "fast"
    patch: int = Field(4, ge=1, le=32)
    widths: tuple[_Width, ...] = Field((96, 192, 256), min_length=1, max_length=6)
    blocks: tuple[_Blocks, ...] = Field((3, 3, 4), min_length=1, max_length=6)
    block: Literal["dense", "gated"] = "dense"
    attention: bool = True
    degradation_aware: bool = False  # told what `sr4.degradation.known` holds
    mean_output: bool = False  # also gives the mean of the pictures that fit low_res

    @property
    def size_multiple(self) -> int:
        """What divides the sides of every picture that the network takes."""
        return self.patch << (len(self.widths) - 1)

    def bytes_per_pixel(self, channels: int) -> int:
        """What the network takes, at most, for a pixel of its result: some twelve float32 maps of
        its finest level at once.
        """
        return 48 * (-(-self.widths[0] // self.patch**2) + channels)

    @property
    def is_local(self) -> bool:
        """Whether what the network makes of a place follows from its surroundings alone, so tiles
        of any size give the same picture.
        """
        return not self.attention

    @model_validator(mode="after")
    def _levels_agree(self) -> FastNetworkSettings:
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"got widths {self.widths} and blocks {self.blocks}; expected one of each a level"
            )
        return self


NETWORKS: Mapping[str, type[Settings]] = {
    "sr3": SR3NetworkSettings,
    "attention-input": AttentionInputNetworkSettings,
    "sr4": SR4NetworkSettings,
    "fast": FastNetworkSettings,
}


NetworkSettings = Annotated[
    SR3NetworkSettings | AttentionInputNetworkSettings | SR4NetworkSettings | FastNetworkSettings,
    Field(discriminator="kind"),
]


def has_mean_output(network: NetworkSettings) -> bool:
    """Whether a network gives a sample and the mean of all pictures that fit."""
    return isinstance(network, FastNetworkSettings) and network.mean_output


def is_degradation_aware(network: NetworkSettings) -> bool:
    """Whether a network takes what is known of the degradation as its last argument."""
    return isinstance(network, FastNetworkSettings) and network.degradation_aware
