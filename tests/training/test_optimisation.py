"""One step of the optimiser: whom each loss moves, how far, and what the average keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from sr4.build import build_degradation  # noqa: E402
from sr4.config import RunSettings, TrainingSettings  # noqa: E402
from sr4.config.overrides import override  # noqa: E402
from sr4.data.loader import Batch  # noqa: E402
from sr4.degradation.known import KNOWN_LENGTH  # noqa: E402
from sr4.errors import UsageError  # noqa: E402
from sr4.networks.fused import Dropout  # noqa: E402
from sr4.recipes import recipe  # noqa: E402
from sr4.training.checkpoint import Checkpoint  # noqa: E402
from sr4.training.objectives import Learner, Losses  # noqa: E402
from sr4.training.optimisation import NotFiniteError, Optimisation  # noqa: E402
from sr4.training.trainer import begin  # noqa: E402

Tiny = Callable[..., RunSettings]


def batch(settings: RunSettings, position: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(position)
    high_res = torch.rand(4, 3, 32, 32, generator=generator) * 2 - 1
    low_res = build_degradation(settings.model).observe(high_res)
    known, is_clean = torch.zeros(4, KNOWN_LENGTH), torch.ones(4, dtype=torch.bool)
    return Batch(high_res, low_res, ("a", "b", "c", "d"), position, known, is_clean)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def network(run: Optimisation) -> nn.Module:
    return run._learners[0].module


class Duel:
    """The square of the network's weights, and a rival of one weight with a square of its own."""

    def __init__(self, clip_norm: float = 1e9) -> None:
        self.rival, self.clip_norm = nn.Linear(1, 1, bias=False), clip_norm
        nn.init.constant_(self.rival.weight, 3.0)
        self.count = torch.zeros(2)
        self.state: Mapping[str, Tensor] = {"rival.count": self.count}
        self.steps: list[int] = []
        self.rivals_loss = 1.0

    def rivals(self, device: Any) -> Sequence[Learner]:
        optimiser = torch.optim.SGD(self.rival.parameters(), lr=0.1, momentum=0.5)
        return (Learner("rival", self.rival.to(device), optimiser, self.clip_norm),)

    def losses(self, modules: Sequence[nn.Module], batch: Batch, step: int) -> Losses:
        self.steps.append(step)
        self.count += 1
        ours = torch.stack([one.square().sum() for one in modules[0].parameters()]).sum()
        theirs = modules[1].get_parameter("weight").square().sum() * self.rivals_loss
        return Losses(ours.detach(), (ours, theirs))


def test_each_learner_follows_its_own_loss(tiny: Tiny) -> None:
    plain: dict[str, Any] = {"warmup_images": 0, "cooldown": 0, "weight_decay": 0}
    settings, duel = tiny(learning_rate=1e-3, **plain), Duel()
    run = Optimisation(settings, duel)
    before = weights(network(run))
    shown = run.step(batch(settings))
    assert shown.item() == pytest.approx(before.square().sum().item(), rel=1e-5)
    # The first step of Adam goes by the rate against the gradient's sign, whatever its size.
    clear = before.abs() > 1e-2
    assert clear.float().mean() > 0.5
    moved = (weights(network(run)) - before)[clear]
    torch.testing.assert_close(moved, -1e-3 * before[clear].sign(), rtol=0, atol=1e-5)
    assert duel.rival.weight.item() == pytest.approx(3 - 0.1 * 6)
    run.step(batch(settings, 4))
    momentum = 0.5 * 6 + 2 * 2.4
    assert duel.rival.weight.item() == pytest.approx(2.4 - 0.1 * momentum)
    assert (duel.steps, run.steps, run.images) == ([1, 2], 2, 8)


def test_each_gradient_is_clipped_by_itself(tiny: Tiny) -> None:
    settings, duel = tiny(), Duel(clip_norm=0.5)
    Optimisation(settings, duel).step(batch(settings))
    assert duel.rival.weight.item() == pytest.approx(3 - 0.1 * 0.5, rel=1e-5)


def test_what_is_not_finite_in_a_rival_moves_nobody(tiny: Tiny) -> None:
    settings, duel = tiny(), Duel()
    run = Optimisation(settings, duel)
    before = weights(network(run))
    duel.rivals_loss = float("inf")
    with pytest.raises(NotFiniteError, match=r"^step 1: the norm of the rival's gradient is inf"):
        run.step(batch(settings))
    assert torch.equal(weights(network(run)), before)
    assert torch.equal(weights(run.average), before)
    assert duel.rival.weight.item() == 3
    assert all(parameter.grad is None for parameter in network(run).parameters())
    assert (run.steps, run.images, run.skipped) == (1, 4, 1)


def test_a_checkpoint_holds_all_learners_under_their_names(tiny: Tiny, tmp_path: Path) -> None:
    settings, duel = tiny(), Duel()
    run = Optimisation(settings, duel)
    run.step(batch(settings))
    saved = run.checkpoint()
    plain = set(run.average.state_dict())
    assert set(saved.network) == plain | {"rival.weight", "rival.count"}
    assert set(saved.ema) == plain
    assert "rival.0.momentum_buffer" in saved.optimiser
    assert "0.exp_avg" in saved.optimiser

    other = Duel()
    again = Optimisation(override(settings, {"training": {"seed": 5}}), other)
    again.restore(Checkpoint.load(saved.save(tmp_path, keep=1)))
    assert torch.equal(other.count, torch.ones(2))
    for each in (run, again):
        each.step(batch(settings, 4))
    assert torch.equal(weights(network(again)), weights(network(run)))
    assert torch.equal(weights(again.average), weights(run.average))
    assert torch.equal(other.rival.weight, duel.rival.weight)
    lacking = {k: v for k, v in saved.network.items() if k != "rival.count"}
    with pytest.raises(LookupError):
        again.restore(replace(saved, network=lacking))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_average_keeps_its_decay(tiny: Tiny, decay: float) -> None:
    """So little that the first step, which keeps 2/11 at most, does so already."""
    settings = tiny(ema_decay=decay, warmup_images=0)
    run = begin(settings)
    before = weights(run.average)
    run.step(batch(settings))
    after = weights(network(run))
    assert (after - before).abs().max() > 1e-3
    expected = decay * before + (1 - decay) * after
    assert torch.allclose(weights(run.average), expected, atol=1e-7)


def with_dropout(tiny: Tiny, share: float) -> RunSettings:
    small: dict[str, Any] = {"inner": 8, "groups": 4, "blocks": 1, "multipliers": [1, 2]}
    small |= {"attention_resolutions": [], "dropout": share}
    model = {"image_size": 32, "degradation": {"scale": 4}, "network": small}
    training = {"precision": "float32", "batch_size": 4, "learning_rate": 1e-3}
    return override(recipe("sr3"), {"model": model, "training": training})


def test_the_network_in_training_drops_out_and_the_average_does_not(tiny: Tiny) -> None:
    settings = with_dropout(tiny, 0.25)
    run = begin(settings)
    for module, is_training in ((network(run), True), (run.average, False)):
        dropouts = [one for one in module.modules() if isinstance(one, Dropout)]
        assert dropouts
        assert {one.dropped for one in dropouts} == {2**16 // 4}
        assert {one.training for one in dropouts} == {is_training}


def test_dropout_follows_from_seed_and_position(tiny: Tiny) -> None:
    """Whatever else has drawn from the global generator; and it does change the step."""

    def stepped(share: float, stir: int) -> Tensor:
        settings = with_dropout(tiny, share)
        run = begin(settings)
        torch.manual_seed(stir)
        run.step(batch(settings))
        return weights(network(run))

    assert torch.equal(stepped(0.25, 1), stepped(0.25, 2))
    assert not torch.equal(stepped(0.25, 1), stepped(0.0, 1))


@pytest.mark.parametrize("recipe", ["fast", "dropout"])
def test_pieces_of_a_batch_take_the_step_of_all_of_it(tiny: Tiny, recipe: str) -> None:
    """Of unequal sizes, too; by a plain step along the gradient, which Adam would make larger."""
    settings = with_dropout(tiny, 0.25) if recipe == "dropout" else tiny(warmup_images=0)
    moved = []
    for most in (None, 4, 3, 1):
        run = begin(override(settings, {"training": {"microbatch": most}}))
        before = weights(network(run))
        run._learners[0] = replace(
            run._learners[0], optimiser=torch.optim.SGD(network(run).parameters(), lr=1.0)
        )
        loss = run.step(batch(settings, 8))
        assert (run.images, run.steps) == (4, 1)
        moved.append((loss, weights(network(run)) - before))
    assert torch.equal(moved[1][1], moved[0][1])
    for loss, step in moved[2:]:
        torch.testing.assert_close(loss, moved[0][0], rtol=1e-6, atol=0)
        assert (step - moved[0][1]).norm() < 1e-4 * moved[0][1].norm()  # weights are rounded


def test_the_weights_begin_as_asked(tiny: Tiny) -> None:
    found = {}
    for how in get_args(TrainingSettings.model_fields["initialisation"].annotation):
        settings = override(tiny(), {"training": {"initialisation": how}})
        found[how] = weights(begin(settings).average)
    assert len(found) == 3
    assert not any(torch.equal(found["default"], found[how]) for how in ("orthogonal", "kaiming"))
    assert not torch.equal(found["orthogonal"], found["kaiming"])


def test_weights_of_another_shape_are_refused(tiny: Tiny) -> None:
    run = begin(tiny())
    with pytest.raises(UsageError, match=r"^got --init with a tensor 'conv_in.bias' of shape \(3,"):
        run.begin_with({"conv_in.bias": torch.zeros(3)}, "--init")
