"""Options as people write them, on the command line and in forms: text in, values out.

What begins their names there, the dashes or nothing, is the `mark` of messages.
"""

from __future__ import annotations

from typing import Literal

from sr4.errors import UsageError

_MAP_SUFFIXES = {"png": ".png", "tiff": ".tif", "tif": ".tif", "npy": ".npy"}
DASHES = "--"
DEFAULT_SAMPLES = 8  # where a mean or a map asks for several and nobody says how many


def read_steps(text: str | None, mark: str = DASHES) -> int | tuple[int, ...] | None:
    """Steps, such as "4", or "1,10" for two models.

    Raises:
        UsageError: these are no whole numbers of at least 1.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise UsageError(
            f"got {mark}steps {text!r}; expected whole numbers of at least 1, such as 4, or 1,10 "
            "for two models"
        )
    several = tuple(map(int, parts))
    return several if len(several) > 1 else several[0]


def read_tile(text: str | None, mark: str = DASHES) -> int | None:
    """The edge of tiles; None for "auto".

    Raises:
        UsageError: it is neither that nor a number.
    """
    if text is None or text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"got {mark}tile {text!r}; expected a number of pixels, 0 or auto")
    return int(text)


def read_blur(text: str | None, mark: str = DASHES) -> float | Literal["auto"] | None:
    """The deviation of a blur, or "auto".

    Raises:
        UsageError: it is neither that nor a number.
    """
    if text is None or text == "auto":
        return "auto" if text else None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"got {mark}blur {text!r}; expected a number of pixels, or auto") from None


def read_suffix(text: str | None) -> str | None:
    """The suffix of results in a format, such as ".jpg" for "jpg"; "same" stays."""
    return text if text in (None, "same") else f".{text.lstrip('.').lower()}"


def read_map_format(text: str) -> str:
    """The suffix of uncertainty maps.

    Raises:
        UsageError: they have no such format.
    """
    suffix = _MAP_SUFFIXES.get(text.lstrip(".").lower())
    if suffix is None:
        raise UsageError(
            f"got --uncertainty-format {text!r}; expected png, a picture with a scale, or tiff or "
            "npy, the numbers in levels of 255"
        )
    return suffix


def count_samples(samples: int | None, *, mean: bool, uncertainty: bool, mark: str = DASHES) -> int:
    """How many samples are drawn, where people may leave the number out.

    Raises:
        UsageError: a mean or a map of one sample.
    """
    if samples == 1 and (mean or uncertainty):
        raise UsageError(
            f"got {mark}samples 1 with {mark}mean or {mark}uncertainty; expected at least 2"
        )
    if samples is None:
        return DEFAULT_SAMPLES if mean or uncertainty else 1
    return samples
