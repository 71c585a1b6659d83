"""Pixels of any mode and depth, and the way between them and the [-1, 1] of models.

A `Raster` keeps its pixels as its file had them. Models see float32 (N, h, w) in [-1, 1], for N
channels of colour; what they make of them goes back to the depth and the range of values that came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageCms

from sr4.errors import PictureError, reason
from sr4.pictures.filling import filled, towards_the_seen
from sr4.pictures.pixels import UNIT_LEVELS
from sr4.pictures.rgb import upright

Colour = Literal["grey", "rgb", "cmyk", "bands"]
Floats = NDArray[np.float32]
Range = tuple[float, float]
"""The values that stand for black and white."""

_ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}
_DEEP_MODES = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}  # of Pillow; all are grey


@dataclass(frozen=True)
class Span:
    """The values that stand for black and white, and their type."""

    low: float  # of whole numbers an int, as floats do not hold all of them
    high: float
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> Span:
        """The span of pixels: of 8 and 16 bits that of their type, of floats in [0, 1] just that.
        Any other numbers have no white of their own: their least and greatest stand for it.

        Raises:
            PictureError: these lie too far apart, or too near, to be told apart as float64.
        """
        dtype = pixels.dtype
        if dtype in (np.uint8, np.uint16):
            return cls(0, np.iinfo(dtype).max, dtype)
        low, high = pixels.min().item(), pixels.max().item()
        if dtype.kind == "f" and low >= 0 and high <= 1:
            return cls(0, 1, dtype)
        if high == low:
            high = low + max(1, abs(low))
        with np.errstate(all="ignore"):
            scale = np.float64(2) / (np.float64(high) - np.float64(low))
        if not 0 < scale < np.inf:
            raise PictureError(
                f"got pixels from {low:g} to {high:g}; expected a range that floats can be scaled "
                "to [0, 1] from: scale them first"
            )
        return cls(low, high, dtype)

    @classmethod
    def of_type(cls, dtype: np.dtype[Any]) -> Span:
        """All of an integer type's; [0, 1] of floats."""
        return cls(0, 1 if dtype.kind == "f" else np.iinfo(dtype).max, dtype)

    def unit(self, pixels: NDArray[Any]) -> Floats:
        """[-1, 1] of pixels, same shape."""
        if self.dtype == np.uint8 and (self.low, self.high) == (0, 255):
            return np.take(UNIT_LEVELS, pixels)
        return self.exact_unit(pixels).astype(np.float32)

    def exact_unit(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """`unit`, in float64."""
        return (pixels.astype(np.float64) - self.low) * (2 / (self.high - self.low)) - 1

    def pixels(self, unit: ArrayLike) -> NDArray[Any]:
        """The nearest pixels to values in [-1, 1], clipped, same shape."""
        clipped = np.clip(unit, -1.0, 1.0)
        if not (self.dtype in (np.uint8, np.uint16) and self == Span.of_type(self.dtype)):
            clipped = clipped.astype(np.float64)  # the range may be any
        values = (clipped + 1) * ((self.high - self.low) / 2) + self.low
        if self.dtype.kind == "f":
            return np.clip(values, self.low, self.high).astype(self.dtype)
        limits = np.iinfo(self.dtype)
        low, high = max(int(self.low), limits.min), min(int(self.high), limits.max)
        values = np.rint(values)
        if self.dtype.itemsize < 8:
            return np.clip(values, low, high).astype(self.dtype)
        # Floats do not hold the ends of 64 bits, and what they round them to wraps around.
        above, below = values >= float(high), values <= float(low)
        whole = np.where(above | below, 0, values).astype(self.dtype)
        whole[above] = high
        whole[below] = low
        return whole


@dataclass(frozen=True, eq=False)
class Raster:
    """The pixels of one picture.

    Attributes:
        pixels: (H, W, N) of 8- or 16-bit, other whole, or floating-point numbers. Inks of CMYK are
            held as light, 255 being none, so that they look as the picture does.
        colour: what the N channels are: "grey" (1), "rgb" (3), "cmyk" (4) or "bands" (any number).
        span: what stands for black and white.
        alpha: (H, W) of the same type, 0 where nothing is to be seen, or None.
        nodata: the number that stands for pixels without data, whose alpha is 0 then, and 1 that of
            the others; None where alpha, if there is any, is transparency.
    """

    pixels: NDArray[Any]
    colour: Colour
    span: Span
    alpha: NDArray[Any] | None = None
    nodata: float | None = None

    def __repr__(self) -> str:
        colour = self.colour + ("" if self.alpha is None else " with alpha")
        return f"Raster({self.size[0]}x{self.size[1]}, {colour}, {self.pixels.dtype})"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @cached_property
    def array(self) -> NDArray[Any]:
        """(H, W, N), with alpha as one channel more; (H, W) where that makes a single channel.
        Pixels without data hold the number that stands for it.
        """
        if self.alpha is not None and self.nodata is not None:
            value = np.asarray(self.nodata).astype(self.pixels.dtype)
            pixels = np.where(self.alpha[:, :, None] == 0, value, self.pixels)
            return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        if self.alpha is not None:
            return np.concatenate([self.pixels, self.alpha[:, :, None]], axis=2)
        return self.pixels[:, :, 0] if self.pixels.shape[2] == 1 else self.pixels

    @property
    def is_deep(self) -> bool:
        """Whether 8 bits would lose something."""
        return self.pixels.dtype != np.uint8

    @cached_property
    def unit(self) -> Floats:
        """The channels of colour as networks see them, (N, H, W) in [-1, 1]: those of `shown`, but
        where much more is to be seen beside a pixel, as of an object beside its shadow, its colour
        comes near to that one. It would bleed into the rest, and ring there.
        """
        unit_alpha = self.unit_alpha
        if unit_alpha is None:
            return self.shown
        return towards_the_seen(self.shown, (unit_alpha[0] + 1) / 2)

    @cached_property
    def shown(self) -> Floats:
        """The channels of colour, (N, H, W) in [-1, 1]. Where alpha is 0, whatever colour the file
        holds is replaced by that of what is seen nearby.
        """
        unit = np.ascontiguousarray(np.moveaxis(self.span.unit(self.pixels), 2, 0))
        if self.alpha is None or self.alpha.all() or not self.alpha.any():
            return unit
        return filled(unit, (self.alpha > 0).astype(np.float32))

    @property
    def unit_alpha(self) -> Floats | None:
        """Alpha, (1, H, W) in [-1, 1]."""
        return None if self.alpha is None else self.alpha_span.unit(self.alpha)[None]

    @property
    def is_opaque(self) -> bool:
        """Whether all of it is to be seen."""
        return self.alpha is None or bool((self.alpha == self.alpha_span.high).all())

    @property
    def alpha_span(self) -> Span:
        """The span of alpha: whatever the values of colour are, opaque is the greatest number of a
        type, and 1 among floats.
        """
        if self.nodata is not None:
            return Span(0, 1, self.pixels.dtype)
        return Span.of_type(self.pixels.dtype)

    def with_bits(self, bits: Literal[8, 16]) -> Raster:
        """The raster in 8- or 16-bit numbers, each the nearest; other numbers go from their span to
        all of that range, and pixels without data become transparent.
        """
        dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
        if self.pixels.dtype == dtype and self.nodata is None:
            return self
        span = Span(0, np.iinfo(dtype).max, dtype)
        unit_alpha = self.unit_alpha
        return Raster(
            span.pixels(self.span.unit(self.pixels)),
            self.colour,
            span,
            None if unit_alpha is None else span.pixels(unit_alpha[0]),
        )

    def for_model(self, channels: int, data_range: Range | None = None) -> Raster:
        """As a model takes it: where that has a channel for alpha too, alpha is a band like the
        others; where its values have a range, that is the span, and what lies beyond counts as
        black or white.

        Raises:
            PictureError: the numbers are of a type that does not hold the range.
        """
        raster = self
        is_band = self.alpha is not None and self.nodata is None
        if is_band and self.pixels.shape[2] + 1 == channels != 3:
            raster = Raster(np.atleast_3d(self.array), "bands", self.span)
        if data_range is None:
            return raster
        low, high = data_range
        dtype = self.pixels.dtype
        if dtype.kind != "f" and not np.iinfo(dtype).min <= low < high <= np.iinfo(dtype).max:
            raise PictureError(
                f"got a picture of {dtype} for a model of values from {low:g} to {high:g}; "
                "expected numbers that hold these: choose another model"
            )
        pixels = np.clip(raster.pixels, *np.asarray(data_range, dtype))
        return replace(raster, pixels=pixels, span=Span(low, high, dtype))

    def turned(self, orientation: int) -> Raster:
        """Upright, given how it lies (EXIF 2.32, tag 0x0112: 1 to 8; others count as 1)."""
        alpha = None if self.alpha is None else upright(self.alpha, orientation)
        return replace(self, pixels=upright(self.pixels, orientation), alpha=alpha)

    def without_alpha(self) -> Raster:
        """On white."""
        if self.alpha is None:
            return self
        share = ((self.alpha_span.unit(self.alpha) + 1) / 2)[:, :, None]
        return replace(
            self,
            pixels=self.span.pixels(share * self.span.unit(self.pixels) + (1 - share)),
            alpha=None,
            nodata=None,
        )

    def to_pil(self) -> Image.Image:
        """A Pillow picture: L, LA, RGB, RGBA or CMYK of 8 bits, and of grey I;16, I or F where it
        has that depth. Pillow holds no other pictures of more than 8 bits: they are rounded.

        Raises:
            PictureError: the channels are no colours.
        """
        if self.colour == "bands":
            raise PictureError(
                f"got a picture of {self.pixels.shape[2]} bands; expected grey, RGB or CMYK for a "
                "Pillow picture: take its array, or write .tif or .npy"
            )
        if self.colour == "grey" and self.alpha is None and self.is_deep:
            grey = self.pixels[:, :, 0]
            if self.pixels.dtype == np.uint16:
                return Image.fromarray(grey)
            limits = np.iinfo(np.int32)
            is_whole = grey.dtype.kind != "f"
            is_whole = is_whole and limits.min <= grey.min() and grey.max() <= limits.max
            return Image.fromarray(grey.astype(np.int32 if is_whole else np.float32))
        shallow = self.with_bits(8)
        if self.colour == "cmyk":
            return Image.fromarray(255 - shallow.pixels, "CMYK")
        mode = ("L" if self.colour == "grey" else "RGB") + ("" if self.alpha is None else "A")
        return Image.fromarray(shallow.array, mode)


def from_pil(picture: Image.Image) -> Raster:
    """The pixels of a Pillow picture of any mode.

    1-bit pictures and palettes become 8-bit grey, RGB or, with transparency, RGBA.

    Raises:
        PictureError: it cannot be decoded, or its numbers are not finite.
    """
    try:
        return _from_pil(picture)
    except PictureError:
        raise
    except MemoryError as error:
        raise PictureError(
            f"the given picture takes more memory to decode than there is ({reason(error)}); "
            "expected a smaller one: free some memory, or make it smaller"
        ) from error
    except Exception as error:  # a file opened but not yet decoded; decoders raise any type
        raise PictureError(
            f"the given picture cannot be decoded ({reason(error)}); expected a whole one: its "
            "file is truncated or damaged"
        ) from error


def _from_pil(picture: Image.Image) -> Raster:
    if picture.mode in _DEEP_MODES:
        deep = np.asarray(picture)
        is_pgm = picture.mode == "I" and picture.format == "PPM"  # scaled to 16 bits, held in 32
        native = np.dtype(np.uint16) if is_pgm else deep.dtype.newbyteorder("=")
        return checked(deep.astype(native), "grey")
    if picture.mode == "CMYK":
        return checked(255 - np.asarray(picture), "cmyk")
    if picture.mode == "LAB":
        lab, srgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
        converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
        assert converted is not None
        picture = converted
    has_alpha = picture.mode in _ALPHA_MODES or "transparency" in picture.info
    is_grey = picture.mode in ("1", "L", "LA", "La")
    # By RGBA, since palettes with transparency and others have no direct way.
    rgba = picture.convert("LA" if picture.mode == "La" else "RGBA").convert("RGBA")
    array = np.asarray(rgba)
    colours = array[:, :, :1] if is_grey else array[:, :, :3]
    return checked(colours, "grey" if is_grey else "rgb", array[:, :, 3] if has_alpha else None)


def from_array(array: NDArray[Any], channels: int = 3, data_range: Range | None = None) -> Raster:
    """The pixels of an array, (h, w), or (h, w, N): for a model of `channels` as many bands, else
    grey (1), grey and alpha (2), RGB (3) or RGBA (4); 8- or 16-bit, or floats in [0, 1], or any
    numbers, if the values of that model have a range.

    Raises:
        PictureError: says what is wrong with it.
    """
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    shaped = array[:, :, None] if array.ndim == 2 else array
    known = {1, 2, 3, 4, channels}
    if shaped.ndim != 3 or shaped.shape[2] not in known or shaped.size == 0:
        more = "" if channels <= 4 else f", or (height, width, {channels})"
        raise PictureError(
            f"got an array of shape {array.shape}; expected (height, width), (height, width, 1 to "
            f"4){more}, not empty"
        )
    if data_range is None and not has_levels(array):
        if array.dtype.kind != "f":
            raise PictureError(
                f"got an array of {array.dtype}; expected uint8, uint16, or floats in [0, 1]"
            )
        raise PictureError("got floats outside [0, 1] or not finite; expected them in [0, 1]")
    count = shaped.shape[2]
    if count == channels and channels not in (1, 3):
        found = checked(shaped, "bands")
    else:
        colour: Colour = "grey" if count < 3 else "rgb"
        has_alpha = count in (2, 4)
        colours = shaped[:, :, :-1] if has_alpha else shaped
        found = checked(colours, colour, shaped[:, :, -1] if has_alpha else None)
    return found.for_model(channels, data_range)


def has_levels(array: NDArray[Any]) -> bool:
    """Whether the type of numbers says which of them are black and white: 8 or 16 bits, or floats
    that lie in [0, 1].
    """
    if array.dtype.kind == "f":
        low, high = array.min(initial=0), array.max(initial=0)
        return bool(low >= 0 and high <= 1)  # a comparison with NaN is false
    return array.dtype in (np.uint8, np.uint16)


def checked(
    pixels: NDArray[Any],
    colour: Colour,
    alpha: NDArray[Any] | None = None,
    nodata: float | None = None,
) -> Raster:
    """A raster of pixels (H, W) or (H, W, N).

    Raises:
        PictureError: empty, numbers that are not finite, or a type that is no number.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.size == 0:
        raise PictureError(f"got a picture of shape {pixels.shape}; expected one that is not empty")
    if pixels.dtype.kind not in "uif":
        raise PictureError(f"got pixels of type {pixels.dtype}; expected numbers")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise PictureError("got pixels that are not finite; expected numbers: replace them first")
    return Raster(pixels, colour, Span.of(pixels), alpha, nodata)
