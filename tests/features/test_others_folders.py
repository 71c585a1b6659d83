"""No command touches a folder that sr4 did not make, whatever files of ours it has the names of, or
makes one of an address on a network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.cli.main import main
from tests.conftest import TheirModel

NAMES = ("config.yaml", "data.json", "config.json", "report.json", "results.json", "manifest.json")


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Eight pictures of 32x32."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        noise = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return str(folder)


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """What other programs keep by the names of our files, and of our leftovers."""
    folder = tmp_path / "project"
    (folder / "sub" / ".secrets.old").mkdir(parents=True)
    (folder / "sub" / ".secrets.old" / "key").write_text("key")
    (folder / "checkpoints" / "000000000016").mkdir(parents=True)
    (folder / "checkpoints" / "000000000016" / "weights").write_text("weeks")
    (folder / "model").mkdir()
    (folder / "model" / "model.onnx").write_text("weights")
    for name in (*NAMES, ".env.old", "data.tmp", ".lock", "metrics.jsonl", "ablation.tmp"):
        (folder / name).write_text('{"model": "of others", "data": 1, "tool": "another"}')
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


COMMANDS = {
    "train": "train sr4-fast --data {data} --out {out}",
    "distill": "distill sr4-fast --data {data} --out {out}",
    "ablate": "ablate --data {data} --test {data} --out {out}",
    "evaluate": "evaluate --model bicubic --data {data} --out {out}",
    "compare": "compare {data} {data} --out {out}",
    "bench": "bench --model sr4-fast:1 --backends onnx --quick --out {out}",
    "export": "export sr4-fast -o {out}",
    "prepare": "data prepare {data} {out} --size 16",
}
REPLACING = ("evaluate", "compare", "bench", "export", "prepare")


@pytest.mark.parametrize(
    ("command", "overwrite"),
    [(name, False) for name in COMMANDS] + [(name, True) for name in REPLACING],
)
def test_a_folder_of_others_is_refused_in_one_line(
    pictures: str,
    others: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    overwrite: bool,
) -> None:
    if command in ("train", "distill", "ablate", "export"):
        pytest.importorskip("torch")
    before = tree(others)
    words = COMMANDS[command].format(data=pictures, out=others).split()
    code = main([*words, *(["--overwrite"] if overwrite else [])])
    assert code in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sr4: error: ")
    assert str(others) in line
    assert tree(others) == before
    assert sorted(path.name for path in others.parent.iterdir()) == ["pictures", "project"]


MORE = {
    "import": "import {theirs.checkpoint} --config {theirs.configuration} -o {out} --licence none",
    "upscale": "upscale {data} -o {out} --model sr4-fast",
    "plot": "plot schedules -o {out}.png",
}


@pytest.mark.parametrize("command", [*COMMANDS, *MORE])
@pytest.mark.parametrize("scheme", ["https", "http", "s3", "gs", "hf"])
def test_an_address_is_no_place_to_write_to(
    pictures: str,
    their_model: TheirModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    scheme: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"{scheme}://example.org/mine"
    given = {"data": pictures, "theirs": their_model, "out": address}
    assert main((COMMANDS | MORE)[command].format(**given).split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sr4: error: got the output '{address}")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_an_ablation_is_no_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though both have a results.json; its runs may have taken weeks."""
    results = Path(__file__).parents[2] / "docs" / "results" / "tiny" / "results.json"
    folder = tmp_path / "ablation"
    (folder / "runs" / "sr4").mkdir(parents=True)
    (folder / "runs" / "sr4" / "weights").write_text("weeks")
    (folder / "results.json").write_bytes(results.read_bytes())
    before = tree(folder)
    words = COMMANDS["bench"].format(out=folder).split()
    assert main([*words, "--overwrite"]) == 2
    assert "holds no report of a benchmark" in capsys.readouterr().err
    assert tree(folder) == before
