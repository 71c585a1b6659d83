"""Training pictures: an endless stream that depends on nothing but the seed and the position.

The picture, its crop and what is done to it at position p follow from (seed, p) alone. A run can
therefore go on at any position, with any number of worker processes, and sees the same batches bit
for bit. The place of a bad picture takes the next good one in the order of its epoch. Several
training processes share each batch.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sr4.data.augmentation import Augmentation
from sr4.data.bad_pictures import BadPictures
from sr4.data.corruption import Corruption
from sr4.data.decoded import Pixels
from sr4.data.part import Part
from sr4.data.sources import Source
from sr4.degradation import Degradation
from sr4.degradation.known import CLEAN
from sr4.errors import BadPictureError, DataError, PictureError, UsageError, reason
from sr4.pictures.pixels import to_array

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Training pictures with their degraded versions."""

    high_res: torch.Tensor  # (B, C, H, W) float32 in [-1, 1]
    # (B, C, H / scale, W / scale) float32 in [-1, 1], 8-bit levels if the source's pixels are
    low_res: torch.Tensor
    names: tuple[str, ...]
    position: int  # pictures seen before this batch, the whole of it
    known: torch.Tensor  # (B, 6): the vectors of `sr4.degradation.known`
    is_clean: torch.Tensor  # (B,) bool: whether the degradation alone has made low_res
    # What is wrong with pictures that others take the place of here, by name.
    bad: Mapping[str, str] = field(default_factory=dict)
    taken: Part | None = None  # which pictures of a batch these are; None: all

    @property
    def part(self) -> Part:
        """Which pictures of a batch these are."""
        return self.taken or Part(range(len(self.names)), len(self.names))

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on a device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _TENSORS})

    def pieces(self, most: int | None) -> list[Batch]:
        """The batch in pieces of at most so many pictures, in one if None."""
        return [
            replace(
                self,
                names=self.names[rows],
                taken=Part(self.part.rows[rows], self.part.of),
                **{name: getattr(self, name)[rows] for name in _TENSORS},
            )
            for rows in self.part.pieces(most)
        ]


_TENSORS = ("high_res", "low_res", "known", "is_clean")


# By chance, so many bad pictures never come together: data.max_bad is at most a half.
_MOST_IN_A_ROW = 64
# Low-res pixels around a crop that its corruption knows too, where the picture is large enough: so
# blurs see what lies beyond the border, and the blocks of a JPEG begin anywhere.
_MARGIN = 8


@lru_cache(maxsize=2)  # a batch may lie across the end of an epoch
def _epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(count)


@dataclass(frozen=True)
class _Batches(Dataset[Batch | DataError]):
    """The stream as a map from the position of a batch's first picture to the batch."""

    source: Source
    degradation: Degradation
    size: int
    seed: int
    augmentation: Augmentation
    corruption: Corruption | None
    max_bad: float
    part: Part

    def __getitem__(self, position: int) -> Batch | DataError:
        """A batch. An error is an answer, not an exception: torch would dress that up in the
        traceback of a worker process.
        """
        bad = BadPictures(self.source, self.max_bad)
        names, pictures = [], []
        try:
            for row in self.part.rows:
                name, pixels = self._first_good(position + row, bad)
                names.append(name)
                pictures.append(self._pair(pixels, position + row))
        except (DataError, PictureError) as error:
            return DataError(str(error))
        high_res, low_res, known, is_clean = (
            torch.from_numpy(np.stack(one)) for one in zip(*pictures, strict=True)
        )
        return Batch(
            high_res, low_res, tuple(names), position, known, is_clean, bad.found, self.part
        )

    def _pair(self, pixels: Pixels, position: int) -> tuple[Floats, Floats, Floats, bool]:
        """The crop of a picture, its low_res, the vector of what is known of that, and whether the
        degradation alone has made it.
        """
        # The trailing numbers keep these draws apart from those of the epoch with the same number
        # and, as 2 and 3 do, from those of the training.
        draws = np.random.default_rng([self.seed, position, 1])
        if self.corruption is None:
            high_res = to_array(self.augmentation(pixels, self.size, draws))
            # In float64, so that rounding to 8-bit levels does not hang on the order of a sum.
            low_res = self.degradation.observe(
                high_res.astype(np.float64), is_rounded=pixels.dtype == np.uint8
            )
            return high_res, low_res.astype(np.float32), CLEAN.vector(), True
        scale, room = self.degradation.scale, min(pixels.shape[:2]) - self.size
        margin = min(_MARGIN, room // scale)
        high_res = to_array(self.augmentation(pixels, self.size + margin * scale, draws))
        random = np.random.default_rng([self.seed, position, 4])
        found = self.corruption(high_res.astype(np.float64), self.degradation, random)
        top, left = random.integers(margin, size=2, endpoint=True)
        low = slice(top, top + self.size // scale), slice(left, left + self.size // scale)
        high = tuple(slice(one.start * scale, one.stop * scale) for one in low)
        high_res, low_res = high_res[:, high[0], high[1]], found.low_res[:, low[0], low[1]]
        if found.is_clean:  # at its borders, too: as D makes it of what is left
            low_res = self.degradation.observe(high_res.astype(np.float64)).astype(np.float32)
        return high_res, low_res, found.known.vector(), found.is_clean

    def _first_good(self, position: int, bad: BadPictures) -> tuple[str, Pixels]:
        """Name and pixels of the picture whose turn it is, or of the next one that is good."""
        count = len(self.source)
        epoch, place = divmod(position, count)
        order = _epoch_order(self.seed, epoch, count)
        for turn in range(min(count, _MOST_IN_A_ROW)):
            index = int(order[(place + turn) % count])
            name = self.source.names[index]
            try:
                return name, self._large_enough(name, self.source.read(index))
            except BadPictureError as error:
                bad.add({name: str(error)})
        bad.refuse()

    def _large_enough(self, name: str, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        if min(height, width) < self.size:
            raise BadPictureError(
                f"{name!r} of {self.source.location!r} is {width}x{height} pixels; expected at "
                f"least {self.size}x{self.size}: leave it out or train on a smaller size"
            )
        return pixels


def training_batches(
    source: Source,
    *,
    degradation: Degradation,
    size: int,
    batch_size: int,
    seed: int,
    augmentation: Augmentation | None = None,
    position: int = 0,
    workers: int = 0,
    corruption: Corruption | None = None,
    max_bad: float = 0.0,
    process: tuple[int, int] = (0, 1),
) -> Generator[Batch, None, None]:
    """An endless stream of batches; each epoch visits every picture once, in a new order.

    A picture of `size` is taken as it is, of a larger one a random crop. A batch may lie across
    the end of an epoch. Dropping or closing the iterator ends its worker processes.

    Args:
        size: height and width of `high_res`, a multiple of the scale.
        seed: with the position, it decides every picture, crop, change and corruption.
        augmentation: how pictures are cropped and changed; half of them mirrored if None.
        position: pictures to skip, as `Batch.position` counts them: where a stopped run goes on.
        workers: processes that read ahead; 0 reads in this one.
        corruption: what low_res goes through, by draws of its own for each position.
        max_bad: share of the pictures that may be bad, but at least one picture; 0 allows none.
            Looked at within each batch; who counts over all of them reads `Batch.bad`.
        process: which one this is, from 0, of how many that share each batch.

    Raises:
        UsageError: an impossible setting; at once, not at the first batch.
        DataError: from the iterator: too many pictures are damaged or too small, or the source is
            not what it was when it was opened.
    """
    for what, value, least in (
        ("size", size, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("position", position, 0),
        ("workers", workers, 0),
    ):
        if value < least:
            raise UsageError(f"got {what} {value}; expected at least {least}")
    if size % degradation.scale:
        raise UsageError(f"got size {size}; expected a multiple of the scale {degradation.scale}")
    batches = _Batches(
        source,
        degradation,
        size,
        seed,
        augmentation or Augmentation(),
        corruption,
        max_bad,
        Part(range(batch_size), batch_size).share(*process),
    )
    return _stream(batches, itertools.count(position, batch_size), workers)


def _stream(
    batches: _Batches, positions: Iterator[int], workers: int
) -> Generator[Batch, None, None]:
    items: Iterator[Batch | DataError]
    if workers:
        # A generator of its own, since the loader would draw from torch's global one and so make
        # the training noise depend on the number of workers. Torch gives each worker one thread.
        items = iter(
            DataLoader(
                batches,
                batch_size=None,
                sampler=positions,
                num_workers=workers,
                worker_init_fn=_leave_signals_to_the_parent,
                generator=torch.Generator(),
            )
        )
    else:
        items = map(batches.__getitem__, positions)
    try:
        while True:
            item = _next(items)
            if isinstance(item, DataError):
                raise item
            yield item
    finally:
        del items  # ends the workers, even while the traceback of an error holds this frame


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ctrl-C and service managers signal all processes of a run. Only the training one may answer:
    it saves and then ends these, which also end by themselves when it is gone.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _next(items: Iterator[Batch | DataError]) -> Batch | DataError:
    try:
        return next(items)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            f"a process that reads pictures ahead has died ({reason(error)}); often the memory or "
            "/dev/shm is full: use fewer of them (data.workers)"
        ) from error
