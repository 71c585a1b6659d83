"""The models of a call, or of all calls of a process, opened."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sr4.upscaling.cascade import CascadePipeline
    from sr4.upscaling.pipeline import Pipeline


class Pipelines:
    """Loaded models by name, each loaded once. They may be shared by threads and calls.

    Args:
        backend, device: as in `sr4.load`.
    """

    def __init__(self, backend: str = "auto", device: str = "auto") -> None:
        self._backend, self._device = backend, device
        self._lock = threading.Lock()
        self._loaded: dict[str, Pipeline | CascadePipeline] = {}

    def get(self, model: str, draws: int | None = None) -> Pipeline | CascadePipeline:
        """A model's pipeline. Arguments and errors are those of `sr4.load`."""
        from sr4.upscaling.load import load

        with self._lock:
            if model not in self._loaded:
                self._loaded[model] = load(
                    model, backend=self._backend, device=self._device, draws=draws
                )
            return self._loaded[model]
