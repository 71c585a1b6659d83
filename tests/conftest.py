"""Fixtures that all tests share."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

# One thread for each computation, here and in processes that tests start: those of several tests at
# once would wait for each other in busy loops. And sums of two threads differ in the last bit.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="session", autouse=True)
def no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runtimes keep between processes goes where it is cleared away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def interrupts_count() -> None:
    """Ctrl-C works, as shells switch it off for what they start in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder of golden numbers and pictures beside the checkout; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SR4_SHARED", default))
    if not folder.is_dir():
        pytest.skip("the shared folder is not beside the checkout")
    return folder


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk on which no file can become larger than this many bytes."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def mounted_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A small disk of its own, which only the system's administrator can make; else skips."""
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if (
        not sys.platform.startswith("linux")
        or subprocess.run(words, capture_output=True).returncode
    ):
        pytest.skip("no disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill_disk(filler: Path, *, room: int) -> None:
    """Write a file that leaves so many bytes of its disk."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while (left := free_bytes(filler.parent) - room) > 0:
            file.write(bytes(min(left, 1 << 16)))


def free_bytes(disk: Path) -> int:
    """The bytes that a disk has room for."""
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def random_model(place: Path, channels: int = 3, *, mean_output: bool = False) -> Path:
    """A model folder without a graph: scale 4, and a small network whose weights are random, those
    that start at zero too.

    Args:
        mean_output: whether detail can be chosen.
    """
    torch = pytest.importorskip("torch")
    from sr4.build import build_network
    from sr4.config import DegradationSettings, FastNetworkSettings, ModelConfig, SamplingSettings
    from sr4.model.folder import save_model

    config = ModelConfig(
        recipe="sr4-fast",
        channels=channels,
        image_size=32,
        network=FastNetworkSettings(
            widths=(16, 32), blocks=(1, 1), attention=True, mean_output=mean_output
        ),
        degradation=DegradationSettings(scale=4),
        sampling=SamplingSettings(steps=2, sampler="ddim"),
        scale=4,
        size_multiple=8,
        licence="For tests only",
        training_data=("nothing",),
        scores={"test": {"psnr": {"value": 20.0, "low": 19.5, "high": 20.5}}},
    )
    generator = torch.Generator().manual_seed(0)
    network = build_network(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    folder = place / "tiny"
    save_model(folder, config, network.state_dict())
    return folder


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Path]:
    """`random_model`."""
    return random_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`random_model`. Treat it as read-only."""
    return random_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model`, exported to ONNX with float16 weights. Treat it as read-only."""
    pytest.importorskip("onnxscript")
    from sr4.model.export import export_model

    folder = tmp_path_factory.mktemp("exported") / "tiny"
    export_model(tiny_model, folder)
    return folder


class TheirModel(NamedTuple):
    """What the unofficial SR3 implementation leaves of a training, and the network it holds."""

    checkpoint: Path
    optimiser: Path
    configuration: Path
    values: dict[str, Any]  # of the configuration
    network: Any  # sr4.networks.sr3.SR3UNet


@pytest.fixture(scope="session")
def their_model(tmp_path_factory: pytest.TempPathFactory) -> TheirModel:
    """A random SR3 model of scale 4 in the files of the unofficial implementation. Treat it as
    read-only.
    """
    torch = pytest.importorskip("torch")
    from sr4.compat.sr3_weights import _layers
    from sr4.networks.sr3 import SR3UNet

    network = SR3UNet(
        inner=8, multipliers=(1, 2), groups=4, attention_resolutions=(8,), blocks=1, image_size=16
    ).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    layers = dict(_layers(levels=2, blocks=1))
    tensors = OrderedDict()
    for name, tensor in network.state_dict().items():
        layer, _, kind = name.rpartition(".")
        tensors[f"denoise_fn.{layers[layer]}.{kind}"] = tensor
    betas = np.linspace(1e-4, 0.9, 10)
    tensors["betas"] = torch.tensor(betas, dtype=torch.float32)
    tensors["alphas_cumprod"] = torch.tensor(np.cumprod(1 - betas), dtype=torch.float32)
    folder = tmp_path_factory.mktemp("theirs")
    torch.save(tensors, folder / "I20_E3_gen.pth")
    optimiser = torch.optim.Adam(network.parameters()).state_dict()
    state = {"epoch": 3, "iter": 20, "scheduler": None, "optimizer": optimiser}
    torch.save(state, folder / "I20_E3_opt.pth")
    (folder / "tiny.json").write_text(THEIR_CONFIGURATION, encoding="utf-8")
    return TheirModel(
        folder / "I20_E3_gen.pth",
        folder / "I20_E3_opt.pth",
        folder / "tiny.json",
        json.loads("\n".join(line.split(" //")[0] for line in THEIR_CONFIGURATION.splitlines())),
        network,
    )


THEIR_CONFIGURATION = """{
    "name": "tiny", // comments end a line, also after "quotes"
    "path": {
        // "resume_state": null
        "resume_state": "https://example.org/I20_E3"
    },
    "datasets": {
        "train": { "l_resolution": 4, "r_resolution": 16, "batch_size": 4 },
        "val": { "l_resolution": 4, "r_resolution": 16 }
    },
    "model": {
        "which_model_G": "sr3",
        "finetune_norm": false,
        "unet": {
            "in_channel": 6,
            "out_channel": 3,
            "inner_channel": 8,
            "norm_groups": 4,
            "channel_multiplier": [ 1, 2 ],
            "attn_res": [
                // 16
                8, 4 // no level has maps of 4x4
            ],
            "res_blocks": 1,
            "dropout": 0.2
        },
        "beta_schedule": {
            "train": {
                "schedule": "linear", "n_timestep": 10, "linear_start": 1e-4, "linear_end": 0.9
            },
            "val": {
                "schedule": "linear", "n_timestep": 10, "linear_start": 1e-4, "linear_end": 0.9
            }
        },
        "diffusion": { "image_size": 16, "channels": 3, "conditional": true }
    }
}
"""


NO_NETWORK = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH")


@pytest.fixture(scope="session")
def page_tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the web page, with the packages that it is built and tested with."""
    web, npm = ROOT / "web", shutil.which("npm")
    if npm is None or not web.is_dir():
        pytest.skip("needs npm, and the sources of the page")
    copy = tmp_path_factory.mktemp("page") / "web"
    shutil.copytree(web, copy, ignore=shutil.ignore_patterns("node_modules"))
    install = [npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    done = subprocess.run(install, cwd=copy, capture_output=True, text=True)
    if NO_NETWORK.search(done.stderr):
        pytest.skip("needs the packages of the page, which npm cannot reach")
    assert done.returncode == 0, done.stderr
    return copy
