"""`sr4 upscale` with a real, tiny model."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import re
import signal
import struct
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import sr4
from sr4 import pictures
from sr4.batch import in_work, plan, worker
from sr4.batch.events import Cancelled, Event, Planned, Skipped
from sr4.batch.plan import PlannedPicture
from sr4.cli import console, upscale_report
from sr4.cli.evaluate import evaluate
from sr4.cli.upscale import upscale
from sr4.cli.upscale_report import Report
from sr4.degradation import Degradation
from sr4.errors import PictureError
from sr4.evidence.jpeg import quality_of
from sr4.files import unfinished
from sr4.model.folder import DEFAULT_MODEL, read_config
from sr4.pictures import Picture, read_picture, read_provenance
from sr4.pictures.raster import Raster
from sr4.upscaling import drawing
from sr4.upscaling.pipeline import Pipeline

Run = Callable[..., Any]


def pixels(path: Path | str) -> np.ndarray:
    return np.asarray(Image.open(path))


def files(folder: Path) -> list[str]:
    """All files below a folder, hidden ones too."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()
    )


def test_one_picture(run: Run, face: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "large.png"
    done = run("upscale", face, "-o", out, "--model", tiny_model, "--json")
    assert (done.code, done.err) == (0, "")
    (result,) = done.json["results"]
    assert done.json["model"] == str(tiny_model)
    assert done.json["backend"] == "torch"
    assert done.json["failures"] == []
    assert (result["input"], result["output"]) == (str(face), str(out))
    assert (result["width"], result["height"]) == (32, 32)
    assert result["seconds"] > 0
    assert "samples" not in result
    assert "uncertainty" not in result

    given = np.moveaxis(pixels(face), -1, 0) / 255
    degraded = Degradation(4)(np.moveaxis(pixels(out), -1, 0) / 255)
    expected = np.mean((degraded - given) ** 2) * 1e5
    assert result["consistency"] == pytest.approx(expected, rel=1e-3)
    assert result["consistency"] < 0.1


def test_without_json_a_line_for_each_result(
    run: Run, face: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("upscale", "face.png", "--model", tiny_model)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "face.png -> upscaled/face.png  32x32, evidence exact, consistency 0."
    )
    assert done.out.count("\n") == 1


def test_options_reach_the_pipeline(run: Run, face: Path, tiny_model: Path, tmp_path: Path) -> None:
    options = ("--steps", 3, "--sampler", "dpmpp", "--seed", 5, "--no-consistency", "--mean")
    out = tmp_path / "x.png"
    done = run("upscale", face, "-o", out, "--model", tiny_model, *options, "--samples", 2)
    assert done.code == 0, done.err
    expected = sr4.load(tiny_model).upscale(
        Image.open(face),
        steps=3,
        sampler="dpmpp",
        seed=5,
        consistency=False,
        use_mean=True,
        samples=2,
    )
    assert (pixels(out) == np.asarray(expected.image)).all()
    for number, sample in enumerate(expected.samples, start=1):
        assert (pixels(tmp_path / f"x_{number}.png") == np.asarray(sample)).all()
    assert (pixels(out) != pixels(tmp_path / "x_1.png")).any()


def test_what_is_no_picture_of_a_folder_is_one_line(
    run: Run, make_picture: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    make_picture(tmp_path / "set" / "a.png")
    for name in ("b.jxl", "c.JXL", "notes.txt"):
        (tmp_path / "set" / name).touch()
    words = ("upscale", tmp_path / "set", "-o", tmp_path / "out", "--model", tiny_model)
    done = run(*words)
    assert (done.code, done.err) == (0, "sr4: left out 3 files: 2 .jxl, 1 .txt\n")
    assert run(*words, "--json").json["left_out"] == {".jxl": 2, ".txt": 1}


def test_the_default_is_the_default_model() -> None:
    assert inspect.signature(upscale).parameters["model"].default == "auto"
    assert inspect.signature(evaluate).parameters["model"].default == DEFAULT_MODEL


def test_samples_and_uncertainty(run: Run, face: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("upscale", face, "-o", out, "--model", tiny_model, "--uncertainty", "--json")
    (result,) = run(*words).json["results"]
    assert files(out) == ["face.png", "face_uncertainty.png"]
    assert result["uncertainty"] == str(out / "face_uncertainty.png")
    assert np.ptp(pixels(result["uncertainty"])) > 0  # eight samples were drawn

    (result,) = run(*words, "--samples", 2, "--overwrite").json["results"]
    assert files(out) == ["face.png", "face_1.png", "face_2.png", "face_uncertainty.png"]
    assert result["samples"] == [str(out / "face_1.png"), str(out / "face_2.png")]
    assert (pixels(out / "face.png") == pixels(out / "face_1.png")).all()
    assert (pixels(out / "face_2.png") != pixels(out / "face_1.png")).any()


def test_a_picture_gives_the_same_result_alone_and_among_many(
    run: Run, make_picture: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    for number in range(19):  # more than a chunk, and two sizes
        path = tmp_path / "in" / f"{number % 2}" / f"{number}.png"
        make_picture(path, 8 + number % 2, 8, seed=number)
    done = run("upscale", tmp_path / "in", "-o", tmp_path / "all", "--model", tiny_model, "--json")
    assert done.code == 0
    assert len(done.json["results"]) == 19
    assert files(tmp_path / "all") == files(tmp_path / "in")
    alone = tmp_path / "alone.png"
    run("upscale", tmp_path / "in/1/17.png", "-o", alone, "--model", tiny_model)
    difference = pixels(alone).astype(int) - pixels(tmp_path / "all/1/17.png")
    assert pixels(alone).shape == (32, 36, 3)
    assert np.abs(difference).max() <= 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_below_the_results(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    bad = tmp_path / "bad.png"
    assert run("upscale", face, bad, "-o", tmp_path / "out", "--model", tiny_model).code == 1
    shown = screen.getvalue()
    assert "upscaling" in shown
    assert "100%" in shown
    assert f"\nsr4: error: '{bad}' does not exist" in shown.replace("\x1b[2K", "\n")
    assert f"\n{face} -> {tmp_path / 'out/face.png'}  32x32" in shown.replace("\x1b[2K", "\n")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """What the progress bar is told."""
    moves = []

    @contextmanager
    def record(label: str) -> Iterator[Callable[..., None]]:
        yield lambda share, name, left: moves.append((share, name))

    monkeypatch.setattr(console, "shares", record)
    return moves


def test_the_bar_shows_the_share_of_all_pixels(
    run: Run,
    make_picture: Callable[..., Path],
    tiny_exported: Path,
    tmp_path: Path,
    shown: list[tuple[float, str]],
) -> None:
    """Two small pictures together, and one of ten times as many pixels in bands."""
    for name, side in (("a", 8), ("b", 8), ("c", 32)):
        make_picture(tmp_path / "in" / f"{name}.png", side, side)
    run("upscale", tmp_path / "in/a.png", "-o", tmp_path / "a.png", "--model", tiny_exported)
    name = str(tmp_path / "in/a.png")
    assert shown == [(0.0, name), (0.5, name), (1.0, name), (1.0, name)]
    shown.clear()
    words = ("--tile", 32, "--model", tiny_exported, "--samples", 2)
    assert run("upscale", tmp_path / "in", "-o", tmp_path / "out", *words).code == 0
    small = [pytest.approx(128 / 1152 * part) for part in (0.5, 1)]
    assert [share for share, _ in shown[:3]] == [0.0, *small]
    bands = [share for share, _ in shown[3:]]
    assert len(bands) > 3
    assert bands == sorted(bands)
    assert bands[0] < 0.5
    assert bands[-1] == pytest.approx(1)
    assert {name for _, name in shown} == {"pictures 1 to 3 of 3"}


def test_the_bar_reaches_its_end_in_a_cascade(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, shown: list[tuple[float, str]]
) -> None:
    words = ("--model", f"{tiny_model}+{tiny_model}", "--tile", 32, "--samples", 2)
    assert run("upscale", face, "-o", tmp_path / "out", *words).code == 0
    shares = [share for share, _ in shown]
    assert shares == sorted(shares)
    assert shares[0] == 0  # before the first step of a large picture, which is long
    assert 0 < shares[1] < 0.1
    assert shares[-2] == pytest.approx(1)  # by the pixels; the last is that of a done group


def test_a_stopped_picture_goes_on(
    run: Run,
    make_picture: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a word about it, and another where nothing can be kept."""
    monkeypatch.setattr(worker, "LARGE", 100 * 100)
    monkeypatch.setattr(unfinished, "_WORTH", -1.0)
    monkeypatch.setattr(unfinished, "_SHARE", 1e9)
    picture, out = make_picture(tmp_path / "a.png", 32, 32), tmp_path / "out" / "a.png"
    words = ("upscale", picture, "-o", out, "--tile", 32, "--model", tiny_model)
    kept = unfinished.unfinished_path(out)
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "write_picture", lambda *_, **__: 1 / 0)
        assert run(*words).code == 1
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1])  # the last of its bands is cut
    done = run(*words)
    (share,) = re.findall(rf"^sr4: {re.escape(str(picture))}: goes on at (\d+) %$", done.err, re.M)
    assert (done.code, 50 < int(share) < 100) == (0, True)
    result = out.read_bytes()
    out.unlink()
    kept.write_bytes(whole)
    done = run(*words, "--json")
    assert done.json["went_on"] == [{"input": str(picture), "share": 1.0}]
    assert (out.read_bytes(), list(out.parent.iterdir())) == (result, [out])
    out.unlink()
    kept.write_text("somebody else's")
    done = run(*words)
    (line,) = (line for line in done.err.splitlines() if "cannot be used" in line)
    assert line.startswith(f"sr4: {picture}: {str(kept)!r} cannot be used (sr4 did not make it); ")
    assert (out.read_bytes(), kept.read_text()) == (result, "somebody else's")


@pytest.mark.parametrize("samples", [1, 2])
def test_a_large_picture_is_announced_and_done_alone(
    run: Run,
    make_picture: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    samples: int,
) -> None:
    """With a word about how long it will take, and seconds of its own."""
    monkeypatch.setattr(worker, "LARGE", 100 * 100)
    monkeypatch.setattr(worker, "_HUGE_BYTES", 100 * 100)
    monkeypatch.setattr(upscale_report, "_LONG", 100 * 100)
    for name, side in (("a", 8), ("b", 8), ("c", 32), ("d", 8), ("e", 32)):
        make_picture(tmp_path / "in" / f"{name}.png", side, side)
    words: tuple[object, ...] = ("--tile", 32, "--model", tiny_model, "--samples", samples)
    done = run("upscale", tmp_path / "in", "-o", tmp_path / "out", *words)
    assert done.code == 0
    announced = [line for line in done.err.splitlines() if "megapixels" in line]
    assert [line.rpartition(",")[0] for line in announced] == [
        f"sr4: {tmp_path / 'in' / name}: 32x32 -> 128x128, 0 megapixels"
        for name in ("c.png", "e.png")
    ]
    assert all(re.search(r", about \d+ seconds?$", line) for line in announced)
    together = [" s each for 2 together on " in line for line in done.out.splitlines()]
    assert together == [True, True, False, False, False]
    words = (*words, "--json", "--overwrite")
    done = run("upscale", tmp_path / "in", "-o", tmp_path / "out", *words)
    results = done.json["results"]
    assert [one.get("together", 1) for one in results] == [2, 2, 1, 1, 1]
    assert results[0]["seconds"] == results[1]["seconds"] < results[2]["seconds"]
    assert done.err == ""


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_said_of_what_is_not_there(run: Run, tmp_path: Path, there: bool) -> None:
    names = [tmp_path / "missing.png", tmp_path / "damaged.png"]
    names[1].write_bytes(b"no picture")
    if there:
        Image.effect_noise((40, 20), 40).save(tmp_path / "photo.png")
        names.append(tmp_path / "photo.png")
    done = run("upscale", *names, "-o", tmp_path / "out")
    assert done.code == 1
    said = [line for line in done.err.splitlines() if "taken for" in line]
    wanted = (
        f"sr4: photo-x4 for {tmp_path / 'photo.png'}: taken for a photograph; --model names another"
    )
    assert said == ([wanted] if there else [])


def test_what_a_format_does_not_hold_is_said_before_the_work(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, shown: list[tuple[float, str]]
) -> None:
    """And the others are done."""
    Image.new("L", (4097, 1)).save(tmp_path / "wide.png")
    words = ("--format", "webp", "--model", tiny_model)
    done = run("upscale", tmp_path / "wide.png", face, "-o", tmp_path / "out", *words)
    assert done.code == 1
    (error,) = done.errors
    assert "would be 16388x4; expected sides of at most 16,383 pixels, as .webp holds" in error
    assert files(tmp_path / "out") == ["face.webp"]
    assert shown[0][0] == 0
    assert all(share >= 32 / (4097 + 64) for share, _ in shown[1:])  # the wide one took no step


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def enormous(path: Path) -> None:
    """A PNG of a few bytes that would fill 10 GB."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99))))


def truncated(path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-40])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "does not exist"),
    "empty": (lambda path: path.touch(), "is empty"),
    "truncated": (truncated, "truncated"),
    "no picture": (lambda path: path.write_text("hello " * 100), "not a picture"),
    "a pickle": (lambda path: path.write_bytes(b"\x80\x04}\x94."), "not a picture"),
    "enormous": (enormous, "enormous"),
    "too large for the memory": (lambda path: Image.new("L", (5000, 4000)).save(path), "5000x4000"),
    "an empty folder": (lambda path: path.mkdir(), "holds no pictures"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "bad.png"),
}


def test_tiles_of_any_size_fit_the_input(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    Image.effect_noise((50, 21), 40).save(tmp_path / "wide.png")
    for tile in (16, 64, 0):
        out = tmp_path / str(tile)
        words = ["--model", tiny_model, "--tile", tile, "--json"]
        done = run("upscale", tmp_path / "wide.png", "-o", out, *words)
        assert done.code == 0
        (entry,) = done.json["results"]
        assert (entry["width"], entry["height"]) == (200, 84)
        assert entry["consistency"] < 0.1


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_input_is_named_and_the_others_are_done(
    run: Run,
    face: Path,
    tiny_model: Path,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for place in (drawing, in_work):
        monkeypatch.setattr(place, "available_memory", lambda: 500_000_000)
    make, part = BAD[kind]
    bad, out = tmp_path / "bad.png", tmp_path / "out"
    make(bad)
    done = run("upscale", bad, face, "-o", out, "--model", tiny_model, "--json")
    assert done.code == 1
    (error,) = done.errors
    assert "bad.png" in error
    assert part in error
    (failure,) = done.json["failures"]
    assert failure["input"] == str(bad)
    assert part in failure["error"]
    assert [result["input"] for result in done.json["results"]] == [str(face)]
    assert files(out) == ["face.png"]


@pytest.mark.parametrize(
    ("error", "part"),
    [(PictureError("odd pixels"), "odd pixels"), (MemoryError(), "more memory than there is")],
)
def test_a_picture_that_makes_its_batch_fail_fails_alone(
    run: Run,
    make_picture: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    part: str,
) -> None:
    whole = Pipeline.upscale

    def fragile(self: Pipeline, images: list[Raster], **options: Any) -> object:
        if any(image.size[0] == 9 for image in images):
            raise error
        return whole(self, images, **options)

    monkeypatch.setattr(Pipeline, "upscale", fragile)
    for name, width in (("a", 8), ("odd", 9), ("z", 8)):
        make_picture(tmp_path / "in" / f"{name}.png", width)
    done = run("upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", tiny_model)
    assert done.code == 1
    (line,) = done.errors
    assert line.startswith(f"{tmp_path / 'in/odd.png'}: ")
    assert part in line
    assert files(tmp_path / "out") == ["a.png", "z.png"]


def test_many_pictures_are_reported_in_order(
    run: Run, make_picture: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    """Though others are read and written meanwhile; failures are in order too."""
    for number in range(40):
        make_picture(tmp_path / "in" / f"{number:02}.png", seed=number)
    bad = [str(tmp_path / "in" / f"{number}.png") for number in (16, 17, 39)]
    for name in bad:
        Path(name).write_bytes(b"no picture")
    words = ("upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", tiny_model)
    done = run(*words, "--steps", 1, "--json")
    assert done.code == 1
    assert [failure["input"] for failure in done.json["failures"]] == bad
    reported = [result["input"] for result in done.json["results"]]
    assert reported == sorted(reported)
    assert len(reported) == 37 == len(files(tmp_path / "out"))


def test_an_interruption_leaves_whole_files_and_no_threads(
    run: Run,
    make_picture: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, calls = Pipeline.upscale, []

    def interrupted(self: Pipeline, images: list[Image.Image], **options: Any) -> object:
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, images, **options)

    monkeypatch.setattr(Pipeline, "upscale", interrupted)
    for number in range(40):
        make_picture(tmp_path / "in" / f"{number:02}.png", seed=number)
    threads = threading.active_count()
    words = ("upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", tiny_model)
    done = run(*words, "--steps", 1)
    assert (done.code, done.err) == (130, "sr4: interrupted\n")
    assert calls == [16, 16]
    assert files(tmp_path / "out") == [f"{number:02}.png" for number in range(16)]
    assert {pixels(tmp_path / "out" / name).shape for name in files(tmp_path / "out")} == {
        (32, 32, 3)
    }
    assert threading.active_count() == threads


def test_an_interruption_leaves_the_json_of_what_was_done(
    run: Run,
    make_picture: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C while the second chunk is drawn ends that after its first step."""
    whole, calls = Pipeline.upscale, []

    def interrupted(self: Pipeline, images: list[Image.Image], **options: Any) -> object:
        calls.append(len(images))
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)  # for the main thread, which takes the signal
        return whole(self, images, **options)

    monkeypatch.setattr(Pipeline, "upscale", interrupted)
    for number in range(40):
        make_picture(tmp_path / "in" / f"{number:02}.png", seed=number)
    words = ("upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", tiny_model)
    done = run(*words, "--json")
    said = "sr4: interrupted: 16 of 40 pictures are done; the same command does the rest\n"
    assert (done.code, done.err) == (130, said)
    assert calls == [16, 16]
    assert done.json["interrupted"] is True
    assert [Path(one["output"]).name for one in done.json["results"]] == files(tmp_path / "out")
    assert len(done.json["results"]) == 16
    assert done.json["failures"] == []
    monkeypatch.undo()
    again = run(*words, "--json")
    assert again.code == 0
    assert (len(again.json["done_before"]), len(again.json["results"])) == (16, 24)
    assert "interrupted" not in again.json


def test_what_an_interruption_leaves_to_do() -> None:
    one, other = (PlannedPicture(Path(name), Path("out", name)) for name in ("a.png", "b.png"))
    for does_rest, rest in ((True, "; the same command does the rest"), (False, "")):
        report = Report("auto", quiet=True, does_rest=does_rest)
        assert report.interrupted() == ""
        told: list[Event] = [Skipped((one,), ()), Planned((other,)), Cancelled((other,))]
        for event in told:
            report.tell(event)
        assert report.interrupted() == f"1 of 2 pictures are done{rest}"
        report = Report("auto", quiet=True, does_rest=does_rest)
        told = [Planned((one,)), Cancelled((one,))]
        for event in told:
            report.tell(event)
        assert report.interrupted() == f"the picture is not done{rest}"


def test_an_interruption_of_the_planning_leaves_json_too(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "plan_pictures", interrupted)
    done = run("upscale", face, "-o", tmp_path / "out", "--model", tiny_model, "--json")
    assert (done.code, done.err) == (130, "sr4: interrupted\n")
    assert (done.json["interrupted"], done.json["results"]) == (True, [])


def test_an_error_that_nobody_expects_ends_one_picture(
    run: Run,
    make_picture: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its traceback is shown where it is asked for."""
    write = pictures.write_picture

    def overflows(picture: Picture, path: Path, **options: Any) -> None:
        if path.name == "b.png":
            raise OverflowError("too wide")
        write(picture, path, **options)

    monkeypatch.setattr(pictures, "write_picture", overflows)
    for name in "abc":
        make_picture(tmp_path / "in" / f"{name}.png")
    words = ("upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", tiny_model)
    done = run(*words)
    assert done.code == 1
    (error,) = done.errors
    assert error.startswith(f"{tmp_path / 'in/b.png'}: ")
    assert "b.png' cannot be written (too wide); expected a picture that .png holds" in error
    assert files(tmp_path / "out") == ["a.png", "c.png"]
    monkeypatch.setenv("SR4_DEBUG", "1")
    assert "OverflowError: too wide" in run(*words).err.splitlines()[-1]


def test_a_folder_that_is_input_and_output(
    run: Run, make_picture: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    for name in "ab":
        make_picture(tmp_path / "in" / f"{name}.jpg")
    words = (
        "upscale",
        tmp_path / "in",
        "-o",
        tmp_path / "in",
        "--model",
        tiny_model,
        "--samples",
        2,
    )
    assert run(*words).code == 0
    assert len(files(tmp_path / "in")) == 8
    done = run(*words)
    assert (done.code, done.out) == (0, "")
    assert done.err == "sr4: 2 pictures were done before, in the same way\n"


def test_results_beside_their_inputs_under_another_name(
    run: Run, face: Path, tiny_model: Path
) -> None:
    folder = face.parent
    words = ("upscale", folder, "-o", folder, "--suffix", "_x4", "--model", tiny_model)
    assert run(*words).code == 0
    assert files(folder) == ["face.png", "face_x4.png"]
    again = run(*words)
    assert (again.code, again.err) == (0, "sr4: 1 picture was done before, in the same way\n")
    for out in ("-", folder / "x.png"):
        done = run("upscale", face, "-o", out, "--suffix", "_x4", "--model", tiny_model)
        assert done.code == 2
        assert "which is the name of the result" in done.errors[0]


def test_files_beside_their_inputs_that_cannot_say_how_they_were_made(
    run: Run, face: Path, tiny_model: Path
) -> None:
    """No call enlarges what the one before has written."""
    folder = face.parent
    words = ("upscale", folder, "-o", folder, "--suffix", "_x4", "--model", tiny_model)
    numbers = ("--uncertainty", "--uncertainty-format", "npy")
    assert run(*words, *numbers).code == 0
    expected = ["face.png", "face_x4.png", "face_x4_uncertainty.npy"]
    assert files(folder) == expected
    again = run(*words, *numbers)
    assert (again.code, again.err) == (0, "sr4: 1 picture was done before, in the same way\n")
    assert files(folder) == expected
    for name in expected[1:]:
        (folder / name).unlink()
    assert run(*words, "--format", "bmp").code == 0
    again = run(*words, "--format", "bmp")
    assert again.code == 1
    assert "face_x4.bmp' exists already" in again.errors[0]
    assert files(folder) == ["face.png", "face_x4.bmp"]
    before = (folder / "face_x4.bmp").read_bytes()
    over = run(*words, "--format", "bmp", "--overwrite", "--seed", "1")  # it may be somebody's own
    assert over.code == 1
    assert "face_x4.bmp' is an input too" in over.errors[0]
    assert (folder / "face_x4.bmp").read_bytes() == before


def test_results_of_an_earlier_call_elsewhere_are_left_out(
    run: Run, face: Path, tiny_model: Path
) -> None:
    folder, words = face.parent, ("--model", tiny_model, "--json")
    assert run("upscale", folder, "-o", folder / "large", *words).code == 0
    done = run("upscale", folder, "-o", folder / "large2", *words)
    assert "sr4: left out 1 result of earlier calls; named as a file, each is" in done.err
    assert len(done.json["results"]) == done.json["results_left_out"] == 1


def test_the_runtime_is_named(run: Run, face: Path, tiny_exported: Path, tmp_path: Path) -> None:
    """For a single picture auto takes the one that starts soonest."""
    done = run("upscale", face, "-o", tmp_path / "x.png", "--model", tiny_exported)
    assert done.out.endswith(" s on onnx\n")


def test_an_existing_output_stays_as_it_is(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    out.write_text("mine")
    words = ("upscale", face, "-o", out, "--model", tiny_model)
    done = run(*words, "--json")
    assert done.code == 1
    assert done.errors == [
        f"{face}: '{out}' exists already; expected a new file: use --overwrite to replace it"
    ]
    assert done.json["backend"] is None  # nothing was loaded, let alone computed
    assert out.read_text() == "mine"
    assert run(*words, "--overwrite").code == 0
    assert pixels(out).shape == (32, 32, 3)


def test_a_suffix_that_cannot_be_written_is_refused_at_once(
    run: Run, face: Path, tmp_path: Path
) -> None:
    for words in (["-o", tmp_path / "x.ppm"], ["--format", "PPM"]):
        done = run("upscale", face, *words, "--model", tmp_path / "not looked at")
        assert done.code == 2
        assert "'.ppm'" in done.errors[0]
        assert ".png" in done.errors[0]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that takes no file")
def test_a_folder_that_takes_no_file_is_not_said_to_be_missing(
    run: Run, face: Path, tiny_model: Path
) -> None:
    done = run("upscale", face, "-o", "/proc/x.png", "--model", tiny_model)
    assert done.code == 1
    (error,) = done.errors
    assert "'/proc/x.png' cannot be written (" in error
    assert "does not exist" not in error


@pytest.mark.parametrize("out", ["out.xyz", ""])
def test_a_slip_in_the_output_makes_no_folder(
    run: Run,
    face: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    done = run("upscale", face, "-o", out, "--model", tiny_model)
    assert (done.code, done.out, len(done.errors)) == (2, "", 1)
    assert files(tmp_path / "work") == []
    assert run("upscale", face, "-o", "out.xyz/", "--model", tiny_model).code == 0
    assert pixels(tmp_path / f"work/out.xyz/{face.name}").shape == (32, 32, 3)


def test_a_failed_write_leaves_nothing_of_its_picture(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map is written before the result; the disk is full in between."""
    write = pictures.write_picture

    def full_disk(picture: Picture, path: Path, **options: Any) -> None:
        if path.name == "x.png":
            raise PictureError(f"{path}: no space left on device; expected room")
        write(picture, path, **options)

    monkeypatch.setattr(pictures, "write_picture", full_disk)
    done = run("upscale", face, "-o", tmp_path / "x.png", "--model", tiny_model, "--uncertainty")
    assert done.code == 1
    assert "no space left" in done.errors[0]
    assert files(tmp_path) == ["face.png"]


def test_a_failed_write_leaves_what_it_was_to_replace(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "face.png").mkdir(parents=True)  # which no file can replace
    (out / "face_1.png").write_text("mine")
    words = ("upscale", face, "-o", out, "--model", tiny_model, "--samples", 2, "--overwrite")
    done = run(*words)
    assert done.code == 1
    assert "face.png' cannot be written" in done.errors[0]
    assert sorted(path.name for path in out.iterdir()) == ["face.png", "face_1.png"]
    assert (out / "face_1.png").read_text() == "mine"

    (out / "face.png").rmdir()
    assert run(*words).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["face.png", "face_1.png", "face_2.png"]
    assert pixels(out / "face_1.png").shape == (32, 32, 3)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_folder_that_nobody_may_write(run: Run, face: Path, tiny_model: Path) -> None:
    done = run("upscale", face, "-o", "/proc/sr4/out", "--model", tiny_model)
    assert (done.code, done.out) == (1, "")
    (error,) = done.errors
    assert "/proc" in error


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--model", "sr4-fats"], 1, "no model 'sr4-fats'"),
        (["--backend", "onx"], 2, "did you mean 'onnx'?"),
        (["--backend", "onnx"], 1, "model.onnx"),
        (["--device", "cdua"], 2, "did you mean 'cuda'?"),
        (["--sampler", "dpmp"], 2, "did you mean 'dpmpp'?"),
        (["--samples", 1, "--uncertainty"], 2, "expected at least 2"),
        (["--samples", 1, "--mean"], 2, "expected at least 2"),
        (["--tile", "large"], 2, "got --tile 'large'"),
        (["--tile", "-8"], 2, "got --tile '-8'"),
        (["--tile", "8"], 2, "at least 16, such as 16"),
        (["--tile", "100"], 2, "a multiple of 8, at least 16, such as 96"),
    ],
)
def test_a_wrong_option_fails_once_for_all_pictures(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, words: list[str], code: int, part: str
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(face.read_bytes())
    done = run("upscale", face, other, "-o", tmp_path / "o", "--model", tiny_model, *words)
    assert (done.code, done.out) == (code, "")
    (error,) = done.errors
    assert part in error
    assert not (tmp_path / "o").exists()


# What there is of a picture besides 8 bits of RGB


def test_mode_depth_and_metadata_are_kept(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (6, 5, 4), dtype=np.uint16)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(imagecodecs.png_encode(deep))
    tifffile.imwrite(tmp_path / "in/b.tif", deep[:, :, 0].astype(np.float32))
    np.save(tmp_path / "in/c.npy", deep[:, :, :3])
    Image.new("L", (5, 6), 50).save(tmp_path / "in/d.jpg", comment="x", dpi=(72, 72))
    words = ("--model", tiny_model, "--evidence", "none", "--json")  # noise, which fits nothing
    done = run("upscale", tmp_path / "in", "-o", tmp_path / "out", *words)
    assert (done.code, done.err) == (0, "")
    assert files(tmp_path / "out") == ["a.png", "b.tif", "c.npy", "d.png"]
    found = {path.stem: read_picture(path).frames[0] for path in (tmp_path / "out").iterdir()}
    assert found["a"].array.shape == (24, 20, 4)
    assert [str(found[name].array.dtype) for name in "abcd"] == [
        "uint16", "float32", "uint16", "uint8",
    ]  # fmt: skip
    assert found["d"].colour == "grey"


def test_two_pictures_of_one_name_clash_in_every_call(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """In the second one too, where the result of the first of them is there already."""
    (tmp_path / "in").mkdir()
    for suffix in (".bmp", ".png"):
        Image.open(face).save(tmp_path / f"in/a{suffix}")
    words = ["upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", tiny_model]
    for _ in range(2):
        done = run(*words, "--steps", 1)
        assert done.code == 1
        assert "would both write" in done.err
        assert "--overwrite" not in done.err
        assert files(tmp_path / "out") == ["a.png"]


def test_formats(run: Run, face: Path, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for suffix in (".jpg", ".bmp", ".ppm"):
        Image.open(face).save(tmp_path / f"in/a{suffix}")
    words = ["--model", tiny_model, "--steps", 1]
    done = run("upscale", tmp_path / "in", "-o", tmp_path / "same", *words, "--format", "same")
    assert done.code == 0
    assert files(tmp_path / "same") == ["a.bmp", "a.jpg", "a.png"]
    done = run("upscale", face, "-o", tmp_path / "tif", *words, "--format", "tif")
    assert files(tmp_path / "tif") == ["face.tif"]


def test_every_frame_of_an_animation(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    shades = [Image.new("RGB", (8, 6), (60 * number, 20, 20)) for number in range(4)]
    shades[0].save(tmp_path / "a.gif", save_all=True, append_images=shades[1:], duration=70)
    words = ["--model", tiny_model, "--steps", 1, "--json"]
    done = run("upscale", tmp_path / "a.gif", "-o", tmp_path, *words)
    (entry,) = done.json["results"]
    assert (done.code, done.err, entry["frames"]) == (0, "", 4)
    assert "quality" not in entry["evidence"]
    found = read_picture(tmp_path / "a.png")
    assert found.durations == (70, 70, 70, 70)
    shown = [int(np.asarray(frame.pixels)[:, :, 0].mean()) for frame in found.frames]
    assert np.abs(np.array(shown) - [0, 60, 120, 180]).max() <= 1


def test_what_is_lost_is_said(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (6, 6), (200, 30, 30, 100)).save(tmp_path / "a.png")
    words = ["--model", tiny_model, "--steps", 1, "--json"]
    done = run("upscale", tmp_path / "a.png", "-o", tmp_path / "b.jpg", *words)
    assert done.code == 0
    said = ".jpg holds no transparency, the picture is laid on white"
    assert done.err == f"sr4: {tmp_path / 'a.png'}: {said}\n"
    assert done.json["results"][0]["notes"] == [said]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".gif"])
def test_the_consistency_told_is_that_before_the_loss_of_a_format(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, suffix: str
) -> None:
    done = run("upscale", face, "-o", tmp_path / f"x{suffix}", "--model", tiny_model, "--steps", 1)
    assert (f" before the loss of {suffix}," in done.out) == (suffix in (".jpg", ".gif"))


def test_every_file_says_how_it_was_made(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ["--model", tiny_model, "--samples", 2, "--uncertainty", "--seed", 5]
    assert run("upscale", face, "-o", tmp_path / "x.png", *words).code == 0
    said = {name: read_provenance(tmp_path / name) for name in files(tmp_path) if name[0] == "x"}
    assert said.keys() == {"x.png", "x_1.png", "x_2.png", "x_uncertainty.png"}
    sums = read_config(tiny_model).sha256
    for found in said.values():
        assert found is not None
        assert found["software"] == f"sr4 {sr4.__version__}"
        assert found["note"] == "contains generated detail"
        assert (found["model"], found["sha256"]) == ("tiny", sums["model.safetensors"])
        assert (found["steps"], found["sampler"]) == (2, "ddim")
        assert found["input"] == hashlib.sha256(face.read_bytes()).hexdigest()
    shows = {name: (found or {})["shows"] for name, found in said.items()}
    assert shows["x_uncertainty.png"] == "the deviation of samples"
    assert {shows[name] for name in ("x.png", "x_1.png", "x_2.png")} == {"a sample"}
    assert [(said[name] or {})["seed"] for name in ("x.png", "x_1.png", "x_2.png")] == [5, 5, 6]


# Again


def test_a_second_call_does_what_is_left(
    run: Run, make_picture: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    for number in range(5):
        make_picture(tmp_path / "in" / f"{number}.png", seed=number)
    words = ["upscale", tmp_path / "in", "-o", tmp_path / "out", "--model", tiny_model]
    words += ["--samples", 2, "--uncertainty"]
    assert run(*words).code == 0
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}
    kept = os.stat(tmp_path / "out/0.png").st_mtime_ns
    (tmp_path / "out/1.png").unlink()  # as where a kill came between a map and its result
    (tmp_path / "out/2_1.png").unlink()
    done = run(*words, "--json")
    assert done.code == 0
    assert [Path(one["input"]).name for one in done.json["results"]] == ["1.png", "2.png"]
    assert [Path(one["input"]).name for one in done.json["done_before"]] == [
        "0.png", "3.png", "4.png",
    ]  # fmt: skip
    after = {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}
    assert after == before
    assert os.stat(tmp_path / "out/0.png").st_mtime_ns == kept
    done = run(*words)
    assert (done.code, done.out) == (0, "")
    assert done.err == "sr4: 5 pictures were done before, in the same way\n"


def test_results_of_another_size(run: Run, face: Path, tiny_model: Path, tmp_path: Path) -> None:
    out, given = tmp_path / "large.png", pixels(face).shape[1::-1]
    words = ("upscale", face, "-o", out, "--model", tiny_model, "--samples", "2", "--uncertainty")
    done = run(*words, "--scale", "2.5", "--json")
    assert done.code == 0
    size = tuple(int(2.5 * side + 0.5) for side in given)
    names = ["large.png", "large_1.png", "large_2.png"]
    assert [pixels(tmp_path / name).shape[1::-1] for name in names] == [size] * 3
    width, height = pixels(tmp_path / "large_uncertainty.png").shape[1::-1]
    assert width >= size[0]
    assert height > size[1]  # the scale is below the map
    assert (done.json["results"][0]["width"], done.json["results"][0]["height"]) == size
    assert read_provenance(out)["scale"] == 2.5  # type: ignore[index]
    before = out.read_bytes()
    assert run(*words, "--scale", "2.5").err == "sr4: 1 picture was done before, in the same way\n"
    for other in (("--scale", "3"), ("--width", str(3 * given[0])), ()):
        assert run(*words, *other).code == 1
        assert out.read_bytes() == before
    assert run(*words, "--height", str(2 * given[1]), "--overwrite").code == 0
    assert pixels(out).shape[1::-1] == (2 * given[0], 2 * given[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scale", "0"), "got scale 0.0; expected a factor of at least 1"),
        (("--scale", "-2"), "got scale -2.0; expected a factor of at least 1"),
        (("--scale", "nan"), "got scale nan; expected a factor of at least 1"),
        (("--scale", "2", "--width", "50"), "got a scale beside a width or a height"),
        (("--scale", "2", "--height", "50"), "got a scale beside a width or a height"),
        (("--width", "0"), "got width 0; expected a whole number of pixels"),
    ],
)
def test_impossible_sizes_are_wrong_usage(
    run: Run, face: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = run("upscale", face, "-o", tmp_path / "large.png", *words)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "large.png").exists()


def test_a_size_below_the_picture_is_refused(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    done = run("upscale", face, "-o", tmp_path / "a.png", "--model", tiny_model, "--width", "3")
    assert done.code == 1
    assert "got a width of 3 for a picture of" in done.err


def test_every_frame_of_an_animation_has_the_size(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (9, 8), (90, 90 + 40 * number, 90)) for number in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    out = tmp_path / "b.webp"
    done = run("upscale", tmp_path / "a.gif", "-o", out, "--model", tiny_model, "--width", "20")
    assert done.code == 0, done.err
    assert f"{out}  20x18, 3 frames, evidence exact, consistency " in done.out
    found = read_picture(out)
    assert [frame.size for frame in found.frames] == [(20, 18)] * 3


@pytest.mark.parametrize("change", ["seed", "input", "mean"])
def test_results_made_otherwise_are_not_taken_for_done(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, change: str
) -> None:
    words = ["upscale", face, "-o", tmp_path / "x.png", "--model", tiny_model]
    assert run(*words).code == 0
    before = (tmp_path / "x.png").read_bytes()
    if change == "input":
        Image.new("RGB", (8, 8)).save(face)
    extra: Any = {"seed": ["--seed", 1], "mean": ["--mean"], "input": []}[change]
    done = run(*words, *extra)
    assert done.code == 1
    assert str(tmp_path / "x.png") in done.errors[0]
    assert (tmp_path / "x.png").read_bytes() == before


# Which model


def test_the_model_goes_by_what_the_picture_shows(
    run: Run, make_picture: Callable[..., Path], tmp_path: Path
) -> None:
    data = pytest.importorskip("skimage.data")
    make_picture(tmp_path / "in" / "photo.png", 20, 20)
    head = Image.fromarray(data.astronaut()).crop((170, 60, 280, 170))
    for name, side in (("face", 16), ("larger", 32)):
        head.resize((side, side)).save(tmp_path / "in" / f"{name}.png")
    done = run("upscale", tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert done.code == 0
    assert done.err.splitlines() == [
        "sr4: sr4-fast for 2 pictures: taken for a face; --model names another",
        f"sr4: photo-x4 for {tmp_path / 'in/photo.png'}: taken for a photograph, as no clean face "
        "was recognised; --model sr4-fast takes it for a face",
    ]
    found = {Path(one["input"]).stem: one for one in done.json["results"]}
    assert {name: one["model"] for name, one in found.items()} == {
        "face": "sr4-fast", "larger": "sr4-fast", "photo": "photo-x4",
    }  # fmt: skip
    assert (found["larger"]["width"], found["photo"]["width"]) == (256, 80)
    assert done.json["model"] == "sr4-fast and photo-x4"
    again = run("upscale", tmp_path / "in", "-o", tmp_path / "out")
    assert (again.code, again.err) == (0, "sr4: 3 pictures were done before, in the same way\n")
    again = run("upscale", tmp_path / "in/photo.png", "-o", tmp_path / "out", "--json")
    assert (again.json["model"], again.json["backend"]) == ("photo-x4", None)


# Quality


def test_a_quality_reaches_every_file_but_the_map(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    def tables(name: str) -> int:
        with Image.open(tmp_path / name) as image:
            return quality_of([np.reshape(one, (8, 8)) for one in image.quantization.values()])

    words = ["upscale", face, "--model", tiny_model, "--samples", 2, "--uncertainty"]
    done = run(*words, "-o", tmp_path / "x.jpg", "--quality", 30)
    assert done.code == 0
    assert [tables(f"x{end}.jpg") for end in ("", "_1", "_2")] == [30, 30, 30]
    assert (tmp_path / "x_uncertainty.png").is_file()
    assert run(*words, "-o", tmp_path / "y.jpg").code == 0
    assert tables("y.jpg") == 95
    assert (tmp_path / "x.jpg").stat().st_size < (tmp_path / "y.jpg").stat().st_size


def test_the_quality_of_a_folder_and_of_a_tar(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    place = tmp_path / "in"
    place.mkdir()
    for suffix in (".jpg", ".png"):
        Image.open(face).save(place / f"a{suffix}")
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        tar.add(place, arcname=".")
    words = ["--model", tiny_model, "--steps", 1, "--quality", 40, "--format", "same"]
    for source in ("in", "in.tar"):
        out = tmp_path / f"of-{source}"
        assert run("upscale", tmp_path / source, "-o", out, *words).code == 0
        said = {name: (read_provenance(out / name) or {}).get("quality") for name in files(out)}
        assert said == {"a.jpg": 40, "a.png": None}


def test_a_webp_with_a_quality_is_lossy(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ["upscale", face, "--model", tiny_model, "-o"]
    assert run(*words, tmp_path / "a.webp").code == 0
    done = run(*words, tmp_path / "b.webp", "--quality", 100)
    assert " before the loss of .webp," in done.out
    assert (pixels(tmp_path / "a.webp") != pixels(tmp_path / "b.webp")).any()


def test_another_quality_is_another_result(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ["upscale", face, "-o", tmp_path / "x.jpg", "--model", tiny_model, "--quality"]
    assert run(*words, 80).code == 0
    before = (tmp_path / "x.jpg").read_bytes()
    assert run(*words, 80).err == "sr4: 1 picture was done before, in the same way\n"
    for other in ([*words, 60], words[:-1]):
        done = run(*other)
        assert (done.code, "exists already" in done.errors[0]) == (1, True)
    assert (tmp_path / "x.jpg").read_bytes() == before
    assert run(*words, 60, "--overwrite").code == 0
    assert (tmp_path / "x.jpg").stat().st_size < len(before)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--quality", "0"], "--quality"),
        (["--quality", "101"], "--quality"),
        (["--quality", "good"], "'good'"),
        (["--quality", "80"], "got quality 80 for results in .png, which has none; expected one"),
        (["--quality", "80", "--format", "tif"], "for results in .tif"),
    ],
)
def test_impossible_qualities_are_wrong_usage(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, words: list[str], part: str
) -> None:
    done = run("upscale", face, "-o", tmp_path / "out", "--model", tiny_model, *words)
    assert (done.code, len(done.errors)) == (2, 1)
    assert part in done.errors[0]
    assert not (tmp_path / "out").exists()
