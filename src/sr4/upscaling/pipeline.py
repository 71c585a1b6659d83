"""Picture in, picture out, by one diffusion model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict, overload

from sr4.config import ModelConfig
from sr4.diffusion.samplers import OnStep
from sr4.errors import UsageError
from sr4.evidence.choose import AUTO, Blur
from sr4.evidence.kinds import Evidence
from sr4.files.unfinished import UnfinishedFile
from sr4.model.diffusion_model import DiffusionModel
from sr4.upscaling.asked import Asked
from sr4.upscaling.calls import upscaled
from sr4.upscaling.drawing import Drawing
from sr4.upscaling.given import Picture
from sr4.upscaling.result import Result

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SharedOptions(TypedDict, total=False):
    """The options that `upscale` of one model and of a cascade have in common."""

    sampler: str | None
    seed: int
    samples: int
    use_mean: bool
    detail: float | None
    consistency: bool | None
    evidence: str | Evidence | Sequence[str | Evidence]
    noise: float | None
    blur: Blur
    scale: float | None
    width: int | None
    height: int | None
    tile: int | None
    on_step: OnStep | None


class Options(SharedOptions, total=False):
    """The options of `Pipeline.upscale`, which explains them."""

    steps: int | None


class Pipeline:
    """Upscales pictures with a diffusion model. Any number of threads may use one at once; pickled
    and deep copies open the model again.

    Args:
        model: the model.
        reopen: makes the same pipeline again, wherever a copy is wanted; it is pickled itself.

    Examples:
        >>> import sr4
        >>> model = sr4.load("sr4-fast")
        >>> model.upscale(picture, seed=0).image.save("large.png")
    """

    def __init__(self, model: DiffusionModel, reopen: Callable[[], Pipeline] | None = None) -> None:
        self.model = model
        self._reopen = reopen

    def __reduce__(self) -> tuple[Callable[[], Pipeline], tuple[()]]:
        if self._reopen is None:
            raise UsageError(
                f"got a pipeline of the model {self.model.name!r}, made in memory, to pickle or "
                "copy; expected one of a folder: open it with sr4.load"
            )
        return self._reopen, ()

    def __repr__(self) -> str:
        return f"Pipeline({self.model.name!r}, x{self.scale}, on {self.backend})"

    @property
    def config(self) -> ModelConfig:
        """The model's description."""
        return self.model.config

    @property
    def first_config(self) -> ModelConfig:
        """The config of the model that pictures go through first: this one."""
        return self.config

    @property
    def scale(self) -> int:
        """The factor between a picture and its result."""
        return self.config.scale

    @property
    def backend(self) -> str:
        """The runtime that the network runs on."""
        return self.model.network.name

    @overload
    def upscale(  # type: ignore[overload-overlap] # a str is a sequence of them, but no list
        self, image: Picture, **options: Unpack[Options]
    ) -> Result: ...

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
        detail: float | None = None,
        consistency: bool | None = None,
        evidence: str | Evidence | Sequence[str | Evidence] = AUTO,
        noise: float | None = None,
        blur: Blur = None,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        tile: int | None = None,
        on_step: OnStep | None = None,
        unfinished: UnfinishedFile | None = None,
    ) -> Result | list[Result]:
        """Upscale a picture, or each of a list.

        Args:
            image: a picture file by its path, its bytes or a binary stream; a PIL picture of any
                mode; an array (h, w) or (h, w, N), of uint8, uint16 or floats in [0, 1], or of any
                numbers for a model with a `data_range`, N being the model's channels, or 1 (grey),
                2 (grey, alpha), 3 (RGB) or 4 (RGBA); or a Raster. Or a list or tuple of them, in
                which sizes may differ. Files and PIL pictures are turned upright as EXIF says, and
                results keep their profile and metadata. Alpha is enlarged apart, without the
                network.
            steps: network evaluations a sample; the model's own by default.
            sampler: "ddpm", "ddim" or "dpmpp"; the model's own by default.
            seed: sample k of every picture uses seed + k, so that a picture gives the same
                result alone and in any list.
            samples: how many to draw.
            use_mean: take the mean of the samples as the result's image.
            detail: from 0, the mean of all pictures that fit, nearest to the truth and soft, to 1,
                a sample, with all the detail that a real picture has; the model's own by default.
                Models that were not distilled to one step have no values in between.
            consistency: keep the result on the pictures that do not contradict the input, as by
                default. False is the same as evidence "none".
            evidence: what the picture is taken to say: "exact" (its pixels), "jpeg" (the
                coefficients of a JPEG file, or of one that the pixels show), "noise" (its pixels,
                to a deviation), "none"; an Evidence of `sr4.evidence`; or a list of these, one for
                each picture. "auto" takes "jpeg" for an opened JPEG file, for other opened files
                what their pixels show, and "exact" for arrays; see docs/evidence.md.
            noise: deviation of the picture's noise in levels of 255, if that is known.
            blur: deviation of the Gaussian blur that the picture went through before it was
                downscaled, in its pixels; "auto" to estimate it. Results are sharper by as much.
            scale: the factor between a picture and its result, at least 1; the model's own by
                default. For another one the model draws as often as needed, each time on its own
                result, and what it drew is scaled down, or up by a tenth at most, and made to
                satisfy the evidence under bicubic downscaling from the size asked for.
            width, height: of the result in pixels, in the place of a scale. With one of them the
                other keeps the shape of the picture; with both each axis has its own factor.
            tile: edge of the tiles that a larger result is made of, in pixels; 0 makes it whole. By
                default results above 512x512 are made of tiles: twice as large as the pictures that
                the model was trained on, larger where fewer pixels are then drawn twice, and
                smaller where memory is short.
            on_step: called with a `sr4.diffusion.samplers.Step` after each sampling step of each
                batch, with x and x_0 in the model's own scale. Of a result made of tiles, it is
                called after each band, once all sampling steps have been through it: number and
                total count bands, and x and x_0 are both those rows of the finished first sample,
                (N, rows, W) in [-1, 1], without a batch axis. Its `preview` shows the first
                picture. Raising from it cancels.
            unfinished: keeps the bands of the result of one picture that is made of tiles, and has
                those of a call that was stopped; `sr4.batch` sees to it.

        Returns:
            A Result, or a list of them in the order given.

        Raises:
            PictureError: a picture the model cannot take, or larger than its result is to be.
            UsageError: an impossible option.
            ModelError: the network fails.
        """
        asked = Asked(
            steps=steps,
            sampler=sampler,
            seed=seed,
            samples=samples,
            use_mean=use_mean,
            detail=detail,
            consistency=consistency,
            evidence=evidence,
            noise=noise,
            blur=blur,
            scale=scale,
            width=width,
            height=height,
            tile=tile,
        )

        def drawings(used: bool) -> list[Drawing]:
            drawing = self.drawing(steps, sampler, used, tile, on_step, detail)
            return [replace(drawing, unfinished=unfinished)]

        return upscaled(image, [self.model], self.model.degradation, drawings, asked)

    __call__ = upscale

    def drawing(
        self,
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        tile: int | None = None,
        on_step: OnStep | None = None,
        detail: float | None = None,
    ) -> Drawing:
        """How the model draws with these options of `upscale`.

        Raises:
            UsageError: an impossible one.
        """
        if on_step is not None and not callable(on_step):
            raise UsageError(f"got on_step {on_step!r}; expected a function of a Step")
        settings = self.model.sampling(steps, sampler, consistency, detail)
        return Drawing(self.model, settings, tile, on_step)

    def check_options(
        self,
        steps: int | Sequence[int] | None,
        sampler: str | None,
        tile: int | None,
        detail: float | None = None,
    ) -> None:
        """Refuse what `upscale` would refuse for every picture.

        Raises:
            UsageError: an impossible option.
        """
        if isinstance(steps, Sequence):
            raise UsageError(f"got steps {steps!r} for one model; expected a single number")
        self.drawing(steps, sampler, tile=tile, detail=detail)
