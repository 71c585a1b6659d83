"""The SR4 U-Net: where it attends, and what its low-res path does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sr4.errors import UsageError
from sr4.networks.low_res_path import DOWNSCALES
from sr4.networks.sr3 import GroupAttention, SR3UNet
from sr4.networks.sr4 import SR4UNet

TINY: dict[str, Any] = {
    "inner": 8,
    "multipliers": (1, 2, 4),
    "groups": 4,
    "attention_resolutions": (8,),
    "heads": 2,
    "blocks": 1,
    "image_size": 32,
}
PARAMETERS = ("weight", "bias")


@pytest.fixture
def tiny() -> SR4UNet:
    torch.manual_seed(0)
    return SR4UNet(**TINY, path_width=4).eval()


@pytest.fixture
def arguments() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t = torch.randn(2, 3, 32, 32, generator=generator)
    return x_t, torch.tensor([-1.0, 2.0]), torch.randn(2, 3, 4, 4, generator=generator)


def projections(network: SR4UNet) -> list[nn.Conv2d]:
    assert network.low_res_path is not None
    down, up = network.low_res_path.project
    assert isinstance(down, nn.Conv2d)
    assert isinstance(up, nn.Conv2d)
    return [down, up]


def test_attention_is_at_8x8_only_and_multi_head() -> None:
    seen = []
    with torch.device("meta"):
        network = SR4UNet()
        for module in network.modules():
            if isinstance(module, GroupAttention):
                assert module.heads == 4
                module.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-2:]))
        network(torch.zeros(1, 3, 128, 128), torch.zeros(1), torch.zeros(1, 3, 16, 16))
    assert seen == [(8, 8)] * 6  # two blocks down, one in the middle, three up


def test_path_joins_16x16_maps_on_both_ways() -> None:
    with torch.device("meta"):
        network = SR4UNet()
        assert network.low_res_path is not None
        down, up = network.low_res_path(torch.zeros(1, 3, 128, 128))
        entered: list[torch.Size] = []
        for entry in ("down.3.entry", "up.3.entry"):
            network.get_submodule(entry).register_forward_hook(
                lambda _, args, output: entered.append(output.shape)
            )
        network(torch.zeros(1, 3, 128, 128), torch.zeros(1), torch.zeros(1, 3, 16, 16))
    assert [down.shape, up.shape] == entered == [(1, 256, 16, 16), (1, 512, 16, 16)]


def test_parameters_of_the_papers_setting() -> None:
    with torch.device("meta"):
        network, baseline = SR4UNet(), SR3UNet()
    convolutions = (27 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 128 + 128)
    path = convolutions + 129 * 256 + 129 * 512
    counts = [sum(p.numel() for p in module.parameters()) for module in (network, baseline)]
    assert counts[0] == counts[1] + path


@torch.no_grad()
@pytest.mark.parametrize("path", [*DOWNSCALES, "none"])
def test_untrained_path_changes_nothing(
    path: str, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    tiny, plain = SR4UNet(**TINY, path=path, path_width=4).eval(), SR3UNet(**TINY).eval()
    own = {k: v for k, v in tiny.state_dict().items() if not k.startswith("low_res_path.")}
    plain.load_state_dict(own)
    assert torch.equal(tiny(*arguments), plain(*arguments))


@torch.no_grad()
def test_path_changes_the_output_in_both_places(
    tiny: SR4UNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    outputs = [tiny(*arguments)]
    for places in ([0], [1], [0, 1]):
        for place, projection in enumerate(projections(tiny)):
            projection.weight.fill_(0.1 if place in places else 0.0)
        outputs.append(tiny(*arguments))
    for index, output in enumerate(outputs):
        for other in outputs[:index]:
            assert (output - other).abs().max() > 1e-3


def test_gradients_reach_all_parameters(
    tiny: SR4UNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    tiny(*arguments).square().sum().backward()
    for projection in projections(tiny):  # at zero they still learn
        assert projection.weight.grad is not None
        assert projection.weight.grad.abs().max() > 0
        nn.init.normal_(projection.weight)
    tiny(*arguments).square().sum().backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_upsampled_picture_is_taken_as_it_is(
    tiny: SR4UNet, arguments: tuple[Tensor, Tensor, Tensor]
) -> None:
    x_t, log_snr, low_res = arguments
    for projection in projections(tiny):
        nn.init.normal_(projection.weight)
    upsampled = nn.functional.interpolate(low_res, size=(32, 32), mode="bicubic", antialias=True)
    assert torch.equal(tiny(x_t, log_snr, low_res), tiny(x_t, log_snr, upsampled))


@pytest.mark.parametrize("size", [(4, 4), (12, 20)])
def test_any_multiple_fits(tiny: SR4UNet, size: tuple[int, int]) -> None:
    assert tiny.size_multiple == 4
    assert tiny(torch.zeros(1, 3, *size), torch.zeros(1), torch.zeros(1, 3, 2, 2)).shape[2:] == size


@pytest.mark.parametrize("edge", [32, 5])
def test_path_resolution_must_be_a_smaller_levels(edge: int) -> None:
    with pytest.raises(UsageError, match=f"low-res path at resolution {edge}; .* from 16, 8"):
        SR4UNet(**TINY, path_resolution=edge)


def test_names_of_the_weights_do_not_depend_on_other_schemes() -> None:
    """Those of models that were trained when there was one scheme only."""
    with torch.device("meta"):
        names = {
            path: SR4UNet(**TINY, path=path, path_resolution=8).state_dict().keys()
            for path in DOWNSCALES
        }
        plain = SR3UNet(**TINY).state_dict().keys()
    projections = {f"low_res_path.project.{n}.{kind}" for n in (0, 1) for kind in PARAMETERS}
    assert names["direct"] == names["bicubic"] == plain | projections
    learned = {f"low_res_path.downscale.0.{kind}" for kind in PARAMETERS}
    assert names["large-kernel"] == plain | projections | learned
    learned |= {f"low_res_path.downscale.2.{kind}" for kind in PARAMETERS}
    assert names["convolutions"] == plain | projections | learned
