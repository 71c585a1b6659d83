"""The page of an evaluation: its numbers are those that were found, and text stays text."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.config import Calibration
from sr4.degradation import Degradation
from sr4.evaluation.evaluate import BicubicUpscaler, evaluate
from sr4.evaluation.protocol import SAMPLE_STRIDE
from sr4.evaluation.reading import read_report
from sr4.evaluation.report import Evaluation
from sr4.model.folder import find_model, read_config
from sr4.pictures.pixels import to_array
from sr4.plots.heatmap import heatmap
from sr4.upscaling.intervals import deviation, factor
from tests.evaluation.made_up import SCALE, Pictures, Upscaler
from tests.plots.parsed import Page

pytest.importorskip("skimage")
pytest.importorskip("jinja2")


def calibration() -> Calibration:
    """One that holds for nothing here, but makes intervals."""
    return read_config(find_model("sr4-fast")).calibrations[0]


@pytest.fixture(scope="module")
def evaluation(many: Pictures) -> Evaluation:
    return evaluate(Upscaler(), many, features=None, samples=4, calibration=calibration())


@pytest.fixture(scope="module")
def path(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluation.write(tmp_path_factory.mktemp("page") / "report") / "index.html"


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return Page(path)


def text_of(page: Page) -> str:
    return re.sub(r"\s+", " ", " ".join(page.texts))


def test_it_holds_all_that_it_shows(path: Path, page: Page) -> None:
    assert page.links
    for link in page.links:
        assert link.startswith(("#", "data:image/webp;base64,"))
    sections = {one["id"] for one in page.all("section")}
    assert {link[1:] for link in page.links if link.startswith("#") and "-" not in link} <= sections
    text = path.read_text(encoding="utf-8")
    assert len(re.findall("<script", text)) == 1
    assert not re.search(r"@import|<link|<iframe|fetch\(|import\(|src=\"http", text)
    assert path.stat().st_size < 5_000_000


def test_scores_and_their_intervals_are_told(page: Page, evaluation: Evaluation) -> None:
    text = text_of(page)
    for field, decimals in (("psnr", 2), ("ssim", 3), ("psnr_mean", 2), ("coverage_95", 1)):
        score = evaluation[field]
        assert score is not None
        low, high = f"{score.low:.{decimals}f}", f"{score.high:.{decimals}f}"
        assert f"{score.value:.{decimals}f} [{low}, {high}]" in text


def test_the_protocol_is_told(page: Page, evaluation: Evaluation) -> None:
    text = text_of(page)
    for key in ("runtime", "processor", "versions", "sampling", "degradation", "pixels"):
        assert evaluation.protocol[key] in text
    for note in evaluation.notes:
        assert note in text


def test_the_pictures_are_those_of_the_examples(page: Page, evaluation: Evaluation) -> None:
    images = page.all("img")
    count = min(3, len([one for one in evaluation.examples if one.title == "random"]))
    shown = [*evaluation.examples[: 6 + count]]
    assert len(images) == 4 * len(shown)
    assert all(one["alt"] and one["width"] == "32" and one["height"] == "24" for one in images)
    for at, example in enumerate(shown):
        assert example.spread is not None
        expected = (example.bicubic, example.result, example.truth)
        spread = heatmap(example.spread, 96 / 255)
        for image, picture in zip(images[4 * at : 4 * at + 4], (*expected, spread), strict=True):
            data = (image["src"] or "").partition("base64,")[2]
            with Image.open(io.BytesIO(base64.b64decode(data))) as found:
                np.testing.assert_array_equal(found.convert("RGB"), picture.convert("RGB"))
        assert f"PSNR {example.score.psnr:.2f} dB" in text_of(page)
    ranges = [one for one in page.all("input") if one.get("type") == "range"]
    assert len(ranges) == len(shown)
    assert all(one["aria-label"] for one in ranges)


def test_the_map_is_half_of_the_interval(evaluation: Evaluation, many: Pictures) -> None:
    """As of the samples that were drawn: by the seeds of the picture, at the level of 90 %."""
    model, made_by = Upscaler(), calibration()
    half = factor(made_by, 0.9, 4)
    for example in evaluation.examples[:3]:
        low_res = model.degradation.observe(to_array(many.pictures[example.place])[None])
        seeds = [example.place + number * SAMPLE_STRIDE for number in range(4)]
        drawn = np.concatenate([model.sample(low_res, seeds=[seed]) for seed in seeds])
        spread = drawn.std(axis=0, ddof=1).mean(axis=0) / 2
        expected = half * deviation(spread, smoothing=made_by.smoothing, floor=made_by.floor)
        assert example.spread is not None
        assert example.spread == pytest.approx(expected, rel=1e-4)
    assert evaluation.legend is not None
    assert evaluation.legend.is_calibrated
    assert evaluation.legend.most == 96


def test_coverage_by_level_is_told(page: Page, evaluation: Evaluation) -> None:
    levels = {one.level: one for one in evaluation.reliability}
    coverage = evaluation.coverage_95
    assert levels[0.95].calibrated is not None
    assert 100 * levels[0.95].calibrated.value == pytest.approx(coverage.value)
    assert f"{coverage.value:.1f} %" in text_of(page)
    scale = [one for one in page.tags if one[1].get("class") == "scale"]
    assert len(scale) == 1
    assert "half the 90 % interval, levels of 255" in str(scale[0][1]["aria-label"])


def test_the_worst_cases_are_named(page: Page, evaluation: Evaluation) -> None:
    text = text_of(page)
    worst = sorted(evaluation.pictures, key=lambda one: one.psnr)[:5]
    places = [text.index(f"{one.name} {one.psnr:.2f}") for one in worst]
    assert places == sorted(places)
    best = max(evaluation.pictures, key=lambda one: one.psnr)
    assert f"{best.name} {best.psnr:.2f}" not in text


def test_identifiers_are_there_once(page: Page) -> None:
    found = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(found) == len(set(found))


def test_names_of_strangers_are_text(many: Pictures, tmp_path: Path) -> None:
    nasty = "<img src=x onerror=alert(1)>\n&\"'{{ 7*7 }}.png"
    named = Pictures(many.pictures[:3])
    named.names = [f"{nasty}{at}" for at in range(3)]
    model = Upscaler()
    model.name = f"model {nasty}"
    folder = evaluate(model, named, features=None).write(tmp_path / "report")
    page = Page(folder / "index.html")
    assert len(page.all("img")) == 9
    assert all((one["src"] or "").startswith("data:") for one in page.all("img"))
    assert page.all("script") == [{}]
    assert " ".join(f"{nasty}0".split()) in text_of(page)


def test_names_that_are_no_text_have_a_page(many: Pictures, tmp_path: Path) -> None:
    """As of files whose names are of another encoding, which Python keeps so."""
    named = Pictures(many.pictures[:2])
    named.names = ["a\udcff.png", "b\x07\x00.png"]
    found = evaluate(Upscaler(), named, features=None)
    page = Page(found.write(tmp_path / "report") / "index.html")
    assert "a\\udcff.png" in text_of(page)
    assert [one.name for one in read_report(tmp_path / "report").pictures] == [
        one.name for one in found.pictures
    ]


def test_a_single_picture_without_samples_has_a_page(tmp_path: Path, many: Pictures) -> None:
    model = BicubicUpscaler(Degradation(SCALE))
    found = evaluate(model, many, features=None, limit=1)
    page = Page(found.write(tmp_path / "report") / "index.html")
    assert "bicubic on 1 picture" in page.texts
    sections = [one["id"] for one in page.all("section")]
    assert sections == ["scores", "pictures", "worst", "protocol"]
    assert len(page.all("img")) == 3


def test_pictures_of_one_channel_have_a_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = Pictures([rng.integers(0, 256, (24, 32, 1), dtype=np.uint8) for _ in range(2)])
    found = evaluate(Upscaler(), grey, features=None, samples=2)
    page = Page(found.write(tmp_path / "report") / "index.html")
    assert len(page.all("img")) == 2 * 4


def test_a_large_set_of_large_pictures_makes_a_page_of_bounded_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = Pictures([rng.integers(0, 256, (320, 400, 3), dtype=np.uint8) for _ in range(10)])
    found = evaluate(BicubicUpscaler(Degradation(SCALE)), noise, features=None)
    path = found.write(tmp_path / "report") / "index.html"
    assert 1_000_000 < path.stat().st_size < 5_000_000
    assert re.search(r"the middle (\d+)x\1 of 400x320 pixels", text_of(Page(path)))
