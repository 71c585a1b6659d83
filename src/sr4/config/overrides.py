"""Settings laid over others: from files and from `key=value` on the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from sr4.config import RunSettings, explain
from sr4.errors import UsageError, nearest, shorten
from sr4.files.documents import parse_yaml

_MOST_DOTS = 16  # in the name of a setting


def merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """base with the changes laid over it, mapping by mapping.

    A network of another kind takes the place of the old one, whose keys would mean nothing to it.
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if not (isinstance(old, dict) and isinstance(value, Mapping)):
            merged[key] = value
        elif key == "network" and "kind" in old and value.get("kind", old["kind"]) != old["kind"]:
            merged[key] = dict(value)
        else:
            merged[key] = merge(old, value)
    return merged


def parse_assignment(text: str) -> dict[str, Any]:
    """`"training.seed=1"` as `{"training": {"seed": 1}}`; the value is read as YAML."""
    key, separator, value = text.partition("=")
    if not separator or not all(key.split(".")) or key.count(".") > _MOST_DOTS:
        raise UsageError(
            f"got {shorten(text)!r}; expected key=value, such as training.batch_size=8"
        )
    try:
        parsed = parse_yaml(value)
    except ValueError as error:
        raise UsageError(
            f"got {shorten(text)!r}; its value is not valid YAML ({shorten(str(error))})"
        ) from error
    # YAML reads 1e-4 as a string; people mean the number.
    if isinstance(parsed, str):
        with contextlib.suppress(ValueError):
            parsed = float(parsed)
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return parsed  # type: ignore[no-any-return]


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Several assignments laid over each other, the last on top."""
    changes: dict[str, Any] = {}
    for text in texts:
        changes = merge(changes, parse_assignment(text))
    return changes


def flat(settings: RunSettings) -> dict[str, Any]:
    """The values of a run's settings by their names, such as "training.seed"."""
    return dict(_flat(settings.model_dump(mode="json"), ""))


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def full_name(settings: RunSettings, end: str) -> str:
    """The name of a setting by its last part or parts: "model.network.path" by "path".

    Raises:
        UsageError: there is no such setting, or several.
    """
    names = list(flat(settings))
    found = [name for name in names if f".{name}".endswith(f".{end}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"got the setting {shorten(end)!r}; expected one of {', '.join(found)}")
    ends = {name.rpartition(".")[2] for name in names}
    raise UsageError(f"unknown setting {shorten(end)!r}: {nearest(end, [*names, *ends])}")


def override(settings: RunSettings, changes: Mapping[str, Any]) -> RunSettings:
    """A run's settings with changes laid over them and everything validated anew. `sampling.…` is
    short for `model.sampling.…`.

    Raises:
        UsageError: an unknown key (the nearest valid one is named) or an impossible value.
    """
    if "sampling" in changes:
        others = {key: value for key, value in changes.items() if key != "sampling"}
        changes = merge(others, {"model": {"sampling": changes["sampling"]}})
    try:
        return RunSettings.model_validate(merge(settings.model_dump(), changes))
    except ValidationError as error:
        raise UsageError(explain(error, RunSettings)) from error
