"""The models of a service: those that it was started with, by the names that requests use."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sr4.batch.events import Failed
from sr4.batch.options import AUTO, UpscaleOptions, read_stages
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan, plan_in_memory
from sr4.batch.worker import upscale_pictures
from sr4.errors import ModelError, UsageError, nearest
from sr4.upscaling.load import public_name

if TYPE_CHECKING:
    from sr4.config import ModelConfig

# Counts of pictures of the usual size that a runtime compiles a model for, one for each.
_COMPILED = {"openvino": (8, 1)}


class Models:
    """What requests may name.

    Args:
        names: of shipped models, or folders, or several of them joined by "+"; requests use the
            folder's own name. The first is the default. With "auto", which takes a shipped one for
            each picture, requests may name these, too. No names stand for "auto".

    Raises:
        UsageError: two have the same name.
        ModelError: there is no such model, or its description cannot be used.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        from sr4.model.folder import shipped_models

        given = list(names) or [AUTO]
        if AUTO in given:  # answers name the one that was taken, so that it can be asked for again
            given += [name for name in shipped_models() if name not in given]
        self._models: dict[str, str] = {}
        for one in given:
            name = public_name(one)
            if self._models.setdefault(name, one) != one:
                raise UsageError(
                    f"got two models called {name!r}; expected different names: rename a folder"
                )
        wanted = [one for one in self._models.values() if one != AUTO]
        self._loaded = tuple(wanted)
        self._stages = {one: read_stages(one) for one in wanted}

    @property
    def names(self) -> tuple[str, ...]:
        """What requests may name, the default first."""
        return tuple(self._models)

    @property
    def loaded(self) -> tuple[str, ...]:
        """The models themselves, or their folders: for "auto", those that it chooses from."""
        return self._loaded

    @property
    def default(self) -> str:
        """The name that stands for a model where a request has none."""
        return self.names[0]

    @property
    def described(self) -> Mapping[str, Sequence[ModelConfig]]:
        """The description of each model, or of each stage of it, but for "auto"."""
        return {
            name: self._stages[one] for name, one in self._models.items() if one in self._stages
        }

    @property
    def channels(self) -> int:
        """The most that a model takes."""
        return max(stages[0].channels for stages in self._stages.values())

    def find(self, name: str | None) -> str:
        """The model, or its folder, that a request names.

        Raises:
            UsageError: the service was not started with it.
        """
        if name is None:
            return self._models[self.default]
        if name not in self._models:
            raise UsageError(f"unknown model {name!r}: {nearest(name, self._models)}")
        return self._models[name]

    def scale(self, model: str) -> int:
        """The factor of one that `find` gave."""
        return math.prod(stage.scale for stage in self._stages[model])

    def warm(self, pipelines: Pipelines, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """Load all models, and draw with them what most requests ask for, so that the first one
        waits for nothing.

        Args:
            is_cancelled: whether nobody waits for it any more.

        Raises:
            ModelError, MissingExtraError, UsageError: a model cannot be loaded or used.
        """
        with ThreadPoolExecutor(len(self._loaded), "sr4-warm") as threads:
            list(
                threads.map(lambda model: self._warm(model, pipelines, is_cancelled), self._loaded)
            )

    def _warm(self, model: str, pipelines: Pipelines, is_cancelled: Callable[[], bool]) -> None:
        if is_cancelled():
            return
        backend = pipelines.get(model).backend  # the one for many pictures, whatever comes first
        stage = self._stages[model][0]
        is_local = stage.network.is_local  # if so, it is asked for pictures of any size
        side = max(1, stage.image_size // stage.scale) + is_local
        counts = (1,) if is_local else _COMPILED.get(backend, (1,))

        def draw(count: int) -> None:
            self._draw(model, side, count, pipelines, is_cancelled)

        with ThreadPoolExecutor(len(counts), "sr4-warm") as threads:
            list(threads.map(draw, counts))

    def _draw(
        self,
        model: str,
        side: int,
        count: int,
        pipelines: Pipelines,
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Draw some grey squares."""
        plan = Plan([plan_in_memory(_grey(side)).pictures[0] for _ in range(count)], [])
        options = UpscaleOptions(model=model)
        for event in upscale_pictures(plan, options, pipelines, is_cancelled=is_cancelled):
            if isinstance(event, Failed):
                raise ModelError(
                    f"{model}: cannot draw ({event.error}); expected it to: export or copy it again"
                ) from event.cause


def _grey(side: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "PNG")
    return file.getvalue()
