"""Picture in, picture out: conversion, seeds, samples and batches around a diffusion model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig, SamplingSettings
from sr4.diffusion.samplers import OnStep
from sr4.errors import PictureError, UsageError
from sr4.model import DEFAULT_MODEL, DiffusionModel, load_model
from sr4.pictures.raster import Parts, Raster, from_array, from_pil
from sr4.result import Result, large_result, whole_result
from sr4.tiling import BandedSampling, multiple

if TYPE_CHECKING:
    from typing_extensions import Unpack

Floats = NDArray[np.float32]
Picture = Image.Image | NDArray[Any] | Raster

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
            image: a PIL picture of any mode; or an array (h, w) or (h, w, N), of uint8, uint16 or
                floats in [0, 1], N being the model's channels, or 1 (grey), 2 (grey, alpha), 3
                (RGB) or 4 (RGBA); or a Raster. Or a list or tuple of them, in which sizes may
                differ. Alpha is enlarged apart, without the network.
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
        rasters = [_as_raster(picture, self.config.channels) for picture in pictures]
        self._check_sizes(rasters)
        settings = self.model.sampling(steps, sampler, consistency)
        self.check_tile(tile)
        seeds = range(seed, seed + samples)
        parts = [Parts(raster, self.config.channels).split() for raster in rasters]
        large = {i for i, raster in enumerate(rasters) if self._needs_tiles(raster, tile)}
        small = [(i, part) for i, own in enumerate(parts) if i not in large for part in own]
        drawn: dict[int, list[Floats]] = {}
        for (i, _), found in zip(
            small,
            self._draw_whole([part for _, part in small], seeds, settings, on_step),
            strict=True,
        ):
            drawn.setdefault(i, []).append(np.stack(found))
        results = [
            self._draw_in_tiles(raster, parts[i], seeds, settings, tile, use_mean, on_step)
            if i in large
            else whole_result(self.model, raster, drawn[i], use_mean, consistency=consistency)
            for i, raster in enumerate(rasters)
        ]
        return results if pictures is image else results[0]

    def _draw_whole(
        self,
        low_res: Sequence[Floats],
        seeds: Sequence[int],
        settings: SamplingSettings,
        on_step: OnStep | None,
    ) -> list[list[Floats]]:
        """The samples of each; all that fit go through the network together."""
        drawn: list[list[Floats]] = [[] for _ in low_res]
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

    def _needs_tiles(self, raster: Raster, tile: int | None) -> bool:
        width, height = (side * self.config.scale for side in raster.size)
        if tile is None:
            return height * width > _WHOLE_PIXELS
        return 0 < tile < max(height, width)

    def _draw_in_tiles(
        self,
        raster: Raster,
        parts: Sequence[Floats],
        seeds: Sequence[int],
        settings: SamplingSettings,
        tile: int | None,
        use_mean: bool,
        on_step: OnStep | None,
    ) -> Result:
        """A result made of tiles, of smaller ones where memory does not suffice."""
        model, least = self.model, multiple(self.model)
        edge = tile or max(2, 2 * self.config.image_size // least) * least
        while True:
            overlap = max(1, min(_OVERLAP, edge // 2) // least) * least
            samplings = [
                [
                    BandedSampling(model, part, one, settings, tile=edge, overlap=overlap)
                    for part in parts
                ]
                for one in seeds
            ]
            try:
                return large_result(model, raster, samplings, use_mean, on_step)
            except MemoryError:
                smaller = edge // 2 // least * least
                if tile is not None or smaller < 2 * least:
                    raise
                edge = smaller

    def _check_sizes(self, rasters: Sequence[Raster]) -> None:
        scale = self.config.scale
        for width, height in (raster.size for raster in rasters):
            too_many = height * width * scale**2 > MAX_RESULT_PIXELS
            if too_many or max(height, width) * scale > MAX_RESULT_SIDE:
                side = math.isqrt(MAX_RESULT_PIXELS) // scale
                raise PictureError(
                    f"got a {width}x{height} low-res picture; expected at most {side}x{side}, or "
                    f"as many pixels with no side above {MAX_RESULT_SIDE // scale}, for a model of "
                    f"scale {scale}: crop or shrink it first"
                )

    def _batches(self, low_res: Sequence[Floats], samples: int) -> Iterator[list[tuple[int, int]]]:
        """Draws (index of the picture, number of the sample) that go together, of one size."""
        sizes: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for index, low in enumerate(low_res):
            sizes.setdefault(low.shape[1:], []).extend((index, k) for k in range(samples))
        for size, draws in sizes.items():
            count = max(1, _BATCH_PIXELS // (math.prod(size) * self.config.scale**2))
            yield from (draws[i : i + count] for i in range(0, len(draws), count))


def _as_raster(picture: object, channels: int) -> Raster:
    """Of a PIL picture, an array or a raster, for a model of that many channels."""
    if isinstance(picture, (str, Path)):
        raise PictureError(
            f"got the file name {str(picture)!r}; expected a picture: open it with PIL.Image.open, "
            "or with sr4.read"
        )
    if isinstance(picture, Raster):
        return picture
    if isinstance(picture, Image.Image):
        return from_pil(picture)
    return from_array(np.asarray(picture), channels)


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
