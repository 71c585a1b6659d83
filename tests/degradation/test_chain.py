"""Degradations one after the other, against each of them."""

from __future__ import annotations

import numpy as np

from sr4.degradation import Degradation, DegradationChain

CHAIN = DegradationChain((Degradation(2), Degradation(4)))


def test_the_last_one_comes_first() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (3, 48, 64))
    assert CHAIN.scale == 8
    np.testing.assert_array_equal(CHAIN(x), Degradation(2)(Degradation(4)(x)))
    assert np.abs(CHAIN(x) - Degradation(8)(x)).max() > 1e-3  # bicubic steps do not add up


def test_a_pixel_lies_over_those_of_all_scales() -> None:
    assert CHAIN.place(slice(1, 3), slice(2, None)) == (slice(8, 24), slice(16, None))


def test_a_blur_comes_before_the_last_downscaling() -> None:
    assert CHAIN.blurred(0.7).parts == (Degradation(2, 0.7), Degradation(4))


def test_what_it_enlarges_it_gives_back() -> None:
    low = np.random.default_rng(1).uniform(-0.5, 0.5, (3, 6, 8)).astype(np.float32)
    large = CHAIN.enlarge(low)
    assert large.shape == (3, 48, 64)
    np.testing.assert_allclose(CHAIN(large), low, atol=1e-3)
