"""Which shipped model a picture goes through."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from sr4.upscaling.auto import shipped_model_for
from sr4.upscaling.choose import is_face, model_for

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_face_goes_through_the_model_for_faces() -> None:
    assert model_for(is_face=True) == "sr4-fast"
    assert model_for(is_face=False) == "photo-x4"


def test_the_face_of_the_examples_is_one_at_its_small_size_alone() -> None:
    assert is_face(EXAMPLES / "astronaut-16.png")
    assert not is_face(EXAMPLES / "astronaut-128.png")


def test_flat_and_damaged_pictures_are_no_faces() -> None:
    flat = png(Image.new("RGB", (16, 16), (90, 120, 30)))
    assert not is_face(flat)
    assert not is_face(flat[:60])
    assert not is_face(b"")


@pytest.mark.parametrize(("quality", "expected"), [(95, True), (90, True), (85, False)])
def test_a_face_that_compression_has_spoilt_is_for_the_other_model(
    quality: int, expected: bool
) -> None:
    with Image.open(EXAMPLES / "astronaut-16.png") as face:
        data = jpeg(face.convert("RGB").resize((32, 32), Image.Resampling.BICUBIC), quality)
    assert is_face(data) == expected
    opened = Image.open(io.BytesIO(data))
    assert shipped_model_for(opened) == model_for(is_face=expected)


def jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
