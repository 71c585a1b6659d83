"""Documents of strangers: what values their texts stand for, and how soon they are refused."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from sr4.files.documents import parse_json, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-1", -1),
        ("+3", 3),
        ("010", 10),
        ("40_000", 40_000),
        ("0x1F", 31),
        ("0o17", 15),
        ("0b101", 5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e-4", 1e-4),
        ("-2E+3", -2000.0),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("1.2.3", "1.2.3"),
        ("+", "+"),
        (".", "."),
        ("yes", True),
        ("2026-01", "2026-01"),
    ],
)
def test_values_of_yaml(text: str, value: object) -> None:
    found = parse_yaml(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    ["1" + ":1" * 400_000, "1" + ":1" * 400_000 + ".5", "9" * 800_000, "0x" + "f" * 800_000],
    ids=["base-60", "base-60-float", "decimal", "hexadecimal"],
)
@pytest.mark.parametrize("tag", ["", "!!int ", "!!float "])
def test_long_numbers_take_no_time(text: str, tag: str) -> None:
    start = time.process_time()
    try:
        said: Any = type(parse_yaml(f"a: {tag}{text}")["a"])
    except ValueError as error:
        said = str(error)
    assert said is str or "more than 100 digits" in said
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: has the key 'a' twice"),
        ("a:\n  b: 1\n  b: 1", "line 3: has the key 'b' twice"),
        ("[{a: 1, b: 2, a: 3}]", "line 1: has the key 'a' twice"),
        ("31: a\n0x1F: b", "line 2: has the key '31' twice"),
        ("? [a]\n: 1", "line 1: found unhashable key"),
    ],
)
def test_keys_of_yaml_stand_once(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        parse_yaml(text)


def test_keys_of_json_stand_once() -> None:
    assert parse_json('{"a": {"b": 1}, "b": 2}') == {"a": {"b": 1}, "b": 2}
    keys = [*range(40_000), 39_999]
    start = time.process_time()
    with pytest.raises(ValueError, match="has the key '39999' twice"):
        parse_json("{" + ", ".join(f'"{key}": 0' for key in keys) + "}")
    assert time.process_time() - start < 5


def test_long_integers_of_json() -> None:
    assert parse_json(f"[{'9' * 99}, -7, 1.5]") == [int("9" * 99), -7, 1.5]
    with pytest.raises(ValueError, match="more than 100 digits"):
        parse_json(f'{{"a": {"9" * 900_000}}}')
