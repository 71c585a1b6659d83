"""A service in a process of its own, as people start it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

PATIENCE = 60.0  # seconds for what takes one or two


@dataclass(frozen=True)
class Running:
    """A service that listens.

    Attributes:
        process: that it runs in; url: where it is; seconds: from its start until it was ready.
    """

    process: subprocess.Popen[str]
    url: str
    seconds: float

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, **options)  # type: ignore[arg-type]

    def metric(self, line: str) -> float:
        """The number that follows the beginning of a line of /metrics."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(one.rpartition(" ")[2]) for one in lines if one.startswith(line))

    def stop(self) -> tuple[int, str]:
        """Its exit code and stderr, after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


@contextmanager
def running(*words: object, key: str | None = None) -> Iterator[Running]:
    """`sr4 serve` with these options at a free port, ready."""
    command = [sys.executable, "-m", "sr4", "serve", "--port", "0", "--json", *map(str, words)]
    environment = {name: text for name, text in os.environ.items() if name != "SR4_API_KEY"}
    if key is not None:
        environment["SR4_API_KEY"] = key
    began = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            text = ""
            while not text.endswith("\n}\n"):
                line = process.stdout.readline()
                assert line, process.stderr and process.stderr.read()
                text += line
            url = json.loads(text)["url"]
            while httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
                assert time.monotonic() - began < PATIENCE
                time.sleep(0.02)
            yield Running(process, url, time.monotonic() - began)
        finally:
            if process.poll() is None:
                process.kill()


def encoded(width: int = 8, height: int = 8, seed: int = 0, kind: str = "PNG") -> bytes:
    """A smooth random picture's file."""
    noise = np.random.default_rng(seed).integers(64, 192, (3, 3, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def upscaled(picture: Path, out: Path, *words: object) -> dict[str, bytes]:
    """The files that `sr4 upscale` makes of a picture with these options, by name."""
    command = [sys.executable, "-m", "sr4", "upscale", str(picture), "-o", str(out)]
    subprocess.run([*command, *map(str, words)], check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in out.iterdir()}
