"""The page as people meet it, of `sr4 serve` and of sites: in Chromium, with mouse or finger."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from sr4.degradation import Degradation
from sr4.model.folder import read_config, shipped_models
from sr4.serve.pages import FOLDER
from tests.features.browser import REFUSED, Tab, tab
from tests.features.homes import KINDS, PLAIN, Home, home, plain
from tests.features.service_process import Running, encoded, running, upscaled

FACE = FOLDER / "examples" / "astronaut.png"
NARROW = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
Open = Callable[..., Tab]


@pytest.fixture(scope="module", params=KINDS)
def where(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    place = tmp_path_factory.mktemp("page")
    models = ["photo-x4", "sr4-fast", str(plain(request, place))]
    with home(request, models, place) as one:
        yield one


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running("--model", "auto", "--model", "sr4-fast") as one:
        yield one


def opener(browser: Any, url: str) -> Iterator[Open]:
    opened = []

    def make(hash_: str = "", **options: Any) -> Tab:
        opened.append(tab(browser, url, **options))
        one = opened[-1].__enter__()
        one.open(hash_)
        return one

    yield make
    for one in opened:
        one.__exit__(None, None, None)


@pytest.fixture
def open_tab(browser: Any, where: Home) -> Iterator[Open]:
    """Opens the page: `open_tab(color_scheme="dark")`."""
    yield from opener(browser, where.url)


@pytest.fixture
def open_service(browser: Any, service: Running) -> Iterator[Open]:
    """Opens the page of the service."""
    yield from opener(browser, service.url)


@pytest.fixture
def face(open_tab: Open) -> Tab:
    """The page with the result of the example."""
    one = open_tab()
    one.page.click(".mosaic")
    one.until_done()
    return one


def picture(side: int, name: str) -> dict[str, Any]:
    """A file to choose."""
    return {"name": name, "mimeType": "image/png", "buffer": encoded(side, side)}


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def downloaded(one: Tab, name: str = "astronaut_sr4.png") -> bytes:
    """The file that the page saves, under that name."""
    with one.page.expect_download() as download:
        one.page.click("#download")
    assert download.value.suggested_filename == name
    return Path(download.value.path()).read_bytes()


def consistency(given: Path, result: bytes) -> float:
    """How far a result is off once it is made small again, in levels of 255."""
    small, large = (
        np.moveaxis(pixels(data), 2, 0).astype(np.float32) for data in (given.read_bytes(), result)
    )
    seen = Degradation(large.shape[1] // small.shape[1])(large)
    return float(np.sqrt(np.mean((seen - small) ** 2)))


def slid(one: Tab) -> float:
    """Percent of the slider that show the picture before."""
    return float(one.page.evaluate("document.getElementById('slider').value"))


def after_reveal(one: Tab) -> None:
    one.until("document.getElementById('slider').value === 50")


def test_a_face_becomes_a_picture_that_keeps_its_promise(face: Tab, tmp_path: Path) -> None:
    assert face.text("#title") == "astronaut.png"
    assert "16 × 16 to 128 × 128" in face.text("#facts")
    assert "sr4-fast" in face.text("#facts")
    shown = face.page.evaluate(
        "[...document.querySelectorAll('#before, #after')].map(one => one.naturalWidth)"
    )
    assert shown == [16, 128]
    made = upscaled(FACE, tmp_path, "--json")
    levels = consistency(FACE, made["astronaut.png"])
    assert levels < 0.1
    said = "Downscaled, this is your picture again: off by less than 0.1 of 255 levels."
    assert face.text("#promise-text") == said
    saved = downloaded(face, "astronaut_sr4.png")
    # The service computes on OpenVINO, where it is installed, in bfloat16; the command, for a small
    # picture, on ONNX Runtime in float32.
    off = np.abs(pixels(saved) - pixels(made["astronaut.png"]))
    assert off.max() <= 2
    assert np.mean(off > 1) < 1e-3
    assert consistency(FACE, saved) < 0.1


def test_the_slider_follows_mouse_and_keys(face: Tab) -> None:
    after_reveal(face)
    box = face.page.locator("#slider").bounding_box()
    middle = box["y"] + box["height"] / 2
    face.page.mouse.move(box["x"] + box["width"] / 2, middle)
    face.page.mouse.down()
    face.page.mouse.move(box["x"] + box["width"] / 4, middle)
    face.page.mouse.up()
    assert slid(face) == pytest.approx(25, abs=1)
    assert face.page.get_attribute("#slider", "aria-valuenow") == str(round(slid(face)))
    for key, value in (("End", 100), ("Home", 0), ("ArrowRight", 2), ("PageUp", 12)):
        face.page.press("#slider", key)
        assert slid(face) == value


def test_zoom_and_pan(face: Tab) -> None:
    after_reveal(face)

    def place() -> Any:
        return face.page.evaluate("document.getElementById('after').getBoundingClientRect()")

    fitted = place()
    face.page.press("#slider", "1")
    assert (face.text("#zoom-now"), place()["width"]) == ("100 %", 128)
    face.page.press("#slider", "0")
    assert place()["width"] == fitted["width"]
    frame = face.page.locator("#viewer").bounding_box()
    corner = (frame["x"] + frame["width"] / 2 + 100, frame["y"] + 60)
    face.page.mouse.move(*corner)
    face.page.mouse.wheel(0, -300)
    width = "document.getElementById('after').getBoundingClientRect().width"
    face.until(f"{width} > {1.5 * fitted['width']}")
    zoomed = place()
    for side, length, at in (("x", "width", corner[0]), ("y", "height", corner[1])):
        before = (at - fitted[side]) / fitted[length]
        assert (at - zoomed[side]) / zoomed[length] == pytest.approx(before, abs=0.01)
    face.page.mouse.down()
    face.page.mouse.move(corner[0] + 40, corner[1])
    face.page.mouse.up()
    assert place()["x"] - zoomed["x"] == pytest.approx(40, abs=1)
    assert slid(face) == 50  # the drag moved the picture
    face.page.press("#slider", "Shift+ArrowLeft")
    assert place()["x"] - zoomed["x"] == pytest.approx(100, abs=1)
    face.page.click("#fit")
    assert place() == fitted


def test_two_fingers_zoom(open_tab: Open) -> None:
    one = open_tab(**NARROW)
    one.page.click(".mosaic")
    one.until_done()
    after_reveal(one)
    one.page.evaluate("document.getElementById('viewer').scrollIntoView({behavior: 'instant'})")
    box = one.page.locator("#viewer").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 4
    before = one.text("#zoom-now")
    send = one.page.context.new_cdp_session(one.page).send
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60), ("touchEnd", 0)):
        fingers = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        points = fingers if apart else []
        send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    percent = [int(re.sub(r"\D", "", text)) for text in (before, one.text("#zoom-now"))]
    assert percent[1] > 2 * percent[0]


def test_samples_and_where_they_differ(face: Tab, where: Home) -> None:
    face.page.check("#samples-4", force=True)
    face.page.click("#again")
    face.page.wait_for_selector("#grid button:nth-child(4)")
    addresses = [one.get_attribute("src") for one in face.page.query_selector_all("#grid img")]
    assert len(set(addresses)) == 4
    face.page.click("#grid button:nth-child(3)")
    assert face.page.get_attribute("#after", "src") == addresses[2]
    assert "Seed 2" in face.text("#facts")
    face.page.click("#uncertainty")
    assert face.page.get_attribute("#uncertainty", "aria-pressed") == "true"
    face.until("document.getElementById('heat').naturalWidth === 128")
    # The service draws calibrated intervals, the browser the deviation of the samples.
    scale = (
        ["0", "24", "48", "72", "96+"] if where.kind == "service" else ["0", "8", "16", "24", "32+"]
    )
    assert face.text(".ticks").split() == scale
    unit = "90 % interval" if where.kind == "service" else "standard deviation"
    assert unit in face.text("#scale-legend")
    downloaded(face, "astronaut_sr4_3.png")


def test_detail_is_a_choice_where_the_model_has_it(open_tab: Open, where: Home) -> None:
    one = open_tab()
    one.page.select_option("#model", PLAIN)
    assert one.page.locator("#detail").count() == 0
    one.page.select_option("#model", "sr4-fast")
    own = read_config(shipped_models()["sr4-fast"]).sampling.detail
    assert one.page.input_value("#detail") == str(own) != "1"
    one.page.fill("#detail", "0.5")
    one.give(picture(16, "small.png"))
    one.until_done()
    one.page.click("#details")
    facts = one.text("#facts-list").split("\n")
    assert facts[facts.index("Detail") + 1] == "0.5"
    assert json.loads(one.text("#again-json"))["detail"] == 0.5
    if where.kind == "service":
        assert json.loads(one.text("#provenance-json"))["model"] == "sr4-fast"
    assert one.page.is_visible("#provenance") == (where.kind == "service")
    one.page.keyboard.press("Escape")
    assert not one.page.is_visible("#drawer")


def test_another_format_is_made_by_the_service(open_service: Open) -> None:
    face = open_service()
    face.page.click(".mosaic")
    face.until_done()
    for name, kind in (("jpg", "JPEG"), ("tiff", "TIFF")):
        face.page.select_option("#download-format", name)
        data = downloaded(face, f"astronaut_sr4.{name}")
        with Image.open(io.BytesIO(data)) as saved:
            assert (saved.format, saved.size) == (kind, (128, 128))


def test_size_and_evidence_reach_the_service(open_service: Open) -> None:
    one = open_service()
    one.page.select_option("#size-by", "width")
    one.page.fill("#size-value", "96")
    one.page.select_option("#evidence", "none")
    one.give(str(FACE))
    one.until_done()
    assert "96 × 96" in one.text("#facts")
    assert "differs from your picture: off by" in one.text("#promise-text")


def test_what_no_picture_fits_is_not_called_kept(open_service: Open, tmp_path: Path) -> None:
    """Black and white at random: what is between two pixels cannot be as far from both."""
    noise = np.random.default_rng(0).integers(0, 2, (24, 24, 3), np.uint8) * 255
    Image.fromarray(noise).save(tmp_path / "noise.png")
    one = open_service()
    one.page.select_option("#evidence", "exact")
    one.give(str(tmp_path / "noise.png"))
    one.until_done()
    assert "differs from your picture: off by" in one.text("#promise-text")
    assert "free" in one.page.get_attribute("#promise", "class").split()


def test_a_link_fills_the_settings_and_names_its_picture(face: Tab, open_tab: Open) -> None:
    face.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    face.page.fill("#seed", "7")
    face.page.click("#again")
    face.until("document.getElementById('facts').textContent.includes('Seed 7')")
    face.page.click("#link")
    link = face.page.evaluate("navigator.clipboard.readText()")
    other = open_tab(link[link.index("#") :])
    assert other.page.input_value("#seed") == "7"
    assert other.page.input_value("#model") == "sr4-fast"
    assert "astronaut.png" in other.text("#wanted-text")
    other.page.click("#wanted-example")
    other.until_done()
    assert other.text("#wanted-text") == "This is the picture of the link."
    assert "Seed 7" in other.text("#facts")
    ours, theirs = (pixels(downloaded(one)) for one in (face, other))
    assert np.abs(ours - theirs).max() <= 1
    other.give(picture(8, "other.png"))
    other.until("document.getElementById('wanted-text').textContent.includes('another picture')")
    nonsense = open_tab(f"#seed=-1&samples=99&model=nowhere&detail=x&sha256={'0' * 64}")
    assert nonsense.page.input_value("#seed") == "0"
    assert nonsense.page.input_value("#model") == "auto"


def test_several_files_each_with_its_state(open_tab: Open, where: Home) -> None:
    one = open_tab()
    broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
    states = watch_states(one)
    one.give(picture(448, "large.png"), broken, picture(8, "small.png"), picture(9, "other.png"))

    def others() -> None:
        for name in ("small.png", "other.png"):
            one.page.wait_for_selector(f"#strip .done:has-text('{name}')")
        one.page.wait_for_selector("#strip .failed:has-text('broken.png')")

    if where.kind == "service":
        others()  # besides the large one; a browser draws one after the other
    one.page.click("#strip .open:has-text('large.png')")
    one.until("/Drawing, [1-9]/.test(document.body.innerText)")
    one.page.click("#cancel")
    one.page.wait_for_selector("#strip .cancelled:has-text('large.png')")
    assert one.text("#ended-title") == "You cancelled this one"
    others()
    one.page.click("#strip .open:has-text('broken.png')")
    assert "not a picture" in one.text("#ended-text") or "cannot open" in one.text("#ended-text")
    one.page.click("button[aria-label='Remove large.png']")
    assert one.page.locator("#strip .open").count() == 3
    assert any("Drawing" in state for state in states())
    if where.kind == "service":
        one.forgive(REFUSED)


def test_a_large_picture_is_seen_while_it_is_drawn(open_service: Open) -> None:
    one = open_service()
    one.give(picture(320, "large.png"))
    one.until("document.querySelector('.pane canvas') !== null")
    assert one.page.is_visible("#status")
    address = one.page.evaluate("document.querySelector('.pane canvas').toDataURL()")
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))
    one.until_done()
    assert one.page.locator(".pane canvas").count() == 0
    result = pixels(downloaded(one, "large_sr4.png"))
    assert result.shape == (1280, 1280, 3)
    assert seen.shape == (640, 640, 4)
    rows = int((seen[:, 0, 3] == 255).sum())
    assert 0 < rows < 640
    assert seen[rows:, :, 3].max() == 0
    small = result[: 2 * rows].reshape(rows, 2, 640, 2, 3).mean(axis=(1, 3))
    assert np.abs(seen[:rows, :, :3] - small).mean() < 3  # WebP has losses


def test_whoever_leaves_lets_the_service_rest(open_service: Open, service: Running) -> None:
    one = open_service()
    deleted = 'sr4_requests_total{method="DELETE"'
    before = service.metric(deleted)
    one.give(picture(448, "large.png"))
    one.page.wait_for_selector("#strip .running")
    one.page.goto("about:blank")
    until = time.monotonic() + 10
    while service.metric(deleted) == before:
        assert time.monotonic() < until
        time.sleep(0.05)
    while service.metric("sr4_running "):
        assert time.monotonic() < until + 20
        time.sleep(0.05)
    one.asked.discard("")  # of about:blank


def watch_states(one: Tab) -> Callable[[], list[str]]:
    """All that the line of the state says from now on."""
    one.page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(document.getElementById("
        "'status-text').textContent)).observe(document.getElementById('status-text'), "
        "{childList: true, characterData: true, subtree: true})"
    )
    return lambda: list(one.page.evaluate("said"))


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(open_tab: Open, kind: str) -> None:
    one = open_tab()
    carried = (
        "const answer = await fetch('examples/astronaut.png');"
        "const carried = new DataTransfer();"
        "carried.items.add(new File([await answer.blob()], 'face.png', {type: 'image/png'}));"
    )
    if kind == "paste":
        event = "new ClipboardEvent('paste', {clipboardData: carried})"
    else:
        one.page.evaluate(
            f"async () => {{{carried} document.dispatchEvent(new DragEvent('dragenter', "
            "{dataTransfer: carried}))}"
        )
        assert one.text("#veil") == "Let go to upscale"
        event = "new DragEvent('drop', {dataTransfer: carried})"
    one.page.evaluate(f"async () => {{{carried} document.dispatchEvent({event})}}")
    one.until_done()
    assert not one.page.is_visible("#veil")
    assert one.text("#title") == "face.png"
