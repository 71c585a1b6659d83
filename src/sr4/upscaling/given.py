"""What a caller hands over: pictures as they go through a model, and what each of them says."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import ModelConfig
from sr4.errors import PictureError, UsageError, reason
from sr4.evidence.choose import Blur, check_evidence, choose
from sr4.evidence.kinds import Evidence
from sr4.evidence.origin import Origin, file_origin, pillow_origin
from sr4.pictures import Picture as FilePicture
from sr4.pictures import picture_of, read_picture, read_size
from sr4.pictures.parts import Parts
from sr4.pictures.raster import Range, Raster, from_array
from sr4.upscaling.result import Result

Picture = str | Path | bytes | BinaryIO | Image.Image | NDArray[Any] | Raster

_RGB = 3
_PAGES = ("TIFF", "MPO")  # formats whose further frames are no animation


class Given(NamedTuple):
    """Pictures as they go through a model, what each says, and all that its file holds."""

    parts: list[Parts]
    evidences: list[Evidence]
    pictures: list[FilePicture]


def given_evidence(
    image: object,
    config: ModelConfig,
    evidence: str | Evidence | Sequence[str | Evidence],
    noise: float | None,
    blur: Blur,
    consistency: bool | None,
) -> Given:
    """A picture, or each of a list or tuple, with its evidence; see `Pipeline.upscale`.

    Args:
        config: of the model that the pictures go through first.

    Raises:
        PictureError: a picture that cannot be taken, or has not the evidence asked for.
        UsageError: options that exclude each other, or too few or many kinds of evidence.
    """
    several = image if isinstance(image, (list, tuple)) else [image]
    pictures = [without_stream(one) for one in several]
    asked = evidence_of_each(evidence, len(pictures))
    for one in asked:
        check_evidence(one, noise, blur, consistency)
    for picture in pictures:
        _warn_of_frames(picture)
    # Before the pictures are decoded, after which their files may be out of reach.
    origins = [_origin(one) for one in pictures]
    channels, data_range = config.channels, config.data_range
    opened = [
        as_picture(one, channels, data_range).for_model(channels, data_range) for one in pictures
    ]
    given = [Parts(one.frames[0], config.channels) for one in opened]
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
    return Given(given, found, opened)


def without_stream(picture: object) -> object:
    """The bytes of a binary stream, read to its end; anything else as it is."""
    if not callable(getattr(picture, "read", None)):
        return picture
    data = picture.read()  # type: ignore[attr-defined]
    if not isinstance(data, bytes):
        raise PictureError(
            f"got a stream of {type(data).__name__} for a picture; expected one of bytes: open the "
            "file as 'rb'"
        )
    return data


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
    """Width and height of what `Pipeline.upscale` takes; files and Pillow pictures are not decoded
    for that.

    Raises:
        PictureError: it is no picture.
    """
    if isinstance(picture, bytes):
        return read_size(picture)
    if isinstance(picture, (str, Path)):
        return read_size(Path(picture))
    if isinstance(picture, Image.Image):
        return picture.size
    return as_picture(picture, _RGB).frames[0].size


def as_picture(picture: object, channels: int, data_range: Range | None = None) -> FilePicture:
    """Of a file, a PIL picture, an array or a raster, for a model of that many channels.

    Args:
        data_range: of the numbers of an array, where the model declares one.

    Raises:
        PictureError: it is none of these, or cannot be taken.
    """
    if isinstance(picture, (str, Path, bytes)):
        opened = read_picture(picture)
        if len(opened.frames) > 1:
            label = "the given picture" if isinstance(picture, bytes) else repr(str(picture))
            raise PictureError(
                f"{label} is an animation of {len(opened.frames)} frames; expected one "
                "picture: use sr4.upscale, or give the frames as a list"
            )
        return opened
    if isinstance(picture, Raster):
        return FilePicture((picture,))
    if isinstance(picture, Image.Image):
        return picture_of(picture)
    expected = (
        "expected a path, the bytes of a file, a PIL picture or an array (height, width) or "
        "(height, width, channels)"
    )
    try:
        array = np.asarray(picture)
    except (TypeError, ValueError, RuntimeError) as error:  # such as a tensor of another device
        raise PictureError(
            f"got {type(picture).__name__} for a picture, which is no array ({reason(error)}); "
            f"{expected}"
        ) from error
    if array.dtype.kind in "OSU":
        raise PictureError(f"got {type(picture).__name__} for a picture; {expected}")
    return FilePicture((from_array(array, channels, data_range),))


def _warn_of_frames(picture: object) -> None:
    """Say so where one frame is taken of several that belong together."""
    if isinstance(picture, Image.Image) and picture.format not in _PAGES:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            warnings.warn(
                f"got an animation of {frames} frames, of which one is upscaled: sr4.upscale takes "
                "the file and does all of them",
                stacklevel=2,
            )


def _origin(picture: object) -> Origin | None:
    """What is known of the file of a picture."""
    if isinstance(picture, (str, Path, bytes)):
        return file_origin(picture if isinstance(picture, bytes) else Path(picture))
    return pillow_origin(picture) if isinstance(picture, Image.Image) else None


def told(
    results: Sequence[Result], pictures: Sequence[FilePicture], provenance: Mapping[str, Any]
) -> list[Result]:
    """Results that know what the pictures given say, and how they were made."""
    found = []
    for result, given in zip(results, pictures, strict=True):
        evidence, asked = result.evidence, provenance["evidence"]
        kind = asked if isinstance(asked, str) else evidence.kind
        said = {**provenance, "evidence": kind}
        said["found"] = _of_python(evidence.numbers)
        said["consistency"] = provenance["consistency"] and evidence.constrains
        found.append(replace(result, given=given, provenance=said))
    return found


def _of_python(said: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of NumPy, which JSON has not, as those of Python."""
    return {key: one.item() if isinstance(one, np.generic) else one for key, one in said.items()}
