"""How one model draws pictures of any size: small ones together, each large one in tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sr4.config import SamplingSettings
from sr4.diffusion.samplers import OnStep, Step
from sr4.evidence.constraint import Constraint
from sr4.evidence.sets import PixelBox
from sr4.files.unfinished import UnfinishedFile
from sr4.machine.memory import available_memory
from sr4.model.diffusion_model import DiffusionModel
from sr4.upscaling.canvas import (
    large_result,
    result_bytes,
    result_size,
    too_large,
    whole_result,
)
from sr4.upscaling.draws import Draw, Task, at_once, conditions
from sr4.upscaling.preview import shrunk
from sr4.upscaling.result import Result
from sr4.upscaling.sizing import AnySampling, ResizedSampling
from sr4.upscaling.thresholds import LARGE
from sr4.upscaling.tiling import BandedSampling, Tiles, check_tile, multiple, tiles_together

Floats = NDArray[np.float32]
Made = TypeVar("Made")

_OVERLAP = 32
_LARGEST_TILE = 640  # edge of the largest tiles that are chosen
_BANDS_BYTES = 2**29  # what the bands of a sampling may take for tiles to be larger than usual
_MOST_BANDS_BYTES = 3 * 2**28  # above which tiles of very wide pictures are smaller than usual
_NARROW_TILE = 4 * _OVERLAP  # but not smaller than that, as more would be drawn twice
_STRIPS = 12  # bands as wide as the picture that each step of a sampling in tiles holds at once
_BATCH_PIXELS = 16 * 128 * 128  # high-res pixels that go through the network together


@dataclass(frozen=True)
class Drawing:
    """How a model is to draw.

    Args:
        model: the model.
        settings: steps, sampler, consistency.
        tile: edge of the tiles, 0 for none, None to choose; see `Pipeline.upscale`.
        on_step: called after each step of each batch, or band of a large result; see
            `Pipeline.upscale`.
        unfinished: keeps what is drawn of the result of one picture, if that is large.

    Raises:
        UsageError: tiles that do not fit the network.
    """

    model: DiffusionModel
    settings: SamplingSettings
    tile: int | None = None
    on_step: OnStep | None = None
    unfinished: UnfinishedFile | None = None

    def __post_init__(self) -> None:
        check_tile(self.model, self.tile)

    def samples(self, draws: Sequence[Draw]) -> list[Floats]:
        """The sample of each draw, (C, H, W) in [-1, 1]."""
        large = [self._needs_tiles(draw) for draw in draws]
        small = [draw for draw, is_large in zip(draws, large, strict=True) if not is_large]
        whole = iter(self._draw_whole(small))
        return [
            self._draw_in_tiles(
                [[draw._replace(resizing=None)]], partial(self._joined, is_shown=draw.is_shown)
            )
            if is_large
            else next(whole)
            for draw, is_large in zip(draws, large, strict=True)
        ]

    def results(self, tasks: Sequence[Task], use_mean: bool) -> list[Result]:
        """The results of pictures, each made of one or more draws of one size.

        Args:
            tasks: the pictures.
            use_mean: take the mean of the samples as the result's image.
        """
        large = [self._needs_tiles(task.samples[0][0]) for task in tasks]
        small = [task for task, is_large in zip(tasks, large, strict=True) if not is_large]
        whole = iter(at_once(self._whole_and_resized, [task.samples for task in small]))
        found = []
        for task, is_large in zip(tasks, large, strict=True):
            put_together = partial(
                large_result if is_large else whole_result,
                task.parts,
                degradation=task.degradation,
                evidence=task.evidence,
                use_mean=use_mean,
            )
            if is_large:
                unfinished = self.unfinished
                make = partial(
                    put_together,
                    on_step=self.on_step,
                    is_shown=task.samples[0][0].is_shown,
                    unfinished=unfinished,
                )
                before = None if unfinished is None else unfinished.open().get("tile")
                found.append(self._draw_in_tiles(task.samples, make, before))
            else:
                found.append(put_together(next(whole)))
        return found

    def check_memory(self, tasks: Sequence[Task]) -> None:
        """Refuse large pictures whose results do not fit the memory there is, together with what
        drawing takes, in the smallest tiles where none were asked for.

        Args:
            tasks: the pictures whose results are held together.

        Raises:
            PictureError: says how much is needed, and how much there is.
        """
        sizes = [result_size(task.parts.raster, task.degradation) for task in tasks]
        if not sizes:
            return
        (height, width), largest = max(
            zip(sizes, tasks, strict=True), key=lambda one: math.prod(one[0])
        )
        available = available_memory() if width * height > LARGE else None
        if available is None:
            return
        given = largest.parts.raster
        needed = sum(
            result_bytes(task.parts.raster, size, len(task.samples))
            for task, size in zip(tasks, sizes, strict=True)
        )
        needed += self._bytes_to_draw(largest)
        if needed > available:
            raise too_large(given.size, (width, height), needed, available)

    def _bytes_to_draw(self, task: Task) -> int:
        """What drawing takes beside the result, in the smallest tiles that may be taken."""
        drawn, pixels = task.drawn, math.prod(task.drawn)
        channels = len(task.samples) * sum(len(draw.low_res) for draw in task.samples[0])
        if self._is_in_tiles(drawn):
            smallest = self.tile or 2 * multiple(self.model)
            needed = self._bytes_while_drawing(smallest, drawn, channels * drawn[1] * 4)
        else:
            needed = self._network_bytes(pixels)
        low_pixels = math.prod(task.size.before)
        if low_pixels > math.prod(task.samples[0][0].low_res.shape[1:]):
            needed += channels * low_pixels * 4  # which other draws made, and is held whole
        return needed

    def _needs_tiles(self, draw: Draw) -> bool:
        height, width = (int(side) * self.model.config.scale for side in draw.low_res.shape[1:])
        return self._is_in_tiles((height, width))

    def _is_in_tiles(self, drawn: tuple[int, int]) -> bool:
        """Whether a picture of that height and width is drawn in tiles."""
        if self.tile is None:
            return math.prod(drawn) > LARGE
        return 0 < self.tile < max(drawn)

    def _whole_and_resized(self, draws: Sequence[Draw]) -> list[Floats]:
        return [
            drawn if draw.resizing is None else draw.resizing.whole(drawn)
            for draw, drawn in zip(draws, self._draw_whole(draws), strict=True)
        ]

    def _draw_whole(self, draws: Sequence[Draw]) -> list[Floats]:
        """The sample of each draw; all that fit go through the network together."""
        drawn: dict[int, Floats] = {}
        for numbers in self._batches(draws):
            batch = [draws[number] for number in numbers]
            outputs = self.model.sample_by(
                self.settings,
                np.stack([draw.low_res for draw in batch]),
                seeds=[draw.seed for draw in batch],
                condition=conditions(batch),
                constraints=[self._constraint(draw) for draw in batch],
                known=[draw.known for draw in batch],
                on_step=self._shown(batch),
            )
            drawn.update(zip(numbers, outputs, strict=True))
        return [drawn[number] for number in range(len(draws))]

    def _shown(self, batch: Sequence[Draw]) -> OnStep | None:
        """`on_step` with previews of the draw of a batch that is to be shown."""
        on_step, place = self.on_step, [draw.is_shown for draw in batch]
        if on_step is None or not any(place):
            return on_step
        number = place.index(True)
        low_res = batch[number].low_res

        def told(step: Step) -> None:
            x_0 = step.x_0[number : number + 1]
            on_step(replace(step, preview=partial(self._preview, low_res, x_0)))

        return told

    def _preview(self, low_res: Floats, x_0: Any, side: int) -> Floats:
        """What x_0 (1, C, H, W) stands for, given low_res (C, h, w)."""
        model = self.model
        height, width = (length * model.config.scale for length in low_res.shape[1:])
        frame = model.frame(model.network.native(model.pad(low_res[None])))
        picture = model.network.numpy(frame.decode(x_0))[0, :, :height, :width]
        return shrunk(np.moveaxis(picture, 0, 2), height, side, lambda unit: np.clip(unit, -1, 1))

    def _constraint(self, draw: Draw) -> Constraint:
        return draw.constraint or Constraint(self.model.degradation, PixelBox(draw.low_res, 0))

    def _batches(self, draws: Sequence[Draw]) -> Iterator[list[int]]:
        """Numbers of draws that go together, being of one size."""
        sizes: dict[tuple[int, ...], list[int]] = {}
        for number, draw in enumerate(draws):
            sizes.setdefault(draw.low_res.shape[1:], []).append(number)
        for size, numbers in sizes.items():
            count = max(1, _BATCH_PIXELS // (math.prod(size) * self.model.config.scale**2))
            if self.model.network.is_for_one:
                count = 1
            yield from (numbers[i : i + count] for i in range(0, len(numbers), count))

    def _draw_in_tiles(
        self,
        samples: Sequence[Sequence[Draw]],
        make: Callable[[list[list[AnySampling]]], Made],
        before: object = None,
    ) -> Made:
        """What `make` gives of draws in tiles, in smaller ones where memory does not suffice.

        Args:
            before: the edge of the tiles in which a stopped call drew the same, which is taken
                again if it can be.
        """
        least = multiple(self.model)
        draws = [draw for parts in samples for draw in parts]
        edge = self.tile or self._affordable_tile(draws, before)
        while True:
            overlap = _overlap(edge, least)
            samplings = [
                [self._in_tiles(draw, edge, overlap) for draw in parts] for parts in samples
            ]
            try:
                return make(samplings)
            except MemoryError:
                smaller = edge // 2 // least * least
                if self.tile is not None or smaller < 2 * least:
                    raise
                edge = smaller

    def _in_tiles(self, draw: Draw, edge: int, overlap: int) -> AnySampling:
        sampling = BandedSampling(
            self.model,
            draw.low_res,
            draw.seed,
            self.settings,
            tile=edge,
            overlap=overlap,
            condition=draw.condition,
            constraint=draw.constraint,
            known=draw.known,
        )
        return sampling if draw.resizing is None else ResizedSampling(sampling, draw.resizing)

    def _affordable_tile(self, draws: Sequence[Draw], before: object = None) -> int:
        """Edge of the tiles that leave the network the least to do, from twice the size trained on
        upwards; where memory is short, of the largest for which half of the memory to spare will
        do. Without attention, a pixel takes the same time in tiles of any size.
        """
        config, least = self.model.config, multiple(self.model)
        usual = max(2, 2 * config.image_size // least) * least
        channels, height, width = draws[0].low_res.shape
        height, width = height * config.scale, width * config.scale
        row = len(draws) * channels * width * 4
        narrow = max(_NARROW_TILE, _MOST_BANDS_BYTES // self._strip_bytes(row))
        usual = min(usual, max(2, narrow // least) * least)
        most = usual
        if config.network.is_local:
            most = min(
                _LARGEST_TILE, _BANDS_BYTES // self._strip_bytes(row)
            )  # attention goes by the square
        available = available_memory()
        budget = math.inf
        if available is not None:
            result = row * height // 4  # in 8 bits
            budget = (available - result) // 2

        def pixels(edge: int) -> int:
            overlap = _overlap(edge, least)
            return Tiles(height, edge, overlap).drawn * Tiles(width, edge, overlap).drawn

        def is_affordable(edge: int) -> bool:
            return self._bytes_while_drawing(edge, (height, width), row) <= budget

        if (
            isinstance(before, int)
            and before >= 2 * least
            and before % least == 0
            # All of the memory to spare will do, rather than to draw everything again.
            and self._bytes_while_drawing(before, (height, width), row) <= 2 * budget
        ):
            return before
        larger = [edge for edge in range(usual, most + 1, least) if is_affordable(edge)]
        if larger:
            return min(larger, key=pixels)
        edge = usual
        while edge > 2 * least and not is_affordable(edge):
            edge = max(2, edge // 2 // least) * least
        return edge

    def _strip_bytes(self, row: int) -> int:
        """What the bands take for each row of a tile, of as many bytes as all draws have in one
        row of the result.
        """
        return _STRIPS * (1 + self.settings.steps) * row

    def _bytes_while_drawing(self, edge: int, drawn: tuple[int, int], row: int) -> int:
        """What the network and the bands take for that height and width in tiles of that edge."""
        rows, columns = (min(edge, side) for side in drawn)
        tiles = min(tiles_together(rows * columns), -(-drawn[1] // edge))
        return self._network_bytes(tiles * rows * columns) + rows * self._strip_bytes(row)

    def _network_bytes(self, pixels: int) -> int:
        """What the network takes for so many pixels of its output."""
        config = self.model.config
        return pixels * config.network.bytes_per_pixel(config.channels)

    def _joined(self, samplings: list[list[AnySampling]], *, is_shown: bool) -> Floats:
        """The one sample of a sampling in bands, (C, H, W); `on_step` is told its bands."""
        ((sampling,),) = samplings
        picture = np.empty(sampling.shape, np.float32)
        places = zip(sampling.bands, sampling, strict=True)
        for number, ((start, stop), band) in enumerate(places, start=1):
            picture[:, start:stop] = band
            if self.on_step is not None:
                rows = partial(shrunk, np.moveaxis(picture, 0, 2), stop)
                preview = partial(rows, unit=lambda unit: unit) if is_shown else None
                self.on_step(Step(number, len(sampling.bands), band, band, preview))
        return picture


def results_in_turn(
    drawings: Mapping[bool, Sequence[Drawing]],
    tasks: Sequence[Task],
    *,
    use_mean: bool,
    condition_noise: float = 0.0,
) -> list[Result]:
    """The results of pictures that go through models in turn, each drawing on what the one before
    drew, in floats.

    Args:
        drawings: how each model draws, by whether the evidence of a picture constrains it, so
            that it is drawn as it would be alone; the last one as often again as a task asks for.
        condition_noise: see `CascadePipeline.upscale`.
    """
    found: dict[int, Result] = {}
    kinds = [(task.evidence.constrains, task.size.repeats) for task in tasks]
    for kind in sorted(set(kinds)):
        numbers = [number for number, one in enumerate(kinds) if one == kind]
        (used, repeats), alone = kind, len(tasks) == 1
        *earlier, last = [*drawings[used], *[drawings[used][-1]] * repeats]
        last = last if alone else replace(last, unfinished=None)
        draws_of_last = partial(_after, earlier, condition_noise)
        samples = at_once(draws_of_last, [tasks[number].samples for number in numbers])
        ready = [
            replace(tasks[number], samples=one)
            for number, one in zip(numbers, samples, strict=True)
        ]
        found.update(zip(numbers, last.results(ready, use_mean), strict=True))
    return [found[number] for number in range(len(tasks))]


def _after(
    earlier: Sequence[Drawing], condition_noise: float, first: Sequence[Draw]
) -> Sequence[Draw]:
    """What is to be drawn after the earlier stages, the first of which takes `first`."""
    draws = first
    for stage, drawing in enumerate(earlier, start=1):
        drawn, is_last = drawing.samples(draws), stage == len(earlier)
        pairs = zip(first, drawn, strict=True)
        draws = [one.at_stage(stage, low, condition_noise, is_last) for one, low in pairs]
    return draws


def _overlap(edge: int, least: int) -> int:
    """Of neighbouring tiles: 32 pixels, or what comes nearest among multiples of `least`; at most
    half a tile.
    """
    return max(1, min(_OVERLAP, edge // 2) // least) * least
