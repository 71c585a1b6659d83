"""The colours of uncertainty maps, and what is said of them."""

from __future__ import annotations

import numpy as np

from sr4.plots.heatmap import FULL_SCALE, colours, heatmap, legend_of


def lightness() -> np.ndarray:
    """CIE L* of the 256 colours under sRGB."""
    srgb = colours() / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


def test_lightness_rises_evenly() -> None:
    steps = np.diff(lightness())
    assert lightness()[0] < 1
    assert lightness()[-1] > 97
    assert (steps > 0).all()
    assert steps.max() < 3 * steps.mean()


def test_levels_map_to_their_share_of_full_scale() -> None:
    uncertainty = np.array([[0, FULL_SCALE / 2], [FULL_SCALE, 1]], np.float32)
    pixels = np.asarray(heatmap(uncertainty))
    assert pixels[0, 0].tolist() == colours()[0].tolist() == [0, 0, 4]
    assert pixels[0, 1].tolist() == colours()[128].tolist()
    assert pixels[1, 0].tolist() == pixels[1, 1].tolist() == [252, 255, 164]


def test_a_map_without_a_calibration_says_so() -> None:
    found = legend_of(None)
    assert not found.is_calibrated
    assert found.most == 32
    assert "not calibrated" in found.shows
