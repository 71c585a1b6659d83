"""Collects the scores of pictures, batch by batch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.data.evaluation import EvaluationBatch
from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.evaluation.distances import SmallSampleWarning
from sr4.evaluation.features import FeatureExtractor, Features
from sr4.evaluation.metrics import Interval, bootstrap
from sr4.evaluation.observed import Observed, unit
from sr4.evaluation.perceptual import SMALLEST, PerceptualDistance
from sr4.evaluation.report import Example, PictureScore
from sr4.evaluation.spread import Intervals, Pixels
from sr4.evaluation.table import IN_PICTURES, OF_PICTURES, OF_SETS, psnr
from sr4.pictures.pixels import quantise, shown


def _known(value: float) -> float | None:
    """None in place of what is not a number."""
    return None if np.isnan(value) else value


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Of pixels (H, W, C)."""
    channels = shown(np.moveaxis(pixels, -1, 0))
    seen = channels[0] if len(channels) == 1 else np.moveaxis(channels, 0, -1)
    return Image.fromarray(np.ascontiguousarray(seen))


@dataclass
class Tally:
    """Collects the scores of batches.

    Args:
        degradation: what made the inputs.
        extractors: the feature networks, by the names that metrics call them.
        border: pixels at each edge that PSNR and SSIM leave out.
        patch: edge of the patches whose features are compared; None takes whole pictures.
        perceptual: the distance of each result from its original; None leaves it out.
    """

    degradation: Degradation
    extractors: dict[str, FeatureExtractor]
    border: int = 0
    patch: int | None = None
    perceptual: PerceptualDistance | None = None
    is_rounded: bool = True  # whether every low_res so far has had 8-bit levels
    names: list[str] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    # Of each picture: low_res, result, truth.
    kept: list[tuple[Pixels, Pixels, Pixels]] = field(default_factory=list)
    # By feature network, of each batch: of the truths, of the results.
    features: dict[str, list[tuple[Features, Features]]] = field(default_factory=dict)

    def add(
        self, batch: EvaluationBatch, draws: list[Pixels], intervals: Intervals | None = None
    ) -> None:
        """Score a batch, given its results, K times (B, H, W, C), and their intervals."""
        self.is_rounded = self.is_rounded and batch.is_rounded
        truths, low_res = quantise(batch.high_res), quantise(batch.low_res)
        seen = Observed(
            truths, draws, low_res, self.degradation, self.border, self.perceptual, intervals
        )
        for metric in OF_PICTURES:
            values = metric.of(seen)
            if values is not None:
                self.columns.setdefault(metric.field, []).extend(values.tolist())
        self.names.extend(batch.names)
        self.kept.extend(zip(low_res, seen.results, truths, strict=True))
        for network, extract in self.extractors.items() if seen.is_rgb else ():
            pair = (extract(self._patches(truths)), extract(self._patches(seen.results)))
            self.features.setdefault(network, []).append(pair)

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
        """The score of the set by field; None where a metric was not computed for every picture."""
        means: dict[str, Interval | None] = dict.fromkeys(metric.field for metric in OF_PICTURES)
        for metric in OF_PICTURES:
            values = self.columns.get(metric.field)
            if values is not None and not np.isnan(values).any():
                means[metric.field] = bootstrap(values, seed, over=metric.over)
        return means

    def notes(self) -> list[str]:
        """Why a mean is missing."""
        small = int(np.isnan(self.columns.get("perceptual", [])).sum())
        if not small:
            return []
        return [
            f"perceptual was left out: {small} of the {len(self.names)} pictures are smaller than "
            f"{SMALLEST}x{SMALLEST}"
        ]

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
            if len(truth) < 2:
                fields = " and ".join(metric.field for metric in wanted)
                notes.append(f"{fields} need at least 2 pictures")
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SmallSampleWarning)  # it becomes a note
                for metric in wanted:
                    found[metric.field] = metric.of(truth, result, seed=seed)
            cautions = ((metric.field, metric.caution(*truth.shape)) for metric in wanted)
            notes += [f"{field}: {text}" for field, text in cautions if text]
        return found, notes

    def scores(self) -> tuple[PictureScore, ...]:
        """The scores of each picture, in order."""
        kept = {name: self.columns[name] for name in self.columns if name in IN_PICTURES}
        return tuple(
            PictureScore(name=name, **{one: _known(kept[one][at]) for one in kept})
            for at, name in enumerate(self.names)
        )

    def examples(self) -> tuple[Example, ...]:
        """The pictures with the best, the median and the worst PSNR; fewer of a small set."""
        order = np.argsort(self.columns["psnr"], kind="stable")
        titles = {len(order) // 2: "median", 0: "worst", len(order) - 1: "best"}
        scores = self.scores()
        return tuple(
            self._example(titles[place], scores[order[place]], int(order[place]))
            for place in sorted(titles, reverse=True)
        )

    def _example(self, title: str, score: PictureScore, index: int) -> Example:
        low_res, result, truth = self.kept[index]
        bicubic = quantise(self.degradation.upsample(2 * unit(low_res) - 1))
        return Example(
            title=title,
            score=score,
            bicubic_psnr=float(psnr(unit(truth[None]), unit(bicubic[None]))[0]),
            low_res=_picture(low_res),
            bicubic=_picture(bicubic),
            result=_picture(result),
            truth=_picture(truth),
        )
