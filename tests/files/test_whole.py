"""Files and folders appear whole or not at all, whenever the process is killed."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from sr4.files import whole
from sr4.files.whole import (
    clear_leftovers,
    is_leftover,
    kept,
    recover,
    remove_folder,
    replaced_folder,
    write_text,
    write_whole,
)
from tests.conftest import largest_file

CALLS = ("open", "os.", "shutil.", "fcntl.", "ctypes.dlsym")  # events of Python's audit
Tree = dict[str, bytes | None]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
# Python 3.12 warns of a fork in a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def tree(folder: Path) -> Tree:
    """All files below a folder with their bytes, and all folders."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def strangers(folder: Path) -> Tree:
    """What others keep where we write, by names like ours."""
    (folder / ".0123456789abcdef.sr4").mkdir(parents=True)
    (folder / ".0123456789abcdef.sr4" / "notes").write_bytes(b"mine")
    (folder / ".secrets.old").mkdir()
    (folder / ".secrets.old" / "key").write_bytes(b"key")
    for name in (".env.old", "made.tmp", ".made.tmp", "new", "old", "writing"):
        (folder / name).write_bytes(name.encode())
    return tree(folder)


def killed(act: Callable[[], object], at: int) -> bool:
    """Whether a process was killed before its call of that number, counted from 1, to the system;
    it did not come so far otherwise.
    """
    process = os.fork()
    if process == 0:
        left = [at]

        def count(event: str, *_: object) -> None:
            if event.startswith(CALLS):
                left[0] -= 1
                if not left[0]:
                    os._exit(9)

        sync = os.fsync

        def counted_sync(handle: Any) -> None:
            count("os.fsync")
            sync(handle)

        os.fsync = counted_sync  # type: ignore[assignment]
        sys.addaudithook(count)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, 9)
    return code == 9


def without(patch: pytest.MonkeyPatch, *what: str) -> None:
    """A system that lacks hard links, or exchanging."""

    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if "links" in what:
        patch.setattr(os, "link", unsupported)
    if "exchange" in what:
        patch.setattr(whole, "_rename", lambda *_: False)


def half_and_half(file: BinaryIO) -> None:
    file.write(b"n" * 20_000)
    os.stat(".")
    file.write(b"w" * 20_000)


NEW_FILE: Tree = {"made": b"n" * 20_000 + b"w" * 20_000}


def make_folder(path: Path) -> None:
    with replaced_folder(path) as folder:
        (folder / "a").write_bytes(b"new a")
        (folder / "deep").mkdir()
        (folder / "deep" / "b").write_bytes(b"new b")


def make_folder_twice(path: Path) -> None:
    """As an export does, whose folder a model is saved into."""
    with replaced_folder(path) as folder:
        make_folder(folder)


NEW_FOLDER: Tree = {"made": None, "made/a": b"new a", "made/deep": None, "made/deep/b": b"new b"}
OLD_FOLDER: Tree = {"made": None, "made/a": b"old a", "made/c": b"old c"}


def old_file(path: Path) -> Tree:
    path.write_bytes(b"old")
    return {"made": b"old"}


def old_folder(path: Path) -> Tree:
    path.mkdir()
    (path / "a").write_bytes(b"old a")
    (path / "c").write_bytes(b"old c")
    return OLD_FOLDER


def nothing(path: Path) -> Tree:
    return {}


@needs_fork
@pytest.mark.parametrize("lacks", [(), ("links", "exchange")])
@pytest.mark.parametrize(
    ("begin", "act", "after"),
    [
        (nothing, lambda path: write_whole(path, half_and_half), NEW_FILE),
        (old_file, lambda path: write_whole(path, half_and_half, overwrite=True), NEW_FILE),
        (nothing, make_folder, NEW_FOLDER),
        (old_folder, make_folder, NEW_FOLDER),
        (old_folder, make_folder_twice, NEW_FOLDER),
        (old_folder, remove_folder, {}),
    ],
    ids=["new file", "file", "new folder", "folder", "folder in folder", "removal"],
)
def test_a_kill_at_any_call_leaves_the_old_or_the_new(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[[Path], Tree],
    act: Callable[[Path], object],
    after: Tree,
    lacks: tuple[str, ...],
) -> None:
    without(monkeypatch, *lacks)
    seen = set()
    for at in range(1, 200):
        folder = tmp_path / str(at)
        path = folder / "made"
        others = strangers(folder)
        before = begin(path)
        was_killed = killed(lambda path=path: act(path), at)  # type: ignore[misc]

        found = tree(folder)
        visible = {name: found[name] for name in found if name.split("/")[0] == "made"}
        if visible not in (before, after):  # nothing, for the moment of a move
            assert "exchange" in lacks
            assert visible == {}
        recover(path)
        found = tree(folder)
        visible = {name: found.pop(name) for name in list(found) if name.startswith("made/")}
        visible |= {"made": found.pop("made")} if "made" in found else {}
        assert visible in (before, after)
        assert found == others
        seen.add("old" if visible == before else "new")

        if visible == after and after != before and not was_killed:
            break
        with suppress(FileExistsError, FileNotFoundError):  # done before
            act(path)
        assert tree(folder) == others | after
        shutil.rmtree(folder)
    else:
        pytest.fail("it never ends")
    assert at > 4
    assert seen == {"old", "new"}


@needs_fork
def test_a_folder_that_was_moved_aside_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names cannot be exchanged there is a moment without either."""
    without(monkeypatch, "exchange")
    moments = 0
    for at in range(1, 100):
        path = tmp_path / str(at) / "made"
        path.parent.mkdir()
        old_folder(path)
        if not killed(lambda path=path: make_folder(path), at):  # type: ignore[misc]
            break
        if not path.exists():
            moments += 1
            clear_leftovers(path.parent)
            assert tree(path.parent) == OLD_FOLDER
    assert moments == 1


@pytest.mark.parametrize("write", ["file", "folder"])
def test_all_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    done: list[str] = []
    names: dict[str, Any] = {"fsync": os.fsync, "rename": os.rename, "replace": os.replace}

    def sync(handle: int) -> None:
        place = os.readlink(f"/proc/self/fd/{handle}") if os.path.isdir("/proc/self/fd") else "?"
        done.append(f"sync {Path(place).relative_to(tmp_path).as_posix()}")
        names["fsync"](handle)

    def rename(one: Path, other: Path) -> None:
        done.append(f"rename {Path(other).name}")
        names["rename"](one, other)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "replace", rename)
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("the system does not say which file a handle is of")
    hidden = "?"
    if write == "file":
        write_whole(tmp_path / "made", half_and_half, overwrite=True)
        hidden = done[0].removeprefix("sync ").split("/")[0]
        assert done == [f"sync {hidden}/new", "rename made"]
    else:
        make_folder(tmp_path / "made")
        hidden = done[0].removeprefix("sync ").split("/")[0]
        deep = [f"sync {hidden}/new/{name}" for name in ("deep/b", "deep", "a")]
        assert sorted(done[:3]) == sorted(deep)
        assert done.index(deep[0]) < done.index(deep[1])
        assert done[3:] == [f"sync {hidden}/new", "rename made", "sync ."]


@pytest.mark.parametrize("room", [0, 1, 8192, 19_999, 20_000, 30_000, 39_999])
def test_a_disk_that_fills_up_at_any_byte_leaves_nothing(tmp_path: Path, room: int) -> None:
    with largest_file(room), pytest.raises(OSError, match="File too large"):
        write_whole(tmp_path / "made", half_and_half)
    assert tree(tmp_path) == {}
    old_folder(tmp_path / "made")
    with (
        largest_file(room),
        pytest.raises(OSError, match="File too large"),
        replaced_folder(tmp_path / "made") as folder,
        (folder / "a").open("wb") as file,
    ):
        half_and_half(file)
    assert tree(tmp_path) == OLD_FOLDER


def test_a_sync_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk may be noticed only here."""
    old_folder(tmp_path / "made")
    for nth in range(1, 6):
        calls: list[int] = []

        def fail(_: int, nth: int = nth, calls: list[int] = calls) -> None:
            calls.append(1)
            if len(calls) == nth:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            make_folder(tmp_path / "made")
        if nth == 5:  # of the folder around it, when the name is given
            assert tree(tmp_path) == NEW_FOLDER
        else:
            assert tree(tmp_path) == OLD_FOLDER


def test_encoders_get_no_descriptor(tmp_path: Path) -> None:
    """NumPy and Pillow write to one by themselves."""

    def write(file: BinaryIO) -> None:
        with pytest.raises(OSError, match="fileno"):
            file.fileno()
        np.save(file, np.arange(5))
        file.seek(0)
        assert file.read(6) == b"\x93NUMPY"
        file.seek(0, os.SEEK_END)

    write_whole(tmp_path / "made", write)
    assert np.load(tmp_path / "made").tolist() == [0, 1, 2, 3, 4]


def half(folder: Path, error: BaseException) -> None:
    (folder / "a").write_bytes(b"half")
    raise error


def test_an_error_of_the_caller_leaves_the_old(tmp_path: Path) -> None:
    old_folder(tmp_path / "made")
    for error in (ValueError("wrong"), KeyboardInterrupt("wrong")):
        with (
            pytest.raises(type(error), match="wrong"),
            replaced_folder(tmp_path / "made") as folder,
        ):
            half(folder, error)
    assert tree(tmp_path) == OLD_FOLDER


def test_writers_of_one_name_wait_for_each_other(tmp_path: Path) -> None:
    """Threads and processes; each of the results is whole."""
    path = tmp_path / "made"
    texts = [str(number) * 50_000 for number in range(8)]

    def write(text: str) -> None:
        for _ in range(5):
            write_text(path, text)

    processes = []
    if hasattr(os, "fork"):
        for text in texts[:4]:
            if not (process := os.fork()):
                try:
                    write(text)
                    os._exit(0)
                finally:
                    os._exit(1)
            processes.append(process)
    threads = [threading.Thread(target=write, args=(text,)) for text in texts[4:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    assert codes == [0] * len(processes)
    assert path.read_text() in texts
    assert os.listdir(tmp_path) == ["made"]


@needs_fork
def test_a_living_writer_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "_PATIENCE", 0.1)
    with replaced_folder(tmp_path / "made") as folder:
        (folder / "a").write_bytes(b"a")
        recover(tmp_path / "made")
        clear_leftovers(tmp_path)
        with (
            pytest.raises(BlockingIOError, match="another process is writing it"),
            whole._workshop(tmp_path / "made", patience=0.1),
        ):
            pytest.fail("written twice")
        assert (folder / "a").exists()
    assert tree(tmp_path) == {"made": None, "made/a": b"a"}


@pytest.mark.parametrize("in_the_way", ["a file", "a folder", "a link"])
def test_what_only_has_the_name_of_a_leftover_stays(tmp_path: Path, in_the_way: str) -> None:
    place = whole._workshop_of(tmp_path / "made")
    if in_the_way == "a file":
        place.write_bytes(b"mine")
    elif in_the_way == "a link":
        (tmp_path / "mine").mkdir()
        place.symlink_to(tmp_path / "mine")
    else:
        place.mkdir()
        (place / "new").write_bytes(b"mine")
    before = tree(tmp_path)
    assert not is_leftover(place)
    recover(tmp_path / "made")
    clear_leftovers(tmp_path)
    for act in (partial(write_text, text="x"), make_folder):
        with pytest.raises(OSError, match="which sr4 did not make, is in the way"):
            act(tmp_path / "made")
    assert tree(tmp_path) == before


def test_names_may_be_as_long_as_they_can(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "long")
    make_folder(tmp_path / ("m" * 255))
    assert sorted(len(name) for name in os.listdir(tmp_path)) == [255, 255]


def test_links_lead_to_the_folder_that_is_replaced(tmp_path: Path) -> None:
    old_folder(tmp_path / "made")
    (tmp_path / "link").symlink_to("made")
    make_folder(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "made"
    assert {name: data for name, data in tree(tmp_path).items() if name != "link"} == NEW_FOLDER


@pytest.mark.parametrize("has_links", [True, False])
def test_what_is_kept_can_be_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(whole, "_link", lambda one, other: False)
    old, new, folder = (tmp_path / name for name in ("old", "new", "folder"))
    folder.mkdir()
    old.write_text("old")
    for is_put_back in (True, False):
        with kept([new, old, folder]) as before:
            assert set(before) == {old}
            write_text(old, "new")
            assert before[old].read_text() == "old"
            if is_put_back:
                os.replace(before[old], old)
        assert tree(tmp_path) == {"folder": None, "old": b"old" if is_put_back else b"new"}


def test_systems_without_renameat2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Such as macOS, whose library lacks it, and Windows, where none can be asked."""
    for answer in (object(), TypeError("no library")):

        def library(*_: Any, answer: Any = answer, **__: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(ctypes, "CDLL", library)
        old = tmp_path / "made"
        old_folder(old)
        make_folder(old)
        assert tree(tmp_path) == NEW_FOLDER
        shutil.rmtree(old)
