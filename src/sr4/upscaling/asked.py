"""What a call of `upscale` asks for, whatever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sr4.evidence.choose import Blur
    from sr4.evidence.kinds import Evidence


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `Pipeline.upscale`, which explains them, that decide the pixels of its
    results; of a cascade, steps may be one number for each stage.
    """

    steps: int | Sequence[int] | None = None
    sampler: str | None = None
    seed: int = 0
    samples: int = 1
    use_mean: bool = False
    detail: float | None = None
    consistency: bool | None = None
    evidence: str | Evidence | Sequence[str | Evidence] = "auto"
    noise: float | None = None
    blur: Blur = None
    scale: float | None = None
    width: int | None = None
    height: int | None = None
    tile: int | None = None
