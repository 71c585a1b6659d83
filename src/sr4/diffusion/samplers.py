"""The sampling loop and the small steppers that run under it.

A sampler is a pure step from one noise level to the next, its memory passed in and out. What each
step of a sampling does is a `ReverseStep`; `sample` does them one after the other, each for the
whole picture. Pictures too large for that go through the same steps in bands, all steps for one
band before the next (`sr4.upscaling.tiling`), so that no step's whole variable is ever held: that
loop runs over bands first, which is why it is another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray

from sr4.degradation.arrays import array_namespace
from sr4.diffusion.predictions import VARIANCES, implied_eps, learned_log_variance
from sr4.diffusion.process import Transition, like
from sr4.diffusion.schedules import Float64, Schedule, alpha_sigma
from sr4.errors import UsageError
from sr4.machine.processors import for_each

Array = Any


class Denoised(NamedTuple):
    """What a model says about x_t: the clean variable, and its variance output where it has one."""

    x_0: Array
    variance_output: Array | None = None

    def rows(self, inside: slice) -> Denoised:
        """The estimate of some rows alone, which does not keep that of the others in memory."""
        found = [
            one if one is None else array_namespace(one).asarray(one[:, :, inside], copy=True)
            for one in self
        ]
        return Denoised(*found)


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """What `on_step` sees after each step: its number from 1, the total, the new x and x_0,
    (B, C, H, W) in the model's own scale.

    Of large pictures, which are drawn in bands of rows, pipelines tell bands in the place of steps;
    see `sr4.upscaling.pipeline.Pipeline.upscale`.

    Attributes:
        preview: of pipelines, in steps that the first picture has a part in: gives its first sample
            as far as it is known, (C, h, w) in [-1, 1], of at most so many pixels along the longer
            side, NaN where nothing is drawn yet. To be called before `on_step` returns.
    """

    number: int
    total: int
    x: Array
    x_0: Array
    preview: Callable[[int], NDArray[np.float32]] | None = None

    def __repr__(self) -> str:
        return f"Step({self.number} of {self.total}, x of shape {tuple(self.x.shape)})"


OnStep = Callable[[Step], None]


# The pictures of a folder have the same seed, and small ones the same noise: drawing that of a face
# takes a twentieth of the time of its network. At most 16 MB are kept.
_BLOCKS_KEPT = 16
_MOST_KEPT = 2**18  # numbers of a block


class PictureNoise:
    """Gaussian noise with streams of its own for each picture, draw and block of rows: so a
    picture's noise depends on its own seed alone, not on the batch it comes in, and any rows of it
    can be had without the others.

    Args:
        seeds: one per picture, each a whole number of at least 0.
        shape: shape of one picture's noise, (C, H, W) or (C,).
    """

    block = 128  # rows

    def __init__(self, seeds: Sequence[int], shape: Sequence[int]) -> None:
        for seed in seeds:
            if seed < 0:
                raise UsageError(f"got seed {seed}; expected a whole number of at least 0")
        self._seeds = tuple(seeds)
        self._shape = tuple(shape)
        self._drawn = 0

    def __call__(self) -> NDArray[np.float32]:
        """The next noise of every picture, (B, C, H, W)."""
        draw, self._drawn = self._drawn, self._drawn + 1
        if len(self._shape) == 1:
            return np.stack([self._block(seed, draw, 0, self._shape) for seed in self._seeds])
        return self.rows(draw, 0, self._shape[1])

    def start(self, start: int, stop: int, temperature: float) -> NDArray[np.float32]:
        """Some rows of the first draw, which a sampling starts from, times a temperature:
        (B, C, stop - start, W). Nothing is drawn for the temperature 0.
        """
        self._drawn = max(self._drawn, 1)
        if temperature == 0:
            channels, _, width = self._shape
            return np.zeros((len(self._seeds), channels, stop - start, width), np.float32)
        found = self.rows(0, start, stop)
        found *= np.float32(temperature)
        return found

    def rows(self, draw: int, start: int, stop: int) -> NDArray[np.float32]:
        """Some rows of the draw of that number, counted from 0: (B, C, stop - start, W)."""
        channels, height, width = self._shape
        first, last = start // self.block, -(-stop // self.block)
        found = np.empty((len(self._seeds), channels, stop - start, width), np.float32)

        def draw_block(place: tuple[int, int]) -> None:
            picture, number = place
            top = number * self.block
            shape = (channels, min(self.block, height - top), width)
            drawn = self._block(self._seeds[picture], draw, number, shape)
            a, b = max(start, top), min(stop, top + shape[1])
            found[picture, :, a - start : b - start] = drawn[:, a - top : b - top]

        places = [(one, number) for one in range(len(found)) for number in range(first, last)]
        for_each(draw_block, places, channels * self.block * width)
        return found

    @staticmethod
    def _block(seed: int, draw: int, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        drawn = _drawn_again if math.prod(shape) <= _MOST_KEPT else _drawn
        return drawn(seed, draw, number, shape)


def _drawn(seed: int, draw: int, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The noise of a block of rows, not to be written into."""
    bits = np.random.Philox(seed)
    if draw or number:  # far enough apart that no stream reaches into another
        bits = bits.advance(((draw << 64) + number) << 64)
    noise = np.random.Generator(bits).standard_normal(shape, np.float32)
    noise.flags.writeable = False
    return noise


_drawn_again = lru_cache(_BLOCKS_KEPT)(_drawn)


class Sampler(Protocol):
    """A step of a reverse process or of an ODE solver."""

    def step(
        self,
        x_t: Array,
        denoised: Denoised,
        transition: Transition,
        noise: Callable[[], Array],
        memory: Any,
    ) -> tuple[Array, Any]:
        """x at the cleaner time and the memory for the next step; memory is None at first."""
        ...


@dataclass(frozen=True)
class AncestralSampler:
    """Draws from the reverse process (Ho et al. 2020, algorithm 2; SR4 paper, equation 7).

    Args:
        variance: "small" (beta~), "large" (beta) or "learned" (between them, by the network).
    """

    variance: str = "small"

    def step(
        self,
        x_t: Array,
        denoised: Denoised,
        transition: Transition,
        noise: Callable[[], Array],
        memory: None,
    ) -> tuple[Array, None]:
        mean = transition.mean(x_t, denoised.x_0)
        if self.variance == "learned":
            if denoised.variance_output is None:
                raise UsageError(
                    "got variance 'learned' for a model without variance output; "
                    "expected 'small' or 'large'"
                )
            log_variance = learned_log_variance(denoised.variance_output, transition)
            deviation = array_namespace(x_t).exp(0.5 * log_variance)
        else:
            deviation = like(np.sqrt(VARIANCES[self.variance](transition)), x_t)
        return mean + deviation * noise(), None


@dataclass(frozen=True)
class DDIMSampler:
    """DDIM (Song et al. 2021, equation 12): the first-order ODE solver at eta = 0, the ancestral
    sampler with variance "small" at eta = 1.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UsageError(f"got eta {self.eta}; expected 0 (no noise) to 1 (ancestral sampling)")

    def step(
        self,
        x_t: Array,
        denoised: Denoised,
        transition: Transition,
        noise: Callable[[], Array],
        memory: None,
    ) -> tuple[Array, None]:
        alpha_s, sigma_s = alpha_sigma(np.asarray(transition.log_snr_s, np.float64))
        variance = self.eta**2 * transition.variance_small
        eps = implied_eps(x_t, denoised.x_0, transition.log_snr_t)
        x_s = like(alpha_s, x_t) * denoised.x_0 + like(np.sqrt(sigma_s**2 - variance), x_t) * eps
        if self.eta > 0:
            x_s = x_s + like(np.sqrt(variance), x_t) * noise()
        return x_s, None


@dataclass(frozen=True)
class DPMSolverPP2MSampler:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order from one evaluation a step."""

    def step(
        self,
        x_t: Array,
        denoised: Denoised,
        transition: Transition,
        noise: Callable[[], Array],
        memory: tuple[Array, float] | None,
    ) -> tuple[Array, tuple[Array, float]]:
        # Lu's lambda is half of log_snr.
        h = 0.5 * float(np.subtract(transition.log_snr_s, transition.log_snr_t))
        x_0 = denoised.x_0
        if memory is not None and memory[1] > 0:  # no slope where the schedule stood at its limit
            previous_x_0, previous_h = memory
            x_0 = x_0 + (h / (2 * previous_h)) * (x_0 - previous_x_0)
        alpha_s, sigma_s = alpha_sigma(np.asarray(transition.log_snr_s, np.float64))
        _, sigma_t = alpha_sigma(np.asarray(transition.log_snr_t, np.float64))
        x_s = like(sigma_s / sigma_t, x_t) * x_t - like(alpha_s * np.expm1(-h), x_t) * x_0
        return x_s, (denoised.x_0, h)


@dataclass(frozen=True)
class ReverseStep:
    """One step of a sampling, from a time t to s < t.

    Attributes:
        number: from 1; total: of all steps.
        log_snr: where the network is asked, that of t.
        log_snr_s: that of s.
        is_last: s is 0.
    """

    number: int
    total: int
    log_snr: float
    log_snr_s: float
    is_last: bool

    def __call__(
        self,
        sampler: Sampler,
        x_t: Array,
        denoised: Denoised,
        noise: Callable[[], Array],
        memory: Any,
    ) -> tuple[Array, Any]:
        """x at s, and what the sampler remembers (None before the first step).

        The step that ends at t = 0 returns the clean variable itself: there the posterior of every
        sampler has collapsed onto it.
        """
        if self.is_last:
            return denoised.x_0, None
        transition = Transition(self.log_snr, self.log_snr_s)
        return sampler.step(x_t, denoised, transition, noise, memory)


Denoise = Callable[[Array, ReverseStep], Denoised]


def reverse_steps(times: Float64, schedule: Schedule) -> list[ReverseStep]:
    """The steps of a sampling over times as `sample` takes them."""
    levels, total = schedule.log_snr(times).tolist(), len(times) - 1
    return [
        ReverseStep(index + 1, total, level_t, level_s, bool(s == 0))
        for index, ((level_t, level_s), s) in enumerate(
            zip(pairwise(levels), times[1:], strict=True)
        )
    ]


def sample(
    denoise: Denoise,
    x: Array,
    times: Float64,
    schedule: Schedule,
    sampler: Sampler,
    noise: Callable[[], NDArray[np.float32]],
    on_step: OnStep | None = None,
) -> Array:
    """Run a sampler over falling times; as many evaluations as there are steps.

    Args:
        denoise: called as `denoise(x_t, step)`, x_t being where the step begins.
        x: (B, C, H, W), the variable at times[0].
        times: falling, in [0, 1]; all but the last above 0.
        noise: gives the next Gaussian noise for the whole batch.
        on_step: called after each step; raising from it cancels the sampling.

    Returns:
        (B, C, H, W), the variable at times[-1].
    """
    xp, place = array_namespace(x), device(x)
    memory = None

    def native_noise() -> Array:
        return xp.asarray(noise(), dtype=x.dtype, device=place)

    for step in reverse_steps(times, schedule):
        denoised = denoise(x, step)
        x, memory = step(sampler, x, denoised, native_noise, memory)
        if on_step is not None:
            on_step(Step(step.number, step.total, x, denoised.x_0))
    return x
