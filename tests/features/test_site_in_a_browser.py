"""The page of `sr4 export --format web` in Chromium: the pictures that `sr4 upscale` gives."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.web.site import SiteReport, export_site
from tests.cli.conftest import Outcome
from tests.features.browser import Tab, tab

EXAMPLE = Path(__file__).parents[2] / "examples" / "astronaut-16.png"
DIAL = "dial"  # a model whose detail can be chosen
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
MOST = 10  # values that may be off, by one level, of a result of 128x128 pixels
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Served:
    """A site on a server of its own, which notes what is asked of it."""

    url: str
    paths: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site(
    page_tools: Path,
    make_model: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> SiteReport:
    pytest.importorskip("onnxscript")
    from sr4.model.export import export_model

    place = tmp_path_factory.mktemp("site")
    export_model(make_model(place, mean_output=True), place / DIAL)
    models = ["photo-x4", "sr4-fast", str(place / DIAL)]
    return export_site(models, place / "out", runtime=page_tools / "node_modules")


@contextmanager
def serving(folder: Path, headers: Mapping[str, str]) -> Iterator[Served]:
    """A server of a folder, whose answers have some headers more."""
    paths: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_: object) -> None:
            paths.append(self.path)

        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}", paths)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def served(site: SiteReport) -> Iterator[Served]:
    with serving(site.folder, {}) as one:
        yield one


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Tab]:
    with tab(browser, served.url) as one:
        load(one)
        yield one


def load(tab: Tab) -> None:
    tab.page.goto(f"{tab.url}/")
    tab.page.wait_for_selector("#form", state="visible")


def ask(tab: Tab, picture: Path, model: str, **fields: object) -> None:
    """Choose a picture and settings, and start."""
    tab.page.set_input_files("#file", picture)
    tab.page.wait_for_selector("#go:enabled")
    tab.page.select_option("#model", model)
    for name, value in fields.items():
        tab.page.fill(f"#{name}", str(value))
    tab.page.click("#go")


def results(tab: Tab, place: Path) -> list[Bytes]:
    """What is to be downloaded, once it is there."""
    tab.page.wait_for_selector("figure a")
    found = []
    for link in tab.page.query_selector_all("figure a"):
        with tab.page.expect_download() as download:
            link.click()
        path = place / download.value.suggested_filename
        download.value.save_as(path)
        with Image.open(path) as image:
            found.append(np.asarray(image.convert("RGB")))
    return found


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
        (found,) = results(page, tmp_path)
        assert_equal(found, upscaled(run, picture, "sr4-fast", "--seed", number))
        fits = "by less than 0.1 of 255 levels" in page.text("#state")
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
            (found,) = results(page, tmp_path)
            assert_equal(found, upscaled(run, picture, "sr4-fast", "--seed", number))


def test_a_photograph_is_that_of_sr4_upscale(
    page: Tab, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data")
    picture = saved(shrunk(data.chelsea(), 96, 80), tmp_path / "cat.png")
    ask(page, picture, "photo-x4", seed=1)
    (found,) = results(page, tmp_path)
    assert_equal(found, upscaled(run, picture, "photo-x4", "--seed", 1))


@pytest.mark.slow
def test_a_large_photograph_is_drawn_in_the_same_tiles(
    page: Tab, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data")
    picture = saved(shrunk(data.coffee(), 150, 118), tmp_path / "coffee.png")
    ask(page, picture, "photo-x4", seed=2)
    page.until('document.querySelector("#state").textContent.startsWith("Drawing, ")')
    (found,) = results(page, tmp_path)
    assert found.shape[0] * found.shape[1] > 2**18
    assert_equal(found, upscaled(run, picture, "photo-x4", "--seed", 2))


def test_the_model_is_the_one_that_a_picture_calls_for(page: Tab, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    chosen = []
    for picture in (EXAMPLE, saved(noise, tmp_path / "noise.png"), EXAMPLE):
        page.page.set_input_files("#file", picture)
        page.page.wait_for_selector("#go:enabled")
        chosen.append(page.page.input_value("#model"))
    assert chosen == ["sr4-fast", "photo-x4", "sr4-fast"]


def test_samples_and_detail(
    page: Tab, run: Callable[..., Outcome], site: SiteReport, tmp_path: Path
) -> None:
    with Image.open(EXAMPLE) as image:
        picture = saved(np.asarray(image.convert("RGB")), tmp_path / "face.png")
    assert not page.page.is_visible("#detail")
    page.page.select_option("#model", DIAL)
    ask(page, picture, DIAL, seed=3, samples=2, detail=0.4)
    assert page.page.is_visible("#detail")
    found = results(page, tmp_path)
    for number, sample in enumerate(found):
        words = ("--seed", 3 + number, "--detail", 0.4)
        expected = upscaled(run, picture, str(site.folder.parent / DIAL), *words)
        assert_equal(sample, expected)
        (tmp_path / "face-python.png").unlink()
    assert len(found) == 2
    assert np.abs(found[0].astype(int) - found[1]).max() > 1


def test_the_second_visit_fetches_no_model(page: Tab, served: Served, tmp_path: Path) -> None:
    ask(page, EXAMPLE, "sr4-fast")
    first = results(page, tmp_path)
    served.paths.clear()
    load(page)
    ask(page, EXAMPLE, "sr4-fast")
    again = results(page, tmp_path)
    assert served.paths
    assert [one for one in served.paths if one.endswith((".wasm", ".safetensors", ".onnx"))] == []
    assert np.array_equal(first[0], again[0])


def test_a_picture_can_be_given_up(page: Tab, tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    picture = saved(shrunk(data.coffee(), 300, 200), tmp_path / "coffee.png")
    ask(page, picture, "photo-x4")
    page.until('document.querySelector("#state").textContent.startsWith("Drawing, ")')
    page.page.click("#stop")
    page.until('document.querySelector("#state").textContent === "Cancelled"', 2)
    ask(page, EXAMPLE, "photo-x4")  # the worker is free for another
    (found,) = results(page, tmp_path)
    assert found.shape == (64, 64, 3)


def test_an_isolated_page_draws_with_threads(
    browser: Any, site: SiteReport, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    with Image.open(EXAMPLE) as image:
        picture = saved(np.asarray(image.convert("RGB")), tmp_path / "face.png")
    with serving(site.folder, ISOLATED) as served, tab(browser, served.url) as page:
        load(page)
        ask(page, picture, "sr4-fast", seed=4)
        (found,) = results(page, tmp_path)
        assert page.page.evaluate("crossOriginIsolated")
        threads = [one for one in page.page.workers if "/runtime/" in one.url]
        assert bool(threads) == (page.page.evaluate("navigator.hardwareConcurrency") > 1)
    assert_equal(found, upscaled(run, picture, "sr4-fast", "--seed", 4))


def test_what_is_no_picture_is_refused_in_a_line(page: Tab, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    page.page.set_input_files("#file", path)
    page.page.wait_for_selector("#state.wrong")
    assert page.text("#state").startswith("got notes.png, which this browser cannot open; expected")
    assert page.page.is_disabled("#go")


def test_a_damaged_model_is_refused_in_a_line(
    browser: Any, served: Served, site: SiteReport, tmp_path: Path
) -> None:
    (weights,) = site.folder.glob("models/photo-x4/*.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with tab(browser, served.url) as page:
            load(page)
            ask(page, EXAMPLE, "photo-x4")
            page.page.wait_for_selector("#state.wrong")
            assert "than this site was made with" in page.text("#state")
    finally:
        weights.write_bytes(content)
