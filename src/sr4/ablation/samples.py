"""The pictures of an ablation's page: what the systems got, what they made of it, and how."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.ablation.denoising import denoising_moments
from sr4.ablation.results import HALFWAY, SAMPLES
from sr4.data.evaluation import EvaluationBatch, evaluation_batches
from sr4.data.sources import Source
from sr4.degradation import Degradation
from sr4.model.diffusion_model import DiffusionModel
from sr4.pictures import write_image
from sr4.pictures.pixels import shown, to_image
from sr4.pictures.rgb import read_image

SHOWN = 6
_LAST = "steps.png"  # of what is written: where it is, all is


def write_inputs(out: Path, source: Source, degradation: Degradation) -> int:
    """Write the low-res, the bicubic and the true pictures; return how many there are."""
    batch = _shown(source, degradation)
    _write(out, "low_res", batch.low_res)
    _write(out, "bicubic", degradation.upsample(batch.low_res))
    _write(out, "truth", batch.high_res)
    return len(batch.names)


def write_samples(out: Path, model: DiffusionModel, source: Source) -> None:
    """Write a model's results for the shown pictures at its own number of steps, and the first
    one's way there. What is written already stays.
    """
    if is_drawn(out / SAMPLES / model.name):
        return
    batch = _shown(source, model.degradation)
    _write(out, model.name, model.sample(batch.low_res, seeds=range(len(batch.names))))
    frames = [one.picture for one in denoising_moments(model, batch.low_res[0]).values()]
    write_image(_side_by_side(frames), out / SAMPLES / model.name / _LAST, overwrite=True)


def is_drawn(folder: Path) -> bool:
    """Whether a system's folder holds all that is drawn with its model."""
    return (folder / _LAST).is_file()


def forget_samples(out: Path, name: str) -> None:
    """Have the samples of a system drawn again: its weights are about to be others."""
    (out / SAMPLES / name / _LAST).unlink(missing_ok=True)


def write_halfway(out: Path, drawn: Path, budget: int) -> None:
    """Copy into a system's folder what its run drew at the validation nearest to half of its
    budget, if it drew any before the end.

    Args:
        drawn: folder of the run's validation pictures, named by data position.
    """
    pictures = {int(path.stem): path for path in drawn.glob("*.png")}
    earlier = [images for images in pictures if images < budget]
    if earlier:
        nearest = min(earlier, key=lambda images: abs(images - budget / 2))
        write_image(read_image(pictures[nearest]), out / HALFWAY, overwrite=True)


def _shown(source: Source, degradation: Degradation) -> EvaluationBatch:
    return next(evaluation_batches(source, degradation=degradation, batch_size=SHOWN, limit=SHOWN))


def _write(out: Path, name: str, pictures: Iterable[NDArray[np.float32]]) -> None:
    folder = out / SAMPLES / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        write_image(to_image(shown(picture)), folder / f"{number}.png", overwrite=True)


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    width, height = pictures[0].size
    strip = Image.new("RGB", (width * len(pictures), height))
    for number, picture in enumerate(pictures):
        strip.paste(picture, (width * number, 0))
    return strip
