"""Reports beside each other: numbers that are known, and reports that do not compare."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr4.build import build_corruption
from sr4.config.calibration import LEVELS
from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.evaluation.compare import IN_PAIRS, Comparison, compare
from sr4.evaluation.evaluate import BicubicUpscaler, evaluate
from sr4.evaluation.metrics import bootstrap
from sr4.evaluation.paired import holm, p_values
from sr4.evaluation.reading import read_report
from tests.config.test_calibration import calibration
from tests.evaluation.made_up import SCALE, Pictures, SureUpscaler, Upscaler

pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def found(reports: Path) -> Comparison:
    return compare([reports / name for name in ("quiet", "loud", "bicubic")])


def copied(reports: Path, name: str, place: Path) -> Path:
    return Path(shutil.copytree(reports / name, place / name))


def without_checksums(report: Path, count: int) -> None:
    """Take the last columns off a report, as if an earlier version had written it."""
    lines = (report / "per_picture.csv").read_text().splitlines()
    kept = [line.rsplit(",", count)[0] for line in lines]
    (report / "per_picture.csv").write_text("\n".join(kept) + "\n")


def test_scores_are_those_of_the_reports(found: Comparison, reports: Path) -> None:
    assert [one.name for one in found.systems] == ["quiet", "loud", "bicubic"]
    assert found.count == 12
    for field, scores in found.scores.items():
        for name, score in scores.items():
            assert score == read_report(reports / name)[field]
    assert {"psnr", "ssim", "consistency", "psnr_mean"} <= set(found.scores)
    assert set(found.scores["psnr_mean"]) == {"quiet", "loud"}  # of several samples
    assert found.notes == ()


def test_a_number_of_some_pictures_is_so_of_those_that_all_have(
    many: Pictures, tmp_path: Path
) -> None:
    """A flat picture has no rank of spread and error."""
    flat = Pictures([np.full_like(many.pictures[0], 90), *many.pictures])
    made_by = calibration(levels=LEVELS, factors={2: tuple(range(1, 13))})
    options: dict[str, Any] = {"samples": 2, "features": None, "calibration": made_by}
    for limit in (5, 8):
        evaluation = evaluate(SureUpscaler(), flat, limit=limit, batch_size=1, **options)
        evaluation.write(tmp_path / str(limit))
    scores = compare([tmp_path / "5", tmp_path / "8"]).scores["spread_rank"]
    assert scores["fake (5)"].value == scores["fake (8)"].value


def test_pairs_differ_by_what_their_pictures_do(found: Comparison, reports: Path) -> None:
    psnr = {
        name: np.array([one.psnr for one in read_report(reports / name).pictures])
        for name in ("quiet", "loud", "bicubic")
    }
    pairs = {(one.one, one.other, one.metric): one for one in found.pairs}
    known = [metric.field for metric in IN_PAIRS if metric.field != "perceptual"]
    assert len(pairs) == len(found.pairs) == 3 * len(known)
    for one, other in (("quiet", "loud"), ("quiet", "bicubic"), ("loud", "bicubic")):
        pair = pairs[one, other, "psnr"]
        difference = psnr[one] - psnr[other]
        assert pair.difference == bootstrap(difference)
        assert pair.p == pytest.approx(p_values(difference[:, None])[0])
    # Noise of 0.1 costs more than that of 0.02 in every picture: only 2 of 4096 flips reach it.
    assert (psnr["quiet"] > psnr["loud"]).all()
    assert pairs["quiet", "loud", "psnr"].p == pytest.approx(2 / 4096, abs=4e-4)
    corrected = holm([one.p for one in found.pairs])
    assert [one.p_corrected for one in found.pairs] == pytest.approx(corrected.tolist())
    assert pairs["quiet", "loud", "psnr"].is_clear


def test_equal_reports_do_not_differ(reports: Path) -> None:
    found = compare([reports / "loud", reports / "loud"])
    assert [one.name for one in found.systems] == ["loud (loud)", "loud (loud) #2"]
    assert {(one.difference.value, one.p_corrected, one.is_clear) for one in found.pairs} == {
        (0.0, 1.0, False)
    }


def test_what_is_clear_alone_need_not_be_among_many(reports: Path, tmp_path: Path) -> None:
    """Ten of twelve pictures better by as much as two are worse: 2 (1 + 12 + 66) of 4096 flips."""
    other = copied(reports, "loud", tmp_path)
    head, *lines = (other / "per_picture.csv").read_text().splitlines()
    at = head.split(",").index("psnr")
    for number, line in enumerate(lines):
        cells = line.split(",")
        cells[at] = str(float(cells[at]) + (0.5 if number < 2 else -0.5))
        lines[number] = ",".join(cells)
    (other / "per_picture.csv").write_text("\n".join([head, *lines]) + "\n")
    found = compare([reports / "loud", other])
    (pair,) = (one for one in found.pairs if one.metric == "psnr")
    assert pair.difference.value == pytest.approx(0.5 * 8 / 12)
    assert pair.p == pytest.approx(158 / 4096, abs=0.004)
    assert pair.p_corrected == pytest.approx(len(found.pairs) * pair.p)
    assert not pair.is_clear


def test_fewer_pictures_are_those_that_all_have(reports: Path, tmp_path: Path) -> None:
    loud = copied(reports, "loud", tmp_path)
    report = json.loads((loud / "report.json").read_text(encoding="utf-8"))
    report["kid_efflite0"] = {"value": 1.0, "low": 0.0, "high": 2.0}  # of the set as a whole
    (loud / "report.json").write_text(json.dumps(report), encoding="utf-8")
    found = compare([loud, reports / "short"])
    assert found.count == 8
    for field in ("psnr", "psnr_mean", "diversity"):
        scores = [getattr(one, field) for one in read_report(loud).pictures[:8]]
        assert found.scores[field]["loud"] == bootstrap(scores)
    assert found.scores["psnr"]["bicubic"] == read_report(reports / "short").psnr
    assert "kid_efflite0" not in found.scores
    first, second = found.notes
    assert first == "compared on the 8 pictures that all reports have, of 12 of loud, 8 of bicubic"
    assert second == "left out, known of whole test sets alone: kid_efflite0"


def test_pictures_are_found_in_any_order(reports: Path, tmp_path: Path) -> None:
    other = copied(reports, "bicubic", tmp_path)
    head, *lines = (other / "per_picture.csv").read_text().splitlines()
    (other / "per_picture.csv").write_text("\n".join([head, *reversed(lines)]) + "\n")
    found, again = (
        compare([reports / "loud", reports / "bicubic"]),
        compare([reports / "loud", other]),
    )
    assert again.pairs == found.pairs
    assert again.systems[1].lines == tuple(range(11, -1, -1))


def test_pictures_of_one_name_are_told_apart(many: Pictures, tmp_path: Path) -> None:
    twice = Pictures(many.pictures[:4])
    twice.names = ["a.png", "b.png", "a.png", "b.png"]
    for name, noise in (("one", 0.02), ("other", 0.1)):
        evaluate(Upscaler(noise), twice, features=None).write(tmp_path / name)
    assert compare([tmp_path / "one", tmp_path / "other"]).count == 4


def test_a_comparison_survives_json(found: Comparison) -> None:
    said = json.loads(found.model_dump_json())
    assert said["scores"]["psnr"]["quiet"]["value"] == found.scores["psnr"]["quiet"].value
    assert said["systems"][0]["evaluation"]["protocol"]["runtime"] == "made up, float32"
    assert said["pairs"][0]["p_corrected"] >= said["pairs"][0]["p"]


def refused(folders: list[Path]) -> str:
    with pytest.raises(UsageError) as caught:
        compare(folders)
    text = str(caught.value)
    assert "\n" not in text
    assert "; expected " in text
    return text


def test_one_report_is_none_to_compare(reports: Path) -> None:
    assert refused([reports / "loud"]).startswith("got 1 report; expected at least 2")
    assert refused([]).startswith("got 0 report")


def test_scores_that_were_taken_in_another_way_are_refused(
    reports: Path, many: Pictures, tmp_path: Path
) -> None:
    """Another border, another scale, degraded inputs."""
    border = evaluate(BicubicUpscaler(Degradation(SCALE)), many, features=None, border=4)
    text = refused([reports / "loud", border.write(tmp_path / "border")])
    assert "pixels is" in text
    assert "a border of 4 pixels" in text
    scale = evaluate(BicubicUpscaler(Degradation(2)), many, features=None)
    assert "degradation is" in refused([reports / "loud", scale.write(tmp_path / "scale")])
    spoilt = border.model_copy(
        update={"protocol": read_report(reports / "loud").protocol | {"corruption": "photo"}}
    )
    text = refused([reports / "loud", spoilt.write(tmp_path / "spoilt")])
    assert "corruption is 'none'" in text


def test_metrics_that_were_taken_in_another_way_are_left_out(reports: Path, tmp_path: Path) -> None:
    other = copied(reports, "bicubic", tmp_path)
    said = json.loads((other / "report.json").read_text())
    said["protocol"]["ssim"] += ", of another package"
    (other / "report.json").write_text(json.dumps(said))
    found = compare([reports / "loud", other])
    assert "left out, taken in different ways: ssim" in found.notes
    assert "ssim" not in found.scores
    assert "ssim" not in {pair.metric for pair in found.pairs}
    assert "psnr" in found.scores


def test_other_pictures_are_refused(reports: Path, many: Pictures, tmp_path: Path) -> None:
    others = Pictures(many.pictures)
    others.names = [f"other/{name}" for name in others.names]
    apart = evaluate(Upscaler(), others, features=None).write(tmp_path / "apart")
    assert "without a picture that is in all" in refused([reports / "loud", apart])
    moved = Pictures([*many.pictures[:5], many.pictures[5] // 2, *many.pictures[6:]])
    changed = evaluate(Upscaler(), moved, features=None).write(tmp_path / "changed")
    assert f"another picture by the name {many.names[5]!r}" in refused([reports / "loud", changed])


def test_degraded_pictures_at_other_places_are_other_inputs(reports: Path, tmp_path: Path) -> None:
    """What degrades a picture follows from its place among all."""
    folders = [copied(reports, "loud", tmp_path), copied(reports, "bicubic", tmp_path)]
    for folder in folders:
        said = json.loads((folder / "report.json").read_text())
        said["protocol"]["corruption"] = "photo"
        (folder / "report.json").write_text(json.dumps(said))
    assert compare(folders).count == 12
    head, *lines = (folders[1] / "per_picture.csv").read_text().splitlines()
    (folders[1] / "per_picture.csv").write_text("\n".join([head, *reversed(lines)]) + "\n")
    assert compare(folders).count == 12  # in another order, but what they were made of is the same
    for folder in folders:
        without_checksums(folder, 1)  # of low_res: the line is all that there is to go by
    assert "pictures that were degraded otherwise in" in refused(folders)


def test_degraded_pictures_are_known_by_what_results_were_made_of(
    many: Pictures, tmp_path: Path
) -> None:
    """Where a report has left one out, its lines are not the places of pictures any more."""
    photo = build_corruption("photo")
    small = np.zeros((8, 8, 3), np.uint8)  # too small to be scored

    def report(name: str, pictures: list[np.ndarray], names: list[str]) -> Path:
        source = Pictures(pictures)
        source.names = names
        found = evaluate(
            BicubicUpscaler(Degradation(SCALE)), source, features=None, corruption=photo, bad=[]
        )
        return found.write(tmp_path / name)

    names = list("abcdef")
    whole = report("whole", list(many.pictures[:6]), names)
    one_bad = [small, *many.pictures[1:6]]
    assert compare([whole, report("bad", one_bad, names)]).count == 5
    moved = report("moved", list(many.pictures[1:6]), names[1:])
    assert "pictures that were degraded otherwise in" in refused([whole, moved])
    # The lines are the same in both of these, but not the places in the data.
    fewer = report("fewer", one_bad, names)
    assert "pictures that were degraded otherwise in" in refused([fewer, moved])


def test_a_report_of_an_earlier_version_compares_by_names(reports: Path, tmp_path: Path) -> None:
    old = copied(reports, "bicubic", tmp_path)
    without_checksums(old, 2)
    for one, other in ((reports / "loud", old), (old, reports / "loud")):
        found = compare([one, other])
        assert found.count == 12
        assert "known to be the same by name alone: bicubic comes from" in found.notes[0]
