"""Picture in, picture out: conversion, seeds, samples and batches around a diffusion model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig
from sr4.diffusion.samplers import OnStep
from sr4.drawing import Draw, Drawing, check_tile
from sr4.errors import ModelError, PictureError, UsageError
from sr4.images import reason, to_array
from sr4.model import DiffusionModel
from sr4.result import Result

if TYPE_CHECKING:
    from typing_extensions import Unpack

Floats = NDArray[np.float32]
Picture = Image.Image | NDArray[Any]

MAX_RESULT_PIXELS = 2**28  # 16,384x16,384: the 8-bit pixels alone take 0.8 GB
MAX_RESULT_SIDE = 2**16


class SharedOptions(TypedDict, total=False):
    """The options that `upscale` of one model and of a cascade have in common."""

    sampler: str | None
    seed: int
    samples: int
    use_mean: bool
    consistency: bool | None
    tile: int | None
    on_step: OnStep | None


class Options(SharedOptions, total=False):
    """The options of `Pipeline.upscale`, which explains them."""

    steps: int | None


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

    @property
    def scale(self) -> int:
        """The factor between a picture and its result."""
        return self.config.scale

    @property
    def backend(self) -> str:
        """The runtime that the network runs on."""
        return self.model.network.name

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
        consistency: bool | None = None,
        tile: int | None = None,
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
            consistency: keep the result on the pictures whose degraded version is the input. By
                default so, unless the model was trained to undo what corrupts its input
                (`data.corruption`), as a result that fits the input keeps its noise.
            tile: edge of the tiles that a larger result is made of, in pixels; 0 makes it whole. By
                default results above 512x512 are made of tiles twice as large as the pictures that
                the model was trained on, and of smaller ones where memory is short.
            on_step: called after each sampling step of each batch, or band of a result made of
                tiles; see `sr4.diffusion.samplers.sample`. Raising from it cancels.

        Returns:
            A Result, or a list of them in the order given.

        Raises:
            PictureError: a picture the model cannot take.
            UsageError: an impossible option.
            ModelError: the network fails.
        """
        low_res = given_arrays(image, self.scale)
        drawing = self.drawing(steps, sampler, consistency, tile, on_step)
        seeds = sample_seeds(seed, samples)
        draws = [[Draw(low, one) for one in seeds] for low in low_res]
        results = drawing.results(draws, low_res, self.model.degradation, use_mean)
        return results if isinstance(image, (list, tuple)) else results[0]

    def drawing(
        self,
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        tile: int | None = None,
        on_step: OnStep | None = None,
    ) -> Drawing:
        """How the model draws with these options of `upscale`.

        Raises:
            UsageError: an impossible one.
        """
        if consistency is None:
            consistency = self.config.corruption == "none"
        settings = self.model.sampling(steps, sampler, consistency)
        return Drawing(self.model, settings, tile, on_step)

    def check_options(self, steps: int | None, sampler: str | None, tile: int | None) -> None:
        """Refuse what `upscale` would refuse for every picture.

        Raises:
            UsageError: an impossible option.
        """
        self.drawing(steps, sampler, tile=tile)

    def check_tile(self, tile: int | None) -> None:
        """Refuse tiles that do not fit the network.

        Raises:
            UsageError: says which do.
        """
        check_tile(self.model, tile)


def given_arrays(image: object, scale: int) -> list[Floats]:
    """(3, h, w) float32 in [-1, 1] of a picture, or of each of a list or tuple.

    Args:
        scale: between the pictures and their results, which may not be too large.

    Raises:
        PictureError: a picture that cannot be taken.
    """
    pictures: Sequence[object] = image if isinstance(image, (list, tuple)) else [image]
    low_res = [_as_array(picture) for picture in pictures]
    for _, height, width in (low.shape for low in low_res):
        too_many = height * width * scale**2 > MAX_RESULT_PIXELS
        if too_many or max(height, width) * scale > MAX_RESULT_SIDE:
            side = math.isqrt(MAX_RESULT_PIXELS) // scale
            raise PictureError(
                f"got a {width}x{height} low-res picture; expected at most {side}x{side}, or "
                f"as many pixels with no side above {MAX_RESULT_SIDE // scale}, for a model of "
                f"scale {scale}: crop or shrink it first"
            )
    return low_res


def sample_seeds(seed: int, samples: int) -> range:
    """The seed of each sample.

    Raises:
        UsageError: there are none.
    """
    if samples < 1:
        raise UsageError(f"got {samples} samples; expected at least 1")
    return range(seed, seed + samples)


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
