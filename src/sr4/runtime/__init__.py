"""Runtimes: each gives the same callable for a model folder's network."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sr4.config import ModelConfig
from sr4.errors import MissingExtraError, ModelError, UsageError, nearest

Array = Any

BACKENDS = ("auto", "torch", "onnx", "openvino")
DEVICES = ("auto", "cpu", "cuda", "mps")
GRAPH = "model.onnx"
WEIGHTS = "model.safetensors"
IR = "model.xml"  # OpenVINO's own form of the graph, optional


class Network(Protocol):
    """A network on some runtime.

    Arrays are the runtime's own kind between `native` and `numpy`: the sampling arithmetic in
    between runs on that kind, so that nothing leaves an accelerator during sampling.
    """

    name: str

    def __call__(self, x_t: Array, log_snr: float, upsampled: Array) -> Array:
        """One evaluation: (B, C, H, W), a noise level, (B, C, H, W) to (B, O, H, W)."""
        ...

    def native(self, array: NDArray[np.float32]) -> Array:
        """A NumPy array as the runtime's kind."""
        ...

    def numpy(self, array: Array) -> NDArray[np.float32]:
        """The runtime's kind as a NumPy array."""
        ...


def open_network(
    folder: Path, config: ModelConfig, *, backend: str = "auto", device: str = "auto"
) -> Network:
    """The network of a model folder on a runtime.

    Args:
        backend: "auto" takes the exported graph where there is one, else torch; torch too where
            the device is an accelerator.
        device: "auto" takes an accelerator where torch finds one.

    Raises:
        UsageError: unknown backend or device, or one that the other does not serve.
        MissingExtraError: the runtime is not installed.
        ModelError: the folder lacks what the runtime needs, or holds something else.
    """
    for what, name, known in (("backend", backend, BACKENDS), ("device", device, DEVICES)):
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}: {nearest(name, known)}")
    on_cpu, has_graph = device in ("auto", "cpu"), (folder / GRAPH).exists()
    if backend == "auto":
        backend = "onnx" if on_cpu and has_graph else "torch"
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
    return _open_onnx(folder) if backend == "onnx" else _open_openvino(folder)


def _open_torch(folder: Path, config: ModelConfig, device: str) -> Network:
    try:
        from sr4.runtime.torch_backend import TorchNetwork
    except ModuleNotFoundError as error:
        what = f"{folder}: the torch backend"
        raise MissingExtraError(what, error.name or "torch", "train") from error
    return TorchNetwork.open(folder, config, device)


def _open_onnx(folder: Path) -> Network:
    from sr4.runtime.onnx_backend import ONNXNetwork

    return ONNXNetwork(folder / GRAPH)


def _open_openvino(folder: Path) -> Network:
    try:
        from sr4.runtime.openvino_backend import OpenVINONetwork
    except ModuleNotFoundError as error:
        raise MissingExtraError("the openvino backend", "openvino", "openvino") from error
    return OpenVINONetwork(folder / (IR if (folder / IR).exists() else GRAPH))
