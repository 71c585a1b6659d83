"""How long a model takes for one picture, alone and warmed up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict

from sr4.diffusion.samplers import OnStep, Step
from sr4.model.diffusion_model import DiffusionModel
from sr4.runtime import Network, WrappedNetwork
from sr4.upscaling.given import Picture
from sr4.upscaling.pipeline import Pipeline

LONG_SECONDS = 10.0  # a picture that takes longer is computed from its first steps
LONG_STEPS = 500  # but up to that many steps, one is really drawn, too
_WARM_UP_PICTURES = 3
_PICTURES, _STEPS = 20, 8  # timed
_QUICK_PICTURES, _QUICK_STEPS = 5, 3

Tell = Callable[[int, int, str], None]
"""Called with an amount done, the amount in all, and what is being done."""


class Spread(BaseModel):
    """Several measurements: their median, the lowest and the highest."""

    model_config = ConfigDict(frozen=True)

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of some measurements."""
        return cls(median=statistics.median(values), low=min(values), high=max(values))

    def times(self, factor: float) -> Spread:
        """The spread with all three figures multiplied by a factor."""
        return Spread(median=self.median * factor, low=self.low * factor, high=self.high * factor)


class Speed(BaseModel):
    """How long one picture takes.

    Attributes:
        seconds: from the low-res picture to the high-res one, all in all.
        evaluation_seconds: one evaluation of the network, inside the runtime.
        computed: `seconds` is the number of steps times `step_seconds`.
        step_seconds: one evaluation and the sampler's arithmetic around it, where computed.
        full_seconds: of the one picture that was really drawn, where computed.
    """

    model_config = ConfigDict(frozen=True)

    seconds: Spread
    evaluation_seconds: Spread
    computed: bool = False
    step_seconds: Spread | None = None
    full_seconds: float | None = None


class SpeedTest:
    """Draws one picture, whole or in part, and takes the time.

    Args:
        picture: the low-res one.
    """

    def __init__(self, model: DiffusionModel, picture: Picture, steps: int) -> None:
        self.total = steps
        self._network = _TimedNetwork(model.network)
        self._pipeline = Pipeline(DiffusionModel(model.config, self._network, model.name))
        self._picture = picture
        self._consistency = model.config.sampling.consistency

    def whole(self, on_step: OnStep | None = None) -> float:
        """Seconds of the picture.

        Raises:
            SR4Error: the model cannot take the picture, or fails.
        """
        began = time.perf_counter()
        self._draw(on_step)
        return time.perf_counter() - began

    def steps(self, count: int) -> list[float]:
        """Seconds of each of the first steps; errors as for `whole`."""
        ends = [time.perf_counter()]

        def look(step: Step) -> None:
            ends.append(time.perf_counter())
            if step.number == count:
                raise _EnoughError

        with suppress(_EnoughError):
            self._draw(look)
        return [end - begin for begin, end in pairwise(ends)]

    def evaluations(self) -> list[float]:
        """Seconds of the evaluations since this was last asked, inside the runtime."""
        seconds, self._network.seconds = self._network.seconds, []
        return seconds

    def _draw(self, on_step: OnStep | None) -> None:
        self._pipeline.upscale(
            self._picture, steps=self.total, consistency=self._consistency, on_step=on_step
        )


def measure_speed(
    test: SpeedTest, tell: Tell, *, quick: bool = False, long_seconds: float = LONG_SECONDS
) -> Speed:
    """Draw a picture again and again; of one that takes longer than `long_seconds`, some steps.

    Args:
        quick: fewer repeats, and no long picture.

    Raises:
        SR4Error: the model cannot take the picture, or fails.
    """
    for _ in range(2):  # the first evaluations of a runtime also prepare it
        estimate = test.steps(min(2, test.total))[-1]
    if test.total * estimate > long_seconds:
        return _long(test, tell, quick)
    for _ in range(_WARM_UP_PICTURES):
        test.whole()
    test.evaluations()
    repeats = _QUICK_PICTURES if quick else _PICTURES
    seconds = []
    for number in range(repeats):
        seconds.append(test.whole())
        tell(number + 1, repeats, "pictures timed")
    return Speed(seconds=Spread.of(seconds), evaluation_seconds=Spread.of(test.evaluations()))


def _long(test: SpeedTest, tell: Tell, quick: bool) -> Speed:
    count = _QUICK_STEPS if quick else _STEPS
    tell(0, count, "steps timed")
    test.evaluations()
    seconds = test.steps(min(1 + count, test.total))
    first = 1 if test.total > 1 else 0  # the one before begins with the preparation
    step, evaluation = Spread.of(seconds[first:]), Spread.of(test.evaluations()[first:])
    full = None
    if not quick and test.total <= LONG_STEPS:
        full = test.whole(lambda step: tell(step.number, step.total, "steps of a whole picture"))
    return Speed(
        seconds=step.times(test.total),
        evaluation_seconds=evaluation,
        computed=True,
        step_seconds=step,
        full_seconds=full,
    )


class _EnoughError(Exception):
    """Ends a sampling early."""


class _TimedNetwork(WrappedNetwork):
    """A network that notes how long its evaluations take."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.seconds: list[float] = []

    def __call__(self, x_t: Any, log_snr: float, upsampled: Any, known: Any = None) -> Any:
        began = time.perf_counter()
        output = super().__call__(x_t, log_snr, upsampled, known)
        self.seconds.append(time.perf_counter() - began)
        return output
