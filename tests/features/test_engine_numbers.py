"""The engine of the browser gives the numbers that Python gives, function by function."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig
from sr4.degradation import Degradation
from sr4.degradation.known import Known
from sr4.diffusion.predictions import PREDICTIONS
from sr4.diffusion.samplers import PictureNoise, reverse_steps
from sr4.diffusion.schedules import CosineSchedule, alpha_sigma
from sr4.evidence.constraint import Constraint
from sr4.evidence.kinds import exact
from sr4.evidence.sets import PixelBox
from sr4.model.diffusion_model import DiffusionModel
from sr4.model.folder import find_model, read_config
from sr4.pictures.pixels import quantise
from sr4.plots.heatmap import heatmap
from sr4.upscaling.drawing import Drawing
from sr4.upscaling.draws import Draw
from sr4.upscaling.recogniser import as_seen, recogniser
from sr4.web import site

Floats = NDArray[np.float32]

EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut-16.png"
DRIVER = Path(__file__).with_name("engine_driver.mjs")


class Refused(Exception):
    """What the engine refuses with a line."""


class Engine:
    """Calls parts of the engine.

    Args:
        parts: all of them, bundled.
    """

    def __init__(self, parts: Path) -> None:
        self._parts = parts

    def __call__(self, call: str, **arguments: Any) -> Any:
        asked, answer = (self._parts.with_name(f"{one}.json") for one in ("asked", "answer"))
        given = {name: as_json(value) for name, value in arguments.items()}
        asked.write_text(json.dumps({"call": call, **given}))
        words = ["node", str(DRIVER), str(self._parts), str(asked), str(answer)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = json.loads(answer.read_text())
        if "refused" in found:
            raise Refused(found["refused"])
        return from_json(found["found"])


def as_json(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    assert value.dtype == np.float32
    return {"shape": value.shape, "data": base64.b64encode(value.tobytes()).decode()}


def from_json(value: Any) -> Any:
    if isinstance(value, dict) and "data" in value:
        return np.frombuffer(base64.b64decode(value["data"]), np.float32).reshape(value["shape"])
    if isinstance(value, dict):
        return {name: from_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [from_json(one) for one in value]
    return value


@pytest.fixture(scope="module")
def engine(page_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    if shutil.which("node") is None:
        pytest.skip("needs node")
    parts = tmp_path_factory.mktemp("engine") / "parts.mjs"
    words = [
        str(page_tools / "node_modules/.bin/esbuild"),
        str(page_tools / "engine/parts.ts"),
        "--bundle",
        "--format=esm",
        f"--outfile={parts}",
    ]
    subprocess.run(words, check=True, capture_output=True)
    return Engine(parts)


def picture(*shape: int, seed: int = 0, spread: float = 0.5) -> Floats:
    random = np.random.default_rng(seed)
    return np.clip(spread * random.standard_normal(shape), -1, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("seed", "shape", "draw", "rows"),
    [
        (0, (3, 128, 128), 0, (0, 128)),
        (7, (3, 16, 24), 1, (0, 16)),
        (2**32 - 1, (1, 300, 40), 0, (100, 290)),
        (2**53 - 1, (3, 260, 33), 3, (250, 260)),
        (2**128 + 12345, (2, 129, 5), 0, (0, 129)),
        (10**50, (3, 64, 64), 2, (0, 64)),
    ],
)
def test_noise_is_that_of_numpy_bit_for_bit(
    engine: Engine, seed: int, shape: tuple[int, ...], draw: int, rows: tuple[int, int]
) -> None:
    start, stop = rows
    found = engine("noise", seed=str(seed), shape=shape, draw=draw, start=start, stop=stop)
    expected = PictureNoise([seed], shape).rows(draw, start, stop)[0]
    assert found.view(np.int32).tolist() == expected.view(np.int32).tolist()


def test_noise_beyond_the_layers_differs_by_the_last_bit_at_most(engine: Engine) -> None:
    """There NumPy takes the logarithm of the C library, whose last bit is not the same in all."""
    shape = (8, 512, 512)
    found = engine("noise", seed="3", shape=shape, draw=0, start=0, stop=512)
    expected = PictureNoise([3], shape).rows(0, 0, 512)[0]
    differ = found != expected
    assert (np.abs(expected) > 3.6541).sum() > 400
    assert differ.sum() <= 20
    assert (np.abs(expected[differ]) > 3.6541).all()
    np.testing.assert_array_max_ulp(found, expected, maxulp=1)


@pytest.mark.parametrize(
    ("scale", "height", "width"),
    [(8, 16, 21), (4, 80, 96), (3, 1, 2), (4, 3, 300), (1, 5, 7), (4, 1, 40_000)],
)
def test_degradation_and_its_inverse(engine: Engine, scale: int, height: int, width: int) -> None:
    degradation = Degradation(scale)
    large, small = picture(3, height * scale, width * scale), picture(3, height, width)
    pairs = [
        (engine("degraded", scale=scale, x=large), degradation(large)),
        (engine("inverted", scale=scale, x=small), degradation.pseudo_inverse(small)),
        (engine("upsampled", scale=scale, x=small), degradation.upsample(small)),
    ]
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (60, 130)])
@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_fit(engine: Engine, height: int, width: int, spread: float) -> None:
    """Small and in tiles, of middle tones and with much that is black or white."""
    x = picture(3, 4 * height, 4 * width, seed=1, spread=spread)
    low_res = np.clip(Degradation(4)(x) * spread, -1, 1).astype(np.float32)
    found = engine("fitted", scale=4, x=x, lowRes=low_res)
    np.testing.assert_allclose(found, Degradation(4).fit(x, low_res), rtol=0, atol=1e-5)


def test_where_no_picture_fits(engine: Engine) -> None:
    """Hard black and white, which is no downscaled picture of anything."""
    low_res = np.where(picture(3, 24, 30, seed=2) > 0, 1, -1).astype(np.float32)
    x = np.clip(Degradation(8).upsample(low_res), -1, 1)
    constraint = Constraint(Degradation(8), PixelBox(low_res, 0))
    expected = constraint.fit(x)
    assert np.abs(expected - Degradation(8).fit(x, low_res)).max() > 0.1
    found = engine("constrained", scale=8, x=x, lowRes=low_res)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_schedule(engine: Engine) -> None:
    schedule = CosineSchedule()
    for steps in (1, 2, 7):
        expected = reverse_steps(schedule.times(steps), schedule)
        levels = [[one.log_snr, one.log_snr_s] for one in expected]
        np.testing.assert_allclose(engine("levels", steps=steps), levels, rtol=0, atol=1e-12)
    given = [-20.0, -1.5, 0.0, 3.0, 20.0]
    found = engine("sigmas", levels=given)
    np.testing.assert_allclose(found, np.transpose(alpha_sigma(np.array(given))), rtol=1e-14)


@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
def test_predictions(engine: Engine, kind: str) -> None:
    output, x_t = picture(3, 4, 5, seed=1), picture(3, 4, 5, seed=2)
    found = engine("implied", kind=kind, output=output, x=x_t, level=1.25)
    expected = PREDICTIONS[kind].x_0(output[None], x_t[None], 1.25)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_pixels_round_halves_to_even_levels(engine: Engine) -> None:
    values = (np.arange(-4, 260, dtype=np.float32) / 2 / 127.5 - 1).reshape(3, 8, 11)
    found = np.array(engine("pixels", x=values), np.uint8).reshape(8, 11, 4)
    assert found[:, :, :3].tolist() == quantise(values).tolist()
    assert (found[:, :, 3] == 255).all()


@pytest.mark.parametrize("count", [2, 5])
def test_where_samples_differ_is_coloured_as_in_python(engine: Engine, count: int) -> None:
    samples = [
        picture(3, 40, 50, seed=number, spread=0.1 * (number + 1)) for number in range(count)
    ]
    found = engine("heat", samples=[as_json(one) for one in samples])
    levels = np.stack([quantise(one) for one in samples]) / 255
    deviation = levels.std(axis=0, ddof=1).mean(axis=2)
    expected = np.asarray(heatmap(deviation.astype(np.float32)))
    shown = np.array(found, np.uint8).reshape(40, 50, 4)
    assert (shown[:, :, 3] == 255).all()
    off = np.abs(shown[:, :, :3].astype(int) - expected).max(axis=2)
    assert (expected.max(axis=2) > 100).any()
    assert np.count_nonzero(off) <= 2  # halves between two colours, in float32 or not
    assert off.max() <= 4


def test_faces_are_told_as_in_python(engine: Engine, tmp_path: Path) -> None:
    """By the weights that a site has, of pictures that are made smaller as Pillow makes them."""
    choice = site._choice(("sr4-fast", "photo-x4"), tmp_path)
    assert choice is not None
    weights = np.fromfile(tmp_path / choice["recogniser"]["path"], np.float32)
    random = np.random.default_rng(6)
    with Image.open(EXAMPLE) as image:
        face = image.convert("RGB")
    given = [np.asarray(face)]
    for width, height in ((16, 17), (21, 32), (32, 16), (30, 30)):
        given.append(np.asarray(face.resize((width, height), Image.Resampling.BICUBIC)))
        given.append(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    found = engine(
        "scores",
        weights=weights.reshape(1, 1, -1),
        pictures=[
            {
                "data": base64.b64encode(one.tobytes()).decode(),
                "width": one.shape[1],
                "height": one.shape[0],
            }
            for one in (np.dstack([one, np.full_like(one[:, :, :1], 255)]) for one in given)
        ],
    )
    expected = [recogniser().score(as_seen(one)) for one in given]
    # Which axis Pillow makes smaller first depends on its version: a level here and there.
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)
    np.testing.assert_allclose(found[:3], expected[:3], rtol=0, atol=1e-4)
    assert max(expected) > 1 > min(expected)


class Products:
    """The network of the driver: 3 or 6 channels of output."""

    name = "products"
    told = "made up, float32"
    is_for_one = False

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs

    def __call__(
        self, x_t: Floats, log_snr: float, upsampled: Floats, known: Floats | None = None
    ) -> Floats:
        told = 0.0 if known is None else float(known[0] @ np.arange(1, 7))
        parts = [0.6 * x_t - 0.3 * upsampled, 0.2 * upsampled][: self._outputs // 3]
        return np.asarray(np.concatenate(parts, 1) + 0.01 * log_snr + 0.03 * told, np.float32)

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array


def config_with(**changes: dict[str, Any]) -> dict[str, Any]:
    """The config of `sr4-fast` with some settings changed, as its file would hold it."""
    config = read_config(find_model("sr4-fast")).model_dump(mode="json")
    for section, values in changes.items():
        config[section] |= values
    return ModelConfig.model_validate(config).model_dump(mode="json")


TOLD_AND_MEAN = {"degradation_aware": True, "mean_output": True, "attention": False}


@pytest.mark.parametrize(
    ("changes", "options", "size"),
    [
        ({}, {"steps": 1}, (16, 16)),
        ({}, {"steps": 4}, (17, 21)),
        ({"objective": {"prediction": "eps", "target": "residual"}}, {"steps": 3}, (9, 2)),
        ({"objective": {"prediction": "x0", "target": "picture"}}, {"steps": 2}, (5, 16)),
        (
            {"objective": {"target": "fitted-residual"}, "network": TOLD_AND_MEAN},
            {"steps": 2, "detail": 0.35},
            (16, 18),
        ),
        (
            {"objective": {"mean_share": 0.1}, "network": TOLD_AND_MEAN},
            {"steps": 3, "detail": 0.0},
            (16, 16),
        ),
        ({"sampling": {"consistency": False, "most_steps": 2}}, {"steps": 9}, (16, 16)),
        ({"objective": {"variance": "small"}}, {"steps": 1, "tile": 128}, (41, 33)),
        ({"network": TOLD_AND_MEAN}, {"steps": 3, "tile": 96, "detail": 0.5}, (41, 35)),
        ({}, {"steps": 1}, (70, 67)),
        ({"network": {"attention": False}}, {"steps": 1}, (70, 67)),
    ],
)
@pytest.mark.filterwarnings("ignore:got . steps for products, which was distilled")
def test_drawing(
    engine: Engine, changes: dict[str, Any], options: dict[str, Any], size: tuple[int, int]
) -> None:
    config = config_with(**changes)
    low_res = picture(3, *size, seed=4)
    found = engine("drawn", config=config, lowRes=low_res, seed=11, **options)
    parsed = ModelConfig.model_validate(config)
    outputs = 6 if parsed.network.has_mean_output else 3
    model = DiffusionModel(parsed, Products(outputs), "products")
    settings = model.sampling(options["steps"], detail=options.get("detail"))
    evidence = exact()
    assert evidence.known == Known(0.0, None, 100.0)
    draw = Draw(low_res, 11, known=evidence.known)
    (expected,) = Drawing(model, settings, options.get("tile")).samples([draw])
    assert bool(found["edge"]) == ("tile" in options or size == (70, 67))
    # At t = 1, x_0 of eps is a difference over an alpha of 4.5e-5.
    tolerance = 1e-3 if parsed.objective.prediction == "eps" else 1e-5
    np.testing.assert_allclose(found["picture"], expected, rtol=0, atol=tolerance)
    row = 0
    for band in found["bands"]:
        assert band["top"] == row
        row += band["rows"].shape[1]
        assert np.array_equal(band["rows"], found["picture"][:, band["top"] : row])
    assert row == (found["picture"].shape[1] if found["edge"] else 0)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"schedule": {"kind": "linear"}}, {}, 'got schedule.kind "linear"; in the browser'),
        ({"sampling": {"sampler": "ddpm"}}, {}, 'got sampling.sampler "ddpm"'),
        (
            {"network": {"mean_output": False}},
            {"detail": 0.5},
            "got a detail of 0.5 for a model that makes samples only",
        ),
        ({}, {"detail": 2}, "got a detail of 2; expected a number from 0 to 1"),
        ({}, {"steps": 0}, "got 0 steps; expected a whole number"),
        ({}, {"tile": 100}, "got tiles of 100 pixels; expected a multiple of 16, at least 32"),
    ],
)
def test_what_the_engine_does_not_do_is_refused_in_a_line(
    engine: Engine, changes: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused) as refused:
        engine("drawn", config=config_with(**changes), lowRes=picture(3, 8, 8), seed=0, **options)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
