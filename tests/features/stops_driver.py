"""Runs commands of sr4 that may be killed at a chosen moment, each in a fork of this process, which
has imported what they need and used none of it.

A program of its own, run by test_stops.py. Each line of stdin is a request as JSON:

    {"words": [...], "at_change": 7, "after": 0.2}

The child is killed by SIGKILL right before its 7th change of a file or folder, or after 0.2 s;
either may be null. Each line of stdout is the answer:

    {"code": 0, "seconds": 0.5, "changes": 12, "out": "...", "err": "...", "survivors": 0}

`code` is negative for a signal; `survivors` counts the processes that the command had started and
that were still there after `PATIENCE`.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # here, or every fork would spend a second on it: optimisers import it

import sr4.ablation.run  # these here, so that no fork has to
import sr4.batch.worker
import sr4.bench.benchmark
import sr4.compat.sr3_import
import sr4.data.prepare
import sr4.evaluation.compare_page
import sr4.evaluation.evaluate
import sr4.model.export
import sr4.training.trainer  # noqa: F401
from sr4.cli.main import main

PATIENCE = 5.0  # seconds for what a command has started to end after it
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Counter:
    """Counts the changes of a child, in memory that it shares, and kills it before one of them."""

    def __init__(self, last: int | None) -> None:
        self._shared = mmap.mmap(-1, 8)
        self._last = last

    @property
    def count(self) -> int:
        """The changes that were begun."""
        return int.from_bytes(self._shared[:8], "little")

    def start(self) -> None:
        """Count in this process from now on."""

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _CHANGES or (event == "open" and arguments[2] & _WRITING):
                self._shared[:8] = (self.count + 1).to_bytes(8, "little")
                if self.count == self._last:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)


def survivors(session: int) -> int:
    """The processes of a session that are still there after a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            except OSError:  # it has just ended
                continue
            state, _, _, its_session = fields.split()[:4]
            found += int(its_session) == session and state != "Z"
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def run(words: list[str], at_change: int | None, after: float | None) -> dict[str, Any]:
    """One command, and what became of it."""
    counter, began = Counter(at_change), time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = os.fork()
        if process == 0:
            code = 70
            try:
                os.setsid()
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                torch.set_num_threads(1)
                counter.start()
                code = main(words)
            finally:
                os._exit(code)
        ended = 0
        while not ended:
            if after is not None and time.monotonic() - began >= after:
                os.kill(process, signal.SIGKILL)
                after = None
            ended, status = os.waitpid(process, os.WNOHANG if after is not None else 0)
            if not ended:
                time.sleep(0.001)
        seconds = time.monotonic() - began
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read().decode("utf-8", "replace"))
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "changes": counter.count,
        "out": said[0],
        "err": said[1],
        "survivors": survivors(process),
    }


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(**json.loads(line))) + "\n")
        sys.stdout.flush()
