"""The recipes: by name, all settings that a model is trained with, the paper's systems and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sr4.config import RunSettings
from sr4.errors import UsageError, nearest
from sr4.recipes.fast import photo_x4, sr4_fast
from sr4.recipes.paper import (
    attention_input,
    cosine,
    hybrid_vlb,
    regression,
    residual,
    sr3,
    sr3_500,
    sr3_500_matched,
    sr4,
)

RECIPES: Mapping[str, Callable[[], RunSettings]] = {
    "sr3": sr3,
    "sr3-500": sr3_500,
    "sr3-500-matched": sr3_500_matched,
    "hybrid-vlb": hybrid_vlb,
    "cosine": cosine,
    "attention-input": attention_input,
    "residual": residual,
    "sr4": sr4,
    "regression": regression,
    "sr4-fast": sr4_fast,
    "photo-x4": photo_x4,
}
OURS = ("sr4-fast", "photo-x4")  # the others are systems of the paper


def recipe(name: str) -> RunSettings:
    """The settings of a recipe by its name.

    Raises:
        UsageError: there is no such recipe; names the nearest one.
    """
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}: {nearest(name, RECIPES)}")
    return RECIPES[name]()
