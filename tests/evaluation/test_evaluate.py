"""Whole evaluations of upscalers whose scores are known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.config.calibration import LEVELS
from sr4.data.corruption import PhotoCorruption
from sr4.data.evaluation import evaluation_batches
from sr4.data.sources import open_source
from sr4.degradation import Degradation
from sr4.errors import DataError, MissingExtraError, ModelError, SR4Error, UsageError
from sr4.evaluation import evaluate as module
from sr4.evaluation.distances import frechet_distance_interval
from sr4.evaluation.evaluate import BicubicUpscaler, evaluate
from sr4.evaluation.features import EfficientNetLite0
from sr4.evaluation.metrics import Interval, bootstrap, consistency
from sr4.evaluation.perceptual import PerceptualDistance
from sr4.evaluation.report import Evaluation, check_report_folder
from sr4.evaluation.tally import Tally
from sr4.evidence.choose import choose
from sr4.evidence.kinds import Evidence
from sr4.model.diffusion_model import load_model
from sr4.pictures.pixels import quantise, to_array
from sr4.pictures.raster import Raster
from sr4.upscaling.pipeline import Pipeline
from tests.config.test_calibration import calibration
from tests.evaluation.made_up import (
    SCALE,
    MeanColour,
    PerfectUpscaler,
    Pictures,
    SureUpscaler,
    Upscaler,
)

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def fake(source: Pictures) -> Evaluation:
    return evaluate(Upscaler(), source, samples=3, seed=5, steps=2, features=MeanColour())


def test_a_perfect_upscaler_has_perfect_scores(source: Pictures) -> None:
    found = evaluate(PerfectUpscaler(source), source, features=None)
    assert found.count == 5
    assert found.psnr.value == found.psnr_luma.value == 100
    assert found.ssim.value == found.ssim_luma.value == pytest.approx(1)
    # All that is left is the rounding of low_res: uniform within half a level, 1/12 in square.
    assert found.consistency.value == pytest.approx(1e5 / 12 / 255**2, rel=0.15)
    # The mean of 48 such roundings in each of three channels.
    assert found.colour_drift.value == pytest.approx(np.sqrt(1 / 12 / 48), rel=0.4)
    assert found.kid_efflite0 is None
    assert found.fd_efflite0 is None
    assert found.perceptual is None
    assert found.notes == ("kid_efflite0, fd_efflite0 and perceptual were left out by choice",)


def test_bicubic_scores_equal_those_computed_by_hand(source: Pictures) -> None:
    found = evaluate(BicubicUpscaler(Degradation(SCALE)), source, limit=3, features=None)
    assert (found.model, found.count, found.nfe) == ("bicubic", 3, 0)
    expected = []
    for picture in source.pictures[:3]:
        small = Image.fromarray(picture).resize((8, 6), Image.Resampling.BICUBIC)
        large = np.asarray(small.resize((32, 24), Image.Resampling.BICUBIC), dtype=float)
        expected.append(10 * np.log10(255**2 / np.mean((large - picture) ** 2)))
    # Pillow rounds between the axes, so to a hundredth of a dB.
    assert found.psnr.value == pytest.approx(np.mean(expected), abs=0.01)
    assert found.psnr.low < found.psnr.value < found.psnr.high


def test_colour_drift_is_in_levels_of_8_bits(source: Pictures) -> None:
    class Tinted(Upscaler):
        def sample(self, low_res: np.ndarray, **_: Any) -> np.ndarray:
            tint = np.array([8, 4, 0], dtype=np.float32)[:, None, None] / 127.5
            return self.degradation.pseudo_inverse(low_res) + tint

    grey = Pictures([picture // 2 + 60 for picture in source.pictures])  # no clipping
    found = evaluate(Tinted(), grey, features=None)
    assert found.colour_drift.value == pytest.approx(np.sqrt((64 + 16) / 3), abs=0.05)
    assert [one.colour_drift for one in found.pictures] == pytest.approx([5.16] * 5, abs=0.15)


def test_projection_makes_bicubic_consistent_and_better(source: Pictures) -> None:
    plain = evaluate(BicubicUpscaler(Degradation(SCALE)), source, features=None)
    projected = evaluate(BicubicUpscaler(Degradation(SCALE), project=True), source, features=None)
    assert projected.model == "bicubic-projected"
    assert projected.consistency.value < 0.01 * plain.consistency.value
    assert projected.psnr.value > plain.psnr.value + 0.2


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_results_do_not_depend_on_the_batch_size(
    source: Pictures, fake: Evaluation, batch_size: int
) -> None:
    again = evaluate(
        Upscaler(), source, samples=3, seed=5, steps=2, features=MeanColour(), batch_size=batch_size
    )
    left_out = {"seconds_per_image", "protocol", "examples"}
    assert again.model_dump(exclude=left_out) == fake.model_dump(exclude=left_out)
    assert again.pictures == fake.pictures


def test_pictures_are_scored_as_they_are_upscaled() -> None:
    """Pixel for pixel, by a model that is told what is known of a picture."""
    data = pytest.importorskip("skimage.data")
    truth = data.astronaut()[:128, 160:288]
    small = quantise(Degradation(4).observe(to_array(truth), is_rounded=True))
    file = io.BytesIO()
    Image.fromarray(small).save(file, "PNG")
    model = load_model("photo-x4")
    result = np.asarray(Pipeline(model).upscale(file.getvalue(), seed=5).image)
    found = evaluate(model, Pictures([truth]), seed=5, features=None)
    np.testing.assert_array_equal(np.asarray(found.examples[0].result), result)


def test_each_picture_and_each_sample_has_its_own_seed(source: Pictures) -> None:
    model = Upscaler()
    progress: list[tuple[float, int]] = []
    evaluate(
        model,
        source,
        samples=2,
        seed=5,
        batch_size=3,
        sampler="ddim",
        features=None,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert [call["seeds"] for call in model.calls] == [
        [5, 6, 7],
        [1_000_005, 1_000_006, 1_000_007],
        [8, 9],
        [1_000_008, 1_000_009],
    ]
    assert {call["sampler"] for call in model.calls} == {"ddim"}
    assert progress == [(0, 5), (3, 5), (5, 5)]


def test_models_of_ours_tell_each_step_of_each_sample(source: Pictures, tiny_model: Path) -> None:
    progress: list[tuple[float, int]] = []
    evaluate(
        load_model(tiny_model, backend="torch"),
        source,
        limit=4,
        samples=2,
        steps=2,
        batch_size=3,
        features=None,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    shares = [0, 0.75, 1.5, 2.25, 3, 3.25, 3.5, 3.75, 4]
    assert [done for done, _ in progress] == pytest.approx(shares)
    assert {total for _, total in progress} == {4}


def test_bad_pictures_are_done_too(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_text("no picture")
    for number in (1, 2):
        Image.new("RGB", (32, 32), (90, 80, 10 * number)).save(tmp_path / f"{number}.png")
    progress: list[tuple[float, int]] = []
    evaluate(
        BicubicUpscaler(Degradation(SCALE)),
        open_source(tmp_path),
        batch_size=1,
        features=None,
        on_progress=lambda done, total: progress.append((done, total)),
        bad=[],
    )
    assert progress == [(0, 3), (2, 3), (3, 3)]


def test_samples_give_a_mean_and_a_diversity(fake: Evaluation, source: Pictures) -> None:
    one = evaluate(Upscaler(), source, seed=5, steps=2, features=None)
    assert one.psnr == fake.psnr  # metrics are those of the first sample
    assert one.psnr_mean is None
    assert one.diversity is None
    assert fake.psnr_mean is not None
    assert fake.diversity is not None
    # Noise of 0.1 on [-1, 1] has the variance 0.0025 on [0, 1]; the mean of three keeps a third.
    expected = -10 * np.log10(10 ** (-fake.psnr.value / 10) - 0.0025 * 2 / 3)
    assert fake.psnr_mean.value == pytest.approx(expected, abs=0.1)
    # It is 12.75 levels, and three samples underestimate a deviation by c4(3) = 0.886.
    assert fake.diversity.value == pytest.approx(12.75 * 0.886, rel=0.05)
    assert fake.nfe == 2
    assert fake.protocol["sampling"].startswith("steps 2, sampler ddim")
    assert fake.protocol["sampling"].endswith("seed 5 + index of the picture")
    assert fake.seconds_per_image > 0


def test_distances_of_the_given_features(fake: Evaluation) -> None:
    assert fake.kid_efflite0 is not None
    assert fake.fd_efflite0 is not None
    assert abs(fake.kid_efflite0.value) < 100  # the mean colours are those of the truths
    assert 0 <= fake.fd_efflite0.value < 1e-3
    assert fake.kid is None
    assert fake.fid is None
    (note,) = fake.notes
    assert note.startswith(f"kid_efflite0: a kernel distance of {fake.count} may lie far off")
    assert fake.protocol["features of kid_efflite0, fd_efflite0"] == "mean colour"
    assert "over 5 pictures, unbiased" in fake.protocol["kid_efflite0"]


def test_a_corruption_spoils_the_inputs_alone(source: Pictures) -> None:
    """In a way that follows from a picture's place, whatever the batch."""
    corruption = PhotoCorruption()
    model = BicubicUpscaler(Degradation(SCALE))
    found = evaluate(model, source, features=None, corruption=corruption, batch_size=2)
    again = evaluate(model, source, features=None, corruption=corruption)
    clean = evaluate(model, source, features=None)
    assert found.pictures == again.pictures
    assert found.psnr.value < clean.psnr.value - 0.5
    assert "corruption" not in clean.protocol
    assert str(corruption) in found.protocol["corruption"]
    batches = evaluation_batches(
        source, degradation=model.degradation, batch_size=5, corruption=corruption
    )
    (batch,) = batches
    results = quantise(model.sample(batch.low_res, seeds=range(5))).astype(float)
    errors = np.mean((results - np.stack(source.pictures)) ** 2, axis=(1, 2, 3))
    expected = 10 * np.log10(255**2 / errors)
    assert [one.psnr for one in found.pictures] == pytest.approx(list(expected))
    # The fit is to the corrupted picture, the only one that a model sees.
    unit = np.moveaxis(results, -1, 1) / 255
    fit = consistency(unit, (batch.low_res + 1) / 2, model.degradation) / 1e-5
    assert [one.consistency for one in found.pictures] == pytest.approx(list(fit), rel=1e-4)


def test_what_corrupted_pictures_say_is_worked_out_once(
    source: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many samples are drawn of them."""
    asked: list[Raster] = []

    def counted(raster: Raster, *given: Any) -> Evidence:
        asked.append(raster)
        return choose(raster, *given)

    monkeypatch.setattr(module, "choose", counted)
    model = Upscaler()
    evaluate(model, source, features=None, corruption=PhotoCorruption(), samples=3)
    assert len(model.calls) == 3
    assert len(asked) == 5


def test_intervals_keep_to_what_a_score_can_be() -> None:
    """Those of means of few pictures are wider than what was seen."""
    columns: dict[str, list[float]] = {
        "consistency": [0, 0, 4],
        "ssim": [1, 1, 0.97],
        "coverage_95": [100, 100, 91],
    }
    assert bootstrap(columns["consistency"]).low < 0
    assert bootstrap(columns["ssim"]).high > 1
    tally = Tally(Degradation(SCALE), {}, columns=columns, uncalibrated={0.95: [1, 1, 0.9]})
    found = tally.means(0)
    assert found["consistency"] == bootstrap(columns["consistency"]).model_copy(update={"low": 0.0})
    assert found["ssim"] == bootstrap(columns["ssim"]).model_copy(update={"high": 1.0})
    assert found["coverage_95"] is not None
    assert found["coverage_95"].high == 100
    (reliability,) = tally.reliability(0)
    assert reliability.uncalibrated.high == 1


def test_a_frechet_distance_and_its_interval_are_not_negative() -> None:
    """A kernel distance, which is unbiased, may be."""
    features = np.random.default_rng(0).normal(size=(6, 2))
    tally = Tally(Degradation(SCALE), {}, features={"efflite0": [(features, features[::-1])]})
    tally.patches = [1] * 6
    found, _ = tally.distances(0)
    kernel, frechet = found["kid_efflite0"], found["fd_efflite0"]
    assert kernel is not None
    assert frechet is not None
    assert kernel.low < 0
    plain = frechet_distance_interval(features, features[::-1], pictures=np.arange(6))
    assert plain.low < 0
    assert frechet == plain.model_copy(update={"low": 0.0, "value": max(0.0, plain.value)})


def test_a_small_set_notes_the_bias_of_the_frechet_distance(source: Pictures) -> None:
    found = evaluate(Upscaler(), source, limit=2, features=MeanColour())
    assert found.fd_efflite0 is not None
    _, note = found.notes
    assert note.startswith("fd_efflite0: the Fréchet distance of 2 pictures in 3 dimens")
    assert "is biased upwards" in note
    assert note.endswith("use the kernel distance, which is unbiased (kid_efflite0)")
    single = evaluate(Upscaler(), source, limit=1, features=MeanColour())
    assert single.kid_efflite0 is None
    assert "at least 2 pictures" in single.notes[0]


def test_without_the_feature_network_the_reason_is_noted(
    source: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("the feature network", "torch", "train")

    monkeypatch.setattr(module, "EfficientNetLite0", missing)
    found = evaluate(Upscaler(), source, limit=1)
    assert found.kid_efflite0 is None
    assert found.perceptual is None
    assert "the feature network needs the package 'torch'" in found.notes[0]


def test_the_perceptual_distance_is_the_mean_over_the_pictures() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    network = EfficientNetLite0()
    rng = np.random.default_rng(3)
    pictures = list(rng.integers(0, 256, size=(3, 32, 40, 3), dtype=np.uint8))
    model = BicubicUpscaler(Degradation(SCALE))
    found = evaluate(model, Pictures(pictures), features=network, batch_size=2)
    results = []
    for picture in pictures:
        low_res = model.degradation.observe(to_array(picture)[None].astype(np.float64))
        results.append(quantise(model.sample(low_res.astype(np.float32), seeds=[0]))[0])
    expected = PerceptualDistance(network)(np.stack(pictures), np.stack(results))
    assert found.perceptual is not None
    assert found.perceptual.value == pytest.approx(expected.mean())
    assert found.perceptual.low < found.perceptual.value < found.perceptual.high
    assert [one.perceptual for one in found.pictures] == pytest.approx(list(expected))
    assert "1/2 to 1/16" in found.protocol["perceptual"]

    mixed = Pictures([pictures[0], pictures[1][:28]])
    some = evaluate(model, mixed, features=network)
    assert some.perceptual is None
    assert "1 of the 2 pictures are smaller than 32x32" in some.notes[0]
    assert some.pictures[0].perceptual == found.pictures[0].perceptual
    assert some.pictures[1].perceptual is None


def test_flat_pictures_have_no_part_in_the_rank_of_spread_and_error(source: Pictures) -> None:
    def rank(pictures: Sequence[np.ndarray]) -> tuple[Interval | None, tuple[str, ...]]:
        made_by = calibration(levels=LEVELS, factors={2: tuple(range(1, 13))})
        options: dict[str, Any] = {"samples": 3, "features": None, "batch_size": 1}
        found = evaluate(SureUpscaler(), Pictures(pictures), calibration=made_by, **options)
        assert found.count == len(pictures)
        return found.spread_rank, found.notes[1:]

    flat = np.full((24, 32, 3), 90, np.uint8)
    some = source.pictures[:3]
    expected, notes = rank(some)
    assert expected is not None
    assert notes == ()
    assert rank([*some, flat]) == (
        expected,
        (
            "spread_rank leaves out 1 of the 4 pictures, whose spread or error is the same "
            "everywhere",
        ),
    )
    nothing, (note,) = rank([flat])
    assert nothing is None
    assert "1 of the 1 pictures" in note


def test_pictures_of_several_sizes_and_odd_ones(source: Pictures) -> None:
    mixed = Pictures([source.pictures[0], source.pictures[1][:22, :31], source.pictures[2]])
    found = evaluate(BicubicUpscaler(Degradation(SCALE)), mixed, features=None)
    alone = evaluate(BicubicUpscaler(Degradation(SCALE)), source, limit=1, features=None)
    assert found.count == 3
    assert found.pictures[0] == alone.pictures[0]
    assert found.examples[0].truth.size in {(32, 24), (28, 20)}


def test_a_border_is_left_out_of_the_scores_of_pixels(source: Pictures) -> None:
    """With errors at the edges alone, what is inside is perfect; consistency sees all."""

    class Framed(Upscaler):
        def sample(self, low_res: np.ndarray, **options: Any) -> np.ndarray:
            index = options["seeds"][0]
            truth = to_array(source.pictures[index])[None]
            truth[..., :4, :] = truth[..., -4:, :] = truth[..., :4] = truth[..., -4:] = 0
            return truth

    found = evaluate(Framed(), source, limit=2, features=None, border=4, batch_size=1)
    assert found.psnr.value == found.psnr_luma.value == 100
    assert found.ssim.value == pytest.approx(1)
    assert found.consistency.value > 100
    assert "a border of 4 pixels left out" in found.protocol["pixels"]
    narrower = evaluate(Framed(), source, limit=2, features=None, border=3, batch_size=1)
    assert narrower.psnr.value < 40
    with pytest.raises(UsageError, match="got a border of 8 for a picture"):
        evaluate(Framed(), source, limit=1, features=None, border=8)


def test_patches_lie_side_by_side(source: Pictures) -> None:
    seen = []

    class Spy(MeanColour):
        def __call__(self, pictures: np.ndarray) -> np.ndarray:
            seen.append(pictures)
            return super().__call__(pictures)

    found = evaluate(PerfectUpscaler(source), source, limit=2, features=Spy(), patch=8)
    truths = seen[0]
    height, width = source.pictures[0].shape[:2]
    columns = width // 8
    assert len(truths) == 2 * (height // 8) * columns
    np.testing.assert_array_equal(truths[columns + 1], source.pictures[0][8:16, 8:16])
    assert f"over {len(truths)} patches of 8x8 pixels" in found.protocol["kid_efflite0"]
    with pytest.raises(UsageError, match="for patches of 64"):
        evaluate(Upscaler(), source, limit=1, features=Spy(), patch=64)


def test_pictures_smaller_than_a_patch_are_left_out() -> None:
    rng = np.random.default_rng(0)
    edges = Pictures([rng.integers(0, 256, (edge, 64, 3), np.uint8) for edge in (64, 40, 48)])
    bad: list[str] = []
    found = evaluate(Upscaler(), edges, features=MeanColour(), patch=48, bad=bad)
    assert [one.name for one in found.pictures] == [edges.names[0], edges.names[2]]
    (said,) = bad
    assert "'faces/001.png' of 'memory' is 64x40 pixels; expected at least 48x48" in said
    bad.clear()
    assert evaluate(Upscaler(), edges, features=None, patch=48, bad=bad).count == 3
    assert bad == []


def test_examples_are_the_best_and_the_worst(fake: Evaluation, source: Pictures) -> None:
    """With the scores, the pixels and the numbers of their pictures."""
    ranked = sorted(fake.pictures, key=lambda picture: -picture.psnr)
    chosen = {example.title: example.score for example in fake.examples}
    assert chosen == {
        "best": ranked[0],
        "second best": ranked[1],
        "third best": ranked[2],
        "second worst": ranked[3],
        "worst": ranked[4],
    }
    bicubic = evaluate(BicubicUpscaler(Degradation(SCALE)), source, features=None)
    for example in fake.examples:
        assert fake.pictures[example.place] == example.score
        assert example.size == (32, 24)
        np.testing.assert_array_equal(np.asarray(example.truth), source.pictures[example.place])
        error = np.asarray(example.result, float) - source.pictures[example.place]
        psnr = 10 * np.log10(255**2 / np.mean(error**2))
        assert psnr == pytest.approx(example.score.psnr)
        expected = bicubic.pictures[example.place].psnr
        assert example.bicubic_psnr == pytest.approx(expected, abs=1e-6)


def test_examples_are_few_whatever_the_number_of_pictures(source: Pictures) -> None:
    """Memory holds no more than may be shown; the chosen ones are the same for every model."""
    many = Pictures([np.roll(source.pictures[0], number, 1) for number in range(40)])
    found = evaluate(Upscaler(), many, features=None, batch_size=7)
    titles = [example.title for example in found.examples]
    assert titles[:6] == ["worst", "second worst", "third worst", "best", *titles[4:6]]
    assert 3 <= titles.count("random") <= 9
    assert len(titles) == len({example.place for example in found.examples})
    ranked = sorted(range(40), key=lambda place: found.pictures[place].psnr)
    assert [one.place for one in found.examples[:3]] == ranked[:3]
    assert [one.place for one in found.examples[3:6]] == ranked[:-4:-1]
    other = evaluate(BicubicUpscaler(Degradation(SCALE)), many, features=None)
    shown = [{one.place for one in each.examples} for each in (found, other)]
    assert len(shown[0] & shown[1]) >= 9


def test_of_large_pictures_the_middle_is_shown() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 410, 3), dtype=np.uint8)
    found = evaluate(BicubicUpscaler(Degradation(8)), Pictures([picture]), features=None)
    (example,) = found.examples
    assert example.size == (408, 296)
    assert example.truth.size == example.result.size == example.bicubic.size == (256, 256)
    assert example.low_res.size == (32, 32)
    # 51x37 pixels of the input, of which 32x32 are kept, from (9, 2) on.
    np.testing.assert_array_equal(np.asarray(example.truth), picture[16:272, 72:328])


def test_several_samples_tell_what_their_deviation_holds(fake: Evaluation) -> None:
    """Normal errors of three samples, each independent of the mean of all pictures."""
    levels = [one.level for one in fake.reliability]
    assert levels == sorted(levels)
    assert levels[-1] == 0.99
    assert all(one.calibrated is None for one in fake.reliability)
    found = [one.uncalibrated.value for one in fake.reliability]
    assert found == sorted(found)
    assert 0 < found[0] < found[-1] < 1
    assert fake.legend is not None
    assert not fake.legend.is_calibrated
    for example in fake.examples:
        assert example.spread is not None
        # Three samples of the noise 0.05 on [0, 1], whose deviation they underestimate.
        assert example.spread.mean() == pytest.approx(0.05 * 0.886, rel=0.15)


def test_json_holds_the_contract(fake: Evaluation) -> None:
    found = json.loads(fake.model_dump_json())
    assert {"count", "psnr", "ssim", "consistency", "nfe", "seconds_per_image", "protocol"} <= set(
        found
    )
    for metric in (
        "psnr",
        "ssim",
        "consistency",
        "colour_drift",
        "kid_efflite0",
        "fd_efflite0",
        "diversity",
    ):
        assert set(found[metric]) == {"value", "low", "high"}
        assert found[metric]["low"] <= found[metric]["value"] <= found[metric]["high"]
    assert "pictures" not in found
    assert found["psnr"]["value"] == pytest.approx(
        np.mean([picture.psnr for picture in fake.pictures])
    )


def test_an_evaluation_survives_json(fake: Evaluation) -> None:
    again = Evaluation.model_validate_json(fake.model_dump_json())
    left_out: dict[str, Any] = {"pictures": (), "examples": (), "legend": None, "shares": {}}
    assert again == fake.model_copy(update=left_out)


def test_report_folder(fake: Evaluation, tmp_path: Path) -> None:
    folder = fake.write(tmp_path / "deep" / "report")
    assert {file.name for file in folder.iterdir()} == {
        "report.json",
        "report.md",
        "per_picture.csv",
        "comparison.png",
        "index.html",
        "pictures",
    }
    assert {int(one.name) for one in (folder / "pictures").iterdir()} == {0, 1, 2, 3, 4}
    for example in fake.examples:
        for name in ("low_res", "bicubic", "result", "truth"):
            with Image.open(folder / "pictures" / str(example.place) / f"{name}.png") as picture:
                np.testing.assert_array_equal(picture, getattr(example, name))
    assert Evaluation.model_validate_json((folder / "report.json").read_text()).psnr == fake.psnr
    rows = list(csv.DictReader((folder / "per_picture.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == [picture.name for picture in fake.pictures]
    assert [float(row["psnr"]) for row in rows] == [picture.psnr for picture in fake.pictures]
    text = (folder / "report.md").read_text()
    assert f"| psnr | {fake.psnr} | dB, all channels |" in text
    assert "sigma 1.5" in text
    with Image.open(folder / "comparison.png") as picture:
        assert picture.width > 4 * 256
        assert picture.height > 2 * 200
    assert [file.name for file in folder.parent.iterdir()] == ["report"]  # nothing left over


def test_names_of_strangers_do_nothing_in_a_report(fake: Evaluation, tmp_path: Path) -> None:
    first, *others = fake.pictures
    named = first.model_copy(update={"name": "=cmd|'/C calc'!A1.png"})
    data = "a `b`\n# c.tar"
    folder = fake.model_copy(update={"pictures": (named, *others), "data": data}).write(
        tmp_path / "r"
    )
    rows = list(csv.DictReader((folder / "per_picture.csv").read_text().splitlines()))
    assert rows[0]["name"] == "'=cmd|'/C calc'!A1.png"
    lines = (folder / "report.md").read_text().splitlines()
    assert "Data: ``a `b` # c.tar``. Brackets: 95 % intervals." in lines


def test_a_report_replaces_only_reports_and_only_if_told(fake: Evaluation, tmp_path: Path) -> None:
    folder = fake.write(tmp_path / "report")
    with pytest.raises(UsageError, match="exists already"):
        fake.write(folder)
    (folder / "old").touch()
    fake.write(folder, overwrite=True)
    assert not (folder / "old").exists()
    other = tmp_path / "photographs"
    other.mkdir()
    check_report_folder(other)  # an empty folder will do
    (other / "holiday.png").touch()
    with pytest.raises(UsageError, match="holds no report"):
        fake.write(other, overwrite=True)
    assert (other / "holiday.png").exists()


def test_a_report_that_cannot_be_written_says_so(fake: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SR4Error, match="cannot be written"):
        fake.write(tmp_path / "file" / "report")


class Broken(Upscaler):
    def __init__(self, result: np.ndarray) -> None:
        super().__init__()
        self.result = result

    def sample(self, low_res: np.ndarray, **_: Any) -> np.ndarray:
        return np.broadcast_to(self.result, (len(low_res), *self.result.shape))


def test_results_that_are_no_pictures_are_refused(source: Pictures) -> None:
    with pytest.raises(ModelError, match="not finite"):
        evaluate(Broken(np.full((3, 24, 32), np.nan)), source, features=None)
    with pytest.raises(ModelError, match=r"\(5, 3, 12, 16\); expected \(5, 3, 24, 32\)"):
        evaluate(Broken(np.zeros((3, 12, 16))), source, features=None)


def test_impossible_settings_are_refused_before_sampling(source: Pictures) -> None:
    model = Upscaler()
    for wrong in ({"samples": 0}, {"batch_size": 0}, {"seed": -1}, {"limit": 0}):
        with pytest.raises(UsageError):
            evaluate(model, source, features=None, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown sampler"):
        evaluate(model, source, sampler="unknown", features=None)
    assert model.calls == []


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(DataError, match=r"damaged\.png"):
        evaluate(Upscaler(), open_source(tmp_path), features=None)


def test_held_out_faces_score_what_the_design_says(shared: Path) -> None:
    """Bicubic 16 to 128: 24.1 dB and 32.6 on the first hundred; 24.8 dB when projected."""
    faces = open_source(shared / "data" / "faces128" / "test.tar")
    plain = evaluate(BicubicUpscaler(Degradation(8)), faces, limit=100, features=None)
    projected = evaluate(
        BicubicUpscaler(Degradation(8), project=True), faces, limit=100, features=None
    )
    assert plain.psnr.value == pytest.approx(24.1, abs=0.05)
    assert plain.consistency.value == pytest.approx(32.6, abs=0.1)
    assert projected.psnr.value == pytest.approx(24.8, abs=0.05)
