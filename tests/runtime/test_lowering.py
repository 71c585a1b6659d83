"""The forms for exported graphs compute what the networks compute, with the same tensors."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sr4.networks.blocks import ChannelNorm, SelfAttention  # noqa: E402
from sr4.networks.fast import FastUNet  # noqa: E402
from sr4.runtime.lowering import lowered  # noqa: E402


def filled(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize("part", [ChannelNorm(12), SelfAttention(12, head_channels=4)])
def test_a_part_gives_what_it_gave(part: torch.nn.Module) -> None:
    network = filled(torch.nn.Sequential(part))
    x = 3 * torch.randn(2, 12, 3, 5, generator=torch.Generator().manual_seed(1)) + 1
    with torch.no_grad():
        expected, got = network(x), lowered(network)(x)
    assert type(lowered(network)[0]) is not type(part)
    assert expected.std() > 0.5
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_network_keeps_its_tensors_and_stays_itself() -> None:
    network = filled(FastUNet(widths=(8, 16), blocks=(1, 1), embedding=16))
    copy = lowered(network)
    exact, stored = network.state_dict(), copy.state_dict()
    assert exact.keys() == stored.keys()
    assert all(torch.equal(exact[name], stored[name]) for name in exact)
    assert not any(type(part) in (ChannelNorm, SelfAttention) for part in copy.modules())
    assert any(type(part) is SelfAttention for part in network.modules())
