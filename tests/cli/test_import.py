"""`sr4 import`, and what can be done with the folder that it makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr4.model.diffusion_model import load_model

torch = pytest.importorskip("torch")

Run = Callable[..., Any]

GOLDEN_CONFIGURATION = """{
    "datasets": { "val": { "l_resolution": 8, "r_resolution": 32 } }, // 8x8 -> 32x32
    "model": {
        "which_model_G": "sr3", // use the ddpm or sr3 network structure
        "unet": {
            "in_channel": 6, "out_channel": 3, "inner_channel": 32, "norm_groups": 16,
            "channel_multiplier": [ 1, 2, 2 ], "attn_res": [ 16 ], "res_blocks": 1, "dropout": 0
        },
        "beta_schedule": { // "train" and "val" are the same
            "train": {
                "schedule": "linear", "n_timestep": 2000, "linear_start": 1e-6, "linear_end": 1e-2
            },
            "val": {
                "schedule": "linear", "n_timestep": 2000, "linear_start": 1e-6, "linear_end": 1e-2
            }
        },
        "diffusion": { "image_size": 32, "channels": 3, "conditional": true }
    }
}"""


@torch.no_grad()
def test_golden_output(run: Run, shared: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    golden = load_file(shared / "golden" / "sr3_unofficial_unet_small.safetensors")
    tensors = {
        name.replace("model.", "denoise_fn.", 1): tensor.float()
        for name, tensor in golden.items()
        if name.startswith("model.")
    }
    betas = np.linspace(1e-6, 1e-2, 2000)
    gammas = np.cumprod(1 - betas)
    tables = {"betas": betas, "alphas_cumprod": gammas, "sqrt_alphas_cumprod": np.sqrt(gammas)}
    tensors |= {name: torch.tensor(table).float() for name, table in tables.items()}
    torch.save(tensors, tmp_path / "I640000_E37_gen.pth")
    (tmp_path / "golden.json").write_text(GOLDEN_CONFIGURATION, encoding="utf-8")

    out = tmp_path / "golden"
    words = ("import", tmp_path / "I640000_E37_gen.pth", "--config", tmp_path / "golden.json")
    done = run(*words, "-o", out)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("2000 steps of ddpm; terms of the weights: unknown\n")

    model = load_model(out)
    condition, noisy = golden["io.x"].float().chunk(2, dim=1)
    for level, low, x_t, expected in zip(
        golden["io.noise_level"].flatten().double(), condition, noisy, golden["io.y"], strict=True
    ):
        log_snr = float(torch.log(level**2 / (1 - level**2)))
        result = model.network(x_t[None], log_snr, low[None])
        torch.testing.assert_close(result[0], expected.float(), rtol=0, atol=1e-4)

    drawn = model.sample(model.degradation(condition.numpy()), seeds=[0, 1], steps=3)
    assert drawn.shape == (2, 3, 32, 32)
    assert 0.05 < drawn.std() < 1


@pytest.fixture
def words(their_model: Any, tmp_path: Path) -> list[Any]:
    """An import that works."""
    files = [their_model.checkpoint, "--config", their_model.configuration]
    return ["import", *files, "-o", tmp_path / "mine"]


def test_the_folder_works(run: Run, words: list[Any], face: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    done = run(*words, "--licence", "CC0", "--training-data", "a", "--training-data", "b", "--json")
    assert (done.code, done.err) == (0, "")
    config = json.loads((mine / "config.json").read_text(encoding="utf-8"))
    assert done.json == {"folder": str(mine)} | config
    assert (config["licence"], config["training_data"]) == ("CC0", ["a", "b"])

    info = run("info", mine).out
    assert "imported from I20_E3_gen.pth of the unofficial implementation" in info.splitlines()[0]
    assert "LICENCE OF THE WEIGHTS: CC0" in info
    assert "not stated" in next(line for line in info.splitlines() if "training pictures" in line)

    done = run("upscale", face, "-o", tmp_path / "out.png", "--model", mine, "--steps", 4, "--json")
    assert done.code == 0, done.err
    assert (tmp_path / "out.png").is_file()


def test_one_line_says_what_was_made(run: Run, words: list[Any], tmp_path: Path) -> None:
    done = run(*words)
    parameters = json.loads((tmp_path / "mine" / "config.json").read_text())["parameters"]
    assert done.out == (
        f"{tmp_path / 'mine'}  x4, {parameters / 1e6:.1f} M parameters, 10 steps of ddpm; terms of "
        "the weights: unknown\n"
    )
    assert str(tmp_path / "mine") in run(*words).errors[0]
    assert run(*words, "--overwrite").code == 0


def test_failures_are_one_line(
    run: Run, words: list[Any], their_model: Any, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.json"
    text = their_model.configuration.read_text(encoding="utf-8")
    wrong.write_text(text.replace('"conditional": true', '"conditional": false'), encoding="utf-8")
    cases = {
        "holds the state of an optimiser": {1: their_model.optimiser},
        "'model.diffusion.conditional': got 'False'": {3: wrong},
        "does not exist": {1: tmp_path / "nothing.pth"},
    }
    for said, changes in cases.items():
        done = run(*(changes.get(index, word) for index, word in enumerate(words)), "--json")
        assert done.code == 1
        (error,) = done.errors
        assert said in error
        assert done.json == {"error": error}
    done = run("import", their_model.checkpoint, "-o", tmp_path / "mine")
    assert done.code == 2
    assert "--config" in done.errors[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wrong.json"]
