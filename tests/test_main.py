"""`python -m sr4` is the command line."""

from __future__ import annotations

import subprocess
import sys
from importlib.abc import MetaPathFinder

import pytest

from sr4 import __version__
from sr4.__main__ import main


def test_the_package_can_be_run() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sr4", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("--version").stdout == f"sr4 {__version__}\n"
    assert run("info", "nothing").returncode == 1


def test_an_interrupt_while_it_is_loaded_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sr4.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "sr4.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main() == 130
    assert capsys.readouterr().err == "sr4: interrupted\n"
