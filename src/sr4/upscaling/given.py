"""What a caller hands over: pictures as they go through a model, and what each of them says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig
from sr4.errors import PictureError, UsageError
from sr4.evidence.choose import Blur, check_evidence, choose, pillow_origin
from sr4.evidence.kinds import Evidence
from sr4.pictures import NO_METADATA, Metadata
from sr4.pictures import Picture as FilePicture
from sr4.pictures.metadata import metadata_of
from sr4.pictures.raster import Parts, Raster, from_array, from_pil
from sr4.pictures.rgb import orientation
from sr4.upscaling.result import Result

Picture = Image.Image | NDArray[Any] | Raster

_RGB = 3
_PAGES = ("TIFF", "MPO")  # formats whose further frames are no animation


def given_pictures(image: object, channels: int) -> list[Parts]:
    """A picture, or each of a list or tuple, as it goes through a model of that many channels.

    Raises:
        PictureError: a picture that cannot be taken.
    """
    pictures: Sequence[object] = image if isinstance(image, (list, tuple)) else [image]
    return [Parts(as_raster(picture, channels), channels) for picture in pictures]


def given_evidence(
    image: object,
    config: ModelConfig,
    evidence: str | Evidence | Sequence[str | Evidence],
    noise: float | None,
    blur: Blur,
    consistency: bool | None,
) -> tuple[list[Parts], list[Evidence]]:
    """`given_pictures`, with the evidence of each; see `Pipeline.upscale`.

    Args:
        config: of the model that the pictures go through first.

    Raises:
        PictureError: a picture that cannot be taken, or has not the evidence asked for.
        UsageError: options that exclude each other, or too few or many kinds of evidence.
    """
    pictures: Sequence[object] = image if isinstance(image, (list, tuple)) else [image]
    asked = evidence_of_each(evidence, len(pictures))
    for one in asked:
        check_evidence(one, noise, blur, consistency)
    # Before the pictures are decoded, after which their files may be out of reach.
    origins = [pillow_origin(one) if isinstance(one, Image.Image) else None for one in pictures]
    given = given_pictures(image, config.channels)
    found = []
    for parts, origin, kind in zip(given, origins, asked, strict=True):
        if not isinstance(kind, Evidence):
            kind = choose(
                parts.raster,
                origin,
                "none" if consistency is False else kind,
                noise=noise,
                blur=blur,
            )
        found.append(kind)
    return given, found


def evidence_of_each(evidence: object, count: int) -> Sequence[str | Evidence]:
    """What is asked of each of so many pictures; see `Pipeline.upscale`.

    Raises:
        UsageError: there are too few or too many kinds, or they are no kinds.
    """
    if not isinstance(evidence, (list, tuple)):
        return [evidence] * count  # type: ignore[list-item]  # its kind is checked later
    if len(evidence) != count:
        raise UsageError(
            f"got {len(evidence)} kinds of evidence for {count} pictures; expected as many"
        )
    return evidence


def size_of(picture: object) -> tuple[int, int]:
    """Width and height of what `Pipeline.upscale` takes; a Pillow picture is not decoded for that.

    Raises:
        PictureError: it is no picture.
    """
    return picture.size if isinstance(picture, Image.Image) else as_raster(picture, _RGB).size


def as_raster(picture: object, channels: int) -> Raster:
    """Of a PIL picture, an array or a raster, for a model of that many channels.

    Raises:
        PictureError: it is none of these, or cannot be taken.
    """
    if isinstance(picture, (str, Path)):
        raise PictureError(
            f"got the file name {str(picture)!r}; expected a picture: open it with PIL.Image.open, "
            "or call sr4.upscale"
        )
    if isinstance(picture, Raster):
        return picture
    if isinstance(picture, Image.Image):
        frames = 1 if picture.format in _PAGES else getattr(picture, "n_frames", 1)
        if frames > 1:
            warnings.warn(
                f"got an animation of {frames} frames, of which one is upscaled: sr4.upscale takes "
                "the file and does all of them",
                stacklevel=2,
            )
        raster = from_pil(picture)
        return raster.turned(orientation(picture))  # of a TIFF, Pillow has turned the pixels by now
    try:
        array = np.asarray(picture)
    except (TypeError, ValueError, RuntimeError):  # such as a tensor of another device
        array = np.asarray(None)
    if array.dtype == object:
        raise PictureError(
            f"got {type(picture).__name__} for a picture; expected a PIL picture or an array "
            "(height, width) or (height, width, channels)"
        )
    return from_array(array, channels)


def told(results: Sequence[Result], image: object, provenance: Mapping[str, Any]) -> list[Result]:
    """Results that know what the pictures given say, and how they were made."""
    pictures: Sequence[object] = image if isinstance(image, (list, tuple)) else [image]
    found = []
    for result, picture in zip(results, pictures, strict=True):
        given = FilePicture(result.given.frames, _metadata(picture))
        evidence, asked = result.evidence, provenance["evidence"]
        kind = asked if isinstance(asked, str) else evidence.kind
        said = {**provenance, "evidence": kind, "found": dict(evidence.numbers)}
        found.append(replace(result, given=given, provenance=said))
    return found


def _metadata(picture: object) -> Metadata:
    return metadata_of(picture) if isinstance(picture, Image.Image) else NO_METADATA
