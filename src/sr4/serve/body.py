"""Bodies of requests: received within limits of size and time, then taken apart."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from sr4.errors import shorten
from sr4.serve.options import as_text
from sr4.serve.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from sr4.serve.limits import Limits, Share

FILE, PICTURE = "file", "picture"  # fields of a form, and of JSON
_FORM, _JSON = "multipart/form-data", "application/json"
_BESIDE = 2**17  # bytes of a body besides the picture
_FIELDS = 40
_MARKS = 1000  # of structure in JSON, of which a request has two a field


@dataclass(frozen=True)
class Received:
    """What a request says.

    Attributes:
        data: the picture file; fields: the options as texts.
    """

    data: bytes = field(repr=False)
    fields: Mapping[str, str]


class _InMemory(MultiPartParser):
    """Keeps uploads in memory, whose size is limited before."""

    spool_max_size = 2**62


async def receive(request: Request, limits: Limits, held: Share) -> Received:
    """The picture and the options of a request.

    Args:
        held: takes the bytes that are received.

    Raises:
        Problem: too large, too slow, too much of all requests together, or nothing to be
            understood.
        UsageError: a field that cannot be.
        ClientDisconnect: the client has left.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (_FORM, _JSON):
        raise Problem(
            415,
            f"got the content type {shorten(kind)!r}; expected {_FORM} or {_JSON}: send the "
            f"picture as the field {FILE!r} of a form, as `curl -F {FILE}=@face.png` does",
        )
    most = limits.upload_bytes + _BESIDE
    if kind == _JSON:
        most = most * 3 // 2  # in base64, with line breaks
    stream = _Stream(request, most, held)
    try:
        parts = _form(request, stream) if kind == _FORM else _json(stream)
        received = await asyncio.wait_for(parts, limits.body_seconds)
    except asyncio.TimeoutError:
        raise Problem(
            408,
            f"the body was not there after {limits.body_seconds:g} s; expected it sooner: send "
            "less, or over a faster connection",
            headers={"Connection": "close"},
        ) from None
    if len(received.data) > limits.upload_bytes:
        raise _too_large(limits.upload_bytes)
    return received


def _too_large(most: int) -> Problem:
    return Problem(
        413,
        f"got a request of more than {most:,} bytes; expected at most that: save the picture in a "
        "compressed format",
        headers={"Connection": "close"},
    )


class _Stream:
    """The body of a request, block by block, up to a number of bytes."""

    def __init__(self, request: Request, most: int, held: Share) -> None:
        self._request, self._most, self._held = request, most, held
        length = request.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > most):
            raise _too_large(most)

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        count = 0
        async for block in self._request.stream():
            count += len(block)
            if count > self._most:
                raise _too_large(self._most)
            self._held.take(len(block))
            yield block


async def _form(request: Request, stream: _Stream) -> Received:
    parser = _InMemory(
        request.headers, aiter(stream), max_files=1, max_fields=_FIELDS, max_part_size=2**14
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Problem(400, f"the form cannot be read ({error.message}); expected {_FORM}") from None
    try:
        return await _taken_apart(form)
    finally:
        await form.close()


async def _taken_apart(form: FormData) -> Received:
    fields: dict[str, str] = {}
    data = None
    for name, value in form.multi_items():
        if name == FILE:
            data = await value.read() if isinstance(value, UploadFile) else None
        elif isinstance(value, UploadFile):
            raise Problem(400, f"got a file as {shorten(name)!r}; expected it as {FILE!r}")
        elif name in fields:
            raise Problem(400, f"got the field {shorten(name)!r} twice; expected it once")
        else:
            fields[name] = value
    if data is None:
        raise Problem(400, f"got a form without a whole file {FILE!r}; expected a picture in it")
    return Received(data, fields)


async def _json(stream: _Stream) -> Received:
    body = b"".join([block async for block in stream])
    return await asyncio.to_thread(_taken_from_json, body)  # tenths of a second for a large picture


def _taken_from_json(body: bytes) -> Received:
    # A list in a list takes 3 bytes here and 60 once it is parsed.
    if sum(map(body.count, (b"[", b"{", b",", b":"))) > _MARKS:
        raise Problem(
            400,
            f"got JSON of more than {_MARKS:,} brackets, commas and colons; expected an object "
            "with the fields of a request",
        )
    try:
        values: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON ({error}); expected an object") from None
    if not isinstance(values, dict):
        raise Problem(400, f"got {type(values).__name__} as JSON; expected an object")
    encoded = values.pop(PICTURE, None)
    if not isinstance(encoded, str):
        raise Problem(400, f"got JSON without {PICTURE!r}; expected the picture file in base64")
    start, comma, rest = encoded.partition(",")
    if comma and start.startswith("data:") and start.endswith(";base64"):  # as pages have it
        encoded = rest
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Problem(
            400, f"{PICTURE!r} is not base64 ({error}); expected a picture file in base64"
        ) from None
    return Received(
        data, {name: as_text(name, one) for name, one in values.items() if one is not None}
    )
