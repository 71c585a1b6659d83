"""What commands print with: results on stdout, everything else on stderr, one line at a time."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

Advance = Callable[[int, int, str], None]
"""Moves a progress bar: amount done, amount in all, a short text shown beside the bar."""

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


def say_json(value: Any) -> None:
    """Print the one object that a command with --json puts on stdout."""
    _write(sys.stdout, json.dumps(value, indent=2))


def abandon_stdout() -> None:
    """Let what is still buffered for a stdout that takes nothing any more go nowhere, instead of
    failing again when the process ends.
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
    from rich.table import Table

    table = Table(*header, box=None, show_header=bool(header), pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(one_line, row))
    width = None if _is_terminal(sys.stdout) else _PIPE_WIDTH
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sees what is written; a closed stream is None."""
    return stream is not None and stream.isatty()


@contextmanager
def progress(label: str) -> Iterator[Advance]:
    """A progress bar on stderr; nothing where that is no terminal."""
    if not _is_terminal(sys.stderr):
        yield lambda done, total, text: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # Lines printed meanwhile go above the bar; a redirected stdout must stay what it is.
        redirect_stdout=_is_terminal(sys.stdout),
    ) as bar:
        task = bar.add_task(label, total=None, text="")
        yield lambda done, total, text: bar.update(task, completed=done, total=total, text=text)
