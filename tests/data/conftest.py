"""Small sources of pictures, made with NumPy."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.data.servers import Server, http_server


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


@pytest.fixture(scope="session")
def large_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of 40 members of 200,000 bytes each, which no decoder takes, and a text."""
    random = np.random.default_rng(1)
    members = {f"{number:02d}.png": random.bytes(200_000) for number in range(40)}
    return _write_tar(tmp_path_factory.mktemp("large") / "large.tar", members | {"a.txt": b"a"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """A server of HTTP, and a cache of its own; nothing waits long before it tries again."""
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sr4.data.network._PAUSES", (0.01, 0.02, 0.03))
    with http_server() as server:
        yield server
