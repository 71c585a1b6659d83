"""How training pictures are cropped and changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sr4.data.augmentation import Augmentation

Pixels = NDArray[np.uint8]


def smooth(size: int = 48, channels: int = 3) -> Pixels:
    """A picture whose values follow from the place: waves of their own in each channel."""
    y, x = np.mgrid[:size, :size] / size
    planes = [127 + 100 * np.sin(2 * np.pi * (x + (c + 1) * y / 2)) for c in range(channels)]
    return np.rint(np.stack(planes, axis=2)).astype(np.uint8)


def changed(pixels: Pixels, size: int, seed: int = 0, **settings: float) -> Pixels:
    settings = {"share": 1, "rotation": 0, "zoom": 1, "shift": 0} | settings
    return Augmentation(flip=False, **settings)(pixels, size, np.random.default_rng(seed))


def draws(seed: int) -> NDArray[np.float64]:
    """What decides the change: turn, zoom, shift to the right, shift down."""
    return np.random.default_rng(seed).random(8)[4:]


def test_a_change_of_nothing_is_the_crop() -> None:
    for size in (48, 24):
        for seed in range(5):
            plain = changed(smooth(), size, seed, share=0)
            assert plain.shape == (size, size, 3)
            np.testing.assert_array_equal(changed(smooth(), size, seed), plain)


def test_half_are_mirrored_and_nothing_else_changes() -> None:
    mirrored = 0
    for seed in range(400):
        one, other = (
            Augmentation(flip)(smooth(), 24, np.random.default_rng(seed)) for flip in (True, False)
        )
        is_mirrored = not np.array_equal(one, other)
        mirrored += is_mirrored
        np.testing.assert_array_equal(one[:, ::-1] if is_mirrored else one, other)
    assert 160 <= mirrored <= 240


def test_the_share_of_the_pictures_that_change() -> None:
    plain = smooth()
    count = sum(
        not np.array_equal(changed(plain, 48, seed, share=0.3, rotation=45), plain)
        for seed in range(400)
    )
    assert 90 <= count <= 150


def test_pictures_are_turned_about_their_centre() -> None:
    """Against the waves at the turned places, away from the borders."""
    size = 48
    for seed in range(4):
        angle = np.radians(40 * (2 * draws(seed)[0] - 1))
        y, x = np.mgrid[:size, :size] + 0.5 - size / 2
        there_x = (x * np.cos(angle) + y * np.sin(angle) + size / 2 - 0.5) / size
        there_y = (y * np.cos(angle) - x * np.sin(angle) + size / 2 - 0.5) / size
        expected = 127 + 100 * np.sin(2 * np.pi * (there_x + there_y / 2))
        found = changed(smooth(), size, seed, rotation=40)[:, :, 0]
        inner = np.hypot(x, y) < size / 2 - 3
        np.testing.assert_allclose(found[inner], expected[inner], atol=2.5)


def test_pictures_are_enlarged_and_moved() -> None:
    size = 48
    for seed in range(4):
        _, zoom, right, down = draws(seed)
        zoom = 2**zoom
        y, x = np.mgrid[:size, :size] + 0.5 - size / 2
        right, down = (0.1 * size * (2 * one - 1) for one in (right, down))
        there_x = (x / zoom - right + size / 2 - 0.5) / size
        there_y = (y / zoom - down + size / 2 - 0.5) / size
        expected = 127 + 100 * np.sin(2 * np.pi * (there_x + there_y / 2))
        found = changed(smooth(), size, seed, zoom=2, shift=0.1)[:, :, 0]
        inner = (np.minimum(there_x, there_y) > 0.08) & (np.maximum(there_x, there_y) < 0.9)
        assert inner.mean() > 0.3
        np.testing.assert_allclose(found[inner], expected[inner], atol=2.5)


def test_borders_are_mirror_images() -> None:
    flat = np.full((32, 32, 1), 77, np.uint8)
    for seed in range(10):
        np.testing.assert_array_equal(changed(flat, 32, seed, rotation=180, shift=0.5), flat)


def test_any_number_of_channels() -> None:
    for channels in (1, 3, 5):
        assert changed(smooth(channels=channels), 24, rotation=10).shape == (24, 24, channels)
