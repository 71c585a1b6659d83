"""Limits by name, and amounts that all requests share."""

from __future__ import annotations

import pytest

from sr4.errors import UsageError
from sr4.serve.limits import Budget, Limits, Share, read_limits
from sr4.serve.problems import Problem


def test_limits_by_name() -> None:
    found = read_limits(["samples=4", "body_seconds=0.5"], waiting=3)
    assert (found.samples, found.body_seconds, found.waiting) == (4, 0.5, 3)
    assert found.frames == Limits().frames


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sample=4", "unknown limit 'sample': did you mean 'samples'?"),
        ("samples", "got the limit 'samples'; expected a number above 0, such as samples=16"),
        ("samples=1.5", "got the limit"),
        ("samples=0", "got the limit"),
        ("body_seconds=inf", "got the limit"),
        ("body_seconds=nan", "got the limit"),
    ],
)
def test_impossible_limits(text: str, line: str) -> None:
    with pytest.raises(UsageError) as error:
        read_limits([text])
    assert str(error.value).startswith(line)


def test_shares_of_a_budget() -> None:
    budget = Budget(10, "bytes")
    one, other = Share(budget), Share(budget)
    one.take(6)
    other.take(3)
    with pytest.raises(Problem, match="as many bytes as it can") as error:
        other.take(2)
    assert (error.value.status, error.value.headers) == (429, {"Retry-After": "1"})
    one.close()
    one.close()
    other.take(7)
    with pytest.raises(Problem):
        budget.take(1)
    other.close()
    one.take(4)  # closed: given back at once
    budget.take(10)
