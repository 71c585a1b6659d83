"""The runtimes that execute a network, torch, ONNX Runtime and OpenVINO, as one callable."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sr4.config import ModelConfig
from sr4.errors import MissingExtraError, ModelError, OutOfMemoryError, UsageError, nearest, reason
from sr4.files.caches import cache_folder
from sr4.runtime.graph_check import check_graph, check_ir
from sr4.runtime.rehearsal import check_by_rehearsal
from sr4.runtime.weights import read_header

Array = Any

BACKENDS = ("auto", "torch", "onnx", "openvino")
DEVICES = ("auto", "cpu", "cuda", "mps")
CONFIG = "config.json"
GRAPH = "model.onnx"
WEIGHTS = "model.safetensors"
IR = "model.xml"  # OpenVINO's own form of the graph, optional
IR_WEIGHTS = "model.bin"
FILES = (WEIGHTS, GRAPH, IR, IR_WEIGHTS)

# What the runtimes say, in lower case, when memory is what they lack.
_NO_MEMORY = (
    "bad_alloc",
    "failed to allocate",
    "allocate memory",
    "resource temporarily unavailable",  # a thread, which needs memory of its own
    "out of memory",
    "not enough memory",
)

# OpenVINO starts 0.25 s later than ONNX Runtime and then takes half the time for an evaluation.
_FEW_DRAWS = 16


class Network(Protocol):
    """A network on some runtime.

    Arrays are the runtime's own kind between `native` and `numpy`: the sampling arithmetic in
    between runs on that kind, so that nothing leaves an accelerator during sampling.

    Attributes:
        name: of the runtime; told: it, its precision and what it runs on, in words.
        is_for_one: whether the pictures of a user go through it one by one, since those that share
            an evaluation would change each other's rounding.
    """

    name: str
    told: str
    is_for_one: bool

    def __call__(
        self, x_t: Array, log_snr: float, upsampled: Array, known: Array | None = None
    ) -> Array:
        """One evaluation: (B, C, H, W), a noise level, (B, C, H, W) to (B, O, H, W); with the
        vectors of `sr4.degradation.known`, (B, 6), for a network that is told of the degradation.
        """
        ...

    def native(self, array: NDArray[np.float32]) -> Array:
        """A NumPy array as the runtime's kind."""
        ...

    def numpy(self, array: Array) -> NDArray[np.float32]:
        """The runtime's kind as a NumPy array."""
        ...


class WrappedNetwork:
    """A network that is another one, but for what a subclass does around each evaluation."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.name, self.told = network.name, network.told
        self.is_for_one = network.is_for_one
        self.native, self.numpy = network.native, network.numpy

    def __call__(self, x_t: Array, log_snr: float, upsampled: Array, known: Any = None) -> Array:
        return self._network(x_t, log_snr, upsampled, *(() if known is None else (known,)))


def failure(runtime: str, shape: tuple[int, ...], error: Exception) -> ModelError:
    """What a runtime's own error means; for the runtimes that have one type for all of them."""
    said = reason(error)
    is_full = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
    if is_full or any(one in said.lower() for one in _NO_MEMORY):
        return OutOfMemoryError(
            f"{runtime} has no memory left for pictures of shape {shape}; expected enough: use "
            "smaller or fewer pictures, or smaller tiles (--tile)"
        )
    return ModelError(
        f"{runtime} fails on pictures of shape {shape} ({said[:200]}); expected shapes of the "
        "exported network: use smaller or fewer pictures, or run `sr4 export` again"
    )


def open_network(
    folder: Path,
    config: ModelConfig,
    *,
    backend: str = "auto",
    device: str = "auto",
    draws: int | None = None,
) -> Network:
    """The network of a model folder on a runtime.

    Args:
        backend: "auto" takes the fastest one installed that serves the model: OpenVINO, then ONNX
            Runtime; torch where there is no exported graph, or the device is an accelerator.
        device: "auto" takes an accelerator where torch finds one.
        draws: how many pictures will be drawn in all; for a few, "auto" prefers ONNX Runtime, which
            is ready sooner. None if nobody knows: then it is taken for many.

    Raises:
        UsageError: unknown backend or device, or one that the other does not serve.
        MissingExtraError: the runtime is not installed.
        ModelError: the folder lacks what the runtime needs, or holds something else.
    """
    for what, name, known in (("backend", backend, BACKENDS), ("device", device, DEVICES)):
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}: {nearest(name, known)}")
    on_cpu, has_graph = device in ("auto", "cpu"), _has(folder, GRAPH, config)
    if backend == "auto":
        backend = _fastest(draws) if on_cpu and has_graph else "torch"
    if backend == "torch":
        return _open_torch(folder, config, device)
    if not on_cpu:
        raise UsageError(
            f"got device {device!r} for the {backend} backend; expected cpu: choose the torch "
            "backend for it"
        )
    if not has_graph:
        raise ModelError(
            f"{folder}: has no {GRAPH}; expected one for the {backend} backend: run `sr4 export`, "
            "or choose the torch backend"
        )
    # What a config does not list has nothing to do with the model.
    graph = folder / GRAPH
    if backend == "openvino" and all(_has(folder, name, config) for name in (IR, IR_WEIGHTS)):
        graph = folder / IR
        check_ir(graph)
    else:
        check_graph(graph, folder / WEIGHTS, read_header(folder / WEIGHTS))
    check_by_rehearsal(graph, config, backend)
    return open_graph(graph, config, backend)


def open_graph(graph: Path, config: ModelConfig, backend: str, *, keep: bool = True) -> Network:
    """An exported network on "onnx" or "openvino".

    Args:
        keep: whether what is compiled of it is kept for other processes.
    """
    if backend == "onnx":
        from sr4.runtime.onnx_backend import ONNXNetwork

        return ONNXNetwork(graph)
    try:
        from sr4.runtime.openvino_backend import OpenVINONetwork
    except ModuleNotFoundError as error:
        raise MissingExtraError("the openvino backend", "openvino", "openvino") from error
    cache = cache_folder() if keep else None
    return OpenVINONetwork(
        graph,
        size=config.image_size,
        multiple=config.size_multiple,
        cache=None if cache is None else cache / "openvino",
    )


def _has(folder: Path, name: str, config: ModelConfig) -> bool:
    """Whether a file is there, and one of the model: a config with checksums lists all of them."""
    return (folder / name).exists() and (not config.sha256 or name in config.sha256)


def _fastest(draws: int | None) -> str:
    """The backend that is through first with so many pictures."""
    few = draws is not None and draws <= _FEW_DRAWS
    return "onnx" if few or find_spec("openvino") is None else "openvino"


def _open_torch(folder: Path, config: ModelConfig, device: str) -> Network:
    try:
        from sr4.runtime.torch_backend import TorchNetwork
    except ModuleNotFoundError as error:
        what = f"{folder}: the torch backend"
        raise MissingExtraError(what, error.name or "torch", "train") from error
    return TorchNetwork.open(folder, config, device)
