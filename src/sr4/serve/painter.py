"""Who draws the pictures of a service: this process, or others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan
from sr4.batch.worker import upscale_pictures

if TYPE_CHECKING:
    from sr4.batch.events import Event
    from sr4.batch.options import UpscaleOptions
    from sr4.batch.plan import PlannedPicture
    from sr4.serve.models import Models


class Painter(Protocol):
    """Draws pictures in memory; in any number of threads at a time."""

    def warm(self, models: Models, is_cancelled: Callable[[], bool]) -> None:
        """Return once the models are loaded; what is raised ends the service."""

    def check(self, model: str, options: UpscaleOptions) -> None:
        """Refuse what the model cannot do, as far as that is known before it draws.

        Raises:
            UsageError: says what.
        """

    def paint(
        self,
        pictures: Sequence[PlannedPicture],
        options: UpscaleOptions,
        *,
        is_cancelled: Callable[[], bool],
        wants_preview: Callable[[PlannedPicture], bool],
    ) -> Iterator[Event]:
        """What becomes of pictures, as `upscale_pictures` tells it."""


class LocalPainter:
    """Draws in this process.

    Args:
        backend, device: as in `sr4.load`.
    """

    def __init__(self, backend: str = "auto", device: str = "auto") -> None:
        self.pipelines = Pipelines(backend, device)

    def warm(self, models: Models, is_cancelled: Callable[[], bool]) -> None:
        """As `Models.warm` does."""
        models.warm(self.pipelines, is_cancelled)

    def check(self, model: str, options: UpscaleOptions) -> None:
        """All that can be said without the picture."""
        pipeline = self.pipelines.get(model)
        pipeline.check_options(options.steps, options.sampler, options.tile, options.detail)

    def paint(
        self,
        pictures: Sequence[PlannedPicture],
        options: UpscaleOptions,
        *,
        is_cancelled: Callable[[], bool],
        wants_preview: Callable[[PlannedPicture], bool],
    ) -> Iterator[Event]:
        """By the worker of the command line."""
        return upscale_pictures(
            Plan(list(pictures), []),
            options,
            self.pipelines,
            is_cancelled=is_cancelled,
            wants_preview=wants_preview,
        )
