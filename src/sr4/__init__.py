"""SR4: super-resolution by conditional diffusion.

The public names load when they are first used: `import sr4` loads neither a runtime nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sr4._version import __version__
from sr4.errors import SR4Error

if TYPE_CHECKING:
    from sr4.batch.call import upscale
    from sr4.degradation import Degradation
    from sr4.upscaling.auto import AutoPipeline
    from sr4.upscaling.cascade import CascadePipeline
    from sr4.upscaling.load import load
    from sr4.upscaling.pipeline import Pipeline
    from sr4.upscaling.result import Result

_LAZY = {
    "AutoPipeline": "sr4.upscaling.auto",
    "CascadePipeline": "sr4.upscaling.cascade",
    "Degradation": "sr4.degradation",
    "Pipeline": "sr4.upscaling.pipeline",
    "Result": "sr4.upscaling.result",
    "load": "sr4.upscaling.load",
    "upscale": "sr4.batch.call",
}

__all__ = [
    "AutoPipeline",
    "CascadePipeline",
    "Degradation",
    "Pipeline",
    "Result",
    "SR4Error",
    "__version__",
    "load",
    "upscale",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sr4' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
