"""The cache of compiled models gives back what this user put in, or nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sr4.runtime import compiled_cache
from sr4.runtime.compiled_cache import CompiledCache


def entry(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    assert CompiledCache(folder).read("a") is None
    assert not folder.exists()
    CompiledCache(folder).write("a", b"one")
    CompiledCache(folder).write("b", b"two")
    CompiledCache(folder).write("b", b"three")
    assert [CompiledCache(folder).read(key) for key in "abc"] == [b"one", b"three", None]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    CompiledCache(None).write("a", b"one")
    assert CompiledCache(None).read("a") is None


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_entries_are_removed(tmp_path: Path, damage: bytes | None) -> None:
    cache = CompiledCache(tmp_path / "cache")
    cache.write("a", b"something")
    path = entry(tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-1] + b"!" if damage is None else damage)
    assert cache.read("a") is None
    assert not path.exists()


def test_an_entry_under_another_name_is_none(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path / "cache")
    cache.write("a", b"one")
    first = entry(tmp_path / "cache")
    cache.write("b", b"two")
    (second,) = {*(tmp_path / "cache").iterdir()} - {first}
    first.replace(second)
    assert cache.read("b") is None


def test_folders_that_others_could_write_to_are_closed(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    CompiledCache(folder).write("a", b"one")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users by number")
def test_what_others_own_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    CompiledCache(folder).write("a", b"one")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert CompiledCache(folder).read("a") is None
    CompiledCache(folder).write("b", b"two")
    assert len(list(folder.iterdir())) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_an_entry_that_another_user_planted(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path / "cache")
    cache.write("a", b"one")
    os.chown(entry(tmp_path / "cache"), 54321, 54321)
    assert cache.read("a") is None


def test_a_link_is_no_folder_of_ours(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "cache").symlink_to("real")
    CompiledCache(tmp_path / "cache").write("a", b"one")
    assert not list((tmp_path / "real").iterdir())


def test_those_not_used_for_longest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_cache, "_MOST_BYTES", 500)
    folder, cache = tmp_path / "cache", CompiledCache(tmp_path / "cache")
    for number, key in enumerate("abcd"):
        before = set(folder.iterdir()) if folder.exists() else set()
        cache.write(key, bytes(100))  # 132 with its checksum
        (new,) = set(folder.iterdir()) - before
        os.utime(new, (number, number))
        assert number < 1 or cache.read("a") is not None  # used last
    assert [cache.read(key) is not None for key in "abcd"] == [True, False, True, True]
