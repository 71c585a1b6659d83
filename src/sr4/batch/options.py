"""The options of a call that decide the pixels of its results, and what follows from them."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr4.errors import PictureError, UsageError
from sr4.upscaling.asked import Asked

if TYPE_CHECKING:
    from sr4.batch.plan import PlannedPicture
    from sr4.config import ModelConfig

AUTO = "auto"


@dataclass(frozen=True)
class UpscaleOptions(Asked):
    """The options of a call, the same for all of its pictures.

    Attributes:
        model: a name or a folder, or several joined by "+"; "auto" takes a shipped one for each
            picture, by what it shows.
        evidence: what every picture is taken to say.

    Raises:
        UsageError: impossible numbers, or options that exclude each other.
    """

    model: str = AUTO
    evidence: str = AUTO

    def __post_init__(self) -> None:
        from sr4.evidence.choose import check_evidence
        from sr4.upscaling.calls import sample_seeds
        from sr4.upscaling.load import JOINT, public_name
        from sr4.upscaling.sizing import SizeWanted

        super().__post_init__()
        stages = 1 + str(self.model).count(JOINT)
        if isinstance(self.steps, Sequence) and (stages == 1 or len(self.steps) != stages):
            raise UsageError(
                f"got {len(self.steps)} numbers of steps for the model "
                f"{public_name(self.model)!r}; expected "
                + (
                    f"one for each of its {stages}, or one for all"
                    if stages > 1
                    else "a single one"
                )
            )
        check_evidence(self.evidence, self.noise, self.blur, self.consistency)
        SizeWanted(self.scale, self.width, self.height)
        sample_seeds(self.seed, self.samples)

    def model_for(self, picture: PlannedPicture) -> str:
        """The name or folder of the model that a picture goes through."""
        from sr4.upscaling.choose import model_for

        return model_for(is_face=picture.is_face) if self.model == AUTO else self.model

    def result_size(self, size: tuple[int, int], scale: int) -> tuple[int, int]:
        """Width and height of the result of a picture of that width and height.

        Args:
            scale: that of its model.

        Raises:
            PictureError: the picture is larger than its result is to be.
        """
        from sr4.upscaling.sizing import SizeWanted

        wanted = SizeWanted(self.scale, self.width, self.height).of(*size)
        return wanted or (size[0] * scale, size[1] * scale)

    def pixels_drawn(self, model: str, size: tuple[int, int] | None) -> int:
        """The number of pixels drawn for a picture of that (width, height): those of all stages,
        the last one as often as the size of the result asks for, and of all samples. It is 0 where
        the size cannot be read (None), or the result would be smaller than the picture.
        """
        return self.samples * sum(self._pixels_by_stage(model, size))

    def pixels_drawn_last(self, model: str, size: tuple[int, int]) -> int:
        """The number of pixels of the last drawing, of one sample, that the result is made of."""
        return [0, *self._pixels_by_stage(model, size)][-1]

    def _pixels_by_stage(self, model: str, size: tuple[int, int] | None) -> list[int]:
        from sr4.upscaling.sizing import Size, SizeWanted

        if size is None:
            return []
        scales = [stage.scale for stage in read_stages(model)]
        wanted = SizeWanted(self.scale, self.width, self.height)
        try:
            planned = Size.plan(wanted, size, scales)
        except PictureError:  # said when the picture is read
            return []
        earlier = accumulate([*scales, *scales[-1:] * planned.repeats][:-1], operator.mul)
        return [*(math.prod(size) * scale**2 for scale in earlier), math.prod(planned.drawn)]

    def for_pipeline(self) -> dict[str, Any]:
        """The keyword arguments of `Pipeline.upscale`, but for the evidence, which each picture has
        of its own.
        """
        shared = ("steps", "sampler", "seed", "samples", "use_mean", "detail", "consistency")
        return {name: getattr(self, name) for name in (*shared, "scale", "width", "height", "tile")}


def read_stages(model: str) -> list[ModelConfig]:
    """The descriptions of a model, or of the models of a cascade, as their files are now.

    Raises:
        ModelError: there is no such model, or its description cannot be used.
        UsageError: a name is missing.
    """
    from sr4.model.folder import find_model
    from sr4.runtime import CONFIG
    from sr4.upscaling.load import model_names

    folders = [find_model(name) for name in model_names(model)]
    return [_read_config(folder, os.stat(folder / CONFIG).st_mtime_ns) for folder in folders]


@lru_cache(maxsize=64)
def _read_config(folder: Path, _changed: int) -> ModelConfig:
    from sr4.model.folder import read_config

    return read_config(folder)


def count_draws(
    sizes: Sequence[tuple[int, int] | None], stages: Sequence[ModelConfig], most: int
) -> int:
    """The work of a call, for the choice of a runtime: the pixels of all results, in pictures
    of the size that the last stage was trained on.

    Args:
        sizes: width and height of each picture; None where they cannot be read.
        most: pictures that are looked at; the others count as one each.
    """
    least, scale = stages[-1].image_size ** 2, math.prod(stage.scale for stage in stages)
    draws = [
        max(1, size[0] * size[1] * scale**2 // least) for size in sizes[:most] if size is not None
    ]
    return sum(draws) + len(sizes[most:])
