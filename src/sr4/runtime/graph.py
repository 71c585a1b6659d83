"""The ONNX graph of a network.

`model.onnx` holds the graph alone: its weights are external data inside `model.safetensors`, at the
byte offsets that the safetensors header gives. A model folder thus carries its weights once
(float16, cast to float32 when the session starts), for torch and for every other runtime.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sr4.degradation.known import KNOWN_LENGTH
from sr4.errors import MissingExtraError, ModelError
from sr4.runtime import GRAPH, WEIGHTS
from sr4.runtime.lowering import lowered
from sr4.runtime.weights import read_header

_MAX_MULTIPLES = 1024  # bound of the dynamic picture size, in size multiples


def export_onnx(
    network: nn.Module,
    folder: Path,
    *,
    channels: int,
    size: int,
    degradation_aware: bool = False,
    tolerance: float = 1e-3,
) -> float:
    """Write `model.onnx` into a folder that holds the network's `model.safetensors`.

    Inputs of the graph: x_t (B, C, H, W), log_snr (B,), low_res (B, C, H, W) at the target size,
    and known (B, 6) for a network that is told of the degradation; output (B, O, H, W). B, H and W
    are free, H and W multiples of the network's size multiple.

    Args:
        network: the network whose weights the folder holds.
        size: edge of the pictures used for tracing and for the check.
        degradation_aware: whether the network is told what is known of the degradation.
        tolerance: largest difference allowed between the graph and torch.

    Returns:
        The largest difference found, on fresh random inputs of a size and a batch that were not
        traced.

    Raises:
        ModelError: the graph differs from torch by more than the tolerance.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it and says so less clearly)
    except ImportError as error:
        raise MissingExtraError("export", error.name or "onnx", "train") from error
    network = network.eval()
    model = _trace(lowered(network), channels, size, degradation_aware)
    _share_weights(model, folder / WEIGHTS)
    path = folder / GRAPH
    onnx.save(model, str(path))
    difference = _difference(network, path, channels, size, degradation_aware)
    if not difference <= tolerance:
        path.unlink()
        raise ModelError(
            f"the exported graph differs from torch by {difference:.2g}; expected at most "
            f"{tolerance:.2g}: the network uses an operation that ONNX renders differently"
        )
    return difference


def _trace(network: nn.Module, channels: int, size: int, degradation_aware: bool = False) -> Any:
    """The network as an `onnx.ModelProto` with float32 weights inside."""
    multiple = int(network.size_multiple)  # type: ignore[arg-type]
    batch = torch.export.Dim("batch", min=1, max=4096)
    height = multiple * torch.export.Dim("rows", min=1, max=_MAX_MULTIPLES)
    width = multiple * torch.export.Dim("columns", min=1, max=_MAX_MULTIPLES)
    picture = torch.zeros(2, channels, size, size + multiple)  # no two axes of equal size
    inputs = {"x_t": picture, "log_snr": torch.zeros(2), "low_res": picture.clone()}
    shapes: dict[str, dict[int, Any]] = {
        "x_t": {0: batch, 2: height, 3: width},
        "log_snr": {0: batch},
        "low_res": {0: batch, 2: height, 3: width},
    }
    if degradation_aware:
        inputs["known"], shapes["known"] = torch.zeros(2, KNOWN_LENGTH), {0: batch}
    with _quiet_exporter():
        program = torch.onnx.export(
            network,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["output"],
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ModelError("torch made no ONNX program of the network; expected one: update torch")
    model = program.model_proto
    # The exporter's notes hold stack traces: paths of this machine, and most of the file.
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
    return model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without the exporter's deprecations and its notes on packages that it could use: there is
    nothing in them that the user could act on.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _share_weights(model: Any, weights: Path) -> None:
    """Replace the graph's weights by references into a safetensors file."""
    from onnx import TensorProto, helper

    tensors = read_header(weights)
    kinds = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
    casts = []
    for tensor in model.graph.initializer:
        if tensor.name not in tensors:
            continue
        name, (kind, _, begin, length) = tensor.name, tensors[tensor.name]
        tensor.ClearField("raw_data")
        tensor.data_type = kinds[kind]
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", begin), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        if kind != "F32":
            tensor.name = f"{name}.stored"
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    # Tracing leaves shapes of the float32 weights behind, which no longer hold.
    del model.graph.value_info[:]


def _difference(
    network: nn.Module, path: Path, channels: int, size: int, degradation_aware: bool
) -> float:
    """Largest difference between graph and torch on inputs unlike the traced ones."""
    import onnxruntime

    multiple = int(network.size_multiple)  # type: ignore[arg-type]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)

    def normal(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape, np.float32)

    largest = 0.0
    for batch, rows, columns in ((1, size, size), (3, size + multiple, size)):
        inputs = {
            "x_t": normal(batch, channels, rows, columns),
            "log_snr": 5 * normal(batch),
            "low_res": normal(batch, channels, rows, columns),
        }
        if degradation_aware:
            inputs["known"] = normal(batch, KNOWN_LENGTH)
        (got,) = session.run(None, inputs)
        with torch.inference_mode():
            expected = network(*(torch.from_numpy(one) for one in inputs.values())).numpy()
        largest = max(largest, float(np.abs(got - expected).max()))
    return largest
