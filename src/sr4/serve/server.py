"""The server: the application on a socket, from start to a graceful stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from sr4.errors import UsageError, reason
from sr4.serve.app import make_app
from sr4.serve.guard import Guard
from sr4.serve.problems import Problem
from sr4.serve.service import Service

_BACKLOG = 2048
_HEAD_BYTES = 2**15
_TICKS = 3  # of a tenth of a second, for which it still says so to whoever comes
_SECOND = 10  # ticks


class _Patient(H11Protocol):
    """Closes connections that do not send a whole head in time, or take nothing of an answer,
    which uvicorn waits for without an end.
    """

    head_seconds = send_seconds = 10.0
    _head: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        self._forget_stuck()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering:
            self._forget_head()
        elif self._head is None:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:
        """As a problem, and without a line in the log: anyone can send what is no HTTP."""
        answer = Problem(400, f"{msg} Expected HTTP/1.1: check the client").response()
        headers = [*answer.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_response_complete(self) -> None:
        self._forget_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_progress()

    def resume_writing(self) -> None:
        self._forget_stuck()
        super().resume_writing()

    def _expect_progress(self, before: int | None = None) -> None:
        """Give a connection up unless less is left to be sent each time."""
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before:
            self.transport.abort()
        else:
            self._stuck = self.loop.call_later(self.send_seconds, self._expect_progress, left)

    def _forget_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _expect_head(self) -> None:
        self._head = self.loop.call_later(self.head_seconds, self._give_up)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        self._head = None
        if not self.transport.is_closing():
            if self.conn.our_state is h11.IDLE:
                self.conn.send(h11.ConnectionClosed())
            self.transport.close()


class _Server(uvicorn.Server):
    """Ends once its service is drained; a second signal ends it at once."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        told: Callable[[], None],
        waits: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._service, self._told, self._waits = service, told, waits
        self._drained_for = self._waited_for = 0  # ticks

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._told()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.is_draining:
            self.should_exit = self.force_exit = True
        self._service.drain()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:  # else what is drawn would go on, and a traceback tell of its end
            await self.lifespan.shutdown()

    async def on_tick(self, counter: int) -> bool:
        if self._service.error is not None:
            return True
        if self._service.is_draining:
            self._waited_for += 1
            if self._waited_for == _SECOND and not self._service.is_drained:
                self._waits()
        if self._service.is_drained:
            self._service.give_up()
            self._drained_for += 1
        return await super().on_tick(counter) or self._drained_for > _TICKS


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Args:
        port: 0 for any that is free.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UsageError(
            f"got the host {host!r} and the port {port}; expected a free address of this machine "
            f"({reason(error)}): choose another --port"
        ) from error
    found.setblocking(False)
    return found


def serve(
    service: Service,
    listening: socket.socket,
    told: Callable[[], None],
    waits: Callable[[], None],
) -> None:
    """Serve until a signal ends it (SIGTERM, SIGINT): what was begun is ended, what is new refused.

    Args:
        told: called once requests are taken.
        waits: called where it does not end in a second, as something is to be ended or fetched.

    Raises:
        Exception: the models cannot be loaded, an SR4Error where that is foreseen.
    """
    limits, settings = service.limits, service.settings
    app: Any = Guard(
        make_app(service),
        metrics=service.metrics,
        key=settings.key,
        hosts=settings.names,
    )
    patient = {"head_seconds": limits.head_seconds, "send_seconds": limits.send_seconds}
    config = uvicorn.Config(
        app,
        http=type("Patient", (_Patient,), patient),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here goes by them
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_keep_alive=max(1, round(limits.head_seconds)),
        timeout_graceful_shutdown=max(1, round(limits.send_seconds)),
    )
    _Server(config, service, told, waits).run(sockets=[listening])
    if service.error is not None:
        raise service.error
