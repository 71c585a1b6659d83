"""Downscaling between any two sizes, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sr4.degradation import (
    Degradation,
    SizedDegradation,
    banded,
    gaussian_matrix,
    resize,
    resize_matrix,
)
from sr4.errors import UsageError
from sr4.evidence.constraint import Constraint
from sr4.evidence.sets import LEVEL, PixelBox

RATIOS = (1.0, 1.01, 1.3, 1.5, 2.0, 3.0, 3.7, 7.3, 11.9)


def picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def pair(ratio: float, low: tuple[int, int] = (31, 23)) -> SizedDegradation:
    return SizedDegradation((round(low[0] * ratio), round(low[1] * ratio * 1.1)), low)


def test_matrices_of_many_sizes_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banded, "_MOST_KEPT", 2**18)
    for size in range(300, 360):
        resize(np.zeros((1, size), np.float32), 1, size + 101)
    assert 1 < len(banded._KEPT) < 30
    held = sum(run.matrix.size for runs in banded._KEPT.values() for run in runs)
    assert 2**17 < held <= 2**18


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("blur", [0.0, 0.7])
def test_all_products_against_dense_matrices(ratio: float, blur: float) -> None:
    d = pair(ratio).blurred(blur)
    a, b = (resize_matrix(high, low) for high, low in zip(d.high, d.low, strict=True))
    if blur:
        a, b = (
            one @ gaussian_matrix(high, blur * high / low)
            for one, high, low in zip((a, b), d.high, d.low, strict=True)
        )
    x, y = picture(3, *d.high), picture(3, *d.low, seed=1)
    np.testing.assert_allclose(d(x), a @ x @ b.T, atol=1e-9)
    np.testing.assert_allclose(d.adjoint(y), a.T @ y @ b, atol=1e-9)
    if not blur:
        want = np.linalg.pinv(a) @ y @ np.linalg.pinv(b).T
        np.testing.assert_allclose(d.pseudo_inverse(y), want, atol=1e-7)


def test_whole_factors_are_those_of_degradation() -> None:
    d, whole = SizedDegradation((120, 92), (30, 23)), Degradation(4)
    x, y = picture(2, 120, 92), picture(2, 30, 23)
    np.testing.assert_allclose(d(x), whole(x), atol=1e-12)
    np.testing.assert_allclose(d.pseudo_inverse(y), whole.pseudo_inverse(y), atol=1e-9)


def test_pillow_downscales_alike() -> None:
    x = picture(97, 61).astype(np.float32)
    with_pillow = Image.fromarray(x).resize((23, 41), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(
        SizedDegradation((97, 61), (41, 23))(x), np.asarray(with_pillow), atol=1e-5
    )


@given(st.floats(1, 9), st.integers(0, 20), st.integers(1, 11), st.sampled_from([0, 0.3, 1.5]))
@settings(deadline=None, max_examples=40)
def test_a_window_sees_what_the_whole_sees(
    ratio: float, start: int, count: int, blur: float
) -> None:
    d = pair(ratio).blurred(blur)
    x = picture(*d.high)
    rows, columns = slice(start, start + count), slice(3, 20)
    window, taken = d.cut(rows, columns)
    np.testing.assert_allclose(window(x[taken]), d(x)[rows, columns], atol=1e-9)
    nested, inside = window.cut(slice(0, count), slice(2, 9))
    np.testing.assert_allclose(nested(x[taken][inside]), d(x)[rows, 5:12], atol=1e-9)
    np.testing.assert_array_equal(
        x[taken][window.place(slice(0, count), slice(0, 17))], x[d.place(rows, columns)]
    )


def test_a_window_whose_outermost_pixels_nothing_sees() -> None:
    """At a ratio of 2 the kernel is 0 at its ends, in a block of one row here."""
    part, _ = SizedDegradation((32, 600), (16, 300)).cut(columns=slice(106, 230))
    low = picture(3, 16, 124)
    assert part.pseudo_inverse(low).shape == (3, 32, 257)
    np.testing.assert_allclose(part(part.pseudo_inverse(low)), low, atol=1e-6)


@pytest.mark.parametrize("ratio", RATIOS)
def test_places_cover_the_picture_once(ratio: float) -> None:
    d = pair(ratio)
    numbers = np.arange(31 * 23).reshape(d.low)
    repeated = d.repeated(numbers)
    assert repeated.shape == d.high
    for row, column in ((0, 0), (7, 3), (30, 22)):
        inside = repeated[d.place(slice(row, row + 1), slice(column, column + 1))]
        assert (inside == numbers[row, column]).all()
        assert inside.size == (repeated == numbers[row, column]).sum() > 0


@pytest.mark.parametrize("ratio", [1.2, 1.5, 3.7])
def test_fit_of_large_pictures_is_met_in_tiles(ratio: float) -> None:
    """More than a tile of `fit`, black and white beside grey, as only several rounds meet."""
    d = pair(ratio, (150, 131))
    truth = np.clip(2 * resize(picture(2, 50, 44, seed=3), *d.high), -1, 1).astype(np.float32)
    low = d(truth)
    found = Constraint(d, PixelBox(low, 0)).fit(np.zeros_like(truth))
    assert np.abs(found).max() <= 1
    off = np.abs(d(found) - low)
    assert off.max() < LEVEL
    assert np.sqrt(np.mean(off**2)) < LEVEL / 8


def test_refusals() -> None:
    with pytest.raises(UsageError, match="downscaling from 20 to 30 pixels"):
        SizedDegradation((20, 60), (30, 30))
    with pytest.raises(UsageError, match="got a blur of 99"):
        SizedDegradation((60, 60), (30, 30), blur=99)
    with pytest.raises(UsageError, match="got a 50x60 high-res size; expected 60x60"):
        SizedDegradation((60, 60), (30, 30))(picture(60, 50))
