"""What `sr4 upscale` would read and write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sr4
from sr4.batch.plan import Failure, PlannedPicture, plan_pictures
from sr4.errors import UsageError
from sr4.machine.installation import how_to_install
from sr4.pictures import Picture, finding, write_picture
from sr4.pictures.raster import from_pil


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures (empty files do: nothing is read) below a working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.jpg", "faces/c.png", "faces/deep/d.webp", "faces/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def pairs(*inputs: str, out: str | None = None, **options: Any) -> dict[str, str]:
    pictures, failures, *_ = plan_pictures(inputs, out, **options)
    assert failures == []
    return {str(picture.source): str(picture.output) for picture in pictures}


def only_failure(*inputs: str, out: str | None = None, **options: bool | int) -> str:
    _, failures, *_ = plan_pictures(inputs, out, **options)  # type: ignore[arg-type]
    (failure,) = failures
    return failure.error


def test_results_are_png_with_the_name_of_their_input() -> None:
    assert pairs("a.png", "b.jpg") == {"a.png": "upscaled/a.png", "b.jpg": "upscaled/b.png"}


def test_a_folder_keeps_its_structure() -> None:
    assert pairs("faces", out="out") == {
        "faces/c.png": "out/c.png",
        "faces/deep/d.webp": "out/deep/d.png",
    }


def test_a_pattern_that_the_shell_did_not_expand() -> None:
    assert pairs("*.png", out="out") == {"a.png": "out/a.png"}
    assert pairs("faces/*/*.webp", out="out") == {"faces/deep/d.webp": "out/d.png"}
    assert pairs("face[s]", out="out").keys() == {"faces/c.png", "faces/deep/d.webp"}


def test_a_name_with_brackets_is_meant_literally() -> None:
    Path("a[1].png").touch()
    assert pairs("a[1].png") == {"a[1].png": "upscaled/a[1].png"}


def test_one_file_may_name_its_result() -> None:
    assert pairs("a.png", out="large.jpg") == {"a.png": "large.jpg"}
    assert pairs("b.*", out="large.jpg") == {"b.jpg": "large.jpg"}
    assert pairs("a.png", out="v1") == {"a.png": "v1/a.png"}
    Path("odd.png").mkdir()
    assert pairs("a.png", out="odd.png") == {"a.png": "odd.png/a.png"}


@pytest.mark.parametrize("inputs", [("a.png", "b.jpg"), ("faces",), ("*.*",)])
def test_several_pictures_cannot_share_a_file_name(inputs: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"'large\.png' for 2 pictures; expected a folder"):
        plan_pictures(inputs, Path("large.png"))


def test_samples_and_map_stand_beside_the_result() -> None:
    pictures, *_ = plan_pictures(["a.png"], Path("x.tif"), samples=2, uncertainty=True)
    first, second, chart = Path("x_1.tif"), Path("x_2.tif"), Path("x_uncertainty.png")
    assert pictures == [PlannedPicture(Path("a.png"), Path("x.tif"), (first, second), chart)]
    assert pictures[0].outputs == (first, second, chart, Path("x.tif"))


def test_earlier_results_are_no_inputs() -> None:
    for folder in ("upscaled", "faces/upscaled"):
        Path(folder).mkdir()
        Path(folder, "old.png").touch()
    assert "upscaled/old.png" not in pairs(".")
    assert pairs("faces", out="faces/upscaled").keys() == {"faces/c.png", "faces/deep/d.webp"}
    # Only a folder inside the input is left out, not one that holds the input.
    assert pairs("faces/deep", out="faces") == {"faces/deep/d.webp": "faces/d.png"}


def test_a_picture_named_twice_is_done_once() -> None:
    assert len(pairs("a.png", "a.png", "*.png")) == 1


def test_the_second_of_two_inputs_for_one_output_fails() -> None:
    Path("a.gif").touch()
    error = only_failure("a.gif", "a.png")
    for part in ("'a.gif'", "'a.png'", "'upscaled/a.png'"):
        assert part in error


def test_a_result_may_not_be_the_sample_of_another() -> None:
    Path("a_1.png").touch()
    assert "'upscaled/a_1.png'" in only_failure("a.png", "a_1.png", samples=1)


def test_an_existing_output_fails_unless_it_may_be_replaced() -> None:
    Path("upscaled").mkdir()
    Path("upscaled/a.png").touch()
    assert "use --overwrite" in only_failure("a.png", "b.jpg")
    assert pairs("a.png", overwrite=True) == {"a.png": "upscaled/a.png"}


def test_an_existing_sample_or_map_fails_too() -> None:
    Path("x_1.png").touch()
    assert "'x_1.png' exists" in only_failure("a.png", out="x.png", samples=1)
    Path("y_uncertainty.png").touch()
    assert "exists" in only_failure("a.png", out="y.png", uncertainty=True)


def test_an_input_is_never_replaced() -> None:
    assert "is an input too" in only_failure("a.png", out="a.png", overwrite=True)
    os.symlink("a.png", "link.png")
    assert "is an input too" in only_failure("a.png", out="link.png", overwrite=True)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty name"),
        ("no/*.png", "no file matches 'no/*.png'"),
        ("hollow", "holds no pictures"),
    ],
)
def test_inputs_that_name_nothing(text: str, part: str) -> None:
    Path("hollow").mkdir()
    pictures, failures, *_ = plan_pictures([text, "a.png"], None)
    assert [picture.source for picture in pictures] == [Path("a.png")]
    ((named, error),) = failures
    assert named == text
    assert part in error


def test_a_place_below_a_file_fails_before_any_work() -> None:
    assert "'b.jpg' is a file" in only_failure("a.png", out="b.jpg/deep/out")
    with pytest.raises(UsageError, match="expected a folder"):
        plan_pictures(["faces"], Path("faces/notes.txt"))


@pytest.mark.parametrize("options", [{"samples": 2}, {"uncertainty": True}])
def test_a_name_that_becomes_too_long_fails_before_any_work(options: dict[str, Any]) -> None:
    """In a folder that is still to be made, too."""
    name = "a" * 251 + ".png"
    Path(name).touch()
    assert pairs(name) == {name: f"upscaled/{name}"}
    assert "bytes; expected at most 255: choose a shorter one" in only_failure(name, **options)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_fails_before_any_work() -> None:
    Path("locked").mkdir(mode=0o500)
    assert plan_pictures(["a.png"], Path("locked"))[1] == [
        Failure(
            "a.png",
            "the folder 'locked' is read-only; expected one to write into: choose another -o",
        )
    ]


def result(path: str) -> None:
    """A file that says that it was made here."""
    picture = Picture((from_pil(Image.new("RGB", (8, 8))),))
    provenance = {"software": f"sr4 {sr4.__version__}"}
    write_picture(picture, Path(path), provenance=provenance, overwrite=True)


def test_results_beside_their_inputs_are_no_inputs() -> None:
    Path("in").mkdir()
    Image.new("RGB", (8, 8)).save("in/a.jpg")
    for name in ("a.png", "a_1.png", "a_uncertainty.png", "old.webp"):
        result(f"in/{name}")
    for inputs in (["in"], ["in/*"], ["in/../in"], ["in/a.jpg", "in/a.png"]):
        made = plan_pictures(inputs, Path("in"), made=lambda picture: [picture.output])
        assert made.failures == []
        assert [(one.source.name, one.output.name) for one in made.pictures] == [("a.jpg", "a.png")]
        assert made.pictures[0].is_done
    assert pairs("in", out="in", overwrite=True) == {"in/a.jpg": "in/a.png"}
    made = plan_pictures(["in"], Path("in"), samples=1, made=lambda one: one.outputs)
    assert made.results == 2  # besides the outputs of this call, the map and another
    # By name they are pictures as any other.
    assert len(pairs("in/a.png", "in/a_1.png", "in/old.webp", out="twice")) == 3
    assert pairs("in/a_1.png", out="in/a.tif") == {"in/a_1.png": "in/a.tif"}
    assert "'in/a_1.png' exists already" in only_failure("in/a_1.png", out="in")


def test_a_picture_of_someone_else_is_an_input_though_it_lies_there() -> None:
    Path("in").mkdir()
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (8, 8)).save(f"in/{name}")
    _, failures, *_ = plan_pictures(["in"], Path("in"))
    assert len(failures) == 2


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".npy"])
def test_what_a_picture_gives_beside_it_is_no_input_though_it_cannot_say_so(suffix: str) -> None:
    Path("in").mkdir()
    picture = Picture((from_pil(Image.new("RGB", (8, 8))),))
    names = [f"a_x4{end}{suffix}" for end in ("", "_1", "_uncertainty", "_uncertainty_x4")]
    for name in ("a.png", *names, f"b_x4{suffix}", f"a{suffix}"):
        write_picture(picture, Path("in", name))
    options: dict[str, Any] = {"samples": 1, "uncertainty": True, "map_suffix": suffix}
    for inputs in (["in"], ["in/*"], [f"in/{path.name}" for path in sorted(Path("in").iterdir())]):
        plan = plan_pictures(inputs, "in", tag="_x4", suffix=suffix, made=None, **options)
        # Nothing gives b_x4; a.png and the other a are two inputs for one result.
        assert sorted(one.source.name for one in plan.pictures)[-1] == f"b_x4{suffix}"
        assert len(plan.pictures) == 2
        ((clash, _),) = plan.failures
        assert {Path(clash), plan.pictures[0].source} == {Path("in/a.png"), Path(f"in/a{suffix}")}
    # Where results lie elsewhere, nothing gives them.
    assert len(plan_pictures(["in"], "out", tag="_x4", suffix=suffix).pictures) == 6


def test_a_second_input_for_a_result_is_not_replaced_though_it_cannot_say_that_it_is_none() -> None:
    Path("in").mkdir()
    for name in ("a.jpg", "a.bmp"):
        Image.new("RGB", (8, 8)).save(f"in/{name}")
    plan = plan_pictures(["in"], "in", suffix=".bmp", overwrite=True)
    assert plan.pictures == []
    assert ["is an input too" in one.error for one in plan.failures] == [True, True]


def test_a_folder_of_nothing_but_results_is_a_failure() -> None:
    Path("in").mkdir()
    result("in/a.png")
    for out in ("in", "again"):
        assert "nothing but results of sr4" in only_failure("in", out=out)
    assert pairs("in/a.png", out="again") == {"in/a.png": "again/a.png"}


def test_results_that_an_earlier_call_made_elsewhere_are_no_inputs() -> None:
    Path("large").mkdir()
    result("large/a.png")
    result("large/b.png")
    Path("large/mine.png").touch()
    plan = plan_pictures(["."], "large2")
    assert "large/mine.png" in {str(one.source) for one in plan.pictures}
    assert "large/a.png" not in {str(one.source) for one in plan.pictures}
    assert (plan.failures, plan.results) == ([], 2)
    assert plan_pictures(["*/*.png"], "large2").results == 2
    assert pairs("large/a.png", out="large2") == {"large/a.png": "large2/a.png"}


def test_files_that_nothing_reads_are_counted_by_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "find_spec", lambda name: None)  # without the extra for HEIC
    for name in ("1.HEIC", "2.heic", "x.jxl", ".hidden.jxl", "out/y.jxl"):
        path = Path("faces", name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    plan = plan_pictures(["faces"], Path("faces/out"))
    assert [str(one.source) for one in plan.pictures] == ["faces/c.png", "faces/deep/d.webp"]
    assert plan.failures == []
    assert dict(plan.left_out) == {".heic": 2, ".jxl": 1, ".txt": 1}


def test_a_folder_of_other_pictures_alone_is_a_failure_that_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("phone").mkdir()
    for number in range(3):
        Path("phone", f"{number}.heic").touch()
    monkeypatch.setattr(finding, "find_spec", lambda name: None)
    error = only_failure("phone")
    assert "'phone' holds nothing but 3 files: 3 .heic" in error
    assert how_to_install("heic", "pillow-heif") in error


@pytest.mark.parametrize("name", ["x.heic", "x.HEIF", "x.jxl", "x.svg", "x.psd", "x.cr2", "x.ppm"])
def test_a_picture_that_cannot_be_written_is_no_folder(name: str) -> None:
    with pytest.raises(UsageError, match=r"expected one of \.png, \.jpg"):
        plan_pictures(["a.png"], Path(name))


@pytest.mark.parametrize("name", ["out.xyz", "out.tar", "results.v2", "run.1", "new/x.y/z.Q"])
def test_one_picture_makes_no_folder_by_a_suffix_that_no_picture_has(name: str) -> None:
    Path("notes.txt").touch()
    for out in (name, Path(name), "notes.txt"):
        with pytest.raises(UsageError, match=r"ends in one of \.png, .*: end the name of a new f"):
            plan_pictures(["a.png"], out)
    assert pairs("a.png", out=f"{name}/") == {"a.png": f"{name}/a.png"}
    assert pairs("a.png", out=f"{name}/.") == {"a.png": f"{name}/a.png"}
    Path(name).mkdir(parents=True)
    assert pairs("a.png", out=name) == {"a.png": f"{name}/a.png"}


def test_a_folder_of_several_pictures_or_that_exists_may_have_any_name() -> None:
    assert pairs("a.png", "b.jpg", out="run.1") == {"a.png": "run.1/a.png", "b.jpg": "run.1/b.png"}
    assert pairs("faces/deep", out="out.xyz") == {"faces/deep/d.webp": "out.xyz/d.png"}
    assert pairs("faces", out="x.png/")["faces/c.png"] == "x.png/c.png"
    # Of a pattern, too, however many it finds.
    assert pairs("*.png", out="run.1") == {"a.png": "run.1/a.png"}
    Path("kept.heic").mkdir()
    assert pairs("a.png", out="kept.heic") == {"a.png": "kept.heic/a.png"}


def test_an_output_without_a_name_is_not_the_present_folder() -> None:
    with pytest.raises(UsageError, match="got an output without a name; expected a file or a fold"):
        plan_pictures(["b.jpg"], "")
    assert pairs("b.jpg", out=".") == {"b.jpg": "b.png"}


@pytest.mark.parametrize(
    "text", ["https://example.org/a.png", "s3://bucket/a.png", "file:///a.png"]
)
def test_an_address_is_shown_as_it_was_given(text: str) -> None:
    assert f"got the address {text!r}; expected a file" in only_failure(text)
    with pytest.raises(UsageError, match="expected a place on this computer"):
        plan_pictures(["a.png"], Path(text))


@pytest.mark.parametrize(
    ("out", "suffix", "said"),
    [
        ("a.jpgg", None, r"^got the output 'a\.jpgg'; .*did you mean '\.jpg'\? Else end"),
        ("a.pgn", None, r"did you mean '\.png'\?"),
        ("a.png", ".jpg", r"^got the output 'a\.png' with the format jpg; expected one format"),
    ],
)
def test_slips_in_the_name_of_an_output(tmp_path: Path, out: str, suffix: str, said: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "in.png")
    with pytest.raises(UsageError, match=said):
        plan_pictures([str(tmp_path / "in.png")], Path(out), suffix=suffix)


@pytest.mark.parametrize(
    ("out", "suffix"),
    [("v2.large/", None), ("a.jpeg", ".jpg"), ("a.tif", ".tiff"), ("z.png", "same"), (".x4", None)],
)
def test_names_of_outputs_that_are_none(tmp_path: Path, out: str, suffix: str) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "in.png")
    (planned,) = plan_pictures([str(tmp_path / "in.png")], out, suffix=suffix).pictures
    assert planned.output in (Path(out), Path(out, "in.png"))


def test_results_may_have_a_tag_in_their_names() -> None:
    """So that they can lie beside their inputs, and none becomes an input of the next call."""
    assert pairs("a.png", "b.jpg", out=".", tag="_x4") == {
        "a.png": "a_x4.png",
        "b.jpg": "b_x4.png",
    }
    assert pairs("faces", out="out", tag=".big", suffix="same") == {
        "faces/c.png": "out/c.big.png",
        "faces/deep/d.webp": "out/deep/d.big.webp",
    }
    planned = plan_pictures(["a.png"], ".", tag="_x4", samples=1, uncertainty=True).pictures[0]
    assert [path.name for path in planned.outputs] == [
        "a_x4_1.png",
        "a_x4_uncertainty.png",
        "a_x4.png",
    ]
    result("faces/c_x4.png")
    again = plan_pictures(["faces"], "faces", tag="_x4", made=lambda one: one.outputs)
    done = {str(one.source): one.is_done for one in again.pictures}
    assert done == {"faces/c.png": True, "faces/deep/d.webp": False}
    assert again.results == 0


@pytest.mark.parametrize("tag", ["/x", "a/../b", "\\x", "\0", "\n"])
def test_tags_that_no_name_can_have(tag: str) -> None:
    with pytest.raises(UsageError, match="expected a text for the end of names"):
        plan_pictures(["a.png"], "out", tag=tag)
    with pytest.raises(UsageError, match="expected one of both"):
        plan_pictures(["a.png"], "out.png", tag="_x4")


def test_a_quality_is_for_the_files_whose_format_has_one() -> None:
    def qualities(*inputs: str, out: str = "out", **options: Any) -> dict[str, int | None]:
        pictures, *_ = plan_pictures(inputs, out, quality=80, **options)
        return {one.output.name: one.quality for one in pictures}

    assert qualities("a.png", "b.jpg", suffix=".webp") == {"a.webp": 80, "b.webp": 80}
    assert qualities("a.png", out="x.avif") == {"x.avif": 80}
    assert qualities("a.png", "b.jpg", suffix="same") == {"a.png": None, "b.jpg": 80}
    (picture,) = plan_pictures(["b.jpg"], "x.jpg", samples=1, uncertainty=True, quality=80).pictures
    said = {path.name: picture.quality_of(path) for path in picture.outputs}
    assert said == {"x.jpg": 80, "x_1.jpg": 80, "x_uncertainty.png": None}


@pytest.mark.parametrize("options", [{}, {"suffix": ".tif"}, {"suffix": "same"}])
def test_a_quality_that_no_result_has_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"got quality 80 for results in \.(png|tif), which"):
        plan_pictures(["a.png"], "out", quality=80, **options)
    with pytest.raises(UsageError, match="got quality 101; expected a whole number from 1"):
        plan_pictures(["a.png"], "out", quality=101, **options)
