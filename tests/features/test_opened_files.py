"""Files and opened pictures in Python: what comes of them is what the command line makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

import sr4
from sr4.errors import PictureError
from sr4.pictures import Picture, read_picture, write_picture
from sr4.upscaling.pipeline import Pipeline

_PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def model(tiny_exported: Path) -> Pipeline:
    pipeline = sr4.load(tiny_exported, backend="onnx")
    assert isinstance(pipeline, Pipeline)
    return pipeline


def phone(tmp_path: Path, suffix: str) -> Path:
    """A photograph as a phone leaves it, on its side."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "a phone"
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(_PIXELS).save(path, exif=exif, icc_profile=ICC, dpi=(72, 72))
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("evidence", ["auto", "none"])
def test_a_file_and_an_opened_picture_are_the_same(
    model: Pipeline, tmp_path: Path, suffix: str, evidence: str
) -> None:
    path = phone(tmp_path, suffix)
    by_path = model.upscale(path, evidence=evidence)
    by_name = model.upscale(str(path), evidence=evidence)
    with Image.open(path) as opened:
        by_pillow = model.upscale(opened, evidence=evidence)
    upright = read_picture(path).frames[0]
    np.testing.assert_array_equal(
        by_path.array, model.upscale(upright, evidence=by_path.evidence).array
    )
    for result in (by_path, by_name, by_pillow):
        assert result.image.size == (48, 80)
        np.testing.assert_array_equal(result.array, by_path.array)
        assert result.evidence.numbers == by_path.evidence.numbers
        for picture in (result.image, *result.samples, result.mean):
            assert picture.info["icc_profile"] == ICC
            assert picture.info["dpi"] == (288, 288)
            assert picture.getexif()[ExifTags.Base.Make] == "a phone"
            assert ExifTags.Base.Orientation not in picture.getexif()


def test_arrays_say_nothing_of_a_file(model: Pipeline) -> None:
    assert model.upscale(_PIXELS).image.info == {}


def test_an_animation_is_no_single_picture(model: Pipeline, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(_PIXELS, k, 0)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="an animation of 3 frames; expected one picture"):
        model.upscale(tmp_path / "a.gif")


@pytest.mark.parametrize("scale", [None, 2.5])
def test_pixels_without_data_do_not_spread(
    model: Pipeline, tmp_path: Path, scale: float | None
) -> None:
    ramp = np.linspace(0.2, 0.8, 14 * 10, dtype=np.float32).reshape(10, 14)
    holes = np.zeros(ramp.shape, bool)
    holes[4, 6], holes[0, 13] = True, True
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.where(holes, np.float32(-9999), ramp),
        extratags=[(42113, "s", 0, "-9999", True)],
    )
    given = read_picture(tmp_path / "a.tif")
    result = model.upscale(given.frames[0], scale=scale)
    write_picture(Picture((result.raster,), given.metadata), tmp_path / "b.tif")
    found = read_picture(tmp_path / "b.tif").frames[0]
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(found.array.shape, (10, 14), strict=True)
    )
    expected = holes[rows[:, None], columns]
    np.testing.assert_array_equal(found.array == -9999, expected)
    assert found.array[~expected].min() >= 0
    assert found.array[~expected].max() <= 1
    whole = model.upscale(ramp, scale=scale).array
    far = np.abs(columns - 6) > 4  # from the one inside, and the other is in the corner
    far[columns > 8] = False
    assert np.abs(found.array - whole)[:, far].max() < 0.01
