"""Pages of reports as people meet them: opened from disk in Chromium, without a network."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.evaluation.compare import compare
from sr4.evaluation.compare_page import write
from sr4.evaluation.evaluate import evaluate
from sr4.model.folder import find_model, read_config
from tests.evaluation.made_up import Pictures, Upscaler
from tests.features.browser import Tab, tab

pytest.importorskip("skimage")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("report", "comparison", "ablation")
NARROW = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1280, "height": 900}}
STACK = ".stack >> nth=0"


def pictures() -> Pictures:
    """Ten of 48x32, with names that are long, or would be markup."""
    rng = np.random.default_rng(0)
    found = Pictures([rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(10)])
    found.names[0] = "a-very-long-name-of-a-folder-without-any-place-to-break/" * 3 + "0.png"
    found.names[1] = "<b onclick=alert(1)>&.png"
    return found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by kind: of a report with intervals, of a comparison, and the committed ablation."""
    folder = tmp_path_factory.mktemp("pages")
    calibration = read_config(find_model("sr4-fast")).calibrations[0]
    source = pictures()
    for name, noise in (("a-model-with-a-rather-long-name", 0.3), ("other", 0.1)):
        model = Upscaler(noise)
        model.name = name
        found = evaluate(model, source, features=None, samples=4, calibration=calibration)
        found.write(folder / name)
    folders = [folder / "a-model-with-a-rather-long-name", folder / "other"]
    write(compare(folders), folder / "compared")
    return {
        "report": folders[0] / "index.html",
        "comparison": folder / "compared" / "index.html",
        "ablation": ROOT / "docs" / "results" / "tiny" / "index.html",
    }


def opened(browser: Any, path: Path, **options: Any) -> Iterator[Tab]:
    with tab(browser, path.as_uri(), **options) as one:
        one.page.goto(one.url)
        yield one


@pytest.fixture
def report(browser: Any, pages: dict[str, Path]) -> Iterator[Tab]:
    """The page of a report, in a wide window."""
    yield from opened(browser, pages["report"], **WIDE)


@pytest.fixture
def narrow(browser: Any, pages: dict[str, Path]) -> Iterator[Tab]:
    """The same on a phone."""
    yield from opened(browser, pages["report"], **NARROW)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_opens_from_disk(
    browser: Any, pages: dict[str, Path], kind: str, size: dict[str, Any], colours: str
) -> None:
    """Without complaints or requests; nothing in it is wider than the window, but what scrolls."""
    for one in opened(browser, pages[kind], **size, color_scheme=colours):
        width = size["viewport"]["width"]
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width
        outside = one.page.evaluate(
            """width => [...document.querySelectorAll("main *, header *")].filter((node) =>
                node.getBoundingClientRect().right > width + 1
                && !node.closest(".scroll") && !node.closest("svg")
            ).map((node) => node.outerHTML.slice(0, 90))""",
            width,
        )
        assert outside == []
        paper = one.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (colours == "light")
        broken = one.page.evaluate(
            """[...document.images].filter((one) => one.loading !== "lazy"
                && (!one.complete || one.naturalWidth === 0)).length"""
        )
        assert broken == 0


def test_a_report_asks_for_nothing_but_itself(browser: Any, pages: dict[str, Path]) -> None:
    for kind in ("report", "comparison"):
        asked: list[str] = []
        context = browser.new_context(offline=True)
        page = context.new_page()
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(pages[kind].as_uri())
        assert [one for one in asked if not one.startswith("data:")] == [pages[kind].as_uri()]
        context.close()


def place(one: Tab) -> float:
    """Percent of the first pictures that show the left one, as they are drawn."""
    return float(
        one.page.evaluate(
            """() => {
                const line = document.querySelector(".stack .line").getBoundingClientRect();
                const stack = document.querySelector(".stack").getBoundingClientRect();
                return 100 * (line.left + line.width / 2 - stack.left) / stack.width;
            }"""
        )
    )


def box(one: Tab) -> dict[str, float]:
    one.page.locator(STACK).scroll_into_view_if_needed()
    found: dict[str, float] = one.page.locator(STACK).bounding_box()
    return found


def pixel(one: Tab, x: int, y: int) -> np.ndarray:
    """The colour of the first pictures at a pixel of theirs, of 48x32."""
    shot = np.asarray(Image.open(io.BytesIO(one.page.locator(STACK).screenshot())).convert("RGB"))
    height, width, _ = shot.shape
    return shot[int((y + 0.5) / 32 * height), int((x + 0.5) / 48 * width)].astype(int)


def layer(one: Tab, name: str) -> np.ndarray:
    """The pixels of a picture inside of the page."""
    data = one.page.evaluate(
        """async (name) => {
            const label = [...document.querySelectorAll("[data-side=left]")]
                .find((one) => one.parentElement.textContent.trim() === name);
            const image = document.querySelector(`.layer[data-layer="${label.value}"]`);
            const canvas = Object.assign(document.createElement("canvas"),
                {width: image.naturalWidth, height: image.naturalHeight});
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
        }""",
        name,
    )
    return np.array(data).reshape(32, 48, 4)[:, :, :3]


def test_axe_finds_nothing_grave(browser: Any, pages: dict[str, Path], page_tools: Path) -> None:
    axe = page_tools / "node_modules" / "axe-core" / "axe.min.js"
    for kind in PAGES:
        for colours in ("light", "dark"):
            for one in opened(browser, pages[kind], **WIDE, color_scheme=colours):
                one.page.add_script_tag(content=axe.read_text(encoding="utf-8"))
                found = one.page.evaluate("axe.run().then(one => one.violations)")
                grave = [each for each in found if each["impact"] in ("serious", "critical")]
                told = [f"{each['id']}: {node['html']}" for each in grave for node in each["nodes"]]
                assert told == [], (kind, colours)


def test_the_slider_lies_between_two_pictures(report: Tab) -> None:
    box(report)
    for left, right in (("bicubic", "result"), ("truth", "result"), ("uncertainty", "truth")):
        for side, name in (("left", left), ("right", right)):
            report.page.check(f"[data-side={side}] >> nth={NAMES.index(name)}", force=True)
            assert report.text(f"{STACK} >> [data-tag={side}]") == name
        for x, name in ((6, left), (41, right)):
            np.testing.assert_allclose(pixel(report, x, 27), layer(report, name)[27, x], atol=2)


NAMES = ["bicubic", "result", "truth", "uncertainty"]


def test_a_slider_follows_the_mouse(report: Tab) -> None:
    frame = box(report)
    assert place(report) == pytest.approx(50, abs=1)
    x, y = frame["x"], frame["y"] + frame["height"] / 3
    report.page.mouse.move(x + 0.5 * frame["width"], y)
    report.page.mouse.down()
    report.page.mouse.move(x + 0.8 * frame["width"], y, steps=5)
    report.page.mouse.up()
    assert place(report) == pytest.approx(80, abs=2)
    report.page.mouse.move(x + 0.3 * frame["width"], y)  # without a button
    assert place(report) == pytest.approx(80, abs=2)
    report.page.mouse.click(x + 0.25 * frame["width"], y)
    assert place(report) == pytest.approx(25, abs=2)
    others = report.page.evaluate(
        """[...document.querySelectorAll(".stack input")].slice(1).map((one) => one.value)"""
    )
    assert set(others) == {"50"}


def swipe(one: Tab, across: list[float], down: list[float]) -> None:
    """A finger that goes over the first picture, by shares of its sides."""
    frame = box(one)
    send = one.page.context.new_cdp_session(one.page).send
    points = [
        {"x": frame["x"] + x * frame["width"], "y": frame["y"] + y * frame["height"]}
        for x, y in zip(across, down, strict=True)
    ]
    for kind, point in zip(["touchStart", *["touchMove"] * (len(points) - 1)], points, strict=True):
        send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_slider_follows_a_finger(narrow: Tab) -> None:
    swipe(narrow, [0.5, 0.55, 0.65, 0.75, 0.85], [0.5] * 5)
    narrow.until("Math.abs(document.querySelector('.stack input').value - 85) <= 3")
    assert place(narrow) == pytest.approx(85, abs=3)


def test_a_finger_that_goes_up_moves_the_page_alone(narrow: Tab) -> None:
    box(narrow)
    before = narrow.page.evaluate("scrollY")
    swipe(narrow, [0.2] * 10, [0.95 - 0.1 * step for step in range(10)])
    narrow.until(f"scrollY > {before} + 100")
    assert place(narrow) == pytest.approx(50, abs=1)


def test_a_slider_is_moved_by_keys(report: Tab) -> None:
    report.page.focus("[data-side=right]:checked")
    report.page.keyboard.press("Tab")
    assert report.page.evaluate("document.activeElement.matches('.stack input')")
    outline = "getComputedStyle(document.activeElement.parentElement).outlineStyle"
    assert report.page.evaluate(outline) == "solid"
    for key, expected in (
        ("ArrowRight", 51),
        ("ArrowLeft", 50),
        ("PageUp", 60),
        ("Home", 0),
        ("End", 100),
    ):
        report.page.keyboard.press(key)
        assert place(report) == pytest.approx(expected, abs=0.6), key
        said = report.page.evaluate("document.activeElement.getAttribute('aria-valuetext')")
        assert said == f"{expected} % bicubic, then result"


def test_pictures_are_chosen_by_keys(report: Tab) -> None:
    report.page.focus("[data-side=left]:checked")
    report.page.keyboard.press("ArrowRight")
    report.page.keyboard.press("ArrowRight")
    assert report.text(f"{STACK} >> [data-tag=left]") == "truth"
    label = "document.activeElement.parentElement"
    assert report.page.evaluate(f"getComputedStyle({label}).outlineStyle") == "solid"


def test_without_a_script_both_halves_are_there(browser: Any, pages: dict[str, Path]) -> None:
    for one in opened(browser, pages["report"], **WIDE, java_script_enabled=False):
        classes = one.page.locator(f"{STACK} >> .layer").evaluate_all(
            "all => all.map((one) => [one.className, getComputedStyle(one).visibility])"
        )
        assert classes[0] == ["layer left", "visible"]
        assert classes[1] == ["layer right", "visible"]
        assert {visibility for _, visibility in classes[2:]} == {"hidden"}
