"""The header of a safetensors file, which tells all tensors before any is read.

The file begins with the header's length (8 bytes), then the header, JSON: for each tensor its type,
its shape, and where its values begin and end in what follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sr4.errors import ModelError, reason
from sr4.files.documents import parse_json

MOST_BYTES = 2**32
"""Of a file of weights: ten times those of the largest network of the SR3 paper."""

_BYTES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}
_MOST_HEADER = 10_000_000
_MOST_AXES = 16


class StoredTensor(NamedTuple):
    """Where a file of weights keeps a tensor."""

    kind: str  # "F16", "BF16", "F32" or "F64"
    shape: tuple[int, ...]
    begin: int  # first byte, from the start of the file
    length: int  # bytes


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name, each checked to lie inside it.

    Raises:
        ModelError: the file is missing, damaged or too large, or holds anything but floats.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ValueError(f"it has {size:,} bytes, more than the {MOST_BYTES:,} that sr4 loads")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(_MOST_HEADER, size - 8):
                raise ValueError("its header ends outside the file")
            header = parse_json(file.read(length).decode("utf-8"))
        if not isinstance(header, dict):
            raise ValueError("its header is no object")
        header.pop("__metadata__", None)
        tensors = {name: _tensor(name, entry, 8 + length) for name, entry in header.items()}
        _check_places(tensors, 8 + length, size)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: not found; expected the model's weights") from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: not a readable safetensors file ({reason(error)}); expected the weights of "
            "the network: copy or export the model again"
        ) from error
    return tensors


def _tensor(name: str, entry: Any, start: int) -> StoredTensor:
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
            pass
        case _:
            raise ValueError(f"its header does not describe the tensor {name!r}")
    if kind not in _BYTES:
        raise ValueError(
            f"its tensor {name!r} is of type {kind[:20]!r}, none of {', '.join(_BYTES)}"
        )
    if len(shape) > _MOST_AXES or not all(type(edge) is int and edge >= 0 for edge in shape):
        raise ValueError(f"its tensor {name!r} has an impossible shape")
    if end - begin != math.prod(shape) * _BYTES[kind]:
        raise ValueError(f"its tensor {name!r} has {end - begin} bytes, unlike its shape")
    return StoredTensor(kind, tuple(shape), start + begin, end - begin)


def _check_places(tensors: Mapping[str, StoredTensor], start: int, end: int) -> None:
    """Refuse tensors that overlap or leave the file: few bytes could stand for many weights."""
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].begin):
        if tensor.begin != start:
            raise ValueError(f"its tensor {name!r} does not begin where the one before it ends")
        start += tensor.length
    if start != end:
        raise ValueError(f"its tensors need {start:,} bytes, and it has {end:,}")
