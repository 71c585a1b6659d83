"""What a call of `upscale` asks for, whatever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Number, Real
from typing import TYPE_CHECKING, Any

from sr4.errors import UsageError

if TYPE_CHECKING:
    from sr4.evidence.choose import Blur
    from sr4.evidence.kinds import Evidence


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of `Pipeline.upscale`, which explains them, that decide the pixels of its
    results; of a cascade, steps may be one number for each stage. Numbers of NumPy become those of
    Python, as results say them in JSON.

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
        for one in fields(self):
            object.__setattr__(self, one.name, _of_python(getattr(self, one.name)))
        check_detail(self.detail)


def _of_python(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_of_python(one) for one in value)
    return value.item() if isinstance(value, Number) and hasattr(value, "item") else value


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
