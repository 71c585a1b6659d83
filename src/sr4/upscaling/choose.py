"""The choice of a shipped model for a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sr4.errors import PictureError
from sr4.model.folder import DEFAULT_MODEL, PHOTO_MODEL
from sr4.pictures import Raster, read_picture, read_size

_FACE_SIDES = frozenset(range(16, 33))  # of low-res faces that the model for them knows, in pixels


def is_face(content: Path | bytes) -> bool:
    """Whether a picture file shows a face and nothing else, of a size that `sr4-fast` takes.

    A picture that cannot be read is none: the error is for whoever needs its pixels.
    """
    try:
        if not {*read_size(content)} <= _FACE_SIDES:
            return False
        return is_face_raster(read_picture(content).frames[0])
    except PictureError:
        return False


def is_face_raster(raster: Raster) -> bool:
    """Whether pixels show a face and nothing else, as `is_face` says of a file."""
    from sr4.upscaling.recogniser import recogniser

    if not {*raster.size} <= _FACE_SIDES or raster.colour == "bands":
        return False
    return recogniser().is_face(np.asarray(raster.with_bits(8).to_pil().convert("RGB")))


def model_for(*, is_face: bool) -> str:
    """The shipped model: the one for faces, or the one for all other pictures."""
    return DEFAULT_MODEL if is_face else PHOTO_MODEL
