"""What requests may take, each of them and all together."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sr4.errors import UsageError, nearest
from sr4.serve.problems import Problem


@dataclass(frozen=True)
class Limits:
    """What is refused before it is queued, and how long things may take.

    Attributes:
        upload_bytes: of a picture file; all_bytes: of those that are received or wait, together.
        picture_pixels: of a picture, all of its frames together.
        result_pixels: that are drawn for a request, of all frames, stages and samples; all_pixels:
            for all that wait, are drawn or are kept, together.
        frames, steps, samples: of a request.
        small_pixels: that are drawn for a picture, up to which the result is the answer; larger
            ones become jobs.
        waiting: pictures in the queue; jobs: that are drawn or kept.
        head_seconds: until the head of a request is there; body_seconds: until its body is.
        send_seconds: in which a client has to take something of an answer.
        kept_seconds: that the result of a job is kept.
        grace_seconds: that a service which is told to stop waits for results to be taken.
    """

    upload_bytes: int = 32 * 2**20
    all_bytes: int = 256 * 2**20
    picture_pixels: int = 24_000_000
    result_pixels: int = 400_000_000
    all_pixels: int = 1_000_000_000
    frames: int = 100
    steps: int = 100
    samples: int = 16
    small_pixels: int = 2**20
    waiting: int = 64
    jobs: int = 64
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    send_seconds: float = 60.0
    kept_seconds: float = 600.0
    grace_seconds: float = 30.0


def read_limits(given: Sequence[str], **others: float) -> Limits:
    """Limits by their names.

    Args:
        given: texts such as "samples=4".

    Raises:
        UsageError: an unknown name, or an impossible number.
    """
    usual = asdict(Limits())
    found: dict[str, Any] = dict(others)
    for text in given:
        name, _, value = text.partition("=")
        if name not in usual:
            raise UsageError(f"unknown limit {name!r}: {nearest(name, usual)}")
        try:
            found[name] = type(usual[name])(value)
        except ValueError:
            found[name] = math.nan
        if not 0 < found[name] < math.inf:
            raise UsageError(
                f"got the limit {text!r}; expected a number above 0, such as {name}={usual[name]}"
            )
    return Limits(**found)


class Budget:
    """An amount that all requests share, of bytes or pixels; safe to use in any thread.

    Args:
        total: the amount; what: it is of, for messages.
        seconds: says after how many seconds something may be given back, where nothing is left.
    """

    def __init__(self, total: int, what: str, seconds: Callable[[], int] = lambda: 1) -> None:
        self._left, self._what, self._seconds = total, what, seconds
        self._lock = threading.Lock()

    def take(self, amount: int) -> None:
        """Take a part.

        Raises:
            Problem: so much is not left.
        """
        with self._lock:
            if amount <= self._left:
                self._left -= amount
                return
        raise Problem(
            429,
            f"the service holds as many {self._what} as it can; expected fewer at a time: ask "
            "again later",
            retry_after=self._seconds(),
        )

    def give_back(self, amount: int) -> None:
        """Return what was taken."""
        with self._lock:
            self._left += amount


class Share:
    """What one request has taken of a budget so far, given back at once and once only."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._lock = budget, threading.Lock()
        self._taken, self._is_closed = 0, False

    def take(self, amount: int) -> None:
        """Take more. Raises what `Budget.take` does."""
        self._budget.take(amount)
        with self._lock:
            if not self._is_closed:
                self._taken += amount
                return
        self._budget.give_back(amount)

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            taken, self._taken, self._is_closed = self._taken, 0, True
        self._budget.give_back(taken)
