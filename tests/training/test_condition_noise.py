"""Noise on what the network sees of low_res: how much, of what, and on nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from sr4.build import build_degradation  # noqa: E402
from sr4.config import DataSettings, ModelConfig, RunSettings  # noqa: E402
from sr4.config.overrides import override  # noqa: E402
from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.data.loader import Batch  # noqa: E402
from sr4.degradation.known import KNOWN_LENGTH  # noqa: E402
from sr4.errors import ModelError, UsageError  # noqa: E402
from sr4.model.folder import read_config  # noqa: E402
from sr4.recipes.distilled import distilled  # noqa: E402
from sr4.training.objectives import DenoisingObjective, noisy_condition  # noqa: E402
from sr4.training.trainer import begin, open_trained, train  # noqa: E402

Tiny = Callable[..., RunSettings]
Weights = Callable[[Path], dict[str, Any]]


def conditions(most: float, count: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Grey pictures, and what a network sees of them."""
    low_res = torch.full((count, 3, 16, 16), 0.25)
    random, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    return low_res, noisy_condition(low_res, most, random, generator)


def test_the_noise_is_gaussian_and_its_deviation_uniform() -> None:
    low_res, seen = conditions(0.3)
    noise = (seen - low_res).flatten(1).double()
    deviations = noise.std(dim=1).numpy()
    # Kolmogorov's bound at 1e-4, for levels that are known to 4 %.
    distance = np.abs(np.sort(deviations) / 0.3 - (np.arange(400) + 0.5) / 400).max()
    assert distance < 2.23 / np.sqrt(400)
    assert deviations.max() < 0.3 * 1.1
    loud = noise[torch.from_numpy(deviations > 0.05)]
    unit = loud / loud.std(dim=1, keepdim=True)
    assert abs(unit.mean().item()) < 0.01
    assert (unit**4).mean().item() == pytest.approx(3, rel=0.03)


def test_none_is_none_and_moves_no_other_draw() -> None:
    low_res, seen = conditions(0.0)
    assert seen is low_res
    random, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    noisy_condition(low_res, 0.0, random, generator)
    assert random.random() == np.random.default_rng(0).random()
    fresh = torch.Generator().manual_seed(0)
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=fresh))


class Recorder(nn.Module):
    """Answers zero, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, x_t: Tensor, log_snr: Tensor, low_res: Tensor) -> Tensor:
        self.asked.append((x_t, log_snr, low_res))
        return torch.zeros_like(x_t)


@dataclass(frozen=True)
class Asked:
    """What a network was asked in one step, and the loss."""

    x_t: Tensor
    log_snr: Tensor
    condition: Tensor
    loss: Tensor


def asked(settings: RunSettings, most: float, position: int = 16, seed: int = 0) -> Asked:
    batch = random_batch(settings, position)
    network = Recorder()
    objective = DenoisingObjective(settings.model, DataSettings(condition_noise=most), seed)
    loss = objective(network, batch)
    return Asked(*network.asked[0], loss)


def random_batch(settings: RunSettings, position: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    high_res = torch.rand(4, 3, 32, 32, generator=generator) * 2 - 1
    low_res = build_degradation(settings.model).observe(high_res)
    known, is_clean = torch.zeros(4, KNOWN_LENGTH), torch.ones(4, dtype=torch.bool)
    return Batch(high_res, low_res, ("a", "b", "c", "d"), position, known, is_clean)


def test_the_network_alone_sees_it(tiny: Tiny) -> None:
    """Times, noise, target and loss are those of a training without it."""
    plain, noisy = asked(tiny(), 0.0), asked(tiny(), 0.4)
    assert torch.equal(plain.x_t, noisy.x_t)
    assert torch.equal(plain.log_snr, noisy.log_snr)
    assert torch.equal(plain.loss, noisy.loss)
    degradation = build_degradation(tiny().model)
    added = degradation(noisy.condition.double() - plain.condition.double())
    deviations = added.flatten(1).std(dim=1)
    assert deviations.unique().numel() == 4
    assert 0.02 < deviations.max() < 0.4


def test_it_follows_from_seed_and_position(tiny: Tiny) -> None:
    first = asked(tiny(), 0.4)
    torch.manual_seed(1234)  # the global generator has no part in it
    assert torch.equal(asked(tiny(), 0.4).condition, first.condition)
    for other in (asked(tiny(), 0.4, position=20), asked(tiny(), 0.4, seed=1)):
        assert not torch.equal(other.condition, first.condition)


def with_noise(tiny: Tiny, most: float) -> RunSettings:
    return override(tiny(), {"data": {"condition_noise": most}})


def test_a_resumed_run_ends_with_the_same_weights_and_the_model_says_what_it_saw(
    tiny: Tiny, source: EncodedSource, tmp_path: Path, finished: Path, weights: Weights
) -> None:
    settings = with_noise(tiny, 0.4)
    for out in (tmp_path / "whole", tmp_path / "resumed"):
        train(settings, data=source, val=None, out=out)
    shutil.rmtree(tmp_path / "resumed" / "checkpoints" / f"{32:012d}")
    shutil.rmtree(tmp_path / "resumed" / "model")
    train(settings, data=source, val=None, out=tmp_path / "resumed")
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    without = weights(finished)
    assert any(not torch.equal(whole[name], without[name]) for name in whole)
    assert read_config(tmp_path / "whole" / "model").condition_noise == 0.4
    assert read_config(finished / "model").condition_noise == 0


def test_the_config_of_an_older_model_is_valid(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "model", tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    values = json.loads(path.read_text())
    del values["condition_noise"]
    path.write_text(json.dumps(values))
    assert read_config(tmp_path / "model").condition_noise == 0
    path.write_text(json.dumps(values | {"condition_noise": -1}))
    with pytest.raises(ModelError, match="setting 'condition_noise': got '-1'"):
        read_config(tmp_path / "model")


@pytest.mark.parametrize("bad", [-0.1, 1.5, "much", float("nan")])
def test_an_impossible_level_is_refused(tiny: Tiny, bad: object) -> None:
    with pytest.raises(UsageError, match=r"setting 'data\.condition_noise': got"):
        override(tiny(), {"data": {"condition_noise": bad}})


def test_a_student_sees_the_same_as_its_teacher(finished: Path) -> None:
    """And the goal is what the teacher makes of that, on the frame of the clean low_res."""
    config: ModelConfig = read_config(finished / "model")
    config = config.model_copy(update={"condition_noise": 0.4})
    config = config.model_copy(
        update={"sampling": config.sampling.model_copy(update={"steps": 1, "sampler": "ddim"})}
    )
    settings = override(distilled(config, 1), {"training": {"precision": "float32"}})
    assert settings.data.condition_noise == 0.4
    seen: dict[float, list[Tensor]] = {}
    for most in (0.0, 0.4):
        changed = override(settings, {"data": {"condition_noise": most}})
        run = begin(changed, open_trained(finished / "model"))
        asks: list[Tensor] = []
        seen[most] = asks
        objective: Any = run._objective
        for network in (objective._teacher.module, run._learners[0].module):
            network.register_forward_pre_hook(
                lambda module, inputs, asks=asks: asks.append(inputs[2].clone())
            )
        run.step(random_batch(changed, 8))
    assert torch.equal(seen[0.4][0], seen[0.4][1])
    assert torch.equal(seen[0.0][0], seen[0.0][1])
    assert 0.01 < (seen[0.4][0] - seen[0.0][0]).std() < 0.4
