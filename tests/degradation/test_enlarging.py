"""Alpha and the like, enlarged: soft shadows, thin lines, jagged edges, against truths drawn
larger.
"""

from __future__ import annotations

import numpy as np
import pytest

from sr4.degradation import Degradation, SizedDegradation, resize
from sr4.degradation.enlarging import of_nearest_four
from sr4.degradation.fit import fit

D = Degradation(4)
LEVEL = 1 / 127.5


def blurred(x: np.ndarray, deviation: float) -> np.ndarray:
    reach = int(4 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    for axis in (0, 1):
        padded = np.pad(x, [(reach, reach) if one == axis else (0, 0) for one in (0, 1)], "edge")
        x = np.apply_along_axis(np.convolve, axis, padded, kernel / kernel.sum(), "valid")
    return x


def button() -> np.ndarray:
    """Alpha of a box with round corners and a soft shadow, (192, 256) in [-1, 1]."""
    y, x = np.mgrid[:192, :256] + 0.5

    def box(down: float) -> np.ndarray:
        outside = np.stack([np.abs(x - 128) - 60, np.abs(y - 90 - down) - 30])
        return np.clip(20.5 - np.hypot(*np.maximum(outside, 0)), 0, 1)

    shadow = 0.45 * blurred(box(12), 10)
    body = box(0)
    return 2 * (body + shadow * (1 - body)) - 1


def low_of(truth: np.ndarray) -> np.ndarray:
    """As renderers draw it: the mean of the area of a pixel, in 8 bits. (1, h, w)."""
    height, width = truth.shape
    means = truth.reshape(height // 4, 4, width // 4, 4).mean((1, 3))
    return (np.rint((means + 1) * 127.5) / 127.5 - 1).astype(np.float32)[None]


def test_a_shadow_does_not_swing_beside_an_edge() -> None:
    ramp = np.array([0, 10, 25, 45, 70, 96, 255, 255, 255, 255, 255, 255]) / 127.5 - 1
    low = np.broadcast_to(ramp, (1, 12, 12)).astype(np.float32)
    row = D.enlarge(low)[0, 24]
    assert np.diff(row).min() > -2 * LEVEL
    swinging = fit(D, np.clip(D.upsample(low), -1, 1), low)[0, 24]
    assert np.diff(swinging).min() < -20 * LEVEL


def test_a_button_with_a_shadow_is_nearer_to_the_truth() -> None:
    truth = button()
    low = low_of(truth)
    bicubic = np.clip(D.upsample(low), -1, 1)
    found = D.enlarge(low)
    off, off_free, off_bicubic = (
        np.sqrt(np.mean((one[0] - truth) ** 2)) for one in (found, fit(D, bicubic, low), bicubic)
    )
    assert off < 0.9 * off_bicubic
    assert off < 0.9 * off_free
    assert np.mean(np.abs(D(found) - low) < 2 * LEVEL) > 0.85


def test_what_is_opaque_or_not_to_be_seen_stays_so() -> None:
    low = low_of(button())
    found = D.enlarge(low)
    around = of_nearest_four(low, D.centres((48, 64)), np.minimum)
    assert (found[around == 1] == 1).all()
    low[:, :, :20] = -1
    assert (D.enlarge(low)[:, :, :76] == -1).all()


def test_a_thin_line_may_be_more_than_its_pixels() -> None:
    low = np.full((1, 12, 12), -1, np.float32)
    low[:, :, 6] = 0.2  # a line of less than a pixel
    found, bicubic = D.enlarge(low), np.clip(D.upsample(low), -1, 1)
    assert found.max() > 0.5 > bicubic.max()
    assert np.abs(D(found) - low).max() < 0.5 * np.abs(D(bicubic) - low).max()


@pytest.mark.parametrize("scale", [2, 4])
def test_a_jagged_edge_is_bicubic(scale: int) -> None:
    y, x = np.mgrid[:24, :24]
    low = np.where(2 * x + 3 * y < 60, 1.0, -1.0).astype(np.float32)[None]
    found = Degradation(scale).enlarge(low)
    bicubic = np.clip(Degradation(scale).upsample(low), -1, 1)
    assert np.abs(found - bicubic).mean() < 0.01
    assert np.abs(found - bicubic).max() < 40 * LEVEL


def test_the_fit_gives_way_little_by_little() -> None:
    """A straight edge, which fits, and one that grows jagged: no step between fit and bicubic."""
    y, x = np.mgrid[:24, :48]
    edge = 12 + np.where(x < 20, 0, (x // 2) % 2)
    low = np.where(y < edge, 1.0, -0.3).astype(np.float32)[None]
    given_way = D.enlarge(low) - np.clip(D.upsample(low), -1, 1)
    across = np.abs(given_way).max(axis=(0, 1)).reshape(48, 4).max(axis=1)
    assert across[:10].min() > 20 * LEVEL
    assert np.abs(np.diff(across[4:30])).max() < 0.75 * across[4:12].max()


def test_the_nearest_four_of_any_ratio() -> None:
    low = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    for degradation in (Degradation(3), SizedDegradation((9, 12), (3, 4))):
        centres = degradation.centres((3, 4))
        least, most = (of_nearest_four(low, centres, one) for one in (np.minimum, np.maximum))
        assert least.shape == most.shape == (1, 9, 12)
        between = resize(low, 9, 12)[0, 2:-2, 2:-2]  # of a plane, bicubic is linear
        assert (least[0, 2:-2, 2:-2] <= between + 1e-5).all()
        assert (between <= most[0, 2:-2, 2:-2] + 1e-5).all()
        assert (most - least).max() == 5  # a row and a column on
    rows, columns = SizedDegradation((10, 7), (4, 5)).cut(slice(1, 3))[0].centres((2, 5))
    assert rows[0] < 0.5 < 1.5 < rows[-1] + 1
    assert len(columns) == 7
