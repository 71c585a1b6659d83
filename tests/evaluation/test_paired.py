"""Whether differences are chance: exact values, and stated rates of error by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from sr4.evaluation.paired import FLIPS, SIGNIFICANT, holm, p_values

PICTURES = 25


def test_few_pictures_give_the_chances_of_all_flips() -> None:
    """Of 2^N flips, those that reach the sum: counted by hand."""
    three = p_values(np.array([[1.0], [2.0], [3.0]]))  # 6 only by all signs alike: 2 of 8
    assert three == pytest.approx([2 / 8], abs=0.01)
    ten = p_values(np.full((10, 1), 0.3))
    assert ten == pytest.approx([2 / 1024], abs=0.001)
    mixed = p_values(np.array([[3.0], [-1.0]]))  # |2|: all four flips have 2 or 4
    assert mixed == pytest.approx([1.0])


def test_no_difference_is_certain_chance() -> None:
    assert p_values(np.zeros((8, 2))).tolist() == [1.0, 1.0]
    assert p_values(np.array([[5.0]])).tolist() == [1.0]  # one picture says nothing


def test_the_sign_and_the_unit_do_not_matter() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, (PICTURES, 1))
    expected = p_values(differences)
    np.testing.assert_array_equal(p_values(-differences), expected)
    np.testing.assert_array_equal(p_values(1e-5 * differences), expected)
    np.testing.assert_array_equal(p_values(np.repeat(differences, 2, axis=1)), [expected[0]] * 2)


def equal(trials: int, seed: int) -> np.ndarray:
    """Differences of systems that are equal: skewed scores, exchangeable."""
    rng = np.random.default_rng(seed)
    return np.asarray(np.subtract(*rng.exponential(size=(2, PICTURES, trials))))


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_equal_systems_differ_as_often_as_stated(level: float) -> None:
    trials = 4000
    found = (p_values(equal(trials, 1)) <= level).mean()
    assert abs(found - level) < 3.5 * np.sqrt(level * (1 - level) / trials)


def test_of_many_comparisons_of_equal_systems_one_is_clear_in_5_percent() -> None:
    families = p_values(equal(4000, 2)).reshape(400, 10)
    wrong = np.mean([(holm(one) < SIGNIFICANT).any() for one in families])
    assert wrong < SIGNIFICANT + 3 * np.sqrt(SIGNIFICANT * (1 - SIGNIFICANT) / 400)
    assert np.mean([(one < SIGNIFICANT).any() for one in families]) > 0.25  # uncorrected


def test_what_differs_is_found() -> None:
    """Half a deviation, over 100 pictures, in one of ten comparisons: nearly always."""
    differences = np.random.default_rng(3).normal(size=(100, 10))
    differences[:, 4] += 0.5
    assert np.flatnonzero(holm(p_values(differences)) < SIGNIFICANT).tolist() == [4]


def test_holm_corrects_step_by_step() -> None:
    # Worked by hand: 3 x 0.01, then 2 x 0.02, then the larger of 0.04 and 0.03.
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == pytest.approx([0.2])
    least = 1 / (1 + FLIPS)
    assert holm([least] * 100).max() < SIGNIFICANT  # 100 comparisons can be told
