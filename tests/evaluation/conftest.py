"""Test pictures of evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.degradation import Degradation
from sr4.evaluation.evaluate import BicubicUpscaler, evaluate
from tests.evaluation.made_up import SCALE, Pictures, Upscaler


@pytest.fixture(scope="session")
def source() -> Pictures:
    """Five smooth pictures with a little noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(5, 6, 6, 3), dtype=np.uint8)
    smooth = [Image.fromarray(one).resize((32, 24), Image.Resampling.BICUBIC) for one in coarse]
    noise = rng.normal(0, 6, size=(5, 24, 32, 3))
    noisy = np.stack([np.asarray(one, dtype=float) for one in smooth]) + noise
    return Pictures(list(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)))


@pytest.fixture(scope="session")
def many(source: Pictures) -> Pictures:
    """Twelve pictures, no two alike."""
    return Pictures([np.roll(source.pictures[at % 5], at, axis=1) for at in range(12)])


@pytest.fixture(scope="session")
def reports(many: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reports of upscalers that add more and more noise to bicubic. Treat it as
    read-only.
    """
    pytest.importorskip("skimage")
    pytest.importorskip("jinja2")
    folder = tmp_path_factory.mktemp("reports")
    for name, noise in (("quiet", 0.02), ("loud", 0.1)):
        model = Upscaler(noise)
        model.name = name
        evaluate(model, many, features=None, samples=3).write(folder / name)
    bicubic = BicubicUpscaler(Degradation(SCALE))
    evaluate(bicubic, many, features=None).write(folder / "bicubic")
    evaluate(bicubic, many, features=None, limit=8).write(folder / "short")
    return folder
