"""Picture in, picture out: conversion, seeds, samples and batches around a diffusion model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig, SamplingSettings
from sr4.diffusion.samplers import OnStep
from sr4.errors import ModelError, PictureError, UsageError
from sr4.images import reason, to_array
from sr4.model import DEFAULT_MODEL, DiffusionModel, load_model
from sr4.result import Result, large_result, whole_result
from sr4.tiling import BandedSampling, multiple

if TYPE_CHECKING:
    from typing_extensions import Unpack

Floats = NDArray[np.float32]
Picture = Image.Image | NDArray[Any]

MAX_RESULT_PIXELS = 2**28  # 16,384x16,384: the 8-bit pixels alone take 0.8 GB
MAX_RESULT_SIDE = 2**16
_WHOLE_PIXELS = 2**18  # results up to this size are drawn whole, larger ones in tiles
_OVERLAP = 32  # of tiles, or what comes nearest; at most half a tile
_BATCH_PIXELS = 16 * 128 * 128  # high-res pixels that go through the network together


class Options(TypedDict, total=False):
    """The options of `Pipeline.upscale`, which explains them."""

    steps: int | None
    sampler: str | None
    seed: int
    samples: int
    use_mean: bool
    consistency: bool
    tile: int | None
    on_step: OnStep | None


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
            consistency: keep the result on the pictures whose degraded version is the input.
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
        if samples < 1:
            raise UsageError(f"got {samples} samples; expected at least 1")
        pictures: Sequence[object] = image if isinstance(image, (list, tuple)) else [image]
        low_res = [_as_array(picture) for picture in pictures]
        self._check_sizes(low_res)
        settings = self.model.sampling(steps, sampler, consistency)
        self.check_tile(tile)
        seeds = range(seed, seed + samples)
        large = {i for i, low in enumerate(low_res) if self._needs_tiles(low, tile)}
        drawn = self._draw_whole(
            {i: low for i, low in enumerate(low_res) if i not in large}, seeds, settings, on_step
        )
        results = [
            self._draw_in_tiles(low, seeds, settings, tile, use_mean, on_step)
            if index in large
            else whole_result(
                self.model, low, np.stack(drawn[index]), use_mean, consistency=consistency
            )
            for index, low in enumerate(low_res)
        ]
        return results if pictures is image else results[0]

    def _draw_whole(
        self,
        low_res: Mapping[int, Floats],
        seeds: Sequence[int],
        settings: SamplingSettings,
        on_step: OnStep | None,
    ) -> Mapping[int, list[Floats]]:
        """The samples of each picture; all that fit go through the network together."""
        drawn: dict[int, list[Floats]] = {index: [] for index in low_res}
        for batch in self._batches(low_res, len(seeds)):
            outputs = self.model.sample(
                np.stack([low_res[index] for index, _ in batch]),
                seeds=[seeds[number] for _, number in batch],
                steps=settings.steps,
                sampler=settings.sampler,
                consistency=settings.consistency,
                on_step=on_step,
            )
            for (index, _), output in zip(batch, outputs, strict=True):
                drawn[index].append(output)
        return drawn

    def check_tile(self, tile: int | None) -> None:
        """Refuse tiles that do not fit the network.

        Raises:
            UsageError: says which do.
        """
        least = multiple(self.model)
        if tile and (tile < 2 * least or tile % least):
            below = max(2 * least, tile // least * least)
            raise UsageError(
                f"got tiles of {tile} pixels; expected a multiple of {least}, at least "
                f"{2 * least}, such as {below}, or 0 for none"
            )

    def _needs_tiles(self, low_res: Floats, tile: int | None) -> bool:
        height, width = (int(side) * self.config.scale for side in low_res.shape[1:])
        if tile is None:
            return height * width > _WHOLE_PIXELS
        return 0 < tile < max(height, width)

    def _draw_in_tiles(
        self,
        low_res: Floats,
        seeds: Sequence[int],
        settings: SamplingSettings,
        tile: int | None,
        use_mean: bool,
        on_step: OnStep | None,
    ) -> Result:
        """A result made of tiles, of smaller ones where memory does not suffice."""
        least = multiple(self.model)
        edge = tile or max(2, 2 * self.config.image_size // least) * least
        while True:
            overlap = max(1, min(_OVERLAP, edge // 2) // least) * least
            samplings = [
                BandedSampling(self.model, low_res, one, settings, tile=edge, overlap=overlap)
                for one in seeds
            ]
            try:
                return large_result(samplings, use_mean, on_step)
            except MemoryError:
                smaller = edge // 2 // least * least
                if tile is not None or smaller < 2 * least:
                    raise
                edge = smaller

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

    def _batches(
        self, low_res: Mapping[int, Floats], samples: int
    ) -> Iterator[list[tuple[int, int]]]:
        """Draws (index of the picture, number of the sample) that go together, of one size."""
        sizes: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for index, low in low_res.items():
            sizes.setdefault(low.shape[1:], []).extend((index, k) for k in range(samples))
        for size, draws in sizes.items():
            count = max(1, _BATCH_PIXELS // (math.prod(size) * self.config.scale**2))
            yield from (draws[i : i + count] for i in range(0, len(draws), count))


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
