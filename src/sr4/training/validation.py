"""Validation: the averaged network draws a few pictures, which are scored and shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import nn

from sr4.build import build_degradation
from sr4.comparison import comparison_picture
from sr4.config import ModelConfig, TrainingSettings
from sr4.data.evaluation import EvaluationBatch, evaluation_batches
from sr4.data.sources import Source
from sr4.evaluation.metrics import consistency, psnr
from sr4.images import to_image, write_image
from sr4.model import DiffusionModel
from sr4.runtime.torch_backend import TorchNetwork
from sr4.training.checkpoint import writing

_ROWS = 4


def check_pictures(config: ModelConfig, source: Source, training: TrainingSettings) -> None:
    """Read what `validate` will read, so that a bad picture ends a run at its start, not at its
    first validation.

    Raises:
        DataError: a picture cannot be read, or is too small.
    """
    for _ in _batches(config, source, training):
        pass


def validate(
    config: ModelConfig,
    network: nn.Module,
    source: Source,
    training: TrainingSettings,
    picture: Path,
) -> dict[str, float]:
    """PSNR (dB) and consistency (x 1e-5) of one sample each for the first pictures of a source, and
    a labelled picture of some of them.

    Args:
        network: the averaged network, called as `network(x_t, log_snr, low_res)`.
        picture: the PNG file to write.
    """
    device = next(network.parameters()).device
    precision = training.precision
    model = DiffusionModel(config, TorchNetwork(network, device, precision), config.recipe)
    # One schedule's tables end at their own number of steps; training may have fewer to spare.
    steps = min(training.validation_steps, config.sampling.steps)
    scores: list[tuple[float, float]] = []
    rows = []
    for batch in _batches(config, source, training):
        seeds = range(batch.position, batch.position + len(batch.names))
        result = model.sample(batch.low_res, seeds=seeds, steps=steps)
        unit = (result + 1) / 2
        fit = consistency(unit, (batch.low_res + 1) / 2, model.degradation) / 1e-5
        scores += zip(psnr(unit, (batch.high_res + 1) / 2), fit, strict=True)
        for low, out, truth in zip(batch.low_res, result, batch.high_res, strict=True):
            bicubic = np.asarray(model.degradation.upsample(low))
            pictures = {"low-res": low, "bicubic": bicubic, "result": out, "truth": truth}
            rows.append({label: to_image(array) for label, array in pictures.items()})
    with writing(picture.parent):
        picture.parent.mkdir(exist_ok=True)
    write_image(comparison_picture(rows[:_ROWS], height=128), picture, overwrite=True)
    means = np.mean(scores, axis=0)
    return {"psnr": float(means[0]), "consistency": float(means[1])}


def _batches(
    config: ModelConfig, source: Source, training: TrainingSettings
) -> Iterator[EvaluationBatch]:
    return evaluation_batches(
        source,
        degradation=build_degradation(config),
        batch_size=training.batch_size,
        limit=training.validation_images,
    )
