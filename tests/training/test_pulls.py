"""The pulls at a student: their sizes, where they look, and who learns from what."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from sr4.data.part import Part  # noqa: E402
from sr4.networks.discriminator import FeatureDiscriminator  # noqa: E402
from sr4.training.pulls import Balance, Shaking, View, contest, energy_score  # noqa: E402


def test_the_discriminators_pull_is_as_large_as_the_distances() -> None:
    balance, steps = Balance(4), torch.tensor([0, 2, 0, 2])
    distance, adversarial = torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    distance = distance * (1 + steps)[:, None, None, None]
    for size in (1e-3, 1.0, 50.0):
        for _ in range(300):  # until the running means have followed
            found = balance(distance, size * adversarial, steps)
        for step in (0, 2):
            ratio = found[steps == step].norm() / distance[steps == step].norm()
            assert ratio.item() == pytest.approx(1, rel=0.01)
    assert torch.equal(balance.ratios[[1, 3]], torch.zeros(2))


@pytest.mark.parametrize(("diversity", "expected"), [(1.0, 2.0), (0.0, 0.0)])
def test_an_energy_score_finds_mean_and_deviation(diversity: float, expected: float) -> None:
    """Of a normal distribution of 4 dimensions with mean 1.5 and deviation 2; the distance alone
    finds the mean.
    """
    generator = torch.Generator().manual_seed(0)
    mean, deviation = torch.zeros(4, requires_grad=True), torch.ones((), requires_grad=True)
    optimiser = torch.optim.Adam([mean, deviation], lr=0.02)
    for _ in range(400):
        truth, one, other = torch.randn(3, 2048, 4, generator=generator)
        made, others = (mean + deviation * noise for noise in (one, other))

        def distance(goal: Tensor, made: Tensor = made) -> Tensor:
            return (made - goal).norm(dim=1).mean()

        loss = energy_score(distance, 1.5 + 2 * truth, others.detach(), diversity)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert deviation.abs().item() == pytest.approx(expected, abs=0.1)
    torch.testing.assert_close(mean.detach(), torch.full((4,), 1.5), atol=0.1, rtol=0)


def test_views_of_all_sizes_and_places() -> None:
    random = np.random.default_rng(0)
    views = [View.drawn(random, (32, 48)) for _ in range(900)]
    for zoom in (1, 2, 4):
        corners = [view.corner for view in views if view.zoom == zoom]
        assert 240 < len(corners) < 360
        assert {row for row, _ in corners} == set(range(33 - 32 // zoom))
        assert {column for _, column in corners} == set(range(49 - 48 // zoom))


def test_what_a_view_shows() -> None:
    ramp = torch.arange(32.0).view(1, 1, 32, 1).expand(1, 3, 32, 48)
    assert torch.equal(View(1, (0, 0))(ramp), ramp)
    part = View(2, (8, 3))(ramp)
    assert part.shape == ramp.shape
    # Rows 8 to 23, of which each new one is half as high: the middle of the first is at 7.75.
    expected = 7.75 + torch.arange(32.0) / 2
    torch.testing.assert_close(part[0, 0, 4:-4, 0], expected[4:-4])


def linear(gain: Tensor) -> nn.Module:
    """A discriminator whose score is a weighted sum over channels."""
    head = nn.Conv2d(2, 1, 1, bias=False)
    head.weight = nn.Parameter(gain.view(1, 2, 1, 1))
    return head


def test_a_contest_by_hand() -> None:
    head = linear(torch.tensor([1.0, -2.0]))
    made, real = torch.zeros(1, 2, 1, 1), torch.ones(1, 2, 1, 1)
    (slope,), loss = contest(lambda shown: [head(shown[0])], [made], [real])
    # Scores 0 and -1: the student wants its own ahead, and is by 1.
    share = 1 / (1 + np.e)
    np.testing.assert_allclose(slope.ravel(), [-share, 2 * share], rtol=1e-5)
    assert loss.item() == pytest.approx(np.log1p(np.e))
    # The discriminator's: by the score of the real one, of which each channel is 1.
    gradient = torch.autograd.grad(loss, list(head.parameters()))[0]
    np.testing.assert_allclose(gradient.ravel(), [share - 1, share - 1], rtol=1e-5)


def test_noise_is_penalised_by_what_it_changes() -> None:
    head, pictures = linear(torch.tensor([3.0, 0.0])), torch.zeros(500, 2, 1, 1)
    shaking = Shaking(4, Part(range(500), 500), torch.Generator().manual_seed(0))
    (_, without), (_, loss) = (
        contest(lambda shown: [head(shown[0])], [pictures], [pictures], one)
        for one in (None, shaking)
    )
    # Of 0.1 times 3, squared.
    assert (loss - without).item() == pytest.approx(4 * 0.09, rel=0.1)


def test_heads_learn_to_tell_maps_apart() -> None:
    torch.manual_seed(0)
    heads = FeatureDiscriminator([4, 6], width=8)
    optimiser = torch.optim.Adam(heads.parameters(), 3e-3)
    for _ in range(60):
        made, real = ([torch.randn(8, c, 8, 8) * size for c in (4, 6)] for size in (0.5, 1.0))
        slopes, loss = contest(heads, made, real)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2  # log 2 of one that knows nothing
    larger = [one * slope for one, slope in zip(made, slopes, strict=True)]
    assert all(one.mean() < 0 for one in larger)  # it asks for more of them
