"""One pipeline in many threads at once: each result is the one that it is alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import sr4

THREADS = 8


@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch"])
def test_one_pipeline_in_eight_threads(tiny_exported: Path, backend: str) -> None:
    pytest.importorskip("openvino" if backend == "openvino" else "numpy")
    model, random = sr4.load(tiny_exported, backend=backend), np.random.default_rng(0)
    sizes = [(8, 8), (8, 8), (6, 9), (8, 8), (12, 7), (6, 9), (16, 16), (8, 8)]
    pictures = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    alone = [model.upscale(picture, seed=7).array for picture in pictures]
    model = sr4.load(tiny_exported, backend=backend)  # what is made when first needed, too

    def draw(task: int) -> bool:
        result = model.upscale(pictures[task % THREADS], seed=7)
        return np.array_equal(result.array, alone[task % THREADS])

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(draw, range(10 * THREADS)))
