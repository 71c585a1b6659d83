"""The paper's systems at another size, all changed alike, so that they stay comparable."""

from __future__ import annotations

from typing import Any, Literal, get_args

from sr4.config import RunSettings
from sr4.config.overrides import override
from sr4.errors import UsageError

Size = Literal["tiny", "full"]
SIZES: tuple[Size, ...] = get_args(Size)

_WIDTH = 4  # of "tiny": the paper's channels over this
_EDGE = 2  # and its pictures and feature maps


def at_size(settings: RunSettings, size: Size, budget: int | None = None) -> RunSettings:
    """A system of the paper at a size, with a budget of training pictures.

    "full" is the paper's own. "tiny" brings 8x8 to 64x64 with 16 channels at first, so that
    pictures and all feature maps have half the edge and a quarter of the channels: 1.4 GFLOPs an
    evaluation in place of 92. Attention and the low-res path stay at the same level, and a group of
    a normalisation holds as many channels. Its budget, 40,000 pictures, is a 64th of the paper's,
    so the learning rate is five times higher and falls to 0 over the last fifth, the average of the
    weights is ten times shorter, and the warm-up, where there is one, takes 1,000 pictures.

    Args:
        settings: as a recipe gives them.
        size: "tiny" or "full".
        budget: training pictures; the size's own if None.

    Raises:
        UsageError: tiny is asked of a system that is not the paper's.
    """
    changes: dict[str, Any] = _tiny(settings) if size == "tiny" else {"training": {}}
    if budget is not None:
        changes["training"]["total_images"] = budget
    return override(settings, changes)


def _tiny(settings: RunSettings) -> dict[str, Any]:
    training, network = settings.training, settings.model.network.shrunk(_WIDTH, _EDGE)
    if network is None:
        raise UsageError(
            f"got the recipe {settings.model.recipe!r} at the size tiny; expected a system of the "
            "paper: use --size full"
        )
    smaller = settings.model.image_size // _EDGE
    return {
        "model": {"image_size": smaller, "network": network.model_dump()},
        "training": {
            "total_images": 40_000,
            "learning_rate": 5e-4,
            "ema_decay": 0.999,
            "warmup_images": 1_000 if training.warmup_images else 0,
            "cooldown": 0.2,
            "save_every_images": 2_000,
            "validate_every_images": 5_000,
            "validation_images": 32,
            "validation_steps": 50,
        },
    }
