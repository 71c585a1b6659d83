"""The page: what is built, what its sources say, and that the one comes of the other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from sr4.plots.heatmap import _ANCHORS, FULL_SCALE
from sr4.serve.answers import MEDIA_TYPES
from sr4.serve.limits import Limits
from sr4.serve.pages import FOLDER
from sr4.serve.schemas import OPTIONS

WEB = Path(__file__).resolve().parents[2] / "web"
BUILT = ("index.html", "NOTICES", "favicon.svg", "assets/*", "examples/*")
LOADED = {".html", ".js", ".css", ".svg"}  # what a browser reads besides pictures and fonts
MOST_BYTES = 150_000
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}  # never fetched


def files(folder: Path, *patterns: str) -> dict[str, bytes]:
    found = (path for pattern in patterns for path in folder.glob(pattern))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def source(name: str) -> str:
    if not WEB.is_dir():
        pytest.skip("needs the sources of the page, which the wheel does not have")
    return (WEB / name).read_text(encoding="utf-8")


def texts(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(source(f"texts/{language}.json"))
    return found


def listed(name: str) -> list[str]:
    """The texts of a constant in src/settings.ts."""
    match = re.search(rf"{name} = \[(.*?)\]", source("src/settings.ts"), re.DOTALL)
    assert match is not None
    return re.findall(r'"(\w+)"', match[1])


def test_all_that_it_names_is_there_and_small() -> None:
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    named.remove("./")
    assert len(named) >= 6
    assert [name for name in named if not (FOLDER / name).is_file()] == []
    style = next((FOLDER / "assets").glob("style-*.css"))
    fonts = re.findall(r'url\("?\./([^")]+)"?\)', style.read_text(encoding="utf-8"))
    assert fonts
    assert all((FOLDER / "assets" / name).is_file() for name in fonts)
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < MOST_BYTES


def test_nothing_comes_from_outside() -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in LOADED:
            found = re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"'`)]*""", path.read_text("utf-8"))
            assert set(found) <= NAMESPACES, path.name


def test_it_keeps_to_the_content_security_policy() -> None:
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", page))


def test_both_languages_have_the_same_texts() -> None:
    english, german = texts("en"), texts("de")
    assert list(english) == list(german)
    for key in english:
        values = re.findall(r"\{\w+\}", english[key])
        assert sorted(values) == sorted(re.findall(r"\{\w+\}", german[key])), key
        assert german[key].strip(), key


def test_no_text_is_left_over() -> None:
    sources = "".join(path.read_text("utf-8") for path in (WEB / "src").rglob("*.ts"))
    sources += source("index.html")
    families = re.findall(r"t\(`(\w+_)\$\{", sources)  # as in t(`state_${run.state}`)
    unused = [
        key
        for key in texts("en")
        if f'"{key}"' not in sources
        and f'"{key.removesuffix("_browser")}"' not in sources
        and not any(key.startswith(one) for one in families)
    ]
    assert unused == []


def test_it_offers_what_the_service_takes() -> None:
    assert listed("EVIDENCE") == OPTIONS["evidence"]["enum"]
    assert {f".{name}" for name in listed("FORMATS")} <= set(MEDIA_TYPES)
    assert int(re.findall(r"MOST_SAMPLES = (\d+)", source("src/settings.ts"))[0]) <= Limits.samples


def test_the_scale_of_the_uncertainty_is_that_of_the_map() -> None:
    engine = source("engine/heatmap.ts")
    assert int(re.findall(r"FULL_SCALE = (\d+)", engine)[0]) == FULL_SCALE * 255
    ramp = re.findall(r"rgb\((\d+), (\d+), (\d+)\),?\n", source("src/style/work.css"))
    anchors = re.findall(r"\n  \[(\d+), (\d+), (\d+)\],", engine)
    for found in (ramp, anchors):
        assert tuple(tuple(map(int, one)) for one in found) == _ANCHORS


def test_its_packages_are_pinned_and_come_from_anywhere() -> None:
    package = json.loads(source("package.json"))
    assert all(re.fullmatch(r"[\d.]+", one) for one in package["devDependencies"].values())
    lock = json.loads(source("package-lock.json"))["packages"]
    assert all("resolved" not in one for one in lock.values())
    assert all("integrity" in one for name, one in lock.items() if name)


def test_a_rebuild_gives_the_same_bytes(page_tools: Path, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    built = subprocess.run(
        [npm, "run", "build", "--", str(tmp_path)], cwd=page_tools, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    again, committed = files(tmp_path / "service", *BUILT), files(FOLDER, *BUILT)
    assert sorted(again) == sorted(committed)
    assert [name for name in again if again[name] != committed[name]] == []
