"""Settings of networks, by their `kind`, and what the rest of the package asks of them.

A network is its module in `sr4.networks`, its settings and their place in the union here, and a
line in `sr4.build`: nothing else knows one network from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from sr4.config.base import Settings

if TYPE_CHECKING:
    from typing_extensions import Self

# The limits are far above what anyone trains, and low enough that a network of these settings can
# be laid out, without its weights, in a moment.
_Width = Annotated[int, Field(ge=1, le=8192)]


_Multiplier = Annotated[int, Field(ge=1, le=64)]


_Blocks = Annotated[int, Field(ge=1, le=64)]


_Edge = Annotated[int, Field(ge=1, le=65_536)]


_MAPS = 12  # float32 maps of a network's finest level, some, that it holds at once


class PlainNetworkSettings(Settings):
    """Base of all networks' settings: what the package asks of a network, answered for one that
    takes pictures of any size, needs nothing but them and the noise level, and has one output.
    """

    learns_variance: ClassVar[bool] = False
    """Whether it has a second output where `objective.variance` is "learned"."""

    @property
    def size_multiple(self) -> int:
        """What divides the sides of every picture that the network takes."""
        return 1

    def bytes_per_pixel(self, channels: int) -> int:
        """What the network takes, at most, for a pixel of its result."""
        raise NotImplementedError

    @property
    def is_local(self) -> bool:
        """Whether what the network makes of a place follows from its surroundings alone, so tiles
        of any size give the same picture.
        """
        return False

    @property
    def has_mean_output(self) -> bool:
        """Whether it gives a sample and the mean of all pictures that fit."""
        return False

    @property
    def is_degradation_aware(self) -> bool:
        """Whether it takes what is known of the degradation as its last argument."""
        return False

    def with_mean_output(self) -> Self:
        """The same network with a mean output, where it can have one."""
        return self

    def shrunk(self, width: int, edge: int) -> Self | None:
        """The same network for pictures of a smaller edge; None where it has no such likeness.

        Args:
            width: what its channels are divided by; edge: what its feature maps' edges are.
        """
        return None

    def arguments(self, *, channels: int, out_channels: int, image_size: int) -> dict[str, Any]:
        """Those that its module is made with.

        Args:
            channels: of the pictures; out_channels: of the output.
            image_size: edge of the training pictures.
        """
        return {**self.model_dump(exclude={"kind"}), "channels": channels}


class SR3NetworkSettings(PlainNetworkSettings):
    """The U-Net of SR3 (see `sr4.networks.sr3`)."""

    learns_variance = True

    kind: Literal["sr3"] = "sr3"
    inner: int = Field(64, ge=8, le=1024)
    multipliers: tuple[_Multiplier, ...] = Field((1, 2, 4, 8, 8), min_length=1, max_length=8)
    groups: int = Field(32, ge=1, le=1024)
    attention_resolutions: tuple[_Edge, ...] = Field((16,), max_length=8)
    heads: int = Field(1, ge=1, le=64)
    blocks: int = Field(2, ge=1, le=16)
    dropout: float = Field(0.2, ge=0, le=0.99)

    @property
    def size_multiple(self) -> int:  # is not local: attention, and norms over groups
        return 1 << (len(self.multipliers) - 1)

    def bytes_per_pixel(self, channels: int) -> int:
        return 4 * _MAPS * self.inner

    def shrunk(self, width: int, edge: int) -> Self:
        resolutions = tuple(one // edge for one in self.attention_resolutions)
        changes = {"inner": self.inner // width, "groups": self.groups // width}
        return self.model_copy(update={**changes, "attention_resolutions": resolutions})

    def arguments(self, *, channels: int, out_channels: int, image_size: int) -> dict[str, Any]:
        plain = super().arguments(
            channels=channels, out_channels=out_channels, image_size=image_size
        )
        return {**plain, "out_channels": out_channels, "image_size": image_size}


class SR4NetworkSettings(SR3NetworkSettings):
    """The U-Net of SR4: attention at 8x8 only, and a low-res path (see `sr4.networks.sr4`)."""

    kind: Literal["sr4"] = "sr4"  # type: ignore[assignment]
    attention_resolutions: tuple[_Edge, ...] = Field((8,), max_length=8)
    heads: int = Field(4, ge=1, le=64)
    path: Literal["convolutions", "large-kernel", "bicubic", "direct", "none"] = "convolutions"
    path_activation: Literal["silu", "relu", "leaky-relu", "gelu"] = "silu"
    path_resolution: _Edge = 16
    path_width: int = Field(32, ge=1, le=1024)

    def shrunk(self, width: int, edge: int) -> Self:
        changes = {
            "path_resolution": self.path_resolution // edge,
            "path_width": self.path_width // width,
        }
        return super().shrunk(width, edge).model_copy(update=changes)


class AttentionInputNetworkSettings(SR3NetworkSettings):
    """The U-Net of SR3 behind an attention over its inputs (see `sr4.networks.attention_input`)."""

    kind: Literal["attention-input"] = "attention-input"  # type: ignore[assignment]


class FastNetworkSettings(PlainNetworkSettings):
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
        return self.patch << (len(self.widths) - 1)

    def bytes_per_pixel(self, channels: int) -> int:
        return 4 * _MAPS * (-(-self.widths[0] // self.patch**2) + channels)

    @property
    def is_local(self) -> bool:
        return not self.attention

    @property
    def has_mean_output(self) -> bool:
        return self.mean_output

    @property
    def is_degradation_aware(self) -> bool:
        return self.degradation_aware

    def with_mean_output(self) -> Self:
        return self.model_copy(update={"mean_output": True})

    @model_validator(mode="after")
    def _levels_agree(self) -> FastNetworkSettings:
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"got widths {self.widths} and blocks {self.blocks}; expected one of each a level"
            )
        return self


NetworkSettings = Annotated[
    SR3NetworkSettings | AttentionInputNetworkSettings | SR4NetworkSettings | FastNetworkSettings,
    Field(discriminator="kind"),
]


NETWORKS: Mapping[str, type[PlainNetworkSettings]] = {
    one.model_fields["kind"].default: one for one in get_args(get_args(NetworkSettings)[0])
}
