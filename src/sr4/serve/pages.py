"""The web page: its built files, held in memory, so that no path of a request is ever opened."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

FOLDER = Path(__file__).parent / "page" / "static"
_INDEX = "index.html"
_FIXED = "assets/"  # files whose names change with what they hold

_TYPES = {  # which systems disagree on
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".onnx": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


class _Page(NamedTuple):
    data: bytes
    media_type: str
    tag: str


class Pages:
    """The files of a folder, each at its place below "/"; none where there is no such folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        files = sorted(folder.rglob("*")) if folder.is_dir() else []
        self._pages: Mapping[str, _Page] = {
            path.relative_to(folder).as_posix(): _read(path) for path in files if path.is_file()
        }

    def add_to(self, app: FastAPI) -> None:
        """Serve them, where nothing else is."""
        for name in self._pages:
            address = "/" if name == _INDEX else f"/{name}"
            app.router.routes.append(Route(address, self._serve(name), include_in_schema=False))

    def _serve(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        page = self._pages[name]
        kept = "public, max-age=31536000, immutable" if name.startswith(_FIXED) else "no-cache"

        async def serve(request: Request) -> Response:
            headers = {"ETag": page.tag, "Cache-Control": kept}
            if page.tag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            return Response(page.data, media_type=page.media_type, headers=headers)

        return serve


def _read(path: Path) -> _Page:
    data = path.read_bytes()
    kind = _TYPES.get(path.suffix, "application/octet-stream")
    return _Page(data, kind, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
