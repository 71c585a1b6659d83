"""How evaluations have pictures drawn: as `sr4 upscale` draws them, and timed without the start."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("skimage")

from sr4.degradation.known import CLEAN
from sr4.evaluation.evaluate import evaluate
from sr4.evaluation.metrics import psnr
from sr4.evaluation.sampling import MOST_PIXELS, in_tiles, is_large
from sr4.evidence.kinds import exact
from sr4.model.diffusion_model import DiffusionModel, load_model
from sr4.pictures.pixels import quantise, to_array
from sr4.upscaling.load import load
from tests.evaluation.made_up import Pictures

SEED = 7


@pytest.fixture
def model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> DiffusionModel:
    """A model whose results above 64x64 pixels are large."""
    for place in ("upscaling.drawing", "evaluation.sampling"):
        monkeypatch.setattr(f"sr4.{place}.LARGE", 64 * 64)
    return load_model(tiny_model, backend="torch")


@pytest.fixture
def large() -> Pictures:
    """Two pictures of 96x104."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (2, 12, 13, 3), dtype=np.uint8)
    return Pictures([one.repeat(8, axis=0).repeat(8, axis=1) for one in coarse])


def low_res_of(model: DiffusionModel, source: Pictures) -> np.ndarray:
    high_res = to_array(np.stack(source.pictures)).astype(np.float64)
    return np.asarray(model.degradation.observe(high_res), np.float32)


def upscaled(model: Path, low_res: np.ndarray, **options: Any) -> list[np.ndarray]:
    """What `sr4 upscale` makes of pictures, each with its own seed."""
    pipeline = load(model, backend="torch")
    return [
        np.asarray(pipeline.upscale(picture, seed=SEED + number, **options).image)
        for number, picture in enumerate(quantise(low_res))
    ]


def test_large_pictures_are_drawn_in_tiles_as_upscaling_does(
    model: DiffusionModel, tiny_model: Path, large: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "sample", only_at_the_start(model))
    found = evaluate(model, large, seed=SEED, consistency=False, features=None)
    made = upscaled(tiny_model, low_res_of(model, large), evidence="none")
    for score, truth, result in zip(found.pictures, large.pictures, made, strict=True):
        expected = psnr(*(np.moveaxis(one, -1, 0)[None] / 255 for one in (truth, result)))
        assert score.psnr == pytest.approx(float(expected[0]), abs=1e-9)
    assert found.protocol["sampling"].endswith("pixels in tiles, as sr4 upscale")


def only_at_the_start(model: DiffusionModel) -> Any:
    """Whole pictures, of one tile at most, are drawn to start the runtime alone."""
    sample = model.sample

    def watched(low_res: np.ndarray, **options: Any) -> np.ndarray:
        assert options["steps"] == 1
        assert low_res.shape == (1, 3, 16, 16)
        return sample(low_res, **options)

    return watched


def test_what_is_known_of_large_pictures_reaches_their_tiles(
    model: DiffusionModel, tiny_model: Path, large: Pictures
) -> None:
    low_res = low_res_of(model, large)
    assert is_large(np.stack(large.pictures).transpose(0, 3, 1, 2))
    said = exact(known=CLEAN)
    evidence = {
        "constraints": [said.constraint(one, model.degradation) for one in low_res],
        "known": [said.known, said.known],
    }
    seeds = [SEED, SEED + 1]
    told: list[tuple[int, int]] = []

    def on_step(place: int) -> Any:
        return lambda step: told.append((place, step.number))

    drawn = in_tiles(model, model.sampling(consistency=True), low_res, seeds, evidence, on_step)
    made = upscaled(tiny_model, low_res, evidence="exact")
    assert np.array_equal(quantise(drawn), np.stack(made))
    assert {place for place, _ in told} == {0, 1}


def test_progress_of_large_pictures_only_rises(model: DiffusionModel, large: Pictures) -> None:
    done: list[float] = []
    evaluate(
        model,
        large,
        samples=2,
        consistency=False,
        features=None,
        on_progress=lambda now, _: done.append(now),
    )
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 2)
    assert len(set(done)) > 6


def test_small_pictures_are_drawn_whole(model: DiffusionModel) -> None:
    small = Pictures([np.full((64, 64, 3), 90 + one, np.uint8) for one in range(3)])
    found = evaluate(model, small, consistency=False, features=None)
    assert "tiles" not in found.protocol["sampling"]


def test_the_start_of_the_runtime_is_not_timed(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    sample = model.sample

    def slow_at_first(low_res: np.ndarray, **options: Any) -> np.ndarray:
        calls.append({"count": len(low_res), "steps": options["steps"]})
        if len(calls) == 1:
            time.sleep(3)
        return sample(low_res, **options)

    monkeypatch.setattr(model, "sample", slow_at_first)
    small = Pictures([np.full((32, 32, 3), 90 + one, np.uint8) for one in range(3)])
    found = evaluate(model, small, batch_size=2, consistency=False, features=None)
    assert 0 < found.seconds_per_image * 3 < 3
    # Of the shape of the first batch, which some runtimes compile for.
    assert calls == [{"count": 2, "steps": one} for one in (1, None)] + [
        {"count": 1, "steps": None}
    ]


def test_a_batch_holds_no_more_pixels_than_that_of_faces() -> None:
    assert MOST_PIXELS == 50 * 128**2
