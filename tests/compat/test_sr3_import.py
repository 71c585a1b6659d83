"""Model folders from checkpoints of the unofficial SR3 implementation: what becomes of the
weights and the settings, that sampling is the same, and that nothing unsound gets in.
"""

from __future__ import annotations

import copy
import json
import math
import os
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.compat.sr3_import import _without_comments, import_sr3
from sr4.config import ScheduleSettings
from sr4.diffusion.samplers import PictureNoise
from sr4.errors import MissingExtraError, ModelError, UsageError
from sr4.model.diffusion_model import DiffusionModel, load_model
from sr4.model.folder import read_config
from sr4.pictures.pixels import to_array

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402

Values = dict[str, Any]
LOW_RES = np.random.default_rng(0).uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32)


def log_snr_of(level: Any) -> Any:
    """log_snr of sqrt(gamma)."""
    return torch.log(level**2 / (1 - level**2)).float()


def changed(values: Values, path: str, value: Any) -> Values:
    """The configuration with one value changed, or removed where that is None."""
    values = copy.deepcopy(values)
    *parents, key = path.split(".")
    part = values
    for parent in parents:
        part = part[parent]
    if value is None:
        del part[key]
    else:
        part[key] = value
    return values


@pytest.fixture
def imported(their_model: Any, tmp_path: Path) -> DiffusionModel:
    import_sr3(their_model.checkpoint, their_model.configuration, tmp_path / "imported")
    return load_model(tmp_path / "imported")


@pytest.fixture
def refused(their_model: Any, tmp_path: Path) -> Callable[..., str]:
    """The one line with which an import fails, which leaves nothing behind."""

    def check(
        checkpoint: Path = their_model.checkpoint,
        configuration: Path = their_model.configuration,
        error: type[Exception] = ModelError,
    ) -> str:
        before = sorted(tmp_path.iterdir())
        with pytest.raises(error) as caught:
            import_sr3(checkpoint, configuration, tmp_path / "out")
        assert sorted(tmp_path.iterdir()) == before
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return check


def test_the_folder(their_model: Any, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    config = import_sr3(
        their_model.checkpoint,
        their_model.configuration,
        out,
        licence="CC BY 4.0",
        training_data=["my faces"],
    )
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert read_config(out) == config

    written = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert written["recipe"] == "sr3"
    assert (written["scale"], written["image_size"], written["size_multiple"]) == (4, 16, 2)
    network = {
        "kind": "sr3",
        "inner": 8,
        "multipliers": [1, 2],
        "groups": 4,
        "attention_resolutions": [8],
        "blocks": 1,
        "dropout": 0.2,
    }
    assert written["network"].items() >= network.items()
    schedule = {"kind": "linear", "steps": 10, "beta_start": 1e-4, "beta_end": 0.9}
    assert written["schedule"] == schedule
    objective = written["objective"]
    assert (objective["target"], objective["target_scale"]) == ("picture", 1)
    assert (objective["prediction"], objective["p"]) == ("eps", 1)
    assert (objective["variance"], objective["noise_level"]) == ("small", "batch")
    sampling = {"steps": 10, "sampler": "ddpm", "temperature": 1, "consistency": False}
    sampling |= {"detail": 1, "most_steps": 100_000}
    assert written["sampling"] == sampling
    assert (written["licence"], written["training_data"]) == ("CC BY 4.0", ["my faces"])
    assert "imported from I20_E3_gen.pth" in written["description"]


def test_terms_are_unknown_unless_given(imported: DiffusionModel) -> None:
    assert imported.config.licence == "unknown"
    assert imported.config.training_data == ()


@torch.no_grad()
def test_the_network_is_the_same(their_model: Any, imported: DiffusionModel) -> None:
    generator = torch.Generator().manual_seed(1)
    x_t, condition = torch.randn(2, 2, 3, 16, 24, generator=generator)
    expected = their_model.network(x_t, torch.full((2,), -0.7), condition)
    assert expected.std() > 0.3
    torch.testing.assert_close(imported.network(x_t, -0.7, condition), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_sampling_is_the_same(their_model: Any, imported: DiffusionModel) -> None:
    """Against the loop of that project in its own quantities: betas and their products, the
    posterior's two coefficients, its clipped log-variance, x_0 clipped, no noise in the last step.
    """
    betas = np.linspace(1e-4, 0.9, 10)
    gammas = np.cumprod(1 - betas)
    before = np.append(1.0, gammas[:-1])
    noise = PictureNoise([5], (3, 16, 16))
    condition = torch.from_numpy(imported.degradation.upsample(LOW_RES))
    x = torch.from_numpy(noise())
    for t in reversed(range(10)):
        level = torch.tensor([gammas[t] ** 0.5])
        eps = their_model.network(x, log_snr_of(level), condition)
        x_0 = (x / gammas[t] ** 0.5 - (1 / gammas[t] - 1) ** 0.5 * eps).clamp(-1, 1)
        of_x_0 = betas[t] * before[t] ** 0.5 / (1 - gammas[t])
        of_x_t = (1 - before[t]) * (1 - betas[t]) ** 0.5 / (1 - gammas[t])
        variance = max(betas[t] * (1 - before[t]) / (1 - gammas[t]), 1e-20)
        x = of_x_0 * x_0 + of_x_t * x
        if t > 0:
            x = x + variance**0.5 * torch.from_numpy(noise())
    result = imported.sample(LOW_RES, seeds=[5])
    assert result.std() > 0.3
    np.testing.assert_allclose(result, x.numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 3])
def test_fewer_steps_need_nothing_else(imported: DiffusionModel, steps: int) -> None:
    for sampler in ("ddpm", "ddim", "dpmpp"):
        result = imported.sample(LOW_RES, seeds=[0], steps=steps, sampler=sampler)
        assert result.shape == (1, 3, 16, 16)
        assert np.isfinite(result).all()


def test_the_condition_differs_by_rounding_alone(imported: DiffusionModel) -> None:
    """The original's condition is what Pillow makes of the low-res file, here without overshoot."""
    low_res = np.random.default_rng(3).integers(64, 192, (4, 4, 3), dtype=np.uint8)
    enlarged = np.asarray(Image.fromarray(low_res).resize((16, 16), Image.Resampling.BICUBIC))
    ours = imported.degradation.upsample(to_array(low_res))
    difference = ours - to_array(enlarged)
    assert 0.4 < abs(difference).max() * 127.5 <= 1
    assert difference.std() * 127.5 < 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1} // end', '{"a": 1} '),
        ('{// one\n"a": "http://x" // two "quoted"\n}', '{\n"a": "http://x" \n}'),
        ('["\\\\" // backslash\n]', '["\\\\" \n]'),
        ('["a\\"//b"]', '["a\\"//b"]'),
        ("//", ""),
        ('{"a": 1 / 2}', '{"a": 1 / 2}'),
        ('"a // b\n// c', '"a // b\n'),
    ],
)
def test_comments(text: str, expected: str) -> None:
    assert _without_comments(text) == expected


@pytest.fixture
def with_changes(their_model: Any, tmp_path: Path) -> Callable[[Mapping[str, Any]], Path]:
    """A configuration file with changes, by dotted key; None removes."""

    def write(changes: Mapping[str, Any]) -> Path:
        values = their_model.values
        for path, value in changes.items():
            values = changed(values, path, value)
        file = tmp_path / "changed.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        return file

    return write


VAL = "model.beta_schedule.val"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"datasets.train": None}, {"image_size": 16, "scale": 4}),
        ({"datasets.train.l_resolution": 8}, {"scale": 2}),
        # The attention stays at its level where pictures were larger than image_size.
        (
            {"datasets.train": {"l_resolution": 8, "r_resolution": 32}},
            {"image_size": 32, "attention_resolutions": (16,)},
        ),
        (
            {f"{VAL}.n_timestep": 20, f"{VAL}.linear_end": 0.4},
            {"schedule": ScheduleSettings(kind="linear", steps=20, beta_start=1e-4, beta_end=0.4)},
        ),
        (
            {VAL: {"schedule": "cosine", "n_timestep": 30}},
            {"schedule": ScheduleSettings(kind="cosine-table", steps=30)},
        ),
    ],
)
def test_settings_that_follow_the_configuration(
    their_model: Any,
    with_changes: Callable[[Mapping[str, Any]], Path],
    tmp_path: Path,
    changes: Values,
    expected: Values,
) -> None:
    config = import_sr3(their_model.checkpoint, with_changes(changes), tmp_path / "out")
    found = dict(config) | dict(config.network)
    assert {key: found[key] for key in expected} == expected
    assert config.sampling.steps == config.schedule.steps
    load_model(tmp_path / "out")


def test_norm_groups_are_32_where_unnamed(
    their_model: Any, with_changes: Callable[[Mapping[str, Any]], Path], refused: Any
) -> None:
    path = with_changes({"model.unet.norm_groups": None})
    assert "groups 32 for feature maps of 8 channels" in refused(
        configuration=path, error=UsageError
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model.which_model_G": "ddpm"},
            "'model.which_model_G': got 'ddpm'; input should be 'sr3'",
        ),
        ({"model.diffusion.conditional": False}, "'model.diffusion.conditional': got 'False'"),
        ({"model.diffusion.channels": 1}, "'model.diffusion.channels': got '1'"),
        ({"model.unet.in_channel": 3}, "'model.unet.in_channel': got '3'; input should be 6"),
        ({"model.unet.out_channel": 6}, "'model.unet.out_channel': got '6'; input should be 3"),
        ({f"{VAL}.schedule": "warmup10"}, "got 'warmup10'; input should be 'linear' or 'cosine'"),
        ({f"{VAL}.n_timestep": 0}, "'schedule.steps': got '0'"),
        ({f"{VAL}.linear_end": None}, "'schedule.beta_end': got 'None'"),
        ({VAL: None}, f"'{VAL}': is missing"),
        ({"model.unet": None}, "'model.unet': is missing"),
        ({"model.unet.attn_res": 16}, "'model.unet.attn_res': got '16'"),
        ({"model.unet.dropout": 1.5}, "'network.dropout': got '1.5'"),
        ({"model.unet.channel_multiplier": []}, "'network.multipliers'"),
        ({"datasets.train.l_resolution": 5}, "got l_resolution 5 and r_resolution 16"),
        ({"datasets.train.l_resolution": 0}, "'datasets.train.l_resolution': got '0'"),
        ({"datasets.train": None, "datasets.val": None}, "names no l_resolution"),
        # These fit no tensor.
        ({"model.unet.inner_channel": 16}, "expected (64, 16)"),
        ({"model.unet.channel_multiplier": [1, 3]}, "multipliers=(1, 3)"),
        (
            {"model.unet.channel_multiplier": [1, 10_000]},
            "'network.multipliers.1': got '10000'",
        ),  # 600 GB
        ({"model.unet.attn_res": []}, "got a tensor 'downs.3.attn.norm.weight'; expected none"),
        (
            {"model.beta_schedule.train.linear_end": 0.8},
            "the configuration says 10 noise levels up to gamma 0.002:",
        ),
        ({"model.beta_schedule.train.n_timestep": 20}, "the configuration says 20 noise levels"),
    ],
)
def test_configurations_that_do_not_fit(
    with_changes: Callable[[Mapping[str, Any]], Path], refused: Any, changes: Values, said: str
) -> None:
    assert said in refused(configuration=with_changes(changes))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "changed.json: cannot be read (Expecting property name"),
        (b"\xff\xfe\x00", "cannot be read ("),
        (b"[" * 100_000, "cannot be read ("),
        (b"3", "input should be a valid dictionary"),
        (None, "does not exist: did you mean"),
    ],
)
def test_files_that_are_no_configuration(
    refused: Any, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "changed.json"
    if content is None:
        (tmp_path / "change.json").touch()
    else:
        path.write_bytes(content)
    assert said in refused(configuration=path)
    assert "is a folder" in refused(configuration=tmp_path)


def lacking(tensors: Values) -> Values:
    return {
        name: tensor for name, tensor in tensors.items() if not name.endswith("1.attn.qkv.weight")
    }


def with_nan(tensors: Values) -> Values:
    first = next(iter(tensors))
    return tensors | {first: tensors[first] * float("nan")}


def grey(tensors: Values) -> Values:
    first = "denoise_fn.downs.0.weight"
    return tensors | {first: tensors[first][:, :2].clone()}


CHECKPOINTS: dict[str, tuple[Callable[[Values], Any], str]] = {
    "nested": (lambda tensors: {"epoch": 3, "state_dict": tensors}, "holds 'epoch', of type int"),
    "nested in one key": (lambda tensors: {"model": tensors}, "holds 'model', of type dict"),
    "a list": (lambda tensors: list(tensors.values()), "holds a list"),
    "a tensor": (lambda tensors: tensors["betas"], "holds a Tensor"),
    "nothing": (lambda tensors: {}, "got 0 tensors named 'downs.0.weight'"),
    "numbered": (lambda tensors: dict(enumerate(tensors.values())), "holds '0', of type Tensor"),
    "integers": (lambda tensors: tensors | {"betas": torch.arange(3)}, "holds 'betas'"),
    "without data": (
        lambda tensors: tensors | {"betas": torch.zeros(3, device="meta")},
        "holds 'betas'",
    ),
    "sparse": (lambda tensors: tensors | {"betas": torch.eye(3).to_sparse()}, "holds 'betas'"),
    "a tensor lacks": (lacking, "got no tensor 'ups.1.attn.qkv.weight'"),
    "one too many": (
        lambda tensors: tensors | {"denoise_fn.time_mlp.1.weight": torch.zeros(1)},
        "got a tensor 'time_mlp.1.weight'; expected none",
    ),
    "no numbers": (with_nan, "weights that are not finite"),
    "two channels": (grey, "takes 2 channels and gives 3; expected 6 and 3"),
    "an empty table": (
        lambda tensors: tensors | {"alphas_cumprod": torch.zeros(0)},
        "was trained with 0 noise levels",
    ),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints_of_something_else(
    their_model: Any, refused: Any, tmp_path: Path, kind: str
) -> None:
    make, said = CHECKPOINTS[kind]
    tensors = torch.load(their_model.checkpoint, weights_only=True)
    torch.save(make(dict(tensors)), tmp_path / "mine.pth")
    assert said in refused(tmp_path / "mine.pth")


@pytest.mark.parametrize("text", ['"' + '\\"' * 400_000, '"a' * 300_000, "[" * 900_000])
def test_a_configuration_that_takes_long_to_parse(refused: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text, encoding="utf-8")
    start = time.process_time()
    assert "cannot be read" in refused(configuration=path)
    assert time.process_time() - start < 5


def test_a_configuration_of_too_many_bytes(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(" " * 1_000_001, encoding="utf-8")
    assert "more than the 1,000,000 that sr4 reads" in refused(configuration=path)


@pytest.mark.parametrize("sides", [(10**4, 10**5), (10**6, 10**6)])
def test_a_tensor_that_stands_for_more_than_the_file(
    refused: Any, tmp_path: Path, sides: tuple[int, int]
) -> None:
    path = tmp_path / "mine.pth"
    torch.save({"alphas_cumprod": torch.zeros(1).as_strided(sides, (0, 0))}, path)
    assert f"{4 * math.prod(sides):,} bytes, more than the file" in refused(path)


def test_tensors_that_share_their_values(refused: Any, tmp_path: Path) -> None:
    path, values = tmp_path / "mine.pth", torch.zeros(1000)
    torch.save({f"t{number}": values for number in range(100)}, path)
    assert "400,000 bytes, more than the file" in refused(path)


def test_a_compressed_checkpoint(refused: Any, tmp_path: Path) -> None:
    """A third of a megabyte of one could hold a pickle of three hundred."""
    path, packed = tmp_path / "mine.pth", tmp_path / "packed.pth"
    torch.save({"t": torch.zeros(100_000)}, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert packed.stat().st_size < 10_000
    assert "is compressed" in refused(packed)


def test_the_state_of_the_optimiser(their_model: Any, refused: Any) -> None:
    line = refused(their_model.optimiser)
    assert "holds the state of an optimiser; expected the …_gen.pth" in line


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x80\x02}q\x00.", "half"])
def test_damaged_files(
    their_model: Any, refused: Any, tmp_path: Path, content: bytes | str
) -> None:
    whole = their_model.checkpoint.read_bytes()
    path = tmp_path / "mine.pth"
    path.write_bytes(content if isinstance(content, bytes) else whole[: len(whole) // 2])
    assert "mine.pth: is damaged, or holds more than tensors" in refused(path)


def test_a_checkpoint_that_is_not_there(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "I20_gen.pth").touch()
    assert "does not exist: did you mean" in refused(tmp_path / "I2_gen.pth")
    assert "is a folder" in refused(tmp_path)


class Malicious:
    """Writes a file wherever it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(
    their_model: Any, refused: Any, tmp_path: Path, zipped: bool
) -> None:
    tensors = torch.load(their_model.checkpoint, weights_only=True)
    trace, path = tmp_path / "trace", tmp_path / "mine.pth"
    tensors["denoise_fn.extra"] = Malicious(trace)
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    line = refused(path)
    assert "was not opened, since that could run code" in line
    assert "weights_only" not in line  # torch's advice to let it in
    assert not trace.exists()
    torch.load(path, weights_only=False)  # the test would see it run
    assert trace.exists()


def test_what_is_there_stays_unless_it_is_a_model(
    their_model: Any, with_changes: Callable[[Mapping[str, Any]], Path], tmp_path: Path
) -> None:
    files = their_model.checkpoint, their_model.configuration
    out = tmp_path / "out"
    import_sr3(*files, out)
    with pytest.raises(ModelError, match="exists already"):
        import_sr3(*files, out)
    import_sr3(*files, out, licence="mine", overwrite=True)
    assert read_config(out).licence == "mine"
    wrong = with_changes({"model.unet.inner_channel": 16})
    with pytest.raises(ModelError):
        import_sr3(their_model.checkpoint, wrong, out, overwrite=True)
    assert read_config(out).licence == "mine"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ModelError, match="is no model folder"):
        import_sr3(*files, tmp_path / "mine", overwrite=True)


def test_checkpoints_without_tables_and_with_another_prefix(
    their_model: Any, tmp_path: Path
) -> None:
    tensors = torch.load(their_model.checkpoint, weights_only=True)
    bare = {f"module.{name}": tensor for name, tensor in tensors.items() if "denoise" in name}
    torch.save(bare, tmp_path / "mine.pth", _use_new_zipfile_serialization=False)  # as before 1.6
    import_sr3(tmp_path / "mine.pth", their_model.configuration, tmp_path / "out")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    exact = their_model.network.state_dict()
    assert stored.keys() == exact.keys()
    assert all(torch.equal(stored[name], exact[name]) for name in exact)


def test_checkpoints_of_other_precision_and_of_parameters(their_model: Any, tmp_path: Path) -> None:
    tensors = torch.load(their_model.checkpoint, weights_only=True)
    mine = {name: torch.nn.Parameter(tensor.bfloat16()) for name, tensor in tensors.items()}
    torch.save(mine, tmp_path / "mine.pth")
    import_sr3(tmp_path / "mine.pth", their_model.configuration, tmp_path / "out")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    exact = their_model.network.state_dict()
    assert all(torch.equal(stored[name], exact[name].bfloat16().float()) for name in exact)


def test_without_torch(their_model: Any, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "[train]'" in refused(error=MissingExtraError)
