"""Cascades: what the stages give one after the other, each with noise of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import sr4
from sr4.config import DegradationSettings, ModelConfig, SamplingSettings
from sr4.degradation import Degradation, DegradationChain, resize_matrix
from sr4.errors import ModelError, PictureError, UsageError
from sr4.model.diffusion_model import DiffusionModel
from sr4.model.folder import find_model, read_config
from sr4.pictures.pixels import quantise, to_array
from sr4.upscaling import drawing
from sr4.upscaling.cascade import CascadePipeline
from sr4.upscaling.load import model_names
from sr4.upscaling.pipeline import Pipeline

Floats = NDArray[np.float32]
Answer = Callable[[Floats, Floats], Floats]


class Network:
    """Answers with a function of (x_t, upsampled), and keeps what it was asked."""

    name = "numpy"
    told = "made up, float32"
    is_for_one = False

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[Floats, Floats]] = []

    def __call__(self, x_t: Floats, log_snr: float, upsampled: Floats, known: Any = None) -> Floats:
        self.asked.append((x_t, upsampled))
        return self.answer(x_t, upsampled)

    def native(self, array: Floats) -> Floats:
        return array

    numpy = native


def noisy(x_t: Floats, upsampled: Floats, known: Any = None) -> Floats:
    """As bad a guess as any, of each pixel by itself."""
    return np.asarray(0.6 * x_t - 0.3 * upsampled, np.float32)


def config_of(scale: int) -> ModelConfig:
    config = read_config(find_model("sr4-fast"))
    network = config.network.model_copy(update={"mean_output": False})
    degradation = DegradationSettings(scale=scale)
    return config.model_copy(
        update={
            "scale": scale,
            "degradation": degradation,
            "size_multiple": 8,
            "network": network,
            "sampling": SamplingSettings(steps=1, sampler="ddim"),
        }
    )


def stage(scale: int, answer: Answer = noisy, **objective: Any) -> Pipeline:
    config = config_of(scale)
    config = config.model_copy(update={"objective": config.objective.model_copy(update=objective)})
    return Pipeline(DiffusionModel(config, Network(answer), f"x{scale}"))


def asked(pipeline: Pipeline) -> list[tuple[Floats, Floats]]:
    network = pipeline.model.network
    assert isinstance(network, Network)
    return network.asked


@pytest.fixture
def cascade() -> CascadePipeline:
    """4 times, then 2 times."""
    return CascadePipeline([stage(4), stage(2)])


def smooth(width: int = 6, height: int = 6, seed: int = 0) -> Image.Image:
    levels = np.random.default_rng(seed).integers(60, 196, (3, 3, 3)).astype(np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image).astype(int)


def misfit(image: Image.Image, given: Image.Image, *scales: int) -> float:
    """Consistency from its definition: the picture given, from the result, by the operators of the
    stages, the last one first.
    """
    array = np.moveaxis(np.asarray(image) / 255, -1, 0)
    for scale in reversed(scales):
        array = Degradation(scale)(array)
    return float(np.mean((array - np.moveaxis(np.asarray(given) / 255, -1, 0)) ** 2) * 1e5)


# What a cascade is


def test_each_stage_draws_on_the_floats_of_the_one_before(cascade: CascadePipeline) -> None:
    """The chain by hand, from the models and the noise that the second network saw."""
    picture = smooth(7, 5)
    result = cascade.upscale(picture, seed=3, steps=1)
    first, second = cascade.stages
    middle = first.model.sample(to_array(picture)[None], seeds=[3], steps=1)
    seen_noise, upsampled = asked(second)[0]
    np.testing.assert_array_equal(
        upsampled, second.model.degradation.upsample(second.model.pad(middle))
    )
    frame = second.model.frame(second.model.pad(middle))
    level = float(second.model.schedule.log_snr(np.ones(1))[0])
    x_0 = second.model.denoiser.sample(noisy(seen_noise, upsampled), seen_noise, level)
    drawn = frame.decode(frame.constrain(x_0, consistency=True))[:, :, :40, :56]
    expected = second.model.degradation.fit(np.clip(drawn[0], -1, 1), middle[0])
    assert result.image.size == (56, 40)
    np.testing.assert_array_equal(np.asarray(result.image), quantise(expected))

    rounded = second.upscale(Image.fromarray(quantise(middle[0])), seed=3, steps=1)
    assert (pixels(rounded.image) != pixels(result.image)).any()


def test_a_chain_without_noise_has_a_closed_form() -> None:
    """Networks that predict no null-space residual leave the projected bicubic picture."""
    chain = CascadePipeline(
        [stage(scale, lambda x_t, low: 0 * x_t, prediction="x0") for scale in (2, 4, 2)]
    )
    picture = smooth(8, 8)
    expected = np.moveaxis(np.asarray(picture) / 127.5 - 1, -1, 0)
    for scale in (2, 4, 2):
        degradation = Degradation(scale)
        expected = degradation.project(degradation.upsample(expected), expected)
    assert np.abs(expected).max() < 0.9  # no clipping
    assert chain.scale == 16
    result = chain.upscale(picture, steps=2)
    assert np.abs(pixels(result.image) - quantise(expected)).max() <= 1
    assert np.mean(pixels(result.image) != quantise(expected)) < 1e-3


def test_a_cascade_of_one_is_its_pipeline() -> None:
    one = stage(4)
    ours = CascadePipeline([one]).upscale(smooth(), samples=2, seed=5, steps=3)
    theirs = one.upscale(smooth(), samples=2, seed=5, steps=3)
    for a, b in zip(ours.samples, theirs.samples, strict=True):
        np.testing.assert_array_equal(pixels(a), pixels(b))
    np.testing.assert_array_equal(ours.uncertainty, theirs.uncertainty)
    assert ours.consistency == theirs.consistency


def test_cascades_stand_for_their_stages(cascade: CascadePipeline) -> None:
    three = CascadePipeline([cascade, stage(8)])
    assert [one.scale for one in three.stages] == [4, 2, 8]
    assert (three.scale, three.backend) == (64, "numpy")


# The result


@pytest.mark.parametrize("scales", [(4, 2), (2, 4), (8, 4), (2, 2, 2)])
@pytest.mark.parametrize("tile", [0, 32])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_whole_gives_its_input_back(scales: tuple[int, ...], tile: int, steps: int) -> None:
    """Measured: at most 0.002, which rounding to 8 bits leaves; without projection 13 or more."""
    chain, picture = CascadePipeline([stage(scale) for scale in scales]), smooth(9, 7)
    result = chain.upscale(picture, steps=steps, samples=3, tile=tile)
    for image in (*result.samples, result.mean):
        assert misfit(image, picture, *scales) < 0.01
    assert result.consistency == pytest.approx(misfit(result.image, picture, *scales), rel=1e-3)
    free = chain.upscale(picture, steps=steps, tile=tile, consistency=False)
    assert free.consistency > 10
    assert free.consistency == pytest.approx(misfit(free.image, picture, *scales), rel=1e-3)


def test_samples_their_mean_and_their_deviation(cascade: CascadePipeline) -> None:
    result = cascade.upscale(smooth(), samples=3, seed=10, use_mean=True)
    assert result.image is result.mean
    unit = np.stack([pixels(sample) for sample in result.samples]) / 255
    assert np.abs(pixels(result.mean) / 255 - unit.mean(axis=0)).max() < 1.5 / 255
    deviation = unit.std(axis=0, ddof=1).mean(axis=-1)
    np.testing.assert_allclose(result.uncertainty, deviation, atol=2 / 255)
    assert result.uncertainty.max() > 0.02
    alone = cascade.upscale(smooth(), seed=11)
    assert np.abs(pixels(alone.image) - pixels(result.samples[1])).max() <= 1


def test_a_list_gives_what_its_pictures_give_alone(cascade: CascadePipeline) -> None:
    pictures = [smooth(6, 6, 0), smooth(9, 4, 1), smooth(6, 6, 2)]
    results = cascade.upscale(pictures, samples=2)
    assert isinstance(results, list)
    for picture, result in zip(pictures, results, strict=True):
        assert result.image.size == (picture.width * 8, picture.height * 8)
        alone = cascade.upscale(picture, samples=2)
        for a, b in zip(alone.samples, result.samples, strict=True):
            assert np.abs(pixels(a) - pixels(b)).max() <= 1
    assert cascade.upscale([]) == []


def test_large_results_are_made_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, made = smooth(24, 18), {}
    for tile in (0, 64):
        chain = CascadePipeline([stage(4), stage(2)])
        made[tile] = chain.upscale(picture, steps=2, samples=2, tile=tile)
        largest = [max(x_t.shape[-1] for x_t, _ in asked(one)) for one in chain.stages]
        assert largest == ([64, 64] if tile else [96, 192])
    for a, b in zip(made[0].samples, made[64].samples, strict=True):
        assert np.square(pixels(a) - pixels(b)).mean() < 0.5
    monkeypatch.setattr(drawing, "LARGE", 160 * 120)
    chain = CascadePipeline([stage(4), stage(2)])
    assert chain.upscale(smooth(40, 30), steps=1).consistency < 0.02
    assert asked(chain.stages[0])[0][0].shape == (1, 3, 120, 160)  # whole: its result is small
    assert asked(chain.stages[1])[0][0].shape == (2, 3, 240, 256)  # two tiles


# Noise


def noises(cascade: CascadePipeline, **options: Any) -> list[Floats]:
    """What each stage starts from."""
    cascade.upscale(smooth(24, 24), steps=1, **options)
    found = [asked(one)[-1][0] for one in cascade.stages]
    assert all(abs(one.std() - 1) < 0.05 for one in found)
    return found


@pytest.mark.parametrize("scales", [(4, 4), (1, 1), (2, 1, 8)])
def test_no_stage_sees_the_noise_of_another(scales: tuple[int, ...]) -> None:
    """Of one seed, two sizes share their numbers from the first on, only in other rows."""
    fields = noises(CascadePipeline([stage(scale) for scale in scales]), seed=3)
    fields += noises(CascadePipeline([stage(scale) for scale in scales]), seed=4)
    flat = [field.reshape(-1) for field in fields]
    for number, one in enumerate(flat):
        for other in flat[number + 1 :]:
            count = min(one.size, other.size)
            correlation = np.corrcoef(one[:count], other[:count])[0, 1]
            assert abs(correlation) < 5 / np.sqrt(count)
            assert np.isin(one, other).mean() < 0.01


def test_the_condition_is_noisy_for_the_later_networks_alone(cascade: CascadePipeline) -> None:
    picture = smooth(24, 24)
    plain = cascade.upscale(picture, steps=1)
    result = cascade.upscale(picture, steps=1, condition_noise=0.2)
    first, second = (asked(one) for one in cascade.stages)
    np.testing.assert_array_equal(first[0][1], first[1][1])
    added = second[1][1] - second[0][1]
    rows = resize_matrix(96, 192)
    spread = 0.2 * np.sum(rows**2) / len(rows)  # bicubic upscaling of white noise, both axes
    assert added.std() == pytest.approx(spread, rel=0.02)
    assert abs(added.mean()) < 0.01
    # Targets and projection keep to the clean one.
    assert (pixels(plain.image) != pixels(result.image)).any()
    assert result.consistency < 0.02

    again = cascade.upscale(picture, steps=1, condition_noise=0.2, samples=2)
    np.testing.assert_array_equal(pixels(again.samples[0]), pixels(result.image))
    of_two = second[2][1] - second[0][1]
    np.testing.assert_array_equal(of_two[0], added[0])
    own_noise = second[2][0]
    for other in (of_two[1], own_noise[0], own_noise[1]):
        assert abs(np.corrcoef(added[0].reshape(-1), other.reshape(-1))[0, 1]) < 0.05


def test_a_condition_of_another_shape_is_refused() -> None:
    low_res = np.zeros((1, 3, 4, 4), np.float32)
    with pytest.raises(UsageError, match=r"a condition of shape \(1, 3, 4, 5\) for low-res pic"):
        stage(2).model.sample(low_res, seeds=[0], condition=np.zeros((1, 3, 4, 5), np.float32))


def test_the_condition_of_tiles_is_that_of_the_whole(cascade: CascadePipeline) -> None:
    whole, tiled = (
        cascade.upscale(smooth(24, 18), steps=2, condition_noise=0.3, tile=tile) for tile in (0, 64)
    )
    assert np.square(pixels(whole.image) - pixels(tiled.image)).mean() < 0.5


# Options


def test_steps_are_one_number_for_all_or_one_a_stage(cascade: CascadePipeline) -> None:
    seen: list[tuple[int, int]] = []
    cascade.upscale(
        smooth(), steps=(1, 3), on_step=lambda step: seen.append((step.number, step.total))
    )
    assert [len(asked(one)) for one in cascade.stages] == [1, 3]
    assert seen == [(1, 1), (1, 3), (2, 3), (3, 3)]
    cascade.upscale(smooth(), steps=2)
    assert [len(asked(one)) for one in cascade.stages] == [3, 5]
    own = cascade.stages[0].config.sampling.steps
    cascade.upscale(smooth())
    assert [len(asked(one)) for one in cascade.stages] == [3 + own, 5 + own]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": (1, 2, 3)}, "got 3 numbers of steps for 2 stages; expected one for each"),
        ({"steps": []}, "got 0 numbers of steps for 2 stages"),
        ({"steps": (1, 0)}, "'steps'"),
        ({"sampler": "dim"}, "did you mean 'ddim'?"),
        ({"samples": 0}, "got 0 samples"),
        ({"seed": -1}, "got seed -1"),
        ({"tile": 12}, "got tiles of 12 pixels; expected a multiple of 8"),
        ({"condition_noise": -0.1}, "got a condition_noise of -0.1; expected a deviation"),
        ({"condition_noise": float("nan")}, "got a condition_noise of nan"),
    ],
)
def test_impossible_options_are_refused(
    cascade: CascadePipeline, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        cascade.upscale(smooth(), **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    if options.keys() & {"steps", "sampler", "tile"}:
        wanted = {"steps": None, "sampler": None, "tile": None} | options
        with pytest.raises(UsageError):
            cascade.check_options(**wanted)


def test_what_is_no_cascade_is_refused() -> None:
    with pytest.raises(UsageError, match="a cascade without stages; expected at least one"):
        CascadePipeline([])
    with pytest.raises(UsageError, match=r"a stage of type str; expected pipelines: open them"):
        CascadePipeline(["sr4-fast"])  # type: ignore[list-item]
    grey = DiffusionModel(config_of(2).model_copy(update={"channels": 1}), Network(noisy), "grey")
    with pytest.raises(UsageError, match="stages of 1 and 3 channels; expected as many in each"):
        CascadePipeline([stage(4), Pipeline(grey)])


def test_mode_and_depth_are_kept_through_all_stages(cascade: CascadePipeline) -> None:
    deep = np.asarray(smooth(7, 6).convert("L")).astype(np.uint16) * 257
    array = np.stack([deep, deep[::-1]], axis=2)
    result = cascade.upscale(array, steps=1)
    assert (result.array.shape, result.array.dtype) == ((48, 56, 2), np.uint16)
    back = cascade.degradation(np.moveaxis(result.array.astype(np.float64), 2, 0))
    assert np.abs(back[0] - deep).max() < 0.01 * 65_535
    assert np.abs(back[1] - deep[::-1]).max() < 0.01 * 65_535
    assert cascade.upscale(smooth(5, 4).convert("CMYK"), steps=1).image.mode == "CMYK"


def test_the_result_is_what_has_a_limit(
    cascade: CascadePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "available_memory", lambda: 1_000_000)
    with pytest.raises(PictureError, match=r"result of 800x800 .* GB of memory are needed"):
        cascade.upscale(Image.new("RGB", (100, 100)))


# Names


def test_names_joined_by_plus(tiny_exported: Path) -> None:
    one = sr4.load(tiny_exported, backend="onnx")
    assert isinstance(one, Pipeline)
    two = sr4.load(f"{tiny_exported}+{tiny_exported}", backend="onnx")
    assert isinstance(two, CascadePipeline)
    assert (two.scale, two.backend, len(two.stages)) == (16, one.backend, 2)
    expected = CascadePipeline([one, one]).upscale(smooth(), seed=2)
    result = two.upscale(smooth(), seed=2)
    np.testing.assert_array_equal(pixels(result.image), pixels(expected.image))


def test_a_folder_with_a_plus_is_one_model(
    tiny_exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_exported, tmp_path / "a+b")
    monkeypatch.chdir(tmp_path)
    assert model_names("a+b") == ["a+b"]
    assert model_names("b+a") == ["b", "a"]
    assert isinstance(sr4.load("a+b", backend="onnx"), Pipeline)
    for bad in ("a+", "+", "+b", "a++b"):
        with pytest.raises(UsageError, match="expected names joined by"):
            sr4.load(bad)
    with pytest.raises(ModelError, match="no model 'sr4-fats'"):
        sr4.load("sr4-fast+sr4-fats")


def test_the_chain_of_degradations() -> None:
    random = np.random.default_rng(0)
    chain = DegradationChain((Degradation(2), Degradation(4)))
    picture = random.standard_normal((3, 48, 64))
    assert chain.scale == 8
    np.testing.assert_array_equal(chain(picture), Degradation(2)(Degradation(4)(picture)))
    assert np.abs(chain(picture) - Degradation(8)(picture)).max() > 0.01


def test_evidence_is_that_of_the_picture_given(tmp_path: Path) -> None:
    """The first stage draws within the boxes of a JPEG file, the second on its result."""
    pytest.importorskip("jpegio")
    path = tmp_path / "a.jpg"
    smooth(32, 24).save(path, quality=50)
    chain = CascadePipeline([stage(4), stage(2)])
    result = chain.upscale(Image.open(path), steps=1)
    assert result.evidence.kind == "jpeg"
    assert result.consistency < 0.02
    first = chain.stages[0].upscale(Image.open(path), steps=1)
    assert first.consistency < 0.02
    assert chain.upscale(Image.open(path), steps=1, evidence="exact").consistency < 0.1
    soft = chain.upscale(Image.open(path), steps=1, blur=0.6)
    assert soft.evidence.degradation(chain.degradation).parts[0].blur == 0.6
    assert not np.array_equal(pixels(soft.image), pixels(result.image))


@pytest.mark.parametrize("evidence", ["none", ["none"]])
def test_without_evidence_no_stage_is_held_to_anything(
    cascade: CascadePipeline, evidence: Any
) -> None:
    """However it is said: for all pictures, or for each of them."""
    (free,) = cascade.upscale([smooth()], steps=2, consistency=False)
    (result,) = cascade.upscale([smooth()], steps=2, evidence=evidence)
    np.testing.assert_array_equal(pixels(result.image), pixels(free.image))
    assert (result.provenance or {})["consistency"] is False


@pytest.mark.parametrize("opened", ["repeated", "cascade"])
@pytest.mark.parametrize("tile", [0, 64])
def test_a_picture_is_fitted_by_its_own_evidence_not_by_that_of_its_neighbours(
    opened: str, tile: int
) -> None:
    """In all stages: without evidence, nothing is fitted to what the stage before drew, either."""
    pipeline: Any = stage(4) if opened == "repeated" else CascadePipeline([stage(4), stage(4)])
    options = {"scale": 16, "tile": tile, "steps": 1}
    free, fitted = smooth(6, 5), smooth(6, 5, seed=1)
    both = pipeline.upscale([free, fitted], evidence=["none", "exact"], **options)
    alone = [
        pipeline.upscale(picture, evidence=evidence, **options)
        for picture, evidence in ((free, "none"), (fitted, "exact"))
    ]
    for one, expected in zip(both, alone, strict=True):
        np.testing.assert_array_equal(one.array, expected.array)
        assert one.consistency == expected.consistency
