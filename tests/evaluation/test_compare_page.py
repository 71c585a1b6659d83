"""The tables and the page of a comparison."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from sr4.errors import UsageError
from sr4.evaluation.compare import Comparison, compare
from sr4.evaluation.compare_page import pairs_table, score_table, shown_p, write
from sr4.evaluation.evaluate import evaluate
from sr4.evaluation.reading import read_report
from tests.evaluation.made_up import Pictures, Upscaler
from tests.plots.parsed import Page

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def found(reports: Path) -> Comparison:
    return compare([reports / name for name in ("quiet", "loud", "bicubic")])


@pytest.fixture(scope="module")
def page(found: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = write(found, tmp_path_factory.mktemp("page") / "compared")
    assert {one.name for one in folder.iterdir()} == {"comparison.json", "index.html"}
    return Page(folder / "index.html")


def test_scores_stand_side_by_side(found: Comparison, reports: Path) -> None:
    table = score_table(found)
    assert [cell.text for cell in table.header] == ["Metric", "quiet", "loud", "bicubic"]
    rows = {row[0].text: row[1:] for row in table.rows}
    psnr = read_report(reports / "loud").psnr
    assert rows["PSNR ↑"][1].text == f"{psnr.value:.2f}"
    assert rows["PSNR ↑"][1].small == f"[{psnr.low:.2f}, {psnr.high:.2f}]"
    assert rows["PSNR of the mean ↑"][2].text == "–"  # bicubic has no samples


def test_pairs_say_who_is_better(found: Comparison) -> None:
    table = pairs_table(found)
    rows = {row[0].text: row[1] for row in table.rows}
    assert list(rows) == ["quiet − loud", "quiet − bicubic", "loud − bicubic"]
    (pair,) = (
        one for one in found.pairs if (one.one, one.other, one.metric) == ("quiet", "loud", "psnr")
    )
    assert rows["quiet − loud"].text == f"+{pair.difference.value:.2f} better"
    assert rows["quiet − loud"].small.endswith(f"p {shown_p(pair.p_corrected)}")
    assert rows["loud − bicubic"].text.endswith(" worse")
    assert [shown_p(p) for p in (1.0, 0.234, 0.0951, 0.0321, 0.00004)] == [
        *("1.00", "0.23", "0.10", "0.03", "4e-05")
    ]


def test_the_page_shows_the_same_pictures_of_all(page: Page) -> None:
    assert "3 systems on 12 pictures" in page.texts
    images = page.all("img")
    layers = [one["data-layer"] for one in images]
    count = len(images) // 4  # the bicubic one is a system here
    assert count >= 3
    assert layers == ["0", "1", "2", "3"] * count
    assert all((one["src"] or "").startswith("data:image/webp;base64,") for one in images)
    radios = [one for one in page.all("input") if one["type"] == "radio"]
    assert len(radios) == 8
    sections = [one["id"] for one in page.all("section")]
    assert sections == ["scores", "pairs", "pictures", "uncertainty", "distributions", "protocol"]


def test_reports_without_pictures_have_a_page_without(reports: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(reports / "bicubic", tmp_path / "old"))
    shutil.rmtree(old / "pictures")
    folder = write(compare([reports / "loud", old]), tmp_path / "compared")
    page = Page(folder / "index.html")
    assert page.all("img") == []
    assert "pictures" not in [one["id"] for one in page.all("section")]


def test_names_of_strangers_are_text(many: Pictures, tmp_path: Path) -> None:
    nasty = '<script>alert(1)</script>"&'
    named = Pictures(many.pictures[:4])
    named.names = [f"{nasty}{at}.png" for at in range(4)]
    for name in ("a", "b"):
        model = Upscaler()
        model.name = f"{name} {nasty}"
        evaluate(model, named, features=None, samples=2).write(tmp_path / name)
    folder = write(compare([tmp_path / "a", tmp_path / "b"]), tmp_path / "compared")
    page = Page(folder / "index.html")
    assert page.all("script") == [{}]
    assert f"a {nasty}" in page.texts
    assert len(page.all("img")) == 4 * 4


def test_pictures_that_were_exchanged_are_refused(reports: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(reports / "bicubic", tmp_path / "other"))
    for place in (other / "pictures").iterdir():
        Image.new("RGB", (9, 9)).save(place / "result.png")
    with pytest.raises(UsageError, match="in different sizes; expected"):
        write(compare([reports / "loud", other]), tmp_path / "compared")
    assert not (tmp_path / "compared").exists()


def test_other_folders_are_not_replaced(found: Comparison, reports: Path, tmp_path: Path) -> None:
    report = Path(shutil.copytree(reports / "loud", tmp_path / "loud"))
    with pytest.raises(UsageError, match="holds no comparison"):
        write(found, report, overwrite=True)
    folder = write(found, tmp_path / "compared")
    write(found, folder, overwrite=True)
