"""The files of a model folder, held against its config before anything is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from sr4.config import ModelConfig
from sr4.errors import ModelError, reason
from sr4.files.documents import check_own_file
from sr4.files.whole import file_sha256
from sr4.runtime import CONFIG, FILES, WEIGHTS
from sr4.runtime.weights import MOST_BYTES, read_header


def check_files(folder: Path, config: ModelConfig) -> None:
    """Refuse a folder whose files are not those that its config was written for.

    A graph has only places inside the weights file, so that nothing else would notice other
    weights there.
    """
    sums = config.sha256
    for name in sums:
        if Path(name).name != name:
            raise ModelError(
                f"{folder / CONFIG}: names the file {name!r}; expected files beside it: copy the "
                "model again"
            )
    if sums and WEIGHTS not in sums:
        raise ModelError(
            f"{folder / CONFIG}: has checksums, but none of {WEIGHTS}; expected all: copy the "
            "model again"
        )
    for name in sums or [one for one in FILES if (folder / one).exists()]:
        _check_file(folder, name, sums)
    stored = sum(math.prod(one.shape) for one in read_header(folder / WEIGHTS).values())
    if config.parameters not in (0, stored):  # older models say nothing
        raise ModelError(
            f"{folder / WEIGHTS}: has {stored:,} parameters; expected {config.parameters:,}, as "
            f"{CONFIG} says: copy the model again"
        )


def _check_file(folder: Path, name: str, sums: Mapping[str, str]) -> None:
    path = folder / name
    try:
        check_own_file(path, folder)
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"has more than {MOST_BYTES:,} bytes")
        found = file_sha256(path) if sums else ""
    except (OSError, ValueError) as error:  # ValueError: also a name with a null byte
        raise ModelError(
            f"{path}: cannot be read ({reason(error)}); expected a file of the model: copy the "
            "model again"
        ) from error
    if found != sums.get(name, ""):
        raise ModelError(
            f"{path}: its checksum differs from the one in {CONFIG}; expected the file the "
            "model was saved with: copy the model again"
        )
