"""The scores that a model's description holds, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sr4.evaluation.set_words import FEW
from sr4.evaluation.table import FIELDS, OF_SETS

_TITLES = {"count": "pictures"}  # of what is no metric


class Scores(NamedTuple):
    """Scores of systems on one set of pictures.

    Attributes:
        title: the set; "" where scores stand by themselves.
        header: "score", then the systems.
        rows: for each score its name, then that of each system; "" where one is missing.
    """

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(scores: Mapping[str, Any]) -> Iterator[Scores]:
    """A table for each set of pictures. Scores may be nested in any way, and be anything."""
    groups: dict[str, dict[str, Mapping[str, Any]]] = {}
    for path, found in _systems(scores, ()):
        groups.setdefault(", ".join(path[:-1]), {})["".join(path[-1:])] = found
    for title, systems in groups.items():
        names = sorted(
            dict.fromkeys(name for found in systems.values() for name in found), key=_place
        )
        rows = [
            (
                _TITLES.get(name, name),
                *(_shown(name, one.get(name, "")) for one in systems.values()),
            )
            for name in names
        ]
        yield Scores(title, ("score", *systems), rows)


def cautions(scores: Mapping[str, Any]) -> Iterator[str]:
    """What to know of scores that rest on too few pictures."""
    small: dict[tuple[str, str], int] = {}
    for path, found in _systems(scores, ()):
        count = found.get("count")
        for metric in OF_SETS:
            if metric.field in found and isinstance(count, int) and count < FEW:
                small[metric.field, ", ".join(path[:-1]) or "".join(path)] = count
    for field in dict.fromkeys(field for field, _ in small):
        sets = [f"{name} ({count})" for (one, name), count in small.items() if one == field]
        yield (
            f"{field} of {', '.join(sets)} rests on fewer than {FEW} pictures: it may lie far off, "
            "so compare it only with others of the same set"
        )


def _place(name: str) -> int:
    """What is no score comes first, then scores in their usual order."""
    return list(FIELDS).index(name) if name in FIELDS else -1


def _systems(
    scores: Mapping[str, Any], path: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Each mapping that holds scores itself, by the names that lead to it."""
    own = {key: one for key, one in scores.items() if not isinstance(one, Mapping) or _is_mean(one)}
    if own:
        yield tuple(path), own
    for key, value in scores.items():
        if key not in own:
            yield from _systems(value, (*path, key))


def _is_mean(value: Mapping[str, Any]) -> bool:
    """Whether it is a value with its interval."""
    return set(value) == {"value", "low", "high"} and all(
        isinstance(one, (int, float)) for one in value.values()
    )


def _shown(name: str, value: Any) -> str:
    """A score, with half the width of its interval where it has one."""
    if isinstance(value, Mapping):
        half = (value["high"] - value["low"]) / 2
        return f"{_number(name, value['value'])} ± {_number(name, half)}"
    return _number(name, value) if isinstance(value, float) else str(value)


def _number(name: str, value: float) -> str:
    metric = FIELDS.get(name)
    return f"{value:.4g}" if metric is None else metric.shown(value)
