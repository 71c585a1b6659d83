"""From outputs to the clean variable: which channels are what, and what is made of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from sr4.degradation import Degradation
from sr4.diffusion.denoiser import Denoiser
from sr4.diffusion.predictions import PREDICTIONS
from sr4.diffusion.process import q_sample
from sr4.diffusion.targets import Frame, Target

Float64 = NDArray[np.float64]
D = Degradation(4)
TARGET = Target("residual", D, 0.5)
LEVEL = 0.7
SHAPE = (2, 3, 16, 16)


def noise(seed: int, size: float = 1.0) -> Float64:
    return size * np.random.default_rng(seed).standard_normal(SHAPE)


@pytest.fixture
def frame() -> Frame:
    return TARGET.frame(np.random.default_rng(9).uniform(-0.7, 0.7, (2, 3, 4, 4)))


def denoiser(prediction: str, second: Literal["variance", "mean"] | None = None) -> Denoiser:
    return Denoiser(TARGET, PREDICTIONS[prediction], 3, second)


def output(prediction: str, *x_0: Float64) -> tuple[Float64, Float64]:
    """What a network says of x_t to mean each x_0; and x_t, of the first."""
    x_t = q_sample(x_0[0], noise(3), LEVEL)
    alpha, sigma = np.sqrt(1 / (1 + np.exp([-LEVEL, LEVEL])))
    said = []
    for one in x_0:
        eps = (x_t - alpha * one) / sigma
        said.append({"x0": one, "eps": eps, "v": alpha * eps - sigma * one}[prediction])
    return np.concatenate(said, axis=1), x_t


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("detail", [0.0, 0.3, 1.0])
def test_detail_lies_between_mean_and_sample(prediction: str, detail: float) -> None:
    sample, mean = noise(0), noise(1)
    said, x_t = output(prediction, sample, mean)
    both = denoiser(prediction, "mean")
    assert both.output_channels == 6
    np.testing.assert_allclose(both.sample(said, x_t, LEVEL), sample, atol=1e-12)
    np.testing.assert_allclose(both.mean(said, x_t, LEVEL), mean, atol=1e-12)
    expected = mean + detail * (sample - mean)
    np.testing.assert_allclose(
        both.sample(both.blend(said, detail), x_t, LEVEL), expected, atol=1e-12
    )
    assert both.variance(said) is None


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_without_a_mean_detail_changes_nothing(prediction: str) -> None:
    said, x_t = output(prediction, noise(0))
    plain = denoiser(prediction)
    assert plain.output_channels == 3
    for detail in (0.0, 1.0):
        np.testing.assert_allclose(
            plain.sample(plain.blend(said, detail), x_t, LEVEL), noise(0), atol=1e-12
        )


@pytest.mark.parametrize("consistency", [True, False])
def test_a_sampler_gets_a_possible_picture_and_the_variance(
    frame: Frame, consistency: bool
) -> None:
    x_0, variance = noise(0, 5.0), noise(1)
    said, x_t = output("v", x_0)
    learned = denoiser("v", "variance")
    assert learned.output_channels == 6
    found = learned(
        np.concatenate([said, variance], axis=1), x_t, LEVEL, frame, consistency=consistency
    )
    assert found.variance_output is not None
    np.testing.assert_array_equal(found.variance_output, variance)
    picture = frame.decode(found.x_0)
    clipped = np.clip(frame.base + 0.5 * x_0, -1, 1)
    assert (np.abs(clipped) == 1).mean() > 0.3
    expected = D.project(clipped, frame.low_res) if consistency else clipped
    np.testing.assert_allclose(picture, expected, atol=1e-12)


def test_torch_gives_what_numpy_gives(frame: Frame) -> None:
    torch = pytest.importorskip("torch")
    said, x_t = output("v", noise(0), noise(1))
    both = denoiser("v", "mean")
    in_torch = TARGET.frame(torch.from_numpy(frame.low_res))
    answer = both.blend(torch.from_numpy(said), 0.4)
    found = both(answer, torch.from_numpy(x_t), LEVEL, in_torch, consistency=True)
    expected = both(both.blend(said, 0.4), x_t, LEVEL, frame, consistency=True)
    np.testing.assert_allclose(found.x_0.numpy(), expected.x_0, atol=1e-12)
