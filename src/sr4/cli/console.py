"""What commands print with: results on stdout, everything else on stderr, one line at a time."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any, TextIO

from sr4.batch.pace import Pace

Advance = Callable[[float, int, str], None]
"""Moves a progress bar: amount done, amount in all, a short text shown beside the bar."""

Show = Callable[[float, str, float | None], None]
"""Shows the share of all work that is done, what is being done, and the seconds that are left."""

_BETWEEN_LINES = 30.0  # seconds, where there is no bar
# Of long work, a line comes when it has taken this much longer than at the last, or after ten
# minutes.
_LONGER, _SELDOM = 0.05, 600.0
_PIPE_WIDTH = 1000  # a table in a pipe is for programs such as grep, so its lines are never broken


def one_line(text: str) -> str:
    """The text with line breaks and other control characters escaped: file names can hold any."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is not None:  # as it is where the process was started with it closed
        stream.write(text + "\n")
        stream.flush()


def say(text: str) -> None:
    """Print a line of the result on stdout."""
    _write(sys.stdout, one_line(text))


def note(text: str) -> None:
    """Print a line about the work on stderr."""
    _write(sys.stderr, one_line(text))


def fail(text: str) -> None:
    """Name a failure on stderr."""
    note(f"sr4: error: {text}")


def note_left_out(counts: Mapping[str, int]) -> None:
    """Say how many files of a folder are left out, by suffix, if any are."""
    from sr4.pictures.finding import told

    if counts:
        note(f"sr4: left out {told(counts)}")


def say_json(value: Any) -> None:
    """Print the one object that a command with --json puts on stdout."""
    _write(sys.stdout, json.dumps(value, indent=2))


def abandon_stdout() -> None:
    """Let what is still buffered go nowhere if stdout takes nothing any more, instead of failing
    again when the process ends.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say_table(rows: Sequence[Sequence[str]], *, header: Sequence[str] = ()) -> None:
    """Print rows as aligned columns; on a terminal they wrap to its width."""
    from rich.console import Console
    from rich.table import Column, Table

    columns = [Column(one_line(name), overflow="fold") for name in header]
    table = Table(*columns, box=None, show_header=bool(header), pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(one_line, row))
    is_piped = not _is_terminal(sys.stdout)
    width = _PIPE_WIDTH if is_piped else None
    printed = Console(width=width, markup=False, highlight=False, emoji=False)
    if not is_piped:
        printed.print(table)
        return
    with printed.capture() as captured:
        printed.print(table)
    for line in captured.get().splitlines():
        say(line.rstrip())


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sees what is written; a closed stream is None."""
    return stream is not None and stream.isatty()


@contextmanager
def progress(label: str) -> Iterator[Advance]:
    """A progress bar on stderr, with the time that is left; where that is no terminal, a line now
    and then, more and more seldom, and none for short work.
    """
    paces = _Paces()
    if not _is_terminal(sys.stderr):
        yield _counted_lines(label, paces)
        return
    # Rich's own column of the time looks back half a minute only, and many steps take longer.
    from rich.progress import MofNCompleteColumn

    with _bar(label, MofNCompleteColumn()) as show:
        yield lambda done, total, text: show(done, total, _beside(paces.left(done, total), text))


@contextmanager
def shares(label: str) -> Iterator[Show]:
    """A progress bar of shares on stderr; where that is no terminal, a line now and then, more and
    more seldom, and none for short work.
    """
    if not _is_terminal(sys.stderr):
        yield _lines()
        return
    from rich.progress import TaskProgressColumn

    def show(share: float, name: str, left: float | None) -> None:
        advance(1000 * share, 1000, _beside(None if share == 1 else left, name))

    with _bar(label, TaskProgressColumn()) as advance:
        yield show


class _LinesDue:
    """When long work is worth a line where there is no bar: more and more seldom."""

    def __init__(self) -> None:
        self._began = self._said = monotonic()

    def is_due(self) -> bool:
        """Whether a line is to be printed now; the next one then comes later."""
        now = monotonic()
        wait = min(max(_BETWEEN_LINES, _LONGER * (self._said - self._began)), _SELDOM)
        if now - self._said < wait:
            return False
        self._said = now
        return True


class _Paces:
    """The time that is left of an amount of work, by its pace; another amount has its own."""

    def __init__(self) -> None:
        self._pace, self._done, self._total = Pace(), 0.0, 0

    def left(self, done: float, total: int) -> float | None:
        """Seconds; None where that is not known yet, and once all is done."""
        if total != self._total or done < self._done:
            self._pace = Pace()
        self._done, self._total = done, total
        found = self._pace.left(done / total, monotonic()) if total else None
        return found if done < total else None


def _beside(left: float | None, text: str) -> str:
    """What is shown beside a bar."""
    time = [] if left is None else [f"{about(left)} left"]
    return ", ".join([*time, *([text] if text else [])])


def _counted_lines(label: str, paces: _Paces) -> Advance:
    lines = _LinesDue()

    def advance(done: float, total: int, text: str) -> None:
        told = _beside(paces.left(done, total), text)
        if done < total and lines.is_due():
            note(f"sr4: {label}: {int(done):,} of {total:,}{', ' if told else ''}{told}")

    return advance


def _lines() -> Show:
    lines = _LinesDue()

    def show(share: float, name: str, left: float | None) -> None:
        if share < 1 and lines.is_due():
            time = "" if left is None else f", {about(left)} left"
            note(f"sr4: {name}: {100 * share:.0f} % done{time}")

    return show


def about(seconds: float) -> str:
    """A time, as exactly as estimates are worth it."""
    if seconds < 90:
        count = round(seconds) if seconds < 10 else 5 * round(seconds / 5)
        return f"about {count} second{'' if count == 1 else 's'}"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"


def steps(count: int, sampler: str) -> str:
    """How a model samples."""
    return f"{count} step{'s' * (count != 1)} of {sampler}"


@contextmanager
def _bar(label: str, *columns: Any) -> Iterator[Callable[[float, float, str], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    shown = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(
        *shown,
        console=Console(stderr=True),
        transient=True,
        # Lines printed meanwhile go above the bar; a redirected stdout must stay what it is.
        redirect_stdout=_is_terminal(sys.stdout),
    ) as bar:
        task = bar.add_task(label, total=None, text="")
        yield lambda done, total, text: bar.update(task, completed=done, total=total, text=text)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """What libraries write to the standard error past Python goes nowhere, and what is written to
    `sys.stderr` where it went; SR4_DEBUG shows all.
    """
    ours = sys.stderr
    if os.environ.get("SR4_DEBUG") or ours is None or not _is_stderr(ours):
        yield
        return
    ours.flush()
    kept = os.dup(2)
    with (
        open(os.devnull, "wb") as nowhere,
        open(kept, "w", encoding=ours.encoding, errors=ours.errors, buffering=1) as theirs,
    ):
        os.dup2(nowhere.fileno(), 2)
        sys.stderr = theirs
        try:
            yield
        finally:
            sys.stderr = ours
            theirs.flush()
            os.dup2(kept, 2)


def _is_stderr(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):  # not of this process's files
        return False


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed inside, for work that ends by itself once it was; pressed again,
    it raises KeyboardInterrupt as it does elsewhere.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield pressed.is_set
        return

    def press(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            signal.default_int_handler(number, frame)
        pressed.set()

    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
