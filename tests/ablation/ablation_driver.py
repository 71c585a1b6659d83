"""Runs an ablation in peace, and again while SIGKILL stops it at random moments.

A program of its own, run by test_run.py; each start is a fork of this process.

    python ablation_driver.py PICTURES OUT KILLS SEED

OUT gets `peaceful` and `killed`; stdout gets, as JSON, what each kill found: the phase and the
number of files in the folder.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # here, or every fork would spend a second on it

import sr4.ablation.run  # noqa: F401 - here, so that no fork has to
from sr4.cli.main import main

SETTINGS = {
    "model.image_size": 16,
    "model.degradation.scale": 2,
    "model.network.inner": 8,
    "model.network.groups": 4,
    "model.network.multipliers": [1, 2, 2],
    "model.network.blocks": 1,
    "model.schedule.steps": 12,
    "model.sampling.steps": 12,
    "data.workers": 0,
    "training.precision": "float32",
    "training.save_every_images": 40,
    "training.validate_every_images": 100,
    "training.validation_images": 4,
    "training.validation_steps": 3,
}
RECIPES = ("sr3-500", "cosine", "residual", "sr4")
BUDGET = 200
PATIENCE = 120.0  # seconds without anything


def words(pictures: str, out: Path, recipes: tuple[str, ...] = RECIPES) -> list[str]:
    """The command."""
    command = ["ablate", "--data", pictures, "--test", pictures, "--out", str(out)]
    command += ["--recipes", ",".join(recipes), "--budget", str(BUDGET)]
    command += ["--limit", "6", "--judged", "7", "--steps", "4,2", "--size", "tiny"]
    for key, value in SETTINGS.items():
        command += ["--set", f"{key}={value}"]
    return command


def start(pictures: str, out: Path) -> int:
    """A process that runs the command; returns its id."""
    process = os.fork()
    if process == 0:
        code = 70
        try:
            torch.set_num_threads(1)
            os.dup2(2, 1)  # stdout is for this program's answer
            code = main(words(pictures, out))
        finally:
            os._exit(code)
    return process


def phase(out: Path) -> str:
    """Where a run is: the systems that are scored, and whether one is trained but not scored."""
    scored = len(list((out / "scores").glob("*.json")))
    trained = len(list((out / "runs").glob("*/model/config.json")))
    return f"{trained} trained, {scored} scores"


def size(out: Path) -> int:
    """Files that are there. Unlike pathlib's, os.walk does not mind one that goes meanwhile."""
    return sum(len(files) for _, _, files in os.walk(out))


def grows(process: int, out: Path, wanted: int) -> bool:
    """Wait until so many files are there; False if the process ends before."""
    deadline = time.monotonic() + PATIENCE
    while size(out) < wanted:
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        assert time.monotonic() < deadline, "neither progress nor an end"
        time.sleep(0.002)
    return True


def killed(pictures: str, out: Path, kills: list[int], dice: random.Random) -> list[str]:
    """Start until it ends by itself; kill it a moment after so many files are there."""
    found: list[str] = []
    while True:
        process = start(pictures, out)
        if len(found) < len(kills) and grows(process, out, kills[len(found)]):
            time.sleep(dice.uniform(0, 0.1))
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0, f"a start failed with {os.WEXITSTATUS(status)}"
            return found
        found.append(phase(out))


def run(pictures: str, out: Path, kills: int, seed: int) -> list[str]:
    """In peace, then with kills that are spread over the files that it writes."""
    dice = random.Random(seed)
    killed(pictures, out / "peaceful", [], dice)
    total = size(out / "peaceful")
    moments = [int(total * 0.9 * (number + dice.random()) / kills) for number in range(kills)]
    return killed(pictures, out / "killed", moments, dice)


if __name__ == "__main__":
    sys.stdout.write(
        json.dumps(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
    )
