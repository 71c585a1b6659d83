"""The page and the README: made from the numbers alone, whole, safe, and never over other files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from sr4.ablation.page import facts, remarks, write_page
from sr4.ablation.results import Results, Row
from sr4.cli.main import main
from sr4.errors import PictureError, UsageError
from tests.plots.parsed import Page

MakeRow = Callable[..., Row]
MakeResults = Callable[..., Results]


def paint_samples(folder: Path, results: Results) -> None:
    for name in ("low_res", "bicubic", "truth", *(row.recipe for row in results.rows)):
        (folder / "samples" / name).mkdir(parents=True)
        for number in range(results.shown):
            Image.new("RGB", (8, 8)).save(folder / "samples" / name / f"{number}.png")
        if name in {row.recipe for row in results.rows}:
            Image.new("RGB", (24, 8)).save(folder / "samples" / name / "steps.png")
            Image.new("RGB", (64, 48)).save(folder / "samples" / name / "halfway.png")


@pytest.fixture(scope="module")
def results(make_row: MakeRow, make_results: MakeResults) -> Results:
    """Four systems, two sample pictures."""
    rows = (
        make_row("sr3", 19.0, curve=(16, 17)),
        make_row("cosine", 20.0, curve=(17, 18)),
        make_row("attention-input", 15.0, curve=(14, 15), maps=(0.5, 0.01)),
        make_row("sr4", 22.0, curve=(18, 19)),
    )
    return make_results(*rows).model_copy(update={"shown": 2})


@pytest.fixture(scope="module")
def drawn(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results and samples, and the page drawn. Treat it as read-only."""
    folder = tmp_path_factory.mktemp("drawn") / "ablation"
    folder.mkdir()
    results.write(folder)
    paint_samples(folder, results)
    write_page(folder)
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(drawn, tmp_path / "ablation"))


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_page_opens_without_a_network(drawn: Path) -> None:
    page = Page(drawn / "index.html")
    sections = [one["id"] for one in page.all("section")]
    assert page.links
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in sections
        else:
            assert not re.match(r"[a-z]+:|/", link), link
            assert (drawn / unquote(link)).is_file(), link
    text = (drawn / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|@import|url\(|<script [^>]|<link|<iframe|fetch\(|import\(", text)


def test_the_page_is_marked_up_for_everyone(drawn: Path) -> None:
    page = Page(drawn / "index.html")
    assert page.tags[0] == ("html", {"lang": "en"})
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert all(one["alt"] and one["width"] and one["height"] for one in page.all("img"))
    assert any(one.get("name") == "viewport" for one in page.all("meta"))
    identifiers = [one["id"] for _, one in page.tags if "id" in one]
    assert len(identifiers) == len(set(identifiers))


def test_every_figure_is_drawn_and_shown(drawn: Path) -> None:
    assert {path.stem for path in (drawn / "figures").iterdir()} == {
        *("learning-psnr", "learning-consistency", "loss"),
        *("schedule-gamma", "schedule-end"),
        *("samples", "halfway", "process", "attention-map", "steps-psnr"),
    }
    for path in (drawn / "figures").iterdir():
        with Image.open(path) as picture:
            picture.load()
    shown = {link for link in Page(drawn / "index.html").links if link.startswith("figures/")}
    linked = set(re.findall(r"\]\((figures/.*?)\)", (drawn / "README.md").read_text("utf-8")))
    everything = {f"figures/{path.name}" for path in (drawn / "figures").iterdir()}
    assert shown == linked == everything


def test_both_say_what_was_run_and_found(drawn: Path, results: Results) -> None:
    texts = " ".join(Page(drawn / "index.html").texts)
    readme = (drawn / "README.md").read_text(encoding="utf-8")
    for row in results.rows:
        psnr = row.own.psnr
        interval = f"[{psnr.low:.2f}, {psnr.high:.2f}]"
        assert f"{psnr.value:.2f} {interval}" in texts.replace("  ", " ")
        assert f"| {row.recipe} | " in readme
        assert interval in readme
        assert f"All settings of {row.recipe}" in texts
    for fact in ("tiny: 8x8 to 64x64", "40,000 training pictures", "a machine", "sr4 0"):
        assert fact in texts
        assert fact in readme
    assert "**22.00**" in readme  # the best, and clear of the others
    assert "22.00" in texts
    for one in (texts, readme):
        assert "51.75" in one  # the paper's
        assert "cosine schedule" in one or "SR4 with 500 steps" in one  # a claim
        assert "sr4 − sr3" in one


def test_all_machines_are_named(results: Results) -> None:
    first, *others = results.rows
    moved = first.model_copy(update={"machine": "another one", "versions": "sr4 1"})
    found = facts(results.model_copy(update={"rows": (moved, *others)}))
    assert (found["Machine"], found["Versions"]) == ("another one; a machine", "sr4 1; sr4 0")


def test_settings_and_protocol_are_there(drawn: Path) -> None:
    text = "\n".join(Page(drawn / "index.html").texts)
    assert "recipe: attention-input" in text
    assert "learning_rate: 0.0005" in text
    assert "mean over pictures" in text


def test_the_same_numbers_give_the_same_files_and_others_stay(folder: Path) -> None:
    (folder / "figures" / "mine.png").write_bytes(b"mine")
    (folder / "notes.txt").write_text("mine")
    before = files(folder)
    write_page(folder)
    assert files(folder) == before


def test_text_is_text_whatever_it_holds(results: Results, tmp_path: Path) -> None:
    nasty = "<script>alert('1')</script> & \"|`*\n$x"
    first, *others = results.rows
    changed = {
        "data": nasty,
        "machine": nasty,
        "rows": (first.model_copy(update={"recipe": nasty}), *others),
    }
    results.model_copy(update=changed).write(tmp_path)
    write_page(tmp_path)
    page = Page(tmp_path / "index.html")
    assert page.all("script") == [{}]  # our own
    assert " ".join(nasty.split()) in page.texts
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "<script>" not in readme.replace("\\<script\\>", "")
    (header, _, *lines) = (line for line in readme.splitlines() if line.startswith("| "))
    wanted = len(re.findall(r"(?<!\\)\|", header))
    assert len(re.findall(r"(?<!\\)\|", next(line for line in lines if "alert" in line))) == wanted


def test_missing_samples_get_a_word(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path)
    write_page(tmp_path)
    text = " ".join(Page(tmp_path / "index.html").texts)
    names = ", ".join(row.recipe for row in results.rows)
    assert f"The sample pictures of {names} are not in this folder." in text
    assert not (tmp_path / "figures" / "samples.png").exists()

    paint_samples(tmp_path, results)
    (tmp_path / "samples" / "sr4" / "1.png").unlink()
    write_page(tmp_path)
    page = Page(tmp_path / "index.html")
    assert "The sample pictures of sr4 are not in this folder." in " ".join(page.texts)
    assert "samples/sr3/1.png" in page.links
    assert "samples/sr4/0.png" not in page.links


def test_a_damaged_sample_is_named(folder: Path) -> None:
    path = folder / "samples" / "sr3" / "0.png"
    path.write_bytes(path.read_bytes()[:20])
    before = files(folder)
    with pytest.raises(PictureError, match=re.escape(str(path))):
        write_page(folder)
    assert files(folder) == before


@pytest.mark.parametrize("name", ["README.md", "index.html"])
def test_a_file_of_others_is_left_alone(results: Results, tmp_path: Path, name: str) -> None:
    results.write(tmp_path)
    (tmp_path / name).write_text("my own notes")
    before = files(tmp_path)
    with pytest.raises(UsageError, match=f"{name} exists and was not made by"):
        write_page(tmp_path)
    assert files(tmp_path) == before


def test_one_system_alone_has_a_page(
    make_row: MakeRow, make_results: MakeResults, tmp_path: Path
) -> None:
    row = make_row("regression")
    make_results(row.model_copy(update={"scores": row.scores[:1]})).write(tmp_path)
    write_page(tmp_path)
    page = Page(tmp_path / "index.html")
    assert "Ablation: 1 system, tiny, 40,000 pictures each" in page.texts
    assert {one["id"] for one in page.all("section")}.isdisjoint({"claims", "pairs", "attention"})


def test_remarks_are_made_once(results: Results) -> None:
    def noted(row: Row) -> Row:
        evaluation = row.own.model_copy(update={"notes": ("a note",)})
        own, *others = row.scores
        scores = (own.model_copy(update={"evaluation": evaluation}), *others)
        return row.model_copy(update={"scores": scores})

    found = results.model_copy(update={"rows": tuple(map(noted, results.rows))})
    assert remarks(found).count("a note") == 1


def test_the_command_draws_the_page_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(folder)
    for name in before:
        if not name.startswith(("samples", "results")):
            os.remove(folder / name)
    assert main(["plot", "ablation", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'index.html'}\n{folder / 'README.md'}\n"
    assert files(folder) == before


def test_the_command_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", "ablation", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "results.json: cannot be read" in line
