"""The pictures of an evaluation that can be looked at: the best, the worst, and some at random.

Which ones they are is known at the end alone; until then no more are held than may be among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

EACH = 3  # best ones, and worst ones
BY_CHANCE = 3 * EACH  # of which some will be best or worst ones too
WINDOW = 256  # pixels; of larger pictures the middle is kept

_ORDINALS = ("", "second ", "third ")


@dataclass(frozen=True, eq=False)
class Kept:
    """A picture that may be shown; of a large one the middle.

    Args:
        place: among all pictures; lot: by which it is chosen at random.
        psnr: of its result; bicubic_psnr: of bicubic upscaling; both of the whole picture.
        size: width and height of the whole picture.
        low_res, bicubic, result, truth: 8 bits, (h, w, C).
        spread: how unsure the result is of each pixel, (h, w) on the [0, 1] scale, if that is
            known.
    """

    place: int
    lot: int
    psnr: float
    bicubic_psnr: float
    size: tuple[int, int]
    low_res: NDArray[np.uint8]
    bicubic: NDArray[np.uint8]
    result: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    spread: NDArray[np.float32] | None


def lot(name: str) -> int:
    """The number by which a picture is chosen at random, the lowest first: it follows from the name
    alone, so that the same ones of a test set are, whatever the model.
    """
    return int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big")


@dataclass
class Gallery:
    """Keeps pictures, as they come, as long as they may be shown."""

    best: list[Kept] = field(default_factory=list)
    worst: list[Kept] = field(default_factory=list)
    random: list[Kept] = field(default_factory=list)

    def add(self, psnr: float, name: str, make: Callable[[int], Kept]) -> None:
        """One more picture.

        Args:
            make: makes what is kept, given the number that it is chosen by; called if it is.
        """
        number = lot(name)
        is_good = len(self.best) < EACH or psnr > self.best[-1].psnr
        is_bad = len(self.worst) < EACH or psnr < self.worst[-1].psnr
        is_chosen = len(self.random) < BY_CHANCE or number < self.random[-1].lot
        if not (is_good or is_bad or is_chosen):
            return
        kept = make(number)
        if is_good:
            self.best = sorted([*self.best, kept], key=attrgetter("psnr"), reverse=True)[:EACH]
        if is_bad:
            self.worst = sorted([*self.worst, kept], key=attrgetter("psnr"))[:EACH]
        if is_chosen:
            self.random = sorted([*self.random, kept], key=attrgetter("lot"))[:BY_CHANCE]

    def titled(self, count: int) -> list[tuple[str, Kept]]:
        """What is kept of so many pictures, once each: the worst first, then the best, then those
        at random.
        """
        best = self.best[: (count + 1) // 2]
        chosen = {one.place for one in best}
        worst = [one for one in self.worst if one.place not in chosen][: count // 2]
        chosen |= {one.place for one in worst}
        found = [(f"{_ORDINALS[at]}worst", one) for at, one in enumerate(worst)]
        found += [(f"{_ORDINALS[at]}best", one) for at, one in enumerate(best)]
        return found + [("random", one) for one in self.random if one.place not in chosen]


def window(pixels: NDArray[np.uint8], scale: int, of_scale: int) -> tuple[slice, slice]:
    """The middle of pixels (H, W, ...) in which at most WINDOW pixels of a result lie, on whole
    pixels of its input.

    Args:
        scale: of the model; of_scale: of these pixels to those of the input: 1 for the input.
    """
    sides = []
    for side in pixels.shape[:2]:
        whole = side // of_scale  # in pixels of the input
        length = min(whole, max(1, WINDOW // scale))
        start = (whole - length) // 2
        sides.append(slice(start * of_scale, (start + length) * of_scale))
    return sides[0], sides[1]
