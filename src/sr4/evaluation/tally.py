"""Collects the scores of pictures, batch by batch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.data.evaluation import EvaluationBatch
from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.evaluation import metrics
from sr4.evaluation.distances import (
    SmallSampleWarning,
    frechet_bias,
    frechet_distance_interval,
    kernel_distance_interval,
)
from sr4.evaluation.features import FeatureExtractor, Features
from sr4.evaluation.metrics import Float64, Interval
from sr4.evaluation.perceptual import SMALLEST, PerceptualDistance
from sr4.evaluation.report import Example, PictureScore
from sr4.pictures.pixels import quantise, shown

Pixels = NDArray[np.uint8]  # (B, H, W, 3)

_RGB = 3  # channels
PSNR_LIMIT = 100.0  # dB; an exact result would make every mean infinite
CONSISTENCY_UNIT = 1e-5
LEVELS = 255  # of 8 bits

# By feature network: the fields of the kernel and of the Fréchet distance.
DISTANCES = {"efflite0": ("kid_efflite0", "fd_efflite0"), "inception": ("kid", "fid")}


def _unit(pixels: NDArray[np.uint8] | Float64) -> Float64:
    """8-bit levels (B, H, W, C) to (B, C, H, W) in [0, 1]."""
    return np.asarray(np.moveaxis(pixels, -1, -3) / LEVELS)


def _psnr(truth: Float64, result: Float64, *, luma: bool = False) -> Float64:
    return np.minimum(metrics.psnr(truth, result, luma=luma), PSNR_LIMIT)


def _known(scores: dict[str, float | None]) -> dict[str, float | None]:
    """Scores with None in place of what is not a number."""
    return {
        name: None if value is None or np.isnan(value) else value for name, value in scores.items()
    }


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
        extractors: the feature networks, under the names of DISTANCES.
        border: pixels at each edge that PSNR and SSIM leave out.
        patch: edge of the patches whose features are compared; None takes whole pictures.
        perceptual: the distance of each result from its original; None leaves it out.
    """

    degradation: Degradation
    extractors: dict[str, FeatureExtractor]
    border: int = 0
    patch: int | None = None
    perceptual: PerceptualDistance | None = None
    names: list[str] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    # Of each picture: low_res, result, truth.
    kept: list[tuple[Pixels, Pixels, Pixels]] = field(default_factory=list)
    # By feature network, of each batch: of the truths, of the results.
    features: dict[str, list[tuple[Features, Features]]] = field(default_factory=dict)

    def add(self, batch: EvaluationBatch, draws: list[Pixels]) -> None:
        truths, low_res, results = quantise(batch.high_res), quantise(batch.low_res), draws[0]
        observed = (_unit(results), _unit(low_res), self.degradation)
        truth, result = (_unit(self._inside(pixels)) for pixels in (truths, results))
        scores = {
            "psnr": _psnr(truth, result),
            "ssim": metrics.ssim(truth, result, luma=False),
            "consistency": metrics.consistency(*observed) / CONSISTENCY_UNIT,
            "colour_drift": metrics.colour_drift(*observed) * LEVELS,
        }
        is_rgb = truth.shape[1] == _RGB
        if is_rgb:
            scores["psnr_luma"] = _psnr(truth, result, luma=True)
            scores["ssim_luma"] = metrics.ssim(truth, result, luma=True)
            if self.perceptual is not None:
                large = min(truths.shape[1:3]) >= SMALLEST
                nothing = np.full(len(truths), np.nan)
                scores["perceptual"] = self.perceptual(truths, results) if large else nothing
        if len(draws) > 1:
            levels = np.stack(draws).astype(np.float64)  # (K, B, H, W, C)
            mean = _unit(self._inside(np.rint(levels.mean(axis=0))))
            scores["psnr_mean"] = _psnr(truth, mean)
            if is_rgb:
                scores["psnr_luma_mean"] = _psnr(truth, mean, luma=True)
            scores["diversity"] = levels.std(axis=0, ddof=1).mean(axis=(1, 2, 3))
        for name, values in scores.items():
            self.columns.setdefault(name, []).extend(values.tolist())
        self.names.extend(batch.names)
        self.kept.extend(zip(low_res, results, truths, strict=True))
        for network, extract in self.extractors.items() if is_rgb else ():
            pair = (extract(self._patches(truths)), extract(self._patches(results)))
            self.features.setdefault(network, []).append(pair)

    def _inside(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """(B, H, W, C) without the border."""
        height, width = pixels.shape[1:3]
        if min(height, width) - 2 * self.border < metrics.SSIM_WINDOW:
            raise UsageError(
                f"got a border of {self.border} for a picture of {width}x{height}; expected at "
                f"least {metrics.SSIM_WINDOW} pixels inside it: make it narrower"
            )
        return pixels[:, self.border : height - self.border, self.border : width - self.border]

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
        """By field; None where a metric was not computed, or not of every picture."""
        means = {
            name: None if np.isnan(values).any() else metrics.bootstrap(values, seed)
            for name, values in self.columns.items()
        }
        maybe = ("psnr_luma", "ssim_luma", "perceptual", "psnr_mean", "psnr_luma_mean", "diversity")
        return {**dict.fromkeys(maybe), **means}

    def notes(self) -> list[str]:
        """Why a mean is missing."""
        small = int(np.isnan(self.columns.get("perceptual", [])).sum())
        if not small:
            return []
        return [
            f"perceptual was left out: {small} of the {len(self.names)} pictures are smaller than "
            f"{SMALLEST}x{SMALLEST}"
        ]

    def distances(self, seed: int) -> tuple[dict[str, Interval | None], list[str]]:
        """Kernel and Fréchet distances of the results from the truths, by field, and what to know
        of them.
        """
        found: dict[str, Interval | None] = {
            name: None for pair in DISTANCES.values() for name in pair
        }
        notes = []
        if self.extractors and not self.features:
            notes.append("feature networks see RGB alone: no distances, and no scores of luma")
        for network, batches in self.features.items():
            kernel, frechet = DISTANCES[network]
            truth, result = (np.concatenate(side) for side in zip(*batches, strict=True))
            if len(truth) < 2:
                notes.append(f"{kernel} and {frechet} need at least 2 pictures")
                continue
            found[kernel] = kernel_distance_interval(truth, result, seed=seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SmallSampleWarning)  # it becomes a note
                found[frechet] = frechet_distance_interval(truth, result, seed=seed)
            if bias := frechet_bias(*truth.shape):
                notes.append(f"{frechet}: {bias} ({kernel})")
        return found, notes

    def scores(self) -> tuple[PictureScore, ...]:
        wanted = [name for name in PictureScore.model_fields if name != "name"]
        nothing: list[float | None] = [None] * len(self.names)
        rows = zip(self.names, *(self.columns.get(name, nothing) for name in wanted), strict=True)
        return tuple(
            PictureScore(name=name, **_known(dict(zip(wanted, values, strict=True))))
            for name, *values in rows
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
        bicubic = quantise(self.degradation.upsample(2 * _unit(low_res) - 1))
        psnr = _psnr(_unit(truth[None]), _unit(bicubic[None]))
        return Example(
            title=title,
            score=score,
            bicubic_psnr=float(psnr[0]),
            low_res=_picture(low_res),
            bicubic=_picture(bicubic),
            result=_picture(result),
            truth=_picture(truth),
        )
