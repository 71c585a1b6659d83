"""The key that requests have to know, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

from sr4.errors import UsageError, reason

KEY = "SR4_API_KEY"
"""The variable that may hold it."""
_LONGEST = 1000


def read_key(file: Path | None) -> str | None:
    """The API key of a file, or of the environment.

    Raises:
        UsageError: there is none in it.
    """
    text = os.environ.get(KEY)
    where = f"the variable {KEY}"
    if file is not None:
        where = repr(str(file))
        try:
            with file.open(encoding="utf-8") as stream:
                text = stream.read(_LONGEST + 1)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"got the key file {where}, which cannot be read ({reason(error)}); expected a "
                "text file with a key"
            ) from error
    if text is None:
        return None
    text = text.strip()  # of the line break that files and variables of them end with
    if not text or len(text) > _LONGEST or not text.isascii() or not text.isprintable():
        raise UsageError(
            f"got no usable key in {where}; expected 1 to {_LONGEST} printable ASCII "
            "characters in one line: `openssl rand -hex 32` makes one"
        )
    return text
