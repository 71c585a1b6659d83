"""Runtimes: each gives the same callable for a model folder's network."""

from __future__ import annotations

from importlib.util import find_spec
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


def _choose(folder: Path, backend: str) -> str:
    """The backend that "auto" stands for: the exported graph where there is one, else torch."""
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}: {nearest(backend, BACKENDS)}")
    if backend != "auto":
        return backend
    return "onnx" if (folder / GRAPH).exists() else "torch"


def open_network(
    folder: Path, config: ModelConfig, *, backend: str = "auto", device: str = "auto"
) -> Network:
    """The network of a model folder on a runtime.

    Raises:
        UsageError: unknown backend or device, or one that the other does not serve.
        MissingExtraError: the runtime is not installed.
        ModelError: the folder lacks what the runtime needs.
    """
    chosen = _choose(folder, backend)
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}: {nearest(device, DEVICES)}")
    if chosen == "torch":
        if find_spec("torch") is None:
            raise MissingExtraError(f"{folder.name} on the torch backend", "torch", "train")
        from sr4.runtime.torch_backend import TorchNetwork

        return TorchNetwork.open(folder, config, device)
    if device not in ("auto", "cpu"):
        raise UsageError(
            f"got device {device!r} for the {chosen} backend; expected cpu: use --backend torch"
        )
    if not (folder / GRAPH).exists():
        raise ModelError(
            f"{folder}: no {GRAPH}; the {chosen} backend needs one: "
            f"run `sr4 export`, or use --backend torch"
        )
    if chosen == "onnx":
        from sr4.runtime.onnx_backend import ONNXNetwork

        return ONNXNetwork(folder / GRAPH)
    if find_spec("openvino") is None:
        raise MissingExtraError("the openvino backend", "openvino", "openvino")
    from sr4.runtime.openvino_backend import OpenVINONetwork

    return OpenVINONetwork(folder / (IR if (folder / IR).exists() else GRAPH))
