"""What every degradation gives, whichever way it is made."""

from __future__ import annotations

import numpy as np
import pytest

from sr4.degradation import Degradation, DegradationChain, SizedDegradation, resize
from sr4.degradation.protocols import Degrades, near

LOW = (40, 23)  # rows enough for a band with its margin to be less than all of them
DEGRADATIONS: dict[str, Degrades] = {
    "operator": Degradation(3),
    "chain": DegradationChain((Degradation(2), Degradation(3))),
    "sized": SizedDegradation((97, 61), LOW),
}


@pytest.fixture
def low_res() -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((1, 10, 6))
    return np.clip(0.5 * resize(noise, *LOW), -0.9, 0.9).astype(np.float32)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_enlarged_picture_fits(name: str, low_res: np.ndarray) -> None:
    degradation = DEGRADATIONS[name]
    enlarged = degradation.enlarge(low_res)
    assert enlarged.dtype == np.float32
    # To a level of 255; nearly everywhere, where its limits leave it free, as it is.
    off = np.abs(degradation(enlarged) - low_res)
    assert off.max() < 1 / 127.5
    assert np.quantile(off, 0.95) < 1e-4
    # No more than the bicubic picture says: nothing is invented.
    bicubic = np.clip(resize(low_res, *enlarged.shape[-2:]), -1, 1)
    assert np.abs(enlarged - bicubic).mean() < 0.02


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_rows_of_the_enlarged_picture_are_those_of_the_whole(
    name: str, low_res: np.ndarray
) -> None:
    degradation = DEGRADATIONS[name]
    whole = degradation.enlarge(low_res)
    found = []
    for rows in (slice(0, 14), slice(14, 17), slice(17, LOW[0])):
        band = degradation.enlarge(low_res, rows)
        place, _ = degradation.place(rows)
        assert band.shape == (1, place.stop - place.start, whole.shape[2])
        found.append(band)
    off = np.abs(np.concatenate(found, axis=1) - whole)
    assert off.max() < 0.5 / 127.5  # of a level; limits are felt a little farther than the margin
    assert np.quantile(off, 0.95) < 2e-4


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_hard_edge_is_enlarged_without_dots(name: str) -> None:
    """No picture fits it: it stays the bicubic one, which is even on both sides of the edge."""
    degradation = DEGRADATIONS[name]
    height, width = LOW
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - 0.5 * height) ** 2 + (columns - 0.5 * width) ** 2 < (0.35 * height) ** 2
    low_res = np.where(inside, 1.0, -1.0).astype(np.float32)[None]
    found = degradation.enlarge(low_res)
    assert found.min() >= -1
    assert found.max() <= 1
    top, left = (n // 2 for n in found.shape[-2:])
    for line in (found[0, top], found[0, :, left]):  # up, then down again: no dot in between
        steps = np.sign(np.diff(line[np.abs(np.diff(line, prepend=line[0])) > 0.02]))
        assert np.abs(np.diff(steps)).sum() <= 2


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_cut_sees_what_the_whole_sees(name: str, low_res: np.ndarray) -> None:
    degradation = DEGRADATIONS[name]
    high = degradation.enlarge(low_res)
    part, place = degradation.cut(slice(10, 30))
    seen = part(high[..., place[0], place[1]])
    inside = slice(4, 16)  # what lies beyond the cut is felt at its borders
    whole = degradation(high)
    np.testing.assert_allclose(seen[..., inside, :], whole[..., 14:26, :], atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "around", "inside"),
    [
        (slice(None), slice(0, 9), slice(0, 9)),
        (slice(0, 2), slice(0, 5), slice(0, 2)),
        (slice(4, 6), slice(1, 9), slice(3, 5)),
        (slice(7, 9), slice(4, 9), slice(3, 5)),
    ],
)
def test_rows_with_a_margin(rows: slice, around: slice, inside: slice) -> None:
    assert near(rows, 9, 3) == (around, inside)
