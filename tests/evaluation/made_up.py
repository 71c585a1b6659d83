"""Sources and upscalers whose scores are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sr4.config import SamplingSettings
from sr4.degradation import Degradation
from sr4.errors import UsageError
from sr4.pictures.pixels import quantise, to_array

SCALE = 4


class MeanColour:
    """Features that one can compute by hand."""

    protocol = "mean colour"

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return np.asarray(pictures.mean(axis=(1, 2)) / 255)


class Pictures:
    """A source in memory."""

    location = "memory"

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = pictures
        self.names = [f"faces/{index:03d}.png" for index in range(len(pictures))]

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, index: int) -> np.ndarray:
        return self.pictures[index]


class Upscaler:
    """Bicubic upscaling plus noise that depends on the seed alone."""

    name = "fake"
    runtime = "made up, float32"
    degradation = Degradation(SCALE)

    def __init__(self, noise: float = 0.1) -> None:
        self.noise = noise
        self.calls: list[dict[str, Any]] = []

    def sampling(
        self, steps: int | None = None, sampler: str | None = None, *_: Any, **__: Any
    ) -> SamplingSettings:
        if sampler == "unknown":
            raise UsageError("unknown sampler")
        return SamplingSettings(steps=steps or 7, sampler="ddim")

    def sample(
        self,
        low_res: np.ndarray,
        *,
        seeds: Sequence[int],
        steps: int | None = None,
        sampler: str | None = None,
        **_: Any,
    ) -> np.ndarray:
        self.calls.append({"seeds": list(seeds), "steps": steps, "sampler": sampler})
        upsampled = self.degradation.upsample(low_res)
        noise = [np.random.default_rng(seed).normal(size=upsampled.shape[1:]) for seed in seeds]
        return (upsampled + self.noise * np.stack(noise)).astype(np.float32)


class SureUpscaler(Upscaler):
    """Draws no noise where a picture is flat; of batches of one picture."""

    def sample(self, low_res: np.ndarray, **options: Any) -> np.ndarray:
        self.noise = 0.1 * bool(np.ptp(low_res))
        return super().sample(low_res, **options)


class PerfectUpscaler(Upscaler):
    """Knows the truths."""

    name = "perfect"

    def __init__(self, source: Pictures) -> None:
        super().__init__()
        highs = [to_array(picture) for picture in source.pictures]
        self.known = {self._key(self.degradation.observe(one[None])[0]): one for one in highs}

    @staticmethod
    def _key(low_res: np.ndarray) -> bytes:
        return quantise(low_res).tobytes()

    def sample(self, low_res: np.ndarray, **_: Any) -> np.ndarray:
        return np.stack([self.known[self._key(one)] for one in low_res])
