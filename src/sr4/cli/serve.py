"""`sr4 serve`: a web page and an HTTP API."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Backend, Device, examples
from sr4.errors import MissingExtraError, package_of
from sr4.machine.processors import available_cpus, bound_threads
from sr4.serve.key import KEY, read_key

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLES = examples(
    "sr4 serve                                     # http://127.0.0.1:8000",
    "sr4 serve --model sr4-fast --port 9000",
    "SR4_API_KEY=... sr4 serve --host 0.0.0.0 --name pictures.example.org",
)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR",
            help="A model that requests may name, again for each further one; the first is their "
            "default. Default: the shipped ones, chosen by what a picture shows.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen at. 0.0.0.0 is reached from other machines: choose an API key "
            "for it.",
        ),
    ] = _LOOPBACK[0],
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="A name that requests may call the service, such as that of a proxy, again for "
            "each further one. Default: localhost, or any where --host is another address.",
            show_default=False,
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"File with the key that requests have to know; {KEY} in the environment holds "
            "one, too. Default: none.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=2,
            help="Threads that draw; one of them is kept for small pictures.",
        ),
    ] = 2,
    queue: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures that may wait.")] = 64,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N",
            help="Another limit of what requests may take, again for each further one; see "
            "docs/howto/serve.md.",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Put a line for each request on stderr.")
    ] = False,
    backend: Backend = "auto",
    device: Device = "auto",
    as_json: JSON = False,
) -> int:
    """Serve a web page and an HTTP API that upscale pictures.

    It listens on this machine alone unless told otherwise, and stops in order on Ctrl-C or SIGTERM.
    The API is described at /openapi.json and in docs/howto/serve.md.
    """
    bound_threads(available_cpus() // workers)
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401

        from sr4.serve.limits import read_limits
        from sr4.serve.server import bind
        from sr4.serve.server import serve as run
        from sr4.serve.service import Service, Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError("sr4 serve", package_of(error, "fastapi"), "serve") from error

    settings = Settings(
        models=tuple(model or ()),
        backend=backend,
        device=device,
        workers=workers,
        key=read_key(api_key_file),
        names=_names(host, name or ()),
        limits=read_limits(limit or (), waiting=queue),
    )
    service = Service(settings)
    listening = bind(host, port)
    _log_failures()
    if log:
        _log_requests()
    if host not in _LOOPBACK and settings.key is None and not as_json:
        console.note(f"sr4: whoever reaches {host} may use this service; {KEY} would lock it")
    address = _address(host, listening.getsockname()[1])

    def told() -> None:
        if as_json:
            console.say_json({"url": address, "models": list(service.models.names)})
        else:
            console.note(
                f"sr4: serving at {address}, the API described at {address}/openapi.json (Ctrl-C "
                "ends it)"
            )

    def waits() -> None:
        grace = settings.limits.grace_seconds
        console.note(
            "sr4: stopping: what was begun is ended, and results that nobody has fetched are kept "
            f"for {grace:g} seconds; Ctrl-C again ends it at once"
        )

    run(service, listening, told, waits)
    return 0


def _log_failures() -> None:
    """Put what goes wrong in the service itself on stderr, and nothing of what clients send."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("sr4: %(message)s"))
    for name in ("sr4", "uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.addHandler(handler)
    logging.getLogger().addHandler(logging.NullHandler())  # else Python prints the others


def _log_requests() -> None:
    """Put a line for each request on stderr: when it was answered, what it asked for and got, and
    how long that took.
    """
    from sr4.serve.guard import REQUESTS

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    REQUESTS.setLevel(logging.INFO)
    REQUESTS.addHandler(handler)
    REQUESTS.propagate = False


def _names(host: str, given: Sequence[str]) -> frozenset[str] | None:
    """The names that requests may call the service; None for any."""
    if host not in _LOOPBACK and not given:
        return None
    local = ("localhost", "127.0.0.1", "[::1]")
    return frozenset(one.lower() for one in (*local, *given))


def _address(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
