"""Estimates of noise, dithering and blur from pixels alone; `recognised` has that of compression.

All but that of dithering take pictures (C, h, w) in [-1, 1], of one channel or of RGB. How far they
are off is measured in docs/evidence.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sr4.evidence.boxes import components_of

Float64 = NDArray[np.float64]

STRONG_NOISE = 4.0
"""The deviation, in levels, from which on a picture is taken for noisy unless told otherwise."""

_PATCH = 16  # edge of the patches whose flattest tenth tells the noise
_FLATTEST = 0.1
_STRIP = 16 * _PATCH  # rows that are seen at a time
_NORMAL_QUANTILE = -1.2816  # of that share
_CLIPPED = 0.02  # share of black and white from which on a patch does not tell its noise
_ROUNDING = 1 / 12  # its variance
_GREY_EDGE, _COLOUR_EDGE = 7, 5  # of the patches whose covariance tells the noise
_MOST_PATCHES = 20_000
_FEWEST_PATCHES = 4  # for each value of a patch
_DITHERED = 1024  # edge of the part of a picture, about its centre, that is dithered again
_MOST_COLOURS = 256
_AGAIN = 1.2  # by which the first dithering of photographs loses more than one of what it has left
_WINDOW = 32  # edge of the patches whose spectrum tells sharpening
_MOST_WINDOWS = 4096
# Levels, of the amplitude in the corner of the spectrum times its ratio to that of the middle:
# bicubic downscaling leaves 3.5 or less of 199 in 200 photographs, sharpening by a camera 5 to 15.
_SHARPENED = 3.5
_PATTERN = 1.25  # that ratio, above which it is hatching or chequers: sharpened ones have 0.6
_SEEN = 3.0  # levels in the corner, below which nobody sees it
_FLAT = 0.3  # share of equal neighbours: photographs have half as many at most, drawings more
_DRAWN = 0.05  # of what is lost in all, below which the flattest patches are those of a drawing


def estimated_noise(unit: NDArray[Any]) -> float:
    """The deviation of white noise, in levels of 255, beside the rounding to levels.

    Two estimates, each of which takes some texture for noise; the smaller one counts.

    The first looks at the flattest parts: the root mean square of the finest diagonal differences
    (the HH band of Haar's wavelet), which do not see planes, in a tenth of all patches, divided by
    what that quantile would be for noise alone (Wilson & Hilferty 1931). The second looks at how
    pixels vary together (see `_noise_of_spectrum`): in all channels, and, for noise that is
    the same in all, in their mean.
    """
    variances = [
        np.concatenate([_patch_variances(part) for part in _row_strips(channel)])
        for channel in unit
    ]
    count = (_PATCH // 2) ** 2
    spread = 2 / (9 * count)
    expected = (1 - spread + _NORMAL_QUANTILE * np.sqrt(spread)) ** 3
    found = [
        max(0.0, float(np.quantile(one, _FLATTEST)) / expected - _ROUNDING)
        for one in variances
        if len(one)
    ]
    if not found:
        return 0.0
    together = [_noise_of_spectrum(unit.mean(axis=0, keepdims=True), _GREY_EDGE)]
    if len(unit) > 1:
        together.append(_noise_of_spectrum(unit, _COLOUR_EDGE))
    return float(np.sqrt(min(np.mean(found), max(together))))


def estimated_dithering(
    pixels: NDArray[np.uint8], opaque: NDArray[np.bool_] | None = None
) -> float:
    """The deviation, in levels of 255, of what was lost when a picture was brought to few colours,
    with dithering or without. 0 for drawings, which have areas of one colour, and for pictures of
    more than 256 colours.

    What dithering has left is made smooth and dithered again with the same colours: that loses
    about as much.

    Args:
        pixels: (h, w, 1 or 3) of a picture with a palette.
        opaque: (h, w), the pixels that are seen; all by default.
    """
    rows, columns = (
        slice(max(0, (side - _DITHERED) // 2), (side + _DITHERED) // 2) for side in pixels.shape[:2]
    )
    seen = pixels[rows, columns]
    whole = _patches(np.ones(seen.shape[:2]) if opaque is None else opaque[rows, columns]) == 1
    picture = Image.fromarray(np.broadcast_to(seen, (*seen.shape[:2], 3)).copy())
    colours = picture.getcolors(_MOST_COLOURS)
    if colours is None or not whole.any():
        return 0.0
    palette = Image.new("P", (1, 1))
    values = np.array([colour for _, colour in colours], np.uint8)
    palette.putpalette(np.resize(values, (_MOST_COLOURS, 3)).tobytes())  # again, or there is black
    smooth = picture.filter(ImageFilter.GaussianBlur(1))
    again = smooth.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
    squares = (np.asarray(again, np.float64) - np.asarray(smooth, np.float64)) ** 2
    lost = np.sqrt(_patches(squares.mean(axis=2))[whole])
    deviation = float(np.sqrt(np.mean(lost**2)))
    is_drawn = np.quantile(lost, _FLATTEST) < _DRAWN * deviation
    return 0.0 if is_drawn else _AGAIN * deviation


def _patches(picture: NDArray[Any]) -> Float64:
    """The means of whole patches of a picture (h, w)."""
    rows, columns = (side // _PATCH for side in picture.shape)
    split = picture[: rows * _PATCH, : columns * _PATCH].reshape(rows, _PATCH, columns, _PATCH)
    found: Float64 = split.mean(axis=(1, 3), dtype=np.float64)
    return found


def _noise_of_spectrum(unit: NDArray[Any], edge: int) -> float:
    """The variance of white noise by the eigenvalues of the covariance of small patches.

    White noise adds the same to all eigenvalues, and a picture, whose pixels depend on their
    neighbours, little to the smallest (Chen, Zhu & Heng, "An efficient statistical method for
    image noise level estimation", ICCV 2015, section 3). How much texture adds even to those is
    read from how fast they grow: half the way from the smallest to the lower quartile is taken off.
    The smallest of few patches are too small even for white noise, by about the lower edge of
    their distribution (Marchenko & Pastur 1967).

    Args:
        unit: (C, h, w) in [-1, 1].
        edge: of the patches, in pixels.
    """
    stride = max(1, int(np.sqrt(unit[0].size / _MOST_PATCHES)))
    patches = np.lib.stride_tricks.sliding_window_view(unit, (edge, edge), axis=(1, 2))
    patches = patches[:, ::stride, ::stride].transpose(1, 2, 0, 3, 4)
    flat = patches.reshape(-1, len(unit) * edge**2).astype(np.float64) * 127.5
    flat = flat[(np.abs(flat) >= 127).mean(axis=1) < _CLIPPED]
    if len(flat) < _FEWEST_PATCHES * flat.shape[1]:
        return 0.0
    values = np.linalg.eigvalsh(np.cov(flat.T))  # from the smallest on
    smallest, quartile = values[: len(values) // 16].mean(), values[len(values) // 4]
    edge_of_noise = (1 - np.sqrt(flat.shape[1] / len(flat))) ** 2
    return max(0.0, float((1.5 * smallest - 0.5 * quartile) / edge_of_noise) - _ROUNDING)


def _row_strips(picture: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Rows of (..., h, w) that are seen together: all at once would take many times the memory of
    the picture.
    """
    height = picture.shape[-2]
    yield from (picture[..., top : top + _STRIP, :] for top in range(0, height, _STRIP))


def _patch_variances(unit: NDArray[Any]) -> Float64:
    """Mean squares of diagonal differences in patches without black and white."""
    channel = np.asarray(unit, np.float64) * 127.5
    height, width = (side // _PATCH * _PATCH for side in channel.shape)
    if not height or not width:
        return np.empty(0)
    parts = channel[:height, :width].reshape(height // 2, 2, width // 2, 2)
    difference = (parts[:, 0, :, 0] - parts[:, 0, :, 1] - parts[:, 1, :, 0] + parts[:, 1, :, 1]) / 2
    extreme = np.abs(parts).max(axis=(1, 3)) >= 127
    side = _PATCH // 2
    split = (height // _PATCH, side, width // _PATCH, side)
    squares = (difference**2).reshape(split).mean(axis=(1, 3))
    clipped = extreme.reshape(split).mean(axis=(1, 3))
    return np.asarray(squares[clipped < _CLIPPED])


_BANDS = np.linspace(0.06, 0.48, 22)  # frequencies, in cycles a pixel
# The spectrum of sharp downscaled photographs over these, `-A log f - B f²`, by least squares over
# 120 training pictures.
_SLOPE, _FALL = 1.42, 5.49
_ABOVE = 3.0  # times the noise floor that a spectrum has to be to count
_FEWEST = 4  # bands that do


def estimated_blur(unit: NDArray[Any], noise: float = 0.0) -> float | None:
    """The deviation of a Gaussian blur before the downscaling, in pixels; None where noise hides
    it.

    A blur of deviation s multiplies the power at frequency f by `exp(-(2 pi f s)²)`. Of natural
    pictures this is what is missing against their usual spectrum; a picture that is soft by itself
    counts as blurred.

    Args:
        noise: the deviation of its noise in levels of 255, which adds to the spectrum.
    """
    floor = _luma_share(unit) * noise**2 + _ROUNDING
    power = (_spectrum(unit) + _spectrum(unit.swapaxes(1, 2))) / 2
    used = power > _ABOVE * floor
    if used.sum() < _FEWEST:
        return None
    bands = _BANDS[used]
    missing = np.log(power[used] - floor) + _SLOPE * np.log(bands) + _FALL * bands**2
    slope = np.polyfit(bands**2, missing, 1)[0]
    return float(np.sqrt(max(0.0, -slope)) / (2 * np.pi))


def _spectrum(unit: NDArray[Any]) -> Float64:
    """The mean power of the rows of luma over `_BANDS`; that of white noise is its variance."""
    _, height, width = unit.shape
    window, power = np.hanning(width), np.zeros(width // 2 + 1)
    for part in _row_strips(unit):
        luma = components_of(np.asarray(part, np.float64), "ycc" if len(part) == 3 else "same")[0]
        rows = (luma - luma.mean(axis=1, keepdims=True)) * window
        power += (np.abs(np.fft.rfft(rows, axis=1)) ** 2).sum(axis=0)
    power /= height * (window**2).sum()
    return np.asarray(np.interp(_BANDS, np.fft.rfftfreq(width), power))


def is_sharpened(unit: NDArray[Any]) -> bool:
    """Whether a picture has finer detail than any that was downscaled: diagonal stripes and
    chequers of two pixels, too strong beside coarser ones. Cameras and editors that sharpen make
    it. Of a larger picture it would take dots as strong as black and white.

    White noise is left out of account, and so are drawings, whose edges are as sharp, and patterns
    of two pixels.
    """
    corner, middle = _corner_and_middle(unit)

    def is_strong(noise: float) -> bool:
        left = corner - noise
        return left > _SEEN**2 and left > _SHARPENED * math.sqrt(max(0.0, middle - noise))

    # First what is left of most pictures, as noise and flat parts take longer to find.
    if not is_strong(0.0):
        return False
    noise = _luma_share(unit) * estimated_noise(unit) ** 2
    is_pattern = corner - noise > _PATTERN**2 * (middle - noise)
    return is_strong(noise) and not is_pattern and _flat_share(unit) < _FLAT


def _luma_share(unit: NDArray[Any]) -> float:
    """How much of the variance of independent channels there is in luma."""
    return 0.447 if len(unit) == 3 else 1.0


def _flat_share(unit: NDArray[Any]) -> float:
    """The share of pixels that have the colour of the next in their row, black and white aside."""
    same, seen = 0, 0
    for part in _row_strips(unit):
        left, right = part[..., :-1], part[..., 1:]
        inside = (np.abs(left) < 1).any(axis=0)
        same += int((inside & (left == right).all(axis=0)).sum())
        seen += int(inside.sum())
    return same / max(1, seen)


def _corner_and_middle(unit: NDArray[Any]) -> tuple[float, float]:
    """The mean power of luma at frequencies that are high along both axes, and at those of four to
    seven pixels; that of white noise is its variance. 0 for pictures smaller than a window.
    """
    height, width = unit.shape[1:]
    rows, columns = height // _WINDOW, width // _WINDOW
    if not rows or not columns:
        return 0.0, 0.0
    stride = max(1, math.isqrt(rows * columns // _MOST_WINDOWS))
    frequencies = np.abs(np.fft.fftfreq(_WINDOW))
    radius = np.hypot(frequencies[:, None], frequencies)
    corner = np.minimum(frequencies[:, None], frequencies) > 0.36
    middle = (radius > 0.15) & (radius < 0.25)
    window = np.outer(np.hanning(_WINDOW), np.hanning(_WINDOW))
    power, count = np.zeros((_WINDOW, _WINDOW)), 0
    for row in range(0, rows, stride):
        strip = np.asarray(unit[:, row * _WINDOW :][:, :_WINDOW, : columns * _WINDOW], np.float64)
        luma = components_of(strip, "ycc" if len(strip) == 3 else "same")[0]
        patches = luma.reshape(_WINDOW, columns, _WINDOW).swapaxes(0, 1)[::stride]
        patches = (patches - patches.mean(axis=(1, 2), keepdims=True)) * window
        power += (np.abs(np.fft.fft2(patches)) ** 2).sum(axis=0)
        count += len(patches)
    power /= count * (window**2).sum()
    return float(power[corner].mean()), float(power[middle].mean())
