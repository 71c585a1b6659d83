"""The documentation site: built without a warning, whole, and without anything from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import sr4

pytest.importorskip("mkdocs", reason="needs the extra docs")

ROOT = Path(__file__).resolve().parents[2]
LOADED = {"src", "srcset", "data", "poster"}  # attributes whose targets a browser fetches
REGISTRIES = re.compile(r"\b(pypi|pythonhosted|npmjs|unpkg|jsdelivr|anaconda)\b", re.IGNORECASE)


class Page(HTMLParser):
    """The addresses that a page loads, and those that it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in LOADED or (tag == "link" and name == "href"):
                self.loaded.append(value or "")
            elif name == "href":
                self.linked.append(value or "")
            elif name == "id":
                self.anchors.add(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(place)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return place


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        far = [one for one in page.loaded if re.match(r"(?:https?:)?//", one)]
        assert far == [], path
    for path in (site / "assets").rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", path.read_text("utf-8"))


def test_no_page_names_a_registry_or_a_place_of_this_machine(pages: dict[Path, Page]) -> None:
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert not REGISTRIES.search(text), path
        assert str(ROOT) not in text, path


def test_every_link_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for link in page.linked:
            name, _, anchor = link.partition("#")
            if re.match(r"\w+:", link) or (path.name == "404.html"):
                continue
            target = (path.parent / name).resolve() if name else path
            assert target.is_file(), (path, link)
            if anchor and target in pages and not anchor.startswith("__"):
                assert anchor in pages[target].anchors, (path, link)


def test_every_public_name_has_an_entry(site: Path, pages: dict[Path, Page]) -> None:
    reference = pages[site / "reference/index.html"].anchors
    assert {f"sr4.{name}" for name in sr4.__all__ if name != "__version__"} <= reference
    assert {"sr4.Result.save", "sr4.Pipeline.upscale"} <= reference


def test_source_files_that_texts_link_to_are_in_the_reference(pages: dict[Path, Page]) -> None:
    (paper,) = (page for path, page in pages.items() if path.name == "paper.html")
    found = [link for link in paper.linked if link.startswith("reference/")]
    assert len(found) > 40
