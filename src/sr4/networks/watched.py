"""Figures of what goes on inside a network, for those that have any to give."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

from torch import nn

Figures = Callable[[], dict[str, float]]
"""What has been seen so far, by name."""


@runtime_checkable
class Watchable(Protocol):
    """A network that can be watched while it is evaluated."""

    def watched(self) -> AbstractContextManager[Figures]:
        """A context, and the figures over all evaluations inside it."""
        ...


def watched(network: nn.Module) -> AbstractContextManager[Figures]:
    """The context of `Watchable.watched` for any network; of one without figures it has none."""
    return network.watched() if isinstance(network, Watchable) else nullcontext(dict)
