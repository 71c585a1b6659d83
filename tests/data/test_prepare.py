"""Prepared data sets: exact pixels, true checksums, the same bytes each time, no half results."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.data.manifest import Manifest, read_manifest
from sr4.data.prepare import info, prepare
from sr4.data.sources import open_source
from sr4.errors import DataError, UsageError

Pixels = NDArray[np.uint8]
Write = Callable[[Path, Mapping[str, bytes]], Path]
Encode = Callable[[Pixels], bytes]


@pytest.fixture
def src(tmp_path: Path, files: dict[str, bytes], write_folder: Write) -> Path:
    """Seven good pictures of 24x24, two bad ones and a small one."""
    small = io.BytesIO()
    Image.new("RGB", (100, 15)).save(small, format="PNG")
    bad = {
        "a/text.png": b"text",
        "b/half.png": files["b/3.png"][:500],
        "small.png": small.getvalue(),
    }
    return write_folder(tmp_path / "src", {**files, **bad})


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pictures_of_the_size_are_kept_exactly(
    src: Path, tmp_path: Path, pictures: dict[str, Pixels]
) -> None:
    prepare(src, tmp_path / "out", size=24)
    prepared = open_source(tmp_path / "out")
    assert list(prepared.names) == sorted(pictures)
    for index, name in enumerate(prepared.names):
        assert np.array_equal(prepared.read(index), pictures[name])


def test_manifest_tells_the_truth(src: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = prepare(src, out, size=16, shard_images=3)
    assert read_manifest(out) == manifest
    assert sorted(os.listdir(out)) == ["00000.tar", "00001.tar", "00002.tar", "manifest.json"]
    assert [len(shard.pictures) for shard in manifest.shards] == [3, 3, 1]
    assert (manifest.count, manifest.size, manifest.format) == (7, 16, "png")
    assert (manifest.source.kind, manifest.source.pictures) == ("folder", 10)
    for shard in manifest.shards:
        assert hashlib.sha256((out / shard.file).read_bytes()).hexdigest() == shard.sha256
        with tarfile.open(out / shard.file) as tar:
            assert tar.getnames() == [picture.name for picture in shard.pictures]
            for picture in shard.pictures:
                member = tar.extractfile(picture.name)
                assert member is not None
                assert hashlib.sha256(member.read()).hexdigest() == picture.sha256
    reasons = {entry.source: entry.reason for entry in manifest.skipped}
    assert list(reasons) == ["a/text.png", "b/half.png", "small.png"]
    assert "is not a picture" in reasons["a/text.png"]
    assert "cannot be decoded" in reasons["b/half.png"]
    assert reasons["small.png"] == "too small: 100x15 pixels, expected at least 16x16"


@pytest.mark.parametrize("file_format", ["png", "webp"])
def test_equal_input_gives_equal_bytes(src: Path, tmp_path: Path, file_format: Any) -> None:
    for name in ("one", "two"):
        prepare(src, tmp_path / name, size=16, format=file_format)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_centre_crop_and_size(tmp_path: Path, write_folder: Write, png: Encode) -> None:
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, 16:48] = 200  # the central square
    src = write_folder(tmp_path / "src", {"a.png": png(wide)})
    prepare(src, tmp_path / "out", size=8)
    result = open_source(tmp_path / "out").read(0)
    assert result.shape == (8, 8, 3)
    assert (result == 200).all()


def test_resizing_is_antialiased_bicubic(tmp_path: Path, write_folder: Write, png: Encode) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    src = write_folder(tmp_path / "src", {"a.png": png(pixels)})
    prepare(src, tmp_path / "out", size=16)
    from sr4.degradation import Degradation

    expected = Degradation(2)(pixels.transpose(2, 0, 1).astype(np.float64)).transpose(1, 2, 0)
    result = open_source(tmp_path / "out").read(0).astype(np.float64)
    assert np.abs(result - np.clip(expected, 0, 255)).max() <= 1.0  # Pillow rounds between the axes


def test_webp_is_near(tmp_path: Path, write_folder: Write, png: Encode) -> None:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)[None, :, None].repeat(32, 0).repeat(3, 2)
    src = write_folder(tmp_path / "src", {"a.png": png(ramp)})
    manifest = prepare(src, tmp_path / "out", size=32, format="webp")
    assert manifest.shards[0].pictures[0].name == "a.webp"
    assert np.abs(open_source(tmp_path / "out").read(0).astype(int) - ramp).mean() < 3


def test_names_are_safe_and_unique(tmp_path: Path, png: Encode, write_tar: Write) -> None:
    picture = png(np.zeros((8, 8, 3), np.uint8))
    names = [
        "../../evil.png",
        "/root.png",
        "x.y/a.b.png",
        "x.y/a_b.bmp",
        "x.y/a.b.gif",
        "q50-1.png",
    ]
    prepare(write_tar(tmp_path / "t.tar", dict.fromkeys(names, picture)), tmp_path / "out", size=8)
    with tarfile.open(tmp_path / "out/00000.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [
        "evil.png",
        "root.png",
        "x.y/a_b.png",
        "x.y/a_b-2.png",
        "x.y/a_b-3.png",
        "q50-1.png",
    ]
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {
        (0, 0, 0, "")
    }


def test_progress_counts_every_picture(src: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    prepare(src, tmp_path / "out", size=16, on_progress=lambda *call: calls.append(call))
    assert calls == [(done, 10) for done in range(1, 11)]


# What is in the way


def test_a_folder_with_files_is_kept(src: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious").write_bytes(b"1")
    for overwrite, words in ((False, "is not empty"), (True, "was not made by")):
        with pytest.raises(DataError, match=words):
            prepare(src, out, size=16, overwrite=overwrite)
    assert tree(out) == {"precious": b"1"}
    (out / "precious").unlink()
    assert prepare(src, out, size=16).count == 7  # an empty folder is fine
    with pytest.raises(DataError, match="is a file"):
        prepare(src, src / "5.png", size=16)


def test_an_earlier_result_is_replaced_when_told(src: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(src, out, size=16, shard_images=1)
    with pytest.raises(DataError, match="--overwrite"):
        prepare(src, out, size=24)
    assert prepare(src, out, size=24, overwrite=True).size == 24
    assert sorted(os.listdir(out)) == ["00000.tar", "manifest.json"]
    assert sorted(os.listdir(tmp_path)) == ["out", "src"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_leaves_the_earlier_result(
    src: Path, tmp_path: Path, error: BaseException
) -> None:
    out = tmp_path / "out"
    prepare(src, out, size=16)
    before = tree(out)

    def fail(done: int, _: int) -> None:
        if done == 5:
            raise error

    expected = DataError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        prepare(src, out, size=24, overwrite=True, on_progress=fail)
    assert tree(out) == before
    assert sorted(os.listdir(tmp_path)) == ["out", "src"]


def test_nothing_usable_writes_nothing(src: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 10 pictures"):
        prepare(src, tmp_path / "out", size=200)
    assert sorted(os.listdir(tmp_path)) == ["src"]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"shard_images": 0}, {"format": "jpg"}])
def test_impossible_settings(src: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        prepare(src, tmp_path / "out", **{"size": 16, **wrong})


# Info


def test_info_of_a_folder(src: Path) -> None:
    summary = info(src)
    assert (summary.kind, summary.count, summary.sampled) == ("folder", 10, 10)
    assert summary.smallest == (24, 24)
    assert summary.largest == (100, 15)
    assert summary.most_common == (24, 24)
    assert summary.formats == {"PNG": 9}
    assert summary.modes == {"RGB": 9}
    assert len(summary.unreadable) == 1
    assert "text.png" in summary.unreadable[0]
    assert (summary.manifests, summary.damaged) == (0, ())


def test_info_samples_evenly(src: Path) -> None:
    assert info(src, samples=4).sampled == 4


def test_info_verifies_checksums(src: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(src, out, size=16, shard_images=3)
    for spec in (out, out / "00000.tar", out / "*.tar"):
        summary = info(spec)
        assert (summary.manifests, summary.damaged) == (1, ())
    data = bytearray((out / "00001.tar").read_bytes())
    data[600] ^= 1  # in the pixels of its first picture
    (out / "00001.tar").write_bytes(data)
    (out / "00002.tar").unlink()
    assert info(out).damaged == (str(out / "00001.tar"), str(out / "00002.tar"))


def test_manifests_of_others_and_damaged_ones(src: Path, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    assert read_manifest(tmp_path) is None
    for text in ("not json", "[1]", "[" * 200_000, '{"name": "a web page"}'):
        path.write_text(text)
        assert read_manifest(tmp_path) is None
    manifest = prepare(src, tmp_path / "out", size=16)
    path.write_text(json.dumps({**manifest.model_dump(), "version": 2}))
    with pytest.raises(DataError, match="another version") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)
    assert Manifest.model_validate(manifest.model_dump()) == manifest


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_depth_and_number_of_channels_as_tif(
    tmp_path: Path, channels: int, dtype: type
) -> None:
    folder, out = tmp_path / "src", tmp_path / "out"
    folder.mkdir()
    given: np.ndarray = (np.random.default_rng(0).random((16, 20, channels)) * 250).astype(dtype)
    np.save(folder / "a.npy", given)
    np.save(folder / "b.npy", given[:12, :12])
    np.save(folder / "c.npy", np.zeros((16, 16, channels + 5), dtype))
    manifest = prepare(folder, out, size=12, format="tif", channels=channels)
    assert manifest.count == 2
    (skipped,) = manifest.skipped
    assert f"has {channels + 5} channels; expected {channels}" in skipped.reason
    source = open_source(out, channels)
    assert source.numbers(0).dtype == dtype
    assert source.numbers(0).shape == (12, 12, channels)
    np.testing.assert_array_equal(source.numbers(1), given[:12, :12])
    again = prepare(folder, tmp_path / "again", size=12, format="tif", channels=channels)
    assert again == manifest


def test_bands_are_tif_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    np.save(tmp_path / "src" / "a.npy", np.zeros((8, 8, 4), np.uint8))
    assert prepare(tmp_path / "src", tmp_path / "out", size=8, channels=4).format == "tif"
    for format in ("png", "webp"):
        with pytest.raises(UsageError, match=f"got the format {format} for pictures of 4 channels"):
            prepare(tmp_path / "src", tmp_path / "o", size=8, channels=4, format=format)


def test_a_source_that_changes_is_no_bad_picture(
    tmp_path: Path, files: dict[str, bytes], write_tar: Write
) -> None:
    """Else all that is left of it would be skipped, and the rest be taken for the whole."""
    tar = write_tar(tmp_path / "src.tar", files)

    def change(done: int, _: int) -> None:
        if done == 2:
            write_tar(tar, dict(reversed(files.items())))

    with pytest.raises(DataError, match="the tar has changed"):
        prepare(tar, tmp_path / "out", size=16, on_progress=change)
    assert not (tmp_path / "out").exists()
