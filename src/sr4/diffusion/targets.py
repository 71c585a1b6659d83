"""What is diffused: the variable x_0 that stands for the picture.

Every target is affine, `picture = base + scale * x_0`; targets differ in the base that `low_res`
gives. All functions take NumPy arrays and torch tensors: pictures (B, C, H, W), `low_res`
(B, C, h, w), both in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from array_api_compat import device

from sr4.degradation import Degradation
from sr4.degradation.arrays import array_namespace
from sr4.evidence.constraint import Corrects

Array = Any


def _nothing(degradation: Degradation, low_res: Array, _: Array | None) -> Array:
    """Base of the picture itself, as in SR3."""
    scale = degradation.scale
    shape = (*low_res.shape[:-2], low_res.shape[-2] * scale, low_res.shape[-1] * scale)
    return array_namespace(low_res).zeros(shape, dtype=low_res.dtype, device=device(low_res))


def _upsampled(degradation: Degradation, low_res: Array, upsampled: Array | None) -> Array:
    """Base of the residual (SR4 paper, equation 9)."""
    return degradation.upsample(low_res) if upsampled is None else upsampled


def _projected(degradation: Degradation, low_res: Array, upsampled: Array | None) -> Array:
    """Base of the fitted and of the null-space residual: the bicubic picture, made to fit
    `low_res`.
    """
    return degradation.project(_upsampled(degradation, low_res, upsampled), low_res)


_BASES: Mapping[str, Callable[[Degradation, Array, Array | None], Array]] = {
    "picture": _nothing,
    "residual": _upsampled,
    "fitted-residual": _projected,
    "null-space": _projected,
}


@dataclass(frozen=True)
class Frame:
    """A target for given `low_res` pictures.

    Attributes:
        constraint: what consistent pictures satisfy; None for D of them being `low_res`.
    """

    target: Target
    low_res: Array
    base: Array
    constraint: Corrects | None = None

    def encode(self, high_res: Array) -> Array:
        """x_0 of pictures."""
        x_0 = self._x_0(high_res)
        # (I - D⁺D)(high_res - base) = (I - D⁺D)(high_res - upsampled): the bases differ by D⁺(·).
        return self.target.degradation.null_space(x_0) if self.target.is_null_space else x_0

    def decode(self, x_0: Array) -> Array:
        """The pictures of an x_0."""
        return self.base + self.target.scale * x_0

    def constrain(self, x_0: Array, *, consistency: bool) -> Array:
        """x_0 of a possible picture: values clipped to [-1, 1], then, with consistency, projected
        so that D of them is `low_res`, or what the constraint allows (which may leave that range
        again by a little). Applied to every prediction of x_0 inside a sampler.
        """
        picture = array_namespace(x_0).clip(self.decode(x_0), -1.0, 1.0)
        return self._x_0(self._fitting(picture) if consistency else picture)

    def constrain_unclipped(self, x_0: Array, *, consistency: bool) -> Array:
        """The picture of `constrain` as training needs it: values may leave [-1, 1], since clipped
        values have no gradient.
        """
        picture = self.decode(x_0)
        if self.target.is_null_space:  # it always fits
            return self.encode(picture)
        return self._x_0(self._fitting(picture) if consistency else picture)

    def _fitting(self, picture: Array) -> Array:
        if self.constraint is not None:
            return self.constraint.correct(picture)
        return self.target.degradation.project(picture, self.low_res)

    def _x_0(self, picture: Array) -> Array:
        return (picture - self.base) / self.target.scale


@dataclass(frozen=True)
class Target:
    """A diffused variable.

    Args:
        kind: "picture", "residual" (`high_res - upsampled`), "fitted-residual" (the same over the
            bicubic picture made to fit `low_res`) or "null-space" (`(I - D⁺D)(high_res -
            upsampled)`, what `low_res` says nothing about). The last two are one for pictures
            that D alone has made, to the rounding of `low_res`; only the former leaves others
            free to differ from it.
        degradation: the operator that made `low_res`.
        scale: deviation of the target over the training pictures, so that x_0 has about unit
            variance, where noise schedules expect it.
    """

    kind: str
    degradation: Degradation
    scale: float = 1.0

    @property
    def is_null_space(self) -> bool:
        """Whether x_0 lives in the null space of D."""
        return self.kind == "null-space"

    def frame(
        self, low_res: Array, constraint: Corrects | None = None, upsampled: Array | None = None
    ) -> Frame:
        """The target for given `low_res` pictures.

        Args:
            upsampled: these pictures, where they are at hand at the target size.
        """
        base = _BASES[self.kind](self.degradation, low_res, upsampled)
        return Frame(self, low_res, base, constraint)
