"""What every request passes first and every answer last: hosts, keys, headers and counts."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from sr4.serve.problems import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sr4.serve.metrics import Metrics

SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
LOCKED = ("/v1/", "/metrics")
"""Beginnings of the paths that a key opens, where there is one."""
REQUESTS = logging.getLogger("sr4.requests")
"""Told of every answer at the level INFO."""
_PORTS = {"http": 80, "https": 443}
_TOO_SLOW = 408
_LINGER = 5.0  # seconds
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class _Body:
    """The body of a request, which an answer may come before.

    Were the connection closed then, the client, who sends still, would not read why. So for a while
    what comes is taken and forgotten.
    """

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        length, coding = headers.get("content-length", "0"), headers.get("transfer-encoding")
        self._is_over = length == "0" and coding is None
        self._is_awaited = headers.get("expect", "").lower() != "100-continue"

    async def receive(self) -> Message:
        """The next message."""
        self._is_awaited = True  # for this is how clients learn that they may send it
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._is_over = True
        return message

    async def discard(self) -> None:
        """Take what is left of it, for a while."""

        async def rest() -> None:
            while not self._is_over:
                await self.receive()

        if self._is_awaited and not self._is_over:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(rest(), _LINGER)


class Guard:
    """The outermost part of the application.

    Args:
        app: the rest of it.
        metrics: told of every answer.
        key: the API key; None for none.
        hosts: names that requests may call the service; None for any. A page of another site can
            make a browser ask a local service, but only by a name of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        key: str | None,
        hosts: Collection[str] | None,
    ) -> None:
        self._app, self._metrics, self._hosts = app, metrics, hosts
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500
        given = Headers(scope=scope)
        body = _Body(receive, given)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status != _TOO_SLOW:
                    await body.discard()
                headers = MutableHeaders(raw=message["headers"])
                for name, value in SECURITY.items():
                    headers[name] = value
                if scope["path"].startswith("/v1/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope["path"], given)
        except Problem as problem:
            await problem.response()(scope, body.receive, sending)
        else:
            await self._app(scope, body.receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds = time.monotonic() - began
            self._metrics.answered(method, route, status, seconds)
            # The route in the place of the path: numbers of jobs are keys to their results.
            REQUESTS.info("%s %s %d %.3f s", method, route, status, seconds)

    def _check(self, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            raise Problem(
                403,
                "the request calls this service by a name that is not its own; expected "
                f"{' or '.join(sorted(self._hosts))}: start it with --host to be reached otherwise",
            )
        origin = headers.get("origin")
        if origin is not None and not _is_at(origin, host):
            raise Problem(
                403,
                "the request comes from a page of another site; expected one of this service: a "
                "proxy before it has to pass on Host as it came, with its port",
            )
        if self._key is not None and path.startswith(LOCKED):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(
                given.strip().encode("latin-1"), self._key
            ):
                raise Problem(
                    401,
                    "the API key is missing or wrong; expected the header 'Authorization: Bearer "
                    "KEY' with that of this service",
                    headers={"WWW-Authenticate": "Bearer"},
                )


def _is_at(origin: str, host: str) -> bool:
    """Whether a page comes from a host. Both may leave the usual port of its scheme out; any other
    one has to be there, or the page may be that of another service of this machine.
    """
    try:
        page = urlsplit(origin)
        called = urlsplit(f"{page.scheme}://{host}")
        usual = _PORTS.get(page.scheme)
        ports = page.port or usual, called.port or usual
        return (page.hostname, ports[0]) == (called.hostname, ports[1]) and bool(page.hostname)
    except ValueError:  # no origin at all, such as "http://["
        return False


def _name(host: str) -> str:
    """A host without its port."""
    return (host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]).lower()
