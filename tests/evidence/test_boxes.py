"""The boxes of a JPEG file's coefficients, against its standards."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.evidence.boxes import JpegBoxes, Plane, components_of, means
from sr4.evidence.sets import from_blocks, to_blocks


def plane(seed: int = 0, rows: int = 2, columns: int = 3) -> Plane:
    random = np.random.default_rng(seed)
    levels = random.integers(-4, 5, (rows, columns, 8, 8)).astype(np.int16)
    return Plane.of(levels, random.integers(8, 40, (8, 8)), (1, 1))


def test_components_are_those_of_jfif() -> None:
    """JFIF 1.02, page 3, in levels around 0: of white, black, red and blue."""
    rgb = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]], float)
    pixels = (rgb / 127.5 - 1).T[:, :, None]
    expected = np.array(
        [[127, 0, 0], [-128, 0, 0], [-51.755, -43.028, 127.5], [-98.93, 127.5, -20.734]]
    )
    np.testing.assert_allclose(components_of(pixels, "ycc")[:, :, 0].T, expected, atol=2e-3)
    np.testing.assert_allclose(components_of(pixels, "same")[:, :, 0].T, rgb - 128, atol=1e-12)


def test_means_are_those_of_each_rectangle() -> None:
    pixels = np.arange(2 * 4 * 6, dtype=float).reshape(2, 4, 6)
    found = means(pixels, 2, 3)
    np.testing.assert_allclose(found, [[[4, 7], [16, 19]], [[28, 31], [40, 43]]], rtol=1e-12)
    np.testing.assert_array_equal(means(pixels, 1, 1), pixels)


def test_coefficients_of_the_file_lie_inside_and_others_outside() -> None:
    boxes = plane()
    middle = boxes.levels * boxes.table.astype(np.float64)
    np.testing.assert_allclose(boxes.outside(from_blocks(middle), 0.0), 0, atol=1e-9)
    moved = middle.copy()
    moved[1, 2, 3, 4] += 2.5 * boxes.table[3, 4]  # half a step is inside
    away = from_blocks(np.zeros_like(middle))
    away += from_blocks(moved - middle) * (2 / 2.5)
    np.testing.assert_allclose(boxes.outside(from_blocks(moved), 0.0), away, atol=1e-9)


def test_boxes_of_a_sharpened_picture_hold_what_it_was_before() -> None:
    """A block and its mirror images repeat with a period of 16 pixels, so that a filter multiplies
    each of its coefficients by its gain there.
    """
    before = np.random.default_rng(2).uniform(-60, 60, (8, 8))
    tile = np.block([[before, before[:, ::-1]], [before[::-1], before[::-1, ::-1]]])
    frequency = np.fft.fftfreq(16)
    radius = np.hypot(frequency[:, None], frequency)
    rest = 1 - np.exp(-2 * (np.pi * radius * 0.8) ** 2)

    def sharpened(strength: float) -> NDArray[np.float64]:
        return np.real(np.fft.ifft2(np.fft.fft2(tile) * (1 + strength * rest)))

    def outside(strength: float, colour: Literal["ycc", "same"] = "same") -> float:
        levels = np.rint(to_blocks(sharpened(strength))).astype(np.int16)
        one = Plane.of(levels, np.ones((8, 8)), (1, 1))
        boxes = JpegBoxes((one,) * 3, (16, 16), colour=colour).sharpened()
        of_first = boxes.planes[0].outside(tile, 0.0)
        return float(np.abs(of_first).max())

    assert outside(0.0) < 1e-6  # it need not have been
    assert outside(1.0) < 1e-6
    assert outside(2.0) < 1e-6
    assert outside(2.0, "ycc") < 1e-6
    assert outside(3.0) > 5
    assert outside(-0.5) > 5  # a softened one was no sharper


def test_sharpening_leaves_colours_alone() -> None:
    boxes = JpegBoxes((plane(), plane(1), plane(2)), (16, 24)).sharpened()
    assert [one.share is None for one in boxes.planes] == [False, True, True]
    share = boxes.planes[0].share
    assert share is not None
    assert share[0, 0] == 1
    assert share[7, 7] == pytest.approx(1 / 3, abs=0.01)
    turned = boxes.turned(6).planes[0]
    np.testing.assert_array_equal(turned.share, share)
    every = JpegBoxes((plane(),), (16, 24), colour="same").sharpened()
    assert every.planes[0].share is not None


def test_blocks_of_which_nothing_is_known_leave_everything_open() -> None:
    wider = plane().extended(3, 5)
    assert wider.levels.shape == (3, 5, 8, 8)
    samples = np.random.default_rng(1).uniform(-128, 128, (24, 40))
    found = wider.outside(samples, 0.0)
    assert np.abs(found[:16, :24]).max() > 1
    np.testing.assert_array_equal(found[16:], 0)
    np.testing.assert_array_equal(found[:, 24:], 0)


@pytest.mark.parametrize(("one", "other"), [(2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7)])
def test_a_turn_and_its_inverse_leave_a_plane_as_it_was(one: int, other: int) -> None:
    given = plane()
    turned = given.turned(one)
    assert turned.levels.shape == ((3, 2, 8, 8) if one > 4 else (2, 3, 8, 8))
    assert not np.array_equal(turned.levels, given.levels)
    back = turned.turned(other)
    np.testing.assert_array_equal(back.levels, given.levels)
    np.testing.assert_array_equal(back.table, given.table)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_plane_is_that_of_the_turned_pixels(orientation: int) -> None:
    given = plane()
    pixels = from_blocks(given.levels * given.table.astype(np.float64))
    expected = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].T,
        8: np.rot90(pixels),
    }[orientation]
    turned = given.turned(orientation)
    found = from_blocks(turned.levels * turned.table.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-9)
