"""Trains one recipe in peace, and again while it is killed at random moments by SIGKILL.

A program of its own, run by test_kill.py: each start of the training is a fork of this process,
which has imported torch and not used it yet, so that a start takes a tenth of a second.

    python kill_driver.py PICTURES VALIDATION OUT KILLS SEED

OUT gets one run folder `peaceful` and some `killed-N`; stdout gets, as JSON, for each of the latter
a list of its ends by a signal.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo  # here, or every fork would spend a second on it: optimisers import it

import sr4.training.trainer  # noqa: F401 - here, so that no fork has to
from sr4.cli.main import main

SAVE_EVERY = 8
SETTINGS = {
    "model.image_size": 32,
    "model.degradation.scale": 4,
    "model.network.widths": [16, 32],
    "model.network.blocks": [1, 1],
    "data.workers": 0,
    "training.total_images": 128,
    "training.batch_size": 4,
    "training.warmup_images": 40,
    "training.precision": "float32",
    "training.save_every_images": SAVE_EVERY,
    "training.validate_every_images": 32,
    "training.validation_images": 2,
    "training.validation_steps": 1,
}
PATIENCE = 60.0  # seconds without anything

End = dict[str, int | bool]


def start(sources: list[str], out: Path) -> int:
    """A process that does what `sr4 train` does; returns its id."""
    data, val = sources
    words = ["train", "sr4-fast", "--data", data, "--val", val, "--out", str(out)]
    for key, value in SETTINGS.items():
        words += ["--set", f"{key}={value}"]
    process = os.fork()
    if process == 0:
        code = 70
        try:
            torch.set_num_threads(1)
            os.dup2(2, 1)  # stdout is for this program's answer
            code = main(words)
        finally:
            os._exit(code)
    return process


def position(out: Path) -> int:
    """Pictures seen by the newest checkpoint; 0 without one."""
    return max((int(path.name) for path in (out / "checkpoints").glob("[0-9]*")), default=0)


def is_writing(out: Path) -> bool:
    """Whether a checkpoint is being made or removed there."""
    return any((out / "checkpoints").glob(".*.sr4"))


def moment(process: int, out: Path, dice: random.Random) -> tuple[Callable[[], bool], float]:
    """A random moment: what to wait for, and seconds after that.

    Some checkpoints later than now; in half of the cases while the next one is being written.
    """
    wanted = position(out) + dice.randrange(4) * SAVE_EVERY
    within = dice.random() < 0.5
    log = f"*.{process}.*"  # TensorBoard's, made when the training loop begins

    def has_come() -> bool:
        begun = any((out / "tensorboard").glob(log))
        return begun and position(out) >= wanted and (is_writing(out) or not within)

    return has_come, dice.random() * (0.003 if within else 0.03)


def comes(process: int, event: Callable[[], bool]) -> bool:
    """Wait for an event; False if the process ends before it."""
    deadline = time.monotonic() + PATIENCE
    while not event():
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        assert time.monotonic() < deadline, "neither progress nor an end"
        time.sleep(0.0005)
    return True


def killed_run(sources: list[str], out: Path, kills: int, dice: random.Random) -> list[End]:
    """Start a run until it ends by itself, and kill it at most so many times on the way."""
    ends: list[End] = []
    while True:
        process = start(sources, out)
        if len(ends) < kills:
            event, delay = moment(process, out, dice)
            if comes(process, event):
                time.sleep(delay)
                os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            ends.append({"signal": number, "position": position(out), "writing": is_writing(out)})
        else:
            assert os.WEXITSTATUS(status) == 0, f"a start failed with {os.WEXITSTATUS(status)}"
            return ends


def run(sources: list[str], out: Path, kills: int, seed: int) -> list[list[End]]:
    """One run in peace, then as many others as it takes to place the kills."""
    dice = random.Random(seed)
    killed_run(sources, out / "peaceful", 0, dice)
    runs: list[list[End]] = []
    while (left := kills - sum(map(len, runs))) > 0:  # a kill may have come too late
        assert len(runs) < kills, "the runs end before they can be killed"
        runs.append(killed_run(sources, out / f"killed-{len(runs)}", left, dice))
    return runs


if __name__ == "__main__":
    ends = run(sys.argv[1:3], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    sys.stdout.write(json.dumps(ends))
