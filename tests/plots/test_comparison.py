"""The comparison picture: its grid, its pixels and its words."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sr4.errors import UsageError
from sr4.plots.comparison import comparison_picture

RED, GREEN = (200, 0, 0), (0, 160, 0)


def plain(colour: tuple[int, int, int], width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def area(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the box around a colour, which fills it."""
    places = np.argwhere(np.all(np.asarray(picture) == colour, axis=-1))
    (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
    height, width = int(bottom - top + 1), int(right - left + 1)
    assert len(places) == height * width
    return int(top), int(left), height, width


def test_pictures_of_a_row_get_one_height_and_keep_their_pixels() -> None:
    small, large = plain(RED, 16, 16), plain(GREEN, 128, 128)
    top_small, left_small, *size_small = area(comparison_picture([{"a": small, "b": large}]), RED)
    top_large, left_large, *size_large = area(comparison_picture([{"a": small, "b": large}]), GREEN)
    assert size_small == size_large == [256, 256]
    assert top_small == top_large
    assert left_large >= left_small + 256


def test_enlarging_repeats_whole_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(32, 16, 3), dtype=np.uint8)
    drawn = np.asarray(comparison_picture([{"x": Image.fromarray(pixels)}]))
    expected = pixels.repeat(8, axis=0).repeat(8, axis=1)
    height, width = expected.shape[:2]
    windows = (
        drawn[top : top + height, left : left + width]
        for top in range(drawn.shape[0] - height + 1)
        for left in range(drawn.shape[1] - width + 1)
    )
    assert any(np.array_equal(window, expected) for window in windows)


def test_rows_lie_below_each_other_and_columns_above_each_other() -> None:
    rows = [{"x": plain(RED, 64, 64)}, {"x": plain(GREEN, 32, 64)}]
    picture = comparison_picture(rows, captions=[{"x": "first"}])
    top_first, left_first, height, _ = area(picture, RED)
    top_second, left_second, *_ = area(picture, GREEN)
    assert top_second > top_first + height
    assert left_second == left_first + 64  # the narrow one in the middle of its column


def ink(picture: Image.Image, rows: slice) -> int:
    return int((np.asarray(picture.convert("L"))[rows] < 140).sum())


def test_labels_and_captions_are_drawn_inside_the_picture() -> None:
    square = plain(GREEN, 64, 64)
    silent = comparison_picture([{" ": square}])
    labelled = comparison_picture([{"bicubic": square}])
    top, _, height, _ = area(labelled, GREEN)
    assert ink(silent, slice(0, top - 1)) == 0
    assert ink(labelled, slice(0, top - 1)) > 50
    long = comparison_picture([{"a": square}], captions=[{"a": "a very long name " * 20}])
    below = slice(top + height + 1, None)
    assert ink(long, below) > 50
    assert np.all(np.asarray(long)[:, [0, -1]] == 255)  # shortened, not cut by the edge


def test_grey_and_transparent_pictures_become_rgb() -> None:
    picture = comparison_picture([{"a": Image.new("L", (8, 8)), "b": Image.new("RGBA", (8, 8))}])
    assert picture.mode == "RGB"


def test_rows_with_other_columns_are_refused() -> None:
    with pytest.raises(UsageError, match="columns b; expected those of the first row: a"):
        comparison_picture([{"a": plain(RED, 8, 8)}, {"b": plain(RED, 8, 8)}])
    with pytest.raises(UsageError, match="no pictures"):
        comparison_picture([])


def test_a_name_of_several_lines_is_written_in_one() -> None:
    one, other = (comparison_picture([{name: plain(RED, 64, 64)}]) for name in ("a\n b", "a b"))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
