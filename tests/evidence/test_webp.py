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


def test_the_quantiser_is_that_of_the_quality() -> None:
    """Of one segment libwebp takes 127 (1 - v), v being the cube root of two thirds of quality."""
    file = webp(photograph().convert("L"), quality=50, method=0)
    frame = file[file.index(b"VP8 ") + 8 :]
    assert _quantiser(frame) == pytest.approx(127 * (1 - (0.5 * 2 / 3) ** (1 / 3)), abs=16)


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
    for end in range(frame + 20, frame + 60):  # zeros behind the end: a number all the same
        assert 0 <= compression_noise(file[:end]) < 14
