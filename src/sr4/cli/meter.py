"""How much of the work of `sr4 upscale` is done, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sr4.cli.console import Show
    from sr4.diffusion.samplers import Step


class Pace:
    """The time that is left, by the speed since the first share that was told: what comes before
    it, such as loading and the first run of a network, comes once.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None

    def left(self, share: float, now: float) -> float | None:
        """Seconds, with a share of all work done; None where that is not known yet."""
        if self._first is None:
            self._first = share, now
        before, since = self._first
        return (now - since) * (1 - share) / (share - before) if share > before else None


@dataclass
class Group:
    """Pictures that go through a network together.

    Attributes:
        name: what they are called beside the bar.
        weight: their part of all work.
        pixels: that are drawn of them: of every stage, sample and part.
        widths: of their results.
        draws: of each result, which are told as one where it is made of tiles.
        announce: told once how long they will take in all, as soon as that is known.
    """

    name: str
    weight: float
    pixels: float
    widths: Collection[int] = ()
    draws: int = 1
    announce: Callable[[float], None] | None = None
    pace: Pace = field(default_factory=Pace)
    began: float = field(default_factory=monotonic)
    done: float = 0.0

    def count(self, step: Step) -> float:
        """The share that is done after a step: of a batch (B, C, H, W), or a band (C, rows, W)."""
        *batch, _, height, width = step.x.shape
        pixels = height * width
        if batch:
            pixels *= batch[0] / step.total
        elif width in self.widths:
            pixels *= self.draws
        self.done += pixels
        return min(1.0, self.done / self.pixels)


class Meter:
    """Shows the share of all work that is done.

    Args:
        show: shows it.
        total: the weights of all groups together.
    """

    def __init__(self, show: Show, total: float) -> None:
        self._show, self._total = show, total
        self._done, self._pace = 0.0, Pace()

    def step(self, group: Group, step: Step) -> None:
        """A step of a group was done."""
        share, now = group.count(step), monotonic()
        left = group.pace.left(share, now)
        if group.announce is not None and left is not None:
            group.announce(now - group.began + left)
            group.announce = None
        self._tell(self._done + share * group.weight, group.name, now)

    def finish(self, group: Group) -> None:
        """A group was done, or failed."""
        self._done += group.weight
        self._tell(self._done, group.name, monotonic())

    def _tell(self, done: float, name: str, now: float) -> None:
        share = min(1.0, done / self._total) if self._total else 1.0
        self._show(share, name, self._pace.left(share, now))
