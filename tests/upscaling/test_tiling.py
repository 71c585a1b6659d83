"""Large pictures in bands and tiles: the same picture as in one piece, whatever the tiles."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.config import SamplingSettings
from sr4.degradation import SizedDegradation, resize
from sr4.diffusion.samplers import PictureNoise
from sr4.errors import UsageError
from sr4.evidence.constraint import Constraint
from sr4.evidence.jpeg import pixel_boxes, standard_tables
from sr4.evidence.sets import LEVEL, ConvexSet, NoiseBox, PixelBox
from sr4.model.diffusion_model import DiffusionModel
from sr4.model.folder import find_model, read_config
from sr4.upscaling import sizing
from sr4.upscaling.load import load
from sr4.upscaling.pipeline import Pipeline
from sr4.upscaling.sizing import ResizedSampling, Resizing
from sr4.upscaling.tiling import BandedSampling, Tiles

Floats = NDArray[np.float32]


class Blur:
    """A network that sees 3 pixels to each side."""

    name = "blur"
    told = "made up, float32"
    is_for_one = False

    def __init__(self) -> None:
        self.largest = 0

    def __call__(self, x_t: Floats, log_snr: float, upsampled: Floats, known: Any = None) -> Floats:
        self.largest = max(self.largest, *x_t.shape[2:])
        height, width = x_t.shape[2:]
        padded = np.pad(x_t, ((0, 0), (0, 0), (3, 3), (3, 3)))
        around = sum(
            padded[:, :, i : i + height, j : j + width] for i in range(7) for j in range(7)
        )
        return np.asarray(0.6 * x_t + 0.02 * around - 0.3 * upsampled, np.float32)

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array


@pytest.fixture
def model() -> DiffusionModel:
    config = read_config(find_model("sr4-fast"))
    network = config.network.model_copy(update={"mean_output": False})
    sampling = SamplingSettings(steps=1, sampler="ddim")
    changes = {"network": network, "sampling": sampling}
    return DiffusionModel(config.model_copy(update=changes), Blur(), "blur")


@pytest.fixture(scope="module")
def low_res() -> Floats:
    random = np.random.default_rng(0)
    return np.clip(0.3 * random.standard_normal((3, 41, 33)), -1, 1).astype(np.float32)


def drawn_in_bands(
    model: DiffusionModel, low_res: Floats, tile: int, overlap: int, **settings: Any
) -> Floats:
    sampling = BandedSampling(
        model, low_res, 5, model.sampling(**settings), tile=tile, overlap=overlap
    )
    bands = list(sampling)
    assert [band.shape[1] for band in bands] == [stop - start for start, stop in sampling.bands]
    return np.concatenate(bands, axis=1)


@pytest.mark.parametrize(
    ("sampler", "steps"), [("ddim", 1), ("ddim", 3), ("dpmpp", 3), ("ddpm", 3)]
)
@pytest.mark.parametrize(("tile", "overlap"), [(128, 32), (96, 48), (160, 16)])
def test_tiles_give_the_picture_that_one_piece_gives(
    model: DiffusionModel, low_res: Floats, sampler: str, steps: int, tile: int, overlap: int
) -> None:
    settings: dict[str, Any] = {"sampler": sampler, "steps": steps, "consistency": False}
    whole = model.sample(low_res[None], seeds=[5], **settings)[0]
    found = drawn_in_bands(model, low_res, tile, overlap, **settings)
    assert model.network.largest == 336  # type: ignore[attr-defined]  # the whole picture's
    assert np.abs(found - whole).max() < 2e-4


@pytest.mark.parametrize("steps", [1, 4])
def test_projected_bands_fit_low_res_and_the_whole_picture(
    model: DiffusionModel, low_res: Floats, steps: int
) -> None:
    whole = model.sample(low_res[None], seeds=[5], steps=steps)[0]
    found = drawn_in_bands(model, low_res, 128, 32, steps=steps)
    # The last projection ends for each band by itself, so that clipped pixels differ a little.
    assert np.mean((found - whole) ** 2) < 4 * 10**-5.5  # 55 dB
    assert np.abs(model.degradation(found) - low_res).max() < 2e-3
    assert (found >= -1).all()
    assert (found <= 1).all()


@pytest.mark.parametrize(("steps", "made"), [(1, 0), (3, 2)])
def test_the_last_step_makes_no_frame(
    model: DiffusionModel,
    low_res: Floats,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    made: int,
) -> None:
    """A band is decoded once, for the result; to encode it before would be work for nothing."""
    count, frame = [0], model.frame

    def counted(*args: Any) -> Any:
        count[0] += 1
        return frame(*args)

    monkeypatch.setattr(model, "frame", counted)
    sampling = BandedSampling(model, low_res, 5, model.sampling(steps=steps), tile=128, overlap=32)
    bands = list(sampling)
    assert count[0] == (made + 1) * len(bands)


def test_no_call_is_larger_than_a_tile(model: DiffusionModel, low_res: Floats) -> None:
    drawn_in_bands(model, low_res, 96, 32, steps=2)
    assert model.network.largest == 96  # type: ignore[attr-defined]


class Failing(Blur):
    """The same, until it has been asked so often."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def __call__(self, *arguments: Any, **others: Any) -> Floats:
        self.left -= 1
        if self.left < 0:
            raise UsageError("enough")
        return super().__call__(*arguments, **others)


@pytest.mark.parametrize("times", [0, 4, 9])
def test_nothing_stays_of_a_picture_whose_network_fails(
    model: DiffusionModel, low_res: Floats, times: int
) -> None:
    """Each step has a thread and bands of its own, of which none waits for a collection."""
    threads = threading.active_count()
    gc.disable()
    try:
        with pytest.raises(UsageError, match="enough"):
            drawn_in_bands(
                DiffusionModel(model.config, Failing(times), "failing"), low_res, 96, 32, steps=4
            )
        assert threading.active_count() == threads
    finally:
        gc.enable()


@pytest.mark.parametrize("length", [80, 96, 100, 112, 176, 1000])
@pytest.mark.parametrize(("edge", "overlap"), [(96, 16), (96, 48)])
def test_weights_add_up_to_one(length: int, edge: int, overlap: int) -> None:
    tiles = Tiles(length, edge, overlap)
    total = np.zeros(length)
    for start, weights in zip(tiles.starts, tiles.weights(), strict=True):
        total[start : start + tiles.size] += weights
        # A tile's border counts only where it is the picture's.
        assert weights[0] == (1 if start == 0 else 0)
        assert weights[-1] == (1 if start + tiles.size == length else 0)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert tiles.starts[-1] + tiles.size == length


def test_rows_of_noise_are_those_of_the_whole() -> None:
    noise = PictureNoise([3, 2**70], (3, 300, 20))
    whole = [noise(), noise()]
    for draw, rows in enumerate(whole):
        assert np.array_equal(noise.rows(draw, 100, 290), rows[:, :, 100:290])
    assert not np.array_equal(whole[0], whole[1])
    blocks = whole[0][0, :, :256].reshape(3, 2, 128, 20)
    assert abs(np.corrcoef(blocks[:, 0].ravel(), blocks[:, 1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(("tile", "overlap"), [(100, 16), (128, 0), (128, 80), (128, 20)])
def test_tiles_that_do_not_fit_are_named(
    model: DiffusionModel, low_res: Floats, tile: int, overlap: int
) -> None:
    with pytest.raises(UsageError, match=f"tiles of {tile} with an overlap of {overlap}"):
        BandedSampling(model, low_res, 0, model.sampling(), tile=tile, overlap=overlap)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", ["jpeg", "noise", "blur"])
def test_bands_have_the_evidence_of_the_whole(model: DiffusionModel, kind: str, steps: int) -> None:
    """Whole blocks take part, wherever the bands end."""
    small = np.random.default_rng(0).uniform(-0.8, 0.8, (3, 9, 7))
    low_res = np.asarray(resize(small, 61, 50), np.float32)
    degradation = model.degradation.blurred(0.5 if kind == "blur" else 0)
    allowed: ConvexSet = NoiseBox(low_res, 0.02)
    if kind == "jpeg":
        allowed = pixel_boxes(low_res, standard_tables(50), (2, 2))
    constraint = Constraint(degradation, allowed)
    options: dict[str, Any] = {"seeds": [5], "steps": steps}
    whole = model.sample(low_res[None], constraints=[constraint], **options)[0]
    sampling = BandedSampling(
        model, low_res, 5, model.sampling(steps), tile=96, overlap=32, constraint=constraint
    )
    found = np.concatenate(list(sampling), axis=1)
    assert np.mean((found - whole) ** 2) < 4 * 10**-5  # 50 dB
    assert np.sqrt(np.mean(constraint.rest(found) ** 2)) < 0.2 * LEVEL
    exact = model.sample(low_res[None], **options)[0]
    assert np.mean((exact - whole) ** 2) > np.mean((found - whole) ** 2)


def check_starts(sampling: BandedSampling | ResizedSampling, *, all_of_them: bool = False) -> None:
    """What begins at any band is what the whole has from there on, bit for bit."""
    whole = list(sampling)
    count = len(sampling.bands)
    assert len(whole) == count > 2
    for first in range(count + 1) if all_of_them else (1, count // 2, count - 1):
        found = list(sampling.bands_from(first))
        assert len(found) == len(whole) - first
        for one, other in zip(found, whole[first:], strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(("tile", "overlap"), [(128, 32), (96, 48), (64, 16), (80, 16)])
@pytest.mark.parametrize(
    ("sampler", "steps"), [("ddim", 1), ("ddim", 4), ("dpmpp", 4), ("ddpm", 3)]
)
def test_bands_may_begin_anywhere(
    model: DiffusionModel, sampler: str, steps: int, tile: int, overlap: int
) -> None:
    random = np.random.default_rng(1)
    low_res = np.clip(0.3 * random.standard_normal((3, 83, 13)), -1, 1).astype(np.float32)
    sampling = BandedSampling(
        model, low_res, 5, model.sampling(steps, sampler), tile=tile, overlap=overlap
    )
    check_starts(sampling, all_of_them=True)


@pytest.mark.parametrize("kind", ["jpeg", "noise", "blur", "none", "hard"])
def test_bands_may_begin_anywhere_under_any_evidence(model: DiffusionModel, kind: str) -> None:
    small = np.random.default_rng(0).uniform(-0.8, 0.8, (3, 12, 7))
    low_res = np.asarray(resize(small, 67, 18), np.float32)
    if kind == "hard":  # which nothing fits
        low_res = np.where(low_res > 0, 1, -1).astype(np.float32)
    degradation = model.degradation.blurred(0.5 if kind == "blur" else 0)
    allowed: ConvexSet = NoiseBox(low_res, 0.02)
    if kind == "jpeg":
        allowed = pixel_boxes(low_res, standard_tables(50), (2, 2))
    if kind == "hard":
        allowed = PixelBox(low_res, LEVEL / 2)
    sampling = BandedSampling(
        model,
        low_res,
        5,
        model.sampling(2, consistency=kind != "none"),
        tile=64,
        overlap=32,
        constraint=Constraint(degradation, allowed),
    )
    check_starts(sampling)


@pytest.mark.parametrize(("high", "constrained"), [((400, 100), True), ((200, 64), False)])
def test_resized_bands_may_begin_anywhere(
    model: DiffusionModel,
    high: tuple[int, int],
    constrained: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sizing, "_BAND_PIXELS", 2**12)
    small = np.random.default_rng(0).uniform(-0.8, 0.8, (3, 12, 7))
    low_res = np.asarray(resize(small, 61, 20), np.float32)
    degradation = SizedDegradation(high, (61, 20))
    constraint = Constraint(degradation, PixelBox(low_res, LEVEL / 2)) if constrained else None
    sampling = BandedSampling(model, low_res, 5, model.sampling(2), tile=96, overlap=32)
    check_starts(ResizedSampling(sampling, Resizing(degradation, constraint)))


@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch"])
def test_bands_of_a_network_may_begin_anywhere(backend: str) -> None:
    """Rounding is that of the same tiles in the same groups."""
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    pipeline = load("photo-x4", backend=backend)
    assert isinstance(pipeline, Pipeline)
    model = pipeline.model
    small = np.random.default_rng(0).uniform(-0.8, 0.8, (3, 12, 9))
    low_res = np.asarray(resize(small, 40, 20), np.float32)
    check_starts(BandedSampling(model, low_res, 5, model.sampling(), tile=64, overlap=16))
