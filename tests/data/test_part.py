"""Parts of a batch: every picture in exactly one, each with its own row of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from sr4.data.part import Part

WHOLE = Part(range(12), 12)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 12])
def test_shares_are_equal_and_hold_every_picture_once(count: int) -> None:
    shares = [WHOLE.share(index, count) for index in range(count)]
    assert {len(one.rows) for one in shares} == {12 // count}
    assert sorted(row for one in shares for row in one.rows) == list(WHOLE.rows)
    drawn = np.arange(12) * 10
    for one in shares:
        assert one.take(drawn).tolist() == [10 * row for row in one.rows]


def test_pieces_are_no_larger_than_asked() -> None:
    share = WHOLE.share(1, 2)
    assert [list(share.rows[one]) for one in share.pieces(4)] == [[1, 3, 5, 7], [9, 11]]
    assert [list(share.rows[one]) for one in share.pieces(None)] == [list(share.rows)]


def test_what_is_left_after_the_first_pictures() -> None:
    left = [WHOLE.share(index, 4).after(5) for index in range(4)]
    assert [list(one.rows) for one in left] == [[3], [0, 4], [1, 5], [2, 6]]
    assert {one.of for one in left} == {7}
    assert list(WHOLE.share(0, 12).after(5).rows) == []
