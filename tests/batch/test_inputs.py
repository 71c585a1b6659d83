"""Pictures in tars; files, folders and patterns are tested with the plan that comes of them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.batch.events import Done, Event, Failed, LeftOut
from sr4.batch.inputs import Packed
from sr4.batch.plan import plan_pictures, plan_to_memory
from sr4.data.tars import Place, file_state
from sr4.errors import PictureError
from sr4.pictures.decoding import MAX_BYTES
from tests.batch.conftest import smooth


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """Makes a tar: `pack("faces.tar", {"a/1.png": ...})`, of bytes or pictures."""

    def make(name: str, members: dict[str, bytes | Image.Image]) -> Path:
        with tarfile.open(tmp_path / name, "w") as tar:
            for inner, given in members.items():
                if isinstance(given, Image.Image):
                    buffer = io.BytesIO()
                    given.save(buffer, Path(inner).suffix[1:])
                    given = buffer.getvalue()
                header = tarfile.TarInfo(inner)
                header.size = len(given)
                tar.addfile(header, io.BytesIO(given))
        return tmp_path / name

    return make


def test_a_tar_gives_what_its_folder_would(
    pack: Callable[..., Path], upscale: Callable[..., list[Event]], tmp_path: Path
) -> None:
    pictures = {f"{number % 2}/{number}.png": smooth(seed=number) for number in range(4)}
    for name, picture in pictures.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / "in" / name)
    upscale(tmp_path / "in")
    (tmp_path / "out").rename(tmp_path / "expected")
    tar = pack("in.tar", {**pictures, "0/.hidden.png": b"", "notes.txt": b"", "1/bad.png": b"no"})
    events = upscale(tar)
    done = [event for event in events if isinstance(event, Done)]
    assert [event.record.input for event in done] == [str(tar / name) for name in pictures]
    for name in pictures:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    (failure,) = (event for event in events if isinstance(event, Failed))
    assert str(tar / "1/bad.png") in failure.error
    assert LeftOut({".txt": 1}) in events
    again = upscale(tar)
    assert [type(event) for event in again if isinstance(event, (Done, Failed))] == [Failed]


def test_a_deep_tiff_in_a_tar_stays_deep(pack: Callable[..., Path], tmp_path: Path) -> None:
    deep = Image.fromarray(np.zeros((8, 8), np.float32))
    tar = pack("in.tar", {"deep.tiff": deep, "flat.tiff": smooth()})
    outputs = [one.output.name for one in plan_pictures([str(tar)], tmp_path / "out").pictures]
    assert outputs == ["deep.tif", "flat.png"]


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png"])
def test_names_that_lead_out_of_a_tar_are_refused(
    name: str, pack: Callable[..., Path], tmp_path: Path
) -> None:
    tar = pack("in.tar", {"good.png": smooth(), name: smooth()})
    plan = plan_pictures([str(tar)], tmp_path / "out")
    assert plan.pictures == []
    assert "leads out of it" in plan.failures[0].error


def test_what_is_no_tar_and_a_tar_of_nothing_are_one_line(
    pack: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "no.tar").write_bytes(b"no tar")
    empty = pack("empty.tar", {"notes.txt": b""})
    inputs = [str(tmp_path / "no.tar"), str(empty)]
    _, (broken, without), *_ = plan_pictures(inputs, tmp_path / "out")
    assert "is no tar" in broken.error
    assert "the tar" in without.error
    assert "holds nothing but 1 file: 1 .txt" in without.error


def test_a_tar_that_changes_after_planning_costs_its_pictures(
    pack: Callable[..., Path], upscale: Callable[..., list[Event]], tmp_path: Path
) -> None:
    tar = pack("in.tar", {"a.png": smooth()})
    plan = plan_pictures([str(tar)], tmp_path / "out")
    tar.write_bytes(tar.read_bytes() + bytes(10240))
    (failure,) = (event for event in upscale(plan) if isinstance(event, Failed))
    assert "its tar has changed" in failure.error
    tar.unlink()
    (failure,) = (event for event in upscale(plan) if isinstance(event, Failed))
    assert "cannot be read (No such file or directory)" in failure.error


def test_one_picture_of_a_tar_goes_into_a_folder(pack: Callable[..., Path], tmp_path: Path) -> None:
    tar = pack("in.tar", {"a.png": smooth()})
    (one,) = plan_pictures([str(tar)], tmp_path / "out").pictures
    assert one.output == tmp_path / "out/a.png"


def test_a_picture_that_cannot_be_read_for_its_depth_fails_alone(
    pack: Callable[..., Path], tmp_path: Path
) -> None:
    smooth().save(tmp_path / "ok.png")
    tars = [pack("only.tar", {}), pack("in.tar", {"a.png": smooth()})]
    for tar in tars:
        with tarfile.open(tar, "a") as file:
            header = tarfile.TarInfo("large.tif")
            header.size = MAX_BYTES + 1
            file.addfile(header)
            end = file.offset + header.size
        os.truncate(tar, end - end % tarfile.BLOCKSIZE + tarfile.RECORDSIZE)  # zeros take no room
    plan = plan_pictures([str(tars[1]), str(tmp_path / "ok.png")], tmp_path / "out")
    assert [one.output.name for one in plan.pictures] == ["a.png", "ok.png"]
    for tar, (failure,) in zip(
        tars, (plan_to_memory(str(tars[0])).failures, plan.failures), strict=True
    ):
        assert failure.input == str(tar / "large.tif")
        assert "is a file of more than" in failure.error


def test_a_member_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    tar = tmp_path / "large.tar"
    tar.touch()
    with tar.open("rb") as file:
        packed = Packed(tar, Place(0, MAX_BYTES + 1), file_state(file))
    with pytest.raises(PictureError, match=r"'a\.png' is a file of more than .* bytes; expected"):
        packed.read(Path("a.png"))
