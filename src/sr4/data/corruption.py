"""What cameras and files do to pictures, for training models that undo it.

`low_res` of plain training is a clean, sharp, small picture. One from a camera or a web page is
blurred, noisy and compressed. A model learns to undo what it has seen, so these are drawn at
random, for each picture, as it is read.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.degradation import Degradation, gaussian_matrix
from sr4.images import quantise, to_array

Floats = NDArray[np.float32]
Float64 = NDArray[np.float64]

_NO_BLUR = 0.1  # high-res pixels; neighbours would weigh less than 1e-21


class Corruption(Protocol):
    """Makes a corrupted `low_res` of a picture."""

    def __call__(
        self, high_res: Float64, degradation: Degradation, random: np.random.Generator
    ) -> Floats:
        """(3, H, W) in [-1, 1] to (3, H / scale, W / scale) in [-1, 1], 8-bit levels."""
        ...


@dataclass(frozen=True)
class PhotoCorruption:
    """As photographs are: Gaussian blur, the degradation, noise, 8 bits, JPEG; in the order of the
    classical degradation model of blind super-resolution (Wang et al. 2021, Real-ESRGAN, section
    3.1), once.

    Each strength is drawn uniformly between two bounds. All four are always drawn, and before the
    noise itself, so that changing the bounds of one moves none of the others.

    Args:
        blur: deviation of the blur, in pixels of `low_res`.
        gaussian: deviation of the noise of black, in levels of 255.
        shot: what light adds to it at white, in levels of 255.
        quality: of the JPEG file, Pillow's, whole numbers, both bounds included.
    """

    blur: tuple[float, float] = (0.0, 0.8)
    gaussian: tuple[float, float] = (0.0, 8.0)
    shot: tuple[float, float] = (0.0, 8.0)
    quality: tuple[int, int] = (40, 95)

    def __call__(
        self, high_res: Float64, degradation: Degradation, random: np.random.Generator
    ) -> Floats:
        """See `Corruption`."""
        blur, gaussian, shot = (
            random.uniform(*bounds) for bounds in (self.blur, self.gaussian, self.shot)
        )
        quality = int(random.integers(*self.quality, endpoint=True))
        small = degradation(blurred(high_res, blur * degradation.scale))
        return to_array(compressed(quantise(noisy(small, gaussian, shot, random)), quality))


def blurred(x: Float64, deviation: float) -> Float64:
    """(..., H, W) after a Gaussian blur, by one matrix per axis. At the borders, the weights of the
    pixels that are there add up to 1.

    Args:
        deviation: in pixels.
    """
    if deviation < _NO_BLUR:
        return x
    rows, columns = (gaussian_matrix(size, deviation) for size in x.shape[-2:])
    found: Float64 = rows @ x @ columns.T
    return found


def noisy(x: Float64, gaussian: float, shot: float, random: np.random.Generator) -> Float64:
    """x with the noise of a sensor, whose variance grows with the light: `gaussian² + shot² s` for
    a signal s from 0, black, to 1, white (Foi et al. 2008, Practical Poissonian-Gaussian noise
    modeling and fitting for single-image raw-data, equation 3, here on the values of the file).

    Args:
        x: in [-1, 1]; beyond, the variance stays that of black or white.
        gaussian, shot: deviations in levels of 255.
    """
    signal = np.clip((x + 1) / 2, 0, 1)
    deviation = np.sqrt(gaussian**2 + shot**2 * signal) / 127.5
    return np.asarray(x + deviation * random.standard_normal(x.shape))


def compressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) after JPEG compression, with the colours at half the size as is usual."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
