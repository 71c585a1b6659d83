"""The choice of a shipped model for a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sr4.errors import PictureError
from sr4.evidence.jpeg import quality_of
from sr4.evidence.origin import Origin, file_origin
from sr4.model.folder import DEFAULT_MODEL, PHOTO_MODEL
from sr4.pictures import Raster, read_picture, read_size

FACE_SIDES = frozenset(range(16, 33))
"""Of low-res faces that the model for them knows, in pixels."""
# Of a JPEG file of a face, below which the model for faces, which has seen none, takes what the
# compression left for features.
_LEAST_QUALITY = 90


def is_face(content: Path | bytes) -> bool:
    """Whether a picture file shows a face and nothing else, as `sr4-fast` takes it: of a size that
    it knows, and not spoilt by compression.

    A picture that cannot be read is none: the error is for whoever needs its pixels.
    """
    try:
        if not {*read_size(content)} <= FACE_SIDES:
            return False
        seen = is_face_raster(read_picture(content).frames[0])
        return seen and not is_spoilt(file_origin(content))
    except PictureError:
        return False


def is_face_raster(raster: Raster) -> bool:
    """Whether pixels show a face and nothing else, as `is_face` says of a file."""
    from sr4.upscaling.recogniser import recogniser

    if not {*raster.size} <= FACE_SIDES or raster.colour == "bands":
        return False
    return recogniser().is_face(np.asarray(raster.with_bits(8).to_pil().convert("RGB")))


def is_spoilt(origin: Origin | None) -> bool:
    """Whether a picture comes from a JPEG file of too low a quality for the model for faces. (Of
    WebP that model makes the better ones at all qualities.)
    """
    if origin is None or not origin.is_jpeg or not origin.tables:
        return False
    return quality_of(list(origin.tables)) < _LEAST_QUALITY


def model_for(*, is_face: bool) -> str:
    """The shipped model: the one for faces, or the one for all other pictures."""
    return DEFAULT_MODEL if is_face else PHOTO_MODEL
