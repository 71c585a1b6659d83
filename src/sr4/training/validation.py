"""Validation: the averaged network draws a few pictures, which are scored and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL.Image import Image
from torch import nn

from sr4.build import build_corruption, build_degradation
from sr4.config import ModelConfig, TrainingSettings
from sr4.data.evaluation import EvaluationBatch, evaluation_batches
from sr4.data.sources import Source
from sr4.diffusion.samplers import Step
from sr4.evaluation.observed import Observed
from sr4.evaluation.table import OF_PICTURES
from sr4.model.diffusion_model import DiffusionModel
from sr4.networks.watched import watched
from sr4.pictures import write_image
from sr4.pictures.pixels import quantise, shown, to_image
from sr4.plots.comparison import comparison_picture
from sr4.runtime.torch_backend import TorchNetwork
from sr4.training.checkpoint import writing

_ROWS = 4


class Stopped(Exception):
    """A validation that was asked to end."""


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
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """The scores for validation in `sr4.evaluation.table`, PSNR (dB) and consistency (x 1e-5) among
    them, of one sample each for the first pictures of a source, in 8 bits; and a labelled picture
    of some of them. Also what the network itself has to say (see `sr4.networks.watched`).

    Args:
        network: the averaged network, called as `network(x_t, log_snr, low_res)`.
        picture: the PNG file to write.
        stop: asked after each step of a sampling whether to end here.

    Raises:
        Stopped: it was; nothing is written.
    """

    def end_if_asked(_: Step) -> None:
        if stop():
            raise Stopped

    device = next(network.parameters()).device
    precision = training.precision
    model = DiffusionModel(config, TorchNetwork(network, device, precision), config.recipe)
    # No more steps than the model samples with: the table of a schedule may have no more.
    steps = min(training.validation_steps, config.sampling.steps)
    scores: dict[str, list[float]] = {}
    rows: list[dict[str, Image]] = []
    with watched(network) as figures:
        for batch in _batches(config, source, training):
            seeds = range(batch.position, batch.position + len(batch.names))
            # What fits a corrupted picture keeps its noise.
            keeps = False if config.corruption != "none" else None
            result = model.sample(
                batch.low_res,
                seeds=seeds,
                steps=steps,
                consistency=keeps,
                known=batch.known,
                on_step=end_if_asked,
            )
            truths, drawn = quantise(batch.high_res), [quantise(result)]
            seen = Observed(truths, drawn, quantise(batch.low_res), model.degradation)
            for metric in OF_PICTURES:
                if metric.in_validation and (values := metric.of(seen)) is not None:
                    scores.setdefault(metric.field, []).extend(values.tolist())
            left = _ROWS - len(rows)  # that are shown of those that follow
            for low, out, truth in zip(
                batch.low_res[:left], result[:left], batch.high_res[:left], strict=True
            ):
                bicubic = np.asarray(model.degradation.upsample(low))
                pictures = {"low-res": low, "bicubic": bicubic, "result": out, "truth": truth}
                rows.append({label: to_image(shown(array)) for label, array in pictures.items()})
    with writing(picture):
        picture.parent.mkdir(exist_ok=True)
        write_image(comparison_picture(rows, height=128), picture, overwrite=True)
    means = {field: float(np.mean(values)) for field, values in scores.items()}
    return means | figures()


def _batches(
    config: ModelConfig, source: Source, training: TrainingSettings
) -> Iterator[EvaluationBatch]:
    return evaluation_batches(
        source,
        degradation=build_degradation(config),
        batch_size=training.batch_size,
        limit=training.validation_images,
        corruption=build_corruption(config.corruption),
    )
