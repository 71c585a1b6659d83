"""What a call of `upscale` asks for, whatever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

from sr4.errors import UsageError

if TYPE_CHECKING:
    from sr4.evidence.choose import Blur
    from sr4.evidence.kinds import Evidence


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `Pipeline.upscale`, which explains them, that decide the pixels of its
    results; of a cascade, steps may be one number for each stage.

    Raises:
        UsageError: a detail that no model has.
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

    def __post_init__(self) -> None:
        check_detail(self.detail)


def check_detail(detail: object) -> None:
    """Refuse a detail that no model has.

    Raises:
        UsageError: it is no number from 0 to 1.
    """
    is_number = isinstance(detail, Real) and not isinstance(detail, bool)
    if detail is not None and not (is_number and 0 <= detail <= 1):  # type: ignore[operator]
        raise UsageError(
            f"got detail {detail!r}; expected a number from 0, the mean of all pictures that fit, "
            "to 1, a sample of them"
        )
