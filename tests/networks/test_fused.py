"""The fused parts agree with torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sr4.networks.fused import Dropout, GroupNormSiLU, drawing_for

SHAPES = [(2, 8, 6, 4), (3, 16, 5, 5), (1, 4, 1, 7)]


def layer(channels: int, groups: int, dtype: torch.dtype) -> GroupNormSiLU:
    made = GroupNormSiLU(groups, channels).to(dtype)
    torch.nn.init.normal_(made.weight)
    torch.nn.init.normal_(made.bias)
    return made


def reference(layer: GroupNormSiLU, x: Tensor) -> Tensor:
    return F.silu(F.group_norm(x, layer.num_groups, layer.weight, layer.bias, layer.eps))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_group_norm_silu_and_its_gradients_are_those_of_torch(
    shape: tuple[int, ...], memory: torch.memory_format
) -> None:
    torch.manual_seed(0)
    fused = layer(shape[1], 4, torch.float64)
    x = torch.randn(shape, dtype=torch.float64).to(memory_format=memory).requires_grad_()
    inputs = (x, fused.weight, fused.bias)
    grad = torch.randn_like(x)
    wanted, got = reference(fused, x), fused(x)
    torch.testing.assert_close(got, wanted)
    for mine, theirs in zip(
        torch.autograd.grad(got, inputs, grad),
        torch.autograd.grad(wanted, inputs, grad),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=1e-10)


def test_group_norm_silu_in_bf16_errs_as_bf16_does() -> None:
    torch.manual_seed(0)
    fused = layer(32, 8, torch.float32)
    x = torch.randn(4, 32, 16, 16).to(memory_format=torch.channels_last)
    grad = torch.randn_like(x)
    exact = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(reference(fused, exact), exact, grad)
    rough = x.bfloat16().requires_grad_()
    (got,) = torch.autograd.grad(fused(rough), rough, grad.bfloat16())
    assert got.dtype == torch.bfloat16
    assert (got.float() - wanted).norm() < 0.01 * wanted.norm()


def test_without_gradients_the_result_is_the_same() -> None:
    fused = layer(8, 4, torch.float32)
    x = torch.randn(2, 8, 4, 4)
    with torch.no_grad():
        got = fused(x)
    torch.testing.assert_close(got, fused(x))


@pytest.mark.parametrize("probability", [0.2, 0.5])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_dropout_drops_its_share_and_keeps_the_mean(
    probability: float, memory: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.ones(4, 3, 101, 99).to(memory_format=memory).requires_grad_()
    dropped = Dropout(probability)(x)
    share = (dropped == 0).double().mean().item()
    deviation = (probability * (1 - probability) / x.numel()) ** 0.5
    assert abs(share - probability) < 4 * deviation
    kept = dropped[dropped != 0]
    torch.testing.assert_close(
        kept, torch.full_like(kept, 1 / (1 - probability)), rtol=1e-4, atol=0
    )
    (grad,) = torch.autograd.grad(dropped.sum(), x)
    torch.testing.assert_close(grad, dropped.detach())


def test_dropout_follows_the_seed_and_rests_outside_training() -> None:
    dropout, x = Dropout(0.3), torch.ones(2, 4, 8, 8)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(dropout(x))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert dropout.eval()(x) is x


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_of_some_rows_is_that_of_the_whole_batch(layout: torch.memory_format) -> None:
    dropout, x = Dropout(0.5), torch.randn(6, 3, 5, 5).contiguous(memory_format=layout)
    torch.manual_seed(0)
    whole = dropout(x)
    for rows in (range(0, 6, 2), range(1, 6, 2), range(2, 5), range(5, 6)):
        torch.manual_seed(0)
        with drawing_for(rows, 6):
            part = dropout(
                x[slice(rows.start, rows.stop, rows.step)].contiguous(memory_format=layout)
            )
        assert torch.equal(part, whole[slice(rows.start, rows.stop, rows.step)])
