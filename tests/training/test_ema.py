"""The average of the weights against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sr4.training.ema import EMA  # noqa: E402 - needs torch


def test_average_is_the_closed_form() -> None:
    """A step keeps min(decay, (1 + step) / (10 + step)) of the average: the average is the sum of
    all weights so far, each times what its step took in and what the later ones kept.
    """
    random = np.random.default_rng(0)
    values, decay, steps = random.normal(size=(41, 3)), 0.7, 40
    network = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    network.load_state_dict({"weight": torch.from_numpy(values[:1])})
    ema = EMA(network, decay)
    for step in range(1, steps + 1):
        network.load_state_dict({"weight": torch.from_numpy(values[step : step + 1])})
        ema.update(network, step)

    numbers = np.arange(1, steps + 1)
    keep = np.minimum(decay, (1 + numbers) / (10 + numbers))
    assert keep[0] < keep[10] < keep[-1] == decay  # both branches are in use
    kept_later = np.append(np.cumprod(keep[::-1])[::-1], 1.0)
    shares = np.append(1.0, 1 - keep) * kept_later
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(
        ema.module.get_parameter("weight").numpy()[0], shares @ values, rtol=1e-12
    )


def test_average_is_apart_from_the_network() -> None:
    network = torch.nn.Linear(2, 2).train()
    ema = EMA(network, 0.9)
    before = ema.module.get_parameter("weight").clone()
    with torch.no_grad():
        network.weight.add_(1)
    assert torch.equal(ema.module.weight, before)
    assert not ema.module.training
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())
    ema.update(network, 1)  # keeps 2 / 11
    torch.testing.assert_close(ema.module.weight, before + 9 / 11)
    assert network.weight.requires_grad
