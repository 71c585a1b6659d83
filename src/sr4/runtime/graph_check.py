"""What an exported graph may say, checked before a runtime opens it.

Runtimes take far more than `sr4 export` writes: weights in any file, operators of other libraries,
loops. Here a graph is some arithmetic on the pictures and on the weights beside it, or is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.parsers import expat

from sr4.errors import ModelError, reason
from sr4.files.documents import read_bytes
from sr4.runtime.weights import StoredTensor

_MOST_GRAPH = 2**23  # bytes, without the weights; the graph of `sr4-fast` has 70,000
_MOST_IR = 2**26
_MOST_AXES = 16
_MOST_NUMBER = 2**16  # of an operator's own, of which runtimes make lists: "num_outputs" of a Split

# fmt: off
_OPERATORS = frozenset((  # what the networks consist of, whichever way torch renders them
    "Add", "AveragePool", "Cast", "CastLike", "Clip", "Concat", "Constant", "Conv", "ConvTranspose",
    "Cos", "DepthToSpace", "Div", "Equal", "Erf", "Exp", "Expand", "Flatten", "Gather", "Gelu",
    "Gemm", "GroupNormalization", "Identity", "InstanceNormalization", "LayerNormalization",
    "LeakyRelu", "Log", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Pad", "Pow",
    "Reciprocal", "ReduceL2", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Shape",
    "Sigmoid", "Sin", "Slice", "Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh",
    "Transpose", "Unsqueeze", "Where",
))
_LAYERS = frozenset((  # the same in OpenVINO's words
    "Add", "AvgPool", "Broadcast", "Clamp", "Concat", "Const", "Convert", "ConvertLike",
    "Convolution", "ConvolutionBackpropData", "Cos", "DepthToSpace", "Divide", "Equal", "Erf",
    "Exp", "FloorMod", "Gather", "Gelu", "GroupConvolution", "GroupNormalization", "Interpolate",
    "Log", "MVN", "MatMul", "Maximum", "Minimum", "Mod", "Multiply", "Negative", "PRelu", "Pad",
    "Parameter", "Power", "ReLU", "ReduceL2", "ReduceMean", "ReduceSum", "Reshape", "Result",
    "Select", "ShapeOf", "Sigmoid", "Sin", "Slice", "SoftMax", "SpaceToDepth", "Split", "Sqrt",
    "Squeeze", "StridedSlice", "Subtract", "Swish", "Tanh", "Tile", "Transpose", "Unsqueeze",
    "VariadicSplit",
))
# fmt: on

# Field numbers of onnx.proto.
_MODEL = {"graph": 7, "opset_import": 8, "training_info": 20, "functions": 25}
_GRAPH = {"node": 1, "initializer": 5, "sparse_initializer": 15}
_NODE = {"op_type": 4, "attribute": 5, "domain": 7}
_ATTRIBUTE = {"i": 3, "t": 5, "g": 6, "tensors": 10, "graphs": 11, "sparse_tensor": 22}
_TENSOR = {"dims": 1, "data_type": 2, "name": 8, "external_data": 13, "data_location": 14}
_OPSET = {"domain": 1}
_PAIR = {"key": 1, "value": 2}

_KINDS = {1: "F32", 10: "F16", 11: "F64", 16: "BF16"}  # TensorProto.DataType
_STANDARD = ("", "ai.onnx")
_STORED = ".stored"  # what `sr4 export` adds to the name of weights that the graph casts

Message = dict[int, list[int | memoryview]]


def check_graph(path: Path, weights: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Refuse an ONNX graph that is anything but arithmetic on the tensors of its weights file.

    Args:
        path: the graph.
        weights: the only file that it may refer to.
        tensors: what that file holds.

    Raises:
        ModelError: it has other operators, refers to other places, or is damaged.
    """
    try:
        model = _message(memoryview(read_bytes(path, _MOST_GRAPH)))
        for entry in _messages(model, _MODEL["opset_import"]):
            _check_domain(_text(entry, _OPSET["domain"]))
        _refuse(model, _MODEL, "training_info", "functions")
        graphs = list(_messages(model, _MODEL["graph"]))
        if len(graphs) != 1:
            raise ValueError(f"it has {len(graphs)} graphs, not one")
        _refuse(graphs[0], _GRAPH, "sparse_initializer")
        for node in _messages(graphs[0], _GRAPH["node"]):
            _check_node(node)
        for tensor in _messages(graphs[0], _GRAPH["initializer"]):
            _check_tensor(tensor, weights.name, tensors)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def check_ir(path: Path) -> None:
    """Refuse OpenVINO's form of a graph that is anything but arithmetic on the weights beside it.

    Args:
        path: the .xml; its weights are the .bin of the same name.

    Raises:
        ModelError: it has other operators, refers to other places, or is damaged.
    """
    parser = expat.ParserCreate()
    try:
        size = path.with_suffix(".bin").stat().st_size

        def element(name: str, attributes: dict[str, str]) -> None:
            if name == "layer":
                _check_layer(attributes)
            elif name == "data" and "offset" in attributes:
                begin, length = (_number(attributes.get(key)) for key in ("offset", "size"))
                if begin + length > size:
                    raise ValueError(f"it refers to byte {begin + length:,} of {size:,} of weights")

        def declaration(*_: object) -> None:
            raise ValueError("it declares a document type, whose entities may stand for anything")

        parser.StartElementHandler = element
        parser.StartDoctypeDeclHandler = declaration
        parser.Parse(read_bytes(path, _MOST_IR), True)
    except (OSError, ValueError, expat.ExpatError) as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path}: is no graph that sr4 opens ({reason(error)[:200]}); expected one that "
        "`sr4 export` wrote: export the model again, or get it from a source that you trust"
    )


def _check_layer(attributes: Mapping[str, str]) -> None:
    kind, version = attributes.get("type", ""), attributes.get("version", "")
    if kind not in _LAYERS or not re.fullmatch(r"opset\d{1,2}", version):
        raise ValueError(f"it has the operator {kind[:40]!r} of {version[:40]!r}")


def _number(text: str | None) -> int:
    if text is None or not re.fullmatch(r"\d{1,15}", text):
        raise ValueError(f"it refers to the place {str(text)[:20]!r} of the weights")
    return int(text)


def _check_node(node: Message) -> None:
    _check_domain(_text(node, _NODE["domain"]))
    operator = _text(node, _NODE["op_type"])
    if operator not in _OPERATORS:
        raise ValueError(f"it has the operator {operator[:40]!r}")
    for attribute in _messages(node, _NODE["attribute"]):
        _refuse(attribute, _ATTRIBUTE, "g", "tensors", "graphs", "sparse_tensor")
        if len(attribute.get(_ATTRIBUTE["t"], ())) > 1:
            raise ValueError(f"its operator {operator} has a value that stands twice")
        number = (_integer(attribute, _ATTRIBUTE["i"]) + 2**63) % 2**64 - 2**63  # with its sign
        if abs(number) > _MOST_NUMBER:
            raise ValueError(f"its operator {operator} has the number {number:,}")
        for tensor in _messages(attribute, _ATTRIBUTE["t"]):
            if _TENSOR["external_data"] in tensor or _TENSOR["data_location"] in tensor:
                raise ValueError(f"its operator {operator} refers to another file")
            _check_inline(tensor)


def _check_domain(domain: str) -> None:
    if domain not in _STANDARD:
        raise ValueError(f"it needs operators of {domain[:40]!r}, beyond those of ONNX itself")


def _check_tensor(tensor: Message, file: str, tensors: Mapping[str, StoredTensor]) -> None:
    """A tensor with its values inside is one of at most as many as there are bytes; one elsewhere
    is, whole, one of the weights.
    """
    external = [
        (_text(pair, _PAIR["key"]), _text(pair, _PAIR["value"]))
        for pair in _messages(tensor, _TENSOR["external_data"])
    ]
    if not external and _TENSOR["data_location"] not in tensor:
        _check_inline(tensor)
        return
    name, places = _text(tensor, _TENSOR["name"]), dict(external)
    if places.get("location") != file or len(places) < len(external):
        raise ValueError(
            f"its tensor {name[:80]!r} lies in {places.get('location', '')[:80]!r}; only {file} "
            "holds weights"
        )
    stored = tensors.get(name.removesuffix(_STORED))
    wanted = None if stored is None else (stored.begin, stored.length, stored.shape, stored.kind)
    kind = _KINDS.get(_integer(tensor, _TENSOR["data_type"]), "")
    place = (_number(places.get("offset")), _number(places.get("length")))
    if wanted != (*place, _dims(tensor), kind):
        raise ValueError(f"its tensor {name[:80]!r} is not the one of that name in {file}")


def _check_inline(tensor: Message) -> None:
    length = sum(len(value) if isinstance(value, memoryview) else 10 for value in _all(tensor))
    if math.prod(_dims(tensor)) > length:
        raise ValueError("it has a tensor of more values than it holds")


def _refuse(message: Message, fields: Mapping[str, int], *names: str) -> None:
    for name in names:
        if fields[name] in message:
            raise ValueError(f"it has {name.replace('_', ' ')}, which sr4 export never writes")


# Protocol buffers, as far as the above asks: a message is a run of numbered fields.


def _message(data: memoryview) -> Message:
    message: Message = {}
    for number, value in _fields(data):
        message.setdefault(number, []).append(value)
    return message


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = divmod(key, 8)
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(data, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError("it is no ONNX file, or damaged")
        if length > len(data) - place:
            raise ValueError("it is damaged: a field ends outside the file")
        yield number, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for position in range(10):
        if place + position >= len(data):
            break
        byte = data[place + position]
        value |= (byte & 127) << (7 * position)
        if byte < 128:
            return value, place + position + 1
    raise ValueError("it is damaged: a number does not end")


def _all(message: Message) -> Iterator[int | memoryview]:
    for values in message.values():
        yield from values


def _messages(message: Message, number: int) -> Iterator[Message]:
    for value in message.get(number, ()):
        if isinstance(value, int):
            raise ValueError("it is damaged: a number stands where a message is expected")
        yield _message(value)


def _text(message: Message, number: int) -> str:
    values = message.get(number, [])
    if len(values) > 1 or any(isinstance(value, int) for value in values):
        raise ValueError("it is damaged: a text stands twice, or is none")
    return bytes(values[0]).decode("utf-8") if values else ""


def _integer(message: Message, number: int) -> int:
    values = message.get(number, [0])
    if len(values) != 1 or not isinstance(values[0], int):
        raise ValueError("it is damaged: a number stands twice, or is none")
    return values[0]


def _dims(tensor: Message) -> tuple[int, ...]:
    """One field each, or all packed into one."""
    dims: list[int] = []
    for value in tensor.get(_TENSOR["dims"], ()):
        if isinstance(value, int):
            dims.append(value)
            continue
        place = 0
        while place < len(value):
            dim, place = _varint(value, place)
            dims.append(dim)
    if len(dims) > _MOST_AXES:
        raise ValueError(f"it has a tensor of {len(dims)} axes")
    return tuple(dims)
