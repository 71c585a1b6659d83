"""Collects the scores of pictures, batch by batch."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import Calibration
from sr4.config.calibration import LEVELS
from sr4.data.evaluation import EvaluationBatch
from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.evaluation.distances import SmallSampleWarning
from sr4.evaluation.features import FeatureExtractor, Features
from sr4.evaluation.gallery import Gallery, Kept, window
from sr4.evaluation.metrics import Interval, bootstrap
from sr4.evaluation.observed import Observed, unit
from sr4.evaluation.perceptual import SMALLEST, PerceptualDistance
from sr4.evaluation.report import Example, PictureScore, Reliability
from sr4.evaluation.set_words import Compared
from sr4.evaluation.spread import Intervals, Pixels, Spread
from sr4.evaluation.table import IN_PICTURES, OF_PICTURES, OF_SETS, psnr
from sr4.files.paths import plain
from sr4.pictures.pixels import quantise, shown
from sr4.plots.heatmap import LEVEL, Legend, legend_of


def _known(value: float) -> float | None:
    """None in place of what is not a number."""
    return None if np.isnan(value) else value


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Of pixels (H, W, C)."""
    channels = shown(np.moveaxis(pixels, -1, 0))
    seen = channels[0] if len(channels) == 1 else np.moveaxis(channels, 0, -1)
    return Image.fromarray(np.ascontiguousarray(seen))


def _checksum(pixels: Pixels) -> str:
    """Of the size and the pixels of a picture, 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{pixels.shape}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:16]


@dataclass
class Tally:
    """Collects the scores of batches.

    Args:
        degradation: what made the inputs.
        extractors: the feature networks, by the names that metrics call them.
        border: pixels at each edge that PSNR and SSIM leave out.
        patch: edge of the patches whose features are compared; None takes whole pictures.
        perceptual: the distance of each result from its original; None leaves it out.
        calibration: what makes intervals of several samples, whose coverage is then scored.
    """

    degradation: Degradation
    extractors: dict[str, FeatureExtractor]
    border: int = 0
    patch: int | None = None
    perceptual: PerceptualDistance | None = None
    calibration: Calibration | None = None
    is_rounded: bool = True  # whether every low_res so far has had 8-bit levels
    names: list[str] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    checksums: list[tuple[str, str]] = field(default_factory=list)  # of originals and of low_res
    gallery: Gallery = field(default_factory=Gallery)
    # By level, of each picture: what intervals held, calibrated ones and others.
    covered: dict[float, list[float]] = field(default_factory=dict)
    uncalibrated: dict[float, list[float]] = field(default_factory=dict)
    # By feature network, of each batch: of the truths, of the results.
    features: dict[str, list[tuple[Features, Features]]] = field(default_factory=dict)
    patches: list[int] = field(default_factory=list)  # of each picture whose features are kept

    def add(
        self, batch: EvaluationBatch, draws: list[Pixels], spread: Spread | None = None
    ) -> None:
        """Score a batch, given its results, K times (B, H, W, C), and their spread, if K > 1."""
        self.is_rounded = self.is_rounded and batch.is_rounded
        truths, low_res = quantise(batch.high_res), quantise(batch.low_res)
        intervals = None
        if spread is not None and self.calibration is not None:
            intervals = Intervals(truths, spread, self.calibration)
        seen = Observed(
            truths, draws, low_res, self.degradation, self.border, self.perceptual, intervals
        )
        for metric in OF_PICTURES:
            values = metric.of(seen)
            if values is not None:
                self.columns.setdefault(metric.field, []).extend(values.tolist())
        if spread is not None:
            self._cover(truths, spread, intervals)
        self._keep(batch.names, seen, spread)
        self.names.extend(map(plain, batch.names))
        self.checksums.extend(zip(map(_checksum, truths), map(_checksum, low_res), strict=True))
        if not (self.extractors and seen.is_rgb):
            return
        sides = self._patches(truths), self._patches(seen.results)
        self.patches += [len(sides[0]) // len(truths)] * len(truths)
        for network, extract in self.extractors.items():
            self.features.setdefault(network, []).append((extract(sides[0]), extract(sides[1])))

    def _cover(self, truths: Pixels, spread: Spread, intervals: Intervals | None) -> None:
        """Count what intervals of all levels hold."""
        for level in LEVELS:
            found = spread.uncalibrated_coverage(truths, level)
            self.uncalibrated.setdefault(level, []).extend(found.tolist())
        if intervals is not None:
            for level in intervals.calibration.levels:
                self.covered.setdefault(level, []).extend(intervals.coverage(level).tolist())

    def _keep(self, names: Sequence[str], seen: Observed, spread: Spread | None) -> None:
        """Keep those pictures of a batch that may be shown."""
        scores = self.columns["psnr"][-len(names) :]
        maps: NDArray[Any] | None = None if spread is None else spread.uncertainty
        if seen.intervals is not None:
            maps = seen.intervals.half_width(LEVEL)
        for at, (name, score) in enumerate(zip(names, scores, strict=True)):
            make = partial(self._kept, len(self.names) + at, score, seen, at, maps)
            self.gallery.add(score, plain(name), make)

    def _kept(
        self,
        place: int,
        score: float,
        seen: Observed,
        at: int,
        maps: NDArray[Any] | None,
        number: int,
    ) -> Kept:
        low_res, result, truth = seen.low_res[at], seen.results[at], seen.truths[at]
        bicubic = quantise(self.degradation.upsample(2 * unit(low_res) - 1))
        pair = (unit(seen.inside(one[None])) for one in (truth, bicubic))
        scale = self.degradation.scale
        small, large = window(low_res, scale, 1), window(truth, scale, scale)
        return Kept(
            place=place,
            lot=number,
            psnr=score,
            bicubic_psnr=float(psnr(*pair)[0]),
            size=(truth.shape[1], truth.shape[0]),
            low_res=low_res[small].copy(),
            bicubic=bicubic[large].copy(),
            result=result[large].copy(),
            truth=truth[large].copy(),
            spread=None if maps is None else maps[at][large].astype(np.float32),
        )

    @property
    def least(self) -> int:
        """Pixels that each side of a picture has to have for its features."""
        return self.patch if self.patch and self.extractors else 1

    def _patches(self, pixels: Pixels) -> Pixels:
        """Side by side from the first corner on; what does not fill one is left out."""
        edge = self.patch
        if edge is None:
            return pixels
        count, height, width, channels = pixels.shape
        rows, columns = height // edge, width // edge
        if not rows * columns:
            raise UsageError(
                f"got a picture of {width}x{height} for patches of {edge}; expected at least "
                "one in each: make them smaller"
            )
        cut = pixels[:, : rows * edge, : columns * edge]
        tiles = cut.reshape(count, rows, edge, columns, edge, channels).swapaxes(2, 3)
        patches: Pixels = tiles.reshape(-1, edge, edge, channels)
        return patches

    def means(self, seed: int) -> dict[str, Interval | None]:
        """The score of the set by field; None where a metric was computed for no picture, or not
        for every one that it is to be of.
        """
        means: dict[str, Interval | None] = dict.fromkeys(metric.field for metric in OF_PICTURES)
        for metric in OF_PICTURES:
            values = np.array(self.columns.get(metric.field, []))
            known = values[~np.isnan(values)]
            if known.size and (metric.of_some or known.size == values.size):
                found = bootstrap(known, seed, over=metric.over)
                means[metric.field] = found.within(metric.limits)
        return means

    def notes(self) -> list[str]:
        """Why a mean is missing, or which pictures it is not of."""
        small, flat = (
            int(np.isnan(self.columns.get(field, [])).sum())
            for field in ("perceptual", "spread_rank")
        )
        notes = []
        if small:
            notes.append(
                f"perceptual was left out: {small} of the {len(self.names)} pictures are smaller "
                f"than {SMALLEST}x{SMALLEST}"
            )
        if flat:
            notes.append(
                f"spread_rank leaves out {flat} of the {len(self.names)} pictures, whose spread or "
                "error is the same everywhere"
            )
        return notes

    def shares(self) -> dict[str, tuple[float, ...]]:
        """What each picture has to do with the distances of the set that have shares, by field;
        nothing where features are those of patches.
        """
        found = {}
        for network, batches in self.features.items() if self.patch is None else ():
            truth, result = (np.concatenate(side) for side in zip(*batches, strict=True))
            for metric in OF_SETS:
                if metric.network == network and metric.shares and len(truth) > 1:
                    found[metric.field] = tuple(metric.shares(truth, result).tolist())
        return found

    @property
    def compared(self) -> Compared:
        """What the sets hold whose distances are told."""
        return Compared(len(self.patches), sum(self.patches), self.patch)

    def distances(self, seed: int) -> tuple[dict[str, Interval | None], list[str]]:
        """Kernel and Fréchet distances of the results from the truths, by field, and what to know
        of them.
        """
        found: dict[str, Interval | None] = {metric.field: None for metric in OF_SETS}
        notes = []
        if self.extractors and not self.features:
            notes.append("feature networks see RGB alone: no distances, and no scores of luma")
        for network, batches in self.features.items():
            wanted = [metric for metric in OF_SETS if metric.network == network]
            truth, result = (np.concatenate(side) for side in zip(*batches, strict=True))
            if len(self.patches) < 2:
                fields = " and ".join(metric.field for metric in wanted)
                notes.append(f"{fields} need at least 2 pictures")
                continue
            pictures = np.repeat(np.arange(len(self.patches)), self.patches)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SmallSampleWarning)  # it becomes a note
                for metric in wanted:
                    distance = metric.of(truth, result, seed=seed, pictures=pictures)
                    found[metric.field] = distance.within(metric.limits)
            cautions = ((m.field, m.caution(self.compared, truth.shape[1])) for m in wanted)
            notes += [f"{field}: {text}" for field, text in cautions if text]
        return found, notes

    def reliability(self, seed: int) -> tuple[Reliability, ...]:
        """Stated and found coverage, by rising level; nothing of single samples."""

        def share(values: list[float]) -> Interval:
            return bootstrap(values, seed).within((0, 1))

        return tuple(
            Reliability(
                level=level,
                calibrated=share(self.covered[level]) if level in self.covered else None,
                uncalibrated=share(values),
            )
            for level, values in self.uncalibrated.items()
        )

    @property
    def legend(self) -> Legend | None:
        """What the maps of the examples show; None of single samples."""
        return legend_of(self.calibration) if self.uncalibrated else None

    def scores(self) -> tuple[PictureScore, ...]:
        """The scores of each picture, in order."""
        kept = {name: self.columns[name] for name in self.columns if name in IN_PICTURES}
        return tuple(
            PictureScore(
                name=name,
                sha256=self.checksums[at][0],
                low_res_sha256=self.checksums[at][1],
                **{one: _known(kept[one][at]) for one in kept},
            )
            for at, name in enumerate(self.names)
        )

    def examples(self) -> tuple[Example, ...]:
        """The pictures with the worst and the best PSNR, and some at random."""
        scores = self.scores()
        return tuple(
            Example(
                title=title,
                place=one.place,
                score=scores[one.place],
                bicubic_psnr=one.bicubic_psnr,
                size=one.size,
                low_res=_picture(one.low_res),
                bicubic=_picture(one.bicubic),
                result=_picture(one.result),
                truth=_picture(one.truth),
                spread=one.spread,
            )
            for title, one in self.gallery.titled(len(scores))
        )
