"""Pictures that do not contradict their input, and what is done where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr4.degradation import Degradation, resize
from sr4.evidence.constraint import Constraint, Constraints
from sr4.evidence.kinds import exact as exact_evidence
from sr4.evidence.sets import LEVEL, Everything, NoiseBox, PixelBox
from sr4.pictures.pixels import quantise, to_array

Floats = NDArray[np.float32]
D = Degradation(4)
_FAR = 32  # levels by which a dot differs from each of its neighbours


def isolated(unit: Floats) -> int:
    """Pixels within 16 levels of black or white that differ by more than 32 levels, in the same
    sense, from each of their eight neighbours, in any channel. Ends and corners of strokes, which
    have a neighbour of their own colour, are none.
    """
    levels = np.moveaxis(quantise(unit).astype(np.int64), 2, 0)
    padded = np.pad(levels, [(0, 0), (1, 1), (1, 1)], mode="edge")
    height, width = levels.shape[1:]
    around = np.stack(
        [
            padded[:, row : row + height, column : column + width]
            for row in range(3)
            for column in range(3)
            if (row, column) != (1, 1)
        ]
    )
    dark = (levels <= 16) & (around.min(axis=0) - levels > _FAR)
    light = (levels >= 239) & (levels - around.max(axis=0) > _FAR)
    return int((dark | light).any(axis=0).sum())


def picture(*size: int, seed: int = 0) -> Floats:
    small = np.random.default_rng(seed).uniform(-1.1, 1.1, (3, size[0] // 6, size[1] // 6))
    return np.clip(resize(small, *size), -1, 1).astype(np.float32)


def exact(low_res: Floats) -> Constraint:
    return Constraint(D, PixelBox(low_res, 0))


def consistency(result: Floats, low_res: Floats) -> float:
    seen = D(np.moveaxis(quantise(result), 2, 0) / 127.5 - 1)
    return float(np.mean(((seen - low_res) / 2) ** 2)) / 1e-5


class Counted(NoiseBox):
    """A set that notes the size of what is projected onto it, or onto parts of it."""

    sizes: ClassVar[list[int]] = []

    def project(self, y: Floats) -> Floats:
        self.sizes.append(y.size)
        found: Floats = super().project(y)
        return found


def test_the_measure_sees_dots_and_no_strokes() -> None:
    unit = np.ones((1, 16, 16), np.float32)
    unit[0, 2:10, 4] = unit[0, 9, 4:9] = -1
    assert isolated(unit) == 0
    unit[0, 13, 13] = -1
    assert isolated(unit) == 1
    unit[0, 13, 13] = -0.5  # not near black
    assert isolated(unit) == 0


@pytest.mark.parametrize("seed", range(4))
def test_what_can_be_met_is_met(seed: int) -> None:
    low_res = D.observe(picture(96, 128, seed=seed)).astype(np.float32)
    random = np.random.default_rng(seed)
    guess = np.clip(D.upsample(low_res), -1, 1) + 0.3 * random.standard_normal((3, 96, 128))
    result = exact(low_res).fit(np.clip(guess, -1, 1).astype(np.float32))
    assert result.dtype == np.float32
    assert np.abs(result).max() <= 1
    assert consistency(result, low_res) <= 0.05


def drawing() -> Floats:
    """Hard text and a black outline on white and yellow: no downscaled picture of anything."""
    image = Image.new("RGB", (96, 64), "white")
    draw = ImageDraw.Draw(image)
    draw.text((3, 3), "def up(x): #42", fill="black", font=ImageFont.load_default_imagefont())
    draw.ellipse((30, 20, 70, 60), fill=(255, 220, 80), outline="black", width=2)
    draw.ellipse((40, 32, 48, 40), fill="black")
    return to_array(image)


def test_where_nothing_fits_there_are_no_dots() -> None:
    low_res = drawing()
    start = np.clip(D.upsample(low_res), -1, 1)
    old, new = D.fit(start, low_res), exact(low_res).fit(start)
    assert isolated(old) > 20  # clipping and projection without bounds leave rows of them
    assert isolated(new) <= isolated(start) == 0
    assert consistency(new, low_res) < consistency(start, low_res)  # and yet it is nearer
    off = np.abs(exact(low_res).rest(new)).max(axis=0) > LEVEL
    assert 0 < off.mean() < np.mean(np.abs(exact(low_res).rest(start)).max(axis=0) > LEVEL)


def test_where_nothing_fits_edges_have_no_beads() -> None:
    """Measured: 43 levels; 78 if what clips is projected first, which shows as beads."""
    image = Image.new("L", (24, 24), "white")
    ImageDraw.Draw(image).ellipse((4, 4, 19, 19), fill="black")
    low_res = to_array(image)
    start = np.clip(D.upsample(low_res), -1, 1)
    assert 20 * LEVEL < np.abs(exact(low_res).fit(start) - start).max() < 50 * LEVEL


@pytest.mark.parametrize("radius", [0, 2 * LEVEL])
def test_only_what_lies_around_is_done_anew(monkeypatch: pytest.MonkeyPatch, radius: float) -> None:
    """Of two drawings on grey, each by itself; of sets with blocks, the rows of each."""
    low_res = np.full((3, 300, 330), 0.25, np.float32)
    places = [(slice(40, 104), slice(20, 116)), (slice(220, 284), slice(200, 296))]
    for rows, columns in places:
        low_res[:, rows, columns] = drawing()
    start = np.clip(D.upsample(low_res), -1, 1)
    constraint = Constraint(D, NoiseBox(low_res, radius) if radius else PixelBox(low_res, 0))
    before, sizes = constraint._alternated(start), []
    nearest = Constraint._nearest

    def counted(self: Constraint, start: Floats, bound: Floats) -> Floats:
        sizes.append(bound.shape[-2:])
        return nearest(self, start, bound)

    monkeypatch.setattr(Constraint, "_nearest", counted)
    result = constraint.fit(start)
    assert len(sizes) == 2
    assert all(height < 110 and width < (331 if radius else 145) for height, width in sizes)
    changed = np.abs(result - before).max(axis=0) > 0
    assert not changed[:64].any()
    assert not changed[500:784].any()
    assert isolated(before) > 20
    assert isolated(result) <= isolated(start)
    whole = nearest(constraint, start, np.full((1, 300, 330), 32 * LEVEL, np.float32))
    assert consistency(result, low_res) < 1.1 * consistency(whole, low_res) + 0.5


@pytest.mark.parametrize("name", ["screenshot", "cartoon"])
def test_screens_and_drawings_have_no_more_dots_than_bicubic(shared: Path, name: str) -> None:
    path = shared / "cases" / "use" / f"{name}.png"
    if not path.is_file():
        pytest.skip(f"there is no {name}.png")
    low_res = to_array(Image.open(path).convert("RGB"))
    bicubic = np.clip(D.upsample(low_res), -1, 1)
    assert isolated(exact(low_res).fit(bicubic)) <= isolated(bicubic)


def photograph(edge: int = 192) -> Floats:
    data = pytest.importorskip("skimage.data")
    pixels = data.astronaut()[:edge, 128 : 128 + edge]
    return np.moveaxis(pixels.astype(np.float32) / 127.5 - 1, 2, 0)


@pytest.mark.parametrize("blur", [0.3, 0.5, 0.8, 1.0, 1.5, 2.5])
def test_a_blurred_picture_becomes_sharp_without_contradiction(blur: float) -> None:
    """As sharp as clipped rounds of steps that grow apart would leave no blur of 0.8 and more."""
    truth = photograph()
    blurred = Degradation(4, blur)
    low_res = blurred.observe(truth).astype(np.float32)
    start = np.clip(D.upsample(low_res), -1, 1).astype(np.float32)
    constraint = Constraint(blurred, PixelBox(low_res, 0.5 * LEVEL))
    result = constraint.fit(start)
    assert constraint.unmet(result).mean() < 0.02
    assert np.mean((result - truth) ** 2) < 0.8 * np.mean((start - truth) ** 2)
    assert np.std(result) > np.std(start)


@pytest.mark.parametrize("blur", [0.8, 1.5])
@pytest.mark.parametrize("of_set", [True, False])
def test_a_blurred_picture_of_floats_becomes_as_sharp(blur: float, of_set: bool) -> None:
    """Measured: 2.9 to 4.1 dB; rounds with the inverse of the blur, which make what rounding did
    noise, lose 3 to 6.
    """
    truth = photograph()
    blurred = Degradation(4, blur)
    low_res = blurred.observe(truth).astype(np.float32)
    start = np.clip(D.upsample(low_res), -1, 1).astype(np.float32)
    of_floats = exact_evidence(step=0, blur=blur).constraint(low_res, D)
    point = Constraint(blurred, PixelBox(low_res, 0))
    result = (of_floats if of_set else point).fit(start)
    gained = 10 * np.log10(np.mean((start - truth) ** 2) / np.mean((result - truth) ** 2))
    assert gained > (3.5 if of_set else 2.5)


def test_a_fit_ends_where_only_what_the_set_calls_nothing_is_left() -> None:
    """Measured: 4 projections; 9 if pixels had to be as near as those of an exact picture."""
    low_res = photograph(64)
    Counted.sizes.clear()
    allowed = Counted(low_res, 12 * LEVEL)
    start = np.clip(D.upsample(np.roll(low_res, 2, axis=2)), -1, 1)
    result = Constraint(D, allowed).fit(start.astype(np.float32))
    assert len(Counted.sizes) <= 4
    off = allowed.rest(D(result))
    assert np.abs(off).max() < allowed.tolerance


def test_rounds_go_on_only_where_something_is_left() -> None:
    """Measured: in 42 projections, 3.9 times as many pixels as there are."""
    low_res = np.full((3, 384, 320), 0.2, np.float32)
    low_res[:, 190:196, 150:156] = np.where(np.indices((6, 6)).sum(axis=0) % 2, 1, -1)
    Counted.sizes.clear()
    allowed = Counted(low_res, 12 * LEVEL)
    start = np.full((3, 4 * 384, 4 * 320), 0.1, np.float32)
    result = Constraint(D, allowed)._alternated(start)
    assert len(Counted.sizes) > 20
    assert sum(Counted.sizes) < 6 * low_res.size
    rest = np.abs(allowed.rest(D(result)))
    assert rest.max() > 100 * allowed.tolerance
    rest[:, 180:206, 140:166] = 0
    assert rest.max() < allowed.tolerance


@pytest.mark.parametrize("blur", [0.0, 2.0, 3.0])
def test_rows_with_their_margin_are_those_of_the_whole(blur: float) -> None:
    truth = photograph(256)
    blurred = Degradation(2, blur)
    low_res = blurred.observe(truth).astype(np.float32)
    constraint = Constraint(blurred, PixelBox(low_res, 0.5 * LEVEL))
    start = np.clip(Degradation(2).upsample(low_res), -1, 1).astype(np.float32)
    whole, margin = constraint.fit(start), 8 + blurred.reach
    rows = slice(64 - margin, 80 + margin)
    part = constraint.rows(rows.start, rows.stop).fit(start[:, 2 * rows.start : 2 * rows.stop])
    off = part[:, 2 * margin : -2 * margin] - whole[:, 128:160]
    assert np.sqrt(np.mean(off**2)) < 0.25 * LEVEL


def test_noise_may_be_taken_away() -> None:
    truth, random = picture(96, 128, seed=6), np.random.default_rng(0)
    clean = D(truth)
    noisy = (clean + 8 * LEVEL * random.standard_normal(clean.shape)).astype(np.float32)
    as_noise = Constraint(D, NoiseBox(noisy, 24 * LEVEL)).fit(truth)
    as_exact = Constraint(D, PixelBox(noisy, 0)).fit(truth)
    assert np.mean((as_noise - truth) ** 2) < 0.01 * np.mean((as_exact - truth) ** 2)


def test_a_batch_gets_each_its_own_in_torch_too() -> None:
    low_res = [D(picture(32, 48, seed=seed)) for seed in (0, 1)]
    both = [
        exact(low_res[0]),
        Constraint(D, Everything()),
        Constraint(Degradation(4, 0.5), NoiseBox(low_res[1], 0.1)),
    ]
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, 32, 48)).astype(np.float32)
    expected = np.stack([both[0].correct(x[0]), x[1], both[2].correct(x[2])])
    np.testing.assert_allclose(Constraints(both).correct(x), expected, atol=1e-6)
    got = Constraints(both).correct(torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-5)
