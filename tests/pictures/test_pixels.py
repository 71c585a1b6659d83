"""Between 8-bit pixels and the values of models: exact both ways."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import PictureError
from sr4.pictures.pixels import quantise, shown, to_array, to_image


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


PICTURE = Image.fromarray(noise(24, 20))


def test_other_numbers_of_channels_are_shown_by_three_or_one() -> None:
    array = np.arange(24.0).reshape(6, 2, 2)
    for channels, seen in ((1, 1), (2, 1), (3, 3), (6, 3)):
        np.testing.assert_array_equal(shown(array[:channels]), array[:seen])


def test_every_level_survives_the_way_to_models_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    array = to_array(Image.fromarray(levels))
    assert array.shape == (3, 16, 16)
    assert array.dtype == np.float32
    assert array.min() == -1.0
    assert array.max() == 1.0
    assert np.array_equal(quantise(array), levels)
    assert np.array_equal(np.asarray(to_image(array)), levels)


def test_array_values_are_the_nearest_floats() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    exact = levels[:, :, 0].astype(np.float64) / 127.5 - 1
    assert np.array_equal(to_array(levels)[0], exact.astype(np.float32))


def test_arrays_keep_leading_axes_and_the_place_of_each_pixel() -> None:
    pixels = np.stack([noise(5, 7, seed=1), noise(5, 7, seed=2)])
    array = to_array(pixels)
    assert array.shape == (2, 3, 5, 7)
    assert array[1, 2, 3, 4] == np.float32(pixels[1, 3, 4, 2] / 127.5 - 1)
    assert np.array_equal(quantise(array), pixels)


def test_grey_pictures_have_one_channel() -> None:
    grey = Image.fromarray(noise(4, 6)[:, :, 0])
    array = to_array(grey)
    assert array.shape == (1, 4, 6)
    assert to_image(array).mode == "L"
    assert np.array_equal(np.asarray(to_image(array)), np.asarray(grey))


def test_quantise_rounds_and_clips() -> None:
    # Levels 0, 127.4, 127.6, 255, then outside the range.
    values = [-1.0, 127.4 / 127.5 - 1, 127.6 / 127.5 - 1, 1.0, -7.0, 7.0, -np.inf, np.inf]
    result = quantise(np.array(values).reshape(1, 1, -1)).ravel()
    assert result.tolist() == [0, 127, 128, 255, 0, 255, 0, 255]


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(PictureError, match="not a number"):
        quantise(np.array([[[np.nan]]]))
    with pytest.raises(PictureError, match="uint8"):
        to_array(np.zeros((2, 2, 3)))
    with pytest.raises(PictureError, match="RGBA"):
        to_array(Image.new("RGBA", (2, 2)))
    with pytest.raises(PictureError, match="channels"):
        to_image(np.zeros((2, 4, 4)))
