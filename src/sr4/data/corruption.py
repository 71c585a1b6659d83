"""What cameras, programs and web pages do to pictures, for training models that undo it.

`low_res` of plain training is a clean, sharp, small picture. One from a camera or a web page is
blurred, noisy and compressed, often more than once. A model learns to undo what it has seen, so
these are drawn at random, for each picture, as it is read.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.data.blurs import anisotropic_kernel, blurred, convolved, sinc_kernel
from sr4.degradation import Degradation
from sr4.degradation.known import CLEAN, Known
from sr4.errors import DataError
from sr4.pictures.pixels import quantise, to_array

Floats = NDArray[np.float32]
Float64 = NDArray[np.float64]
Pixels = NDArray[np.uint8]

# The kernels that programs make pictures smaller or larger with, all with antialiasing.
_RESIZING = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)
_FULL_COLOUR, _HALF_COLOUR = 0, 2  # Pillow's names of 4:4:4 and 4:2:0
_GREEN = slice(1, 2)

# Exponent of a uniform number; 1 would draw weak hits as often as strong ones.
_TOWARDS_STRONG = 0.7
_RARE = 4  # the same of noise, which seldom is that of a dark room
_HARD = 0.05  # share with hard edges


class Corrupted(NamedTuple):
    """A corrupted `low_res` picture.

    Attributes:
        low_res: (3, h, w) float32 in [-1, 1], 8-bit levels.
        known: what was done to it, as far as a file or an estimate could tell.
        file: the JPEG file that it was read from, where it comes from one.
        is_clean: whether D alone has made it.
    """

    low_res: Floats
    known: Known
    file: bytes | None = None
    is_clean: bool = False


class Corruption(Protocol):
    """Makes a corrupted `low_res` of a picture."""

    def __call__(
        self, high_res: Float64, degradation: Degradation, random: np.random.Generator
    ) -> Corrupted:
        """(3, H, W) in [-1, 1] to (3, H / scale, W / scale).

        Raises:
            DataError: other channels than those of RGB.
        """
        ...


def _check_rgb(high_res: Float64) -> None:
    if len(high_res) != 3:
        raise DataError(
            f"got pictures of {len(high_res)} channels to corrupt as photographs are; expected the "
            "3 of RGB, which JPEG files hold: leave the corruption out"
        )


@dataclass(frozen=True)
class PhotoCorruption:
    """The classical degradation of a photograph, once: Gaussian blur, a random resizing kernel,
    noise, 8 bits, JPEG (Wang et al. 2021, Real-ESRGAN, section 3.1). What `sr4 evaluate
    --corruption photo` scores on.

    Each strength is drawn uniformly between two bounds. All are always drawn, and before the noise
    itself, so that changing the bounds of one moves none of the others.

    Args:
        blur: deviation of the blur, in pixels of `low_res`.
        gaussian: deviation of the noise, in levels of 255.
        shot: what light adds to it at white, in levels of 255.
        quality: of the JPEG file, Pillow's, whole numbers, both bounds included.
    """

    blur: tuple[float, float] = (0.1, 0.6)
    gaussian: tuple[float, float] = (1.0, 8.0)
    shot: tuple[float, float] = (0.0, 0.0)
    quality: tuple[int, int] = (40, 75)

    def __call__(
        self, high_res: Float64, degradation: Degradation, random: np.random.Generator
    ) -> Corrupted:
        """See `Corruption`."""
        _check_rgb(high_res)
        blur, gaussian, shot = (
            random.uniform(*bounds) for bounds in (self.blur, self.gaussian, self.shot)
        )
        quality = int(random.integers(*self.quality, endpoint=True))
        kernel = _RESIZING[random.integers(len(_RESIZING))]
        subsampling = _subsampling(random)
        sharp = blurred(high_res, blur * degradation.scale)
        height, width = (side // degradation.scale for side in high_res.shape[-2:])
        small = resized(sharp, height, width, kernel)
        grainy = noisy(small, gaussian, shot, random)
        file = jpeg_file(quantise(grainy), quality, subsampling)
        known = Known(_deviation(grainy - small), blur, float(quality))
        return Corrupted(to_array(decoded(file)), known, file)


@dataclass(frozen=True)
class SecondOrderCorruption:
    """What pictures have gone through before they reach us, for training: blur, resizing, noise
    and compression, often twice, in varying order, with sharpening in between (Wang et al. 2021,
    Real-ESRGAN, sections 3.2 and 3.3; Zhang et al. 2021, Designing a Practical Degradation Model).

    How hard a picture is hit is drawn first, between hardly and `strength`: most pictures that
    people have are not ruined. A share of the pictures stays clean, made by D alone.

    Args:
        strength: of the worst, 0 to 1.
        clean: share of the pictures that D alone makes.
        forget: chance that a network is not told one of the things known, and for a fifth of the
            pictures none, so that it can do without.
    """

    strength: float = 1.0
    clean: float = 0.25
    forget: float = 0.25

    def __call__(
        self, high_res: Float64, degradation: Degradation, random: np.random.Generator
    ) -> Corrupted:
        """See `Corruption`."""
        _check_rgb(high_res)
        if random.random() < self.clean:
            low_res = degradation.observe(high_res).astype(np.float32)
            return Corrupted(low_res, self._told(CLEAN, random), is_clean=True)
        if random.random() < _HARD:
            pixels = quantise(nearest(high_res, degradation.scale, random))
            return Corrupted(to_array(pixels), self._told(CLEAN, random))
        strength = self.strength * random.random() ** _TOWARDS_STRONG
        chain = _Chain(high_res, degradation.scale, strength, random)
        if random.random() < 0.5:
            chain.first_order()
        found = chain.second_order()
        return found._replace(known=self._told(found.known, random))

    def _told(self, known: Known, random: np.random.Generator) -> Known:
        forgotten = random.random(3) < (1.0 if random.random() < 0.2 else self.forget)
        # Estimates are off by some; a model that trusts them to the digit would be off too.
        off = np.exp(0.15 * random.standard_normal(3))
        noise, blur, quality = (
            None if gone or value is None else value
            for gone, value in zip(forgotten, known, strict=True)
        )
        return Known(
            None if noise is None else noise * off[0],
            None if blur is None else blur * off[1],
            quality,  # is written in the file
        )


class _Chain:
    """A picture on its way through both orders, with what has been done to it so far.

    Args:
        high_res: (3, H, W) in [-1, 1].
        scale: between it and `low_res`.
        strength: how hard it is hit, 0 to 1.
    """

    def __init__(
        self, high_res: Float64, scale: int, strength: float, random: np.random.Generator
    ) -> None:
        self._x, self._size = high_res, high_res.shape[-2:]
        self._scale, self._strength, self._random = scale, strength, random
        self._blur = 0.0  # variance, in high-res pixels
        # The noise of green alone, which goes through all that is linear beside the picture: what
        # is left of it depends on the kernels, and on what came between.
        self._grain: Float64 | None = None

    def _through(self, linear: Callable[[Float64], Float64]) -> None:
        self._x = linear(self._x)
        if self._grain is not None:
            self._grain = linear(self._grain)

    def first_order(self) -> None:
        """What the camera and the first program did."""
        random = self._random
        if random.random() < 0.8:
            self._blurs(0.75 * self._scale)
        factor = random.uniform(self._scale**-self._strength, 1.25)
        self._resizes(*(max(8, round(side * factor)) for side in self._size))
        if random.random() < 0.7:
            self._adds_noise(30.0)
        if random.random() < 0.6:
            self._compresses()

    def second_order(self) -> Corrupted:
        """What happened last, down to the size of `low_res`."""
        random = self._random
        if random.random() < 0.7:
            self._blurs(0.6 * self._scale)
        small = tuple(side // self._scale for side in self._size)
        steps: list[Callable[[], None]] = [lambda: self._resizes(*small)]
        if random.random() < 0.6:
            steps.append(lambda: self._adds_noise(25.0))
        if random.random() < 0.15:
            steps.append(self._sharpens)
        if random.random() < 0.3:  # else the usual order: smaller first
            random.shuffle(steps)
        for step in steps:
            step()
        return self._saved()

    def _blurs(self, most: float) -> None:
        """A Gaussian in most cases, of one deviation or two; now and then the ringing of a sinc.

        Args:
            most: deviation, in high-res pixels.
        """
        random = self._random
        deviation = max(0.1, most * self._strength) * random.uniform(0.15, 1.0)
        unit = self._x.shape[-1] / self._size[1]  # pixels of now in a high-res one
        kind = random.random()
        if kind < 0.55:
            self._through(lambda x: blurred(x, deviation * unit))
        elif kind < 0.9:
            other, angle = deviation * random.uniform(0.3, 1.0), random.uniform(0, math.pi)
            power = random.choice([1.0, 1.0, random.uniform(0.5, 2.5)])
            kernel = anisotropic_kernel(deviation * unit, other * unit, angle, power)
            self._through(lambda x: convolved(x, kernel))
            deviation = math.sqrt((deviation**2 + other**2) / 2)
        else:
            cutoff = math.pi - 1.9 * self._strength * random.random()
            self._through(lambda x: convolved(x, sinc_kernel(cutoff)))
            deviation = 0.0
        self._blur += deviation**2

    def _resizes(self, height: int, width: int) -> None:
        kernel = _RESIZING[self._random.integers(len(_RESIZING))]
        self._through(lambda x: resized(x, height, width, kernel))

    def _adds_noise(self, most: float) -> None:
        """Gaussian or shot noise, of each channel by itself or of all alike."""
        random = self._random
        deviation = max(1.0, most * self._strength) * (0.04 + 0.96 * random.random() ** _RARE)
        is_shot, is_grey = random.random() < 0.4, random.random() < 0.4
        gaussian, shot = (0.4 * deviation, deviation) if is_shot else (deviation, 0.0)
        before = self._x
        self._x = noisy(before, gaussian, shot, random, grey=is_grey)
        added = (self._x - before)[_GREEN]
        self._grain = added if self._grain is None else self._grain + added

    def _sharpens(self) -> None:
        """Unsharp masking, as programs and phones do."""
        amount, radius = self._random.uniform(0.2, 1.0), self._random.uniform(0.7, 2.0)
        self._through(lambda x: x + amount * (x - blurred(x, radius)))

    def _quality(self) -> int:
        """12 to 95: the harder the hit, the lower."""
        return round(95 - 83 * self._strength * self._random.random())

    def _compresses(self) -> None:
        file = jpeg_file(quantise(self._x), self._quality(), _subsampling(self._random))
        self._x = to_array(decoded(file)).astype(np.float64)

    def _saved(self) -> Corrupted:
        """As a JPEG in most cases, else as WebP, in few colours, or without loss."""
        random, pixels = self._random, quantise(self._x)
        deviation = 0.0 if self._grain is None else _deviation(self._grain)
        blur = math.sqrt(self._blur) / self._scale
        kind = random.random()
        if kind < 0.75:
            quality = self._quality()
            file = jpeg_file(pixels, quality, _subsampling(random))
            known = Known(deviation, blur, float(quality))
            return Corrupted(to_array(decoded(file)), known, file)
        if kind < 0.85:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "WEBP", quality=self._quality(), method=1)
            return Corrupted(to_array(decoded(buffer.getvalue())), Known(deviation, blur, None))
        if kind < 0.91:
            few = dithered(pixels, 2 ** (8 - round(4 * self._strength * random.random())))
            added = (to_array(few) - to_array(pixels))[_GREEN].astype(np.float64)
            deviation = _deviation(added if self._grain is None else self._grain + added)
            return Corrupted(to_array(few), Known(deviation, blur, 100.0))
        return Corrupted(to_array(pixels), Known(deviation, blur, 100.0))


def _subsampling(random: np.random.Generator) -> int:
    """Of the colours of a JPEG: both kinds that are usual."""
    return _HALF_COLOUR if random.random() < 0.6 else _FULL_COLOUR


def resized(x: Float64, height: int, width: int, kernel: Image.Resampling) -> Float64:
    """(C, H, W) brought to (C, height, width) by one of Pillow's kernels, with antialiasing, on
    floats: nothing is rounded or clipped.
    """
    planes = [
        Image.fromarray(plane).resize((width, height), kernel) for plane in x.astype(np.float32)
    ]
    return np.stack([np.asarray(plane, np.float64) for plane in planes])


def noisy(
    x: Float64, gaussian: float, shot: float, random: np.random.Generator, *, grey: bool = False
) -> Float64:
    """x with the noise of a sensor, whose variance grows with the light: `gaussian² + shot² s` for
    a signal s from 0, black, to 1, white (Foi et al. 2008, Practical Poissonian-Gaussian noise
    modeling and fitting for single-image raw-data, equation 3, here on the values of the file).

    Args:
        x: (C, H, W) in [-1, 1]; beyond, the variance stays that of black or white.
        gaussian, shot: deviations in levels of 255.
        grey: whether all channels share one field of noise.
    """
    signal = np.clip((x + 1) / 2, 0, 1)
    deviation = np.sqrt(gaussian**2 + shot**2 * signal) / 127.5
    field = random.standard_normal((1, *x.shape[1:]) if grey else x.shape)
    return np.asarray(x + deviation * field)


def _deviation(noise: Float64) -> float:
    """Of noise on the [-1, 1] scale, in levels of 255."""
    return 127.5 * math.sqrt(np.mean(noise**2))


def nearest(x: Float64, scale: int, random: np.random.Generator) -> Float64:
    """(C, H, W) to (C, H / scale, W / scale), of one pixel each, without smoothing: the hard edges
    of letters on old screens, of pixel art, and of programs that shrink pictures so. Of a square of
    an even number of pixels one of the two next to its centre, since there is none in the middle.
    """
    rows, columns = (int(random.choice([(scale - 1) // 2, scale // 2])) for _ in range(2))
    return x[:, rows::scale, columns::scale]


def dithered(pixels: Pixels, colours: int) -> Pixels:
    """uint8 (H, W, 3) in few colours, as a GIF file holds them: a palette of its own, and what each
    pixel is off given on to its neighbours (Floyd and Steinberg 1976).
    """
    picture = Image.fromarray(pixels)
    few = picture.quantize(palette=picture.quantize(colours), dither=Image.Dither.FLOYDSTEINBERG)
    return np.asarray(few.convert("RGB"))


def jpeg_file(pixels: Pixels, quality: int, subsampling: int = _HALF_COLOUR) -> bytes:
    """uint8 (H, W, 3) as a JPEG file.

    Args:
        subsampling: of the colours, Pillow's number: 0 for 4:4:4, 2 for 4:2:0.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def decoded(file: bytes) -> Pixels:
    """The pixels (H, W, 3) of a file that one of these functions wrote."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
