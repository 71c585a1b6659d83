"""What is asked of a degradation D, whichever way it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self

Array = Any  # a NumPy array or a torch tensor
Floats = NDArray[np.float32]
Place = tuple[slice, slice]  # rows and columns
Centres = tuple[NDArray[np.float64], NDArray[np.float64]]  # of rows (H,) and of columns (W,)

_ALL = slice(None)


class Degrades(Protocol):
    """A linear operator D from large pictures to small ones: `Degradation`, `DegradationChain`,
    `SizedDegradation`.
    """

    def __call__(self, x: Array) -> Array:
        """D(x): (..., H, W) to (..., h, w)."""
        ...

    def blurred(self, deviation: float) -> Self:
        """This one after a Gaussian blur, in pixels of `low_res`."""
        ...

    @property
    def reach(self) -> int:
        """Low-res pixels by which a blur widens what others follow from."""
        ...

    def cut(self, rows: slice = _ALL, columns: slice = _ALL) -> tuple[Self, Place]:
        """D of some low-res pixels, as if the picture had no others, and the high-res ones that it
        takes for them.
        """
        ...

    def place(self, rows: slice = _ALL, columns: slice = _ALL) -> Place:
        """The high-res pixels in the place of low-res ones."""
        ...

    def centres(self, size: tuple[int, int]) -> Centres:
        """Where the centres of the high-res pixels lie in the low-res picture of that height and
        width, along each axis: 0 is the centre of its first pixel.
        """
        ...

    def descent(self, y: Array) -> Array:
        """What to add to x for D x to grow by about y, in rounds that clip what was added: (..., h,
        w) to (..., H, W).
        """
        ...

    def enlarge(self, low_res: Floats, rows: slice = _ALL) -> Floats:
        """The `upsampled` picture made to fit low_res as far as it stays between its pixels (see
        `sr4.degradation.enlarging`), (..., h, w) in [-1, 1] to (..., H, W): of it the rows in the
        place of some low-res ones.
        """
        ...


class Invertible(Degrades, Protocol):
    """One with a pseudo-inverse, which a chain lacks: `Degradation`, `SizedDegradation`."""

    def pseudo_inverse(self, y: Array) -> Array:
        """D⁺(y), the smallest picture that D maps onto y: (..., h, w) to (..., H, W)."""
        ...

    def repeated(self, y: NDArray[Any]) -> NDArray[Any]:
        """The low-res pixel that each high-res one lies in: (..., h, w) to (..., H, W)."""
        ...

    def fit(self, pictures: Floats, low_res: Floats) -> Floats:
        """Pictures near the given ones, in [-1, 1], that D maps onto low_res as closely as that
        range lets it: see `sr4.degradation.fit`.
        """
        ...


def near(rows: slice, height: int, margin: int) -> tuple[slice, slice]:
    """Some rows of a picture of that height with a margin around them, and where they lie in
    that.
    """
    start, stop, _ = rows.indices(height)
    top = max(0, start - margin)
    return slice(top, min(height, stop + margin)), slice(start - top, stop - top)
