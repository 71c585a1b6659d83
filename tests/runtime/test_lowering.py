"""The forms for exported graphs compute what the networks compute, with the same tensors."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sr4.networks.blocks import ChannelNorm  # noqa: E402
from sr4.networks.fast import FastUNet, Gate, GatedBlock  # noqa: E402
from sr4.runtime.lowering import lowered  # noqa: E402


def test_a_normalisation_gives_what_it_gave() -> None:
    network = torch.nn.Sequential(ChannelNorm(12))
    x = 3 * torch.randn(2, 12, 3, 5, generator=torch.Generator().manual_seed(1)) + 1
    torch.testing.assert_close(lowered(network)(x), network(x), rtol=1e-5, atol=1e-5)
    assert type(lowered(network).get_submodule("0")) is not ChannelNorm


def test_a_gate_gives_what_it_gave() -> None:
    """Of pointwise and of depthwise convolutions."""
    torch.manual_seed(1)
    block = GatedBlock(6, 4)
    x = torch.randn(2, 6, 5, 7)
    copy = lowered(block)
    assert type(copy.get_submodule("gate")) is not Gate
    for convolutions in ([block.expand, block.neighbours], [block.expand_again]):
        expected = block.gate(x, *convolutions)
        torch.testing.assert_close(copy.get_submodule("gate")(x, *convolutions), expected)
        one, other = torch.nn.Sequential(*convolutions)(x).chunk(2, dim=1)
        torch.testing.assert_close(expected, one * other)


def test_a_network_keeps_its_tensors_and_stays_itself() -> None:
    network = FastUNet(widths=(8, 16), blocks=(1, 1), block="gated", embedding=16)
    copy = lowered(network)
    exact, stored = network.state_dict(), copy.state_dict()
    assert exact.keys() == stored.keys()
    assert all(torch.equal(exact[name], stored[name]) for name in exact)
    kinds = {ChannelNorm, Gate}
    assert not kinds & {type(part) for part in copy.modules()}
    assert kinds <= {type(part) for part in network.modules()}
