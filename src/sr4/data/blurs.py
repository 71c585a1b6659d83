"""Blurs: Gaussian ones along the axes, and kernels of other shapes."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sr4.degradation import gaussian_matrix

Float64 = NDArray[np.float64]

_NO_BLUR = 0.1  # pixels; neighbours would weigh less than 1e-21
_SINC_RADIUS = 10  # pixels


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


def anisotropic_kernel(along: float, across: float, angle: float, power: float = 1.0) -> Float64:
    """A generalised Gaussian, (K, K), whose weights add up to 1: `exp(-r² ** power / 2)` of the
    distance r in deviations (Liu et al. 2020, Estimating generalized Gaussian blur kernels).

    Args:
        along, across: deviations in pixels, along an axis at `angle` (radians) to the rows and
            across it.
        power: 1 for a Gaussian; less has longer tails, more a flatter top.
    """
    along, across = max(along, _NO_BLUR), max(across, _NO_BLUR)
    radius = max(1, math.ceil(3 * max(along, across)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    turned_x = x * math.cos(angle) + y * math.sin(angle)
    turned_y = y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((turned_x / along) ** 2 + (turned_y / across) ** 2) ** power)
    return np.asarray(kernel / kernel.sum())


def sinc_kernel(cutoff: float) -> Float64:
    """An ideal low pass of circular shape, (21, 21), whose weights add up to 1: the ringing that
    sharpening and compression leave (Wang et al. 2021, Real-ESRGAN, equation 6).

    Args:
        cutoff: radians a pixel, above 0 up to pi.
    """
    from scipy.special import j1

    y, x = np.mgrid[-_SINC_RADIUS : _SINC_RADIUS + 1, -_SINC_RADIUS : _SINC_RADIUS + 1]
    distance = np.hypot(x, y)
    distance[_SINC_RADIUS, _SINC_RADIUS] = 1.0  # a stand-in: the limit is set below
    kernel = cutoff / (2 * math.pi * distance) * j1(cutoff * distance)
    kernel[_SINC_RADIUS, _SINC_RADIUS] = cutoff**2 / (4 * math.pi)
    return np.asarray(kernel / kernel.sum())


def convolved(x: Float64, kernel: Float64) -> Float64:
    """(..., H, W) after a convolution with a kernel (K, K), K odd; borders are reflected."""
    radius = kernel.shape[0] // 2
    margins = [(0, 0)] * (x.ndim - 2) + [(radius, radius)] * 2
    padded = np.pad(x, margins, mode="symmetric")
    shape = padded.shape[-2:]
    spectrum = np.fft.rfft2(padded) * np.fft.rfft2(kernel, shape)
    found: Float64 = np.fft.irfft2(spectrum, shape)[..., 2 * radius :, 2 * radius :]
    return found
