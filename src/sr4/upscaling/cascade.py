"""Cascades: models one after the other, each drawing on the result of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from sr4.config import ModelConfig
from sr4.degradation import DegradationChain
from sr4.diffusion.samplers import OnStep
from sr4.errors import UsageError
from sr4.evidence.choose import AUTO, Blur
from sr4.evidence.kinds import Evidence
from sr4.files.unfinished import UnfinishedFile
from sr4.upscaling.asked import Asked
from sr4.upscaling.calls import upscaled
from sr4.upscaling.drawing import Drawing
from sr4.upscaling.given import Picture
from sr4.upscaling.pipeline import Pipeline, SharedOptions
from sr4.upscaling.result import Result

if TYPE_CHECKING:
    from typing_extensions import Unpack

Floats = NDArray[np.float32]


class CascadeOptions(SharedOptions, total=False):
    """The options of `CascadePipeline.upscale`, which explains them."""

    steps: int | Sequence[int] | None
    condition_noise: float


class CascadePipeline:
    """Upscales pictures with several models, one after the other (Ho et al. 2021, Cascaded
    Diffusion Models).

    Each stage's result is the next one's `low_res`, in floats, never rounded to 8 bits on the way.
    As every stage fits its own `low_res`, the whole fits the picture given: degraded by the
    operators of all stages, the last one first, the result gives that picture back. (What no
    result in [-1, 1] fits, such as white noise, leaves a rest, as it does with a single model.)

    Args:
        stages: pipelines in the order of their use, or cascades, which stand for their stages. Any
            scales go together; all take as many channels.

    Attributes:
        stages: the pipelines.
        degradation: from a result to the picture given.

    Raises:
        UsageError: there are none, something else is among them, or their channels or the ranges of
            their values differ.

    Examples:
        >>> import sr4
        >>> cascade = sr4.CascadePipeline([sr4.load("sr4-fast"), sr4.load("runs/x4")])
        >>> cascade.upscale(picture, steps=(1, 10)).image.save("large.png")
    """

    def __init__(self, stages: Sequence[Pipeline | CascadePipeline]) -> None:
        found: list[Pipeline] = []
        for stage in stages:
            if not isinstance(stage, (Pipeline, CascadePipeline)):
                raise UsageError(
                    f"got a stage of type {type(stage).__name__}; expected pipelines: open them "
                    "with sr4.load"
                )
            found.extend(stage.stages if isinstance(stage, CascadePipeline) else [stage])
        if not found:
            raise UsageError("got a cascade without stages; expected at least one pipeline")
        if len(channels := {stage.config.channels for stage in found}) > 1:
            raise UsageError(
                f"got stages of {' and '.join(map(str, sorted(channels)))} channels; expected as "
                "many in each: choose other models"
            )
        if len(ranges := {stage.config.data_range for stage in found}) > 1:
            shown = " and ".join(sorted("none" if one is None else str(one) for one in ranges))
            raise UsageError(
                f"got stages of the data ranges {shown}; expected one in all: choose other models"
            )
        self.stages: tuple[Pipeline, ...] = tuple(found)
        self.degradation = DegradationChain(tuple(one.model.degradation for one in found))

    def __repr__(self) -> str:
        return f"CascadePipeline({', '.join(map(repr, self.stages))})"

    def __reduce__(self) -> tuple[type[CascadePipeline], tuple[tuple[Pipeline, ...]]]:
        return CascadePipeline, (self.stages,)

    @property
    def first_config(self) -> ModelConfig:
        """The config of the model that pictures go through first."""
        return self.stages[0].config

    @property
    def scale(self) -> int:
        """The factor between a picture and its result: the product of the stages' scales."""
        return self.degradation.scale

    @property
    def backend(self) -> str:
        """The runtimes that the networks run on."""
        return "+".join(dict.fromkeys(stage.backend for stage in self.stages))

    @overload
    def upscale(  # type: ignore[overload-overlap] # a str is a sequence of them, but no list
        self, image: Picture, **options: Unpack[CascadeOptions]
    ) -> Result: ...

    @overload
    def upscale(
        self, image: Sequence[Picture], **options: Unpack[CascadeOptions]
    ) -> list[Result]: ...

    def upscale(
        self,
        image: Picture | Sequence[Picture],
        *,
        steps: int | Sequence[int] | None = None,
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
        condition_noise: float = 0.0,
        on_step: OnStep | None = None,
        unfinished: UnfinishedFile | None = None,
    ) -> Result | list[Result]:
        """Upscale a picture, or each of a list.

        Args:
            image, sampler, use_mean: as in `Pipeline.upscale`.
            steps: network evaluations a sample, of every stage or one number for each; the models'
                own by default.
            seed: sample k uses seed + k in every stage. The first stage gives what its pipeline
                gives with that seed; the others derive from it one of their own, so that no two
                stages see the same noise.
            samples: how many to draw, each through all stages.
            detail: as in `Pipeline.upscale`, of every stage.
            consistency: keep the result of each stage on the pictures whose degraded version is its
                `low_res`, and so the whole on those whose degraded version is the input; by default
                for each stage what its pipeline would do.
            evidence, noise, blur: as in `Pipeline.upscale`, of the picture given, which the first
                stage draws on. What the others draw on is exact.
            scale, width, height: as in `Pipeline.upscale`; above the cascade's own factor, its last
                stage draws again on its own result.
            tile: as in `Pipeline.upscale`, for each stage.
            condition_noise: deviation, on the [-1, 1] scale, of Gaussian noise on what the networks
                of all stages but the first see of their `low_res` (Ho et al. 2021, section 4); it
                hides the faults of the stage before from models that were trained with
                `data.condition_noise` of at least as much. Targets and consistency keep to the
                `low_res` without it. Networks are called as `network(x_t, log_snr, low_res)`, so
                they are not told the deviation, as they are in that paper, and have to see it.
            on_step: as in `Pipeline.upscale`, for each stage in turn.
            unfinished: as in `Pipeline.upscale`, of what the last stage draws.

        Returns:
            A Result, or a list of them in the order given; its consistency is that of all stages
            together, measured against the picture given.

        Raises:
            PictureError: a picture the models cannot take, or one whose result would be too large.
            UsageError: an impossible option.
            ModelError: a network fails.
        """
        if not 0 <= condition_noise <= 1:
            raise UsageError(
                f"got a condition_noise of {condition_noise}; expected a deviation from 0 to 1, "
                "such as 0.1"
            )
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
            later = consistency if used else False
            first, *others = self._drawings(steps, sampler, later, tile, on_step, detail)
            fitted = first.settings.model_copy(update={"consistency": used})
            found = [replace(first, settings=fitted), *others]
            return [*found[:-1], replace(found[-1], unfinished=unfinished)]

        return upscaled(
            image,
            [stage.model for stage in self.stages],
            self.degradation,
            drawings,
            asked,
            condition_noise=condition_noise,
        )

    __call__ = upscale

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
        self._drawings(steps, sampler, None, tile, None, detail)

    def _drawings(
        self,
        steps: int | Sequence[int] | None,
        sampler: str | None,
        consistency: bool | None,
        tile: int | None,
        on_step: OnStep | None,
        detail: float | None,
    ) -> list[Drawing]:
        """How each stage is to draw."""
        count = len(self.stages)
        each = steps if isinstance(steps, Sequence) else [steps] * count
        if len(each) != count:
            raise UsageError(
                f"got {len(each)} numbers of steps for {count} stages; expected one for each, or "
                "one for all"
            )
        return [
            stage.drawing(number, sampler, consistency, tile, on_step, detail)
            for stage, number in zip(self.stages, each, strict=True)
        ]
