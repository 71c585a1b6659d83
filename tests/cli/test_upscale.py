"""`sr4 upscale` with a real, tiny model."""

from __future__ import annotations

import inspect
import io
import os
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4 import images
from sr4.cli import console
from sr4.cli import upscale as module
from sr4.cli.evaluate import evaluate
from sr4.cli.jobs import Job
from sr4.cli.upscale import upscale
from sr4.degradation import Degradation
from sr4.errors import PictureError
from sr4.model import DEFAULT_MODEL, read_config
from sr4.pipeline import Pipeline

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
    assert done.out.startswith("face.png -> upscaled/face.png  32x32, consistency 0.")
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


def test_the_default_is_the_default_model() -> None:
    assert inspect.signature(upscale).parameters["model"].default == DEFAULT_MODEL
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
    assert "2/2" in shown
    assert f"\nsr4: error: '{bad}' does not exist" in shown.replace("\x1b[2K", "\n")
    assert f"\n{face} -> {tmp_path / 'out/face.png'}  32x32" in shown.replace("\x1b[2K", "\n")


def test_the_bar_counts_pictures_and_names_the_step(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = []

    @contextmanager
    def record(label: str) -> Iterator[Callable[..., None]]:
        yield lambda *move: moves.append(move)

    monkeypatch.setattr(console, "progress", record)
    run("upscale", face, "-o", tmp_path / "out", "--model", tiny_model)
    assert moves == [(0, 1, "step 1 of 2"), (0, 1, "step 2 of 2"), (1, 1, "")]


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
    "too large for the model": (lambda path: Image.new("L", (5000, 5000)).save(path), "5000x5000"),
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


def test_a_large_picture_counts_as_many(tiny_exported: Path, tmp_path: Path) -> None:
    """So that `--backend auto` takes the runtime that is fastest in the long run."""
    config = read_config(tiny_exported)
    jobs = []
    for number, size in enumerate([(8, 8), (80, 40), (3, 3)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
        jobs.append(Job(tmp_path / f"{number}.png", tmp_path / "out.png"))
    jobs.append(Job(tmp_path / "missing.png", tmp_path / "out.png"))
    edge = config.image_size // config.scale
    assert edge == 8
    assert module._count_draws(jobs, [config]) == 1 + 50 + 1
    assert module._count_draws([jobs[0]] * 100, [config]) == 100


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_input_is_named_and_the_others_are_done(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, kind: str
) -> None:
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

    def fragile(self: Pipeline, images: list[Image.Image], **options: Any) -> object:
        if any(image.width == 9 for image in images):
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
    done = run("upscale", face, "-o", tmp_path / "x.gif", "--model", tmp_path / "not looked at")
    assert done.code == 2
    assert "x.gif" in done.errors[0]
    assert ".png" in done.errors[0]


def test_a_failed_write_leaves_nothing_of_its_picture(
    run: Run, face: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map is written before the result; the disk is full in between."""
    write = images.write_image

    def full_disk(image: Image.Image, path: Path, *, overwrite: bool = False) -> None:
        if path.name == "x.png":
            raise PictureError(f"{path}: no space left on device; expected room")
        write(image, path, overwrite=overwrite)

    monkeypatch.setattr(images, "write_image", full_disk)
    done = run("upscale", face, "-o", tmp_path / "x.png", "--model", tiny_model, "--uncertainty")
    assert done.code == 1
    assert "no space left" in done.errors[0]
    assert files(tmp_path) == ["face.png"]


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
