"""Reports read back, whoever wrote them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sr4.errors import UsageError
from sr4.evaluation.evaluate import evaluate
from sr4.evaluation.reading import read_report
from tests.evaluation.made_up import Pictures, Upscaler

pytest.importorskip("skimage")


@pytest.fixture
def report(reports: Path, tmp_path: Path) -> Path:
    """A copy of one."""
    return Path(shutil.copytree(reports / "loud", tmp_path / "loud"))


def test_what_was_written_is_read(many: Pictures, tmp_path: Path) -> None:
    written = evaluate(Upscaler(), many, features=None, samples=2)
    found = read_report(written.write(tmp_path / "report"))
    assert found.pictures == written.pictures
    assert found.reliability == written.reliability
    assert found.model_dump() == written.model_dump()


def test_names_that_spreadsheets_would_run_are_those_of_the_pictures(
    many: Pictures, tmp_path: Path
) -> None:
    written = evaluate(Upscaler(), many, features=None, limit=3)
    names = ["=1+1.png", "'=1+1.png", "'plain\n\".png"]
    pictures = [
        one.model_copy(update={"name": name})
        for one, name in zip(written.pictures, names, strict=True)
    ]
    folder = written.model_copy(update={"pictures": tuple(pictures)}).write(tmp_path / "report")
    assert [one.name for one in read_report(folder).pictures] == ["=1+1.png", "=1+1.png", names[2]]


def test_a_report_of_an_earlier_version_is_one(report: Path) -> None:
    """It has no coverage by level, no checksums and no pictures."""
    said = json.loads((report / "report.json").read_text())
    del said["reliability"], said["protocol"]["runtime"], said["protocol"]["processor"]
    (report / "report.json").write_text(json.dumps(said))
    lines = (report / "per_picture.csv").read_text().splitlines()
    lines = [line.rsplit(",", 2)[0] for line in lines]
    (report / "per_picture.csv").write_text("\n".join(lines) + "\n")
    shutil.rmtree(report / "pictures")
    found = read_report(report)
    assert found.reliability == ()
    assert {(one.sha256, one.low_res_sha256) for one in found.pictures} == {("", "")}
    assert found.pictures[0].psnr > 10


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("report.json", "{}", "holds no report"),
        ("report.json", "not JSON", "holds no report"),
        ("per_picture.csv", "name,psnr\n", "has 0 pictures, and report.json 12"),
        ("per_picture.csv", "name,psnr\na.png,much\n", "could not convert"),
        ("per_picture.csv", "name,psnr\na.png,nan\n", "has the score nan of psnr"),
        ("per_picture.csv", "psnr\n20\n", "without the name"),
        ("per_picture.csv", 'name,psnr\n"a', "unexpected end"),
        ("per_picture.csv", b"\xff\xfe", "utf-8"),
        ("per_picture.csv", None, "No such file"),
    ],
)
def test_what_is_damaged_is_one_line(
    report: Path, name: str, content: str | bytes | None, part: str
) -> None:
    path = report / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UsageError) as caught:
        read_report(report)
    assert part in str(caught.value)
    assert str(report) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_field_of_another_kind_is_named(report: Path) -> None:
    said = json.loads((report / "report.json").read_text())
    (report / "report.json").write_text(json.dumps(said | {"psnr": "high"}))
    with pytest.raises(UsageError, match=r"report\.json: .*psnr.*; expected a folder that"):
        read_report(report)


@pytest.mark.parametrize("kind", ["nothing", "a file", "pictures"])
def test_a_folder_that_is_no_report(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "a file":
        place.touch()
    elif kind == "pictures":
        place.mkdir()
        (place / "holiday.png").touch()
    with pytest.raises(UsageError, match="holds no report; expected a folder that `sr4 evaluate"):
        read_report(place)
