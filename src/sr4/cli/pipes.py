"""Pictures from the standard input and to the standard output, which "-" stands for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from sr4.errors import PictureError, UsageError

PIPE = "-"
STDIN, STDOUT = "stdin", "stdout"  # what messages call them


def check_pipes(inputs: Sequence[str], out: str | None, *, files: bool, as_json: bool) -> None:
    """Refuse what cannot go through a pipe, before anything is read.

    Args:
        files: whether there is more to write than one picture.

    Raises:
        UsageError: says what can.
    """
    if PIPE in inputs and len(inputs) > 1:
        raise UsageError(
            f"got {PIPE} among {len(inputs)} inputs; expected it alone: it stands for one picture "
            "on the standard input"
        )
    if PIPE in inputs and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError(
            f"got the input {PIPE} on a terminal; expected a picture in a pipe: "
            "sr4 upscale - < face.png"
        )
    if not is_pipe(out):
        return
    for wrong, what in (
        (len(inputs) > 1, f"{len(inputs)} inputs"),
        (files, "--samples or --uncertainty"),
        (as_json, "--json"),
        (sys.stdout is not None and sys.stdout.isatty(), "a terminal"),
    ):
        if wrong:
            raise UsageError(
                f"got -o {PIPE} with {what}; expected a pipe or file that takes one picture and "
                "nothing else: name a file or a folder"
            )


def is_pipe(out: str | None) -> bool:
    """Whether results go to the standard output."""
    return out == PIPE


def read_stdin() -> bytes:
    """The picture file on the standard input.

    Raises:
        PictureError: there is none, or it is longer than a picture file may be.
    """
    from sr4.pictures.decoding import MAX_BYTES, check_size, read_stream

    if sys.stdin is None:
        raise PictureError("the standard input is closed; expected a picture file in a pipe")
    data = read_stream(sys.stdin.buffer, MAX_BYTES).getvalue()
    check_size(len(data), STDIN)
    return data


def write_stdout(data: bytes) -> None:
    """Write a picture file to the standard output.

    Raises:
        OSError: nobody takes it.
    """
    if sys.stdout is None:
        raise OSError("the standard output is closed")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
