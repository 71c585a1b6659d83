"""Servers of files on this computer: one of HTTP that can fail on demand, one of S3."""

from __future__ import annotations

import hashlib
import http.server
import logging
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by name, in parts if asked for; counts what is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.statuses: list[int] = []  # of the next answers, in place of good ones
        self.requests: list[str] = []
        self.latency = 0.0  # seconds
        self.has_ranges = True

    def url(self, name: str) -> str:
        """The address of a file."""
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server = self.server
        server.requests.append(self.command)
        time.sleep(server.latency)
        data = server.files.get(self.path.partition("?")[0][1:])
        status = server.statuses.pop(0) if server.statuses else 200
        headers = {}
        if status == 200 and data is None:
            status = 404
        if status != 200 or data is None:
            data = b""
        else:
            headers["ETag"] = f'"{hashlib.md5(data).hexdigest()}"'
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if asked and server.has_ranges:
                begin, end = int(asked[1]), int(asked[2]) + 1
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
                status = 206 if begin < len(data) else 416
                data = data[begin:end]
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def http_server() -> Iterator[Server]:
    """A server of HTTP, to the end of the context."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def s3_server() -> Iterator[str]:
    """A server of S3, empty, to the end of the context; gives its address."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would note each request
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        # Servers of one process share what they hold.
        reset = urllib.request.Request(f"{address}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        yield address
    finally:
        server.stop()
