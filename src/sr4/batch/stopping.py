"""Calls that end in the middle of a picture, because whoever asked wants no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sr4.model.diffusion_model import DiffusionModel
from sr4.runtime import Network, WrappedNetwork
from sr4.upscaling.cascade import CascadePipeline
from sr4.upscaling.pipeline import Pipeline


class _AskingNetwork(WrappedNetwork):
    """A network that asks before each evaluation whether to go on."""

    def __init__(self, network: Network, check: Callable[[], None]) -> None:
        super().__init__(network)
        self._check = check

    def __call__(self, x_t: Any, log_snr: float, upsampled: Any, known: Any = None) -> Any:
        self._check()
        return super().__call__(x_t, log_snr, upsampled, known)


def asking(
    pipeline: Pipeline | CascadePipeline, check: Callable[[], None]
) -> Pipeline | CascadePipeline:
    """The same pipeline on the same weights, for one call: a band of a very large result may take
    minutes, so that asking after each step or band is not enough.

    Args:
        check: called before each evaluation of a network; what it raises ends the call.
    """
    if isinstance(pipeline, CascadePipeline):
        return CascadePipeline([asking(stage, check) for stage in pipeline.stages])
    model = pipeline.model
    network = _AskingNetwork(model.network, check)
    return Pipeline(DiffusionModel(model.config, network, model.name))
