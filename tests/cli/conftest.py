"""Runs of the command line inside this process, a tiny real model, and small pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.cli.main import main

PREFIX = "sr4: error: "


@dataclass(frozen=True)
class Outcome:
    """What a run left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout."""
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        """The failures that stderr names; nothing else may stand there."""
        lines = self.err.splitlines()
        assert all(line.startswith(PREFIX) for line in lines), self.err
        return [line.removeprefix(PREFIX) for line in lines]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `run("upscale", path, "--json")` for what `sr4 upscale PATH --json` does."""

    def call(*words: object) -> Outcome:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capfd.readouterr())

    return call


def _make_picture(path: Path, width: int = 8, height: int = 8, seed: int = 0) -> Path:
    noise = np.random.default_rng(seed).integers(64, 192, (3, 3, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def make_picture() -> Callable[..., Path]:
    """Writes a smooth random picture: `make_picture(path, width, height, seed)`."""
    return _make_picture


@pytest.fixture
def face(tmp_path: Path) -> Path:
    """A picture file of 8x8 pixels."""
    return _make_picture(tmp_path / "face.png")
