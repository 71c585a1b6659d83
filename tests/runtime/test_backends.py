"""One network on torch, ONNX Runtime and OpenVINO: equal numbers, and one line for what fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr4.degradation import Degradation
from sr4.errors import MissingExtraError, ModelError, OutOfMemoryError, SR4Error, UsageError
from sr4.model.diffusion_model import load_model
from sr4.model.folder import read_config
from sr4.runtime import BACKENDS, GRAPH, IR, IR_WEIGHTS, Network, open_network

SHAPES = [(1, 3, 8, 8), (3, 3, 40, 24), (2, 3, 32, 64)]  # traced was (2, 3, 32, 40)
LEVELS = (-12.0, 0.7, 9.0)


def open_(folder: Path, backend: str = "auto", device: str = "auto") -> Network:
    return open_network(folder, read_config(folder), backend=backend, device=device)


def evaluate(network: Network, shape: tuple[int, ...], level: float) -> np.ndarray:
    random = np.random.default_rng(sum(shape))
    x_t, upsampled = (random.standard_normal(shape, np.float32) for _ in range(2))
    return network.numpy(network(network.native(x_t), level, network.native(upsampled)))


def line(caught: pytest.ExceptionInfo[SR4Error]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


@pytest.fixture(scope="module")
def torch_network(tiny_exported: Path) -> Network:
    return open_(tiny_exported, "torch")


@pytest.fixture
def folder(tiny_exported: Path, tmp_path: Path) -> Path:
    """An exported folder of one's own, without checksums."""
    copy = Path(shutil.copytree(tiny_exported, tmp_path / "mine"))
    config = read_config(copy).model_copy(update={"sha256": {}})
    (copy / "config.json").write_text(config.model_dump_json(), encoding="utf-8")
    return copy


@pytest.mark.parametrize("shape", SHAPES)
def test_onnx_equals_torch_for_any_size_and_batch(
    tiny_exported: Path, torch_network: Network, shape: tuple[int, ...]
) -> None:
    network = open_(tiny_exported, "onnx")
    for level in LEVELS:
        got, expected = evaluate(network, shape, level), evaluate(torch_network, shape, level)
        assert (got.shape, got.dtype) == (shape, np.float32)
        assert np.abs(expected).max() > 0.5
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_openvino_equals_torch_in_float32(tiny_exported: Path, torch_network: Network) -> None:
    pytest.importorskip("openvino")
    from sr4.runtime.openvino_backend import OpenVINONetwork

    network = OpenVINONetwork(tiny_exported / GRAPH, precision="float32")
    for shape in SHAPES:
        expected = evaluate(torch_network, shape, 0.7)
        np.testing.assert_allclose(evaluate(network, shape, 0.7), expected, atol=1e-4)


def test_openvino_in_its_own_choice_of_precision(
    tiny_exported: Path, torch_network: Network
) -> None:
    """Which is bfloat16 (8 bits of precision) where the processor has it."""
    pytest.importorskip("openvino")
    network = open_(tiny_exported, "openvino")
    for shape in SHAPES:
        expected = evaluate(torch_network, shape, 0.7)
        np.testing.assert_allclose(evaluate(network, shape, 0.7), expected, atol=0.05)


def test_openvino_gives_each_call_its_own_array(tiny_exported: Path) -> None:
    pytest.importorskip("openvino")
    network = open_(tiny_exported, "openvino")
    first = evaluate(network, (1, 3, 8, 8), 0.0)
    kept = first.copy()
    evaluate(network, (1, 3, 8, 8), 5.0)
    np.testing.assert_array_equal(first, kept)


def test_whole_samplings_agree_between_runtimes(tiny_exported: Path) -> None:
    low_res = Degradation(4)(np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3, 20, 28)))
    low_res = low_res.astype(np.float32)
    onnx, torch = (load_model(tiny_exported, backend=name) for name in ("onnx", "torch"))
    for sampler in ("ddpm", "ddim", "dpmpp"):
        options: dict[str, Any] = {"seeds": [1, 2], "steps": 3, "sampler": sampler}
        np.testing.assert_allclose(
            onnx.sample(low_res, **options), torch.sample(low_res, **options), atol=1e-4
        )


def test_bfloat16_costs_no_quality(tiny_exported: Path) -> None:
    pytest.importorskip("openvino")
    random = np.random.default_rng(0)
    high_res = random.uniform(-0.5, 0.5, (8, 3, 4, 4)) @ np.ones((4, 32)) / 4  # stripes
    high_res = np.repeat(high_res, 8, axis=2).astype(np.float32)  # (8, 3, 32, 32)
    low_res = Degradation(4)(high_res)
    scores = []
    for backend in ("onnx", "openvino"):
        drawn = load_model(tiny_exported, backend=backend).sample(low_res, seeds=range(8), steps=2)
        scores.append(np.mean(10 * np.log10(4 / np.mean((drawn - high_res) ** 2, axis=(1, 2, 3)))))
    assert scores[1] == pytest.approx(scores[0], abs=0.05)  # dB


def test_auto_takes_the_fastest_that_is_installed(
    tiny_model: Path, tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    assert open_(tiny_exported).name == "openvino"
    assert open_(tiny_exported, device="cpu").name == "openvino"
    assert open_(tiny_model).name == "torch"
    assert load_model(tiny_exported, draws=17).network.name == "openvino"
    assert load_model(tiny_exported, draws=16).network.name == "onnx"
    assert load_model(tiny_model, draws=16).network.name == "torch"
    monkeypatch.setattr("sr4.runtime.find_spec", lambda name: None)
    assert open_(tiny_exported).name == "onnx"


def compiled(folder: Path, **options: Any) -> Any:
    pytest.importorskip("openvino")
    from sr4.runtime.openvino_backend import OpenVINONetwork

    return OpenVINONetwork(folder / GRAPH, **options)


def test_openvino_gives_a_picture_the_same_result_in_any_batch(tiny_exported: Path) -> None:
    """To the last bit: 19 are two groups and three single ones, 40x40 is not the usual size."""
    network = compiled(tiny_exported, size=32)
    for edge in (32, 40):
        x_t, upsampled = np.random.default_rng(0).standard_normal((2, 19, 3, edge, edge))
        x_t, upsampled = x_t.astype(np.float32), upsampled.astype(np.float32)
        together = network(x_t, 0.7, upsampled)
        for index in (0, 9, 15, 16, 18):
            one = slice(index, index + 1)
            np.testing.assert_array_equal(network(x_t[one], 0.7, upsampled[one]), together[one])


def test_openvino_for_the_usual_size_equals_torch(
    tiny_exported: Path, torch_network: Network
) -> None:
    network = compiled(tiny_exported, size=32, precision="float32")
    for count in (1, 9):
        shape = (count, 3, 32, 32)
        expected = evaluate(torch_network, shape, 0.7)
        np.testing.assert_allclose(evaluate(network, shape, 0.7), expected, atol=1e-4)


def test_onnx_takes_as_many_threads_as_the_process_may(
    tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr4.runtime.onnx_backend.available_cpus", lambda: 3)
    network = open_(tiny_exported, "onnx")
    assert network._session.get_session_options().intra_op_num_threads == 3  # type: ignore[attr-defined]


def test_openvino_is_told_to_keep_nothing_for_each_size_of_picture(tiny_exported: Path) -> None:
    """Else memory grows with the sizes that come; `fuzz/endure.py memory` measures it."""
    pytest.importorskip("openvino")
    from sr4.runtime.openvino_backend import OpenVINONetwork

    network, told = OpenVINONetwork(tiny_exported / GRAPH), []
    core = network._core

    class Core:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def compile_model(self, model: Any, device: str, options: dict[str, Any]) -> Any:
            told.append(options["CPU_RUNTIME_CACHE_CAPACITY"])
            return core.compile_model(model, device, options)

    network._core = Core()
    evaluate(network, (1, 3, 40, 24), 0.0)
    assert told == [0]


def test_openvino_keeps_what_it_compiled(
    tiny_exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for edge in (32, 40):  # compiled for this size, and for any
        shape = (1, 3, edge, edge)
        first = evaluate(compiled(tiny_exported, size=32, cache=tmp_path / "deep/cache"), shape, 1)
        with monkeypatch.context() as patch:
            network = compiled(tiny_exported, size=32, cache=tmp_path / "deep/cache")
            patch.setattr(network, "_model", None)  # what it would compile
            np.testing.assert_array_equal(evaluate(network, shape, 1), first)
    assert len(list((tmp_path / "deep/cache").iterdir())) == 2


def test_openvino_exports_nothing_where_nothing_is_kept(
    tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, shape = compiled(tiny_exported, size=32, cache=None), (1, 3, 32, 32)
    monkeypatch.setattr(network, "_key", None)  # which reads the weights
    monkeypatch.setattr(network._cache, "write", None)
    assert np.isfinite(evaluate(network, shape, 0.7)).all()


def test_openvino_compiles_again_what_the_cache_does_not_give_back_whole(
    tiny_exported: Path, tmp_path: Path
) -> None:
    shape = (1, 3, 32, 32)
    first = evaluate(compiled(tiny_exported, cache=tmp_path / "cache"), shape, 0.7)
    (entry,) = (tmp_path / "cache").iterdir()
    data = bytearray(entry.read_bytes())
    third = len(data) // 3
    data[third : third + 65536] = bytes(65536)  # among the weights
    entry.write_bytes(data)
    again = evaluate(compiled(tiny_exported, cache=tmp_path / "cache"), shape, 0.7)
    np.testing.assert_array_equal(first, again)
    assert entry.read_bytes() != data


def test_openvino_does_without_a_cache_that_cannot_be_written(
    tiny_exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    network = compiled(tiny_exported, size=32, cache=tmp_path / "file/cache")
    assert np.isfinite(evaluate(network, (1, 3, 32, 32), 0.7)).all()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals of this kind")
def test_signals_are_survived_after_networks_are_gone(tiny_exported: Path) -> None:
    """See `sr4.runtime.openvino_backend._core`."""
    pytest.importorskip("openvino")
    program = f"""
import gc, os, pathlib, signal
from sr4.runtime.openvino_backend import OpenVINONetwork
import numpy as np
signal.signal(signal.SIGUSR1, lambda *arguments: print("survived"))
pictures, networks = np.zeros((1, 3, 32, 32), np.float32), []
for _ in range(2):
    networks.append(OpenVINONetwork(pathlib.Path({str(tiny_exported / GRAPH)!r})))
    networks[-1](pictures, 0.0, pictures)
while networks:
    del networks[0]
    gc.collect()
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "survived\n", "")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_accelerators_are_for_torch(
    tiny_exported: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for backend in ("auto", "torch"):
        with pytest.raises(UsageError) as caught:
            open_(tiny_exported, backend, device)
        assert f"got device '{device}', which torch does not find here" in line(caught)
    for backend in ("onnx", "openvino"):
        with pytest.raises(UsageError) as caught:
            open_(tiny_exported, backend, device)
        assert f"got device '{device}' for the {backend} backend; expected cpu" in line(caught)


def test_unknown_names(tiny_exported: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_(tiny_exported, "onxx")
    assert line(caught) == "unknown backend 'onxx': did you mean 'onnx'?"
    with pytest.raises(UsageError) as caught:
        open_(tiny_exported, device="cdua")
    assert line(caught) == "unknown device 'cdua': did you mean 'cuda'?"
    assert set(BACKENDS) == {"auto", "torch", "onnx", "openvino"}


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_model_without_a_graph(tiny_model: Path, backend: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(tiny_model, backend=backend)
    assert f"has no {GRAPH}; expected one for the {backend} backend" in line(caught)


def without(package: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a package were not installed."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)


def test_torch_that_is_not_installed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "safetensors"):
        with monkeypatch.context() as patch:
            without(package, "sr4.runtime.torch_backend", patch)
            with pytest.raises(MissingExtraError) as caught:
                load_model(tiny_model)
            assert f"needs the package '{package}'" in line(caught)
            assert "[train]'" in line(caught)


def test_openvino_that_is_not_installed(
    tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without("openvino", "sr4.runtime.openvino_backend", monkeypatch)
    with pytest.raises(MissingExtraError) as caught:
        load_model(tiny_exported, backend="openvino")
    assert "[openvino]'" in line(caught)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_damaged_graph(folder: Path, backend: str) -> None:
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    (folder / GRAPH).write_bytes(b"no graph")
    with pytest.raises(ModelError) as caught:
        load_model(folder, backend=backend)
    assert f"{folder / GRAPH}: is no graph that sr4 opens" in line(caught)


def test_a_graph_without_its_weights(folder: Path) -> None:
    """The graph has none inside: it does not open without them, nor with half of them."""
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    for damage in (lambda: weights.write_bytes(data[: len(data) // 2]), weights.unlink):
        damage()
        with pytest.raises(ModelError) as caught:
            load_model(folder, backend="onnx")
        assert str(weights) in line(caught)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_shapes_that_the_graph_does_not_take(tiny_exported: Path, backend: str) -> None:
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    network = open_(tiny_exported, backend)
    with pytest.raises(ModelError) as caught:
        evaluate(network, (1, 3, 12, 10), 0.0)
    assert "fails on pictures of shape (1, 3, 12, 10)" in line(caught)


MISFIT = """
import sys
import numpy as np
from sr4.errors import ModelError
from sr4.model.diffusion_model import load_model
from sr4.runtime import openvino_backend

openvino_backend.available_cpus = lambda: int(sys.argv[2])
network = load_model(sys.argv[1], backend="openvino").network
whole = np.zeros((1, 3, 32, 32), np.float32)
network(whole, 0.0, whole)
network._multiple = 1
misfit = np.zeros((1, 3, 12, 10), np.float32)
try:
    network(misfit, 0.0, misfit)
except ModelError as error:
    print("said:", error)
"""


@pytest.mark.skipif(
    hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == 1,
    reason="two threads on one processor say nothing either",
)
@pytest.mark.parametrize("processors", [1, 2])
def test_openvino_says_why_it_fails(tiny_exported: Path, processors: int) -> None:
    """With one thread, its own evaluation ends without a word, and with the answer before. In a
    process of its own: what fails for its shapes leaves OpenVINO damaged.
    """
    pytest.importorskip("openvino")
    words = [sys.executable, "-c", MISFIT, str(tiny_exported), str(processors)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    expected = "said: OpenVINO fails on pictures of shape (1, 3, 12, 10) (Exception"
    assert done.stdout.startswith(expected), done.stderr
    assert done.stdout.count("\n") == 1


def test_an_accelerator_whose_memory_is_full() -> None:
    torch = pytest.importorskip("torch")
    from torch import nn

    from sr4.runtime.torch_backend import TorchNetwork

    class Greedy(nn.Module):
        def forward(self, *inputs: object) -> None:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB\nof 16")

    with pytest.raises(ModelError) as caught:
        evaluate(TorchNetwork(Greedy(), torch.device("cpu")), (1, 3, 8, 8), 0.0)
    assert "cpu has no memory left for pictures of shape (1, 3, 8, 8)" in line(caught)


def test_openvino_never_gives_an_answer_without_numbers(tiny_exported: Path) -> None:
    pytest.importorskip("openvino")
    network = open_(tiny_exported, "openvino")
    nothing = network.native(np.full((1, 3, 32, 32), np.nan, np.float32))
    with pytest.raises(ModelError) as caught:
        network(nothing, 0.0, nothing)
    assert "no number comes out of it" in line(caught)


def test_openvino_has_no_memory_to_say_why_it_fails(
    tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its evaluation ends without a word and Python has none left to compile it anew."""
    pytest.importorskip("openvino")
    network = open_(tiny_exported, "openvino")

    def full(path: Path) -> str:
        raise MemoryError

    monkeypatch.setattr("sr4.runtime.openvino_backend.file_sha256", full)
    with pytest.raises(OutOfMemoryError) as caught:
        evaluate(network, (1, 3, 32, 32), 0.0)
    assert "OpenVINO has no memory left for pictures of shape (1, 3, 32, 32)" in line(caught)


STARVE = """
import resource, sys
import numpy as np
from sr4.errors import OutOfMemoryError
from sr4.model.diffusion_model import load_model

network = load_model(sys.argv[1], backend=sys.argv[2]).network
picture = network.native(np.zeros((1, 3, 2048, 2048), np.float32))
network(picture[:, :, :32, :32], 0.0, picture[:, :, :32, :32])
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 100 * 2**20,) * 2)
try:
    network(picture, 0.0, picture)
except OutOfMemoryError as error:
    print("said:", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch"])
def test_a_process_without_memory(tiny_exported: Path, backend: str) -> None:
    """The runtimes' own words for it are no contract: this tells when they change."""
    pytest.importorskip("onnxruntime" if backend == "onnx" else backend)
    words = [sys.executable, "-c", STARVE, str(tiny_exported), backend]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert "has no memory left for pictures of shape (1, 3, 2048, 2048)" in done.stdout, done.stderr


def test_the_openvino_file_is_taken_where_there_is_one(folder: Path) -> None:
    pytest.importorskip("openvino")
    (folder / IR).write_text("no model", encoding="utf-8")
    (folder / IR_WEIGHTS).touch()
    with pytest.raises(ModelError, match=r"model\.xml: is no graph that sr4 opens") as caught:
        load_model(folder, backend="openvino")
    line(caught)
