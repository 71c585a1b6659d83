"""How much of the work of a call is done, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sr4.diffusion.samplers import Step


class Pace:
    """The time that is left, by the speed since the first share that was told: what comes before
    it, such as loading and the first run of a network, comes once.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def skip(self, share: float) -> None:
        """A share of all work is done, in no time."""
        if self._first is not None:
            before, since = self._first
            self._first = before + share, since

    def left(self, share: float, now: float) -> float | None:
        """Seconds, with a share of all work done; None where that is not known yet."""
        if self._first is None:
            self._first = share, now
        before, since = self._first
        return (now - since) * (1 - share) / (share - before) if share > before else None


@dataclass
class Portion:
    """The work of pictures that go through a network together.

    Attributes:
        weight: its part of all work.
        pixels: that are drawn: of every stage, sample and part.
        factors: by the width of a result, the pixels that are drawn last for each of its own.
        draws: of each result, which are told as one where it is made of tiles.
        is_estimated: whether the seconds that it takes were told.
    """

    weight: float
    pixels: float
    factors: Mapping[int, float] = field(default_factory=dict)
    draws: int = 1
    pace: Pace = field(default_factory=Pace)
    began: float = field(default_factory=monotonic)
    done: float = 0.0
    is_estimated: bool = False

    def count(self, step: Step) -> float:
        """The share that is done after a step: of a batch (B, C, H, W), or a band (C, rows, W)."""
        *batch, _, height, width = step.x.shape
        pixels = height * width
        if batch:
            pixels *= batch[0] / step.total
        elif width in self.factors:
            pixels *= self.draws * self.factors[width]
        self.done += pixels
        return min(1.0, self.done / self.pixels)


class Shares(NamedTuple):
    """What is known after a step.

    Attributes:
        share: of the portion that is done; share_of_all: of all work.
        seconds_left: of all work; None where that is not known yet.
        seconds: that the portion takes from its start to its end, as soon as that is known; None
            before and after.
    """

    share: float
    share_of_all: float
    seconds_left: float | None
    seconds: float | None = None


class Meter:
    """Measures the share of all work that is done.

    Args:
        total: the weights of all portions together.
    """

    def __init__(self, total: float) -> None:
        self._total, self._done, self._pace = total, 0.0, Pace()

    def step(self, portion: Portion, step: Step) -> Shares:
        """After a step of a portion."""
        share, now = portion.count(step), monotonic()
        left = portion.pace.left(share, now)
        seconds = None
        if left is not None and not portion.is_estimated:
            seconds, portion.is_estimated = now - portion.began + left, True
        of_all = self._share(self._done + share * portion.weight)
        return Shares(share, of_all, self._pace.left(of_all, now), seconds)

    def skip(self, portion: Portion, pixels: float) -> Shares:
        """When so many pixels of a portion need not be drawn."""
        portion.done += pixels
        share = min(1.0, portion.done / portion.pixels)
        portion.pace.skip(pixels / portion.pixels)
        if self._total:
            self._pace.skip(pixels / portion.pixels * portion.weight / self._total)
        return Shares(share, self._share(self._done + share * portion.weight), None)

    def finish(self, weight: float) -> Shares:
        """After work of that weight was done, or failed."""
        self._done += weight
        of_all = self._share(self._done)
        return Shares(1.0, of_all, self._pace.left(of_all, monotonic()))

    def _share(self, done: float) -> float:
        return min(1.0, done / self._total) if self._total else 1.0
