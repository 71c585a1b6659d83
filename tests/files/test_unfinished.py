"""Work in pieces, kept for another call: whatever is left of it is taken up whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.files import unfinished
from sr4.files.unfinished import UnfinishedFile, discard, unfinished_path
from tests.conftest import largest_file

Bytes = NDArray[np.uint8]

PIECES, ROWS, ROW = 5, 4, 100
KEY = {"model": "photo-x4", "seed": 0, "values": (1, 0.1)}
CHOSEN = {"tile": 640}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All work is worth to be kept, however long that takes."""
    monkeypatch.setattr(unfinished, "_WORTH", -1.0)
    monkeypatch.setattr(unfinished, "_SHARE", 1e9)


class Work:
    """Work on a file: two arrays, whose rows are made piece by piece."""

    def __init__(self, output: Path, key: dict[str, Any] | None = None) -> None:
        self.shares: list[float] = []
        self.lines: list[str] = []
        self.arrays = [np.zeros((PIECES * ROWS, ROW), np.uint8) for _ in range(2)]
        self.file = UnfinishedFile(
            output, key or KEY, goes_on=self.shares.append, tell=self.lines.append
        )

    def begin(self, chosen: dict[str, Any] = CHOSEN) -> int:
        """The number of pieces that need not be made."""
        return self.file.restore(
            chosen, [[one.data for one in self.rows(n)] for n in range(PIECES)]
        )

    def rows(self, number: int) -> list[Bytes]:
        """The rows of a piece."""
        rows = slice(number * ROWS, (number + 1) * ROWS)
        return [array[rows].reshape(-1) for array in self.arrays]

    def make(self, first: int, stop: int) -> None:
        for number in range(first, stop):
            for seed, rows in enumerate(self.rows(number)):
                rows[:] = made(number, seed)
            self.file.finish(number + 1)


def made(number: int, seed: int) -> Bytes:
    return np.random.default_rng((number, seed)).integers(0, 256, ROWS * ROW, np.uint8)


def stopped(output: Path, pieces: int = 3) -> bytes:
    """The file of work that was stopped after some pieces."""
    work = Work(output)
    work.begin()
    work.make(0, pieces)
    work.file.close()
    assert work.lines == []
    return unfinished_path(output).read_bytes()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "big.png"


def test_work_goes_on_where_it_was(output: Path) -> None:
    stopped(output, 3)
    work = Work(output)
    assert work.file.open() == CHOSEN
    assert work.begin() == 3
    for number in range(PIECES):
        for seed, rows in enumerate(work.rows(number)):
            assert np.array_equal(rows, made(number, seed) if number < 3 else np.zeros_like(rows))
    assert work.file.go_on(True) == 3
    assert work.shares == [3 / PIECES]
    work.make(3, PIECES)
    work.file.close()
    again = Work(output)
    assert again.file.open() == CHOSEN
    assert again.begin() == PIECES
    assert again.file.remove()
    assert list(output.parent.iterdir()) == []


def test_whatever_a_kill_leaves_of_a_piece_counts_as_never_written(output: Path) -> None:
    whole, path = stopped(output, 3), unfinished_path(output)
    header = whole.index(b"\n", whole.index(b"\n") + 1) + 1
    each = (len(whole) - header) // 3
    for size in [*range(header + 2), *range(header, len(whole), 97), len(whole) - 1]:
        # After a loss of power the length may have come to the disk, and the content not.
        for rest in (b"", b"\0" * 500) if size >= header else (b"",):
            path.write_bytes(whole[:size] + rest)
            work = Work(output)
            expected = max(0, size - header) // each
            assert (work.file.open() == CHOSEN) == (size >= header - 1)
            assert work.begin() == expected, size
            work.make(expected, PIECES)
            work.file.close()
            assert work.lines == []
            again = Work(output)
            assert again.file.open() == CHOSEN
            assert again.begin() == PIECES
            again.file.close()


def test_a_piece_that_was_changed_is_made_again(output: Path) -> None:
    whole, path = stopped(output, 3), unfinished_path(output)
    for place, expected in ((-1, 2), (-500, 2), (-1500, 1), (len(whole) - 2400, 0)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        work = Work(output)
        work.file.open()
        assert work.begin() == expected
        work.file.close()


def test_a_header_that_was_changed_is_none(output: Path) -> None:
    whole, path = stopped(output), unfinished_path(output)
    mark = whole[: whole.index(b"\n") + 1]
    for header in (b"no JSON\n", b"[1]\n", b"[" * 200_000 + b"\n"):
        path.write_bytes(mark + header)
        work = Work(output)
        assert work.file.open() == {}
        assert work.begin() == 0
        work.file.close()


@pytest.mark.parametrize(
    ("key", "chosen"), [({**KEY, "seed": 1}, CHOSEN), ({**KEY}, {"tile": 320}), ({}, CHOSEN)]
)
def test_other_work_takes_its_place(
    output: Path, key: dict[str, Any], chosen: dict[str, Any]
) -> None:
    stopped(output)
    other = Work(output, key or {"other": 1})
    assert other.file.open() == (CHOSEN if key == KEY else {})
    assert other.begin(chosen) == 0
    other.make(0, 2)
    other.file.close()
    again = Work(output, key or {"other": 1})
    assert again.file.open() == chosen
    assert again.begin(chosen) == 2
    assert other.lines == again.lines == []


def test_work_that_is_not_the_same_any_more_begins_again(output: Path) -> None:
    stopped(output, 3)
    work = Work(output)
    work.file.open()
    assert work.begin() == 3
    assert work.file.go_on(False) == 0
    assert work.shares == []
    work.make(0, 1)
    work.file.close()
    again = Work(output)
    again.file.open()
    assert again.begin() == 1


def test_work_that_ends_leaves_nothing(output: Path) -> None:
    stopped(output)
    work = Work(output, {"other": 1})
    work.file.open()
    work.begin()
    assert work.file.remove()
    assert not work.file.remove()
    assert list(output.parent.iterdir()) == []


def test_short_work_is_not_kept(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_WORTH", 1e9)
    work = Work(output)
    assert work.file.open() == {}
    work.begin()
    work.make(0, PIECES)
    work.file.close()
    assert not output.parent.exists()


def test_what_is_about_to_change_is_kept_no_more(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(output)
    work.begin()
    with monkeypatch.context() as patched:
        patched.setattr(unfinished, "_WORTH", 1e9)
        work.make(0, PIECES)
    work.file.settle()
    work.file.close()
    assert not output.parent.exists()


def test_what_goes_on_is_kept_from_its_first_piece(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a call that is stopped again and again would never come to an end."""
    stopped(output, 2)
    monkeypatch.setattr(unfinished, "_WORTH", 1e9)
    work = Work(output)
    work.file.open()
    work.begin()
    work.make(2, 3)
    again = Work(output)
    work.file.close()
    again.file.open()
    assert again.begin() == 3


def test_keeping_takes_a_share_of_the_time(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written at once is written later, together."""
    now, written = [0.0], []
    monkeypatch.setattr(unfinished, "_SHARE", 0.02)
    monkeypatch.setattr(unfinished, "monotonic", lambda: now[0])
    write = unfinished._write

    def slow(handle: int, part: memoryview) -> None:
        now[0] += 1.0
        written.append(part.nbytes)
        write(handle, part)

    monkeypatch.setattr(unfinished, "_write", slow)
    work = Work(output)
    work.begin()
    now[0] = 1.0
    work.make(0, 1)
    assert len(written) == 4  # header, two arrays, checksum
    work.make(1, 3)
    assert len(written) == 4
    now[0] = 201.0  # 2 % are 4 s
    work.make(3, 4)
    assert len(written) == 13
    work.make(4, 5)
    assert len(written) == 13
    work.file.close()
    assert len(written) == 16


def foreign(path: Path, kind: str) -> None:
    path.parent.mkdir()
    theirs = path.with_name("theirs")
    theirs.write_text("sr4 unfinished 1\n")
    if kind == "text":
        path.write_text("theirs")
    elif kind == "other version":
        path.write_text("sr4 unfinished 2\n")
    elif kind == "link":
        path.symlink_to(theirs)
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


def test_what_another_user_has_left_is_not_taken_up(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Work(output)
    first.file.open()
    first.begin()
    first.make(0, 2)
    first.file.close()
    before = unfinished_path(output).read_bytes()
    monkeypatch.setattr(unfinished, "is_mine", lambda status: False)
    work = Work(output)
    assert work.file.open() == {}
    assert work.begin() == 0
    assert "sr4 did not make it" in work.lines[0]
    assert unfinished_path(output).read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="has no such links and pipes")
@pytest.mark.parametrize(
    "kind", ["text", "other version", "link", "dangling link", "pipe", "folder"]
)
def test_what_is_not_ours_is_never_touched(output: Path, kind: str) -> None:
    path = unfinished_path(output)
    foreign(path, kind)
    before = path.lstat()
    work = Work(output)
    assert work.file.open() == {}
    assert work.begin() == 0
    work.make(0, PIECES)
    assert not work.file.remove()
    assert not discard(path)
    assert len(work.lines) == 1
    assert f"{str(path)!r} cannot be used (sr4 did not make it)" in work.lines[0]
    after = path.lstat()
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_two_at_once_do_not_meet(output: Path) -> None:
    stopped(output, 2)
    first, second = Work(output), Work(output)
    assert first.file.open() == CHOSEN
    assert second.file.open() == {}
    assert "another process is using it" in second.lines[0]
    assert (first.begin(), second.begin()) == (2, 0)
    second.make(0, PIECES)
    assert not discard(unfinished_path(output))
    assert not second.file.remove()
    first.make(2, 3)
    first.file.close()
    again = Work(output)
    again.file.open()
    assert again.begin() == 3


def test_two_that_begin_at_once_do_not_meet(output: Path) -> None:
    first, second = Work(output), Work(output)
    assert first.file.open() == second.file.open() == {}
    first.begin()
    second.begin()
    first.make(0, 2)
    second.make(0, 3)
    assert os.strerror(errno.EEXIST) in second.lines[0]
    first.file.close()
    again = Work(output)
    again.file.open()
    assert again.begin() == 2


def test_a_full_disk_keeps_nothing(output: Path) -> None:
    work = Work(output)
    work.begin()
    with largest_file(2000):
        work.make(0, PIECES)
    assert len(work.lines) == 1
    assert os.strerror(errno.EFBIG) in work.lines[0]
    assert list(output.parent.iterdir()) == []
    work.file.close()
    assert list(output.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    work = Work(tmp_path / "file" / "big.png")
    work.file.open()
    work.begin()
    work.make(0, PIECES)
    assert len(work.lines) == 1
    assert not work.file.remove()


def test_discarding_takes_ours_alone(output: Path) -> None:
    stopped(output)
    assert discard(unfinished_path(output))
    assert not discard(unfinished_path(output))
    assert list(output.parent.iterdir()) == []
