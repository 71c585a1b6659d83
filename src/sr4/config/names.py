"""Names that several settings may have."""

from __future__ import annotations

from typing import Literal, get_args

CorruptionName = Literal["none", "photo"]


CORRUPTIONS: tuple[CorruptionName, ...] = get_args(CorruptionName)


SamplerName = Literal["ddpm", "ddim", "dpmpp"]


SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)
