"""Collects the scores of pictures, batch by batch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.data.evaluation import EvaluationBatch
from sr4.degradation import Degradation
from sr4.evaluation import metrics
from sr4.evaluation.features import (
    FeatureExtractor,
    Features,
    SmallSampleWarning,
    frechet_bias,
    frechet_distance,
    kernel_distance_interval,
)
from sr4.evaluation.metrics import Float64, Interval
from sr4.evaluation.report import Example, PictureScore
from sr4.images import quantise

Pixels = NDArray[np.uint8]  # (B, H, W, 3)

PSNR_LIMIT = 100.0  # dB; an exact result would make every mean infinite
CONSISTENCY_UNIT = 1e-5


def _unit(pixels: NDArray[np.uint8] | Float64) -> Float64:
    """8-bit levels (B, H, W, C) to (B, C, H, W) in [0, 1]."""
    return np.asarray(np.moveaxis(pixels, -1, -3) / 255.0)


def _psnr(truth: Float64, result: Float64, *, luma: bool = False) -> Float64:
    return np.minimum(metrics.psnr(truth, result, luma=luma), PSNR_LIMIT)


@dataclass
class Tally:
    """Collects the scores of batches."""

    degradation: Degradation
    extractor: FeatureExtractor | None
    names: list[str] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    # Of each picture: low_res, result, truth.
    kept: list[tuple[Pixels, Pixels, Pixels]] = field(default_factory=list)
    # Of each batch: of the truths, of the results.
    features: list[tuple[Features, Features]] = field(default_factory=list)

    def add(self, batch: EvaluationBatch, draws: list[Pixels]) -> None:
        truths, low_res, results = quantise(batch.high_res), quantise(batch.low_res), draws[0]
        truth, result = _unit(truths), _unit(results)
        raw_consistency = metrics.consistency(result, _unit(low_res), self.degradation)
        scores = {
            "psnr": _psnr(truth, result),
            "psnr_luma": _psnr(truth, result, luma=True),
            "ssim": metrics.ssim(truth, result, luma=False),
            "ssim_luma": metrics.ssim(truth, result, luma=True),
            "consistency": raw_consistency / CONSISTENCY_UNIT,
        }
        if len(draws) > 1:
            levels = np.stack(draws).astype(np.float64)  # (K, B, H, W, C)
            scores["psnr_mean"] = _psnr(truth, _unit(np.rint(levels.mean(axis=0))))
            scores["diversity"] = levels.std(axis=0, ddof=1).mean(axis=(1, 2, 3))
        for name, values in scores.items():
            self.columns.setdefault(name, []).extend(values.tolist())
        self.names.extend(batch.names)
        self.kept.extend(zip(low_res, results, truths, strict=True))
        if self.extractor is not None:
            self.features.append((self.extractor(truths), self.extractor(results)))

    def means(self, seed: int) -> dict[str, Interval | None]:
        means = {name: metrics.bootstrap(values, seed) for name, values in self.columns.items()}
        return {"psnr_mean": None, "diversity": None, **means}

    def distances(self, seed: int) -> tuple[Interval | None, float | None, list[str]]:
        """Kernel and Fréchet distance of the results from the truths, and what to know of them."""
        if not self.features:
            return None, None, []
        if len(self.names) < 2:
            return None, None, ["kid_efflite0 and fd_efflite0 need at least 2 pictures"]
        truth, result = (np.concatenate(side) for side in zip(*self.features, strict=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)  # it becomes a note
            fd = frechet_distance(truth, result)
        bias = frechet_bias(*truth.shape)
        return kernel_distance_interval(truth, result, seed=seed), fd, [bias] if bias else []

    def scores(self) -> tuple[PictureScore, ...]:
        wanted = [name for name in PictureScore.model_fields if name != "name"]
        rows = zip(self.names, *(self.columns[name] for name in wanted), strict=True)
        return tuple(
            PictureScore(name=name, **dict(zip(wanted, values, strict=True)))
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
            low_res=Image.fromarray(low_res),
            bicubic=Image.fromarray(bicubic),
            result=Image.fromarray(result),
            truth=Image.fromarray(truth),
        )
