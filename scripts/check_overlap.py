"""Find pictures that training and test sets share, also as shrunken, cropped or mirrored copies.

    python scripts/check_overlap.py --train photos/train.tar --test photos/test.tar real/test.tar
    python scripts/check_overlap.py --aligned --train 'faces/train-*.tar' --test faces/test.tar

First, 16x16 thumbnails of windows of each test picture are compared with those of all windows, in
steps of two pixels and 15 % of size, of each training picture, and the other way round, by
normalised correlation. What is most alike is then compared at 64x64, over shifts (by FFT) and finer
steps of size, without low frequencies: two skies are alike in those alone, a copy in its detail
too. The score is the mean correlation of the 16 blocks of the window, those without detail left
out: one edge makes two windows alike, but only few of their blocks. `--aligned` looks at the middle
of the pictures only, which is enough for faces cropped by their eyes, and fast enough for tens of
thousands; its matches begin at 0.8 instead of 0.65, since all eyes and mouths are alike.

Prints the pairs that correlate by `--least` or more, best first, as lines of score, training
picture and test picture. `--sheet FILE` draws them beside each other: look at them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sr4.data.encoded import EncodedSource
from sr4.data.sources import open_sources
from sr4.errors import BadPictureError

Array = NDArray[np.float32]
Box = tuple[float, float, float, float]  # left, top, right, bottom

COARSE = 16
FINE = 64
_LEAST_DEVIATION = 3.0  # of grey levels in a thumbnail; flatter ones fit everything
_LEAST_COARSE = 0.7  # correlation of thumbnails that is worth a close look
_LEAST_DETAIL = 1.0  # deviation, in grey levels, of what a block holds without low frequencies
_LEAST_BLOCKS = 6  # of 16 that hold detail
_SIZES = np.geomspace(0.92, 1.09, 9)


@dataclass(frozen=True)
class Search:
    """Which windows are compared.

    Attributes:
        templates: sizes of the windows that are looked for, as shares of the shorter side, and how
            many places each takes along either side.
        smallest: share of the shorter side that a window has at least where it is looked for.
        reach: how far its centre may be off the picture's, as a share of the free way.
    """

    templates: tuple[tuple[float, int], ...]
    smallest: float
    reach: float


ANYWHERE = Search(((1.0, 3), (0.6, 3)), 0.25, 1.0)
ALIGNED = Search(((1.0, 1), (0.75, 1), (0.55, 1)), 0.5, 0.35)


@dataclass(frozen=True)
class Window:
    """A square part of a picture, maybe mirrored."""

    picture: int
    box: Box
    mirrored: bool = False


class Pictures:
    """Grey pictures of a source, in memory; those that cannot be read are left out."""

    def __init__(self, source: EncodedSource) -> None:
        self.names: list[str] = []
        self.grey: list[Image.Image] = []
        for index in range(len(source)):
            try:
                image = Image.fromarray(source.read(index)).convert("L")
            except BadPictureError:
                continue
            image.thumbnail((512, 512))  # enough for windows of 64x64
            self.names.append(source.label(index))
            self.grey.append(image)

    def templates(self, search: Search) -> tuple[list[Window], Array]:
        """The windows that are looked for, plain and mirrored, and their thumbnails (N, 256)."""
        windows, thumbnails = [], []
        for number, image in enumerate(self.grey):
            for box in _places(image.size, search.templates):
                pixels = np.asarray(image.resize((COARSE, COARSE), Image.Resampling.BICUBIC, box))
                for mirrored in (False, True):
                    windows.append(Window(number, box, mirrored))
                    thumbnails.append(pixels[:, ::-1] if mirrored else pixels)
        return windows, normalised(np.stack(thumbnails))

    def patches(self, number: int, search: Search) -> tuple[list[Window], Array]:
        """All windows of a picture at all sizes, and their thumbnails (N, 256)."""
        image = self.grey[number]
        windows, thumbnails = [], []
        for share in 1.15 ** -np.arange(0, np.log(1 / search.smallest) / np.log(1.15) + 0.5):
            factor = COARSE / share / min(image.size)
            small = image.resize(
                (
                    max(COARSE, round(image.width * factor)),
                    max(COARSE, round(image.height * factor)),
                ),
                Image.Resampling.BICUBIC,
            )
            views = np.lib.stride_tricks.sliding_window_view(np.asarray(small), (COARSE, COARSE))
            for top in _steps(views.shape[0], search.reach):
                for left in _steps(views.shape[1], search.reach):
                    x, y = image.width / small.width, image.height / small.height
                    box = (left * x, top * y, (left + COARSE) * x, (top + COARSE) * y)
                    windows.append(Window(number, box))
                    thumbnails.append(views[top, left])
        return windows, normalised(np.stack(thumbnails))


def _places(size: tuple[int, int], sizes: Sequence[tuple[float, int]]) -> Iterator[Box]:
    for share, count in sizes:
        side = share * min(size)
        ways = [
            np.linspace(0, length - side, count) if count > 1 else [(length - side) / 2]
            for length in size
        ]
        for left, top in dict.fromkeys((x, y) for x in ways[0] for y in ways[1]):
            yield (left, top, left + side, top + side)


def _steps(count: int, reach: float) -> Iterator[int]:
    """Every second one of `count` places, and the last, those not too far from the middle."""
    middle = (count - 1) / 2
    for place in (*range(0, count - 1, 2), count - 1):
        if abs(place - middle) <= max(reach * middle, 1):
            yield place


def normalised(thumbnails: NDArray[np.uint8]) -> Array:
    """Thumbnails (N, H, W) as rows of mean 0 and length 1; flat ones are 0, alike to nothing."""
    rows = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    flat = rows.std(axis=1, keepdims=True) < _LEAST_DEVIATION
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return np.where(flat, np.float32(0), rows)


def candidates(
    sought: Pictures, searched: Pictures, search: Search, most: int
) -> Iterator[tuple[Window, Window]]:
    """For each picture that is looked for, its window and the one most alike in each of the `most`
    pictures that are most alike to it.
    """
    windows, thumbnails = sought.templates(search)
    owners = np.array([window.picture for window in windows])
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    best: list[list[tuple[float, Window, Window]]] = [[] for _ in sought.grey]
    for number in range(len(searched.grey)):
        places, patches = searched.patches(number, search)
        scores = patches @ thumbnails.T
        highest = scores.max(axis=0)
        for owner, score in enumerate(np.maximum.reduceat(highest, starts)):
            kept = best[owner]
            if score < _LEAST_COARSE or (len(kept) >= most and score <= kept[-1][0]):
                continue
            end = starts[owner + 1] if owner + 1 < len(starts) else len(windows)
            template = starts[owner] + int(np.argmax(highest[starts[owner] : end]))
            place = int(np.argmax(scores[:, template]))
            kept.append((float(score), windows[template], places[place]))
            kept.sort(key=lambda found: -found[0])
            del kept[most:]
    for kept in best:
        for _, window, found in kept:
            yield window, found


def detail(image: Image.Image) -> Array:
    """Pixels without low frequencies."""
    smooth = image.filter(ImageFilter.GaussianBlur(4))
    return np.asarray(image, np.float32) - np.asarray(smooth, np.float32)


def likeness(one: Image.Image, box: Box, mirrored: bool, other: Image.Image, place: Box) -> float:
    """The highest normalised correlation of a window's detail with that of another picture near a
    place, over shifts and sizes.
    """
    window = one.resize((FINE, FINE), Image.Resampling.BICUBIC, box)
    if mirrored:
        window = window.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    template = detail(window)
    found = [_best_shift(template, other, place, scale) for scale in _SIZES]
    _, fitting = max(found, key=lambda pair: pair[0])
    return _block_score(template, fitting)


def _best_shift(
    template: Array, other: Image.Image, place: Box, scale: float
) -> tuple[float, Array]:
    """The highest correlation of a template (64, 64) with what lies near a place, and the part of
    the same shape that has it.
    """
    left, top, right, bottom = place
    margin = 0.2 * (right - left)
    area = (
        max(0.0, left - margin),
        max(0.0, top - margin),
        min(float(other.width), right + margin),
        min(float(other.height), bottom + margin),
    )
    factor = FINE / (right - left) * scale
    width = max(FINE, round((area[2] - area[0]) * factor))
    height = max(FINE, round((area[3] - area[1]) * factor))
    region = detail(other.resize((width, height), Image.Resampling.BICUBIC, area))
    product = _correlation(region, template)
    energy = _correlation(region**2, np.ones_like(template))
    floor = (FINE * _LEAST_DETAIL) ** 2
    scores = product / np.sqrt(np.maximum(energy, floor) * max(float((template**2).sum()), floor))
    y, x = np.unravel_index(np.argmax(scores), scores.shape)
    return float(scores[y, x]), region[y : y + FINE, x : x + FINE]


def _correlation(region: Array, template: Array) -> Array:
    """Sums of products at each shift that lies inside the region."""
    spectrum = np.fft.rfft2(region) * np.conj(np.fft.rfft2(template, region.shape))
    rows, columns = region.shape[0] - FINE + 1, region.shape[1] - FINE + 1
    inside: Array = np.fft.irfft2(spectrum, region.shape)[:rows, :columns].astype(np.float32)
    return inside


def _block_score(one: Array, other: Array) -> float:
    """The mean correlation of blocks 16x16 of two windows; 0 if too few of them hold detail."""
    first, second = _blocks(one), _blocks(other)
    deviations = np.stack([first.std(axis=1), second.std(axis=1)])
    held = deviations.max(axis=0) >= _LEAST_DETAIL
    if held.sum() < _LEAST_BLOCKS:
        return 0.0
    products = (first * second).mean(axis=1)
    return float((products / np.maximum(deviations.prod(axis=0), 1e-6))[held].mean())


def _blocks(window: Array) -> Array:
    """Blocks (16, 256) of a window (64, 64), each of mean 0."""
    rows = window.reshape(4, 16, 4, 16).swapaxes(1, 2).reshape(16, 256)
    centred: Array = rows - rows.mean(axis=1, keepdims=True)
    return centred


@dataclass(frozen=True)
class Match:
    """Two pictures that share a part."""

    score: float
    train: int
    test: int


def matches(train: Pictures, test: Pictures, search: Search, most: int) -> list[Match]:
    """The best score of each pair of pictures that were compared closely, best first."""
    found: dict[tuple[int, int], float] = {}
    for window, place in candidates(test, train, search, most):
        score = likeness(
            test.grey[window.picture],
            window.box,
            window.mirrored,
            train.grey[place.picture],
            place.box,
        )
        pair = place.picture, window.picture
        found[pair] = max(score, found.get(pair, 0.0))
    if search is ANYWHERE:  # a training picture may be a part of a test picture, too
        for window, place in candidates(train, test, search, max(1, most // 4)):
            score = likeness(
                train.grey[window.picture],
                window.box,
                window.mirrored,
                test.grey[place.picture],
                place.box,
            )
            pair = window.picture, place.picture
            found[pair] = max(score, found.get(pair, 0.0))
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return [Match(score, *pair) for pair, score in ordered]


def draw_sheet(path: Path, shown: Sequence[Match], train: Pictures, test: Pictures) -> None:
    """Pairs side by side, training picture first, four pairs in a row."""
    side, columns = 160, 4
    rows = -(-len(shown) // columns)
    sheet = Image.new("L", (columns * 2 * (side + 4), rows * (side + 4)), 255)
    for number, match in enumerate(shown):
        for half, image in enumerate((train.grey[match.train], test.grey[match.test])):
            small = image.copy()
            small.thumbnail((side, side))
            column = 2 * (number % columns) + half
            sheet.paste(small, (column * (side + 4), number // columns * (side + 4)))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--train", nargs="+", required=True, metavar="SRC")
    parser.add_argument("--test", nargs="+", required=True, metavar="SRC")
    parser.add_argument("--aligned", action="store_true", help="faces, cropped by their eyes")
    parser.add_argument("--least", type=float, help="score of a match: 0.65, of faces 0.8")
    parser.add_argument("--most", type=int, default=24, help="close looks for each picture")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw the pairs")
    parser.add_argument("--sheet-pairs", type=int, default=0, help="draw at least so many")
    args = parser.parse_args()

    train, test = Pictures(open_sources(args.train)), Pictures(open_sources(args.test))
    print(f"# {len(train.names):,} training and {len(test.names):,} test pictures")
    found = matches(train, test, ALIGNED if args.aligned else ANYWHERE, args.most)
    least = args.least or (0.8 if args.aligned else 0.65)
    count = sum(match.score >= least for match in found)
    for match in found[:count]:
        print(f"{match.score:.3f}\t{train.names[match.train]}\t{test.names[match.test]}")
    rest = [f"{match.score:.3f}" for match in found[count : count + 5]]
    print(f"# {count} matches; the next scores: {', '.join(rest)}")
    if args.sheet:
        draw_sheet(args.sheet, found[: max(count, args.sheet_pairs)], train, test)


if __name__ == "__main__":
    main()
