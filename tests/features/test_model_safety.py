"""Model folders made to do harm: each is refused in one line, before anything comes of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr4.errors import ModelError
from sr4.machine.memory import peak_memory
from sr4.model.diffusion_model import load_model
from sr4.model.folder import read_config
from sr4.runtime import rehearsal

onnx = pytest.importorskip("onnx")

WEIGHTS, GRAPH = "model.safetensors", "model.onnx"


@pytest.fixture
def folder(tiny_exported: Path, tmp_path: Path) -> Path:
    """An exported folder of one's own."""
    return Path(shutil.copytree(tiny_exported, tmp_path / "mine"))


def seal(folder: Path, **changes: Any) -> None:
    """Change the config, and let its checksums be those of the files."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | changes
    config["sha256"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in config["sha256"]
        if (folder / name).is_file()
    }
    path.write_text(json.dumps(config), encoding="utf-8")


def refusal(folder: Path, backend: str = "onnx") -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(ModelError) as caught:
        load_model(folder, backend=backend)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1200  # an unknown key gets the list of all
    assert str(folder) in message
    assert any(word in message for word in ("expect", "setting", "known"))
    return message


# The config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": {"kind": "fast", "widths": [10**9], "blocks": [1]}}, "network.widths.0"),
        ({"network": {"kind": "fast", "widths": [16], "blocks": [10**9]}}, "network.blocks.0"),
        ({"network": {"kind": "fast", "widths": [1] * 10**5, "blocks": [1]}}, "network.widths"),
        ({"network": {"kind": "sr3", "multipliers": [10**9]}}, "network.multipliers.0"),
        ({"network": {"kind": "sr3", "groups": 10**9}}, "network.groups"),
        ({"network": {"kind": "sr3", "attention_resolutions": [16] * 99}}, "attention_resolutions"),
        ({"network": {"kind": "sr4", "path_resolution": 10**9}}, "network.path_resolution"),
        ({"network": {"kind": "x" * 100_000}}, "unknown network.kind"),
        ({"x" * 150: 1}, "unknown setting"),
        ({"image_size": 10**9}, "image_size"),
        ({"size_multiple": 10**9}, "that of its network"),
        ({"size_multiple": 4}, "expected 8, that of its network"),
        ({"scale": 10**9, "degradation": {"scale": 10**9}}, "degradation.scale"),
        ({"parameters": 5}, "expected 5, as config.json says"),
        ({"schedule": {"kind": "linear", "steps": 10**9}}, "schedule.steps"),
        ({"sampling": {"steps": 10**9}}, "sampling.steps"),
        ({"scores": {"x": 10**200}}, "an integer of more than 100 digits"),
        ({"scores": {"x": float("inf")}}, "not finite"),
        ({"scores": {"x": {"value": float("nan")}}}, "not finite"),
        ({"scores": {"x" * 1000: 1}}, "longer than any name"),
        ({"licence": "x" * 2_000_000}, "more than the 1,000,000"),
    ],
)
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_absurd_settings(folder: Path, changes: dict[str, Any], said: str, backend: str) -> None:
    seal(folder, **changes)
    assert said in refusal(folder, backend)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ('{"scale": 4, "scale": 8, ', "has the key 'scale' twice"),
        ('{"scores": {"a": 1, "a": 2}, ', "has the key 'a' twice"),
        ('{"scores": ' + '{"a": ' * 40 + "1" + "}" * 40 + ", ", "nested more than"),
        ('{"scores": ' + "[" * 100_000 + "]" * 100_000 + ", ", "nested more than"),
        ('{"scores": {"a": 1e999}, ', "not finite"),
        ('{"scores": {"a": ' + "9" * 5000 + "}, ", "cannot be read"),
    ],
)
def test_a_config_that_parsers_disagree_on(folder: Path, start: str, said: str) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["scores"]
    path.write_text(start + json.dumps(values)[1:], encoding="utf-8")
    assert said in refusal(folder)


def test_a_network_that_contradicts_itself_is_the_models_fault(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "mine"))
    seal(folder, network={"kind": "sr3", "heads": 7}, size_multiple=16, image_size=128)
    assert "heads 7" in refusal(folder, "torch")


# Files


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("name", ["config.json", WEIGHTS, GRAPH])
@pytest.mark.parametrize("sums", [True, False])
def test_links_to_files_outside(folder: Path, tmp_path: Path, name: str, sums: bool) -> None:
    if not sums:
        seal(folder)
        config = read_config(folder).model_copy(update={"sha256": {}})
        (folder / "config.json").write_text(config.model_dump_json(), encoding="utf-8")
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    assert "a link to a file outside the folder" in refusal(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_within_the_folder_are_followed(folder: Path, tiny_exported: Path) -> None:
    (folder / WEIGHTS).rename(folder / "blob")
    (folder / WEIGHTS).symlink_to("blob")
    grey = np.zeros((1, 3, 8, 8), np.float32)
    drawn = [
        load_model(one, backend="torch").sample(grey, seeds=[0]) for one in (folder, tiny_exported)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", [WEIGHTS, GRAPH])
def test_pipes_are_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "no regular file" in refusal(folder)


def test_a_terabyte_of_weights_is_not_read(folder: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(10**12)
    assert "more than 4,294,967,296 bytes" in refusal(folder)


def test_a_graph_without_a_checksum_is_none_of_the_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["sha256"][GRAPH]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / GRAPH).write_bytes(b"anything")
    (folder / "model.xml").write_text("anything", encoding="utf-8")
    (folder / "run.py").write_text("raise SystemExit", encoding="utf-8")
    assert load_model(folder).network.name == "torch"
    assert "has no model.onnx" in refusal(folder)


def test_weights_without_a_checksum(folder: Path) -> None:
    (folder / "config.json").write_text(
        (folder / "config.json").read_text(encoding="utf-8").replace(WEIGHTS, "README.md"),
        encoding="utf-8",
    )
    (folder / "README.md").write_text("x", encoding="utf-8")
    assert "has checksums, but none of model.safetensors" in refusal(folder)


# Weights


def change_header(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / WEIGHTS
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    seal(folder)


def first(header: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = header["conv_in.bias"]
    return entry


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: first(h).update(shape=[10**9, 10**9]), "unlike its shape"),
        (lambda h: first(h).update(shape=[-16]), "impossible shape"),
        (lambda h: first(h).update(shape=[16] + [1] * 99), "impossible shape"),
        (lambda h: first(h).update(shape=[True] * 16), "impossible shape"),
        (lambda h: first(h).update(dtype="I64"), "none of F16"),
        (lambda h: first(h).update(data_offsets=[0, 2**62]), "unlike its shape"),
        (lambda h: first(h).update(data_offsets=[-32, 0]), "does not begin where"),
        (lambda h: first(h).update(data_offsets="all"), "does not describe"),
        (lambda h: h.update(more={"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}), "begin"),
        (lambda h: h.pop("conv_in.bias"), "does not begin where"),
        (lambda h: h.update(x=1), "does not describe the tensor 'x'"),
        (lambda h: h.clear(), "its tensors need"),
    ],
)
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_weights_whose_header_lies(folder: Path, change: Any, said: str, backend: str) -> None:
    change_header(folder, change)
    message = refusal(folder, backend)
    assert said in message
    assert WEIGHTS in message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends outside"),
        (b"\xff" * 8 + b"{}", "ends outside"),
        ((2).to_bytes(8, "little") + b"[]", "no object"),
        ((10**9).to_bytes(8, "little") + b"{}", "ends outside"),
        ((6).to_bytes(8, "little") + b'{"a":}', "not a readable"),
        (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "ends outside"),
        (b"PK\x03\x04" + bytes(100), "ends outside"),
    ],
)
def test_weights_that_are_none(folder: Path, data: bytes, said: str) -> None:
    (folder / WEIGHTS).write_bytes(data)
    seal(folder)
    assert said in refusal(folder)


def test_a_network_that_the_weights_are_too_few_for_is_never_allocated(folder: Path) -> None:
    """2.4 billion parameters a level; a file of 170 kB."""
    network = {"kind": "fast", "patch": 1, "widths": [8192] * 4, "blocks": [64] * 4}
    seal(folder, network=network)
    assert "the weights belong to another configuration" in refusal(folder, "torch")


# Graphs


def change_graph(folder: Path, change: Callable[[Any], None]) -> None:
    model = onnx.load(str(folder / GRAPH), load_external_data=False)
    change(model)
    (folder / GRAPH).write_bytes(model.SerializeToString())
    seal(folder)


def entry(model: Any, key: str) -> Any:
    """A pair of the first reference to weights."""
    tensor = next(one for one in model.graph.initializer if one.external_data)
    return next(pair for pair in tensor.external_data if pair.key == key)


def relocate(place: str) -> Callable[[Any], None]:
    return lambda model: setattr(entry(model, "location"), "value", place)


def loop(model: Any) -> None:
    body = onnx.helper.make_graph([], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["never"], body=body))


def hidden_reference(model: Any) -> None:
    """In the attribute of an operator, not among the weights."""
    tensor = onnx.TensorProto(data_type=1, dims=[4], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["stolen"], value=tensor))


def giant(model: Any) -> None:
    model.graph.initializer.append(onnx.TensorProto(name="g", data_type=1, dims=[10**6, 10**6]))


def twice(model: Any) -> None:
    tensor = next(one for one in model.graph.initializer if one.external_data)
    tensor.external_data.add(key="location", value="/etc/passwd")


def split(outputs: int) -> Callable[[Any], None]:
    """Into so many parts, of which a runtime makes a list before it looks at them."""

    def change(model: Any) -> None:
        node = next(one for one in model.graph.node if one.op_type == "Split")
        next(one for one in node.attribute if one.name == "num_outputs").i = outputs

    return change


def of_another_name(model: Any) -> None:
    one, other = [t for t in model.graph.initializer if t.external_data][:2]
    one.name, other.name = other.name, one.name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (relocate("../model.safetensors"), "lies in '../model.safetensors'"),
        (relocate("/etc/passwd"), "lies in '/etc/passwd'"),
        (relocate("./model.safetensors"), "lies in './model.safetensors'"),
        (relocate("*/_ORT_MEM_ADDR_/*"), "lies in '*/_ORT_MEM_ADDR_/*'"),
        (relocate("config.json"), "lies in 'config.json'"),
        (relocate(""), "lies in ''"),
        (twice, "lies in '/etc/passwd'"),
        (hidden_reference, "refers to another file"),
        (lambda m: setattr(entry(m, "offset"), "value", "0"), "not the one of that name"),
        (lambda m: setattr(entry(m, "offset"), "value", "-8"), "the place '-8'"),
        (lambda m: setattr(entry(m, "offset"), "value", "9" * 99), "the place '999"),
        (lambda m: setattr(entry(m, "length"), "value", "1"), "not the one of that name"),
        (of_another_name, "not the one of that name"),
        (lambda m: m.graph.initializer[0].dims.append(2), "tensor"),
        (giant, "more values than it holds"),
        (loop, "the operator 'Loop'"),
        (split(2**31 - 1), "its operator Split has the number 2,147,483,647"),
        (split(-(2**40)), "its operator Split has the number -1,099,511,627,776"),
        (lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"), "'com.microsoft'"),
        (lambda m: setattr(m.graph.node[0], "op_type", "PyOp"), "the operator 'PyOp'"),
        (lambda m: m.opset_import.add(domain="evil", version=1), "'evil'"),
        (lambda m: m.functions.add(name="f"), "functions"),
        (lambda m: m.training_info.add(), "training info"),
        (lambda m: m.graph.sparse_initializer.add(), "sparse initializer"),
        (lambda m: m.ClearField("graph"), "0 graphs"),
    ],
)
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_graphs_that_reach_further(folder: Path, change: Any, said: str, backend: str) -> None:
    change_graph(folder, change)
    message = refusal(folder, backend)
    assert said in message
    assert GRAPH in message


@pytest.mark.parametrize("data", [b"", b"\x0b", b"\xff" * 50, b"\x3a\xff\xff\xff\xff\x0f"])
def test_graphs_that_are_none(folder: Path, data: bytes) -> None:
    (folder / GRAPH).write_bytes(data)
    seal(folder)
    assert "is no graph that sr4 opens" in refusal(folder)


def test_two_graphs_that_a_runtime_would_merge(folder: Path) -> None:
    data = (folder / GRAPH).read_bytes()
    (folder / GRAPH).write_bytes(data + data)
    seal(folder)
    assert "2 graphs" in refusal(folder)


def test_a_result_of_another_shape(folder: Path) -> None:
    def transposed(model: Any) -> None:
        model.graph.node[-1].output[0] = "before"
        model.graph.node.append(
            onnx.helper.make_node("Transpose", ["before"], ["output"], perm=[1, 0, 2, 3])
        )
        model.graph.output[0].type.tensor_type.ClearField("shape")

    change_graph(folder, transposed)
    model = load_model(folder, backend="onnx")
    with pytest.raises(ModelError, match=r"gave numbers of shape \(3, 1, 32, 32\); expected"):
        model.sample(np.zeros((1, 3, 8, 8), np.float32), seeds=[0])


def test_what_constants_unfold_to_is_bounded(folder: Path) -> None:
    """2 bytes that 34 operators would make 32 GB of when the session starts."""

    def unfold(model: Any) -> None:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(1, np.float16), "c0"))
        for step in range(34):
            names = [f"c{step}"] * 2
            model.graph.node.append(
                onnx.helper.make_node("Concat", names, [f"c{step + 1}"], axis=0)
            )
        out = onnx.helper.make_tensor_value_info("c34", 10, None)
        model.graph.output.append(out)

    change_graph(folder, unfold)
    before = peak_memory() or 0
    load_model(folder, backend="onnx")
    assert (peak_memory() or 0) - before < 1e9


def constant(name: str, value: Any) -> Any:
    tensor = onnx.numpy_helper.from_array(np.array(value, np.int64))
    return onnx.helper.make_node("Constant", [], [name], value=tensor)


def cast(name: str) -> list[Any]:
    """The output, and beside it whole numbers that nobody else asks for."""
    add, to = onnx.helper.make_node("Add", ["x_t", "low_res"], ["sum"]), onnx.TensorProto.FLOAT
    return [
        onnx.helper.make_node("Cast", [name], ["floats"], to=to),
        add,
        onnx.helper.make_node("Add", ["sum", "floats"], ["output"]),
    ]


DEADLY = {
    "overflow": lambda: [
        constant("a", [-(2**63)]),
        constant("b", [-1]),
        onnx.helper.make_node("Div", ["a", "b"], ["q"]),
        *cast("q"),
    ],
    "pad": lambda: [
        constant("pads", [0, 0, -(2**62), 0, 0, 0, -(2**62), 0]),
        onnx.helper.make_node("Pad", ["x_t", "pads"], ["output"], mode="reflect"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "backend"), [("overflow", "onnx"), ("overflow", "openvino"), ("pad", "openvino")]
)
def test_a_graph_that_kills_its_process(folder: Path, kind: str, backend: str) -> None:
    """Another one; and the next time again."""
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")

    def change(model: Any) -> None:
        del model.graph.node[:], model.graph.initializer[:]
        model.graph.node.extend(DEADLY[kind]())

    change_graph(folder, change)
    for _ in range(2):
        assert "kills the process that runs it" in refusal(folder, backend)


def test_what_did_well_once_is_not_tried_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_model(folder, backend="onnx")
    tried: list[Any] = []
    monkeypatch.setattr(
        "sr4.runtime.rehearsal.subprocess.run", lambda *words, **_: tried.append(words)
    )
    load_model(folder, backend="onnx")
    load_model("sr4-fast", backend="onnx")  # the package's own
    assert tried == []


def test_a_graph_without_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setattr(rehearsal, "_MOST_SECONDS", 0.001)
    assert "does not come to an end in 0 seconds" in refusal(folder)


# OpenVINO's own form


@pytest.fixture(scope="module")
def converted(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("openvino")
    from sr4.model.export import export_model

    folder = tmp_path_factory.mktemp("openvino") / "tiny"
    export_model(tiny_model, folder, format="openvino")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('type="Concat"', 'type="Loop"', "the operator 'Loop'"),
        ('type="Concat" version="opset1"', 'type="Concat" version="extension"', "'extension'"),
        ('offset="0"', 'offset="999999999"', "of weights"),
        ('offset="0"', 'offset="-8"', "the place '-8'"),
        ('<?xml version="1.0"?>', "<!DOCTYPE x [<!ENTITY a 'b'>]>", "a document type"),
        ("</net>", "", "no element found"),
    ],
)
def test_openvino_graphs_that_reach_further(
    converted: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    folder = Path(shutil.copytree(converted, tmp_path / "mine"))
    load_model(folder, backend="openvino")
    text = (folder / "model.xml").read_text(encoding="utf-8")
    assert old in text
    (folder / "model.xml").write_text(text.replace(old, new, 1), encoding="utf-8")
    seal(folder)
    assert said in refusal(folder, "openvino")


def test_openvino_weights_elsewhere(converted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(converted, tmp_path / "mine"))
    (folder / "model.bin").rename(tmp_path / "outside")
    (folder / "model.bin").symlink_to(tmp_path / "outside")
    assert "outside the folder" in refusal(folder, "openvino")
