"""Sampling with networks whose right result is known, and model folders good and bad."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr4.config import (
    SAMPLERS,
    DegradationSettings,
    FastNetworkSettings,
    ModelConfig,
    ObjectiveSettings,
    SamplingSettings,
    ScheduleSettings,
)
from sr4.degradation import Degradation
from sr4.degradation.known import CLEAN, Known
from sr4.diffusion.samplers import PictureNoise, Step
from sr4.diffusion.schedules import alpha_sigma
from sr4.diffusion.targets import Target
from sr4.errors import ModelError, SR4Error, UsageError
from sr4.model import folder as model_module
from sr4.model.diffusion_model import DiffusionModel, load_model
from sr4.model.folder import find_model, read_config, save_model, write_config
from sr4.upscaling.pipeline import Pipeline

Call = tuple[np.ndarray, float, np.ndarray]


class Recorder:
    """A network that answers with a formula and keeps what it was asked."""

    name = "recorder"
    told = "made up, float32"
    is_for_one = False

    def __init__(self, formula: Callable[[np.ndarray, float], np.ndarray] | None = None) -> None:
        self.formula = formula or (lambda x_t, log_snr: np.zeros_like(x_t))
        self.calls: list[Call] = []

    def __call__(
        self, x_t: np.ndarray, log_snr: float, upsampled: np.ndarray, known: Any = None
    ) -> np.ndarray:
        assert known is None
        self.calls.append((x_t, log_snr, upsampled))
        return self.formula(x_t, log_snr)

    def native(self, array: np.ndarray) -> np.ndarray:
        return array

    def numpy(self, array: np.ndarray) -> np.ndarray:
        return array


def make_config(scale: int = 4, size_multiple: int = 8, **changes: Any) -> ModelConfig:
    return ModelConfig(
        recipe="test",
        network=FastNetworkSettings(),
        degradation=DegradationSettings(scale=scale),
        scale=scale,
        size_multiple=size_multiple,
        **changes,
    )


def smooth(size: int, seed: int = 0, batch: int = 1) -> np.ndarray:
    """Smooth pictures well inside [-1, 1], float32."""
    coarse = np.random.default_rng(seed).uniform(-0.6, 0.6, (batch, 3, size // 4, size // 4))
    return Degradation(4).upsample(coarse).astype(np.float32)


def line(caught: pytest.ExceptionInfo[SR4Error]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


# Sampling


@pytest.mark.parametrize(
    ("target", "prediction", "sampler"),
    list(
        product(
            ("picture", "residual", "fitted-residual", "null-space"), ("x0", "eps", "v"), SAMPLERS
        )
    ),
)
def test_a_perfect_network_gives_the_truth(target: str, prediction: str, sampler: str) -> None:
    truth = smooth(32, batch=2)
    degradation = Degradation(4)
    low_res = degradation(truth)
    x_0 = Target(target, degradation, 0.5).frame(low_res).encode(truth)

    def perfect(x_t: np.ndarray, log_snr: float) -> np.ndarray:
        alpha, sigma = (np.float32(value) for value in alpha_sigma(np.float64(log_snr)))
        eps = (x_t - alpha * x_0) / sigma
        return {"x0": x_0, "eps": eps, "v": alpha * eps - sigma * x_0}[prediction]

    objective = ObjectiveSettings(target=target, target_scale=0.5, prediction=prediction)
    model = DiffusionModel(make_config(objective=objective), Recorder(perfect), "perfect")
    result = model.sample(low_res, seeds=[1, 2], steps=5, sampler=sampler)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, truth, atol=2e-4)


def test_a_learned_variance_is_split_off_and_used() -> None:
    """The second half of the channels goes to the sampler: -1 is the small variance, 1 large."""
    low_res = smooth(8)

    def second_state(variance_output: float, variance: str) -> np.ndarray:
        def formula(x_t: np.ndarray, log_snr: float) -> np.ndarray:
            return np.concatenate([0 * x_t, 0 * x_t + np.float32(variance_output)], axis=1)

        network = Recorder(formula if variance == "learned" else None)
        config = make_config(
            objective=ObjectiveSettings(prediction="x0"),
            schedule=ScheduleSettings(kind="linear"),
        )
        objective = config.objective.model_copy(update={"variance": variance})
        config = config.model_copy(update={"objective": objective})
        DiffusionModel(config, network, "x").sample(
            low_res, seeds=[0], steps=3, sampler="ddpm", consistency=False
        )
        return network.calls[1][0]

    small, large = second_state(0, "small"), second_state(0, "large")
    assert np.abs(small - large).max() > 1e-3
    np.testing.assert_allclose(second_state(-1, "learned"), small, atol=1e-5)
    np.testing.assert_allclose(second_state(1, "learned"), large, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (5, 7)])
def test_without_consistency_the_result_is_what_the_network_says(shape: tuple[int, int]) -> None:
    network = Recorder(lambda x_t, log_snr: np.full_like(x_t, 0.5))
    config = make_config(objective=ObjectiveSettings(prediction="x0"))
    model = DiffusionModel(config, network, "half")
    low_res = np.zeros((1, 3, *shape), np.float32)
    free = model.sample(low_res, seeds=[0], steps=2, consistency=False)
    np.testing.assert_allclose(free, 0.5, atol=1e-6)
    bound = model.sample(low_res, seeds=[0], steps=2)
    np.testing.assert_allclose(model.degradation(bound), 0, atol=1e-5)


def test_all_steps_but_the_last_are_kept_to_what_fits() -> None:
    """The last is the network's word alone, from which the result is made to fit."""
    network = Recorder(lambda x_t, log_snr: np.full_like(x_t, 0.5))
    config = make_config(objective=ObjectiveSettings(prediction="x0"))
    model, seen = DiffusionModel(config, network, "half"), list[Step]()
    low_res = np.zeros((1, 3, 8, 8), np.float32)
    result = model.sample(low_res, seeds=[0], steps=3, on_step=seen.append)
    frame = model.frame(low_res)
    *before, last = [model.degradation(frame.decode(step.x_0)) for step in seen]
    np.testing.assert_allclose(before, 0, atol=1e-5)
    np.testing.assert_allclose(last, 0.5, atol=1e-5)
    np.testing.assert_allclose(model.degradation(result), 0, atol=1e-5)


@pytest.mark.parametrize("target", ["residual", "fitted-residual", "picture"])
def test_the_last_step_is_what_the_network_says_to_the_last_bit(target: str) -> None:
    """It is neither decoded nor encoded before the result is made of it, which clips it."""
    network = Recorder(lambda x_t, log_snr: np.full_like(x_t, 7.3))
    config = make_config(objective=ObjectiveSettings(prediction="x0", target=target))
    model, seen = DiffusionModel(config, network, "large"), list[Step]()
    low_res = smooth(8)
    result = model.sample(low_res, seeds=[0], steps=2, consistency=False, on_step=seen.append)
    np.testing.assert_array_equal(seen[-1].x, np.full_like(seen[-1].x, 7.3))
    np.testing.assert_array_equal(result, np.clip(model.frame(low_res).decode(seen[-1].x), -1, 1))


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    scale=st.sampled_from([1, 2, 3, 8]),
    multiple=st.sampled_from([1, 4, 6]),
)
def test_any_size_is_padded_for_the_network_and_cropped(
    height: int, width: int, scale: int, multiple: int
) -> None:
    network = Recorder()
    model = DiffusionModel(make_config(scale, multiple), network, "x")
    low_res = np.random.default_rng(height).uniform(-0.5, 0.5, (1, 3, height, width))
    result = model.sample(low_res.astype(np.float32), seeds=[0], steps=1)
    assert result.shape == (1, 3, height * scale, width * scale)
    ((x_t, _, upsampled),) = network.calls
    assert x_t.shape == upsampled.shape
    for seen, wanted in zip(x_t.shape[2:], result.shape[2:], strict=True):
        assert seen % multiple == 0
        assert seen % scale == 0
        assert 0 <= seen - wanted < multiple * scale
    below, right = (np.array(x_t.shape[2:]) // scale - (height, width)).tolist()
    padded = np.pad(low_res, ((0, 0), (0, 0), (0, below), (0, right)), mode="symmetric")
    np.testing.assert_allclose(upsampled, model.degradation.upsample(padded), atol=1e-6)


@pytest.mark.parametrize("size", [8, 7])
def test_the_noise_of_a_picture_is_that_of_its_seed_bit_for_bit(size: int) -> None:
    low_res = np.zeros((3, 3, size, size), np.float32)
    together, alone = Recorder(), Recorder()
    config = make_config(sampling=SamplingSettings(temperature=0.5))
    DiffusionModel(config, together, "x").sample(low_res, seeds=[5, 6, 7], steps=3, sampler="ddpm")
    DiffusionModel(config, alone, "x").sample(low_res[:1], seeds=[6], steps=3, sampler="ddpm")
    first = together.calls[0][0]
    noise = PictureNoise([5, 6, 7], (3, 32, 32))()  # of the padded size
    np.testing.assert_array_equal(first, noise * np.float32(0.5))
    np.testing.assert_array_equal(first[1:2], alone.calls[0][0])
    for (x_many, level, _), (x_one, level_one, _) in zip(together.calls, alone.calls, strict=True):
        assert level == level_one
        np.testing.assert_allclose(x_many[1:2], x_one, atol=1e-5)


def test_no_noise_is_drawn_to_be_multiplied_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network, drawn = Recorder(), list[int]()
    rows = PictureNoise.rows

    def counted(noise: PictureNoise, draw: int, start: int, stop: int) -> np.ndarray:
        drawn.append(draw)
        return rows(noise, draw, start, stop)

    monkeypatch.setattr(PictureNoise, "rows", counted)
    config = make_config(sampling=SamplingSettings(temperature=0.0))
    model = DiffusionModel(config, network, "x")
    model.sample(smooth(8), seeds=[0], steps=3, sampler="ddpm")
    assert drawn == [1, 2]  # those of the steps are the same as ever
    assert not network.calls[0][0].any()


@pytest.mark.parametrize("target", ["residual", "fitted-residual"])
def test_the_bicubic_picture_is_made_once(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network sees what the target is added to, unless it is to see something else."""
    config = make_config(objective=ObjectiveSettings(target=target))
    model, made = DiffusionModel(config, Recorder(), "x"), list[np.ndarray]()
    upsample = Degradation.upsample

    def counted(degradation: Degradation, y: np.ndarray) -> np.ndarray:
        made.append(y)
        return upsample(degradation, y)

    low_res, other = smooth(8), smooth(8, seed=1)
    monkeypatch.setattr(Degradation, "upsample", counted)
    alone = model.sample(low_res, seeds=[0], steps=2)
    assert len(made) == 1
    np.testing.assert_array_equal(
        model.sample(low_res, seeds=[0], steps=2, condition=low_res.copy()), alone
    )
    made.clear()
    model.sample(low_res, seeds=[0], steps=2, condition=other)
    assert [np.array_equal(one, low_res) for one in made] == [False, True]


def test_a_picture_alone_and_in_a_batch_gets_the_same_result(tiny_exported: Path) -> None:
    model = load_model(tiny_exported)
    low_res = Degradation(4)(smooth(48, batch=3))
    together = model.sample(low_res, seeds=[1, 2, 3])
    alone = model.sample(low_res[1:2], seeds=[2])
    np.testing.assert_allclose(together[1:2], alone, atol=1e-4)
    assert np.abs(together[0] - model.sample(low_res[:1], seeds=[9])[0]).max() > 0.1


def test_on_step_sees_every_step_and_can_cancel() -> None:
    model = DiffusionModel(make_config(), Recorder(), "x")
    low_res = np.zeros((2, 3, 5, 5), np.float32)
    seen: list[Step] = []
    model.sample(low_res, seeds=[0, 1], steps=3, on_step=seen.append)
    assert [(step.number, step.total, step.x.shape) for step in seen] == [
        (number, 3, (2, 3, 24, 24)) for number in (1, 2, 3)
    ]

    def cancel(step: Step) -> None:
        raise KeyboardInterrupt

    network = Recorder()
    with pytest.raises(KeyboardInterrupt):
        DiffusionModel(make_config(), network, "x").sample(
            low_res, seeds=[0, 1], steps=3, on_step=cancel
        )
    assert len(network.calls) == 1


@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_the_detail_lies_on_the_line_from_the_mean_to_a_sample(prediction: str) -> None:
    mean, texture = smooth(32), 0.1 * np.sign(smooth(32, seed=1))

    def both(x_t: np.ndarray, log_snr: float) -> np.ndarray:
        alpha, sigma = (np.float32(value) for value in alpha_sigma(np.float64(log_snr)))
        x_0s = (mean + texture, mean)
        outputs = {"x0": x_0s, "v": [(alpha * x_t - x_0) / sigma for x_0 in x_0s]}[prediction]
        return np.concatenate(outputs, axis=1).astype(np.float32)

    config = make_config(
        objective=ObjectiveSettings(prediction=prediction),
        sampling=SamplingSettings(steps=1, sampler="ddim", consistency=False),
    )
    network = config.network.model_copy(update={"mean_output": True})
    model = DiffusionModel(config.model_copy(update={"network": network}), Recorder(both), "x")
    low_res = np.zeros((1, 3, 8, 8), np.float32)
    for detail in (0.0, 0.3, 1.0):
        found = model.sample(low_res, seeds=[0], detail=detail)
        np.testing.assert_allclose(found, mean + detail * texture, atol=1e-5)
    np.testing.assert_array_equal(found, model.sample(low_res, seeds=[0]))
    for detail in (-0.1, 1.1):
        with pytest.raises(UsageError, match="setting 'detail'"):
            model.sampling(detail=detail)


def test_a_model_that_knows_the_mean_draws_it_without_noise_in_one_step() -> None:
    network = Recorder()
    config = make_config(objective=ObjectiveSettings(mean_share=0.2))
    model = DiffusionModel(config, network, "x")
    model.sample(smooth(8), seeds=[3], steps=7, detail=0.0)
    ((x_t, log_snr, _),) = network.calls
    assert not x_t.any()
    assert log_snr == model.schedule.log_snr(np.array([1.0]))[0]
    with pytest.raises(UsageError, match=r"got a detail of 0\.5 for the model 'x', which makes"):
        model.sampling(detail=0.5)


def test_a_model_of_samples_alone_has_no_other_detail() -> None:
    model = DiffusionModel(make_config(), Recorder(), "x")
    assert model.sampling(detail=1.0).detail == 1
    with pytest.raises(UsageError, match=r"which makes samples only; expected 1"):
        model.sampling(detail=0.0)
    with pytest.raises(UsageError, match=r"^got a detail of 0\.5 for the model"):
        model.sampling(detail=0.5)


def test_no_more_steps_are_taken_than_help() -> None:
    own = SamplingSettings(steps=1, most_steps=2)
    model = DiffusionModel(make_config(sampling=own), Recorder(), "x")
    assert [model.sampling(steps).steps for steps in (None, 1, 2)] == [1, 1, 2]
    said = "^got 4 steps for x, which was distilled to 2 and gets no better by more: 2 are taken"
    with pytest.warns(UserWarning, match=said):
        assert model.sampling(4).steps == 2


def test_a_network_is_told_what_is_known() -> None:
    told: list[np.ndarray] = []

    class Told(Recorder):
        def __call__(
            self, x_t: np.ndarray, log_snr: float, upsampled: np.ndarray, known: Any = None
        ) -> np.ndarray:
            told.extend([] if known is None else [known])
            return np.zeros_like(x_t)

    config = make_config(sampling=SamplingSettings(steps=1))
    low_res, known = smooth(8, batch=2), [Known(noise=4.0), Known(quality=50.0)]
    DiffusionModel(config, Told(), "x").sample(low_res, seeds=[0, 1], known=known)
    assert told == []
    network = config.network.model_copy(update={"degradation_aware": True})
    model = DiffusionModel(config.model_copy(update={"network": network}), Told(), "x")
    model.sample(low_res, seeds=[0, 1], known=known)
    np.testing.assert_array_equal(told.pop(), [one.vector() for one in known])
    model.sample(low_res, seeds=[0, 1])  # clean pictures, if nothing is said
    np.testing.assert_array_equal(told.pop(), [CLEAN.vector()] * 2)


def test_settings_of_a_call_replace_those_of_the_model() -> None:
    own = SamplingSettings(steps=7, sampler="dpmpp", temperature=0.5)
    model = DiffusionModel(make_config(sampling=own), Recorder(), "x")
    assert model.sampling() == own
    assert model.sampling(3) == SamplingSettings(steps=3, sampler="dpmpp", temperature=0.5)
    assert model.sampling(sampler="ddim").sampler == "ddim"
    assert (model.sampling().steps, model.sampling(3).steps) == (7, 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sampler": "dmpp"}, "did you mean 'dpmpp'?"),
        ({"sampler": ""}, "known: ddim, ddpm, dpmpp"),
        ({"steps": 0}, "got '0'"),
        ({"steps": 2.5}, "got '2.5'"),
        ({"steps": 21}, "at most 20 steps"),
        ({"seeds": [1, 2]}, "got 2 seeds for 1 pictures"),
        ({"seeds": [-1]}, "got seed -1"),
        ({"low_res": np.zeros((3, 8, 8), np.float32)}, "expected (B, 3, h, w)"),
        ({"low_res": np.zeros((1, 1, 8, 8), np.float32)}, "expected (B, 3, h, w)"),
        ({"low_res": np.zeros((1, 3, 0, 8), np.float32)}, "expected (B, 3, h, w)"),
    ],
)
def test_impossible_calls_are_refused(options: dict[str, Any], said: str) -> None:
    schedule = ScheduleSettings(kind="cosine-table", steps=20)
    sampling = SamplingSettings(steps=2)
    network = Recorder()
    model = DiffusionModel(make_config(schedule=schedule, sampling=sampling), network, "x")
    call = {"low_res": np.zeros((1, 3, 8, 8), np.float32), "seeds": [0], **options}
    with pytest.raises(UsageError) as caught:
        model.sample(call.pop("low_res"), **call)
    assert said in line(caught)
    assert network.calls == []


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("tile", [0, 16])
def test_numbers_that_are_not_finite_are_refused(number: str, tile: int) -> None:
    """For a picture drawn whole, and for one made of tiles."""
    network = Recorder(lambda x, _: np.full_like(x, float(number)))
    model = DiffusionModel(make_config(), network, "broken")
    with pytest.raises(ModelError) as caught:
        Pipeline(model).upscale(np.zeros((8, 8, 3), np.uint8), tile=tile, consistency=False)
    assert line(caught).startswith("broken: its network gave numbers that are not finite")


# Fitting the input

_SATURATED = {
    "black": -np.ones((6, 6)),
    "white": np.ones((6, 6)),
    "ramp": np.broadcast_to(np.linspace(-1, 1, 6), (6, 6)),
}


@pytest.mark.parametrize("name", _SATURATED)
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_black_and_white_are_met_from_any_start(name: str, scale: int) -> None:
    """Plain alternation leaves up to 3 (x 1e-5) after as many rounds, momentum 0.2."""
    model = DiffusionModel(make_config(scale), Recorder(), "x")
    low_res = _SATURATED[name][None].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.5, (1, 6 * scale, 6 * scale)).astype(np.float32)
    start = np.clip(model.degradation.upsample(low_res) + noise, -1, 1)
    fitted = model.degradation.fit(start, low_res)
    assert fitted.dtype == np.float32
    assert np.abs(fitted).max() <= 1
    misfit = np.mean((model.degradation(fitted) - low_res) ** 2) / 4 / 1e-5
    assert misfit < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_what_no_picture_can_match_is_met_as_well_as_the_range_lets_it(seed: int) -> None:
    """The distance to the pictures that D maps onto low_res, against a bounded least squares."""
    optimise = pytest.importorskip("scipy.optimize")
    model = DiffusionModel(make_config(4), Recorder(), "x")
    degradation = model.degradation
    checkers = np.indices((3, 3)).sum(0) % 2 * 2.0 - 1
    low_res = checkers if seed == 0 else np.random.default_rng(seed).choice([-1.0, 1.0], (3, 3))

    basis = np.eye(144).reshape(144, 12, 12)
    seen = degradation.pseudo_inverse(degradation(basis)).reshape(144, 144).T  # D⁺D
    wanted = degradation.pseudo_inverse(low_res).ravel()
    best = optimise.lsq_linear(seen, wanted, (-1, 1), max_iter=500)
    lowest = np.linalg.norm(seen @ best.x - wanted)
    assert lowest > 0.5  # such pictures are out of reach

    start = np.zeros((1, 12, 12), np.float32)
    fitted = model.degradation.fit(start, low_res[None].astype(np.float32))
    reached = np.linalg.norm(seen @ fitted.ravel() - wanted)
    assert reached <= 1.005 * lowest


# Model folders


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A model folder of one's own."""
    return Path(shutil.copytree(tiny_model, tmp_path / "mine"))


def rewrite(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.update(changes)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def test_models_are_found_by_name_by_folder_and_in_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "SHIPPED", tmp_path)
    assert model_module.shipped_models() == {"mine": folder}
    assert find_model("mine") == folder
    assert find_model(folder) == find_model(str(folder)) == folder
    run = tmp_path / "run"
    shutil.copytree(folder, run / "model")
    assert find_model(run) == run / "model"
    with pytest.raises(ModelError, match="no model 'mime': did you mean 'mine'\\?"):
        find_model("mime")


def test_a_folder_that_is_not_there_is_no_unknown_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    for name, missing in (
        ("./mime", "'mime' does not exist: did you mean 'mine'?"),
        ("mime/", "'mime' does not exist: did you mean 'mine'?"),
        ("runs/1/model", "'runs/1/model' does not exist (there is no 'runs')"),
        (folder / "best", f"'{folder / 'best'}' does not exist"),
    ):
        with pytest.raises(ModelError) as caught:
            find_model(name)
        assert line(caught).startswith(f"{missing}; expected a model folder, a run folder, or ")
        assert line(caught).endswith("photo-x4, sr4-fast")


@pytest.mark.parametrize("name", ["x.pth", "x.PT", "x.ckpt", "x.pkl"])
def test_pickles_are_never_opened(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    for given_path in (path, tmp_path):
        with pytest.raises(ModelError, match="need unpickling are no models") as caught:
            load_model(given_path)
        assert str(given_path) in line(caught)


def test_files_and_folders_that_are_no_model(folder: Path, tmp_path: Path) -> None:
    for path, said in (
        (folder / "model.safetensors", "is a file; expected a model folder"),
        (tmp_path, "has no config.json; expected a model folder"),
        (tmp_path / "absent", "does not exist; expected a model folder"),
        (tmp_path / ("x" * 300), "does not exist; expected a model folder"),
        ("a\0b", "no model"),
    ):
        with pytest.raises(ModelError) as caught:
            load_model(path)
        assert said in line(caught)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("\udcff", "cannot be read"),
        ("[]", "config.json"),
        ("{}", "'recipe'"),
        ('{"format": 2}', "is of format 2; expected at most 1: update sr4"),
    ],
)
def test_a_config_that_is_none(folder: Path, text: str, said: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert said in line(caught)
    assert str(folder / "config.json") in line(caught)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": 8}, "expected equal scales"),
        ({"value_range": [0, 1]}, "expected equal scales and (-1.0, 1.0)"),
        ({"chanels": 3}, "channels"),
        ({"size_multiple": 0}, "size_multiple"),
        ({"format": "new"}, "format"),
        ({"size_multiple": 16}, "expected 8, that of its network"),
    ],
)
def test_a_config_that_contradicts_itself(folder: Path, changes: dict[str, Any], said: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert said in line(caught)


def test_a_folder_in_place_of_the_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_model(folder)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/hostname", "..", "", "a/model.safetensors"]
)
def test_checksums_name_files_of_the_folder_only(folder: Path, name: str) -> None:
    rewrite(folder, sha256={name: "0" * 64})
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert "expected" in line(caught)
    assert "checksum differs" not in line(caught)


def test_one_changed_byte_is_noticed(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert f"{path}: its checksum differs" in line(caught)


@pytest.mark.parametrize("missing", ["model.safetensors", "model.onnx"])
def test_a_missing_file_is_noticed(tiny_exported: Path, tmp_path: Path, missing: str) -> None:
    folder = shutil.copytree(tiny_exported, tmp_path / "mine")
    (folder / missing).unlink()
    for backend in ("auto", "torch", "onnx"):
        with pytest.raises(ModelError) as caught:
            load_model(folder, backend=backend)
        assert f"{folder / missing}: cannot be read" in line(caught)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    rewrite(folder, network={"kind": "fast", "widths": [16, 48], "blocks": [1, 1]})
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    assert "the weights belong to another configuration" in line(caught)
    assert "'downsample.0.bias' is of shape (32,)" in line(caught)
    assert "of shape (48,)" in line(caught)


def test_damaged_weights_without_a_checksum_are_refused(folder: Path) -> None:
    rewrite(folder, sha256={})
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="not a readable safetensors file") as caught:
        load_model(folder)
    line(caught)
    path.unlink()
    with pytest.raises(ModelError, match="not found; expected the model's weights"):
        load_model(folder)


def test_saving_keeps_the_tensors_and_writes_their_checksum(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    config = read_config(folder)
    (folder / "model.onnx").write_text("a graph of other weights", encoding="utf-8")
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.float16)}
    written = save_model(folder, config, tensors)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    loaded = load_file(folder / "model.safetensors")
    assert loaded["b"].dtype == torch.float16
    assert torch.equal(loaded["a"], tensors["a"])
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert written.sha256 == {"model.safetensors": digest}
    assert written.parameters == 8
    assert read_config(folder) == written

    described = write_config(folder, written.model_copy(update={"licence": "none, “free”"}))
    assert read_config(folder) == described
    assert described.sha256 == written.sha256
