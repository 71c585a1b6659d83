"""Many pictures on a cluster: planned here, drawn and written there, told as on one machine."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING

from sr4.batch.events import (
    Advanced,
    Cancelled,
    Done,
    Estimated,
    Event,
    Failed,
    GoesOn,
    ModelReady,
    NotKept,
    Planned,
    Skipped,
    Started,
)
from sr4.batch.pace import Pace
from sr4.batch.plan import PlannedPicture
from sr4.batch.worker import CHUNK, found_by_planning
from sr4.cluster.engine import joined
from sr4.cluster.worker import Chunk, Told, order_of
from sr4.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from sr4.batch.options import UpscaleOptions
    from sr4.batch.plan import Plan
    from sr4.cluster.engine import Engine
    from sr4.cluster.worker import Order

_MOST = 8 * CHUNK  # pictures of a chunk, of which each costs milliseconds
_SHARES = 8  # chunks for each worker, at least, so that all end at about the same time
_DEATHS = 2  # of workers with a picture alone, after which it is given up
_NAP = 0.1  # seconds between looking whether the call is cancelled
_WAKE = 2.0  # seconds in which a worker tells that it is at a chunk


def upscale_on_cluster(
    plan: Plan,
    options: UpscaleOptions,
    *,
    address: str,
    backend: str = "auto",
    device: str = "auto",
    overwrite: bool = False,
    is_cancelled: Callable[[], bool] = lambda: False,
    lost: Callable[[str], object] = lambda said: None,
) -> Iterator[Event]:
    """Upscale planned pictures on a cluster, and tell what `upscale_pictures` would; what was done
    before, and the models, are told at the end, since only workers look.

    Args:
        plan: of files, with what exists left to the workers (`made=None` of `plan_pictures`).
        address: as in `joined`.
        backend, device: as in `sr4.load`; "auto" takes what is best for many pictures.
        overwrite: whether existing outputs are replaced.
        is_cancelled: asked in a thread. Once it is true nothing more is drawn; what is drawn is
            still written.
        lost: as in `joined`.

    Raises:
        UsageError: an option that is impossible with a model, or no address.
        ModelError: a model cannot be loaded.
        ClusterError: the cluster cannot be reached, or is no fit.
        MissingExtraError: Ray is not installed.
    """
    yield from found_by_planning(plan)
    if not plan.pictures:
        return
    order = order_of(options, overwrite=overwrite, backend=backend, device=device)
    with joined(address, device, lost) as engine, passed_on(is_cancelled, engine.stop):
        yield Planned(tuple(plan.pictures))
        yield from _Call(plan.pictures, is_cancelled).on(engine, order)


def chunk_size(pictures: int, workers: int, most: int = _MOST) -> int:
    """How many of so many pictures a worker gets in a go: at most `most`, and whole groups of those
    that are drawn together.
    """
    size = max(1, min(most, pictures // (_SHARES * workers)))
    return size - (size % CHUNK if size > CHUNK else 0)


@contextmanager
def passed_on(is_cancelled: Callable[[], bool], stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` from a thread as soon as the call is cancelled."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_NAP):
            if is_cancelled():
                stop()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class _Call:
    """What is known here of the pictures of one call."""

    def __init__(
        self, pictures: Sequence[PlannedPicture], is_cancelled: Callable[[], bool]
    ) -> None:
        self._own = {picture.output: picture for picture in pictures}
        self._left = dict(self._own)  # neither done nor failed
        self._is_cancelled = is_cancelled
        self._numbers = count()
        self._deaths: Counter[Path] = Counter()
        self._skipped: list[PlannedPicture] = []
        self._skipped_models: dict[str, None] = {}
        self._models: dict[tuple[str, str], dict[Path, PlannedPicture]] = {}
        self._drawn: dict[int, tuple[float, tuple[PlannedPicture, ...]]] = {}  # by open chunk
        self._pace = Pace()

    def on(self, engine: Engine, order: Order) -> Iterator[Event]:
        """Have all pictures done, those of killed workers again, one by one: one of them may be
        what kills.
        """
        most = _MOST
        while self._left and not self._is_cancelled():
            chunks = self._chunks(engine.workers, most)
            yield from self._round(engine, order, chunks)
            if most == 1 and not self._is_cancelled():
                yield from self._give_up()
            most = 1
        yield from self._sum()
        if self._left:
            yield Cancelled(tuple(self._left.values()))

    def _chunks(self, workers: int, most: int) -> list[Chunk]:
        pictures = tuple(self._left.values())
        size = chunk_size(len(pictures), workers, most)
        return [
            Chunk(next(self._numbers), pictures[first : first + size])
            for first in range(0, len(pictures), size)
        ]

    def _round(self, engine: Engine, order: Order, chunks: Sequence[Chunk]) -> Iterator[Event]:
        self._drawn.clear()
        cancelled_at: float | None = None
        with closing(engine.run(order, chunks)) as messages:
            for told in messages:
                if told.refusal is not None:
                    said, code = told.refusal
                    raise (UsageError if code == UsageError.exit_code else ClusterError)(said)
                yield from self._take(told)
                if self._is_cancelled():
                    cancelled_at = cancelled_at or monotonic()
                    if not self._drawn and monotonic() - cancelled_at > _WAKE:
                        break

    def _take(self, told: Told) -> Iterator[Event]:
        """The events of a message, about the pictures of the plan."""
        self._drawn.setdefault(told.chunk, (0.0, ()))
        for event in told.events:
            match event:
                case Skipped(pictures, models):
                    self._skip([self._own[one.output] for one in pictures], models)
                case ModelReady(model, backend, pictures):
                    known = self._models.setdefault((model, backend), {})
                    known |= {one.output: self._own[one.output] for one in pictures}
                case Done() | Failed(picture=PlannedPicture()):
                    yield from self._settle(event)
                case Started(pictures):
                    yield Started(self._ours(pictures))
                case Advanced():
                    yield self._advance(told.chunk, event)
                case GoesOn() | NotKept() | Estimated():
                    yield replace(event, picture=self._own[event.picture.output])
        if told.is_end:
            del self._drawn[told.chunk]

    def _ours(self, pictures: Sequence[PlannedPicture]) -> tuple[PlannedPicture, ...]:
        return tuple(self._own[one.output] for one in pictures)

    def _settle(self, event: Done | Failed) -> Iterator[Event]:
        assert event.picture is not None
        picture = self._left.pop(event.picture.output, None)
        if picture is not None:  # else another worker was taken for dead and has told it, too
            yield replace(event, picture=picture)

    def _skip(self, pictures: Sequence[PlannedPicture], models: Sequence[str]) -> None:
        new = [one for one in pictures if self._left.pop(one.output, None) is not None]
        self._skipped += new
        self._skipped_models |= dict.fromkeys(models if new else ())
        self._pace.skip(len(new) / len(self._own))

    def _advance(self, chunk: int, event: Advanced) -> Advanced:
        """How much of the whole is done: each picture counts the same."""
        pictures = self._ours(event.pictures)
        self._drawn[chunk] = event.share, pictures
        done = float(len(self._own) - len(self._left))
        for share, drawn in self._drawn.values():
            done += share * sum(one.output in self._left for one in drawn)
        of_all = min(1.0, done / len(self._own))
        return replace(
            event,
            pictures=pictures,
            share_of_all=of_all,
            seconds_left=self._pace.left(of_all, monotonic()),
        )

    def _give_up(self) -> Iterator[Event]:
        """Fail what has cost several workers their life."""
        for output, picture in list(self._left.items()):
            self._deaths[output] += 1
            if self._deaths[output] >= _DEATHS:
                del self._left[output]
                yield Failed(
                    str(picture.source),
                    f"its worker was killed {_DEATHS} times, with this picture alone; expected "
                    "workers that live: look at the memory of the nodes, or upscale it on one "
                    "machine",
                    picture=picture,
                )

    def _sum(self) -> Iterator[Event]:
        """What only all chunks together tell."""
        if self._skipped:
            yield Skipped(tuple(self._skipped), tuple(self._skipped_models))
        for (model, backend), pictures in self._models.items():
            yield ModelReady(model, backend, tuple(pictures.values()))
