"""Small sources of pictures, made with NumPy."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def _write_folder(path: Path, members: Mapping[str, bytes]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.fixture(scope="session")
def pictures() -> dict[str, NDArray[np.uint8]]:
    """Seven pictures of 24x24 by name, names sorted."""
    random = np.random.default_rng(0)
    return {
        name: random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        for name in (
            "a/q50-0.png",
            "a/1.png",
            "a/2.png",
            "b/3.png",
            "b/q50-4.png",
            "5.png",
            "6.png",
        )
    }


@pytest.fixture(scope="session")
def files(pictures: dict[str, NDArray[np.uint8]]) -> dict[str, bytes]:
    """The same pictures as PNG files, in the order in which a folder lists them."""
    return {name: _png(pictures[name]) for name in sorted(pictures)}


@pytest.fixture(scope="session")
def png() -> Callable[[NDArray[np.uint8]], bytes]:
    """Encodes pixels as PNG."""
    return _png


@pytest.fixture(scope="session")
def write_tar() -> Callable[[Path, Mapping[str, bytes]], Path]:
    """Writes a tar of the given members."""
    return _write_tar


@pytest.fixture(scope="session")
def write_folder() -> Callable[[Path, Mapping[str, bytes]], Path]:
    """Writes a folder of the given files."""
    return _write_folder
