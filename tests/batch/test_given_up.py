"""What is said of pixels that a result does not meet."""

from __future__ import annotations

import numpy as np

from sr4.batch.given_up import what_was_given_up


def test_the_share_and_the_place_where_most_of_it_lies() -> None:
    missed = np.zeros((100, 120), bool)
    missed[0, 0] = True
    missed[70:80, 40:50] = True  # in the third row and the second column of places of 32 pixels
    said = what_was_given_up(missed)
    assert said.startswith("0.8% of its pixels could not be met to a level")
    assert "to a level, most of them around (44, 74): the nearest" in said  # (x, y)


def test_a_small_picture_has_no_places() -> None:
    missed = np.zeros((99, 99), bool)
    missed[40:50, 40:50] = True
    assert "could not be met to a level: the nearest" in what_was_given_up(missed)


def test_what_lies_everywhere_has_no_place() -> None:
    said = what_was_given_up(np.ones((100, 120), bool))
    assert said.startswith("100.0% of its pixels could not be met to a level: the nearest result")


def test_few_pixels_of_many_are_counted() -> None:
    missed = np.zeros((100, 100), bool)
    missed[0, :4] = True
    assert what_was_given_up(missed).startswith("4 of its pixels could not be met")
    missed[0, :5] = True
    assert what_was_given_up(missed).startswith("0.1% of its pixels")
