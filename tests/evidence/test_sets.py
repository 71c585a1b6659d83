"""The convex sets: projections that are projections, and windows that agree with the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr4.evidence.boxes import JpegBoxes, Plane
from sr4.evidence.jpeg import standard_tables
from sr4.evidence.sets import (
    ConvexSet,
    NoiseBox,
    PaddedSet,
    PixelBox,
    dct_matrix,
    from_blocks,
    to_blocks,
)

Float64 = NDArray[np.float64]
SIZE = (32, 48)


def noise(*shape: int, seed: int = 0) -> Float64:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, shape)


def jpeg_boxes(
    step: tuple[int, int] = (2, 2),
    size: tuple[int, int] = SIZE,
    offset: tuple[int, int] = (0, 0),
    seed: int = 0,
) -> JpegBoxes:
    random = np.random.default_rng(seed)
    planes = []
    for number, each in enumerate([(1, 1), step, step]):
        units = [
            -(-(side + before) // (8 * whole)) * whole
            for side, before, whole in zip(size, offset, step, strict=True)
        ]
        blocks = [count // one for count, one in zip(units, each, strict=True)]
        levels = random.integers(-2, 3, (*blocks, 8, 8)).astype(np.int16)
        planes.append(Plane.of(levels, standard_tables(70)[min(number, 1)], each))
    return JpegBoxes(tuple(planes), size, offset)


SETS: dict[str, ConvexSet] = {
    "pixels": PixelBox(noise(3, *SIZE, seed=1).astype(np.float32), 0.05),
    "point": PixelBox(noise(3, *SIZE, seed=1).astype(np.float32), 0.0),
    "noise": NoiseBox(noise(3, *SIZE, seed=1).astype(np.float32), 0.05),
    "jpeg": jpeg_boxes(),
    "jpeg 4:4:4": jpeg_boxes((1, 1)),
    "jpeg 4:2:2": jpeg_boxes((1, 2)),
}


def measured(one: ConvexSet, y: Float64) -> Float64:
    """y in coordinates in which the projection is the nearest point: components for JPEG."""
    if not isinstance(one, JpegBoxes):
        return y
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5]])
    matrix = np.vstack([matrix, [0.5, -0.418687589, -0.081312411]])
    return np.einsum("dc,...chw->...dhw", matrix, y)


@pytest.mark.parametrize("name", SETS)
def test_projections_are_idempotent_and_never_expand(name: str) -> None:
    one = SETS[name]
    for seed in range(4):
        x, y = noise(3, *SIZE, seed=10 + seed), noise(3, *SIZE, seed=20 + seed)
        p, q = one.project(x), one.project(y)
        np.testing.assert_allclose(one.project(p), p, atol=1e-12)
        before, after = np.linalg.norm(measured(one, x - y)), np.linalg.norm(measured(one, p - q))
        assert after <= before * (1 + 1e-12)
        # The obtuse angle that makes p the nearest point (Hilbert's projection theorem).
        turned = measured(one, x - p).ravel() @ measured(one, q - p).ravel()
        assert turned <= 1e-9


@pytest.mark.parametrize("name", SETS)
def test_torch_and_batches_give_what_numpy_gives(name: str) -> None:
    one, y = SETS[name], noise(2, 3, *SIZE).astype(np.float32)
    expected = np.stack([one.project(picture) for picture in y])
    got = one.project(torch.from_numpy(y))
    assert isinstance(got, torch.Tensor)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(one.project(y), expected, atol=1e-5)
    got_rest = one.rest(torch.from_numpy(y)).numpy()
    np.testing.assert_allclose(got_rest, one.rest(y), atol=1e-5)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("rows", [(0, 10), (7, 20), (17, 32), (0, 32)])
def test_rows_of_whole_blocks_are_those_of_the_whole(name: str, rows: tuple[int, int]) -> None:
    one, y = SETS[name], noise(3, *SIZE)
    start, stop = one.around(*rows)
    assert start <= rows[0]
    assert stop >= rows[1]
    got = one.cut(slice(start, stop)).project(y[:, start:stop])
    np.testing.assert_allclose(got, one.project(y)[:, start:stop], atol=1e-12)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("columns", [(0, 9), (13, 30), (0, 48)])
def test_parts_of_whole_blocks_are_those_of_the_whole(name: str, columns: tuple[int, int]) -> None:
    one, y = SETS[name], noise(3, *SIZE)
    rows, across = slice(*one.around(7, 20)), slice(*one.around(*columns, -1))
    assert across.start <= columns[0]
    assert across.stop >= columns[1]
    got = one.cut(rows, across).project(y[:, rows, across])
    np.testing.assert_allclose(got, one.project(y)[:, rows, across], atol=1e-12)
    again = one.cut(rows).cut(slice(None), across)
    np.testing.assert_array_equal(again.project(y[:, rows, across]), got)


def test_rows_that_cut_blocks_leave_these_alone() -> None:
    one, y = jpeg_boxes(), noise(3, *SIZE)
    got = one.cut(slice(4, 20)).project(y[:, 4:20])
    np.testing.assert_array_equal(got, y[:, 4:20])  # 16 rows to a unit: none is whole
    got = one.cut(slice(0, 20)).project(y[:, :20])
    np.testing.assert_allclose(got[:, :16], one.project(y)[:, :16], atol=1e-12)
    np.testing.assert_array_equal(got[:, 16:], y[:, 16:20])
    got = one.cut(slice(0, 32), slice(4, 20)).project(y[:, :, 4:20])
    np.testing.assert_array_equal(got, y[:, :, 4:20])


def test_the_dct_is_orthonormal_and_that_of_the_standard() -> None:
    np.testing.assert_allclose(dct_matrix() @ dct_matrix().T, np.eye(8), atol=1e-15)
    y = noise(8, 16)
    np.testing.assert_allclose(from_blocks(to_blocks(y)), y, atol=1e-14)
    u, v, x = 3, 5, np.arange(8)  # T.81, A.3.3, for one coefficient
    basis = np.outer(np.cos((2 * x + 1) * u * np.pi / 16), np.cos((2 * x + 1) * v * np.pi / 16))
    np.testing.assert_allclose(to_blocks(y)[0, 1, u, v], (basis * y[:, 8:]).sum() / 4)


@pytest.mark.parametrize("size", [(17, 33), (30, 41), (16, 40)])
@pytest.mark.parametrize("offset", [(0, 0), (3, 6)])
def test_cut_blocks_allow_whatever_lies_behind_the_border(
    size: tuple[int, int], offset: tuple[int, int]
) -> None:
    """The upper left of any picture of the whole set belongs to the set of the cut one."""
    units = [-(-(side + before) // 16) * 16 for side, before in zip(size, offset, strict=True)]
    whole = jpeg_boxes(size=(units[0], units[1]))
    cut = JpegBoxes(whole.planes, size, offset)
    inside = whole.project(noise(3, *units))
    (top, left), (height, width) = offset, size
    y = inside[:, top : top + height, left : left + width]
    free = noise(3, *size, seed=1)
    assert np.abs(cut.project(y) - y).max() < 0.05 * np.abs(cut.project(free) - free).max()
    for _ in range(30):  # alternating: the set is reached in the limit
        free = cut.project(free)
    assert np.abs(cut.project(free) - free).max() < 0.02


def test_a_padded_set_continues_with_given_pixels() -> None:
    y, padded = noise(3, 40, 56), noise(3, 40, 56, seed=1).astype(np.float32)
    inner = PixelBox(padded[:, :32, :48], 0.1)
    one = PaddedSet(inner, (32, 48), padded)
    got = one.project(y)
    np.testing.assert_allclose(got[:, :32, :48], inner.project(y[:, :32, :48]))
    np.testing.assert_array_equal(got[:, 32:], padded[:, 32:])
    np.testing.assert_array_equal(got[:, :, 48:], padded[:, :, 48:])
    for start, stop in ((0, 8), (24, 36), (33, 40)):
        np.testing.assert_array_equal(
            one.cut(slice(start, stop)).project(y[:, start:stop]), got[:, start:stop]
        )
        np.testing.assert_array_equal(
            one.cut(slice(20, 40), slice(start, stop + 12)).project(y[:, 20:, start : stop + 12]),
            got[:, 20:, start : stop + 12],
        )


def test_noise_of_the_deviation_given_stays_inside() -> None:
    random = np.random.default_rng(0)
    clean = np.zeros((1, 256, 256))
    noisy = (clean + 0.04 * random.standard_normal(clean.shape)).astype(np.float32)
    one: Any = NoiseBox(noisy, 3 * 0.04)
    away = to_blocks(noisy - clean)
    assert np.mean(np.abs(away) > 0.12) == pytest.approx(0.0027, abs=0.001)  # of a normal one
    assert np.sqrt(np.mean(one.rest(clean) ** 2)) < 0.05 * 0.04
    shifted = one.rest(clean + 0.04)  # a mean that is off by one deviation is seen
    assert np.sqrt(np.mean(shifted**2)) > 0.5 * 0.04
