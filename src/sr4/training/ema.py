"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class EMA:
    """An average of the weights over recent optimiser steps; what is validated and shipped.

    Args:
        network: the network to follow; its weights are the first average.
        decay: share of the average that a step keeps. The first steps keep less,
            (1 + step) / (10 + step), so that the random start is soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after optimiser step `step` (from 1)."""
        keep = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.module.parameters()), list(network.parameters()), 1 - keep)
