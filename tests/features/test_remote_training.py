"""A run that reads its pictures from S3 ends with the weights of one that reads them from the disk,
however often it is stopped in between.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
s3fs = pytest.importorskip("s3fs")

from safetensors.torch import load_file  # noqa: E402 - comes with torch

from sr4.cli.main import main  # noqa: E402
from sr4.data import open_source  # noqa: E402
from sr4.errors import DataError  # noqa: E402
from tests.data.servers import s3_server  # noqa: E402

SETTINGS = {
    "model.image_size": 32,
    "model.degradation.scale": 4,
    "model.network.widths": [16, 32],
    "model.network.blocks": [1, 1],
    "data.workers": 1,
    "training.total_images": 48,
    "training.batch_size": 4,
    "training.precision": "float32",
    "training.save_every_images": 8,
}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket named pictures, as fsspec's file system; the environment says where it is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # only there is it the same to the last bit
    with s3_server() as address:
        for name, value in (
            ("AWS_ENDPOINT_URL", address),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sr4.data.network._FILE_SYSTEMS", {})
        files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
        files.mkdir("pictures")
        yield files


def write_tar(path: Path, seed: int) -> Path:
    """Four pictures so large that most of the tar is not read before the training."""
    random = np.random.default_rng(seed)
    with tarfile.open(path, "w") as tar:
        for number in range(4):
            file = io.BytesIO()
            pixels = random.integers(0, 256, (600, 600, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, format="PNG", compress_level=0)
            member = tarfile.TarInfo(f"{number}.png")
            member.size = file.tell()
            tar.addfile(member, io.BytesIO(file.getvalue()))
    return path


def words(data: str, out: Path) -> list[str]:
    settings = [word for item in SETTINGS.items() for word in ("--set", "{}={}".format(*item))]
    return ["train", "sr4-fast", "--data", data, "--out", str(out), *settings]


def weights(run: Path) -> dict[str, Any]:
    (path,) = run.glob("model/*.safetensors")
    return dict(load_file(path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_training_from_s3(bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        path = write_tar(tmp_path / f"t-{number}.tar", number)
        bucket.put_file(str(path), f"pictures/t-{number}.tar")
    data = "s3://pictures/t-*.tar"
    assert main(words(str(tmp_path / "t-*.tar"), tmp_path / "disk")) == 0

    run = tmp_path / "run"
    stopped = subprocess.Popen([sys.executable, "-m", "sr4", *words(data, run)])
    end = time.monotonic() + 60
    while not list(run.glob("checkpoints/0*")) and stopped.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    stopped.send_signal(signal.SIGKILL)
    assert stopped.wait(60) == -signal.SIGKILL
    assert main(words(data, run)) == 0
    assert "resumed at" in capsys.readouterr().err

    disk, remote = weights(tmp_path / "disk"), weights(run)
    assert disk.keys() == remote.keys()
    assert all(torch.equal(disk[name], remote[name]) for name in disk)

    bucket.put_file(str(write_tar(tmp_path / "other.tar", 7)), "pictures/t-1.tar")
    assert main(words(data, run)) == 1
    assert "is another picture than when the run began" in capsys.readouterr().err


def test_refusals_of_s3(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, expected in (
        ("s3://pictures/none.tar", "expected a tar that is there"),
        ("s3://none/none.tar", "bucket does not exist, status 404"),
        ("s3://pictures/none-*.tar", "no file matches"),
        ("s3://pictures", "it is a folder"),
        ("s3://Wrong!/none.tar", "Invalid bucket name"),
    ):
        with pytest.raises(DataError, match=expected):
            open_source(address)
    monkeypatch.setattr("sr4.data.network._FILE_SYSTEMS", {})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DataError, match=r"credentials.*FSSPEC_S3_ANON=true"):
        open_source("s3://pictures/t-0.tar")
