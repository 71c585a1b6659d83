"""The page for all, of `sr4 serve` and of sites: by keys, small, dark, in German, failing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from sr4.serve.pages import FOLDER
from tests.features.browser import REFUSED, Tab, tab
from tests.features.homes import KINDS, Home, home
from tests.features.service_process import Running, running

FACE = FOLDER / "examples" / "astronaut.png"
NARROW = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module", params=KINDS)
def where(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    with home(request, ["sr4-fast"], tmp_path_factory.mktemp("page")) as one:
        yield one


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running("--model", "sr4-fast") as one:
        yield one


def show_samples(one: Tab) -> None:
    """The result of the example with samples, and where they differ."""
    if not one.page.is_visible("#form"):
        one.page.click("#settings summary")
    one.page.check("#samples-3", force=True)
    one.page.click(".mosaic")
    one.until_done()
    one.page.wait_for_selector("#samples", state="visible")
    one.page.click("#uncertainty")


def tab_to(one: Tab, selector: str) -> None:
    """Press Tab until an element has the focus, which has to be seen."""
    for _ in range(60):
        one.page.keyboard.press("Tab")
        if one.page.evaluate("what => document.activeElement?.matches(what) ?? false", selector):
            style = "getComputedStyle(document.activeElement)"
            assert one.page.evaluate(f"{style}.outlineStyle !== 'none'"), selector
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_everything_is_reached_by_keys(browser: Any, where: Home) -> None:
    with tab(browser, where.url) as one:
        one.page.on("filechooser", lambda chooser: chooser.set_files(str(FACE)))
        one.open()
        tab_to(one, ".skip")
        one.page.keyboard.press("Enter")
        one.until("document.activeElement.id === 'main'")
        tab_to(one, ".choose")
        one.page.keyboard.press("Enter")
        one.until_done()
        one.until("document.getElementById('slider').value === 50")
        tab_to(one, "#slider")
        one.page.keyboard.press("ArrowLeft")
        assert one.page.get_attribute("#slider", "aria-valuenow") == "48"
        tab_to(one, "#zoom-in")
        before = one.text("#zoom-now")
        one.page.keyboard.press("Enter")
        assert one.text("#zoom-now") != before
        tab_to(one, "#download")
        with one.page.expect_download():
            one.page.keyboard.press("Enter")
        tab_to(one, "#details")
        one.page.keyboard.press("Enter")
        tab_to(one, "#drawer-close")
        one.page.keyboard.press("Enter")
        assert one.page.evaluate("document.activeElement.id") == "details"
        tab_to(one, "[name=samples]")
        one.page.keyboard.press("ArrowRight")
        tab_to(one, "#again")
        one.page.keyboard.press("Enter")
        one.page.wait_for_selector("#samples", state="visible")
        tab_to(one, "#grid button:nth-child(2)")
        one.page.keyboard.press("Enter")
        assert "Seed 1" in one.text("#facts")
        tab_to(one, "#strip .close")
        one.page.keyboard.press("Enter")
        assert one.page.locator("#strip .open").count() == 1


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_a_telephone_shows_all_of_it(browser: Any, where: Home, language: str) -> None:
    with tab(browser, where.url, locale=language, **NARROW) as one:
        one.open(f"#sha256={'0' * 64}&name=astronaut.png")
        assert one.page.locator("#wanted").bounding_box()["height"] < 350
        wide = "document.documentElement.scrollWidth"
        assert one.page.evaluate(wide) == 390
        assert one.page.is_visible(".take")
        show_samples(one)
        assert one.page.evaluate(wide) == 390
        small = one.page.evaluate(
            "[...document.querySelectorAll('button, select')].filter(one => one.offsetParent && "
            "one.getBoundingClientRect().height < 32).map(one => one.outerHTML)"
        )
        assert small == []


def test_dark_as_the_system_or_as_chosen(browser: Any, where: Home) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with tab(browser, where.url, color_scheme="dark") as one:
        one.open()
        dark = one.page.evaluate(ground)
        one.page.click("#theme")
        light = one.page.evaluate(ground)
        assert sum(numbers(dark)) < 150 < 600 < sum(numbers(light))
        one.page.reload()
        assert one.page.evaluate(ground) == light
    with tab(browser, where.url, color_scheme="light") as one:
        one.open()
        assert one.page.evaluate(ground) == light
        one.page.emulate_media(color_scheme="dark")
        one.until(f"{ground} === '{dark}'", 5)  # the page is told a moment later


def numbers(colour: str) -> list[int]:
    return [int(one) for one in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def test_german_by_the_browser_or_as_chosen(browser: Any, where: Home) -> None:
    with tab(browser, where.url, locale="de-AT") as one:
        one.open()
        assert one.page.get_attribute("html", "lang") == "de"
        one.page.click(".mosaic")
        one.until_done()
        assert one.text("#promise-text").startswith("Verkleinert ist dies wieder Ihr")
        one.page.click("#languages [value=en]")
        assert one.text("#promise-text").startswith("Downscaled, this is")
        assert one.page.get_attribute("html", "lang") == "en"
        one.page.reload()
        assert one.text(".choose") == "Choose pictures"


def test_nothing_moves_for_those_who_ask(browser: Any, where: Home) -> None:
    with tab(browser, where.url, reduced_motion="reduce") as one:
        one.open()
        one.page.click(".mosaic")
        one.until_done()
        one.until("document.getElementById('slider').value === 50", 0.5)
        moving = "one => getComputedStyle(one).transitionDuration !== '0s'"
        assert (
            one.page.evaluate(f"[...document.querySelectorAll('*')].filter({moving}).length") == 0
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{}, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing_grave(
    browser: Any, where: Home, page_tools: Path, scheme: str, size: dict[str, Any]
) -> None:
    axe = page_tools / "node_modules" / "axe-core" / "axe.min.js"

    def findings() -> list[str]:
        one.page.add_script_tag(path=str(axe))
        found = one.page.evaluate("axe.run().then(one => one.violations)")
        grave = [one for one in found if one["impact"] in GRAVE]
        return [f"{one['id']}: {node['html']}" for one in grave for node in one["nodes"]]

    with tab(browser, where.url, color_scheme=scheme, bypass_csp=True, **size) as one:
        one.page.emulate_media(reduced_motion="reduce")  # no colours on their way
        one.open()
        assert findings() == []
        show_samples(one)
        assert findings() == []
        one.page.click("#details")
        assert findings() == []
        one.page.click("#drawer-close")
        broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
        one.give(broken)
        one.page.wait_for_selector("#ended", state="visible")
        assert findings() == []
        if where.kind == "service":
            one.forgive(REFUSED)


def test_a_service_that_is_gone_and_comes_back(browser: Any, service: Running) -> None:
    with tab(browser, service.url) as one:
        one.open()
        one.page.route("**/v1/upscale", lambda route: route.abort())
        one.page.route("**/readyz", lambda route: route.abort())
        one.give(str(FACE))
        one.page.wait_for_selector("#offline", state="visible")
        assert one.text("#server") == "Server not reached"
        assert one.text("#ended-text").startswith("The server does not answer.")
        one.page.unroute_all()
        one.page.wait_for_selector(".server.ready")
        assert not one.page.is_visible("#offline")
        one.page.click("#retry")
        one.until_done()
        one.forgive(REFUSED)


def test_a_key_is_asked_for_and_kept_in_mind(browser: Any, tiny_exported: Path) -> None:
    with (
        running("--model", tiny_exported, key="secret") as locked,
        tab(browser, locked.url) as one,
    ):
        one.page.goto(locked.url)
        one.page.fill("#key-value", "wrong")
        one.page.keyboard.press("Enter")
        one.page.wait_for_selector("#key", state="visible")
        one.page.fill("#key-value", "secret")
        one.page.keyboard.press("Enter")
        one.page.wait_for_selector(".server.ready")
        one.page.click(".mosaic")
        one.until_done()
        one.forgive(REFUSED)
