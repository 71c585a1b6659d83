"""Which pictures are kept to be shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sr4.evaluation.gallery import BY_CHANCE, EACH, WINDOW, Gallery, Kept, lot, window

PIXELS = np.zeros((4, 4, 3), np.uint8)


def gallery(scores: Sequence[float]) -> tuple[Gallery, list[int]]:
    """A gallery of pictures with these scores, and which of them were asked for."""
    found, made = Gallery(), []
    for place, score in enumerate(scores):

        def make(number: int, place: int = place, score: float = score) -> Kept:
            made.append(place)
            return Kept(place, number, score, 0.0, (4, 4), PIXELS, PIXELS, PIXELS, PIXELS, None)

        found.add(score, f"{place}.png", make)
    return found, made


def test_the_extremes_and_those_by_chance_are_kept() -> None:
    scores = np.random.default_rng(0).permutation(500).astype(float)
    found, made = gallery(scores.tolist())
    titled = found.titled(500)
    assert [one.psnr for _, one in titled[:EACH]] == [0, 1, 2]
    assert [one.psnr for _, one in titled[EACH : 2 * EACH]] == [499, 498, 497]
    assert {title for title, _ in titled[2 * EACH :]} == {"random"}
    by_chance = sorted(range(500), key=lambda place: lot(f"{place}.png"))[:BY_CHANCE]
    assert {one.place for _, one in titled} >= set(by_chance)
    assert len(titled) == len({one.place for _, one in titled})
    assert len(made) < 120  # the others were never made


def test_few_pictures_are_shown_once() -> None:
    for count in range(1, 9):
        titled = gallery([float(number) for number in range(count)])[0].titled(count)
        assert sorted(one.place for _, one in titled) == list(range(count))
    assert [title for title, _ in gallery([5.0])[0].titled(1)] == ["best"]


def test_equal_scores_do_not_hide_pictures() -> None:
    titled = gallery([20.0] * 12)[0].titled(12)
    assert len(titled) == len({one.place for _, one in titled}) >= BY_CHANCE


def test_the_window_lies_on_whole_pixels_of_the_input() -> None:
    low_res, high_res = np.zeros((37, 100, 3), np.uint8), np.zeros((37 * 8, 800, 3), np.uint8)
    small, large = window(low_res, 8, 1), window(high_res, 8, 8)
    for one, other in zip(small, large, strict=True):
        assert (other.start, other.stop) == (8 * one.start, 8 * one.stop)
    assert high_res[large].shape == (WINDOW, WINDOW, 3)
    assert high_res[:40, :40][window(high_res[:40, :40], 8, 8)].shape == (40, 40, 3)
