"""Which shipped model a picture goes through."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from sr4.upscaling.choose import is_face, model_for


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_face_goes_through_the_model_for_faces() -> None:
    assert model_for(is_face=True) == "sr4-fast"
    assert model_for(is_face=False) == "photo-x4"


def test_the_face_of_the_examples_is_one_at_its_small_size_alone() -> None:
    examples = Path(__file__).resolve().parents[2] / "examples"
    assert is_face(examples / "astronaut-16.png")
    assert not is_face(examples / "astronaut-128.png")


def test_flat_and_damaged_pictures_are_no_faces() -> None:
    flat = png(Image.new("RGB", (16, 16), (90, 120, 30)))
    assert not is_face(flat)
    assert not is_face(flat[:60])
    assert not is_face(b"")
