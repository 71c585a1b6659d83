"""The benchmarks run, and compare like with like."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from sr4.build import build_network  # noqa: E402
from sr4.config.overrides import override  # noqa: E402
from sr4.errors import SR4Error  # noqa: E402
from sr4.networks.fused import Dropout, GroupNormSiLU  # noqa: E402
from sr4.recipes import recipe  # noqa: E402
from sr4.recipes.sizes import at_size  # noqa: E402

TRAIN_STEP = Path(__file__).resolve().parents[2] / "benchmarks" / "train_step.py"
SYSTEMS = ("float32", "autocast", "sr4")


@pytest.fixture(scope="module")
def train_step() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_step", TRAIN_STEP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    options = "--recipe cosine --size tiny --batch 2 --steps 1 --threads 1 --json"
    command = [sys.executable, str(TRAIN_STEP), *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warm-up 2 of 2: float32 " in done.stderr
    return json.loads(done.stdout)


def test_the_figures_fit_each_other(figures: dict[str, Any]) -> None:
    assert (figures["recipe"], figures["image_size"], figures["batch_size"]) == ("cosine", 64, 2)
    assert (figures["threads"], figures["steps"]) == (1, 1)
    # Two pictures of 1.4 GFLOPs, forward and twice that backward.
    assert figures["gflops_per_step"] == pytest.approx(3 * 2 * 1.4, rel=0.05)
    assert tuple(figures["systems"]) == SYSTEMS
    peak = figures["peak"]
    assert peak["gflops_per_second"] == max(peak["all"].values())
    for row in figures["systems"].values():
        seconds = row["seconds"]
        assert 0 < seconds["low"] <= seconds["median"] <= seconds["high"]
        assert row["samples_per_second"] == pytest.approx(2 / seconds["median"])
        speed = figures["gflops_per_step"] / seconds["median"]
        assert row["gflops_per_second"] == pytest.approx(speed)
        assert row["share_of_peak"] == pytest.approx(speed / peak["gflops_per_second"])
        plain = figures["systems"]["float32"]
        assert row["ratio"] == pytest.approx(
            row["samples_per_second"] / plain["samples_per_second"]
        )


def test_the_losses_agree(figures: dict[str, Any]) -> None:
    """Those of the plain systems up to rounding, as they share torch's dropout."""
    plain, autocast, ours = (figures["systems"][system]["losses"] for system in SYSTEMS)
    assert len(plain) == 3
    assert autocast == pytest.approx(plain, rel=1e-3)
    assert ours == pytest.approx(plain, rel=0.01)


def test_without_dropout_all_systems_train_alike(train_step: ModuleType) -> None:
    """Another seed would give losses that differ by some per cent."""
    changes = {
        "model": {"network": {"dropout": 0.0}},
        "training": {"batch_size": 2, "precision": "float32"},
    }
    settings = override(at_size(recipe("sr4"), "tiny"), changes)
    steps = {name: start(settings) for name, (_, start) in train_step.SYSTEMS.items()}
    batches = [train_step.random_batch(settings, position) for position in (0, 2, 4)]
    losses = {name: [float(step(batch)) for batch in batches] for name, step in steps.items()}
    assert losses["sr4"] == pytest.approx(losses["float32"], rel=1e-5)
    assert losses["autocast"] == pytest.approx(losses["float32"], rel=1e-3)
    assert losses["autocast"] != pytest.approx(losses["float32"], rel=1e-6)


def test_the_network_in_torch_is_the_same(train_step: ModuleType) -> None:
    settings = at_size(recipe("sr4"), "tiny")
    torch.manual_seed(0)
    ours = build_network(settings.model).eval()
    torch.manual_seed(0)
    theirs = train_step.InTorch(build_network(settings.model)).eval()
    inputs = (torch.randn(2, 3, 64, 64), torch.tensor([-1.0, 2.0]), torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(theirs(*inputs), ours(*inputs))
    kinds = {type(module) for module in theirs.modules()}
    assert not kinds & {GroupNormSiLU, Dropout}
    assert {torch.nn.GroupNorm, torch.nn.SiLU, torch.nn.Dropout} <= kinds
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())


def test_the_table_says_what_the_figures_say(
    train_step: ModuleType, figures: dict[str, Any]
) -> None:
    text = train_step.table(figures)
    assert text.splitlines()[0].startswith("cosine: 64x64 pictures, 6.1 M parameters, batch 2, ")
    ours = next(line for line in text.splitlines() if line.startswith("sr4 train"))
    assert f"{figures['systems']['sr4']['ratio']:.2f}" in ours
    assert figures["peak"]["convolution"] in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--recipe sr5", "unknown recipe 'sr5': did you mean"),
        ("--recipe sr4-fast --size tiny", "--size full"),
    ],
)
def test_wrong_usage_is_one_line(
    train_step: ModuleType, capsys: pytest.CaptureFixture[str], options: str, words: str
) -> None:
    assert train_step.main(options.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert words in said.err


def test_impossible_counts_are_refused(
    train_step: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        train_step.main(["--steps", "0"])
    assert end.value.code == 2
    assert "got 0; expected at least 1" in capsys.readouterr().err


def test_a_dead_process_is_named(train_step: ModuleType) -> None:
    job: Future[tuple[float, float]] = Future()
    job.set_exception(BrokenProcessPool())
    with pytest.raises(SR4Error, match=r"^the process of 'autocast' has died; .* --batch"):
        train_step._result(job, "autocast")


def test_the_estimates_are_measured_on_generated_cases() -> None:
    pytest.importorskip("skimage")
    script = TRAIN_STEP.with_name("estimates.py")
    command = [sys.executable, str(script), "--cases", "6", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cases"] == 6
    assert 0 <= found["noise: mean error, levels"] < 3
    assert found["jpeg: recognised"] >= 0.5
    assert found["jpeg: seen where there is none"] == 0


def test_the_parts_of_an_upscaled_picture_add_up(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    script = TRAIN_STEP.with_name("upscale.py")
    options = ["--backend", "onnx", "--repeats", "1", "--json"]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "picture.png"), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["width"], found["height"]) == (128, 160)
    parts = found["parts"]
    for kind in ("wall", "cpu"):
        total = sum(seconds[kind] for part, seconds in parts.items() if part != "all")
        assert total == pytest.approx(parts["all"][kind])
        assert all(seconds[kind] >= 0 for seconds in parts.values())
    for part in ("network", "fit", "noise", "writing"):
        assert parts[part]["wall"] > 0
