"""How results of an earlier call are told."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from sr4.batch.options import UpscaleOptions
from sr4.batch.plan import plan_in_memory, plan_pictures
from sr4.batch.provenance import is_result, made_before, provenance
from sr4.errors import PictureError
from sr4.pictures import WRITE_SUFFIXES, write_picture
from sr4.pictures.raster import from_pil
from sr4.pictures.reading import Picture
from tests.batch.conftest import smooth


def result_of(source: Path, output: Path, options: UpscaleOptions) -> None:
    """A file that says it is the result of another."""
    (picture,) = plan_pictures([str(source)], output, overwrite=True).pictures
    said = provenance(picture, options)[output]
    write_picture(Picture((from_pil(smooth(32, 32)),)), output, provenance=said, overwrite=True)


def test_a_result_is_known_by_its_input_and_options(tiny_model: Path, tmp_path: Path) -> None:
    options = UpscaleOptions(model=str(tiny_model))
    smooth().save(tmp_path / "a.png")
    result_of(tmp_path / "a.png", tmp_path / "b.png", options)
    unsaid = plan_pictures([str(tmp_path / "a.png")], tmp_path / "b.png")
    assert not unsaid.pictures  # nobody says how it was made
    (picture,) = plan_pictures(
        [str(tmp_path / "a.png")], tmp_path / "b.png", made=lambda _: [tmp_path / "b.png"]
    ).pictures
    assert made_before(picture, options) == {tmp_path / "b.png"}
    assert made_before(picture, UpscaleOptions(model=str(tiny_model), seed=1)) == set()
    smooth(seed=1).save(tmp_path / "a.png")
    assert made_before(picture, options) == set()
    assert (is_result(tmp_path / "b.png"), is_result(tmp_path / "a.png")) == (True, False)


def test_a_map_that_cannot_say_is_known_by_the_files_beside_it(
    tiny_model: Path, tmp_path: Path
) -> None:
    options = UpscaleOptions(model=str(tiny_model), samples=2)
    smooth().save(tmp_path / "a.png")
    map_, output = tmp_path / "b_uncertainty.npy", tmp_path / "b.png"

    def made(samples: int = 0) -> set[str]:
        (picture,) = plan_pictures(
            [str(tmp_path / "a.png")],
            output,
            samples=samples,
            uncertainty=True,
            map_suffix=".npy",
            made=lambda picture: picture.outputs,
        ).pictures
        return {path.name for path in made_before(picture, options)}

    map_.touch()
    assert made() == set()
    result_of(tmp_path / "a.png", output, options)
    assert made() == {output.name, map_.name}
    map_.unlink()
    assert made() == {output.name}
    map_.touch()
    assert made(samples=2) == {output.name}  # of other samples, maybe
    (tmp_path / "b_1.png").touch()
    assert made() == {output.name}
    result_of(tmp_path / "a.png", output, replace(options, seed=1))
    assert made() == set()


def test_bytes_and_file_say_the_same(tiny_model: Path, tmp_path: Path) -> None:
    options = UpscaleOptions(model=str(tiny_model))
    smooth().save(tmp_path / "a.png")
    (on_disk,) = plan_pictures([str(tmp_path / "a.png")], tmp_path / "out").pictures
    (in_memory,) = plan_in_memory((tmp_path / "a.png").read_bytes()).pictures
    assert list(provenance(on_disk, options).values()) == list(
        provenance(in_memory, options).values()
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("kind", ["pipe", "device", "endless"])
def test_what_is_no_file_of_a_picture_is_not_read_to_its_end(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    """Though a result that could be its own exists."""
    (tmp_path / "out").mkdir()
    smooth().save(tmp_path / "out/a.png")
    path = tmp_path / "a.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(2**34)  # of which nothing is on the disk
    options = UpscaleOptions(model=str(tiny_model))
    plan = plan_pictures(
        [str(path)], tmp_path / "out", made=lambda picture: made_before(picture, options)
    )
    assert plan.pictures == []
    ((_, error),) = plan.failures
    assert ("more than 1,073,741,824 bytes" if kind == "endless" else "a pipe or a device") in error


def test_a_picture_that_is_gone_is_said_to_be(tiny_model: Path, tmp_path: Path) -> None:
    (picture,) = plan_pictures([str(tmp_path / "a.png")], tmp_path / "out").pictures
    with pytest.raises(PictureError, match=r"a\.png' does not exist"):
        made_before(picture, UpscaleOptions(model=str(tiny_model)))


@pytest.mark.parametrize("suffix", sorted(set(WRITE_SUFFIXES) - {".bmp", ".gif", ".jp2", ".npy"}))
def test_results_say_that_they_are_in_every_format(suffix: str, tmp_path: Path) -> None:
    """Small ones, which are searched, and large ones, which are taken apart."""
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    for side in (8, 300):
        picture = Picture((from_pil(Image.fromarray(noise[:side, :side])),))
        write_picture(picture, tmp_path / f"plain{side}{suffix}")
        said = {"software": "sr4 1.0"}
        write_picture(picture, tmp_path / f"said{side}{suffix}", provenance=said)
        assert is_result(tmp_path / f"said{side}{suffix}")
        assert not is_result(tmp_path / f"plain{side}{suffix}")
    assert not is_result(tmp_path / "missing")
