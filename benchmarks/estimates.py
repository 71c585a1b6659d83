"""How far the estimates of noise, blur and JPEG compression are off, on generated cases.

Each case is a part of a picture (scikit-image's astronaut, coffee and chelsea, and made ones),
blurred and downscaled as D says, with noise, in 8 bits: its noise and blur are estimated. Then it
is compressed, decoded, cropped between blocks, and its compression estimated from the pixels; the
same with tables that are none of libjpeg's. A clean one is brought to few colours, too, and what
that has lost estimated.

    python benchmarks/estimates.py [--cases 200] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.data.corruption import dithered
from sr4.degradation import Degradation, resize
from sr4.evidence.estimate import (
    estimated_blur,
    estimated_dithering,
    estimated_noise,
)
from sr4.evidence.jpeg import pixel_boxes, standard_tables
from sr4.evidence.recognised import Recognised, recognised_jpeg
from sr4.evidence.sets import LEVEL
from sr4.pictures.pixels import quantise, to_array

_STEPS = ((1, 1), (1, 2), (2, 2))  # by Pillow's number of the subsampling


class Case(NamedTuple):
    """What happened to a picture, and what was estimated."""

    noise: float
    noise_found: float
    blur: float
    blur_found: float | None
    quality: int
    quality_found: int | None
    is_exact: bool  # quality, subsampling and grid
    false_alarm: bool  # a JPEG seen before there was one
    dithering: float  # what is found of what was lost
    others: Others | None  # None where they are not seen


class Others(NamedTuple):
    """What was found of a compression by tables that are none of libjpeg's.

    Attributes:
        luma: (8, 8), the steps found in parts of the true ones.
        has_layout: whether subsampling and grid are right.
        outside: levels by which the worst pixel of what was compressed lies outside the boxes.
    """

    luma: NDArray[np.float64]
    has_layout: bool
    outside: float


def pictures(random: np.random.Generator) -> list[NDArray[np.float64]]:
    """High-res pictures (3, H, W) in [-1, 1]."""
    from skimage import data

    found = [
        to_array(Image.fromarray(one)).astype(np.float64)
        for one in (data.astronaut(), data.coffee(), data.chelsea())
    ]
    for _ in range(3):  # sums of noise at all scales, as nature has them, and hard edges
        layers = [
            resize(random.standard_normal((3, 2**n, 2**n)), 512, 512) / 2**n for n in range(2, 9)
        ]
        edges = resize(random.standard_normal((1, 9, 9)), 512, 512) > 0.3
        found.append(np.clip(2 * sum(layers) + 0.4 * edges - 0.2, -1, 1))
    return found


def case(sources: Sequence[NDArray[np.float64]], random: np.random.Generator) -> Case:
    """One at random."""
    source, scale = sources[random.integers(len(sources))], int(random.integers(2, 4))
    edge = 288 // scale * scale
    top, left = (int(random.integers(side - edge + 1)) for side in source.shape[1:])
    high_res = source[:, top : top + edge, left : left + edge]
    blur = float(random.choice([0.0, random.uniform(0.4, 2.4)], p=[0.3, 0.7]))
    noise = float(random.choice([0.0, random.uniform(1, 15)], p=[0.3, 0.7]))
    small = Degradation(scale, blur)(high_res)
    pixels = quantise(small + noise / 127.5 * random.standard_normal(small.shape))
    unit = to_array(pixels)
    noise_found = estimated_noise(unit)
    quality, subsampling = int(random.integers(30, 96)), int(random.integers(3))
    cut = random.integers(0, 16, 2)
    clean = quantise(small)
    if quality % 3 == 0:  # in one hue, which few colours hold better
        clean = np.repeat(clean[..., :1], 3, axis=2)
    few = dithered(clean, 2 ** (4 + quality % 5))  # no draw, which would change what follows
    lost = float(np.sqrt(np.mean((few - clean.astype(np.float64)) ** 2)))
    inside = (..., slice(cut[0], None), slice(cut[1], None))
    found = recognised_jpeg(compressed(pixels, subsampling, quality=quality)[inside])
    found = found if isinstance(found, Recognised) else None
    step = _STEPS[subsampling]
    right = (quality, step, tuple(int(n) % (8 * s) for n, s in zip(cut, step, strict=True)))
    return Case(
        noise=noise,
        noise_found=noise_found,
        blur=blur,
        blur_found=estimated_blur(unit, noise_found),
        quality=quality,
        quality_found=found.quality if found else None,
        is_exact=found is not None and (found.quality, found.step, found.offset) == right,
        false_alarm=recognised_jpeg(unit) is not None,
        dithering=estimated_dithering(few) / lost,
        others=others(pixels, quality, subsampling, inside, right[1:]),
    )


def compressed(pixels: NDArray[np.uint8], subsampling: int, **options: Any) -> NDArray[np.float32]:
    """(H, W, 3) after JPEG compression, as (3, H, W) in [-1, 1]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", subsampling=subsampling, **options)
    return to_array(Image.open(buffer))


def others(
    pixels: NDArray[np.uint8], quality: int, subsampling: int, inside: Any, layout: Any
) -> Others | None:
    """What is found where the tables are none of libjpeg's."""
    tables = other_tables(quality, np.random.default_rng(pixels[:4].ravel()))
    lists = [table.ravel().tolist() for table in tables]
    decoded = compressed(pixels, subsampling, qtables=lists)[inside]
    found = recognised_jpeg(decoded)
    if not isinstance(found, Recognised):
        return None
    boxes = pixel_boxes(decoded, found.tables, found.step, found.offset)
    rest = boxes.rest(to_array(pixels)[inside].astype(np.float64)) / LEVEL
    is_right = (found.step, found.offset) == layout
    return Others(found.tables[0] / tables[0], is_right, float(np.abs(rest).max()))


def other_tables(quality: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Tables of luma and colour, about as coarse as libjpeg's of that quality: flat, scaled by a
    number, growing as those of mozjpeg or of cameras, or uneven, as encoders make them that fit
    them to a picture.
    """
    order = np.add.outer(np.arange(8), np.arange(8))
    luma, colour = (table.astype(np.float64) for table in standard_tables(quality))
    first, grows = luma[0, 0], random.uniform(1, 5)
    made = [
        (np.full((8, 8), luma[:4, :4].mean()), np.full((8, 8), colour[:4, :4].mean())),
        (luma * random.uniform(0.8, 1.25), colour * random.uniform(0.6, 1.5)),
        (first * np.exp(0.01 * order**2), first * np.exp(0.01 * order**2)),
        (first * (1 + grows * order / 14), colour[0, 0] * (1 + grows * order / 14)),
        (luma * np.exp(0.2 * random.standard_normal((8, 8))), colour),
    ][random.integers(5)]
    return [np.clip(np.rint(table), 1, 255).astype(np.int64) for table in made]


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """Mean errors over all cases, and over some."""

    def mean(values: Sequence[float]) -> float | None:
        return round(float(np.mean(values)), 3) if len(values) else None

    blurs = [one for one in cases if one.blur_found is not None]
    blur_errors = [(abs(one.blur_found - one.blur), one) for one in blurs if one.blur_found]
    blur_errors += [(one.blur, one) for one in blurs if one.blur_found == 0]
    seen = [one for one in cases if one.quality_found is not None]
    ratios = [one.dithering for one in cases if one.dithering]
    told = [one.others for one in cases if one.others is not None]
    return {
        "cases": len(cases),
        "noise: mean error, levels": mean([abs(one.noise_found - one.noise) for one in cases]),
        "noise: of those without": mean([one.noise_found for one in cases if one.noise == 0]),
        "noise: of those with": mean(
            [abs(one.noise_found - one.noise) for one in cases if one.noise > 0]
        ),
        "noise: share of clean ones taken for noisy": mean(
            [one.noise_found >= 4 for one in cases if one.noise == 0]
        ),
        "blur: mean error, pixels": mean([error for error, _ in blur_errors]),
        "blur: of those without noise": mean([e for e, one in blur_errors if one.noise == 0]),
        "blur: share without an answer": mean([one.blur_found is None for one in cases]),
        "jpeg: recognised": mean([one.quality_found is not None for one in cases]),
        "jpeg: recognised, quality up to 85": mean(
            [one.quality_found is not None for one in cases if one.quality <= 85]
        ),
        "jpeg: mean error of the quality, where recognised": mean(
            [abs(one.quality_found - one.quality) for one in seen if one.quality_found]
        ),
        "jpeg: quality, subsampling and grid right, where recognised": mean(
            [one.is_exact for one in seen]
        ),
        "jpeg: seen where there is none": mean([one.false_alarm for one in cases]),
        "other tables: recognised": mean([one.others is not None for one in cases]),
        "other tables: steps of luma right": mean([np.mean(one.luma == 1) for one in told]),
        "other tables: steps of luma too small by a tenth": mean(
            [np.mean(one.luma < 0.9) for one in told]
        ),
        "other tables: subsampling and grid right, where recognised": mean(
            [one.has_layout for one in told]
        ),
        "other tables: truth out of the boxes by 3 levels somewhere": mean(
            [one.outside > 3 for one in told]
        ),
        "dithering: taken for a drawing": mean([one.dithering == 0 for one in cases]),
        **{
            f"dithering: found of what was lost, percentile {percentile}": round(
                float(np.percentile(ratios, percentile)), 3
            )
            for percentile in (5, 50, 95)
        },
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    sources = pictures(random)
    found = summary([case(sources, random) for _ in range(options.cases)])
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:62} {value}")


if __name__ == "__main__":
    main()
