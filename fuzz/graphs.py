"""Changes to models: valid graphs with wild values, and settings with others in their place."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import onnx

_WHOLE = (-(2**63), -(2**31), -1, 0, 1, 2, 3, 2**15, 2**31 - 1, 2**40, 2**63 - 1)
_NUMBERS = (float("nan"), float("inf"), -1e308, -1.0, 0.0, 1e-300, 1e308)
_WORDS = ("", "x", "../x", "\0", "é" * 300, "constant", "linear", "SAME_UPPER")
_LEAVES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 2**31, 10**30, 1e308, -0.5, "", "x", "9" * 500, [], {}, [[]], [1] * 50,
    {"kind": "fast"}, {"a": {"b": 1}}, ["a", 1, None],
)  # fmt: skip


def wild_graph(data: bytes, random_: random.Random) -> bytes:
    """An ONNX file with one to three attributes, weights, dimensions or names that are others."""
    model = onnx.load_from_string(data)
    graph = model.graph
    for _ in range(random_.choice((1, 1, 2, 3))):
        change = random_.choice((_attribute, _attribute, _weights, _dimension, _wiring))
        change(graph, random_)
    return bytes(model.SerializeToString())


def _attribute(graph: Any, random_: random.Random) -> None:
    node = random_.choice([one for one in graph.node if one.attribute])
    attribute = random_.choice(list(node.attribute))
    if attribute.ints:
        attribute.ints[random_.randrange(len(attribute.ints))] = random_.choice(_WHOLE)
        if random_.random() < 0.2:
            attribute.ints.append(random_.choice(_WHOLE))
    elif attribute.HasField("t"):
        _values(attribute.t, random_)
    elif attribute.HasField("i"):
        attribute.i = random_.choice(_WHOLE)
    elif attribute.HasField("f"):
        attribute.f = max(-3e38, min(3e38, random_.choice(_NUMBERS)))
    else:
        attribute.s = random_.choice(_WORDS).encode()
    if random_.random() < 0.1:
        attribute.type = random_.choice((1, 2, 3, 4, 6, 7, 8))


def _values(tensor: Any, random_: random.Random) -> None:
    """Other numbers, type or shape in a tensor."""
    what = random_.randrange(4)
    if what == 0 and tensor.dims:
        tensor.dims[random_.randrange(len(tensor.dims))] = random_.choice(_WHOLE)
    elif what == 1:
        tensor.data_type = random_.choice((1, 2, 3, 6, 7, 8, 9, 10, 11, 16, 99))
    elif tensor.raw_data:
        raw = bytearray(tensor.raw_data)
        if tensor.data_type == onnx.TensorProto.INT64 and len(raw) >= 8:
            place = 8 * random_.randrange(len(raw) // 8)
            raw[place : place + 8] = random_.choice(_WHOLE).to_bytes(8, "little", signed=True)
        else:
            raw[random_.randrange(len(raw))] = random_.choice((0, 0x7F, 0x80, 0xFF))
        tensor.raw_data = bytes(raw[: random_.choice((len(raw), len(raw), len(raw) // 2))])


def _weights(graph: Any, random_: random.Random) -> None:
    if not graph.initializer:
        return
    tensor = random_.choice(list(graph.initializer))
    if tensor.external_data and random_.random() < 0.7:
        entry = random_.choice(list(tensor.external_data))
        entry.value = str(random_.choice((*_WHOLE, *_WORDS, "config.json", "model.onnx")))
    else:
        _values(tensor, random_)


def _dimension(graph: Any, random_: random.Random) -> None:
    value = random_.choice([*graph.input, *graph.output, *graph.value_info])
    if value.type.tensor_type.shape.dim:
        dim = random_.choice(list(value.type.tensor_type.shape.dim))
        dim.dim_value = random_.choice(_WHOLE)


def _wiring(graph: Any, random_: random.Random) -> None:
    """Operators with the inputs, or the name, of others; left out or doubled."""
    node, other = random_.choice(list(graph.node)), random_.choice(list(graph.node))
    what = random_.randrange(4)
    if what == 0 and node.input and other.output:
        node.input[random_.randrange(len(node.input))] = random_.choice([*other.output, ""])
    elif what == 1:
        node.op_type = random_.choice([other.op_type, "Loop", "If", "x", "Conv"])
    elif what == 2:
        graph.node.remove(node)
    else:
        graph.node.append(other)


def wild_document(values: Any, random_: random.Random) -> Any:
    """A document with one to three of its values, at any depth, others; or under another name."""
    made = json.loads(json.dumps(values))
    for _ in range(random_.choice((1, 1, 2, 3))):
        inner = made
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = random_.choice(keys)
            if isinstance(inner[key], (dict, list)) and random_.random() < 0.7:
                inner = inner[key]
                continue
            if isinstance(inner, dict) and random_.random() < 0.15:
                inner[random_.choice(("x", "", "seed", str(key).upper()))] = inner.pop(key)
            else:
                inner[key] = copy.deepcopy(random_.choice(_LEAVES))
            break
    return made


def wild_model(source: Path, place: Path, random_: random.Random) -> None:
    """A copy of a model folder with a wild graph or config; the checksums fit."""
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    for path in source.glob("model.*"):
        (place / path.name).write_bytes(path.read_bytes())
    if random_.random() < 0.7:
        data = wild_graph((source / "model.onnx").read_bytes(), random_)
        (place / "model.onnx").write_bytes(data)
        config["sha256"]["model.onnx"] = hashlib.sha256(data).hexdigest()
    else:
        config = wild_document(config, random_)
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
