"""From a network's output to the clean variable of a possible picture: the one place that does it.

Whole pictures, tiles, training and distillation differ in where the output comes from, not in what
it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import ArrayLike

from sr4.diffusion.predictions import Prediction
from sr4.diffusion.samplers import Denoised
from sr4.diffusion.targets import Frame, Target

Array = Any


@dataclass(frozen=True)
class Denoiser:
    """What a network's output (B, O, H, W) says about x_t.

    Args:
        target: what x_0 stands for.
        prediction: what the first C channels are; with a `second` mean, the last C as well.
        channels: C, of a picture.
        second: what another C channels of the output hold: nothing, the variance of the reverse
            step, or the mean of all pictures that fit, beside a sample of them.
    """

    target: Target
    prediction: Prediction
    channels: int
    second: Literal["variance", "mean"] | None = None

    @property
    def output_channels(self) -> int:
        """O."""
        return self.channels * (2 if self.second else 1)

    def __call__(
        self, answer: Array, x_t: Array, log_snr: ArrayLike, frame: Frame, *, consistency: bool
    ) -> Denoised:
        """The x_0 that a sampler goes on with, constrained (see `Frame.constrain`), and the
        variance output.

        Args:
            answer: what `blend` makes of the network's output; the output itself means a sample.
            frame: of `target`, for the `low_res` of x_t.
            consistency: keep to the pictures that fit `low_res`.
        """
        x_0 = self.sample(answer, x_t, log_snr)
        return Denoised(frame.constrain(x_0, consistency=consistency), self.variance(answer))

    def sample(self, output: Array, x_t: Array, log_snr: ArrayLike) -> Array:
        """The x_0 of the first output, not constrained: (B, C, H, W)."""
        return self.prediction.x_0(output[:, : self.channels], x_t, log_snr)

    def mean(self, output: Array, x_t: Array, log_snr: ArrayLike) -> Array:
        """The x_0 of the second output, the mean of all pictures that fit: (B, C, H, W)."""
        assert self.second == "mean"
        return self.prediction.x_0(output[:, self.channels :], x_t, log_snr)

    def blend(self, output: Array, detail: float) -> Array:
        """The output between mean (`detail` 0) and sample (1), `mean + detail (sample - mean)`,
        (B, C, H, W), where the network gives both; else the output itself.

        All predictions are affine in the output, so this is the line between the x_0 of both. On
        such a line lie the estimators that have the least error for their distance to real
        pictures (Freirich et al. 2021, A Theory of the Distortion-Perception Tradeoff in
        Wasserstein Space, theorem 3).
        """
        if self.second != "mean":
            return output
        sample, mean = output[:, : self.channels], output[:, self.channels :]
        return mean + detail * (sample - mean)

    def variance(self, output: Array) -> Array | None:
        """What a learned variance follows from, (B, C, H, W), where there is one."""
        return output[:, self.channels :] if self.second == "variance" else None
