"""Sources: folder, tar and LMDB give the same pictures, and bad ones fail with one line."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sr4.data.encoded import EncodedSource
from sr4.data.prepare import info
from sr4.data.sources import open_source, open_sources
from sr4.errors import BadPictureError, DataError, MissingExtraError, UsageError
from sr4.pictures import finding

Pixels = NDArray[np.uint8]
Write = Callable[[Path, Mapping[str, bytes]], Path]


def write_lmdb(path: Path, members: Mapping[str, bytes]) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(path), map_size=1 << 24) as environment, environment.begin(write=True) as t:
        for name, data in members.items():
            t.put(name.encode(), data)
    return path


@pytest.fixture(params=["folder", "tar", "lmdb"])
def source(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    files: dict[str, bytes],
    write_folder: Write,
    write_tar: Write,
) -> EncodedSource:
    """The same seven pictures, and some other files, in each kind of source."""
    others = {"notes.txt": b"x", "a/1.json": b"{}", "a/._1.png": b"junk of a file system"}
    write = {"folder": write_folder, "tar": write_tar, "lmdb": write_lmdb}[request.param]
    opened = open_source(write(tmp_path / "data", {**files, **others}))
    assert opened.kind == request.param
    return opened


def refused(spec: str | Path) -> str:
    with pytest.raises(DataError) as caught:
        open_source(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_kind_gives_the_same_pictures(
    source: EncodedSource, pictures: dict[str, Pixels]
) -> None:
    assert list(source.names) == sorted(pictures)
    assert len(source) == 7
    for index, name in enumerate(source.names):
        pixels = source.read(index)
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, pictures[name])


def test_a_pickled_copy_reads_the_same(source: EncodedSource) -> None:
    copy: EncodedSource = pickle.loads(pickle.dumps(source))  # noqa: S301 - what workers do
    assert copy.names == source.names
    assert np.array_equal(copy.read(3), source.read(3))


def test_threads_may_share_a_source(source: EncodedSource) -> None:
    expected = [source.read_bytes(index) for index in range(7)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(source.read_bytes, list(range(7)) * 20))
    assert results == expected * 20


def test_an_opened_source_survives_a_fork(source: EncodedSource, tmp_path: Path) -> None:
    # In a process of its own, since forking a test process with threads is not safe.
    code = (
        "import os, sys; from sr4.data import open_source\n"
        "s = open_source(sys.argv[1]); s.read(0)\n"
        "pid = os.fork()\n"
        "if not pid: os._exit(len(s.read_bytes(1)) % 251)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(s.read_bytes(1)) % 251)"
    )
    if sys.platform == "win32":
        pytest.skip("no fork")
    done = subprocess.run(
        [sys.executable, "-c", code, source.location], capture_output=True, text=True, check=True
    )
    child, parent = done.stdout.split()
    assert child == parent != "0"


def test_importing_the_sources_loads_no_torch() -> None:
    code = "import sys, sr4.data, sr4.data.prepare; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Several parts


def test_shards_join_in_order(tmp_path: Path, files: dict[str, bytes], write_tar: Write) -> None:
    names = list(files)
    for shard, part in enumerate((names[:3], names[3:4], names[4:])):
        write_tar(tmp_path / f"t-{shard:02d}.tar", {name: files[name] for name in part})
    for spec in (
        tmp_path / "t-{00..02}.tar",
        tmp_path / "t-*.tar",
        tmp_path / "t-0{0,1,2}.tar",
        tmp_path,  # a folder of shards
    ):
        joined = open_source(spec)
        assert list(joined.names) == names
        assert [joined.read_bytes(index) for index in range(7)] == list(files.values())
        assert joined.kind == "tar"
        assert [path.name for path in joined.paths] == ["t-00.tar", "t-01.tar", "t-02.tar"]
        assert "t-01.tar: " in joined.label(3)
    with pytest.raises(IndexError):
        joined.read_bytes(7)


def test_names_that_collide_get_their_shard_in_front(
    tmp_path: Path, files: dict[str, bytes], write_tar: Write
) -> None:
    first, second = list(files.items())[:2]
    write_tar(tmp_path / "a.tar", {"x.png": first[1], "y.png": second[1]})
    write_tar(tmp_path / "b.tar", {"x.png": second[1]})
    joined = open_source(tmp_path / "{a,b}.tar")
    assert list(joined.names) == ["a.tar/x.png", "a.tar/y.png", "b.tar/x.png"]
    assert joined.read_bytes(2) == second[1]
    twice = open_sources([tmp_path / "b.tar"] * 2)
    assert len(set(twice.names)) == len(twice) == 2


def test_several_sources_join_in_the_order_given(
    tmp_path: Path, files: dict[str, bytes], write_tar: Write, write_folder: Write
) -> None:
    first, second = list(files.items())[:2]
    tar = write_tar(tmp_path / "b.tar", dict([second]))
    folder = write_folder(tmp_path / "a", dict([first]))
    joined = open_sources([tar, folder])
    assert list(joined.names) == [second[0], first[0]]
    assert joined.location == f"{tar} + {folder}"
    assert joined.kind == "folder + tar"
    assert open_sources([tar]).location == str(tar)


def test_a_name_with_braces_is_meant_literally(
    tmp_path: Path, files: dict[str, bytes], write_folder: Write
) -> None:
    folder = write_folder(tmp_path / "photos [{a,b}]", files)
    assert len(open_source(folder)) == 7


# Tars


def test_tar_order_is_kept_and_the_last_of_a_name_counts(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    first, second, third = list(files.values())[:3]
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name, data in (("./z.png", first), ("a.png", second), ("./z.png", third)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        folder, link = tarfile.TarInfo("folder.png"), tarfile.TarInfo("link.png")
        folder.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(folder)
        tar.addfile(link)
    source = open_source(tmp_path / "t.tar")
    assert list(source.names) == ["z.png", "a.png"]
    assert source.read_bytes(0) == third


@pytest.mark.parametrize("keep", ["half", "one block less", "inside a header", "no end mark"])
def test_truncated_tar(
    tmp_path: Path, files: dict[str, bytes], write_tar: Write, keep: str
) -> None:
    path = write_tar(tmp_path / "t.tar", files)
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + -(-last.size // 512) * 512
    length = {
        "half": path.stat().st_size // 2 // 512 * 512,
        "one block less": end - 512,
        "inside a header": last.offset + 100,
        "no end mark": end,
    }[keep]
    path.write_bytes(path.read_bytes()[:length])
    assert "truncated" in refused(path)


def test_damaged_header(tmp_path: Path, files: dict[str, bytes], write_tar: Write) -> None:
    path = write_tar(tmp_path / "t.tar", files)
    with tarfile.open(path) as tar:
        offset = tar.getmembers()[3].offset
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    assert "damaged after 3 pictures" in refused(path)


def shrink(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def replace(path: Path) -> None:
    """By another one of the same size, whose pictures would be taken for those of before."""
    other = path.with_name("new.tar")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(0, path.stat().st_mtime_ns + 1))
    other.replace(path)


@pytest.mark.parametrize("change", [shrink, replace])
def test_a_tar_that_changes_after_opening(
    tmp_path: Path, files: dict[str, bytes], write_tar: Write, change: Callable[[Path], None]
) -> None:
    path = write_tar(tmp_path / "t.tar", files)
    source = open_source(path)
    change(path)
    with pytest.raises(DataError, match=r"t\.tar: .*b/q50-4\.png.*tar has changed") as caught:
        source.read(6)
    assert not isinstance(caught.value, BadPictureError)  # it would be left out
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        source.read(6)


# Bad sources


def test_missing_source_names_the_nearest(tmp_path: Path, write_tar: Write) -> None:
    (tmp_path / "train-00.tar").touch()
    assert f"did you mean {str(tmp_path / 'train-00.tar')!r}?" in refused(tmp_path / "train-0.tar")


@pytest.mark.parametrize("kind", ["folder", "tar", "lmdb"])
def test_empty_sources(tmp_path: Path, kind: str, write_tar: Write, write_folder: Write) -> None:
    write = {"folder": write_folder, "tar": write_tar, "lmdb": write_lmdb}[kind]
    notes = write(tmp_path / "data", {"notes.txt": b"x"})
    what = "nothing but 1 file: 1 .txt" if kind == "folder" else "no pictures"
    assert f"holds {what}; expected pictures" in refused(notes)


def test_files_that_are_no_tar(tmp_path: Path, files: dict[str, bytes], write_tar: Write) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(next(iter(files.values())))
    assert "is no tar" in refused(picture)
    (tmp_path / "empty.tar").touch()
    assert "is no tar" in refused(tmp_path / "empty.tar")
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz"):
        pass
    assert "uncompressed tar" in refused(tmp_path / "t.tar.gz")
    (tmp_path / "p.tar").write_bytes(pickle.dumps({"a": 1}))
    assert "is no tar" in refused(tmp_path / "p.tar")


def test_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty source"):
        open_source("")
    with pytest.raises(UsageError, match="no source"):
        open_sources([])


def test_a_bad_picture_is_named(tmp_path: Path, write_tar: Write) -> None:
    source = open_source(write_tar(tmp_path / "t.tar", {"a/x.png": b"junk" * 100}))
    with pytest.raises(DataError) as caught:
        source.read(0)
    assert str(caught.value).startswith(f"{f'{tmp_path}/t.tar: a/x.png'!r} is not a picture")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "tar", "lmdb"])
def test_large_members_are_refused_before_they_are_read(
    tmp_path: Path,
    kind: str,
    files: dict[str, bytes],
    write_tar: Write,
    write_folder: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = {"folder": write_folder, "tar": write_tar, "lmdb": write_lmdb}[kind]
    source = open_source(write(tmp_path / "data.tar", files))
    most = len(source.read_bytes(0)) - 1
    monkeypatch.setattr("sr4.data.sources.MAX_BYTES", most)
    monkeypatch.setattr("sr4.pictures.decoding.check_size.__defaults__", (most,))
    with pytest.raises(DataError) as caught:
        source.read(0)
    assert f"more than {'the ' if kind == 'folder' else ''}{most:,}" in str(caught.value)
    assert source.names[0] in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_among_pictures_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="no regular file"):
        open_source(tmp_path).read(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_floats_are_read_as_upscaling_reads_them(tmp_path: Path, channels: int) -> None:
    """TIFF that Pillow does not open, and NPY."""
    levels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    floats = (levels / 255).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", floats, photometric="rgb")
    np.save(tmp_path / "b.npy", floats)
    Image.fromarray(levels).save(tmp_path / "c.png")
    source = open_source(tmp_path, channels)
    first, second, third = (source.read(index) for index in range(3))
    assert third.shape == (6, 5, channels)
    np.testing.assert_array_equal(first, third)
    np.testing.assert_array_equal(second, third)
    summary = info(tmp_path)
    assert summary.unreadable == ()
    assert summary.formats == {"TIFF": 1, "NPY": 1, "PNG": 1}


# LMDB


def test_two_sources_of_one_lmdb_folder(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = write_lmdb(tmp_path / "data", files)
    first, second = open_source(path), open_source(path)
    assert first.read_bytes(0) == second.read_bytes(0) == next(iter(files.values()))


def test_lmdb_keys_without_suffix(tmp_path: Path, files: dict[str, bytes]) -> None:
    """As BasicSR's script makes them; a note is among them."""
    bare = {name.rpartition(".")[0]: data for name, data in files.items()}
    source = open_source(write_lmdb(tmp_path / "data", bare | {"note": b"no picture"}))
    assert list(source.names) == sorted(bare)
    assert [source.read_bytes(index) for index in range(len(source))] == [
        bare[name] for name in sorted(bare)
    ]


@pytest.mark.parametrize("damage", ["junk", "half", "one page less", "no bytes"])
def test_damaged_lmdb(tmp_path: Path, files: dict[str, bytes], damage: str) -> None:
    path = write_lmdb(tmp_path / "data", files)
    data = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(
        {
            "junk": b"junk" * 5000,
            "half": data[: len(data) // 2],
            "one page less": data[:-4096],
            "no bytes": b"",
        }[damage]
    )
    assert "LMDB" in refused(path)


def test_lmdb_is_an_extra(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lmdb(tmp_path / "data", files)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install '.*\[train\]'"):
        open_source(path)


def test_the_shared_sets_open(shared: Path) -> None:
    data = shared / "data"
    faces = open_source(data / "faces128/train-{00..02}.tar")
    assert len(faces) == 13_524
    assert faces.read(13_523).shape == (128, 128, 3)
    assert len(open_source(data / "ffhq128/train.tar")) == 850
    assert len(open_sources([data / "photos/train.tar", data / "photos/test.tar"])) == 331


def test_files_that_are_no_pictures_are_counted(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        for name, data in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (tmp_path / folder / "x.HEIC").touch()
    (tmp_path / "a" / "notes.txt").touch()
    monkeypatch.setattr(finding, "find_spec", lambda name: None)  # without the extra for HEIC
    source = open_sources([tmp_path / "a", tmp_path / "b"])
    assert len(source) == 2 * len(open_source(tmp_path / "b"))
    assert source.left_out == {".heic": 2, ".txt": 1}


def test_a_folder_of_other_files_alone_is_refused_with_their_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1.heic", "deep/2.HEIC", "x.jxl"):
        path = tmp_path / "phone" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setattr(finding, "find_spec", lambda name: None)  # without the extra for HEIC
    error = refused(tmp_path / "phone")
    assert "holds nothing but 3 files: 2 .heic, 1 .jxl; HEIC is read with the extra" in error
