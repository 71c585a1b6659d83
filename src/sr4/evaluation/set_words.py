"""What is said of distances between sets of features: how they are computed, and what to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sr4.evaluation.distances import KERNEL_SCALE, frechet_bias

FEW = 100  # pictures below which a distance between sets says little


@dataclass(frozen=True)
class Compared:
    """What sets hold whose distance is told.

    Args:
        pictures: their number.
        count: features compared; patch: edge of the patches that they are of; None: of pictures.
    """

    pictures: int
    count: int
    patch: int | None


def kernel_protocol(of: Compared) -> str:
    what = f"{of.count} pictures"
    if of.patch:
        what = f"{of.count} patches of {of.patch}x{of.patch} pixels, side by side"
    return (
        f"(x·y / dimension + 1)³ over {what}, unbiased: nothing with itself or with what is of the "
        f"same picture; x {KERNEL_SCALE:g}; interval: bootstrap of each picture's share"
    )


def frechet_protocol(of: Compared) -> str:
    return (
        "results from originals; means and sample covariances, float64; interval: bootstrap of "
        "each picture's share, which leaves the bias of small sets in"
    )


def bias_caution(unbiased: str) -> Callable[[Compared, int], str | None]:
    """The caution of a Fréchet distance, which names the metric to use instead."""

    def caution(of: Compared, dimension: int) -> str | None:
        bias = frechet_bias(of.count, dimension)
        return f"{bias} ({unbiased})" if bias else None

    return caution


def few_caution(of: Compared, _dimension: int) -> str | None:
    """The caution of a kernel distance, whose deviation falls with the number of pictures only."""
    if of.pictures >= FEW:
        return None
    if of.count >= FEW:
        return (
            f"its interval is that of {of.pictures} pictures, whatever the number of their "
            f"patches: expected at least {FEW} pictures"
        )
    return (
        f"a kernel distance of {of.count} may lie far off, below 0 even: expected at least {FEW} "
        "pictures, or patches of larger ones (--patch)"
    )
