"""Runs `sr4` in several processes at once, job after job, without a launcher of its own.

A program of its own, run by test_processes.py: each process is a fork of this one, which has
imported torch and not used it yet, so that a start takes a tenth of a second.

    python processes_driver.py JOBS

JOBS is a JSON file. Each job has a `count` of processes and the `words` of the command, and perhaps
`other`, words more for the last process, `spoilt`, a step whose loss is not a number there, and
`kill`, which processes get SIGKILL once the run's folder has a checkpoint of `at` pictures. Each
process logs every step. stdout gets a JSON list: for each job the exit codes, what each process
wrote to stderr, and the seconds from the kill to the end of the last one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # here, or every fork would spend a second on it: optimisers import it

import sr4.training.trainer as trainer
from sr4.cli.main import main
from sr4.training.objectives import DenoisingObjective, Losses

PATIENCE = 60.0  # seconds without an end


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def spoil(at: int) -> None:
    """Let the loss of a step be not a number in this process."""
    plain = DenoisingObjective.losses

    def losses(self: DenoisingObjective, modules: Any, batch: Any, step: int) -> Losses:
        shown, each = plain(self, modules, batch, step)
        factor = float("nan") if step == at else 1.0
        return Losses(factor * shown, [factor * one for one in each])

    DenoisingObjective.losses = losses  # type: ignore[method-assign]


def start(words: list[str], environment: dict[str, str], errors: Path, spoilt: int = 0) -> int:
    """A process that does what `sr4` does; returns its id."""
    process = os.fork()
    if process == 0:
        code = 70
        try:
            os.environ |= environment
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
            os.dup2(2, 1)  # stdout is for this program's answer
            torch.set_num_threads(1)
            if spoilt:
                spoil(spoilt)
            code = main(words)
        finally:
            os._exit(code)
    return process


def environment(rank: int, count: int, port: int) -> dict[str, str]:
    if count == 1:
        return {}
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def wait_for_checkpoint(words: list[str], at: int) -> None:
    folder = Path(words[words.index("--out") + 1]) / "checkpoints"
    deadline = time.monotonic() + PATIENCE
    while max((int(path.name) for path in folder.glob("[0-9]*")), default=0) < at:
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.002)


def ends(processes: list[int]) -> list[int]:
    """Their exit codes, or the signals that ended them, below 0."""
    codes: dict[int, int] = {}
    deadline = time.monotonic() + PATIENCE
    while len(codes) < len(processes):
        for one in processes:
            if one not in codes:
                found, status = os.waitpid(one, os.WNOHANG)
                if found:
                    codes[one] = os.waitstatus_to_exitcode(status)
                elif time.monotonic() > deadline:
                    os.kill(one, signal.SIGKILL)
        time.sleep(0.002)
    return [codes[one] for one in processes]


def run(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    port, count, words = free_port(), job["count"], job["words"]
    errors = [folder / f"{rank}.txt" for rank in range(count)]
    processes = []
    for rank in range(count):
        is_last = rank == count - 1
        line = [*words, *job.get("other", [])] if is_last else words
        spoilt = job.get("spoilt", 0) if is_last else 0
        processes.append(start(line, environment(rank, count, port), errors[rank], spoilt))
    if "kill" in job:
        wait_for_checkpoint(words, job["at"])
        for rank in job["kill"]:
            os.kill(processes[rank], signal.SIGKILL)
    began = time.monotonic()
    codes = ends(processes)
    seconds = time.monotonic() - began
    return {"codes": codes, "said": [one.read_text() for one in errors], "seconds": seconds}


if __name__ == "__main__":
    trainer._LOG_EVERY_STEPS = 1
    answers = []
    for job in json.loads(Path(sys.argv[1]).read_text()):
        with tempfile.TemporaryDirectory() as folder:
            answers.append(run(job, Path(folder)))
    sys.stdout.write(json.dumps(answers))
