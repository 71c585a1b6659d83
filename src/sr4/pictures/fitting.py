"""Pictures made to fit a format, and what of them is lost by it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import ImageCms

from sr4.errors import PictureError
from sr4.pictures import exif
from sr4.pictures.formats import Format, format_of
from sr4.pictures.metadata import NO_METADATA, Metadata, Provenance
from sr4.pictures.png import is_srgb
from sr4.pictures.raster import Raster, Span
from sr4.pictures.reading import Picture

_MOST_COMMENT = 65_000  # bytes, of a segment of a JPEG
_ROOM = 4096  # bytes of a block of EXIF that are left for how a result was made
_NAMES = {
    "icc": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "text": "comments",
    "resolution": "resolution",
}


def losses(picture: Picture, path: Path) -> tuple[str, ...]:
    """What of a picture is lost in a format, each a clause for a message."""
    form, first = format_of(path), picture.frames[0]
    suffix, dtype = path.suffix.lower(), first.pixels.dtype
    found = []
    if len(picture.frames) > 1 and not form.moves:
        found.append(
            f"{suffix} holds no animation, the first of {len(picture.frames)} frames is kept"
        )
    if len(picture.frames) > 1 and form.moves and not form.counts and picture.loop:
        found.append(f"{suffix} does not say how often it is shown ({picture.loop})")
    if first.alpha is not None and not form.alpha:
        what = "transparency" if first.nodata is None else "pixels without data"
        found.append(f"{suffix} holds no {what}, the picture is laid on white")
    bits = form.bits
    if first.colour == "cmyk" and not form.cmyk:
        found.append(f"{suffix} holds no CMYK, the colours become sRGB")
        bits = 8  # of what converts them
    if bits and (dtype.kind != "u" or dtype.itemsize * 8 > bits):
        found.append(f"{suffix} holds {bits} bits a channel, {_rounding(first, bits)}")
    if suffix == ".gif":
        found.append(".gif holds 256 colours a frame, and pixels that are transparent or not")
    return (*found, *_unsaid(picture, form, suffix))


def _rounding(raster: Raster, bits: int) -> str:
    """What becomes of numbers in so many bits."""
    span, dtype = raster.span, raster.pixels.dtype
    if span == Span.of_type(dtype):
        return f"the {dtype} pixels are rounded"
    low, high = (
        f"{one:,}" if isinstance(one, int) else f"{one:g}" for one in (span.low, span.high)
    )
    return f"the {dtype} pixels from {low} to {high} become those from 0 to {2**bits - 1:,}"


def _unsaid(picture: Picture, form: Format, suffix: str) -> list[str]:
    """What of the metadata."""
    metadata, first = picture.metadata, picture.frames[0]
    names = []
    for kind, name in _NAMES.items():
        is_used = kind != "icc" or first.colour != "cmyk" or form.cmyk
        if kind not in form.holds and is_used and getattr(metadata, kind):
            names.append(name)
    found = []
    if names:
        found.append(f"{suffix} holds no {' and no '.join(names)}")
    if "text" in form.holds and _comments(metadata, form) != metadata.text:
        found.append(f"{suffix} holds no comments but a short one without a keyword")
    if "colour" not in form.holds and metadata.icc is None and not is_srgb(metadata.colour):
        chunks = ", ".join(kind.decode() for kind in metadata.colour)
        found.append(f"{suffix} does not say what colours the numbers are, as {chunks} did")
    if first.colour == "grey" and not form.grey and metadata.icc is not None:
        found.append(f"{suffix} holds no grey, whose profile is left out")
    for kind, most in (("exif", form.most_exif - _ROOM), ("xmp", form.most_xmp)):
        size = len(getattr(metadata, kind) or b"")
        if kind in form.holds and size > most:
            found.append(
                f"{suffix} holds {most:,} bytes of {_NAMES[kind]}, the {size:,} are left out"
            )
    stated = metadata.resolution
    if stated is not None and not stated.is_absolute and suffix not in (".png", ".npy", ".gif"):
        found.append(f"{suffix} does not say that pixels are no squares")
    if suffix in (".tif", ".tiff") and first.is_deep and metadata.has_inner_exif:
        found.append(f"{suffix} holds of EXIF only texts and resolution beside {_kind(first)}")
    return found


def _kind(raster: Raster) -> str:
    return f"{raster.pixels.dtype} pixels"


def fitted(picture: Picture, form: Format, provenance: Provenance | None) -> Picture:
    """A picture with nothing but what a format has a place for, and how it was made."""
    frames = picture.frames if form.moves else picture.frames[:1]
    metadata = picture.metadata.for_size(frames[0].size)
    if frames[0].colour == "cmyk" and not form.cmyk:
        frames = tuple(_to_rgb(raster, metadata.icc) for raster in frames)
        metadata = replace(metadata, icc=None)
    frames = tuple(_fit(raster, form) for raster in frames)
    metadata = _held(metadata.for_colour(frames[0].colour), form)
    if provenance is not None and "exif" in form.holds:
        made = metadata.made_by(provenance)
        if len(made.exif or b"") > form.most_exif:
            made = replace(made, exif=NO_METADATA.made_by(provenance).exif)
        metadata = made
    return replace(picture, frames=frames, metadata=metadata)


def _held(metadata: Metadata, form: Format) -> Metadata:
    """What a format has a place for; a resolution without a place of its own goes into EXIF."""
    if len(metadata.exif or b"") > form.most_exif - _ROOM:
        metadata = replace(metadata, exif=None)
    if len(metadata.xmp or b"") > form.most_xmp:
        metadata = replace(metadata, xmp=None)
    dropped = {kind: getattr(NO_METADATA, kind) for kind in (*_NAMES, "colour")}
    metadata = replace(
        metadata, **{kind: none for kind, none in dropped.items() if kind not in form.holds}
    )
    metadata = replace(metadata, text=_comments(metadata, form))
    if metadata.resolution is not None and "exif" in form.holds and "colour" not in form.holds:
        block = exif.with_resolution(metadata.exif, metadata.resolution)
        metadata = replace(metadata, exif=block)
    return metadata


def _comments(metadata: Metadata, form: Format) -> Mapping[str, str] | None:
    """Those that a format has a place for."""
    if metadata.text is None or form.keywords is None:
        return metadata.text
    return {
        key: metadata.text[key]
        for key in form.keywords
        if len(metadata.text.get(key, "").encode()) in range(1, _MOST_COMMENT)
    }


def _fit(raster: Raster, form: Format) -> Raster:
    if raster.alpha is not None and not form.alpha:
        raster = raster.without_alpha()
    if not form.bits:
        return raster
    if raster.colour == "bands":
        raise PictureError(
            f"got a picture of {raster.pixels.shape[2]} bands; expected a file that holds them: "
            "write .tif or .npy"
        )
    if form.bits == 8 or raster.pixels.dtype == np.uint8:
        raster = raster.with_bits(8)
    else:
        raster = raster.with_bits(16)
    if raster.colour == "grey" and not form.grey:
        pixels = np.repeat(raster.pixels, 3, axis=2)
        raster = replace(raster, pixels=pixels, colour="rgb")
    return raster


def _to_rgb(raster: Raster, icc: bytes | None) -> Raster:
    """sRGB of CMYK, by its profile if there is one that fits."""
    image = raster.to_pil()
    try:
        if icc is None or icc[16:20] != b"CMYK":
            raise ImageCms.PyCMSError("no profile")
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        converted = image.convert("RGB")
    assert converted is not None
    shallow = raster.with_bits(8)
    return replace(shallow, pixels=np.asarray(converted), colour="rgb")
