"""One pipeline in many threads at once, after a fork, and copied: each result is the one that it is
alone.
"""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import sr4
from sr4.errors import UsageError
from sr4.model.diffusion_model import load_model
from sr4.upscaling.pipeline import Pipeline

BACKENDS = ("onnx", "openvino", "torch")
THREADS = 8


@pytest.mark.parametrize("backend", BACKENDS)
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


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_a_face_is_the_same_whatever_goes_with_it(backend: str) -> None:
    pytest.importorskip("openvino" if backend == "openvino" else "numpy")
    model, random = sr4.load("sr4-fast", backend=backend), np.random.default_rng(0)
    pictures = list(random.integers(0, 256, (9, 16, 16, 3), np.uint8))
    alone = [model.upscale(picture, seed=7).array for picture in pictures]
    for count in (2, 5, 9):
        together = model.upscale(pictures[:count], seed=7)
        assert all(map(np.array_equal, [one.array for one in together], alone[:count]))


FORK = """
import multiprocessing, sys
import numpy as np, sr4

model, picture = sr4.load(sys.argv[1], backend=sys.argv[2]), np.zeros((40, 48, 3), np.uint8)
before = model.upscale(picture).array

def child():
    assert np.array_equal(model.upscale(picture).array, before)

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
process.kill()
sys.exit(process.exitcode)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not fork by default")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_forked_child_draws_too(
    tiny_exported: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With threads, which it does not have any more."""
    pytest.importorskip("openvino" if backend == "openvino" else "numpy")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    words = [sys.executable, "-W", "ignore", "-c", FORK, str(tiny_exported), backend]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_copies_open_the_model_again(
    tiny_exported: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino" if backend == "openvino" else "numpy")
    monkeypatch.chdir(tiny_exported.parent)
    model, picture = sr4.load(tiny_exported.name, backend=backend), np.zeros((8, 8, 3), np.uint8)
    pickled = pickle.dumps(model)
    assert isinstance(model, Pipeline)
    assert len(pickled) < 1000  # no weights
    monkeypatch.chdir("/")  # another process may run elsewhere
    for other in (pickle.loads(pickled), copy.deepcopy(model)):  # noqa: S301 - ours
        assert other.model is not model.model
        assert other.backend == backend
        assert np.array_equal(other.upscale(picture).array, model.upscale(picture).array)


def test_copies_of_a_cascade(tiny_exported: Path) -> None:
    stage = sr4.load(tiny_exported, backend="onnx")
    cascade, picture = sr4.CascadePipeline([stage, stage]), np.zeros((4, 4, 3), np.uint8)
    other = copy.deepcopy(pickle.loads(pickle.dumps(cascade)))  # noqa: S301 - ours
    assert (other.scale, other.backend) == (16, "onnx")
    assert np.array_equal(other.upscale(picture).array, cascade.upscale(picture).array)


def test_a_pipeline_in_memory_has_no_folder_to_be_opened_from(tiny_exported: Path) -> None:
    model = sr4.Pipeline(load_model(tiny_exported, backend="onnx"))
    with pytest.raises(UsageError, match="made in memory, to pickle or copy"):
        pickle.dumps(model)
