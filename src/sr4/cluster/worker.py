"""The work of one process of a cluster: it holds the models, and does chunks of a plan by the
worker of a single machine.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any

from sr4._version import __version__
from sr4.batch.events import Advanced, Event, Failed
from sr4.batch.options import AUTO, UpscaleOptions, read_stages
from sr4.batch.outputs import look_for_outputs
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan, PlannedPicture
from sr4.batch.provenance import made_before
from sr4.batch.worker import upscale_pictures
from sr4.errors import ClusterError, PictureError, SR4Error, reason
from sr4.machine.processors import available_cpus, bound_threads

CPUS = 2
"""Logical processors of its node that a worker takes."""
_PAUSE = 2.0  # seconds between two messages about a chunk

Checksums = Mapping[str, list[dict[str, str]]]
"""Of the files of each stage of a model, by the name of the model."""


@dataclass(frozen=True)
class Order:
    """What all workers of a call are to do.

    Attributes:
        options: of all pictures; overwrite: whether existing outputs are replaced.
        backend, device: as in `sr4.load`.
        folder: that relative names start from.
        version: of sr4 where the call was made.
        checksums: of the files of each model there, by the name of the model.
    """

    options: UpscaleOptions
    overwrite: bool
    backend: str
    device: str
    folder: str
    version: str
    checksums: Checksums


def order_of(options: UpscaleOptions, *, overwrite: bool, backend: str, device: str) -> Order:
    """The order of a call that is made here.

    Raises:
        ModelError: a model cannot be read.
    """
    return Order(
        options, overwrite, backend, device, os.getcwd(), __version__, _checksums(options.model)
    )


def _checksums(model: str) -> Checksums:
    from sr4.upscaling.choose import model_for

    return checksums_of(
        [model_for(is_face=one) for one in (True, False)] if model == AUTO else [model]
    )


def checksums_of(models: Iterable[str]) -> Checksums:
    """What the files of models are here, stage by stage.

    Raises:
        ModelError: a model cannot be read.
    """
    return {name: [dict(stage.sha256) for stage in read_stages(name)] for name in models}


@dataclass(frozen=True)
class Chunk:
    """Pictures that one worker does in a go.

    Attributes:
        number: among the chunks of the call.
    """

    number: int
    pictures: tuple[PlannedPicture, ...]


@dataclass(frozen=True)
class Told:
    """What a worker tells of a chunk.

    Attributes:
        chunk: its number.
        events: what happened since it told something last.
        is_end: whether nothing more comes of the chunk.
        refusal: why the worker does nothing at all, and the exit code that this is worth.
    """

    chunk: int
    events: tuple[Event, ...] = ()
    is_end: bool = True
    refusal: tuple[str, int] | None = None


class Worker:
    """Does chunks, one after the other.

    Args:
        order: the same for all workers.
        processors: those of the node for each of its logical ones.
        when_stopped: calls what it is given, in a thread of its own, once the call is cancelled.
    """

    def __init__(
        self,
        order: Order,
        processors: Callable[[], float],
        when_stopped: Callable[[Callable[[], None]], None],
    ) -> None:
        self._order, self._stopped = order, threading.Event()
        self._pipelines = Pipelines(order.backend, order.device)
        self._refusal: tuple[str, int] | None = None
        try:
            _take_place(order, socket.gethostname())
        except SR4Error as error:
            self._refusal = str(error), error.exit_code
        bound_to_share(CPUS, processors())
        when_stopped(self._stopped.set)

    def __call__(self, row: Mapping[str, Any]) -> Iterator[dict[str, Told]]:
        """What happens to the chunk of a row, a message at a time."""
        chunk: Chunk = row["chunk"]
        if self._refusal is None:
            try:
                for told in gathered(chunk.number, self._events(chunk.pictures)):
                    yield {"told": told}
                return
            except SR4Error as error:
                self._refusal = str(error), error.exit_code
            except Exception as error:  # noqa: BLE001 - else Ray would count it as a lost chunk
                place = f"the worker {os.getpid()} on {socket.gethostname()}"
                said = f"{place} fails (unexpected {type(error).__name__}: {reason(error)})"
                self._refusal = f"{said}; this is a bug in sr4: report it", 1
        yield {"told": Told(chunk.number, refusal=self._refusal)}

    def _events(self, pictures: Iterable[PlannedPicture]) -> Iterator[Event]:
        """What the worker of a single machine tells of pictures. What another worker, which was
        killed since or was taken for dead, has finished counts as done.
        """
        order, made = self._order, partial(made_before, options=self._order.options)
        looked = []
        for picture in pictures:
            if self._stopped.is_set():
                return
            try:
                looked.append(picture if order.overwrite else look_for_outputs(picture, made))
            except PictureError as error:
                yield Failed(str(picture.source), str(error), None, picture)
        models = dict.fromkeys(order.options.model_for(one) for one in looked if not one.is_done)
        for model in models:  # as for many pictures, however few are in this chunk
            self._pipelines.get(model)
        for event in upscale_pictures(
            Plan(looked, []),
            order.options,
            self._pipelines,
            overwrite=order.overwrite,
            is_cancelled=self._stopped.is_set,
        ):
            if isinstance(event, Failed):
                yield replace(event, cause=None)  # which may not be for sending
            else:
                yield event


def gathered(number: int, events: Iterable[Event], pause: float = _PAUSE) -> Iterator[Told]:
    """The events of a chunk in a message every few seconds, since each costs milliseconds."""
    held: list[Event] = []
    last = monotonic()
    for event in events:
        before = held[-1] if held else None
        if isinstance(event, Advanced) and isinstance(before, Advanced):
            held[-1] = replace(event, preview=event.preview or before.preview)
        else:
            held.append(event)
        if monotonic() - last >= pause:
            yield Told(number, tuple(held), is_end=False)
            held, last = [], monotonic()
    yield Told(number, tuple(held))


def _take_place(order: Order, host: str) -> None:
    """Work where the call was made, with what it was made with.

    Raises:
        ClusterError: that is not possible here.
    """
    check_version(order.version, host)
    try:
        os.chdir(order.folder)
    except OSError as error:
        raise ClusterError(
            f"the folder {order.folder!r} cannot be entered on {host} ({reason(error)}); expected "
            "the same files on all nodes: call sr4 from a folder that they share"
        ) from error
    check_checksums(order.checksums, host)


def check_version(wanted: str, host: str) -> None:
    """Refuse to work for another version of sr4.

    Raises:
        ClusterError: names this host.
    """
    if __version__ != wanted:
        raise ClusterError(
            f"a worker on {host} has sr4 {__version__}; expected {wanted}, as where the call was "
            "made: install the same version on all nodes"
        )


def check_checksums(wanted_of: Checksums, host: str) -> None:
    """Refuse to work with other models than those of the call.

    Raises:
        ClusterError: names the model and this host.
        ModelError: there is no such model here.
    """
    for model, wanted in wanted_of.items():
        if [dict(stage.sha256) for stage in read_stages(model)] != wanted:
            raise ClusterError(
                f"the model {model!r} has other checksums on {host}; expected the files that it "
                "has where the call was made: copy it to all nodes, or to a folder that they share"
            )


def bound_to_share(cpus: float, processors: float) -> None:
    """Bound this process's threads to its share of the node."""
    if os.environ.get("OMP_NUM_THREADS") == str(int(cpus)):  # by Ray, which knows no processors
        del os.environ["OMP_NUM_THREADS"]
    bound_threads(min(available_cpus(), max(1, int(cpus * processors))))
