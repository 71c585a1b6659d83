"""JPEG compression told by pixels alone, whatever tables it had."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.degradation import Degradation, resize
from sr4.evidence.jpeg import pixel_boxes, standard_tables
from sr4.evidence.recognised import Recognised, Unread, earlier_jpeg, recognised_jpeg
from sr4.evidence.sets import LEVEL
from sr4.pictures.pixels import quantise, to_array

Float64 = NDArray[np.float64]

_ORDER = np.add.outer(np.arange(8), np.arange(8))
# As those of mozjpeg grow, of cameras, and of none: of luma and colour.
_TABLES = {
    "steep": (8 * np.exp(_ORDER**2 / 60), 9 * np.exp(_ORDER**2 / 60)),
    "slow": (6 + 0.7 * _ORDER, 7 + 2 * _ORDER),
    "flat": (np.full((8, 8), 12), np.full((8, 8), 15)),
    "uneven": (
        standard_tables(70)[0] * (1 + 0.3 * np.sin(np.arange(64)).reshape(8, 8)),
        standard_tables(90)[1],
    ),
}


def natural(seed: int, edge: int = 512) -> Float64:
    """Noise whose power falls with the square of the frequency, as that of photographs does."""
    random = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(edge), np.fft.rfftfreq(edge)
    spectrum = np.fft.rfft2(random.standard_normal((3, edge, edge)))
    found = np.fft.irfft2(spectrum / (np.hypot(rows[:, None], columns) + 1 / edge), (edge, edge))
    return np.asarray(np.clip(0.4 * found / found.std(), -0.95, 0.95))


def picture(seed: int, edge: int = 640) -> NDArray[np.uint8]:
    return quantise(Degradation(2)(natural(seed, edge)))


def compressed(pixels: NDArray[np.uint8], **options: Any) -> Image.Image:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return Image.open(buffer)


def with_tables(pixels: NDArray[np.uint8], name: str, subsampling: int) -> tuple[Any, Any]:
    """The pixels compressed by tables of ours, and these."""
    tables = [np.clip(np.rint(one), 1, 255).astype(int) for one in _TABLES[name]]
    lists = [one.ravel().tolist() for one in tables]
    return to_array(compressed(pixels, qtables=lists, subsampling=subsampling)), tables


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize("place", [(0, 0), (3, 14)])
@pytest.mark.parametrize(("subsampling", "step"), [(0, (1, 1)), (1, (1, 2)), (2, (2, 2))])
def test_a_jpeg_is_told_by_its_pixels(
    quality: int, place: tuple[int, int], subsampling: int, step: tuple[int, int]
) -> None:
    decoded = to_array(compressed(picture(2), quality=quality, subsampling=subsampling))
    found = recognised_jpeg(decoded[:, place[0] :, place[1] :])
    assert isinstance(found, Recognised)
    assert (found.quality, found.step) == (quality, step)
    assert found.offset == tuple(n % (8 * s) for n, s in zip(place, step, strict=True))
    for table, expected in zip(found.tables, standard_tables(quality), strict=True):
        np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize("name", _TABLES)
@pytest.mark.parametrize(("subsampling", "step"), [(0, (1, 1)), (2, (2, 2))])
def test_the_tables_of_others_are_told_too(
    name: str, subsampling: int, step: tuple[int, int]
) -> None:
    """Those steps of which coefficients are left; the others are not much too narrow."""
    decoded, tables = with_tables(picture(2), name, subsampling)
    found = recognised_jpeg(decoded[:, 5:, 2:])
    assert isinstance(found, Recognised)
    assert (found.step, found.offset) == (step, (5, 2))
    for table, expected in zip(found.tables, tables, strict=True):
        np.testing.assert_array_equal(table[:2, :2], expected[:2, :2])
        assert (table / expected).min() > 0.5
    assert np.mean(found.tables[0] == tables[0]) > 0.6


@pytest.mark.parametrize("name", _TABLES)
def test_what_was_compressed_lies_in_the_boxes_that_are_found(name: str) -> None:
    pixels = picture(3, 256)
    decoded, _ = with_tables(pixels, name, 2)
    found = recognised_jpeg(decoded)
    assert isinstance(found, Recognised)
    boxes = pixel_boxes(decoded, found.tables, found.step, found.offset)
    rest = boxes.rest(to_array(pixels).astype(np.float64)) / LEVEL
    assert np.abs(rest).max() < 3
    assert np.sqrt(np.mean(rest**2)) < 0.6
    another = boxes.rest(to_array(picture(4, 256)).astype(np.float64)) / LEVEL
    assert np.sqrt(np.mean(another**2)) > 10


def test_grey_pictures_have_one_table() -> None:
    lists = [np.rint(_TABLES["slow"][0]).astype(int).ravel().tolist()]
    decoded = to_array(compressed(picture(5)[..., 0], qtables=lists))
    found = recognised_jpeg(decoded[:1])
    assert isinstance(found, Recognised)
    assert found.step == (1, 1)
    np.testing.assert_array_equal(found.tables[0][:4, :4].ravel()[:4], lists[0][:4])


def test_what_was_never_compressed_is_no_jpeg() -> None:
    random = np.random.default_rng(0)
    for unit in (natural(3), random.uniform(-1, 1, (3, 128, 128)), np.zeros((3, 128, 128))):
        assert recognised_jpeg(to_array(quantise(unit))) is None


def test_grids_of_others_are_no_jpeg() -> None:
    """Mosaics have a grid and no steps, smooth enlargements one beside which less is gone, and
    drawings on a grid few different blocks.
    """
    random = np.random.default_rng(0)
    small = random.uniform(-1, 1, (3, 20, 20))
    mosaic = np.repeat(np.repeat(small, 8, axis=1), 8, axis=2)
    assert recognised_jpeg(to_array(quantise(mosaic))) is None
    pixels = Image.fromarray(picture(6, 96)).resize((384, 384), Image.Resampling.BILINEAR)
    assert recognised_jpeg(to_array(pixels)) is None
    glyphs = random.integers(0, 2, (20, 3, 8, 8)) * 2.0 - 1
    text = glyphs[random.integers(0, 20, (16, 16))].transpose(2, 0, 3, 1, 4).reshape(3, 128, 128)
    assert recognised_jpeg(to_array(quantise(text))) is None


def test_a_jpeg_that_was_changed_tells_what_was_taken() -> None:
    """Its steps are not multiples any more."""
    pixels = np.repeat(picture(2)[..., :1], 3, axis=2)
    before, after = (
        255 * (np.asarray(one) / 255) ** 0.8 for one in (pixels, compressed(pixels, quality=50))
    )
    found = recognised_jpeg(to_array(np.rint(after).astype(np.uint8)))
    assert isinstance(found, Unread)
    taken = np.sqrt(np.mean((after - before) ** 2))
    assert 0.4 * taken < found.noise < 1.2 * taken


def test_an_earlier_compression_is_seen_beneath_another() -> None:
    first = np.asarray(compressed(picture(2), quality=50))
    found = earlier_jpeg(to_array(compressed(first, quality=95)), 95)
    assert found is not None
    assert (found.quality, found.step, found.offset) == (50, (2, 2), (0, 0))
    assert earlier_jpeg(to_array(compressed(picture(2), quality=95)), 95) is None
    enlarged = resize(to_array(first).astype(np.float64), 400, 400)
    assert earlier_jpeg(to_array(quantise(enlarged)), 95) is None


@pytest.mark.parametrize("quality", [75, 80, 85, 90, 92, 95])
@pytest.mark.parametrize("kind", ["rows", "rings", "diagonal"])
def test_gradients_show_no_earlier_compression(kind: str, quality: int) -> None:
    """The few coefficients that they have are alike in all blocks, and multiples of many steps."""
    rows, columns = np.mgrid[:192, :256].astype(float)
    distance = np.hypot(columns - 128, rows - 96)
    colours = {
        "rows": (40 + 0.9 * rows, 90 + 0.7 * rows, 200 + 0.25 * rows),
        "rings": (220 - 1.2 * distance, 220 - 0.9 * distance, 220 - 0.4 * distance),
        "diagonal": ((rows + columns) / 2, 60 + columns / 3, 120 + rows / 3),
    }
    drawn = np.stack(colours[kind], axis=-1).clip(0, 255).astype(np.uint8)
    assert earlier_jpeg(to_array(compressed(drawn, quality=quality)), quality) is None
