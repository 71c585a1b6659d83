"""The replicas that draw for the service, and the painter that has them do it."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from asyncio import CancelledError
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sr4.batch.events import Advanced, Done, Event, Failed, Started
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan, PlannedPicture
from sr4.batch.worker import upscale_pictures
from sr4.cluster.bulk import passed_on
from sr4.cluster.engine import processors_of_a_cpu
from sr4.cluster.worker import (
    Checksums,
    bound_to_share,
    check_checksums,
    check_version,
    gathered,
)
from sr4.errors import ModelError, OutOfMemoryError, PictureError, SR4Error, UsageError, reason
from sr4.serve.models import Models
from sr4.serve.problems import Problem, problem_of
from sr4.upscaling.thresholds import LARGE

if TYPE_CHECKING:
    from sr4.batch.options import UpscaleOptions

_log = logging.getLogger("ray.serve")  # which Ray writes into the log of the replica

GROUPS = 2
"""Groups of pictures that a replica draws at a time, as `sr4 serve` does."""
_DEATHS = 3  # of replicas with a picture alone, after which it is given up
_PAUSE = 0.2  # seconds between two messages about a picture
_SENT = (OutOfMemoryError, UsageError, PictureError, ModelError)  # causes that decide a status


@dataclass(frozen=True)
class Post:
    """What a replica has to know.

    Attributes:
        models: names or folders, as in `Models`; backend, device: as in `sr4.load`.
        cpus: logical processors that it takes.
        version: of sr4 where the service was built; checksums: of the models there.
    """

    models: tuple[str, ...]
    backend: str
    device: str
    cpus: float
    version: str
    checksums: Checksums


@dataclass(frozen=True)
class Sent:
    """An event on its way, whose pictures come without their bytes.

    Attributes:
        numbers: of the event's pictures, among those of the call.
    """

    numbers: tuple[int, ...]
    event: Started | Advanced | Done | Failed


class Drawer:
    """Draws pictures in memory; a replica of the service.

    Raises:
        ClusterError: it has another sr4, or other models.
        UsageError, ModelError: the models cannot be used.
    """

    def __init__(self, post: Post) -> None:
        host = socket.gethostname()
        check_version(post.version, host)
        check_checksums(post.checksums, host)
        bound_to_share(post.cpus, processors_of_a_cpu() / GROUPS)
        self._pipelines = Pipelines(post.backend, post.device)
        Models(post.models).warm(self._pipelines)

    async def is_warm(self) -> bool:
        """Answered once the models are loaded."""
        return True

    async def draw(
        self, pictures: Sequence[PlannedPicture], options: UpscaleOptions
    ) -> AsyncIterator[tuple[Sent, ...]]:
        """What becomes of pictures, several events at a time. Who leaves cancels it."""
        stopped = threading.Event()
        messages = gathered(0, self._events(pictures, options, stopped.is_set), _PAUSE)
        numbers = {id(one): number for number, one in enumerate(pictures)}
        try:
            while (told := await asyncio.to_thread(next, messages, None)) is not None:
                yield tuple(_sent(told.events, numbers))
        finally:
            stopped.set()

    def _events(
        self,
        pictures: Sequence[PlannedPicture],
        options: UpscaleOptions,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Event]:
        def is_shown(picture: PlannedPicture) -> bool:
            # Nobody here knows who looks on; small pictures are done before anybody sees a preview.
            return options.pixels_drawn(options.model_for(picture), picture.size) > LARGE

        left = {id(one): one for one in pictures}
        try:
            for event in upscale_pictures(
                Plan(list(pictures), []),
                options,
                self._pipelines,
                is_cancelled=is_cancelled,
                wants_preview=is_shown,
            ):
                if isinstance(event, Done | Failed):
                    left.pop(id(event.picture), None)
                yield event
        except Exception as error:  # noqa: BLE001 - sent as what it means to whoever asked
            if not isinstance(error, SR4Error):
                _log.exception("drawing %d pictures failed", len(pictures))
            for one in left.values():
                yield Failed(one.source.name, problem_of(error).detail, error, one)


def _sent(events: Sequence[Event], numbers: Mapping[int, int]) -> Iterator[Sent]:
    for event in events:
        match event:
            case Started(pictures) | Advanced(pictures):
                bare = tuple(one.without_data for one in pictures)
                yield Sent(
                    tuple(numbers[id(one)] for one in pictures), replace(event, pictures=bare)
                )
            case Done(picture):
                yield Sent((numbers[id(picture)],), replace(event, picture=picture.without_data))
            case Failed(picture=PlannedPicture() as picture):
                cause = next((kind for kind in _SENT if isinstance(event.cause, kind)), None)
                is_full = isinstance(event.cause, MemoryError)
                kind = OutOfMemoryError if is_full else cause
                yield Sent(
                    (numbers[id(picture)],),
                    replace(
                        event,
                        picture=picture.without_data,
                        cause=kind(event.error) if kind else None,
                    ),
                )


class ClusterPainter:
    """Has replicas draw, and those of which one was killed again by another: what a picture gives
    follows from its options alone.

    Args:
        drawers: the handle of the deployment of `Drawer`.
    """

    def __init__(self, drawers: Any) -> None:
        self._drawers = drawers

    def warm(self, models: Models, is_cancelled: Callable[[], bool]) -> None:
        """Wait for a replica: each loads the models before it takes anything."""
        self._drawers.is_warm.remote().result()

    def check(self, model: str, options: UpscaleOptions) -> None:
        """Nothing: the replicas hold the models, and refuse what these cannot do."""

    def paint(
        self,
        pictures: Sequence[PlannedPicture],
        options: UpscaleOptions,
        *,
        is_cancelled: Callable[[], bool],
        wants_preview: Callable[[PlannedPicture], bool],
    ) -> Iterator[Event]:
        """All together; after a death one by one, as one of them may be what kills."""
        left = dict(enumerate(pictures))
        deaths: Counter[int] = Counter()
        groups = [tuple(left)]
        while left and not is_cancelled():
            for group in groups:
                asked = {number: left[number] for number in group}
                try:
                    for event in self._draw(asked, options, is_cancelled):
                        if isinstance(event, Done | Failed):
                            del left[_number(event, asked)]
                        yield event
                except _Death as death:
                    _log.warning(
                        "%d pictures are drawn again, as a replica has ended: %s", len(asked), death
                    )
                    deaths.update(list(asked) if len(asked) == 1 else [])
                    for number in left.keys() & asked.keys():
                        if deaths[number] >= _DEATHS:
                            yield _given_up(left.pop(number))
            groups = [(number,) for number in left]

    def _draw(
        self,
        asked: Mapping[int, PlannedPicture],
        options: UpscaleOptions,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Event]:
        """What one replica tells of pictures.

        Raises:
            _Death: it is gone.
            Problem: there is none.
        """
        import ray
        from ray.serve.exceptions import DeploymentUnavailableError, RequestCancelledError

        pictures = tuple(asked.values())
        answer = self._drawers.options(stream=True).draw.remote(pictures, options)
        with passed_on(is_cancelled, answer.cancel):
            try:
                for message in answer:
                    for sent in message:
                        yield _with_bytes(sent, pictures)
            except ray.exceptions.RayActorError as error:
                raise _Death(reason(error)) from error
            except DeploymentUnavailableError as error:
                raise Problem(
                    503,
                    "no replica can start to draw; expected one: `serve status` says why",
                    retry_after=5,
                ) from error
            except (RequestCancelledError, ray.exceptions.TaskCancelledError, CancelledError):
                if not is_cancelled():
                    raise _Death("it was stopped") from None


class _Death(Exception):
    """A replica has ended before its pictures were done."""


def _with_bytes(sent: Sent, pictures: Sequence[PlannedPicture]) -> Event:
    """The event as it was, about the pictures that were asked for."""
    own = tuple(pictures[number] for number in sent.numbers)
    if isinstance(sent.event, Started | Advanced):
        return replace(sent.event, pictures=own)
    return replace(sent.event, picture=own[0])


def _number(event: Done | Failed, asked: Mapping[int, PlannedPicture]) -> int:
    return next(number for number, one in asked.items() if one is event.picture)


def _given_up(picture: PlannedPicture) -> Failed:
    line = (
        f"the replica that draws it was killed {_DEATHS} times, with this picture alone; expected "
        "replicas that live: look at the memory of the nodes, or crop the picture"
    )
    return Failed(picture.source.name, line, picture=picture)
