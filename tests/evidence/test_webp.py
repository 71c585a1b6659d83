"""What WebP files tell of their compression, against what it has changed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr4.evidence.webp import _quantiser, compression_noise

_LUMA = np.array([0.299, 0.587, 0.114])


def photograph() -> Image.Image:
    data = pytest.importorskip("skimage.data")
    return Image.fromarray(data.astronaut()).resize((256, 256), Image.Resampling.BICUBIC)


def webp(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", [95, 80, 60, 30])
@pytest.mark.parametrize("method", [0, 4, 6])
def test_what_compression_has_changed_is_told(quality: int, method: int, tmp_path: Path) -> None:
    """Measured: 0.8 to 1.2 times what it was."""
    picture = photograph()
    file = webp(picture, quality=quality, method=method)
    after = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), float)
    changed = np.sqrt((((after - np.asarray(picture)) @ _LUMA) ** 2).mean())
    assert 0.65 * changed < compression_noise(file) < 1.5 * changed
    (tmp_path / "a.webp").write_bytes(file)
    assert compression_noise(tmp_path / "a.webp") == compression_noise(file)


def test_metadata_and_alpha_come_before_the_picture() -> None:
    picture = photograph()
    plain = compression_noise(webp(picture, quality=50))
    profile = webp(picture, quality=50, icc_profile=b"x" * 3001, exif=b"Exif\0\0" + b"y" * 99)
    assert compression_noise(profile) == plain
    picture.putalpha(200)
    assert compression_noise(webp(picture, quality=50)) == pytest.approx(plain, rel=0.05)


class Encoder:
    """Bits of even chance as an encoder writes them (RFC 6386, section 7.3), with a number of any
    length for what is not written yet.
    """

    def __init__(self) -> None:
        self.low, self.range, self.bits = 0, 255, 0

    def write(self, *fields: tuple[int, int]) -> Encoder:
        """Values with their numbers of bits."""
        for value, size in fields:
            for place in reversed(range(size)):
                split = 1 + (((self.range - 1) * 128) >> 8)
                if value >> place & 1:
                    self.low += split
                    self.range -= split
                else:
                    self.range = split
                while self.range < 128:
                    self.range, self.low, self.bits = 2 * self.range, 2 * self.low, self.bits + 1
        return self

    @property
    def frame(self) -> bytes:
        number = self.low << -self.bits % 8
        return bytes(3) + b"\x9d\x01\x2a" + bytes(4) + number.to_bytes(1 - -self.bits // 8, "big")


_FILTER = ((0, 1), (21, 6), (3, 3))
_PARTITIONS = (1, 2)


@pytest.mark.parametrize("base", [0, 1, 26, 77, 127])
def test_the_quantiser_is_read_bit_by_bit(base: int) -> None:
    start, end = ((0, 1), (1, 1)), (_PARTITIONS, (base, 7))
    plain = Encoder().write(*start, (0, 1), *_FILTER, (0, 1), *end)
    assert _quantiser(plain.frame) == base
    # Changes of the loop filter, of which one in three is given.
    given = [
        field
        for number in range(8)
        for field in ([(0, 1)] if number % 3 else [(1, 1), (33, 6), (number % 2, 1)])
    ]
    with_deltas = Encoder().write(*start, (0, 1), *_FILTER, (1, 1), (1, 1), *given, *end)
    assert _quantiser(with_deltas.frame) == base
    unchanged = Encoder().write(*start, (0, 1), *_FILTER, (1, 1), (0, 1), *end)
    assert _quantiser(unchanged.frame) == base


@pytest.mark.parametrize("is_absolute", [False, True])
@pytest.mark.parametrize("has_map", [False, True])
def test_of_segments_the_strongest_counts(is_absolute: bool, has_map: bool) -> None:
    values = [(1, 1), (9, 7), (1, 1), (1, 1), (14, 7), (0, 1), (0, 1), (1, 1), (3, 7), (0, 1)]
    filters = [(1, 1), (5, 6), (1, 1)] + [(0, 1)] * 3
    tree = [(1, 1), (200, 8), (0, 1), (1, 1), (7, 8)] if has_map else []
    frame = Encoder().write(
        (0, 2), (1, 1), (int(has_map), 1), (1, 1), (int(is_absolute), 1), *values, *filters, *tree,
        *_FILTER, (0, 1), _PARTITIONS, (40, 7),
    ).frame  # fmt: skip
    assert _quantiser(frame) == (14 if is_absolute else 54)


def test_files_without_loss_and_damaged_ones_tell_nothing(tmp_path: Path) -> None:
    file = webp(photograph(), quality=50)
    frame = file.index(b"VP8 ")
    for other in (
        webp(photograph(), lossless=True),
        b"",
        b"RIFF",
        file[: frame + 4],
        file[: frame + 17],
        file.replace(b"\x9d\x01\x2a", b"\x00\x00\x00"),
    ):
        assert compression_noise(other) == 0
    assert compression_noise(tmp_path / "none.webp") == 0
    many = file[:12] + b"JUNK\0\0\0\0" * 99 + file[12:]
    assert compression_noise(many) == 0
    for end in range(frame + 20, frame + 60):  # zeros behind the end: a number all the same
        assert 0 <= compression_noise(file[:end]) < 14
