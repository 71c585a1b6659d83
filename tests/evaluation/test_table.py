"""The table of metrics, and what single pictures are scored by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.evaluation.observed import Observed
from sr4.evaluation.set_words import Compared
from sr4.evaluation.table import FIELDS, METRICS, OF_PICTURES, OF_SETS

SCALE = 4
SCORE = {metric.field: metric for metric in OF_PICTURES}
DISTANCE = {metric.field: metric for metric in OF_SETS}


def observed(channels: int = 3, draws: int = 1, border: int = 0) -> Observed:
    """Three grey pictures of 128, and results that are a level brighter with each draw."""
    truths = np.full((3, 32, 32, channels), 128, np.uint8)
    results = [truths + np.uint8(1 + number) for number in range(draws)]
    low_res = np.full((3, 8, 8, channels), 128, np.uint8)
    return Observed(truths, results, low_res, Degradation(SCALE), border)


def test_names_and_titles_are_unique() -> None:
    assert len({metric.field for metric in METRICS}) == len(METRICS) == len(FIELDS)
    assert len({metric.title for metric in METRICS}) == len(METRICS)
    assert len(OF_PICTURES) + len(OF_SETS) == len(METRICS)


def test_known_scores() -> None:
    """One level of 255 everywhere: PSNR 20 log10(255) dB; of Y, whose range is 219 levels, 20
    log10(255 * 255 / 219); D of a constant is that constant.
    """
    seen = observed()
    scores = {one.field: one.of(seen) for one in OF_PICTURES}
    found = {field: score[0] for field, score in scores.items() if score is not None}
    assert found["psnr"] == pytest.approx(20 * np.log10(255))
    assert found["psnr_luma"] == pytest.approx(20 * np.log10(255 * 255 / 219), rel=1e-4)
    assert found["consistency"] == pytest.approx(1e5 / 255**2)
    assert found["colour_drift"] == pytest.approx(1)
    assert found["ssim"] == pytest.approx(found["ssim_luma"], abs=1e-3)
    absent = {field for field, score in scores.items() if score is None}
    of_intervals = {one for one in scores if one.startswith("coverage_")} | {"spread_rank"}
    assert absent == {"psnr_mean", "psnr_luma_mean", "perceptual", "diversity"} | of_intervals


def test_scores_of_several_draws() -> None:
    """Of draws 1, 2 and 3 levels off the mean is 2 levels off, and the deviation is 1 level."""
    seen = observed(draws=3)
    mean, diversity = SCORE["psnr_mean"].of(seen), SCORE["diversity"].of(seen)
    assert mean is not None
    assert diversity is not None
    np.testing.assert_allclose(mean, 20 * np.log10(255 / 2))
    np.testing.assert_allclose(diversity, 1)
    assert SCORE["psnr"].of(seen) == pytest.approx([20 * np.log10(255)] * 3)  # of the first


def test_other_channels_have_no_luma() -> None:
    seen = observed(channels=4)
    absent = {one.field for one in OF_PICTURES if one.of(seen) is None}
    assert {"psnr_luma", "ssim_luma", "perceptual"} <= absent
    assert not {"psnr", "ssim", "consistency"} & absent


def test_the_border_is_left_out() -> None:
    seen = observed(border=2)
    seen.results[:, :2] = 0
    assert SCORE["psnr"].of(seen) == pytest.approx([20 * np.log10(255)] * 3)
    with pytest.raises(UsageError, match=r"border of 11 .* 32x32"):
        SCORE["psnr"].of(observed(border=11))


def test_protocols_say_what_the_sets_hold() -> None:
    kernel: Any = DISTANCE["kid_efflite0"].protocol
    assert "over 40 pictures" in kernel(Compared(40, 40, None))
    assert "over 40 patches of 64x64" in kernel(Compared(2, 40, 64))


def test_a_frechet_distance_of_few_pictures_has_a_caution() -> None:
    assert "kid_efflite0" in str(DISTANCE["fd_efflite0"].caution(Compared(64, 64, None), 1280))
    assert DISTANCE["fd_efflite0"].caution(Compared(9, 5000, 64), 1280) is None


@pytest.mark.parametrize("field", ["kid_efflite0", "kid"])
def test_a_kernel_distance_of_few_pictures_has_a_caution(field: str) -> None:
    caution = DISTANCE[field].caution
    assert "a kernel distance of 8 may lie far off" in str(caution(Compared(8, 8, None), 1280))
    assert "that of 5 pictures, whatever" in str(caution(Compared(5, 900, 64), 1280))
    assert caution(Compared(100, 100, None), 1280) is None
