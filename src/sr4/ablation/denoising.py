"""The way from noise to picture, to look at (SR4 paper, figure 1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.diffusion.samplers import OnStep, Step
from sr4.model.diffusion_model import DiffusionModel
from sr4.pictures.pixels import shown, to_image

MOMENTS = 8


class Moment(NamedTuple):
    """x_t after a step, as the picture it stands for and as it is, at half the contrast."""

    picture: Image.Image
    variable: Image.Image


def denoising_moments(
    model: DiffusionModel,
    low_res: NDArray[np.float32],
    *,
    seed: int = 0,
    moments: int = MOMENTS,
    steps: int | None = None,
    sampler: str | None = None,
    on_step: OnStep | None = None,
) -> dict[int, Moment]:
    """Moments by the number of their step, evenly spread over the sampling from the first step to
    the last, whose picture is the result. Fewer where there are fewer steps.

    Args:
        low_res: (C, h, w) in [-1, 1].
        steps: number of steps; the model's own by default, as is the sampler.
        on_step: called after each step, too.
    """
    total = model.sampling(steps, sampler).steps
    wanted = set(np.linspace(1, total, min(moments, total)).round().astype(int).tolist())
    frame = model.frame(low_res[None])
    height, width = (side * model.config.scale for side in low_res.shape[1:])
    seen: dict[int, Moment] = {}

    def look(step: Step) -> None:
        if step.number in wanted:
            # The network may have seen a padded picture.
            x = model.network.numpy(step.x)[..., :height, :width]
            pictures = np.asarray(frame.decode(x))
            seen[step.number] = Moment(_seen(pictures[0]), _seen(x[0] / 2))
        if on_step is not None:
            on_step(step)

    result = model.sample(low_res[None], seeds=[seed], steps=steps, sampler=sampler, on_step=look)
    seen[total] = seen[total]._replace(picture=_seen(result[0]))
    return seen


def _seen(picture: NDArray[np.float32]) -> Image.Image:
    return to_image(shown(picture))
