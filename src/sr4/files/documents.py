"""JSON and YAML that strangers wrote: plain data of a modest size, or a ValueError saying why not.

What the parsers take beyond that is refused here, once for all that comes after: keys that stand
twice, of which programs take different ones; nesting that exhausts the stack; numbers that are not
finite or have thousands of digits; aliases in YAML, a few of which can stand for billions of
values.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1_000_000
"""Of a text; the config of a shipped model has 12,000."""

_MOST_DEPTH = 32
_MOST_DIGITS = 100  # of a number
_MOST_KEY = 200  # characters
_INTEGER, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_OTHER_BASE = re.compile("0[box]")
_TOO_DEEP = f"is nested more than {_MOST_DEPTH} deep"


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A whole file, if it is one and has at most so many bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, or a pipe or a device, which might never end.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is no regular file")
    if status.st_size > most:
        raise ValueError(f"has {status.st_size:,} bytes, more than the {most:,} that sr4 reads")
    with path.open("rb") as file:
        return file.read(status.st_size)


def check_own_file(path: Path, folder: Path) -> None:
    """Refuse what is not a regular file of this folder, all links on its way followed.

    Raises:
        OSError: it cannot be looked at.
        ValueError: it is something else, or elsewhere.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is no regular file")
    root = os.path.realpath(folder)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise ValueError("is a link to a file outside the folder")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or has keys twice, deep nesting or numbers out of any range.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_int=_integer)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check(value, finite=True)
    return value


def parse_yaml(text: str) -> Any:
    """The value of a YAML text, as `yaml.safe_load` gives it; numbers are those of YAML 1.2
    (section 10.3.2), of which none is to base 60: `1:30` is a text.

    Raises:
        ValueError: it is none, or has aliases, keys twice, deep nesting or numbers out of range.
    """
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(place + " ".join(problem.split())) from error
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except (AttributeError, LookupError, TypeError) as error:  # of a value that belies its !!tag
        raise ValueError("has a tag that its value does not fit") from error
    _check(value, finite=False)  # YAML has words for infinity, and settings their own limits
    return value


class _Loader(yaml.SafeLoader):
    """Knows no aliases (`&name`, `*name`), and does not look into a thousand brackets."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level > _MOST_DEPTH:
            raise ValueError(_TOO_DEEP)
        super().fetch_flow_collection_start(token)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                said = _twice(str(key))
                raise yaml.constructor.ConstructorError(None, None, said, key_node.start_mark)
            seen.add(key)
        return found

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"got the alias *{event.anchor}; write its value", event.start_mark
            )
        return super().compose_node(parent, index)


def _integer(text: str) -> int:
    """Of its digits; where they say so, to base 2, 8 or 16."""
    if len(text) > _MOST_DIGITS:  # the time goes by the square
        raise ValueError(f"has an integer of more than {_MOST_DIGITS} digits")
    return int(text, 0 if _OTHER_BASE.match(text) else 10)


def _yaml_integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return _integer(loader.construct_scalar(node))


def _yaml_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node)
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"has a number of more than {_MOST_DIGITS} digits")
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INTEGER, _FLOAT)]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _INTEGER,
    re.compile(r"(?:[-+]?[0-9][0-9_]*|0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)\Z"
    ),
    list("-+.0123456789"),
)
_Loader.add_constructor(_INTEGER, _yaml_integer)
_Loader.add_constructor(_FLOAT, _yaml_float)


def _check(value: Any, *, finite: bool, depth: int = 0) -> None:
    """Refuse what is nested too deeply, and keys and numbers out of any range."""
    if depth > _MOST_DEPTH:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if len(str(key)) > _MOST_KEY:
                raise ValueError(f"has the key {str(key)[:40]!r}..., longer than any name")
            _check(inner, finite=finite, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, finite=finite, depth=depth + 1)
    elif isinstance(value, float) and finite and not math.isfinite(value):
        raise ValueError("has a number that is not finite")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(_twice(next(key for key, count in counts.items() if count > 1)))
    return found


def _twice(key: str) -> str:
    return f"has the key {key[:40]!r} twice"
