"""The convex set that a JPEG file leaves open: boxes of the DCT coefficients of its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray

from sr4.degradation.arrays import array_namespace
from sr4.evidence.sets import ALL, BLOCK, LEVEL, from_blocks, like, to_blocks, whole_blocks

if TYPE_CHECKING:
    from typing_extensions import Self

Array = Any
Colour = Literal["ycc", "same"]

# RGB to luma and the two differences of colour (JFIF 1.02, page 3).
_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168735892, -0.331264108, 0.5],
        [0.5, -0.418687589, -0.081312411],
    ]
)
# 128 is subtracted from samples of [0, 255]; 127.5 (y + 1) is a level, so that this remains.
_SHIFT = -0.5
# Results are rounded, and so is what an encoder makes of them: levels by which they stay inside
# the boxes, so that each coefficient is still the file's after that.
_MARGIN = 1.5
_CORE = 0.1  # the share of a box that at least remains
# The unsharp mask that a sharpened picture has gone through at most: how many times what its blur,
# of so many pixels, takes away was added.
_SHARPENING = 2.0
_SHARPENED_BLUR = 0.8
_ROUNDS = 8  # of the projection of blocks that the borders cut
# By which the last pixels may be off when rounds end, as most of the margin is left to the others.
# With the 2e-5 of exact pixels rounds take 1.5 to 8 times as long, and consistency stays as small.
_TOLERANCE = LEVEL
# By EXIF orientation, how the picture that was stored becomes upright: rows and columns are
# exchanged, then the order of rows, that of columns turned round.
_TURNS: Mapping[int, tuple[bool, bool, bool]] = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True)
class Plane:
    """One component of a JPEG picture: luma, a difference of colour, or a colour.

    Args:
        levels: (m, n, 8, 8) whole numbers, the quantised coefficients of its blocks.
        table: (8, 8), the steps that they count.
        step: pixels that a sample is the mean of, along each axis.
        slack: (m, n), by how much each block's boxes are wider, in levels; infinite for blocks of
            which nothing is known.
        share: (8, 8), what coefficients may have been before they were sharpened, as a share of
            what they are; None where they were not.
    """

    levels: NDArray[np.int16]
    table: NDArray[np.float32]
    step: tuple[int, int]
    slack: NDArray[np.float32]
    share: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls, levels: NDArray[np.int16], table: NDArray[Any], step: tuple[int, int], slack: float = 0
    ) -> Plane:
        """A plane whose blocks are all known alike."""
        wider = np.full(levels.shape[:2], slack, np.float32)
        return cls(levels, np.asarray(table, np.float32), step, wider)

    def turned(self, orientation: int) -> Plane:
        """The plane as it is once the picture is turned upright by its EXIF orientation: a
        mirrored cosine of odd order changes its sign.
        """
        exchange, rows, columns = _TURNS.get(orientation, (False, False, False))
        levels, table, slack = self.levels, self.table, self.slack
        step, signs = self.step, (-1) ** np.arange(BLOCK, dtype=np.int16)
        if exchange:
            levels, table, slack = levels.transpose(1, 0, 3, 2), table.T, slack.T
            step = step[::-1]
        if rows:
            levels, slack = levels[::-1] * signs[:, None], slack[::-1]
        if columns:
            levels, slack = levels[:, ::-1] * signs, slack[:, ::-1]
        levels, table = np.ascontiguousarray(levels), np.ascontiguousarray(table)
        # Shares are those of a blur that is the same along both axes.
        return replace(self, levels=levels, table=table, step=step, slack=slack)

    def extended(self, rows: int, columns: int) -> Plane:
        """The plane of rows x columns blocks: unknown ones are added below and on the right."""
        more = ((0, rows - len(self.levels)), (0, columns - self.levels.shape[1]))
        levels = np.pad(self.levels, (*more, (0, 0), (0, 0)))
        return replace(self, levels=levels, slack=np.pad(self.slack, more, constant_values=np.inf))

    def cut(self, rows: slice, columns: slice) -> Plane:
        """The plane of some of the blocks."""
        return replace(self, levels=self.levels[rows, columns], slack=self.slack[rows, columns])

    def outside(self, samples: Array, margin: float) -> Array:
        """What of samples (..., 8 m, 8 n), in levels around 0, lies outside the boxes."""
        xp = array_namespace(samples)
        coefficients, table = to_blocks(samples), like(self.table, samples)
        centre = like(self.levels, samples) * table
        half = table / 2 + like(self.slack, samples)[:, :, None, None]
        if self.share is not None:
            share = like(self.share, samples)
            half = half + xp.abs(centre) * (1 - share) / 2
            centre = centre * (1 + share) / 2
        half = xp.where(half * (1 - _CORE) > margin, half - margin, half * _CORE)
        away = coefficients - centre
        return from_blocks(away - xp.minimum(xp.maximum(away, -half), half))


@dataclass(frozen=True)
class JpegBoxes:
    """Pictures whose coefficients a JPEG encoder would round to those of the file:
    `q (k - 1/2) <= c <= q (k + 1/2)` for steps q and quantised coefficients k.

    Each component is a projection of its own, and so is the whole where distances are measured on
    the components. A sample of a subsampled component is the mean of its pixels, as encoders take
    it, and a correction of the sample goes to all of them alike. Of blocks that the borders cut,
    a picture belongs to the set if there are any pixels behind the border that put it there; the
    projection alternates between the boxes and the pixels given (von Neumann), beginning with the
    last pixels repeated, as encoders do.

    Args:
        planes: of luma and two differences of colour, or one for each channel, or one for all.
        size: height and width of the picture.
        offset: rows above and columns on the left of the picture that its first blocks have.
        colour: "ycc", or "same" where components are channels.
    """

    planes: tuple[Plane, ...]
    size: tuple[int, int]
    offset: tuple[int, int] = (0, 0)
    colour: Colour = "ycc"

    def __post_init__(self) -> None:
        rows, columns = self._units
        planes = []
        for plane in self.planes:
            across = [whole // step for whole, step in zip(self._unit, plane.step, strict=True)]
            planes.append(plane.extended(rows * across[0] // BLOCK, columns * across[1] // BLOCK))
        object.__setattr__(self, "planes", tuple(planes))

    @property
    def _unit(self) -> tuple[int, int]:
        """Pixels of the smallest part that holds whole blocks of all planes (T.81: MCU)."""
        return (
            BLOCK * max(plane.step[0] for plane in self.planes),
            BLOCK * max(plane.step[1] for plane in self.planes),
        )

    @property
    def _units(self) -> tuple[int, int]:
        """How many of these cover the picture."""
        (height, width), (top, left), (down, across) = self.size, self.offset, self._unit
        return -(-(top + height) // down), -(-(left + width) // across)

    def widened(self, noise: float) -> JpegBoxes:
        """For pixels that had white noise of that deviation, in levels of 255, before they were
        compressed: three deviations of what reaches a coefficient.
        """
        planes = []
        for number, plane in enumerate(self.planes):
            gain = 1.0 if self.colour == "same" else float(np.linalg.norm(_YCC[number]))
            more = np.float32(3 * noise * gain / np.sqrt(plane.step[0] * plane.step[1]))
            planes.append(replace(plane, slack=plane.slack + more))
        return replace(self, planes=tuple(planes))

    def sharpened(self) -> JpegBoxes:
        """For pictures that may have been sharpened before they were compressed, by an unsharp mask
        of 0.8 pixels and up to 200 %: it multiplies frequencies by up to 1 + 2 (1 - G), with the
        gain G of its Gaussian. Coarse detail binds as before, the finest down to a third of what it
        is. Subsampled colours are too coarse to be changed, and cameras sharpen luma alone.
        """
        frequency = np.hypot(np.arange(BLOCK)[:, None], np.arange(BLOCK)) / (2 * BLOCK)
        gain = np.exp(-((2 * np.pi * frequency * _SHARPENED_BLUR) ** 2) / 2)
        share = (1 / (1 + _SHARPENING * (1 - gain))).astype(np.float32)
        luma = self.planes if self.colour == "same" else self.planes[:1]
        planes = tuple(replace(plane, share=share) for plane in luma)
        return replace(self, planes=(*planes, *self.planes[len(luma) :]))

    def turned(self, orientation: int) -> JpegBoxes:
        """The set of the picture turned upright (EXIF 2.32, tag 0x0112)."""
        exchange, rows, columns = _TURNS.get(orientation, (False, False, False))
        whole = [count * unit for count, unit in zip(self._units, self._unit, strict=True)]
        size, offset = self.size, self.offset
        if exchange:
            whole, size, offset = whole[::-1], size[::-1], offset[::-1]
        behind = [a - b - c for a, b, c in zip(whole, size, offset, strict=True)]
        offset = (behind[0] if rows else offset[0], behind[1] if columns else offset[1])
        planes = tuple(plane.turned(orientation) for plane in self.planes)
        return replace(self, planes=planes, size=size, offset=offset)

    @property
    def tolerance(self) -> float:
        """See `ConvexSet`: the sets that results are brought into are smaller than those that they
        have to lie in.
        """
        return _TOLERANCE

    def project(self, y: Array) -> Array:
        """See `ConvexSet`."""
        return y - self._outside(y, _MARGIN)

    def rest(self, y: Array) -> Array:
        """See `ConvexSet`."""
        return self._outside(y, 0.0)

    def cut(self, rows: slice, columns: slice = ALL) -> Self:
        """See `ConvexSet`. Nothing is known of blocks that have pixels outside."""
        found = self
        for axis, part in enumerate((rows, columns)):
            start, stop, _ = part.indices(self.size[axis])
            if (start, stop) != (0, self.size[axis]):
                found = found._cut_along(axis, start, stop)
        return found

    def _cut_along(self, axis: int, start: int, stop: int) -> Self:
        """The set of some rows (axis 0) or columns (1)."""
        unit, before, length = self._unit[axis], self.offset[axis], self.size[axis]
        first, last = (start + before) // unit, -(-(stop + before) // unit)
        planes = []
        for plane in self.planes:
            each = unit // plane.step[axis] // BLOCK
            place = [ALL, ALL]
            place[axis] = slice(first * each, last * each)
            cut = plane.cut(*place)
            slack = np.moveaxis(cut.slack.copy(), axis, 0)
            if start > 0 and (start + before) % unit:
                slack[:each] = np.inf
            if stop < length and (stop + before) % unit:
                slack[-each:] = np.inf
            planes.append(replace(cut, slack=np.moveaxis(slack, 0, axis)))
        size, offset = [*self.size], [*self.offset]
        size[axis], offset[axis] = stop - start, start + before - first * unit
        height, width = size
        top, left = offset
        return replace(self, planes=tuple(planes), size=(height, width), offset=(top, left))

    def around(self, start: int, stop: int, axis: int = -2) -> tuple[int, int]:
        """See `ConvexSet`."""
        return whole_blocks(start, stop, self._unit[axis], self.size[axis], self.offset[axis])

    def _outside(self, y: Array, margin: float) -> Array:
        """The difference between y and its projection."""
        xp = array_namespace(y)
        (height, width), (top, left) = self.size, self.offset
        canvas = self._extended(y)
        outside = self._step(canvas, slice(None), slice(None), margin)
        for rows, columns, inside in self._cut_units():
            down, across = self._unit
            pixels = (..., _times(rows, down), _times(columns, across))
            given = moving = canvas[pixels]
            for _ in range(_ROUNDS):
                projected = moving - self._step(moving, rows, columns, margin)
                moving = xp.where(xp.asarray(inside, device=device(y)), given, projected)
            outside[pixels] = given - projected
        return outside[..., top : top + height, left : left + width]

    def _extended(self, y: Array) -> Array:
        """y with its outermost pixels repeated, up to the blocks' borders."""
        xp = array_namespace(y)
        for axis, count, unit, length, before in zip(
            (-2, -1), self._units, self._unit, self.size, self.offset, strict=True
        ):
            if count * unit != length:
                places = np.clip(np.arange(count * unit) - before, 0, length - 1)
                y = xp.take(y, xp.asarray(places, device=device(y)), axis=axis)
        return y

    def _cut_units(self) -> Iterator[tuple[slice, slice, NDArray[np.bool_]]]:
        """The rows and columns of units that a border cuts, and which of their pixels lie inside,
        (rows, columns).
        """
        inside = []
        for count, unit, length, before in zip(
            self._units, self._unit, self.size, self.offset, strict=True
        ):
            places = np.arange(count * unit) - before
            inside.append((places >= 0) & (places < length))
        (rows, columns), (down, across) = self._units, self._unit
        cut = [
            [n for n in (0, count - 1) if not mask[n * unit : (n + 1) * unit].all()]
            for mask, count, unit in zip(inside, self._units, self._unit, strict=True)
        ]
        strips = [(slice(n, n + 1), slice(0, columns)) for n in dict.fromkeys(cut[0])]
        strips += [(slice(0, rows), slice(n, n + 1)) for n in dict.fromkeys(cut[1])]
        for vertical, horizontal in strips:
            yield (
                vertical,
                horizontal,
                inside[0][_times(vertical, down)][:, None] & inside[1][_times(horizontal, across)],
            )

    def _step(self, canvas: Array, rows: slice, columns: slice, margin: float) -> Array:
        """What of the pixels of some units lies outside the boxes."""
        xp = array_namespace(canvas)
        components = components_of(canvas, self.colour)
        found = []
        planes = self.planes * (components.shape[-3] // len(self.planes))
        for number, plane in enumerate(planes):
            down, across = plane.step
            blocks = self._unit[0] // down // BLOCK, self._unit[1] // across // BLOCK
            part = plane.cut(_times(rows, blocks[0]), _times(columns, blocks[1]))
            samples = means(components[..., number, :, :], down, across)
            outside = part.outside(samples, margin)
            found.append(xp.repeat(xp.repeat(outside, down, axis=-2), across, axis=-1))
        return self._pixels(xp.stack(found, axis=-3))

    def _pixels(self, components: Array) -> Array:
        """A difference of components as one of pixels."""
        xp = array_namespace(components)
        if self.colour == "same":
            return components * LEVEL
        flat = xp.reshape(components, (*components.shape[:-2], -1))
        inverse = like(np.linalg.inv(_YCC) * LEVEL, components)
        return xp.reshape(xp.matmul(inverse, flat), components.shape)


def components_of(pixels: Array, colour: Colour) -> Array:
    """The components of pixels (..., C, H, W) in [-1, 1], in levels around 0: same shape."""
    xp = array_namespace(pixels)
    if colour == "same":
        return pixels / LEVEL + _SHIFT
    flat = xp.reshape(pixels, (*pixels.shape[:-2], -1))
    found = xp.matmul(like(_YCC / LEVEL, pixels), flat)
    shift = like(np.array([[_SHIFT], [0.0], [0.0]]), pixels)
    return xp.reshape(found + shift, pixels.shape)


def _times(part: slice, factor: int) -> slice:
    """A slice of units as one of what each has so many of."""
    if part.start is None:
        return part
    return slice(part.start * factor, part.stop * factor)


def means(y: Array, down: int, across: int) -> Array:
    """Means of so many pixels: (..., H, W) to (..., H / down, W / across), both whole numbers."""
    if down == across == 1:
        return y
    xp = array_namespace(y)
    *batch, height, width = y.shape
    parts = xp.reshape(y, (*batch, height // down, down, width // across, across))
    return xp.mean(xp.mean(parts, axis=-1), axis=-2)
