"""Settings of sampling."""

from __future__ import annotations

from pydantic import Field

from sr4.config.base import Settings
from sr4.config.names import SamplerName


class SamplingSettings(Settings):
    """Defaults of sampling; every one can be overridden in a call."""

    steps: int = Field(50, ge=1, le=100_000)
    sampler: SamplerName = "ddpm"
    temperature: float = Field(1.0, ge=0, le=2)  # deviation of the noise sampling starts from
    # Where a result lies between the mean of the pictures that fit (0) and a sample (1), for
    # networks that give both.
    detail: float = Field(1.0, ge=0, le=1)
    # More steps than the model was distilled for make its results no better: they are not taken.
    most_steps: int = Field(100_000, ge=1)
    # Whether validation and evaluation project, as upscaling does unless told otherwise.
    consistency: bool = True
