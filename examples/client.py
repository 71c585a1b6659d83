"""Enlarge pictures by a service, `sr4 serve`: what a program does that has no sr4 itself.

    python examples/client.py face.png -o large.png --url http://127.0.0.1:8000 -F seed=7

It needs httpx. Where the service is full, it asks again when it was told to, and also where a proxy
says that it is gone; a large picture becomes a job, whose progress it shows. A key is taken from
SR4_API_KEY.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 300.0  # seconds
PROBLEM = "application/problem+json"


class Refused(Exception):
    """The service does not serve a request.

    Args:
        status: of its answer; line: what it says.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(f"{status}: {line}")
        self.status, self.line = status, line


@dataclass(frozen=True)
class Enlarged:
    """A result.

    Attributes:
        data: the picture's file.
        settings: the fields that make the same picture again.
        consistency: how far it contradicts the picture given, x 1e-5.
        notes: what else is to be known.
    """

    data: bytes
    settings: Mapping[str, Any]
    consistency: float
    notes: tuple[str, ...]


class Client:
    """A service.

    Args:
        url: where it is; key: its API key, if it has one.
    """

    def __init__(self, url: str = "http://127.0.0.1:8000", key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=PATIENCE)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def upscale(self, data: bytes, /, **fields: object) -> Enlarged:
        """The result of a picture's file.

        Args:
            fields: the options of `sr4 upscale`, such as `seed=7` or `scale=2.5`.

        Raises:
            Refused: the service says why.
        """
        answer = self._ask("POST", "/v1/upscale", files={"file": data}, data=fields)
        if answer.status_code == httpx.codes.ACCEPTED:
            job = answer.json()["links"]
            try:
                for share in self._progress(job["events"]):
                    print(f"\r{share:4.0%}", end="", file=sys.stderr, flush=True)
                print(file=sys.stderr)
                answer = self._ask("GET", job["result"])
            finally:
                self._ask("DELETE", job["self"])
        said = answer.headers
        return Enlarged(
            data=answer.content,
            settings=json.loads(said["SR4-Settings"]),
            consistency=float(said["SR4-Consistency"]),
            notes=tuple(json.loads(said.get("SR4-Notes", "[]"))),
        )

    def _ask(self, method: str, address: str, **body: Any) -> httpx.Response:
        """An answer that is no refusal; whoever is to come again does."""
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._http.request(method, address, **body)
            if answer.is_success:
                return answer
            # Whoever stands before the service says so in words of its own where that is gone; the
            # same request gives the same picture, so that it may be repeated.
            is_problem = answer.headers.get("content-type", "").startswith(PROBLEM)
            is_gone = answer.is_server_error and not is_problem
            is_full = answer.status_code == httpx.codes.TOO_MANY_REQUESTS
            wait = float(answer.headers.get("Retry-After", 1))
            if not (is_full or is_gone) or time.monotonic() + wait > end:
                line = answer.json()["detail"] if is_problem else answer.reason_phrase
                raise Refused(answer.status_code, line)
            time.sleep(wait)

    def _progress(self, address: str) -> Iterator[float]:
        """Shares of a job that are done, until it ends."""
        with self._http.stream("GET", address) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))["share"]


def _field(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"got {text!r}; expected NAME=VALUE, such as seed=7")
    return name, value


def main() -> int:
    """Enlarge one picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("large.png"))
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument(
        "-F", dest="fields", type=_field, metavar="NAME=VALUE", action="append", default=[]
    )
    options = parser.parse_args()
    with Client(options.url, os.environ.get("SR4_API_KEY")) as client:
        try:
            result = client.upscale(options.picture.read_bytes(), **dict(options.fields))
            with options.out.open("xb") as file:
                file.write(result.data)
        except (Refused, httpx.HTTPError, OSError) as error:
            print(f"{options.picture}: {error}", file=sys.stderr)
            return 1
    print(f"{options.out}: consistency {result.consistency:.3f}, made by {dict(result.settings)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
