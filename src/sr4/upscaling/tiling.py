"""Large pictures: drawn in bands of rows, from top to bottom, with the network on tiles.

One field of noise covers the whole picture, and what the network says of overlapping tiles is
blended in every step, not once at the end: so no tile ever disagrees with its neighbour, and there
is no seam to hide. Each step is a stream of bands that draws on the one before, and keeps no more
rows than it needs: memory grows with the width of the picture and the number of steps, not with its
height.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.build import build_sampler
from sr4.config import SamplingSettings
from sr4.degradation.known import CLEAN, Known
from sr4.degradation.operator import MARGIN
from sr4.diffusion.samplers import Denoised, PictureNoise, ReverseStep, reverse_steps
from sr4.errors import UsageError
from sr4.evidence.constraint import Constraint
from sr4.evidence.sets import PixelBox
from sr4.model.diffusion_model import DiffusionModel
from sr4.upscaling.row_window import RowWindow

Floats = NDArray[np.float32]

# Bands of x_t with the sampler's memory of each.
Stream = Iterator[tuple[Floats, Any]]

PIXELS_TOGETHER = 2**19  # of the tiles that go through the network together


@dataclass(frozen=True)
class Tiles:
    """Places along one axis.

    Neighbours overlap; each counts up to the middle of the overlap, and the change from one to the
    other is linear and takes half of it. So the outermost quarter, where the network saw the least
    around it, counts nowhere.

    Args:
        length: of the axis; edge: of a tile; overlap: of neighbours, at least, above 0.
    """

    length: int
    edge: int
    overlap: int

    @property
    def starts(self) -> list[int]:
        """The first row or column of each."""
        if self.length <= self.edge:
            return [0]
        stride = self.edge - self.overlap
        count = math.ceil((self.length - self.overlap) / stride)
        return [min(number * stride, self.length - self.edge) for number in range(count)]

    @property
    def size(self) -> int:
        """Edge of the tiles along this axis."""
        return min(self.edge, self.length)

    @property
    def drawn(self) -> int:
        """Rows or columns of all of them together."""
        return len(self.starts) * self.size

    def borders(self) -> list[int]:
        """The row or column at which each tile but the last hands over to the next."""
        starts = self.starts
        return [(a + self.edge + b) // 2 for a, b in pairwise(starts)]

    def first_for(self, row: int) -> int:
        """The number of the first tile that counts at a row, or at one below it."""
        ends = (border + self.overlap / 4 for border in self.borders())
        return sum(end <= row for end in ends)

    def weights(self) -> list[Floats]:
        """How much each counts at its own places, (size,); they add up to 1 everywhere."""
        half = self.overlap / 4
        borders = [-math.inf, *self.borders(), math.inf]
        found = []
        for start, before, after in zip(self.starts, borders[:-1], borders[1:], strict=True):
            place = start + np.arange(self.size) + 0.5
            rising, falling = (place - before + half), (after + half - place)
            both = np.minimum(rising, falling) / (2 * half)
            found.append(np.clip(both, 0, 1).astype(np.float32))
        return found


class BandedSampling:
    """One sample of one picture, in bands.

    Args:
        model: the model.
        low_res: (C, h, w) in [-1, 1].
        seed: decides the noise.
        settings: steps, sampler, consistency.
        tile: edge of the tiles in result pixels, a multiple of `multiple(model)`.
        overlap: of neighbouring tiles, likewise; at most half a tile.
        condition: (C, h, w), what the network sees in the place of low_res, if not low_res itself.
        known: what is known of the degradation of low_res, for a network that is told.
        constraint: what consistency means; by default that D of the result is low_res.

    Attributes:
        shape: of the result, (C, H, W).
        bands: the first row of each, and the one after its last.
        tile: as given.

    Raises:
        UsageError: tile or overlap do not fit the network.
    """

    def __init__(
        self,
        model: DiffusionModel,
        low_res: Floats,
        seed: int,
        settings: SamplingSettings,
        *,
        tile: int,
        overlap: int,
        condition: Floats | None = None,
        known: Known = CLEAN,
        constraint: Constraint | None = None,
    ) -> None:
        self.model, self.settings, self.known = model, settings, known
        self._scale, self.tile = model.config.scale, tile
        self.low_res = low_res
        self._low_res: Floats = model.pad(low_res[None])[0]
        self._constraint = constraint or Constraint(model.degradation, PixelBox(low_res, 0))
        height, width = low_res.shape[1:]
        self._padded_constraint = self._constraint.padded((height, width), self._low_res)
        self._condition = self._low_res if condition is None else model.pad(condition[None])[0]
        self.shape = (low_res.shape[0], *(side * self._scale for side in low_res.shape[1:]))
        channels, height, width = self._low_res.shape
        self._shape = (channels, height * self._scale, width * self._scale)
        step = multiple(model)
        if tile % step or overlap % step or not 0 < overlap <= tile // 2:
            raise UsageError(
                f"got tiles of {tile} with an overlap of {overlap}; expected multiples of {step}, "
                "the overlap at most half a tile"
            )
        self.rows = Tiles(self._shape[1], tile, overlap)
        self.columns = Tiles(self._shape[2], tile, overlap)
        self._noise = PictureNoise([seed], self._shape)
        self._steps = reverse_steps(model.schedule.times(settings.steps), model.schedule)
        self._sampler = build_sampler(settings, model.config.objective.variance)
        stride = tile - overlap
        edges = [*range(0, self._shape[1], stride), self._shape[1]]
        self._padded_bands = list(pairwise(edges))
        last = self.shape[1]
        self.bands = [(a, min(b, last)) for a, b in self._padded_bands if a < last]

    def __iter__(self) -> Iterator[Floats]:
        """The result's bands (C, rows, W) in [-1, 1], those of `bands`."""
        return self.bands_from(0)

    def bands_from(self, first: int) -> Iterator[Floats]:
        """The result's bands from one on, to the last bit those of the whole, for little more than
        their own part of the work: no step does more than what the rest follows from.

        Args:
            first: the number of that band in `bands`.
        """
        if first == len(self.bands):
            return iter(())
        firsts = [self._band_of(self._around(*self.bands[first])[0][0])]
        for _ in self._steps:
            firsts.append(self._band_of(self._first_row(firsts[-1])))
        temperature = self.settings.temperature
        stream: Stream = (
            (self._noise.start(*band, temperature)[0], None)
            for band in self._padded_bands[firsts[-1] :]
        )
        for number, step in enumerate(self._steps):
            before, own = firsts[-1 - number], firsts[-2 - number]
            stream = self._bands_after(step, stream, before, own)
        return self._results(stream, firsts[0], first)

    def _band_of(self, row: int) -> int:
        """The number of the band that holds a row."""
        return row // (self.rows.edge - self.rows.overlap)

    def _first_row(self, band: int) -> int:
        """The first row that a step needs of x for a band, and those below it."""
        top = self._around(*self._padded_bands[band])[0][0]
        return min(top, self.rows.starts[self.rows.first_for(top)])

    def _bands_after(self, step: ReverseStep, stream: Stream, before: int, first: int) -> Stream:
        """Bands of x_t become bands of x_s.

        Args:
            before: the number of the stream's first band; first: of the first one to make.
        """
        memories: deque[Any] = deque()
        bands = _without_memories(stream, memories, first - before)
        x = RowWindow(bands, self._padded_bands[before][0])
        top = self._around(*self._padded_bands[first])[0][0]
        strips = _Strips(self, x, step.log_snr, self.rows.first_for(top))
        outputs = RowWindow(iter(strips), strips.reached)
        for start, stop in self._padded_bands[first:]:
            denoised = self._denoised(step, x, outputs, start, stop)
            x_s, memory = step(
                self._sampler,
                x.rows(start, stop)[None],
                denoised,
                partial(self._noise_rows, step.number, start, stop),
                memories.popleft(),
            )
            del denoised  # which would stay while others make use of x_s
            yield x_s[0], memory
            del x_s
            around, _ = self._around(start, stop)
            outputs.forget(around[0])
            x.forget(min(around[0], strips.reached))

    def _denoised(
        self, step: ReverseStep, x: RowWindow, outputs: RowWindow, start: int, stop: int
    ) -> Denoised:
        """What the network says of some rows, so that it fits what is asked of them."""
        model = self.model
        if step.is_last:  # nothing is asked of it before it is decoded
            x_t, output = x.rows(start, stop)[None], outputs.rows(start, stop)[None]
            return model.denoised(output, x_t, step, None, self.settings)
        around, inside = self._around(start, stop)
        x_t, output = x.rows(*around)[None], outputs.rows(*around)[None]
        constraint = self._padded_constraint.rows(*(row // self._scale for row in around))
        frame = model.frame(self._low(*around)[None], constraint)
        return model.denoised(output, x_t, step, frame, self.settings).rows(inside)

    def _results(self, stream: Stream, before: int, first: int) -> Iterator[Floats]:
        """Bands of x_0 become those of the picture, which has no padding; numbers as above."""
        bands = (band for band, _ in stream)
        x = RowWindow(bands, self._padded_bands[before][0])
        for start, stop in self.bands[first:]:
            (top, bottom), inside = self._around(start, stop)
            picture = self._decoded(x.rows(top, bottom), top, bottom)
            if self.settings.consistency:
                last = min(bottom // self._scale, self.low_res.shape[1])
                picture = self._constraint.rows(top // self._scale, last).fit(picture)
            yield picture[:, inside]
            x.forget(top)

    def _decoded(self, x_0: Floats, top: int, bottom: int) -> Floats:
        """Rows of the picture that x_0 stands for, without those and the columns that pad it."""
        _, height, width = self.shape
        frame = self.model.frame(self._low(top, bottom)[None])
        picture: Floats = np.clip(frame.decode(x_0[None])[0], -1, 1)
        return picture[:, : height - top, :width]

    def _around(self, start: int, stop: int) -> tuple[tuple[int, int], slice]:
        """The rows that a band's projection takes part in, and the band's own among them."""
        scale, height = self._scale, self._low_res.shape[1]
        margin = MARGIN + self._constraint.degradation.reach
        first, last = max(0, start // scale - margin), min(height, -(-stop // scale) + margin)
        first, last = self._padded_constraint.allowed.around(first, last)
        top, bottom = first * scale, last * scale
        return (top, bottom), slice(start - top, stop - top)

    def _low(self, start: int, stop: int) -> Floats:
        """Rows of low_res, padded, that lie under rows of the result."""
        return self._low_res[:, start // self._scale : stop // self._scale]

    def upsampled(self, start: int, stop: int) -> Floats:
        """Rows of the upsampled picture, as the network sees it."""
        (top, bottom), inside = self._around(start, stop)
        rows = self._condition[:, top // self._scale : bottom // self._scale]
        found: Floats = self.model.degradation.upsample(rows)[:, inside]
        return found

    def _noise_rows(self, draw: int, start: int, stop: int) -> Floats:
        """(1, C, rows, W)."""
        return self._noise.rows(draw, start, stop)


class _Strips:
    """What the network says of x, as bands of rows that no further tile has a part in.

    Args:
        first: the number of the tile to begin with; of its rows, those that the one before has a
            part in are not right.

    Attributes:
        reached: rows of x above are not needed any more.
    """

    def __init__(self, sampling: BandedSampling, x: RowWindow, level: float, first: int) -> None:
        self.reached = sampling.rows.starts[first]
        self._sampling, self._x, self._level, self._first = sampling, x, level, first

    def __iter__(self) -> Iterator[Floats]:
        rows, done = self._sampling.rows, 0
        open_rows: Floats | None = None  # summed up, from `done` on
        borders = [*rows.borders(), rows.length]
        places = list(zip(rows.starts, borders, rows.weights(), strict=True))[self._first :]
        # While one strip is made use of, the network is at the next.
        with ThreadPoolExecutor(1, "sr4-network") as thread:
            # No name holds what failed: its traceback has the bands and threads of all steps.
            coming = deque([thread.submit(self._network_on(places[0][0]))])
            for number, (start, border, weights) in enumerate(places):
                strip = coming.popleft().result()
                strip *= weights[:, None]
                if number + 1 < len(places):
                    coming.append(thread.submit(self._network_on(places[number + 1][0])))
                self.reached = start
                if open_rows is not None:
                    # What lies above `done` has no weight here.
                    strip = strip[:, done - start :] if done >= start else strip
                    strip[:, : open_rows.shape[1]] += open_rows
                else:
                    done = start
                last = border == rows.length
                finished = rows.length if last else int(border - rows.overlap / 4)
                yield strip[:, : finished - done]
                # A copy, so that what is above can go.
                open_rows, done = strip[:, finished - done :].copy(), finished

    def _network_on(self, start: int) -> Callable[[], Floats]:
        """What evaluates the tiles of some rows, from `start` on; their inputs are fetched here."""
        stop = start + self._sampling.rows.size
        x_t, upsampled = self._x.rows(start, stop), self._sampling.upsampled(start, stop)
        return partial(self._strip, x_t, upsampled)

    def _strip(self, x_t: Floats, upsampled: Floats) -> Floats:
        """The tiles of some rows, blended over the columns: (O, rows, W)."""
        columns, model = self._sampling.columns, self._sampling.model
        places = list(zip(columns.starts, columns.weights(), strict=True))
        together = tiles_together(columns.size * x_t.shape[1])
        strip: Floats | None = None
        for first in range(0, len(places), together):
            group = places[first : first + together]
            tiles = [
                np.stack([one[:, :, left : left + columns.size] for left, _ in group])
                for one in (x_t, upsampled)
            ]
            x_tiles, upsampled_tiles = (model.network.native(one) for one in tiles)
            told = model.known_vectors([self._sampling.known] * len(group))
            detail = self._sampling.settings.detail
            found = model.evaluate(x_tiles, self._level, upsampled_tiles, told, detail=detail)
            outputs = model.network.numpy(found)
            if strip is None:
                strip = np.zeros((outputs.shape[1], *x_t.shape[1:]), np.float32)
            for (left, weights), output in zip(group, outputs, strict=True):
                strip[:, :, left : left + columns.size] += output * weights
        assert strip is not None
        return strip


def tiles_together(pixels: int) -> int:
    """How many tiles of so many pixels go through the network together."""
    return max(1, PIXELS_TOGETHER // pixels)


def _without_memories(stream: Stream, memories: deque[Any], unused: int) -> Iterator[Floats]:
    """The bands alone; the memories of all but the first few are appended."""
    for number, (band, memory) in enumerate(stream):
        if number >= unused:
            memories.append(memory)
        yield band


def multiple(model: DiffusionModel) -> int:
    """What edges and overlaps of tiles are multiples of."""
    return math.lcm(model.config.scale, model.config.size_multiple)


def check_tile(model: DiffusionModel, tile: int | None) -> None:
    """Refuse tiles that do not fit the network.

    Raises:
        UsageError: says which do.
    """
    least = multiple(model)
    if tile is not None and not isinstance(tile, (int, np.integer)):
        raise UsageError(f"got tiles of {tile!r} pixels; expected a whole number, or 0 for none")
    if tile and (tile < 2 * least or tile % least):
        below = max(2 * least, tile // least * least)
        raise UsageError(
            f"got tiles of {tile} pixels; expected a multiple of {least}, at least "
            f"{2 * least}, such as {below}, or 0 for none"
        )
