"""The queue and its workers: tickets in, settled tickets out.

Each worker draws one group at a time by `sr4.batch`, which reads and writes pictures beside the
network. Small pictures that are alike go together. Of the workers one never draws a large picture,
so that these do not hold small ones up.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict, deque
from functools import partial
from typing import TYPE_CHECKING

from sr4.batch.events import Advanced, Done, Failed, Started
from sr4.batch.worker import CHUNK
from sr4.errors import SR4Error
from sr4.serve.pace import QueuePace
from sr4.serve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from sr4.batch.events import Event
    from sr4.serve.metrics import Metrics
    from sr4.serve.painter import Painter
    from sr4.serve.tickets import Ticket

_log = logging.getLogger(__name__)

_EIGHT = 8  # pictures that gain by going together: runtimes take groups of as many
STOPPING = "the service is stopping; expected a running one: ask again later"


class Core:
    """The queue of a service.

    Args:
        painter: draws.
        workers: threads that have it draw, at least 2.
        waiting: tickets that may wait.
        metrics: told what is drawn.
    """

    def __init__(self, painter: Painter, *, workers: int, waiting: int, metrics: Metrics) -> None:
        self._painter, self._most, self._metrics = painter, waiting, metrics
        self._count = workers
        self._changed = threading.Condition()
        self._small: OrderedDict[object, deque[Ticket]] = OrderedDict()  # by what goes together
        self._large: deque[Ticket] = deque()
        self._running: set[Ticket] = set()
        self._is_draining = self._is_stopped = False
        self._pace = QueuePace(workers)
        self._threads = [
            threading.Thread(target=self._work, name=f"sr4-serve-{number}", daemon=True)
            for number in range(workers)
        ]
        metrics.watch(lambda: self.waiting, lambda: len(self._running))

    @property
    def waiting(self) -> int:
        """How many tickets wait."""
        with self._changed:  # which a thread that holds it may take again
            return len(self._large) + sum(map(len, self._small.values()))

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is taken."""
        return self._is_draining

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nothing is drawn."""
        with self._changed:
            return not self._running and not self.waiting

    def start(self) -> None:
        """Begin to draw."""
        for thread in self._threads:
            thread.start()

    def drain(self) -> None:
        """Take nothing new; what waits is still drawn."""
        self._is_draining = True

    def give_up(self) -> None:
        """Fail what waits and what is drawn, and let the workers end."""
        with self._changed:
            self._is_draining = self._is_stopped = True
            left = [*self._large, *(one for group in self._small.values() for one in group)]
            self._large.clear()
            self._small.clear()
            self._changed.notify_all()
        for ticket in (*left, *tuple(self._running)):
            ticket.fail(Problem(503, STOPPING))

    def join(self) -> None:
        """Wait for the workers to end."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def submit(self, ticket: Ticket) -> None:
        """Put a ticket into the queue.

        Raises:
            Problem: the queue is full, or the service is stopping.
        """
        with self._changed:
            if self._is_draining:
                raise Problem(503, STOPPING, retry_after=5)
            if self.waiting >= self._most:
                raise Problem(
                    429,
                    f"{self._most} pictures are waiting already; expected fewer at a time: ask "
                    "again later",
                    retry_after=self._pace.seconds_until_free(self.waiting),
                )
            if ticket.is_small:
                self._small.setdefault(ticket.goes_with, deque()).append(ticket)
            else:
                self._large.append(ticket)
            self._changed.notify()
        ticket.result.add_done_callback(partial(self._forget, weakref.ref(ticket)))

    def _forget(self, of: weakref.ref[Ticket], result: Future[Done]) -> None:
        """Take a cancelled ticket out of the queue. Its result does not hold it: together they
        would wait for a collection, with all files.
        """
        ticket = of()
        if ticket is None or not result.cancelled():
            return
        with self._changed:
            waiting = self._small.get(ticket.goes_with, self._large)
            if ticket in waiting:
                waiting.remove(ticket)
            self._drop_if_empty(ticket.goes_with)

    # A worker's thread

    def _work(self) -> None:
        while self._draw_next():  # between groups no name holds one, and with it its files
            pass

    def _draw_next(self) -> bool:
        """Draw the next group; False once there will be none."""
        group = self._next()
        try:
            if group:
                with self._pace.measured(len(group)):
                    self._draw(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this group
            _log.exception("drawing %d pictures failed", len(group))
            for ticket in group:
                ticket.fail(error)
        finally:
            for ticket in group:
                ticket.forget_picture()
            with self._changed:
                self._running.difference_update(group)
                self._changed.notify_all()
        return bool(group)

    def _next(self) -> list[Ticket]:
        """The group that has waited longest; nothing once the service stops."""
        with self._changed:
            while not self._is_stopped:
                group = self._take()
                if group:
                    self._running.update(group)
                    return group
                self._changed.wait()
            return []

    def _take(self) -> list[Ticket]:
        small = next(iter(self._small.values()), None)
        large = self._large[0] if self._large and self._may_draw_large() else None
        if large is not None and (small is None or large.number < small[0].number):
            return [self._large.popleft()]
        if small is None:
            return []
        key, count = small[0].goes_with, min(len(small), CHUNK // small[0].options.samples)
        count = max(1, count if count < _EIGHT else count // _EIGHT * _EIGHT)
        group = [small.popleft() for _ in range(count)]
        self._small.move_to_end(key)  # what is left of it waits behind the others
        self._drop_if_empty(key)
        return group

    def _drop_if_empty(self, key: object) -> None:
        if not self._small.get(key, True):
            del self._small[key]

    def _may_draw_large(self) -> bool:
        return sum(not one.is_small for one in self._running) < self._count - 1

    def _draw(self, group: Sequence[Ticket]) -> None:
        tickets = {id(one.planned): one for one in group}
        self._metrics.drawn_together(len(group))
        try:
            for event in self._painter.paint(
                [one.planned for one in group],
                group[0].options,
                is_cancelled=lambda: all(one.result.done() for one in tickets.values()),
                wants_preview=lambda picture: tickets[id(picture)].is_watched,
            ):
                self._tell(tickets, event)
        finally:
            tickets.clear()  # whoever was given these functions may hold them for longer

    @staticmethod
    def _tell(tickets: Mapping[int, Ticket], event: Event) -> None:
        """Tell the tickets, by the `id` of their pictures, what has become of these."""
        match event:
            case Started(pictures):
                for picture in pictures:
                    tickets[id(picture)].advance(0.0, None)
            case Advanced(pictures, share, _, left, preview):
                for picture in pictures:
                    tickets[id(picture)].advance(share, left, preview)
            case Done(picture):
                tickets[id(picture)].finish(event)
            case Failed(error=line, cause=cause, picture=picture) if picture is not None:
                if not isinstance(cause, SR4Error):  # nobody foresaw it
                    _log.error("a picture failed: %s", line, exc_info=cause)
                tickets[id(picture)].fail(event)
