"""Estimates from pixels against what was done to them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sr4.data.corruption import dithered
from sr4.degradation import Degradation
from sr4.evidence.estimate import (
    STRONG_NOISE,
    estimated_blur,
    estimated_dithering,
    estimated_noise,
    is_sharpened,
)
from sr4.pictures.pixels import quantise, to_array

Float64 = NDArray[np.float64]


def natural(seed: int, edge: int = 512, fall: float = 1.0) -> Float64:
    """Noise whose power falls with the square of the frequency, as that of photographs does, or
    with that to the power of `fall`.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.fft.fftfreq(edge), np.fft.rfftfreq(edge)
    radius = np.hypot(rows[:, None], columns) + 1 / edge
    spectrum = np.fft.rfft2(random.standard_normal((3, edge, edge))) / radius**fall
    found = np.fft.irfft2(spectrum, (edge, edge))
    return np.asarray(np.clip(0.4 * found / found.std(), -0.95, 0.95))


def rounded(unit: Float64) -> NDArray[np.float32]:
    return to_array(quantise(unit))


@pytest.mark.parametrize("deviation", [0, 1, 3, 8, 20])
def test_white_noise_alone_is_measured(deviation: float) -> None:
    random = np.random.default_rng(0)
    flat = deviation / 127.5 * random.standard_normal((3, 256, 256))
    assert estimated_noise(rounded(flat)) == pytest.approx(deviation, rel=0.05, abs=0.05)


@pytest.mark.parametrize("deviation", [5, 10])
def test_noise_on_a_picture_is_measured(deviation: float) -> None:
    random, clean = np.random.default_rng(0), 0.5 * Degradation(2)(natural(0))
    clean[:, :64] = np.linspace(-0.5, 0.5, clean.shape[2])  # a sky
    noisy = clean + deviation / 127.5 * random.standard_normal(clean.shape)
    assert estimated_noise(rounded(noisy)) == pytest.approx(deviation, rel=0.15)
    assert estimated_noise(rounded(clean)) < 1 < STRONG_NOISE


def test_texture_everywhere_is_not_taken_for_noise() -> None:
    """A small picture without one flat part, as fur or leaves give."""
    fur = np.repeat(natural(0, 128, fall=1.5)[:1], 3, axis=0) * 0.75
    assert estimated_noise(rounded(fur)) < STRONG_NOISE
    noisy = fur + 8 / 127.5 * np.random.default_rng(0).standard_normal(fur.shape)
    assert estimated_noise(rounded(noisy)) == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("colours", [16, 64, 256])
@pytest.mark.parametrize("tint", [None, (1.0, 1.0, 1.0), (1.0, 0.8, 0.55)])
def test_dithering_is_measured_by_dithering_again(
    colours: int, tint: tuple[float, float, float] | None
) -> None:
    """Measured: 0.6 to 1.2 of what was lost, in colour, in grey and in sepia."""
    unit = natural(0, 256)
    pixels = quantise(0.85 * unit[:1] + 0.1 * unit)  # little colour, as photographs have
    if tint is not None:
        pixels = (pixels[..., :1] * np.array(tint)).astype(np.uint8)
    few = dithered(pixels, colours)
    lost = np.sqrt(((few - pixels.astype(float)) ** 2).mean())
    assert 0.55 * lost < estimated_dithering(few) < 1.4 * lost


def test_what_is_not_seen_has_no_part_in_dithering() -> None:
    few = dithered(quantise(np.broadcast_to(natural(0, 256)[:1], (3, 256, 256))), 16)
    there, opaque = few.copy(), np.ones((256, 256), bool)
    opaque[:, 100:] = False
    there[:, 100:] = few[0, 0]
    expected = estimated_dithering(few[:, :96])
    assert estimated_dithering(there, opaque) == pytest.approx(expected, rel=0.1)
    assert estimated_dithering(there) == 0  # of a drawing, by all that is flat
    assert estimated_dithering(there, np.zeros_like(opaque)) == 0


def test_drawings_are_not_dithered() -> None:
    drawing = np.full((96, 96, 3), 255, np.uint8)
    drawing[20:50, 10:40], drawing[60:90, 30:31] = (200, 30, 30), 0
    assert estimated_dithering(drawing) == 0
    many = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    assert estimated_dithering(many) == 0  # has no palette


def test_noise_that_all_channels_share_is_measured() -> None:
    grain = 8 / 127.5 * np.random.default_rng(0).standard_normal((1, 128, 128))
    film = 0.5 * Degradation(2)(natural(0, 256)) + grain
    assert estimated_noise(rounded(film)) == pytest.approx(8, rel=0.1)


def test_black_and_white_hide_no_noise() -> None:
    """Half of the picture is clipped, where nothing is to be seen."""
    random = np.random.default_rng(0)
    unit = np.full((1, 128, 128), 0.2) + 6 / 127.5 * random.standard_normal((1, 128, 128))
    unit[:, :, :64] = 1
    assert estimated_noise(rounded(unit)) == pytest.approx(6, rel=0.1)
    assert estimated_noise(np.ones((3, 64, 64))) == 0
    assert estimated_noise(np.zeros((3, 8, 8))) == 0  # too small to tell


@pytest.mark.parametrize("blur", [0.0, 0.6, 1.2, 2.0])
def test_blur_is_measured(blur: float) -> None:
    low_res = Degradation(2, blur).observe(natural(1, 768))
    assert estimated_blur(low_res) == pytest.approx(blur, abs=0.25)


def test_blur_below_the_noise_has_no_answer() -> None:
    noise = np.random.default_rng(0).standard_normal((3, 128, 128)) * 10 / 127.5
    assert estimated_blur(rounded(noise), 10.0) is None


def sharpened(seed: int) -> NDArray[np.float32]:
    """Every fourth pixel, with nothing to keep the finest detail out, and edges made stronger."""
    picture = Image.fromarray(quantise(natural(seed, 768)[:, ::4, ::4]))
    return to_array(np.asarray(picture.filter(ImageFilter.UnsharpMask(0.8, 150, 0))))


@pytest.mark.parametrize("seed", range(4))
def test_sharpened_pictures_are_told_from_downscaled_ones(seed: int) -> None:
    low_res = rounded(Degradation(4)(natural(seed, 768)))
    assert not is_sharpened(low_res)
    assert is_sharpened(sharpened(seed))
    assert is_sharpened(sharpened(seed)[:1])  # grey
    faint = 0.05 * sharpened(seed)  # nobody sees its dots
    assert not is_sharpened(faint)


@pytest.mark.parametrize("deviation", [4, 12, 25])
def test_noise_is_not_taken_for_sharpening(deviation: float) -> None:
    low_res = Degradation(4)(natural(0, 768))
    grain = np.random.default_rng(1).standard_normal(low_res.shape) * deviation / 127.5
    assert not is_sharpened(rounded(np.clip(low_res + grain, -1, 1)))


def test_drawings_are_not_taken_for_sharpened_photographs() -> None:
    rows, columns = np.mgrid[:128, :128]
    ring = np.abs(np.hypot(rows - 64, columns - 64) - 40) < 1
    chequers = (rows // 2 + columns // 2) % 2 == 0
    for drawing in (ring, chequers & (rows < 64)):
        assert not is_sharpened(np.where(drawing, -0.8, 0.8)[None].astype(np.float32))
    assert not is_sharpened(sharpened(0)[:, :31])  # too small to tell


def test_patterns_of_two_pixels_are_not_taken_for_sharpened_photographs() -> None:
    rows, columns = np.mgrid[:96, :96]
    chequers = 0.4 * np.where((rows + columns) % 2, 1, -1)
    waves = 0.3 * np.sin(rows / 7) * np.cos(columns / 9)
    assert not is_sharpened((waves + chequers)[None].astype(np.float32))
    assert not is_sharpened(np.stack([waves + chequers] * 3).astype(np.float32))
