"""Tickets, and a core whose drawing can be watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fastapi")

from sr4.batch.options import UpscaleOptions
from sr4.batch.plan import plan_in_memory
from sr4.serve.tickets import Ticket
from tests.features.service_process import encoded


@pytest.fixture
def ticket(tiny_exported: Any) -> Callable[..., Ticket]:
    """Makes a ticket for the tiny model: `ticket(seed=3, size=(8, 9), is_small=False)`."""

    def make(
        size: tuple[int, int] = (8, 8), *, is_small: bool = True, frames: int = 1, **options: Any
    ) -> Ticket:
        model = str(tiny_exported)
        return Ticket(
            planned=plan_in_memory(encoded(*size)).pictures[0],
            options=UpscaleOptions(model=model, **options),
            model=model,
            size=size,
            result_size=(4 * size[0], 4 * size[1]),
            frames=frames,
            pixels=16 * size[0] * size[1],
            is_small=is_small,
        )

    return make
