"""Bodies in JSON; forms, and what is wrong with both, are in test_service.py."""

from __future__ import annotations

import base64
import json

import pytest

from sr4.serve.body import Received, _taken_from_json
from sr4.serve.options import FIELDS
from sr4.serve.problems import Problem


def test_the_largest_request_is_read() -> None:
    fields = dict.fromkeys(FIELDS, "x" * 200)
    picture = base64.b64encode(b"a picture").decode()
    body = json.dumps({**fields, "picture": picture, "steps": [1] * 50})
    expected = Received(b"a picture", {**fields, "steps": ",".join(["1"] * 50)})
    assert _taken_from_json(body.encode()) == expected


@pytest.mark.parametrize("unit", ["[],", "{},", "0,", "[", '{"a":'])
def test_structure_is_counted_before_it_is_parsed(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(Problem, match="more than 1,000 brackets") as error:
        _taken_from_json(f'{{"picture": "", "a": [{unit * 1001}0]}}'.encode())
    assert error.value.status == 400


@pytest.mark.parametrize(
    "encoded",
    [
        base64.encodebytes(bytes(range(256))).decode(),
        base64.encodebytes(bytes(range(256))).decode().replace("\n", "\r\n"),
        "data:image/jpeg;base64," + base64.b64encode(bytes(range(256))).decode(),
    ],
    ids=["lines", "lines of Windows", "data:"],
)
def test_base64_as_programs_write_it(encoded: str) -> None:
    body = json.dumps({"picture": encoded}).encode()
    assert _taken_from_json(body) == Received(bytes(range(256)), {})


@pytest.mark.parametrize("encoded", ["é", "AAA", "A*AA", "data:image/png;base64", "data:,a b"])
def test_what_is_no_base64(encoded: str) -> None:
    with pytest.raises(Problem, match="'picture' is not base64") as error:
        _taken_from_json(json.dumps({"picture": encoded}).encode())
    assert error.value.status == 400
