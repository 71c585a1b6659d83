"""Picture in, picture out: conversion, seeds, samples and batches around a diffusion model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig
from sr4.diffusion.samplers import OnStep
from sr4.errors import ModelError, PictureError, UsageError
from sr4.images import reason, to_array, to_image
from sr4.model import DEFAULT_MODEL, DiffusionModel, load_model

if TYPE_CHECKING:
    from typing_extensions import Unpack

Floats = NDArray[np.float32]
Picture = Image.Image | NDArray[Any]

MAX_RESULT_PIXELS = 2**20  # pictures are processed whole; attention grows with their area squared
MAX_RESULT_SIDE = 8192  # the degradation's matrices grow with a side squared
_BATCH_PIXELS = 16 * 128 * 128  # high-res pixels that go through the network together


class Options(TypedDict, total=False):
    """The options of `Pipeline.upscale`, which explains them."""

    steps: int | None
    sampler: str | None
    seed: int
    samples: int
    use_mean: bool
    consistency: bool
    on_step: OnStep | None


@dataclass(frozen=True)
class Result:
    """What `upscale` gives for one picture. Pictures that are equal by definition are one object.

    Attributes:
        image: the result, 8-bit RGB: the first sample, or the mean where that was asked for.
        samples: all K samples, 8-bit RGB.
        mean: mean of the samples, 8-bit RGB; closer to the truth than any one of them, and softer.
        uncertainty: (H, W) float32, sample standard deviation over the K samples, mean over the
            channels, on the [0, 1] scale: how much of each pixel was invented. Zero where K is 1.
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
        if model.config.channels != 3:
            raise ModelError(
                f"{model.name}: takes {model.config.channels} channels; expected 3, since pictures "
                "are RGB: call its `sample` with arrays"
            )
        self.model = model

    @property
    def config(self) -> ModelConfig:
        """The model's description."""
        return self.model.config

    @overload
    def upscale(self, image: Picture, **options: Unpack[Options]) -> Result: ...

    @overload
    def upscale(self, image: Sequence[Picture], **options: Unpack[Options]) -> list[Result]: ...

    def upscale(
        self,
        image: Picture | Sequence[Picture],
        *,
        steps: int | None = None,
        sampler: str | None = None,
        seed: int = 0,
        samples: int = 1,
        use_mean: bool = False,
        consistency: bool = True,
        on_step: OnStep | None = None,
    ) -> Result | list[Result]:
        """Upscale a picture, or each of a list.

        Args:
            image: a PIL picture, or an array (h, w, 3): uint8, or float in [0, 1]. Or a list or
                tuple of them, in which sizes may differ.
            steps: network evaluations a sample; the model's own by default.
            sampler: "ddpm", "ddim" or "dpmpp"; the model's own by default.
            seed: sample k of every picture uses seed + k, so that a picture gives the same
                result alone and in any list.
            samples: how many to draw.
            use_mean: take the mean of the samples as the result's image.
            consistency: keep the result on the pictures whose degraded version is the input.
            on_step: called after each sampling step of each batch; see
                `sr4.diffusion.samplers.sample`. Raising from it cancels.

        Returns:
            A Result, or a list of them in the order given.

        Raises:
            PictureError: a picture the model cannot take.
            UsageError: an impossible option.
            ModelError: the network fails.
        """
        if samples < 1:
            raise UsageError(f"got {samples} samples; expected at least 1")
        pictures: Sequence[object] = image if isinstance(image, (list, tuple)) else [image]
        low_res = [_as_array(picture) for picture in pictures]
        self._check_sizes(low_res)
        drawn: list[list[Floats]] = [[] for _ in low_res]
        for batch in self._batches(low_res, samples):
            outputs = self.model.sample(
                np.stack([low_res[index] for index, _ in batch]),
                seeds=[seed + number for _, number in batch],
                steps=steps,
                sampler=sampler,
                consistency=consistency,
                on_step=on_step,
            )
            for (index, _), output in zip(batch, outputs, strict=True):
                drawn[index].append(output)
        results = [
            self._result(low, np.stack(outputs), use_mean, consistency)
            for low, outputs in zip(low_res, drawn, strict=True)
        ]
        return results if pictures is image else results[0]

    def _check_sizes(self, low_res: list[Floats]) -> None:
        scale = self.config.scale
        for _, height, width in (low.shape for low in low_res):
            too_many = height * width * scale**2 > MAX_RESULT_PIXELS
            if too_many or max(height, width) * scale > MAX_RESULT_SIDE:
                side = math.isqrt(MAX_RESULT_PIXELS) // scale
                raise PictureError(
                    f"got a {width}x{height} low-res picture; expected at most {side}x{side}, or "
                    f"as many pixels with no side above {MAX_RESULT_SIDE // scale}, for a model of "
                    f"scale {scale}: crop or shrink it first"
                )

    def _batches(self, low_res: list[Floats], samples: int) -> Iterator[list[tuple[int, int]]]:
        """Draws (index of the picture, number of the sample) that go together, of one size."""
        sizes: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for index, low in enumerate(low_res):
            sizes.setdefault(low.shape[1:], []).extend((index, k) for k in range(samples))
        for size, draws in sizes.items():
            count = max(1, _BATCH_PIXELS // (math.prod(size) * self.config.scale**2))
            yield from (draws[i : i + count] for i in range(0, len(draws), count))

    def _result(
        self, low_res: Floats, samples: Floats, use_mean: bool, consistency: bool
    ) -> Result:
        """From samples (K, C, H, W) in [-1, 1] to pictures."""
        drawn = tuple(to_image(sample) for sample in samples)
        mean, deviation = drawn[0], np.zeros_like(samples[0])
        if len(samples) > 1:
            average, deviation = samples.mean(axis=0), samples.std(axis=0, ddof=1)
            mean = to_image(self.model.fit(average, low_res) if consistency else average)
        chosen = mean if use_mean else drawn[0]
        pixels = np.moveaxis(np.asarray(chosen), -1, 0).astype(np.float64) / 255
        misfit = self.model.degradation(pixels) - (low_res.astype(np.float64) + 1) / 2
        return Result(
            image=chosen,
            samples=drawn,
            mean=mean,
            uncertainty=(deviation.mean(axis=0) / 2).astype(np.float32),  # [-1, 1] to [0, 1]
            consistency=float(np.mean(misfit**2)) / 1e-5,
        )


def _as_array(picture: object) -> Floats:
    """(3, h, w) float32 in [-1, 1] of a PIL picture or an (h, w, 3) array."""
    if isinstance(picture, (str, Path)):
        raise PictureError(
            f"got the file name {str(picture)!r}; expected a picture: open it with PIL.Image.open"
        )
    array = _pixels(picture) if isinstance(picture, Image.Image) else np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise PictureError(
            f"got an array of shape {array.shape}; expected (height, width, 3), not empty"
        )
    if array.dtype == np.uint8:
        return to_array(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise PictureError(f"got an array of {array.dtype}; expected uint8, or floats in [0, 1]")
    if not (array.min() >= 0 and array.max() <= 1):  # a comparison with NaN is false
        raise PictureError("got floats outside [0, 1] or not finite; expected them in [0, 1]")
    return np.ascontiguousarray(np.moveaxis(array, 2, 0), dtype=np.float32) * 2 - 1


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    """uint8 (h, w, 3) of a PIL picture of any mode with 8 bits a channel; alpha is dropped."""
    if picture.mode[0] in "IF":
        raise PictureError(
            f"got a picture of mode {picture.mode}; expected 8 bits a channel, such as RGB: "
            "scale its values to 0 to 255 first"
        )
    try:
        # By RGBA, since palettes with transparency have no direct way.
        return np.asarray(picture.convert("RGBA"))[:, :, :3]
    except Exception as error:  # a file opened but not yet decoded; decoders raise any type
        raise PictureError(
            f"the given picture cannot be decoded ({reason(error)}); expected a whole one: its "
            "file is truncated or damaged"
        ) from error


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
        UsageError: unknown backend or device, or one that the other does not serve.
        MissingExtraError: the backend's runtime is not installed.
    """
    return Pipeline(load_model(name, backend=backend, device=device))
