"""`python -m sr4` is the command line."""

from __future__ import annotations

import subprocess
import sys

from sr4 import __version__


def test_the_package_can_be_run() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sr4", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("--version").stdout == f"sr4 {__version__}\n"
    assert run("info", "nothing").returncode == 1
