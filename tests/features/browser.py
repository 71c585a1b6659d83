"""Chromium, watched: what it complains of, and where it asks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

FLAGS = (
    "--no-sandbox",  # which Chromium wants of root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 60_000  # milliseconds for what takes one or two seconds
REFUSED = "Failed to load resource"  # how Chromium reports each status from 400 on


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page in a browser context of its own.

    Attributes:
        page: as playwright has it; url: of the page.
        complaints: lines of the console that are errors or warnings, and uncaught errors.
        asked: hosts that requests went to.
    """

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def open(self, hash_: str = "") -> None:
        """Load the page, and wait until what draws its pictures is known to be ready."""
        self.page.goto(f"{self.url}/{hash_}")
        self.page.wait_for_selector(".server.ready")

    def give(self, *files: Any) -> None:
        """Choose files."""
        self.page.set_input_files("#files", list(files))

    def until_done(self) -> None:
        """Wait for the result of the picture that is looked at."""
        self.page.wait_for_selector("#outcome", state="visible")

    def until(self, expression: str, seconds: float = PATIENCE / 1000) -> None:
        """Wait until an expression holds. The page's policy forbids playwright's own way."""
        until = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < until, expression
            self.page.wait_for_timeout(20)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def forgive(self, kind: str) -> None:
        """Drop complaints that a test is about."""
        assert any(kind in one for one in self.complaints)
        self.complaints = [one for one in self.complaints if kind not in one]


@contextmanager
def tab(browser: Any, url: str, **options: Any) -> Iterator[Tab]:
    """A tab that must not have complained in the end, nor asked any other host.

    Args:
        options: of the browser context, such as `color_scheme`.
    """
    options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    watched = Tab(context.new_page(), url)
    context.on("page", lambda page: _watch(page, watched))
    _watch(watched.page, watched)
    try:
        yield watched
        assert watched.complaints == []
        assert watched.asked == {urlsplit(url).netloc}
    finally:
        context.close()


def _watch(page: Any, watched: Tab) -> None:
    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            watched.complaints.append(message.text)

    def asked(request: Any) -> None:
        if urlsplit(request.url).scheme not in ("blob", "data"):
            watched.asked.add(urlsplit(request.url).netloc)

    page.on("console", heard)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("request", asked)
