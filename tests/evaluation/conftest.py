"""Test pictures of evaluations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.made_up import Pictures


@pytest.fixture(scope="session")
def source() -> Pictures:
    """Five smooth pictures with a little noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, size=(5, 6, 6, 3), dtype=np.uint8)
    smooth = [Image.fromarray(one).resize((32, 24), Image.Resampling.BICUBIC) for one in coarse]
    noise = rng.normal(0, 6, size=(5, 24, 32, 3))
    noisy = np.stack([np.asarray(one, dtype=float) for one in smooth]) + noise
    return Pictures(list(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)))
