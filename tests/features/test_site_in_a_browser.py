"""The page of `sr4 export --format web` in Chromium: the pictures that `sr4 upscale` gives."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("httpx")

from sr4.plots.heatmap import heatmap
from sr4.web.site import SiteReport
from tests.cli.conftest import Outcome
from tests.features.browser import REFUSED, Tab, tab
from tests.features.homes import DIAL, Home, dial, exported, serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut-16.png"
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
MOST = 10  # values that may be off, by one level, of a result of 128x128 pixels
FITS = "Downscaled, this is your picture again: off by less than 0.1 of 255 levels."
WATCH = """(() => {
    window.told = [];
    const line = document.getElementById("status-text");
    const pixel = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    new MutationObserver(() => {
        const canvas = document.querySelector(".pane canvas");
        pixel.clearRect(0, 0, 1, 1);
        if (canvas !== null) pixel.drawImage(canvas, 0, canvas.height - 1, 1, 1, 0, 0, 1, 1);
        told.push([line.textContent, pixel.getImageData(0, 0, 1, 1).data[3] === 255]);
    }).observe(line, {childList: true, characterData: true, subtree: true});
})()"""  # what the line of the state says, and whether the last row was there
Bytes = NDArray[np.uint8]


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SiteReport:
    place = tmp_path_factory.mktemp("site")
    models = ["photo-x4", "sr4-fast", str(dial(request, place))]
    return exported(request, models, place / "out")


@pytest.fixture(scope="module")
def served(site: SiteReport) -> Iterator[Home]:
    with serving(site.folder, {}) as one:
        yield one


@pytest.fixture
def page(browser: Any, served: Home) -> Iterator[Tab]:
    with tab(browser, served.url) as one:
        one.open()
        yield one


def ask(tab: Tab, picture: Path, model: str, *, samples: int = 1, **fields: object) -> None:
    """Choose settings and a picture."""
    tab.page.select_option("#model", model)
    tab.page.check(f"#samples-{samples}", force=True)
    for name, value in fields.items():
        tab.page.fill(f"#{name}", str(value))
    tab.give(str(picture))


def result(tab: Tab) -> Bytes:
    """The picture that is looked at, as it is downloaded, once it is there."""
    tab.until_done()
    with tab.page.expect_download() as download:
        tab.page.click("#download")
    with Image.open(download.value.path()) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def saved(pixels: Bytes, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def shrunk(pixels: Bytes, width: int, height: int) -> Bytes:
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(small)


def upscaled(run: Callable[..., Outcome], picture: Path, model: str, *words: object) -> Bytes:
    """What `sr4 upscale` gives on ONNX Runtime for a picture whose pixels are evidence."""
    out = picture.with_name(f"{picture.stem}-python.png")
    options = ["--model", model, "--backend", "onnx", "--evidence", "exact"]
    done = run("upscale", picture, "-o", out, *options, *words)
    assert done.code == 0, done.err
    with Image.open(out) as image:
        return np.asarray(image.convert("RGB"))


def assert_equal(found: Bytes, expected: Bytes) -> None:
    assert found.shape == expected.shape
    away = np.abs(found.astype(int) - expected)
    assert away.max() <= 1
    assert np.count_nonzero(away) <= MOST * max(1, found.size / (128 * 128 * 3))


def faces() -> list[Bytes]:
    """Small pictures of faces, of several sizes and kinds."""
    data = pytest.importorskip("skimage.data")
    astronaut = data.astronaut()
    with Image.open(EXAMPLE) as image:
        example = np.asarray(image.convert("RGB"))
    random = np.random.default_rng(5)
    return [
        example,
        shrunk(astronaut[0:200, 130:330], 16, 16),
        shrunk(astronaut[10:190, 140:310], 21, 24),
        shrunk(astronaut[0:256, 100:356], 32, 32),
        shrunk(random.integers(0, 256, (5, 5, 3), dtype=np.uint8), 16, 16),
        random.choice(np.array([0, 255], np.uint8), (17, 16, 3)),  # no picture fits it
    ]


def test_six_faces_are_those_of_sr4_upscale(
    page: Tab, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    for number, face in enumerate(faces()):
        picture = saved(face, tmp_path / f"face-{number}.png")
        ask(page, picture, "sr4-fast", seed=number)
        assert_equal(result(page), upscaled(run, picture, "sr4-fast", "--seed", number))
        fits = page.text("#promise-text") == FITS
        assert fits == (number < 5)  # no picture fits the last one


def test_faces_of_the_test_set_are_those_of_sr4_upscale(
    page: Tab, run: Callable[..., Outcome], shared: Path, tmp_path: Path
) -> None:
    with tarfile.open(shared / "data" / "faces128" / "test.tar") as tar:
        for number, member in enumerate(tar.getmembers()[:6]):
            file = tar.extractfile(member)
            assert file is not None
            with Image.open(io.BytesIO(file.read())) as image:
                face = shrunk(np.asarray(image.convert("RGB")), 16, 16)
            picture = saved(face, tmp_path / f"{number}.png")
            ask(page, picture, "sr4-fast", seed=number)
            assert_equal(result(page), upscaled(run, picture, "sr4-fast", "--seed", number))


def test_a_photograph_is_that_of_sr4_upscale(
    page: Tab, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data")
    picture = saved(shrunk(data.chelsea(), 96, 80), tmp_path / "cat.png")
    ask(page, picture, "photo-x4", seed=1)
    assert_equal(result(page), upscaled(run, picture, "photo-x4", "--seed", 1))


@pytest.mark.slow
def test_a_large_photograph_is_drawn_in_the_same_tiles_and_shown_as_they_are_done(
    page: Tab, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data")
    picture = saved(shrunk(data.coffee(), 100, 200), tmp_path / "coffee.png")
    ask(page, picture, "photo-x4", seed=2)
    page.until('document.querySelector("#status-text").textContent.startsWith("Drawing, ")')
    page.page.evaluate(WATCH)
    page.until("document.querySelector('.pane canvas') !== null")
    address = page.page.evaluate("document.querySelector('.pane canvas').toDataURL()")
    found = result(page)
    assert found.shape[0] * found.shape[1] > 2**18
    assert_equal(found, upscaled(run, picture, "photo-x4", "--seed", 2))
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        emerging = np.asarray(image)
    rows = np.flatnonzero(emerging[:, 0, 3])
    assert emerging.shape[:2] == found.shape[:2]
    assert 0 < len(rows) < len(found)
    assert np.array_equal(emerging[rows, :, :3], found[rows])  # of the result itself
    assert page.page.locator(".pane canvas").count() == 0
    told = page.page.evaluate("told")
    assert sum(text.startswith("Drawing, ") for text, _ in told) > 3
    assert not any("100" in text for text, _ in told)
    assert all(is_whole for text, is_whole in told if text == "Finishing")


def test_the_model_is_the_one_that_a_picture_calls_for(page: Tab, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for picture, model in (
        (EXAMPLE, "sr4-fast"),
        (saved(noise, tmp_path / "noise.png"), "photo-x4"),
    ):
        ask(page, picture, "auto")
        page.until_done()
        assert model in page.text("#facts")


def test_samples_detail_and_where_they_differ(
    page: Tab, run: Callable[..., Outcome], site: SiteReport, tmp_path: Path
) -> None:
    with Image.open(EXAMPLE) as image:
        picture = saved(np.asarray(image.convert("RGB")), tmp_path / "face.png")
    page.page.select_option("#model", DIAL)
    ask(page, picture, DIAL, samples=2, seed=3, detail=0.4)
    page.until_done()
    found = []
    for number in range(2):
        page.page.click(f"#grid button:nth-child({number + 1})")
        found.append(result(page))
        words = ("--seed", 3 + number, "--detail", 0.4)
        expected = upscaled(run, picture, str(site.folder.parent / DIAL), *words)
        assert_equal(found[-1], expected)
        (tmp_path / "face-python.png").unlink()
    assert np.abs(found[0].astype(int) - found[1]).max() > 1
    page.page.click("#uncertainty")
    page.until("document.getElementById('heat').naturalWidth > 0")
    seen = page.page.evaluate(
        "(() => { const heat = document.getElementById('heat');"
        "const drawing = new OffscreenCanvas(heat.naturalWidth, heat.naturalHeight)"
        ".getContext('2d'); drawing.drawImage(heat, 0, 0);"
        "return [...drawing.getImageData(0, 0, heat.naturalWidth, heat.naturalHeight).data]; })()"
    )
    deviation = np.std(np.stack(found) / 255, axis=0, ddof=1).mean(axis=2)
    expected = np.asarray(heatmap(deviation.astype(np.float32)))
    shown = np.array(seen, np.uint8).reshape(*expected.shape[:2], 4)[:, :, :3]
    off = np.abs(shown.astype(int) - expected).max(axis=2)
    assert np.mean(off > 0) < 0.01  # where a level lies between two colours
    assert off.max() <= 4


def test_the_second_visit_fetches_no_model(page: Tab, served: Home) -> None:
    ask(page, EXAMPLE, "sr4-fast")
    first = result(page)
    served.paths.clear()
    page.open()
    ask(page, EXAMPLE, "sr4-fast")
    again = result(page)
    assert served.paths
    assert [one for one in served.paths if one.endswith((".wasm", ".safetensors", ".onnx"))] == []
    assert np.array_equal(first, again)


def test_a_link_of_the_service_gives_what_a_site_has(browser: Any, served: Home) -> None:
    wanted = f"#seed=3&evidence=jpeg&width=96&format=tiff&sha256={'0' * 64}&name=face.png"
    with tab(browser, served.url) as one:
        one.open(wanted)
        assert "those known here are filled in" in one.text("#wanted-text")
        assert one.page.input_value("#seed") == "3"
        assert one.page.locator("#size-by, #evidence, #format").count() == 0
        assert not one.page.is_visible("#download-format")
        assert "use sr4 upscale" in one.text("#form")
        one.give(str(EXAMPLE))
        one.until_done()
        assert "16 × 16 to 128 × 128" in one.text("#facts")
        assert one.text("#promise-text") == FITS


def test_what_is_transparent_is_laid_on_white_and_said(page: Tab, tmp_path: Path) -> None:
    with Image.open(EXAMPLE) as image:
        face = image.convert("RGBA")
    face.paste((0, 0, 0, 0), (0, 0, 4, 4))
    face.save(tmp_path / "clear.png")
    ask(page, tmp_path / "clear.png", "photo-x4")
    assert result(page)[:12, :12].min() > 220
    assert page.text("#notes") == "its transparent parts were laid on white"


def test_a_picture_can_be_given_up(page: Tab, tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    picture = saved(shrunk(data.coffee(), 300, 200), tmp_path / "coffee.png")
    ask(page, picture, "photo-x4")
    page.until('document.querySelector("#status-text").textContent.startsWith("Drawing, ")')
    page.page.click("#cancel")
    page.until("document.querySelector('#strip .cancelled') !== null", 2)
    ask(page, EXAMPLE, "photo-x4")  # the worker is free for another
    assert result(page).shape == (64, 64, 3)


def test_an_isolated_page_draws_with_threads(
    browser: Any, site: SiteReport, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    with Image.open(EXAMPLE) as image:
        picture = saved(np.asarray(image.convert("RGB")), tmp_path / "face.png")
    with serving(site.folder, ISOLATED) as served, tab(browser, served.url) as page:
        page.open()
        ask(page, picture, "sr4-fast", seed=4)
        found = result(page)
        assert page.page.evaluate("crossOriginIsolated")
        threads = [one for one in page.page.workers if "/runtime/" in one.url]
        assert bool(threads) == (page.page.evaluate("navigator.hardwareConcurrency") > 1)
    assert_equal(found, upscaled(run, picture, "sr4-fast", "--seed", 4))


def test_what_is_no_picture_is_refused_in_a_line(page: Tab, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    page.give(str(path))
    page.page.wait_for_selector("#ended", state="visible")
    said = page.text("#ended-text")
    assert said.startswith("Got notes.png, which this browser cannot open; expected")


def test_a_damaged_model_is_refused_in_a_line(browser: Any, served: Home, site: SiteReport) -> None:
    (weights,) = site.folder.glob("models/photo-x4/*.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with tab(browser, served.url) as page:
            page.open()
            ask(page, EXAMPLE, "photo-x4")
            page.page.wait_for_selector("#ended", state="visible")
            assert "than this site was made with" in page.text("#ended-text")
    finally:
        weights.write_bytes(content)


def test_a_worker_that_does_not_start_is_said_and_started_again(
    browser: Any, served: Home, site: SiteReport
) -> None:
    (script,) = site.folder.glob("assets/worker-*.js")
    away = script.rename(script.with_suffix(".away"))
    try:
        with tab(browser, served.url) as page:
            page.open()
            for count in (1, 2):  # the second one has no worker to wait for
                ask(page, EXAMPLE, "photo-x4")
                page.until(f"document.querySelectorAll('#strip .failed').length === {count}")
                assert page.text("#ended-text").startswith(f"Got no worker of {script.name}")
            away.rename(script)
            page.page.click("#retry")
            assert result(page).shape == (64, 64, 3)
    finally:
        if away.exists():
            away.rename(script)


def test_a_web_server_that_is_gone_and_comes_back(browser: Any, served: Home) -> None:
    with tab(browser, served.url) as one:
        one.page.route("**/site.json", lambda route: route.abort())
        one.page.goto(served.url)
        one.page.wait_for_selector("#offline", state="visible")
        assert one.text("#server") == "Site not reached"
        assert one.text("#offline").startswith("This page cannot load its models")
        one.page.unroute_all()
        one.page.wait_for_selector(".server.ready")
        one.page.click(".mosaic")
        one.until_done()
        one.forgive(REFUSED)


def test_without_a_web_server_it_says_what_it_needs(browser: Any, site: SiteReport) -> None:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto((site.folder / "index.html").as_uri())
        assert "This page works from a web server only" in page.inner_text("body")
        assert not page.is_visible("#main")
    finally:
        context.close()
