"""Which evidence an input gives, by its file, its pixels and what the caller says of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from sr4.degradation import MAX_BLUR
from sr4.degradation.known import Known
from sr4.errors import PictureError, UsageError, nearest
from sr4.evidence import KINDS
from sr4.evidence.boxes import JpegBoxes
from sr4.evidence.estimate import (
    STRONG_NOISE,
    estimated_blur,
    estimated_dithering,
    estimated_noise,
    is_sharpened,
)
from sr4.evidence.jpeg import Tables, file_boxes, pixel_boxes, quality_of, quantisation_noise
from sr4.evidence.kinds import Evidence, exact, jpeg, noisy, nothing
from sr4.evidence.origin import Origin
from sr4.evidence.recognised import Recognised, Unread, earlier_jpeg, recognised_jpeg
from sr4.evidence.sets import LEVEL
from sr4.pictures.raster import Raster, Span

Blur = float | Literal["auto"] | None

AUTO = "auto"
MAX_NOISE = 128.0
"""The largest deviation of noise, in levels of 255."""

# Deviation of the estimates of blurs. A result that is held to too large a blur is worse by far
# than one held to one that is as much too small, so this is taken from the estimate.
_BLUR_ERROR = 0.1
_OTHER_PIXELS = 2.0  # levels (root mean square) outside the boxes: pixels of another picture
_ROWS_TO_CHECK = 512
_SMALLEST = 64  # pixels along each side that estimates need
_UNKNOWN_COMPRESSION = 8.0  # levels; that of a quality of about 75
# Levels that a compression other than JPEG may have changed pixels by and still count as none: of
# WebP up to a quality of about 82 results are better without its blocks, above with all pixels.
_LITTLE = 3.0
_SHARPENED = (
    "it was sharpened: what keeps to its finest detail has dots, so that results may be softer; "
    "ask for evidence exact or jpeg to have them"
)


def check_evidence(
    kind: str | Evidence, noise: float | None, blur: Blur, consistency: bool | None
) -> None:
    """Refuse what contradicts itself; the arguments are those of `Pipeline.upscale`.

    Raises:
        UsageError: an unknown kind, an impossible number, or two options that exclude each other.
    """
    if isinstance(kind, Evidence):
        if noise is not None or blur is not None:
            raise UsageError(
                "got noise or blur beside an Evidence, which has its own; expected one of both"
            )
        kind = kind.kind
    elif kind not in (AUTO, *KINDS):
        raise UsageError(f"unknown evidence {kind!r}: {nearest(str(kind), (AUTO, *KINDS))}")
    _check_number("noise", noise, MAX_NOISE)
    _check_number("blur", None if blur == AUTO else blur, MAX_BLUR)
    if kind == "exact" and noise:
        raise UsageError(
            f"got evidence exact with noise {noise:g}; expected no noise in exact pixels: choose "
            "evidence noise"
        )
    if kind == "none" and consistency:
        raise UsageError(
            "got evidence none with consistency; expected evidence that results can be consistent "
            "with: leave one of both out"
        )
    if consistency is False and kind not in (AUTO, "none"):
        raise UsageError(
            f"got evidence {kind} without consistency; expected evidence to be used: leave one of "
            "both out"
        )


def _check_number(what: str, value: object, most: float) -> None:
    if value is None:
        return
    numbers = (int, float, np.integer, np.floating)
    is_number = isinstance(value, numbers) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= most:  # type: ignore[operator]
        raise UsageError(f"got {what} {value!r}; expected a deviation from 0 to {most:g}")


def choose(
    raster: Raster,
    origin: Origin | None,
    kind: str = AUTO,
    *,
    noise: float | None = None,
    blur: Blur = None,
) -> Evidence:
    """The evidence of a picture.

    By itself ("auto") that of a JPEG file is its own boxes. Of other files it is the pixels, unless
    these show the blocks of a JPEG that they were saved from, or strong noise, be it that of
    dithering, or they or their file tell of strong compression. Files of pictures that were
    sharpened give wider boxes, since what keeps to their finest detail has dots. Of pixels without
    a file it is the pixels.

    Args:
        raster: its pixels.
        origin: its file; None for pixels that come from none.
        kind: "auto", "exact", "jpeg", "noise" or "none".
        noise: deviation of its noise in levels of 255, if that is known.
        blur: deviation of the Gaussian blur that D begins with, in pixels; "auto" to estimate it;
            None for none. Networks are told an estimate all the same, but where pixels are exact:
            those of sharp pictures give one of a third of a pixel, which makes results worse.

    Raises:
        UsageError: impossible options.
        PictureError: no JPEG is to be seen where "jpeg" is asked for.
    """
    check_evidence(kind, noise, blur, None)
    found = _chosen(raster, origin, kind, noise, blur)
    is_free = kind == AUTO and origin is not None and not found.blur
    is_kept = found.kind in ("exact", "jpeg")
    if is_free and is_kept and _shows_levels(raster) and is_sharpened(raster.unit):
        return found.of_sharpened(_SHARPENED)
    return found


def _can_see(raster: Raster) -> bool:
    """Whether estimates can be made of its pixels."""
    return min(raster.size) >= _SMALLEST and raster.colour in ("grey", "rgb")


def _shows_levels(raster: Raster) -> bool:
    """Whether estimates can be made of its pixels, and these are all to be seen and on the scale of
    its file, so that a file's blocks are theirs.
    """
    return _can_see(raster) and _is_whole(raster)


def _is_whole(raster: Raster) -> bool:
    return raster.is_opaque and _stretch(raster) == 1


def _stretch(raster: Raster) -> float:
    """Levels of its span to one of its file; other than 1 for models with a range of values."""
    if raster.pixels.dtype.kind == "f":
        return 1.0
    span, whole = raster.span, Span.of_type(raster.pixels.dtype)
    return float((whole.high - whole.low) / (span.high - span.low))


def _chosen(
    raster: Raster, origin: Origin | None, kind: str, noise: float | None, blur: Blur
) -> Evidence:
    """See `choose`; of sharpened pictures, too, what they would say if they were not."""
    can_see = _can_see(raster)
    seen_blur = None
    if can_see and (blur == AUTO or origin is not None):
        # What the network is told is the blur to be seen in the picture as it is, noise and all:
        # of noisy pictures the true one makes results worse.
        seen_blur = estimated_blur(raster.unit, (noise or 0.0) if blur == AUTO else 0.0)
    given = 0.0 if blur is None or isinstance(blur, str) else float(blur)
    safe = min(max(0.0, (seen_blur or 0.0) - _BLUR_ERROR), MAX_BLUR)
    used = round(safe, 2) if blur == AUTO else given
    known = Known(noise, used or seen_blur, None)
    if kind == "none":
        return nothing(known)
    if kind in (AUTO, "jpeg") and origin is not None and origin.is_jpeg:
        return _of_jpeg(raster, origin, known, used)
    found = None
    if can_see and (kind == "jpeg" or (kind == AUTO and origin is not None)):
        found = recognised_jpeg(raster.unit) if _is_whole(raster) else None
        if isinstance(found, Recognised):
            boxes = pixel_boxes(raster.unit, found.tables, found.step, found.offset)
            # Without much colour the table of colour is a guess.
            return jpeg(boxes, found.tables[:1], known=known, blur=used)
    if kind == "jpeg":
        missing = "the steps" if isinstance(found, Unread) else "a trace"
        raise PictureError(
            f"got a picture without {missing} of JPEG; expected a JPEG file, or pixels that show "
            "its blocks: choose another evidence"
        )
    is_asked_for = kind == "noise" and noise is None
    if is_asked_for and not can_see:
        raise _noise_not_seen(raster)
    if is_asked_for or (noise is None and can_see and kind == AUTO and origin is not None):
        is_indexed = origin is not None and origin.is_indexed
        seen = dithering(raster) if is_indexed else estimated_noise(raster.unit)
        noise = round(seen, 2) if is_asked_for or seen >= STRONG_NOISE else 0.0
    compression, reason = _compression(origin, found)
    compression *= _stretch(raster)
    if kind == AUTO and compression > _LITTLE:
        known = Known(noise or 0.0, known.blur, None)
        return _of_compressed(compression, known, used, reason)
    known = Known(noise or 0.0, known.blur, 100.0)
    if noise:
        return noisy(noise, known=known, blur=used)
    plain = _exact(raster, known, used)
    if is_asked_for:
        return replace(plain, notes=("it shows no noise: its pixels count as exact",))
    return plain


def _noise_not_seen(raster: Raster) -> PictureError:
    width, height = raster.size
    return PictureError(
        f"got a picture of {width}x{height} in {raster.colour} whose noise is to be estimated; "
        f"expected {_SMALLEST}x{_SMALLEST} pixels or more of grey or RGB: say how strong it is "
        "(noise, --noise)"
    )


def _exact(raster: Raster, known: Known, blur: float) -> Evidence:
    """The pixels of a raster, to the steps between its numbers; see `choose` for their blur."""
    span = raster.span
    step = 2 / (span.high - span.low) if span.dtype.kind in "ui" else 0.0
    return exact(min(step, LEVEL), known=known._replace(blur=blur or None), blur=blur)


def dithering(raster: Raster) -> float:
    """The noise that dithering has left in a raster from a palette; see `estimated_dithering`. None
    is seen where there are too few pixels.
    """
    if min(raster.size) < _SMALLEST:
        return 0.0
    opaque = None if raster.alpha is None else raster.alpha > 0
    return min(estimated_dithering(raster.pixels, opaque), MAX_NOISE)


def _of_jpeg(raster: Raster, origin: Origin, known: Known, blur: float) -> Evidence:
    """The boxes of the file; if they cannot be had, those of its pixels; else its pixels to what
    compression may have changed.
    """
    reason = "its file is not at hand"
    is_on_scale = _stretch(raster) == 1
    if not is_on_scale:
        reason = "the model has a range of values of its own"
    elif origin.source is not None:
        try:
            boxes, tables = file_boxes(origin.source)
            boxes = boxes.turned(origin.orientation)
            if _has_form(raster, boxes) and (origin.is_read_here or _fits(raster, boxes)):
                return _recompressed(raster, origin, tables, known, blur) or jpeg(
                    boxes, tables, known=known, blur=blur
                )
            reason = "its pixels are not those of its blocks"
        except ValueError as error:
            reason = str(error)
    tables = list(origin.tables)
    channels = raster.pixels.shape[2]
    has_step = channels == 1 or (channels == 3 and origin.step is not None)
    if tables and is_on_scale and origin.orientation == 1 and has_step:
        boxes = pixel_boxes(raster.unit, tables, origin.step or (1, 1))
        if _has_form(raster, boxes) and _fits(raster, boxes):
            found = jpeg(boxes, tables, known=known, blur=blur)
            return replace(found, notes=(f"{reason}: its blocks are read from its pixels",))
    compression = quantisation_noise(tables) if tables else _UNKNOWN_COMPRESSION
    known = known._replace(quality=float(quality_of(tables)) if tables else None)
    return _of_compressed(compression * _stretch(raster), known, blur, reason)


def _compression(origin: Origin | None, blocks: Recognised | Unread | None) -> tuple[float, str]:
    """What lossy compression has changed where no boxes tell it, in levels of 255, and how that is
    known, in words.
    """
    told = 0.0 if origin is None else origin.compression
    if isinstance(blocks, Unread) and blocks.noise > told:
        return blocks.noise, "it shows the blocks of a JPEG, but not their steps any more"
    return told, "it was compressed with loss"


def _of_compressed(compression: float, known: Known, blur: float, reason: str) -> Evidence:
    """Pixels to what compression may have changed.

    Args:
        compression: its deviation, in levels of 255.
        reason: why they are not known better, in words.
    """
    deviation = math.hypot(compression, known.noise or 0.0)
    note = f"{reason}: its pixels are taken to {deviation:.1f} levels"
    return noisy(deviation, known=known, blur=blur, notes=(note,))


def _recompressed(
    raster: Raster, origin: Origin, tables: Tables, known: Known, blur: float
) -> Evidence | None:
    """The boxes of an earlier and stronger compression, if the pixels of a file show one: its own
    are about what that left. They are wider by what the last one may have changed.
    """
    if min(raster.size) < _SMALLEST or origin.orientation != 1 or raster.pixels.shape[2] == 4:
        return None
    earlier = earlier_jpeg(raster.unit, quality_of(tables))
    if earlier is None:
        return None
    boxes = pixel_boxes(raster.unit, earlier.tables, earlier.step, earlier.offset)
    found = jpeg(boxes.widened(quantisation_noise(tables)), earlier.tables, known=known, blur=blur)
    note = f"it was compressed before, with a quality of about {earlier.quality}: that counts"
    return replace(found, notes=(note,))


def _has_form(raster: Raster, boxes: JpegBoxes) -> bool:
    """Whether pixels have the size and the channels that the blocks of these boxes decode to."""
    width, height = raster.size
    channels = raster.pixels.shape[2]
    planes = len(boxes.planes)
    return boxes.size == (height, width) and (channels == planes or (planes == 1 and channels <= 3))


def _fits(raster: Raster, boxes: JpegBoxes) -> bool:
    """Whether pixels are about those that the blocks of these boxes decode to. At edges between
    strong colours they are not: decoders smooth what they interpolate between samples of colour.
    """
    height = raster.size[1]
    start, stop = boxes.around(0, min(_ROWS_TO_CHECK, height))
    rest = boxes.cut(slice(start, stop)).rest(raster.unit[:, start:stop])
    return bool(np.sqrt(np.mean(rest**2)) < _OTHER_PIXELS * LEVEL)
