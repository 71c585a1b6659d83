"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder of golden numbers and pictures beside the checkout; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SR4_SHARED", default))
    if not folder.is_dir():
        pytest.skip("the shared folder is not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder without a graph: scale 4, and a small network whose weights are random, those
    that start at zero too. Treat it as read-only.
    """
    torch = pytest.importorskip("torch")
    from sr4.build import build_network
    from sr4.config import DegradationSettings, FastNetworkSettings, ModelConfig, SamplingSettings
    from sr4.model import save_model

    config = ModelConfig(
        recipe="sr4-fast",
        image_size=32,
        network=FastNetworkSettings(widths=(16, 32), blocks=(1, 1), attention=True),
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
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, config, network.state_dict())
    return folder


@pytest.fixture(scope="session")
def tiny_exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_model`, exported to ONNX with float16 weights. Treat it as read-only."""
    pytest.importorskip("onnxscript")
    from sr4.export import export_model

    folder = tmp_path_factory.mktemp("exported") / "tiny"
    export_model(tiny_model, folder)
    return folder
