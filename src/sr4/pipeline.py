"""Picture in, picture out: padding, seeds, samples and batches around a diffusion model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig
from sr4.degradation import Degradation
from sr4.diffusion.samplers import OnStep
from sr4.errors import PictureError, UsageError
from sr4.images import quantise, to_array, to_image
from sr4.model import DEFAULT_MODEL, DiffusionModel, load_model

Floats = NDArray[np.float32]
Picture = Image.Image | NDArray[Any]

MAX_RESULT_PIXELS = 2**20  # pictures are processed whole; attention grows with their area squared
_BATCH_PIXELS = 16 * 128 * 128  # high-res pixels that go through the network together


@dataclass(frozen=True)
class Result:
    """What `upscale` gives for one picture.

    Attributes:
        image: the result, 8-bit RGB.
        samples: all K samples, 8-bit RGB, the first one first.
        mean: mean of the samples, 8-bit RGB; closer to the truth than any one of them, and softer.
        uncertainty: (H, W) float32, deviation of the samples, mean over the channels, on the
            [0, 1] scale: how much of each pixel was invented. Zero for a single sample.
        consistency: `mean((D(image) - low_res)²)` on the [0, 1] scale, x 1e-5, of the 8-bit image.
    """

    image: Image.Image
    samples: tuple[Image.Image, ...]
    mean: Image.Image
    uncertainty: Floats
    consistency: float


class Pipeline:
    """Upscales pictures with a diffusion model.

    Example:
        >>> import sr4
        >>> model = sr4.load("sr4-fast")
        >>> model.upscale(picture, seed=0).image.save("large.png")
    """

    def __init__(self, model: DiffusionModel) -> None:
        self.model = model

    @property
    def config(self) -> ModelConfig:
        """The model's description."""
        return self.model.config

    def upscale(
        self,
        image: Picture | list[Picture],
        *,
        steps: int | None = None,
        sampler: str | None = None,
        seed: int = 0,
        samples: int = 1,
        use_mean: bool = False,
        consistency: bool = True,
        on_step: OnStep | None = None,
    ) -> Any:
        """Upscale a picture, or each of a list.

        Args:
            image: a PIL picture, or an array (h, w, 3): uint8, or float in [0, 1].
            steps: network evaluations a sample; the model's own by default.
            sampler: "ddpm", "ddim" or "dpmpp"; the model's own by default.
            seed: sample k of every picture uses seed + k, so that a picture gives the same
                result alone and in any list.
            samples: how many to draw.
            use_mean: take the mean of the samples as the result's image.
            consistency: keep the result on the pictures whose degraded version is the input.
            on_step: called after each sampling step; see `sr4.diffusion.samplers.sample`.

        Returns:
            A Result, or a list of them in the order given.

        Raises:
            PictureError: a picture the model cannot take.
            UsageError: an impossible option.
        """
        if samples < 1:
            raise UsageError(f"got {samples} samples; expected at least 1")
        pictures = image if isinstance(image, list) else [image]
        low_res = [_as_array(picture) for picture in pictures]
        jobs = [(index, seed + k) for index in range(len(low_res)) for k in range(samples)]
        drawn: list[list[Floats]] = [[] for _ in low_res]
        for batch in self._batches(low_res, jobs):
            padded = np.stack([self._pad(low_res[index]) for index, _ in batch])
            outputs = self.model.sample(
                padded,
                seeds=[job_seed for _, job_seed in batch],
                steps=steps,
                sampler=sampler,
                consistency=consistency,
                on_step=on_step,
            )
            for (index, _), output in zip(batch, outputs, strict=True):
                drawn[index].append(self._crop(output, low_res[index], consistency))
        results = [
            self._result(low, np.stack(outputs), use_mean, consistency)
            for low, outputs in zip(low_res, drawn, strict=True)
        ]
        return results if isinstance(image, list) else results[0]

    def _batches(
        self, low_res: list[Floats], jobs: list[tuple[int, int]]
    ) -> list[list[tuple[int, int]]]:
        """Jobs (picture, seed) of one padded size together, as many as fit a batch."""
        groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for job in jobs:
            groups.setdefault(self._padded_size(low_res[job[0]]), []).append(job)
        batches = []
        for (height, width), members in groups.items():
            pixels = height * width * self.config.scale**2
            if pixels > MAX_RESULT_PIXELS:
                limit = math.isqrt(MAX_RESULT_PIXELS) // self.config.scale
                raise PictureError(
                    f"got a {width}x{height} low-res picture; expected at most {limit}x{limit} "
                    f"for a model of scale {self.config.scale}: crop or shrink it first"
                )
            count = max(1, _BATCH_PIXELS // pixels)
            batches += [members[i : i + count] for i in range(0, len(members), count)]
        return batches

    def _padded_size(self, low_res: Floats) -> tuple[int, int]:
        """Smallest low-res size that holds the picture and fits the network."""
        multiple = math.lcm(self.config.scale, self.config.size_multiple) // self.config.scale
        _, height, width = low_res.shape
        return (-(-height // multiple) * multiple, -(-width // multiple) * multiple)

    def _pad(self, low_res: Floats) -> Floats:
        height, width = self._padded_size(low_res)
        below, right = height - low_res.shape[1], width - low_res.shape[2]
        # Symmetric reflection works for any padding, also one larger than the picture.
        return np.pad(low_res, ((0, 0), (0, below), (0, right)), mode="symmetric")

    def _crop(self, output: Floats, low_res: Floats, consistency: bool) -> Floats:
        scale = self.config.scale
        _, height, width = low_res.shape
        if output.shape[1:] == (height * scale, width * scale):
            return output
        cropped = np.ascontiguousarray(output[:, : height * scale, : width * scale])
        if not consistency:
            return cropped
        # The operator sees another border now than in the padded picture.
        return _fit(self.model.degradation, cropped, low_res)

    def _result(
        self, low_res: Floats, samples: Floats, use_mean: bool, consistency: bool
    ) -> Result:
        degradation = self.model.degradation
        mean = samples.mean(axis=0)
        if consistency:
            mean = _fit(degradation, mean, low_res)  # clipping made the samples leave the plane
        chosen = mean if use_mean else samples[0]
        pixels = np.moveaxis(quantise(chosen), -1, 0).astype(np.float64) / 255
        misfit = degradation(pixels) - (low_res.astype(np.float64) + 1) / 2
        images = tuple(to_image(sample) for sample in samples)
        return Result(
            image=to_image(chosen),
            samples=images,
            mean=to_image(mean),
            uncertainty=(samples.std(axis=0).mean(axis=0) / 2).astype(np.float32),
            consistency=float(np.mean(misfit**2)) / 1e-5,
        )


def _fit(degradation: Degradation, picture: Floats, low_res: Floats) -> Floats:
    fitted: Floats = degradation.project(picture, low_res, rounds=5, value_range=(-1.0, 1.0))
    return fitted


def _as_array(picture: Picture) -> Floats:
    """(C, h, w) float32 in [-1, 1] of a PIL picture or an (h, w, 3) array."""
    if isinstance(picture, Image.Image):
        return to_array(picture)
    array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise PictureError(f"got an array of shape {array.shape}; expected (height, width, 3)")
    if array.dtype == np.uint8:
        return to_array(Image.fromarray(array))
    if not np.issubdtype(array.dtype, np.floating):
        raise PictureError(f"got an array of {array.dtype}; expected uint8, or floats in [0, 1]")
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise PictureError("got floats outside [0, 1] or not finite; expected them in [0, 1]")
    return np.ascontiguousarray(np.moveaxis(array, 2, 0), dtype=np.float32) * 2 - 1


def load(
    name: str | Path = DEFAULT_MODEL, *, backend: str = "auto", device: str = "auto"
) -> Pipeline:
    """A ready pipeline for a model by name or folder.

    Args:
        name: a shipped model ("sr4-fast"), a model folder, or a run folder.
        backend: "auto", "torch", "onnx" or "openvino"; exported models need no torch.
        device: "auto", "cpu", "cuda" or "mps", for the torch backend.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    return Pipeline(load_model(name, backend=backend, device=device))
