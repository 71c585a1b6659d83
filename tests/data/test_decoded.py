"""Pictures of a source: their channels, and all of their levels where a range is declared."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sr4.data.decoded import decoded, raster_of
from sr4.data.sources import open_source, open_sources
from sr4.errors import BadPictureError, PictureError

RANGE = (0.0, 10_000.0)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def tiff(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", planarconfig="contig")
    return buffer.getvalue()


def reflectance(channels: int, low: int = 0, high: int = 10_000) -> np.ndarray:
    """uint16 (48, 48, channels) with some 2,304 levels."""
    levels = np.linspace(low, high, 48 * 48 * channels).round().astype(np.uint16)
    return levels.reshape(48, 48, channels)


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize("encode", [npy, tiff])
def test_all_levels_of_a_declared_range_are_kept(channels: int, encode: object) -> None:
    given = reflectance(channels)
    data = encode(given if channels > 1 else given[:, :, 0])  # type: ignore[operator]
    found = decoded(data, "a", channels, RANGE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, given / 5000 - 1, atol=1e-6)
    np.testing.assert_array_equal(np.rint((found.astype(float) + 1) * 5000), given)


def test_without_a_range_8_bits_are_those_of_the_whole_type() -> None:
    shallow = decoded(npy(reflectance(4)), "a", 4, None)
    assert shallow.dtype == np.uint8
    assert len(np.unique(shallow)) == 40


def test_no_picture_is_stretched_by_its_own_extremes() -> None:
    dark, light = reflectance(3, 0, 1000), reflectance(3, 4000, 10_000)
    for dtype in (np.uint16, np.int32, np.float32):
        for given in (dark, light):
            found = decoded(npy(given.astype(dtype)), "a", 3, RANGE)
            np.testing.assert_allclose(found, given / 5000 - 1, atol=1e-6)


def test_what_lies_beyond_counts_as_black_or_white() -> None:
    given = np.array([-50, 0, 10_000, 12_345], np.int32).reshape(2, 2, 1)
    found = decoded(npy(given), "a", 1, RANGE)
    assert found.ravel().tolist() == [-1, -1, 1, 1]


def test_numbers_that_cannot_hold_the_range_are_refused() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    with pytest.raises(PictureError, match=r"got a picture of uint8 for a model of values from 0 "):
        decoded(buffer.getvalue(), "a", 3, RANGE)


def test_alpha_is_a_band_where_the_model_has_one_for_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG")
    raster = raster_of(buffer.getvalue(), "a", 4)
    assert (raster.colour, raster.alpha) == ("bands", None)
    np.testing.assert_array_equal(raster.pixels, pixels)
    np.testing.assert_array_equal(decoded(buffer.getvalue(), "a", 4, None), pixels)
    with pytest.raises(PictureError, match="'a' has 4 channels; expected 5"):
        decoded(buffer.getvalue(), "a", 5, None)


def test_a_source_knows_its_range(tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        np.save(folder / f"{number}.npy", reflectance(4, 0, 1000 * (number + 1)))
    source = open_source(tmp_path / "0", 4, RANGE)
    assert source.read(0).max() == np.float32(1000 / 5000 - 1)
    assert source.numbers(0).dtype == np.uint16
    joined = open_sources([tmp_path / "0", tmp_path / "1"], 4, RANGE)
    assert [float(joined.read(n).max()) for n in (0, 1)] == pytest.approx([-0.8, -0.6])
    np.save(tmp_path / "0" / "0.npy", reflectance(5))
    with pytest.raises(BadPictureError, match="has 5 channels; expected 4"):
        source.read(0)
