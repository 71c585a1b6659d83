"""What reports say of how scores were taken."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from sr4.evaluation.evaluate import evaluate
from sr4.evaluation.protocol import shared
from sr4.machine.processors import processor
from sr4.model.diffusion_model import load_model
from tests.evaluation.made_up import Pictures, Upscaler

pytest.importorskip("skimage")


def test_a_score_says_what_computed_it(source: Pictures) -> None:
    found = evaluate(Upscaler(), source, limit=2, features=None).protocol
    assert found["runtime"] == "made up, float32"
    assert found["processor"].startswith(f"{processor()}, ")
    assert f"numpy {version('numpy')}" in found["versions"]
    assert f"pillow {version('pillow')}" in found["versions"]


@pytest.mark.parametrize(
    ("backend", "package", "said"),
    [
        ("onnx", "onnxruntime", "onnxruntime, float32 on the processor"),
        ("openvino", "openvino", "openvino, "),
        ("torch", "torch", "torch, float32 on "),
    ],
)
def test_each_runtime_says_its_precision(
    source: Pictures,
    tiny_exported: Path,
    backend: str,
    package: str,
    said: str,
) -> None:
    pytest.importorskip(package)
    model = load_model(str(tiny_exported), backend=backend)
    found = evaluate(model, source, limit=1, steps=1, features=None).protocol
    assert found["runtime"].startswith(said)
    assert found["runtime"].split(", ")[1].split()[0] in ("float32", "bf16")
    named = [one.split()[0] for one in found["versions"].split(", ")]
    assert named == ["sr4", "numpy", "pillow", "scipy", package]  # whatever else was imported
    assert f"{package} {version(package)}" in found["versions"]


def test_what_is_common_stands_once() -> None:
    found = shared(
        {
            "sr3": {"psnr": "mean", "sampling": "500 steps"},
            "cosine": {"psnr": "mean", "sampling": "20 steps", "corruption": "photo"},
        }
    )
    assert found == {
        "psnr": "mean",
        "sampling, sr3": "500 steps",
        "sampling, cosine": "20 steps",
        "corruption, sr3": "none",
        "corruption, cosine": "photo",
    }
