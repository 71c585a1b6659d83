"""Where the page is at home: the service, or a site that draws in the browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

from sr4.web.site import SiteReport, export_site
from tests.features.service_process import running

Kind = Literal["service", "site"]
KINDS: tuple[Kind, ...] = ("service", "site")
DIAL = "dial"  # a model whose detail can be chosen
PLAIN = "plain"  # one whose detail cannot


@dataclass(frozen=True)
class Home:
    """A page that is served.

    Attributes:
        paths: of a site, what it was asked for.
    """

    kind: Kind
    url: str
    paths: list[str] = field(default_factory=list)


@contextmanager
def serving(folder: Path, headers: Mapping[str, str]) -> Iterator[Home]:
    """A site on a server of its own, whose answers have some headers more."""
    paths: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_: object) -> None:
            paths.append(self.path)

        def log_message(self, *_: object) -> None:
            pass

        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Home("site", f"http://127.0.0.1:{server.server_port}", paths)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def exported(request: pytest.FixtureRequest, models: Sequence[str], place: Path) -> SiteReport:
    """A site with some models, on the runtime that npm gives."""
    page_tools: Path = request.getfixturevalue("page_tools")
    return export_site(models, place, runtime=page_tools / "node_modules")


def dial(request: pytest.FixtureRequest, place: Path) -> Path:
    """A random model whose detail can be chosen, exported."""
    return _random(request, place / DIAL, mean_output=True)


def plain(request: pytest.FixtureRequest, place: Path) -> Path:
    """A random model whose detail cannot be chosen, exported."""
    return _random(request, place / PLAIN, mean_output=False)


def _random(request: pytest.FixtureRequest, folder: Path, *, mean_output: bool) -> Path:
    pytest.importorskip("onnxscript")
    from sr4.model.export import export_model

    model: Any = request.getfixturevalue("make_model")
    export_model(model(folder.parent, mean_output=mean_output), folder)
    return folder


@contextmanager
def home(request: pytest.FixtureRequest, models: Sequence[str], place: Path) -> Iterator[Home]:
    """The kind of home that the fixture is of, with some models.

    Args:
        models: names or folders; with `photo-x4` and `sr4-fast` one of them is chosen by picture.
    """
    if request.param == "site":
        with serving(exported(request, models, place / "site").folder, {}) as one:
            yield one
        return
    names = ["auto" if name == "photo-x4" else name for name in models]
    with running(*(word for name in names for word in ("--model", name))) as service:
        yield Home("service", service.url)
