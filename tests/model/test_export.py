"""Export: what the folder holds, and that nothing is lost when it fails."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sr4
from sr4.build import build_network
from sr4.config import (
    FastNetworkSettings,
    ModelConfig,
    ModelSettings,
    ObjectiveSettings,
    SR4NetworkSettings,
)
from sr4.degradation.known import Known
from sr4.errors import ModelError, UsageError
from sr4.files import whole
from sr4.model.diffusion_model import load_model
from sr4.model.folder import read_config, save_model
from sr4.runtime import GRAPH, IR, WEIGHTS

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from safetensors.torch import load_file, save_file  # noqa: E402

from sr4.model import export  # noqa: E402
from sr4.model.export import ExportReport, export_model  # noqa: E402
from sr4.runtime import graph as graph_module  # noqa: E402
from sr4.runtime.graph import export_onnx  # noqa: E402
from tests.conftest import largest_file  # noqa: E402

LOW_RES = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3, 5, 6)).astype(np.float32)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but the tracing, which takes seconds."""

    def pretend(network: Any, folder: Path, **options: Any) -> float:
        (folder / GRAPH).write_bytes(b"a graph")
        return 0.0

    monkeypatch.setattr(graph_module, "export_onnx", pretend)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder(tiny_model: Path, tiny_exported: Path) -> None:
    assert names(tiny_exported) == ["config.json", GRAPH, WEIGHTS]
    config, original = read_config(tiny_exported), read_config(tiny_model)
    assert set(config.sha256) == {GRAPH, WEIGHTS}
    assert config.model_copy(update={"sha256": {}}) == original.model_copy(update={"sha256": {}})

    stored, exact = (load_file(folder / WEIGHTS) for folder in (tiny_exported, tiny_model))
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert all(torch.equal(stored[name], exact[name].half()) for name in exact | stored)


def test_the_graph_holds_no_weights_and_no_paths(tiny_exported: Path) -> None:
    graph = onnx.load(str(tiny_exported / GRAPH), load_external_data=False).graph
    external = {item.name for item in graph.initializer if item.external_data}
    assert external == {f"{name}.stored" for name in load_file(tiny_exported / WEIGHTS)}
    assert {item.external_data[0].value for item in graph.initializer if item.external_data} == {
        WEIGHTS
    }
    assert sum(len(item.raw_data) for item in graph.initializer) < 5000

    data = (tiny_exported / GRAPH).read_bytes()
    assert len(data) < 50_000
    for path in (Path(sr4.__file__).parent, Path(torch.__file__).parent, tiny_exported.parent):
        assert str(path).encode() not in data


def test_another_size_of_result(tiny_exported: Path) -> None:
    assert load_model(tiny_exported).sample(LOW_RES, seeds=[0]).shape == (1, 3, 20, 24)


def test_weights_exchanged_after_the_export_are_noticed(
    tiny_exported: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_exported, tmp_path / "mine"))
    tensors = load_file(folder / WEIGHTS)
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"model\.safetensors: its checksum differs"):
        load_model(folder)


def test_openvino_on_a_full_disk_is_one_line(tiny_exported: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    folder = Path(shutil.copytree(tiny_exported, tmp_path / "mine"))
    with (
        largest_file(100),
        pytest.raises(ModelError, match="OpenVINO cannot write its files") as caught,
    ):
        export._convert_to_openvino(folder, "float16")
    assert "\n" not in str(caught.value)


def test_openvino_stores_weights_as_asked(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    for precision in export.PRECISIONS:
        export_model(tiny_model, tmp_path / precision, format="openvino", precision=precision)
    half, full = ((tmp_path / one / "model.bin").stat().st_size for one in export.PRECISIONS)
    assert full == pytest.approx(2 * half, rel=0.05)


def test_openvino_files(tiny_exported: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    folder = Path(shutil.copytree(tiny_exported, tmp_path / "mine"))
    export._convert_to_openvino(folder, "float16")
    assert names(folder) == ["config.json", "model.bin", GRAPH, WEIGHTS, IR]
    expected = load_model(tiny_exported).sample(LOW_RES, seeds=[0])
    got = load_model(folder, backend="openvino").sample(LOW_RES, seeds=[0])
    np.testing.assert_allclose(got, expected, atol=0.1)
    assert str(tmp_path).encode() not in (folder / IR).read_bytes()


@pytest.mark.usefixtures("quick")
def test_precision_card_and_report(tiny_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_model, tmp_path / "source"))
    (source / "README.md").write_text("# The card", encoding="utf-8")
    report = export_model(source, tmp_path / "deep" / "out", precision="float32")
    out = tmp_path / "deep" / "out"
    assert names(out) == ["README.md", "config.json", GRAPH, WEIGHTS]
    assert (out / WEIGHTS).read_bytes() == (source / WEIGHTS).read_bytes()
    size = sum(path.stat().st_size for path in out.iterdir())
    assert report == ExportReport(out, 0.0, size)
    assert names(out.parent) == ["out"]


@pytest.mark.usefixtures("quick")
def test_what_exists_is_kept_unless_it_is_a_model(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export_model(tiny_model, out)  # an empty folder is as good as none
    with pytest.raises(ModelError, match="exists already; expected a new folder"):
        export_model(tiny_model, out)
    (out / "old").touch()
    export_model(tiny_model, out, overwrite=True)
    assert names(out) == ["config.json", GRAPH, WEIGHTS]

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (mine, tmp_path / "file", tmp_path / "link", Path("/")):
        with pytest.raises(ModelError, match="exists already"):
            export_model(tiny_model, path)
        with pytest.raises(ModelError, match="is no model folder; expected one to replace"):
            export_model(tiny_model, path, overwrite=True)
    assert names(mine) == ["thesis.tex"]
    assert names(tmp_path) == ["file", "link", "mine", "out"]


@pytest.mark.usefixtures("quick")
def test_a_model_can_be_exported_onto_itself(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model, tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    export_model(".", Path("."), overwrite=True)
    assert names(tmp_path / "mine") == ["config.json", GRAPH, WEIGHTS]
    assert names(tmp_path) == ["mine"]


def test_a_failure_leaves_what_was_there(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> float:
        raise ModelError("the graph is wrong")

    monkeypatch.setattr(graph_module, "export_onnx", fail)
    old = Path(shutil.copytree(tiny_model, tmp_path / "old"))
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    for out in (old, tmp_path / "new"):
        with pytest.raises(ModelError, match="the graph is wrong"):
            export_model(tiny_model, out, overwrite=True)
    assert names(tmp_path) == ["old"]
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before


@pytest.mark.usefixtures("quick")
def test_a_swap_that_fails_is_undone(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Path(shutil.copytree(tiny_model, tmp_path / "old"))

    def fail(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole, "_rename", fail)
    with pytest.raises(ModelError, match="cannot be written"):
        export_model(tiny_model, old, overwrite=True)
    assert names(tmp_path) == ["old"]
    assert names(old) == ["config.json", WEIGHTS]


@pytest.mark.usefixtures("quick")
def test_a_place_that_cannot_be_written(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="cannot be written") as caught:
        export_model(tiny_model, tmp_path / "file" / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "float61"}, "did you mean 'float16'?"),
        ({"format": "onxx"}, "did you mean 'onnx'?"),
    ],
)
def test_unknown_options(
    tiny_model: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        export_model(tiny_model, tmp_path / "out", **options)
    assert said in str(caught.value)
    assert names(tmp_path) == []


def test_weights_beyond_float16(tiny_model: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_model, tmp_path / "source"))
    tensors = load_file(source / WEIGHTS)
    tensors["conv_in.bias"][0] = 70_000
    save_file(tensors, source / WEIGHTS)
    with pytest.raises(ModelError, match="its checksum differs"):
        export_model(source, tmp_path / "out")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (source / "config.json").write_text(json.dumps(config | {"sha256": {}}), encoding="utf-8")
    with pytest.raises(ModelError, match="weights beyond the range of float16"):
        export_model(source, tmp_path / "out")
    assert names(tmp_path) == ["source"]


def test_a_graph_that_differs_from_torch_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch import nn

    class Linear(nn.Module):
        """The smallest thing that exports: one weight a channel."""

        size_multiple = 2

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.full((3, 1, 1), 0.5))

        def forward(self, x_t: Any, log_snr: Any, low_res: Any) -> Any:
            return self.weight * (x_t + low_res) + log_snr[:, None, None, None]

    network = Linear()
    traced = graph_module._trace(network, 3, 8)
    monkeypatch.setattr(graph_module, "_trace", lambda *call: copy.deepcopy(traced))
    save_file(network.state_dict(), tmp_path / WEIGHTS)
    assert export_onnx(network, tmp_path, channels=3, size=8) < 1e-5
    assert names(tmp_path) == [GRAPH, WEIGHTS]

    save_file({"weight": network.weight + 0.01}, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match=r"graph differs from torch by 0\.0"):
        export_onnx(network, tmp_path, channels=3, size=8)
    assert names(tmp_path) == [WEIGHTS]
    export_onnx(network, tmp_path, channels=3, size=8, tolerance=0.2)

    monkeypatch.setattr(graph_module, "_difference", lambda *call: float("nan"))
    with pytest.raises(ModelError, match="differs from torch by nan"):
        export_onnx(network, tmp_path, channels=3, size=8)
    assert names(tmp_path) == [WEIGHTS]


def test_a_network_of_the_paper_becomes_plain_onnx(tmp_path: Path) -> None:
    """Also where gradients are on, and its normalisation is an autograd function of its own."""
    network = build_network(
        ModelSettings(
            recipe="sr4",
            image_size=16,
            network=SR4NetworkSettings(
                inner=8,
                multipliers=(1, 2),
                groups=4,
                attention_resolutions=(8,),
                heads=2,
                blocks=1,
                path_resolution=8,
            ),
        )
    ).train()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # the low-res path, too
    save_file(network.state_dict(), tmp_path / WEIGHTS)
    assert export_onnx(network, tmp_path, channels=3, size=16) < 1e-4
    model = onnx.load(str(tmp_path / GRAPH), load_external_data=False)
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}
    assert "Dropout" not in {node.op_type for node in model.graph.node}


def test_a_network_that_is_told_more_and_says_more(tmp_path: Path) -> None:
    """The graph takes what is known, and gives a sample and the mean, on every runtime alike."""
    settings = FastNetworkSettings(
        patch=2,
        widths=(16, 32),
        blocks=(1, 1),
        attention=False,
        degradation_aware=True,
        mean_output=True,
    )
    objective = ObjectiveSettings(prediction="v")
    model = ModelSettings(recipe="x", image_size=16, network=settings, objective=objective)
    network = build_network(model)
    torch.manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    config = ModelConfig(**dict(model), scale=8, size_multiple=4)
    save_model(tmp_path / "told", config, network.state_dict())
    report = export_model(tmp_path / "told", tmp_path / "exported")
    assert report.difference < 1e-3
    low_res = np.random.default_rng(0).uniform(-0.5, 0.5, (9, 3, 2, 2)).astype(np.float32)
    known = [Known(noise=float(number), quality=50.0) for number in range(9)]
    pictures = {}
    for backend in ("torch", "onnx", "openvino"):
        opened = load_model(tmp_path / "exported", backend=backend)
        pictures[backend] = opened.sample(
            low_res, seeds=[0] * 9, steps=1, detail=0.5, known=known, consistency=False
        )
        other = opened.sample(low_res, seeds=[0] * 9, steps=1, detail=0.5, consistency=False)
        assert np.abs(other - pictures[backend]).max() > 1e-3
    np.testing.assert_allclose(pictures["onnx"], pictures["torch"], atol=1e-3)
    np.testing.assert_allclose(pictures["openvino"], pictures["torch"], atol=0.05)  # bfloat16
