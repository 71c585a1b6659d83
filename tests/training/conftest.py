"""A network, pictures and settings so small that a whole training takes half a second."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.config import RunSettings
from sr4.config.overrides import override
from sr4.data.encoded import EncodedSource
from sr4.data.sources import open_source
from sr4.recipes import recipe

MODEL = {
    "image_size": 32,
    "network": {"widths": (16, 32), "blocks": (1, 1)},
    "degradation": {"scale": 4},
}
TRAINING = {
    "batch_size": 4,
    "total_images": 32,
    "learning_rate": 2e-3,
    "warmup_images": 8,
    "cooldown": 0.25,
    "precision": "float32",
    "save_every_images": 16,
    "validate_every_images": 16,
    "validation_images": 3,
    "validation_steps": 2,
}


@pytest.fixture(scope="session")
def tiny() -> Callable[..., RunSettings]:
    """`sr4-fast` made tiny; keywords are settings of the training."""

    def make(workers: int = 0, **training: Any) -> RunSettings:
        changes = {"model": MODEL, "data": {"workers": workers}, "training": TRAINING | training}
        return override(recipe("sr4-fast"), changes)

    return make


def _write_tar(path: Path, pictures: NDArray[np.uint8]) -> EncodedSource:
    with tarfile.open(path, "w") as tar:
        for number, pixels in enumerate(pictures):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, format="PNG")
            member = tarfile.TarInfo(f"{number:02d}.png")
            member.size = buffer.tell()
            tar.addfile(member, io.BytesIO(buffer.getvalue()))
    return open_source(path)


@pytest.fixture(scope="session")
def make_source(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[NDArray[np.uint8]], EncodedSource]:
    """A tar of the given pictures, uint8 (N, H, W, 3), named 00.png, 01.png and so on."""
    return lambda pictures: _write_tar(tmp_path_factory.mktemp("data") / "data.tar", pictures)


@pytest.fixture(scope="session")
def source(make_source: Callable[[NDArray[np.uint8]], EncodedSource]) -> EncodedSource:
    """Ten noisy pictures of 32x32."""
    random = np.random.default_rng(0)
    return make_source(random.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8))


@pytest.fixture(scope="package")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    tiny: Callable[..., RunSettings],
    source: EncodedSource,
) -> Path:
    """The folder of a run with the plain tiny settings that nothing disturbed; never touch it."""
    trainer = pytest.importorskip("sr4.training.trainer")
    out = tmp_path_factory.mktemp("finished") / "run"
    summary = trainer.train(tiny(), data=source, val=None, out=out)
    assert (summary.model, summary.images, summary.stopped) == (out / "model", 32, False)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def interrupted(run: Path) -> Path:
    """A copy of the finished run as a kill would leave it after half of the pictures."""
    shutil.rmtree(run / "checkpoints" / f"{32:012d}")
    shutil.rmtree(run / "model")
    return run


@pytest.fixture(scope="session")
def weights() -> Callable[[Path], dict[str, Any]]:
    """All tensors of a run's newest checkpoint by part and name."""
    load_file = pytest.importorskip("safetensors.torch").load_file

    def read(out: Path) -> dict[str, Any]:
        newest = max((out / "checkpoints").glob("[0-9]*"))
        return {
            f"{file.stem}/{name}": tensor
            for file in sorted(newest.glob("*.safetensors"))
            for name, tensor in load_file(file).items()
        }

    return read


@pytest.fixture
def spoilt(source: EncodedSource, tmp_path: Path) -> EncodedSource:
    """The ten pictures, of which the fourth is truncated."""
    folder = tmp_path / "spoilt"
    folder.mkdir()
    for number, name in enumerate(source.names):
        (folder / name).write_bytes(source.read_bytes(number)[: 99 if number == 3 else None])
    return open_source(folder)
