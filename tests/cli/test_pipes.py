"""`sr4 upscale` in pipes."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from sr4.cli.main import main
from sr4.cli.pipes import check_pipes
from sr4.errors import UsageError

FOREIGN = b"no picture at all"


class Piped(NamedTuple):
    """What a run left: exit code, the bytes on stdout, the lines on stderr."""

    code: int
    out: bytes
    err: list[str]


Pipe = Callable[..., Piped]


@pytest.fixture
def pipe(
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Path,
    tmp_path: Path,
) -> Pipe:
    """Call `pipe(data, "-", "-o", "-")` for `sr4 upscale - -o -` with that on stdin, in an empty
    folder.
    """
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(data: bytes, *words: object) -> Piped:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        capfdbinary.readouterr()
        code = main(["upscale", *map(str, words), "--model", str(tiny_model)])
        out, err = capfdbinary.readouterr()
        return Piped(code, out, err.decode().splitlines())

    return call


def test_a_picture_in_and_out_and_words_on_stderr_alone(
    pipe: Pipe, face: Path, tmp_path: Path
) -> None:
    done = pipe(face.read_bytes(), "-", "-o", "-")
    assert done.code == 0
    assert done.err[-1].startswith("stdin -> stdout  32x32, ")
    assert list(Path().iterdir()) == []

    of_file = pipe(b"", face, "-o", "-")
    assert of_file.out == done.out
    pipe(b"", face, "-o", tmp_path / "large.png")
    assert (tmp_path / "large.png").read_bytes() == done.out
    with Image.open(io.BytesIO(done.out)) as image:
        assert (image.format, image.size) == ("PNG", (32, 32))


def test_the_format_is_chosen_by_name(pipe: Pipe, face: Path) -> None:
    done = pipe(face.read_bytes(), "-", "-o", "-", "--format", "webp")
    with Image.open(io.BytesIO(done.out)) as image:
        assert image.format == "WEBP"
    assert pipe(face.read_bytes(), "-", "-o", "-", "--format", "same").code == 2


def test_the_quality_of_what_goes_to_stdout(pipe: Pipe, face: Path) -> None:
    data, words = face.read_bytes(), ("-o", "-", "--format", "jpg")
    fine, coarse = pipe(data, "-", *words), pipe(data, "-", *words, "--quality", 20)
    assert len(coarse.out) < len(fine.out)
    assert pipe(b"", face, *words, "--quality", 20).out == coarse.out
    refused = pipe(data, "-", "-o", "-", "--quality", 20)
    assert (refused.code, refused.out, len(refused.err)) == (2, b"", 1)


def test_a_picture_from_a_pipe_into_a_file(pipe: Pipe, face: Path) -> None:
    data = face.read_bytes()
    done = pipe(data, "-", "-o", "large.png", "--samples", 2, "--json")
    assert done.code == 0
    (result,) = json.loads(done.out)["results"]
    assert (result["input"], result["output"]) == ("stdin", "large.png")
    made = ["large.png", "large_1.png", "large_2.png"]
    assert sorted(str(path) for path in Path().iterdir()) == made

    again = pipe(data, "-", "-o", "large.png", "--samples", 2)
    assert again == Piped(0, b"", ["sr4: 1 picture was done before, in the same way"])
    other = pipe(data, "-", "-o", "large.png", "--seed", 1)
    assert other.code == 1
    assert "exists already" in other.err[0]

    assert pipe(data, "-").code == 0
    assert Path("upscaled", "stdin.png").is_file()


@pytest.mark.parametrize(
    ("data", "part"), [(b"", "'stdin' is empty"), (FOREIGN, "'stdin' is not a picture")]
)
def test_a_bad_picture_is_one_line_and_nothing_on_stdout(
    pipe: Pipe, data: bytes, part: str
) -> None:
    done = pipe(data, "-", "-o", "-")
    assert (done.code, done.out, len(done.err)) == (1, b"", 1)
    assert part in done.err[0]


@pytest.mark.parametrize(
    "words",
    [
        ("-", "face.png", "-o", "out"),
        ("-", "-o", "-", "--samples", "2"),
        ("-", "-o", "-", "--uncertainty"),
        ("a.png", "b.png", "-o", "-"),
    ],
)
def test_what_a_pipe_cannot_hold_is_refused(pipe: Pipe, face: Path, words: tuple[str, ...]) -> None:
    done = pipe(face.read_bytes(), *words)
    assert (done.code, done.out, len(done.err)) == (2, b"", 1)
    assert "expected" in done.err[0]
    assert list(Path().iterdir()) == []


def test_nothing_is_planned_for_the_default_folder(pipe: Pipe, face: Path) -> None:
    """Which may be a file, or read-only, or hold the input: no result goes there."""
    expected = pipe(face.read_bytes(), "-", "-o", "-").out
    Path("upscaled").write_text("mine")
    assert pipe(b"", face, "-o", "-").out == expected
    Path("upscaled").unlink()
    Path("upscaled").mkdir()
    shutil.copy(face, "upscaled/face.png")
    assert pipe(b"", "upscaled/face.png", "-o", "-").out == expected
    assert os.listdir("upscaled") == ["face.png"]


def test_the_only_picture_of_a_tar(pipe: Pipe, face: Path) -> None:
    expected = pipe(face.read_bytes(), "-", "-o", "-").out
    with tarfile.open("one.tar", "w") as tar:
        tar.add(face, "of/face.png")
    done = pipe(b"", "one.tar", "-o", "-")
    assert (done.code, done.out) == (0, expected)
    assert done.err[-1].startswith("one.tar/of/face.png -> stdout")


def test_a_folder_of_several_is_refused(pipe: Pipe, face: Path) -> None:
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(face.read_bytes())
    done = pipe(b"", ".", "-o", "-")
    assert (done.code, done.out) == (2, b"")
    assert "'.' names 2 pictures" in done.err[0]


def test_a_result_that_nobody_takes_is_not_told_as_one(
    pipe: Pipe, face: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sr4.cli.upscale.write_stdout", full)
    done = pipe(b"", face, "-o", "-")
    assert done.code != 0
    assert "No space left on device" in done.err[-1]
    assert not any("-> stdout" in line for line in done.err)


def test_json_and_a_picture_do_not_share_stdout(pipe: Pipe, face: Path) -> None:
    done = pipe(face.read_bytes(), "-", "-o", "-", "--json")
    assert done.code == 2
    assert "got -o - with --json" in json.loads(done.out)["error"]


def test_a_mean_of_samples_is_one_picture(pipe: Pipe, face: Path) -> None:
    done = pipe(face.read_bytes(), "-", "-o", "-", "--mean", "--samples", 3)
    assert done.code == 0
    assert done.out != pipe(face.read_bytes(), "-", "-o", "-").out


def test_a_terminal_neither_gives_nor_takes_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream in ("stdin", "stdout"):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO())
            patch.setattr(sys, stream, Terminal())
            with pytest.raises(UsageError, match="terminal"):
                check_pipes(["-"], "-", files=False, as_json=False)
