"""Validation: the averaged network draws a few pictures, which are scored and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sr4.build import build_corruption, build_degradation
from sr4.config import ModelConfig, TrainingSettings
from sr4.data.evaluation import EvaluationBatch, evaluation_batches
from sr4.data.sources import Source
from sr4.diffusion.samplers import Step
from sr4.evaluation.observed import Observed
from sr4.evaluation.table import OF_PICTURES
from sr4.model.diffusion_model import DiffusionModel
from sr4.networks.attention_input import InputAttention
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
    of some of them. With an attention over its inputs, also the mean and the
    standard deviation of its map over all evaluations, "map_mean" and "map_spread".

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
    # One schedule's tables end at their own number of steps; training may have fewer to spare.
    steps = min(training.validation_steps, config.sampling.steps)
    scores: dict[str, list[float]] = {}
    rows = []
    with _watched_map(network) as map_figures:
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
            for low, out, truth in zip(batch.low_res, result, batch.high_res, strict=True):
                bicubic = np.asarray(model.degradation.upsample(low))
                pictures = {"low-res": low, "bicubic": bicubic, "result": out, "truth": truth}
                rows.append({label: to_image(shown(array)) for label, array in pictures.items()})
    with writing(picture):
        picture.parent.mkdir(exist_ok=True)
        write_image(comparison_picture(rows[:_ROWS], height=128), picture, overwrite=True)
    means = {field: float(np.mean(values)) for field, values in scores.items()}
    return means | map_figures()


@contextmanager
def _watched_map(network: nn.Module) -> Iterator[Callable[[], dict[str, float]]]:
    """The figures of the map that an attention over the inputs, if there is one, has given so far
    inside the context.
    """
    sums: list[Tensor] = []  # of one evaluation each: number of values, their sum, their squares'

    def add(module: nn.Module, inputs: object, attention_map: Tensor) -> None:
        values = attention_map.double()
        sums.append(torch.stack([torch.ones_like(values), values, values**2]).flatten(1).sum(1))

    def figures() -> dict[str, float]:
        if not sums:
            return {}
        count, total, squares = torch.stack(sums).sum(0).tolist()
        mean = total / count
        return {"map_mean": mean, "map_spread": max(squares / count - mean**2, 0.0) ** 0.5}

    watched = [module for module in network.modules() if isinstance(module, InputAttention)]
    handles = [module.register_forward_hook(add) for module in watched]
    try:
        yield figures
    finally:
        for handle in handles:
            handle.remove()


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
