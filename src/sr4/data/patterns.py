"""The shell patterns that name several tar shards: braces and globs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sr4.errors import DataError
from sr4.files.paths import missing_path
from sr4.files.patterns import is_pattern, matching

_BRACES = re.compile(r"\{([^{}]*)\}")  # innermost ones
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_LIMIT = 20_000  # a typing mistake such as {0..999999999} should not fill the memory


def expand_braces(text: str) -> list[str]:
    """`a-{00..02}` to a-00, a-01, a-02 and `{x,y}` to x, y, as bash does; other braces stay.

    Numbers keep the width of the wider end that starts with a zero; a range may fall.
    """
    for match in _BRACES.finditer(text):
        choices = _choices(match[1])
        if choices is not None:
            break
    else:
        return [text]
    before, after = text[: match.start()], text[match.end() :]
    expanded: dict[str, None] = {}  # a set that keeps its order
    for choice in choices:
        expanded.update(dict.fromkeys(expand_braces(before + choice + after)))
        if len(expanded) > _LIMIT:
            raise DataError(f"got {text!r}; expected braces that name at most {_LIMIT:,} files")
    return list(expanded)


def _choices(inside: str) -> list[str] | None:
    """What one pair of braces stands for; None where bash would leave it as it is."""
    span = _RANGE.fullmatch(inside)
    if span is None:
        return inside.split(",") if "," in inside else None
    first, last = int(span[1]), int(span[2])
    if abs(last - first) >= _LIMIT:
        raise DataError(f"got the range {{{inside}}}; expected at most {_LIMIT:,} numbers")
    padded = any(len(end) > 1 and end.startswith("0") for end in span.groups())
    width = max(map(len, span.groups())) if padded else 0
    step = 1 if first <= last else -1
    return [f"{number:0{width}d}" for number in range(first, last + step, step)]


def matching_paths(pattern: str) -> list[Path]:
    """The paths that a pattern names: braces in the order written, globs sorted, each path once.

    Raises:
        DataError: a part of the pattern names nothing.
    """
    paths: list[Path] = []
    for part in expand_braces(pattern):
        if is_pattern(part):
            matches = matching(part)
            if not matches:
                raise DataError(
                    f"no file matches {part!r}; expected a pattern of tar files such as "
                    "'train-*.tar' or 'train-{00..02}.tar': quote it against the shell"
                )
            paths += map(Path, matches)
        elif os.path.lexists(part):
            paths.append(Path(part))
        else:
            raise DataError(f"{missing_path(Path(part))}; expected a folder, a tar or a pattern")
    return list(dict.fromkeys(paths))
