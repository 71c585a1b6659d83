"""What is to be drawn for pictures: draws of the parts of samples, and how these grids are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sr4.degradation import resize
from sr4.degradation.known import CLEAN, Known
from sr4.degradation.protocols import Degrades
from sr4.diffusion.samplers import PictureNoise
from sr4.evidence.constraint import Constraint
from sr4.evidence.kinds import Evidence
from sr4.pictures.parts import Parts
from sr4.upscaling.sizing import Resizing, Size

Floats = NDArray[np.float32]
Made = TypeVar("Made")


class Draw(NamedTuple):
    """A sample to be drawn.

    Attributes:
        low_res: (C, h, w) in [-1, 1].
        seed: decides its noise.
        condition: what the network sees in the place of low_res, of the same shape; None for
            low_res itself.
        constraint: what consistency means; None for D of the sample being low_res.
        known: what is known of the degradation of low_res.
        taken: height and width of what the last drawing takes, if that is not the first.
        resizing: what becomes of the sample in a result.
        is_shown: whether steps give previews of it.
    """

    low_res: Floats
    seed: int
    condition: Floats | None = None
    constraint: Constraint | None = None
    known: Known = CLEAN
    taken: tuple[int, int] | None = None
    resizing: Resizing | None = None
    is_shown: bool = False

    def at_stage(self, stage: int, low_res: Floats, condition_noise: float, is_last: bool) -> Draw:
        """What a later stage, counted from this one, draws of the sample of the one before.

        Args:
            low_res: that sample.
            is_last: whether no other follows.
        """
        seed = self.seed
        if is_last and self.taken not in (None, low_res.shape[1:]):
            low_res = np.clip(resize(low_res, *self.taken), -1.0, 1.0)
        condition = None
        if condition_noise > 0:
            noise = PictureNoise([_derived_seed(seed, stage, 1)], low_res.shape)()[0]
            condition = low_res + np.float32(condition_noise) * noise
        later = Draw(low_res, _derived_seed(seed, stage), condition)
        return later._replace(resizing=self.resizing, is_shown=self.is_shown)


def _derived_seed(seed: int, *key: int) -> int:
    """A seed of 128 bits whose noise has nothing to do with that of the seed or of other keys.

    Noise of one seed begins with the same numbers at every size, only laid out in other rows.
    """
    low, high = np.random.SeedSequence(seed, spawn_key=key).generate_state(2, np.uint64)
    return int(high) << 64 | int(low)


def conditions(draws: Sequence[Draw]) -> Floats | None:
    """What the network sees in the place of the low_res of draws, (B, C, h, w), if it
    is something else."""
    if all(draw.condition is None for draw in draws):
        return None
    seen = [draw.low_res if draw.condition is None else draw.condition for draw in draws]
    return np.stack(seen)


@dataclass(frozen=True)
class Task:
    """A picture to be upscaled.

    Attributes:
        parts: the picture as it goes through the model.
        evidence: what it says.
        degradation: from its result to it.
        samples: of every sample the draws of its parts.
        size: how its result gets its size.
    """

    parts: Parts
    evidence: Evidence
    degradation: Degrades
    samples: Sequence[Sequence[Draw]]
    size: Size

    @property
    def is_own_size(self) -> bool:
        """Whether the result is as large as the models make it by themselves."""
        return self.size.wanted is None

    @property
    def drawn(self) -> tuple[int, int]:
        """Height and width of what is drawn at last."""
        width, height = self.size.drawn
        return height, width


def at_once(
    work: Callable[[list[Draw]], Sequence[Made]], pictures: Sequence[Sequence[Sequence[Draw]]]
) -> list[list[list[Made]]]:
    """What `work` makes of the draws of all parts of all samples of all pictures together, each in
    the place of its draw.
    """
    made = iter(work([draw for samples in pictures for parts in samples for draw in parts]))
    return [[[next(made) for _ in parts] for parts in samples] for samples in pictures]
