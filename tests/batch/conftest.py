"""A call of the worker on a tiny real model, and small pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.batch.events import Event
from sr4.batch.options import UpscaleOptions
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan, plan_pictures
from sr4.batch.provenance import made_before
from sr4.batch.worker import upscale_pictures


def smooth(width: int = 8, height: int = 8, seed: int = 0) -> Image.Image:
    """A smooth random picture, which is a downscaled picture of something."""
    noise = np.random.default_rng(seed).integers(64, 192, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of pictures by name and size: `folder(a=(8, 8), b=(9, 8))`."""

    def make(**sizes: tuple[int, int]) -> Path:
        place = tmp_path / "in"
        place.mkdir(exist_ok=True)
        for seed, (name, size) in enumerate(sizes.items()):
            smooth(*size, seed).save(place / f"{name}.png")
        return place

    return make


@pytest.fixture
def upscale(tiny_model: Path, tmp_path: Path) -> Callable[..., list[Event]]:
    """All events of a call for a folder, or a plan: `upscale(folder, samples=2)`."""

    def call(
        given: Path | Plan,
        *,
        pipelines: Pipelines | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
        **options: Any,
    ) -> list[Event]:
        plan, chosen = given, UpscaleOptions(model=str(tiny_model), **options)
        if isinstance(plan, Path):
            made = partial(made_before, options=chosen)
            plan = plan_pictures([str(given)], tmp_path / "out", made=made)
        return list(
            upscale_pictures(
                plan, chosen, pipelines or Pipelines("torch"), is_cancelled=is_cancelled
            )
        )

    return call
