"""Group normalisation with SiLU, and dropout, in few passes over memory on a CPU.

torch's own kernels for both take most of a training step there: the backward pass of its group
normalisation walks channels_last maps in bf16 five times slower than need be, and its dropout
draws a random number for each element, on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GroupNormSiLU(nn.GroupNorm):
    """`silu(group_norm(x))`, (B, C, H, W) to the same shape; weights as `torch.nn.GroupNorm`."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and torch.is_grad_enabled():
            arguments = (self.weight, self.bias, self.num_groups, self.eps)
            return _GroupNormSiLU.apply(x, *arguments)  # type: ignore[no-any-return, no-untyped-call]
        return F.silu(super().forward(x))


_rows: ContextVar[tuple[slice, int] | None] = ContextVar("rows", default=None)


@contextmanager
def drawing_for(rows: range, of: int) -> Iterator[None]:
    """Say that what networks see here are some rows of a batch, so that each picture is dropped
    out of as if the batch were whole.

    Args:
        rows: of the batch.
        of: its number of pictures.
    """
    token = _rows.set((slice(rows.start, rows.stop, rows.step), of))
    try:
        yield
    finally:
        _rows.reset(token)


class Dropout(nn.Module):
    """Dropout whose mask takes 16 random bits an element, so that `probability` is a multiple of
    2^-16; otherwise as `torch.nn.Dropout`. For some rows of a batch see `drawing_for`.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.dropped = round(probability * 2**16)  # of 2^16 equally likely numbers

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        rows, of = _rows.get() or (slice(None), len(x))
        size = x.numel() // len(x)  # of a picture, whose values lie together in memory
        words = torch.empty(-(-of * size // 4), dtype=torch.int64, device=x.device)
        numbers = words.random_(-(2**63), None).view(torch.int16)[: of * size]
        numbers = numbers.view(of, size)[rows].flatten()
        kept = (numbers >= self.dropped - 2**15).as_strided(x.shape, x.stride())
        return (x * kept).mul_(2**16 / (2**16 - self.dropped))


class _GroupNormSiLU(torch.autograd.Function):
    """The backward pass in two reductions and two multiply-adds.

    With z = a x + b the normalised map and dz the gradient that reaches it, group statistics
    included: dx = a dz + c x + d, where c and d hold for a group and follow from the sums of
    dz and of dz x over the picture (Wu & He 2018, differentiated).
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        batch, channels, height, width = x.shape
        z, mean, rstd = torch.native_group_norm(
            x, weight, bias, batch, channels, height * width, groups, eps
        )
        ctx.save_for_backward(x, z, weight, mean, rstd)
        return F.silu(z)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, z, weight, mean, rstd = ctx.saved_tensors
        batch, channels, height, width = x.shape
        grouped = (batch, mean.shape[1], channels // mean.shape[1])
        dz = torch.ops.aten.silu_backward(grad, z)
        accurate = weight.dtype
        sum_dz = dz.sum((2, 3), dtype=accurate).view(grouped)
        sum_dz_x = (dz * x).sum((2, 3), dtype=accurate).view(grouped)
        mean, rstd = mean.to(accurate)[..., None], rstd.to(accurate)[..., None]  # (B, groups, 1)
        scale = weight.view(1, *grouped[1:])

        count = height * width * grouped[2]
        weighted, weighted_x = (
            (total * scale).sum(2, keepdim=True) for total in (sum_dz, sum_dz_x)
        )
        c = (weighted * mean - weighted_x) * rstd**3 / count
        d = -c * mean - weighted * rstd / count
        a, c, d = (_over_rows(term.expand(grouped), x) for term in (rstd * scale, c, d))
        dx = torch.addcmul(torch.addcmul(d, x, c), dz, a)
        dweight = ((sum_dz_x - sum_dz * mean) * rstd).sum(0).view(channels)
        return dx, dweight, sum_dz.sum(0).view(channels), None, None


def _over_rows(term: Tensor, like: Tensor) -> Tensor:
    """A number for each channel as (B, C, 1, W): repeated over a row, so that the innermost loop of
    an elementwise operation in channels_last runs over W C elements, not over C.
    """
    batch, channels, _, width = like.shape
    row = term.reshape(batch, 1, 1, channels).to(like.dtype).expand(batch, 1, width, channels)
    return row.contiguous().permute(0, 3, 1, 2)
