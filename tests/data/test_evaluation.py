"""Batches for measuring: in order, whole multiples of the scale, exact pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.data.evaluation import evaluation_batches
from sr4.degradation import Degradation
from sr4.errors import DataError, UsageError
from sr4.pictures.pixels import quantise, to_array


@dataclass(frozen=True)
class Memory:
    """A source of given pictures."""

    pictures: tuple[NDArray[np.uint8], ...]
    location: str = "memory"

    @property
    def names(self) -> Sequence[str]:
        return [str(index) for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, index: int) -> NDArray[np.uint8]:
        return self.pictures[index]


def noise(*sizes: tuple[int, int]) -> Memory:
    random = np.random.default_rng(0)
    return Memory(tuple(random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in sizes))


HALF = Degradation(2)


def test_pictures_come_in_order_with_their_low_res() -> None:
    source = noise(*[(16, 16)] * 5)
    batches = list(evaluation_batches(source, degradation=HALF, batch_size=2))
    assert [batch.names for batch in batches] == [("0", "1"), ("2", "3"), ("4",)]
    assert [batch.position for batch in batches] == [0, 2, 4]
    high_res = np.concatenate([batch.high_res for batch in batches])
    assert high_res.dtype == np.float32
    assert np.array_equal(quantise(high_res), np.stack(source.pictures))


@pytest.mark.parametrize(
    ("most_pixels", "names"),
    [
        (None, [("0", "1", "2", "3"), ("4", "5")]),
        (3 * 16 * 16, [("0", "1", "2"), ("3",), ("4", "5")]),
        (256, [("0",), ("1",), ("2",), ("3",), ("4",), ("5",)]),
        (1, [("0",), ("1",), ("2",), ("3",), ("4",), ("5",)]),
    ],
)
def test_a_batch_has_as_many_pictures_as_their_pixels_allow(
    most_pixels: int | None, names: list[tuple[str, ...]]
) -> None:
    """The first four have 16x16 pixels, the others 12x16."""
    source = noise(*[(16, 16)] * 4, *[(12, 16)] * 2)
    batches = evaluation_batches(source, degradation=HALF, batch_size=9, most_pixels=most_pixels)
    assert [batch.names for batch in batches] == names


def test_low_res_is_what_an_8_bit_file_gives() -> None:
    (batch,) = evaluation_batches(noise((16, 24)), degradation=HALF, batch_size=4)
    assert batch.low_res.shape == (1, 3, 8, 12)
    assert batch.low_res.dtype == np.float32
    assert np.array_equal(batch.low_res, to_array(quantise(batch.low_res)))
    exact = np.clip(HALF(batch.high_res.astype(np.float64)), -1, 1)
    assert np.abs(batch.low_res - exact).max() <= 0.5 / 127.5 + 1e-6


def test_sides_are_cut_to_multiples_and_sizes_kept_apart() -> None:
    source = noise((17, 16), (16, 17), (20, 16), (16, 16))
    batches = list(evaluation_batches(source, degradation=Degradation(4), batch_size=4))
    assert [batch.high_res.shape for batch in batches] == [
        (2, 3, 16, 16),
        (1, 3, 20, 16),
        (1, 3, 16, 16),
    ]
    assert [batch.position for batch in batches] == [0, 2, 3]
    assert np.array_equal(quantise(batches[0].high_res)[0], source.pictures[0][:16])
    assert np.array_equal(quantise(batches[0].high_res)[1], source.pictures[1][:, :16])


def test_pictures_too_small_to_be_scored_are_left_out() -> None:
    """By what is left of them in whole multiples of the scale."""
    bad: list[str] = []
    batches = evaluation_batches(
        noise((12, 12), (4, 200), (12, 11)),
        degradation=HALF,
        batch_size=3,
        on_bad=bad.append,
        least=11,
    )
    assert [batch.names for batch in batches] == [("0",)]
    assert bad == [
        f"'{name}' of 'memory' is {size} pixels; expected at least 11x11 in whole multiples of the "
        "model's scale, 2, to be scored"
        for name, size in (("1", "200x4"), ("2", "11x12"))
    ]


def test_bad_pictures_are_left_out_and_move_no_other() -> None:
    source = noise((4, 4), (4, 4), (1, 4), (4, 4), (1, 1))
    bad: list[str] = []
    batches = list(evaluation_batches(source, degradation=HALF, batch_size=3, on_bad=bad.append))
    assert [(batch.position, batch.names) for batch in batches] == [(0, ("0", "1")), (3, ("3",))]
    assert np.array_equal(quantise(batches[1].high_res)[0], source.pictures[3])
    assert [line.partition(";")[0] for line in bad] == [
        "'2' of 'memory' is 4x1 pixels",
        "'4' of 'memory' is 1x1 pixels",
    ]
    with pytest.raises(DataError, match="'2' of 'memory'"):
        list(evaluation_batches(source, degradation=HALF, batch_size=3))
    hopeless = evaluation_batches(
        noise((1, 1), (1, 2)), degradation=HALF, batch_size=1, on_bad=bad.append
    )
    with pytest.raises(DataError, match="none of the 2 pictures can be used; the first: '0'"):
        next(hopeless)


@pytest.mark.parametrize(("limit", "count"), [(None, 5), (3, 3), (9, 5)])
def test_limit(limit: int | None, count: int) -> None:
    batches = evaluation_batches(noise(*[(4, 4)] * 5), degradation=HALF, batch_size=2, limit=limit)
    assert sum(len(batch.names) for batch in batches) == count


def test_impossible_requests() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        evaluation_batches(noise((4, 4)), degradation=HALF, batch_size=0)
    with pytest.raises(UsageError, match="at least 1"):
        evaluation_batches(noise((4, 4)), degradation=HALF, batch_size=1, limit=0)
    with pytest.raises(DataError, match=r"'0' of 'memory' is 9x3 pixels; expected at least 4x4"):
        next(evaluation_batches(noise((3, 9)), degradation=Degradation(4), batch_size=1))
