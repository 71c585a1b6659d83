"""What is kept of shards is given back as it was, or not at all."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from sr4.data.shard_cache import BLOCK, ShardCache, cache_of_shards
from sr4.data.tars import Place
from sr4.errors import UsageError
from tests.conftest import largest_file

SIZE = 3 * BLOCK - 1000
DATA = [os.urandom(BLOCK), os.urandom(BLOCK), os.urandom(BLOCK - 1000)]


def cache(folder: Path | None, key: str = "a", most: float = 1e9) -> ShardCache:
    return ShardCache(folder, key, SIZE, most)


def filled(folder: Path, key: str = "a", most: float = 1e9) -> ShardCache:
    one = cache(folder, key, most)
    for number, data in enumerate(DATA):
        one.keep(number, data)
    return one


def test_blocks_are_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "sr4" / "shards"
    first, other = cache(folder), cache(folder)
    assert first.read(0, 10) is None
    first.keep(1, DATA[1])
    assert first.read(0, 10) is None
    assert other.read(BLOCK + 5, 10) == DATA[1][5:15]
    assert other.read(BLOCK - 5, 10) is None
    other.keep(0, DATA[0])
    assert first.read(BLOCK - 5, 10) == DATA[0][-5:] + DATA[1][:5]
    other.keep(2, DATA[2])
    assert first.read(0, SIZE) == b"".join(DATA)
    assert cache(folder, "b").read(0, 10) is None
    if os.name != "nt":
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("harm", ["block", "checksum", "cut", "empty", "cut checksums"])
def test_harm_costs_a_fetch(tmp_path: Path, harm: str) -> None:
    filled(tmp_path / "shards")
    (path,) = (tmp_path / "shards").glob("*.blocks")
    with path.open("rb+") as file:
        if harm == "block":
            file.seek(4096 + BLOCK + 7)
            file.write(b"harm")
        elif harm == "checksum":
            file.seek(16 + 8 + 3)
            file.write(b"harm")
        else:
            file.truncate({"cut": 4096 + BLOCK + 9, "empty": 0, "cut checksums": 20}[harm])
    one = cache(tmp_path / "shards")
    assert one.read(BLOCK, 100) is None
    assert one.read(0, 100) == (None if harm in ("empty", "cut checksums") else DATA[0][:100])
    for number, data in enumerate(DATA):
        one.keep(number, data)
    assert one.read(0, SIZE) == b"".join(DATA)


def test_a_file_that_took_the_place_of_another(tmp_path: Path) -> None:
    one = filled(tmp_path / "shards")
    assert one.read(0, SIZE) == b"".join(DATA)
    (path,) = (tmp_path / "shards").glob("*.blocks")
    path.unlink()
    assert one.read(0, 10) is None
    cache(tmp_path / "shards").keep(2, DATA[2])
    assert one.read(0, 10) is None  # though it was held against its checksum once
    assert one.read(2 * BLOCK, 10) == DATA[2][:10]


def test_what_was_used_longest_ago_goes(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    most = 2.5 * SIZE
    for age, key in enumerate("abc"):
        filled(folder, key, most).keep_places({"x": Place(512, 5)})
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))
        (folder / "note.txt").write_text("of the user", encoding="utf-8")
        assert age < 2 or cache(folder, "a", most).read(0, 10) is not None
    assert cache(folder, "a").places() is not None  # used now
    filled(folder, "d", most)
    left = [key for key in "abcd" if cache(folder, key, most).read(0, 10) is not None]
    assert left == ["a", "c", "d"]
    assert cache(folder, "b").places() is None
    assert (folder / "note.txt").is_file()


def test_places(tmp_path: Path) -> None:
    one = cache(tmp_path / "shards")
    assert one.places() is None
    places = {"a.png": Place(512, 100), "b\udcff.png": Place(1536, 200)}
    one.keep_places(places)
    assert cache(tmp_path / "shards").places() == places
    (path,) = (tmp_path / "shards").glob("*.index")
    out_of_range = (b'[["a", 0, 99999999]]', b'[["a", -1, 9]]')
    for harm in (b"", b"[[1]]", *out_of_range, b"{}x", b"\xff", b"[" * 200_000):
        path.write_bytes(harm)
        assert one.places() is None
    one.keep_places(places)
    assert one.places() == places


def test_full_disks_are_told_once(tmp_path: Path) -> None:
    one = cache(tmp_path / "shards")
    one.keep(0, DATA[0])
    with (
        largest_file(2 * BLOCK - 5000),
        pytest.warns(UserWarning, match=r"not kept on this computer \(File too large\)"),
    ):
        one.keep(1, DATA[1])
    assert not one.is_on
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one.keep(2, DATA[2])
    assert one.read(0, 10) is None
    again = cache(tmp_path / "shards")
    assert again.read(0, 10) == DATA[0][:10]
    assert again.read(BLOCK, 10) is None


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for folder in (tmp_path / "file" / "shards", tmp_path / "link"):
        with pytest.warns(UserWarning, match="they are fetched anew"):
            one = cache(folder)
        one.keep(0, DATA[0])
        one.keep_places({})
        assert not one.is_on
        assert one.places() is None
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not cache(None).is_on


def test_the_variable_that_bounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_of_shards("a", 10).is_on
    monkeypatch.setenv("SR4_CACHE_GIGABYTES", "0")
    assert not cache_of_shards("a", 10).is_on
    for wrong in ("many", "-1", "nan"):
        monkeypatch.setenv("SR4_CACHE_GIGABYTES", wrong)
        with pytest.raises(UsageError, match=r"SR4_CACHE_GIGABYTES=.*expected a number of gig"):
            cache_of_shards("a", 10)
