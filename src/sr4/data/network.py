"""Files at addresses (URLs), by way of fsspec: their state, ranges of their bytes, and patterns.

What fails is tried again with growing pauses, unless trying again cannot help. Messages name an
address without what may be secret in it: user names, passwords and queries.
"""

from __future__ import annotations

import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from sr4.data.tars import ChangedError
from sr4.errors import (
    DataError,
    MissingExtraError,
    MissingPackageError,
    UsageError,
    reason,
    shorten,
)
from sr4.files.paths import shown_address
from sr4.files.patterns import is_pattern

_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds between one try and the next
_PATIENCE = (
    20.0  # seconds after which nothing is tried again: some packages try for long themselves
)
_IN_THE_EXTRA = ("fsspec", "aiohttp", "s3fs")  # the packages that sr4[remote] installs
# What servers call the version of a file; the first that is there counts.
_VERSIONS = (
    ("ETag", "etag", "generation", "blob_id", "md5Hash", "Content-MD5", "Digest"),
    ("Last-Modified", "LastModified", "last_modified", "updated", "last_commit", "mtime"),
)
_REFUSED = {
    401: "expected the right to read it: set your credentials as the tools of that service do",
    403: "expected the right to read it: check your credentials and what they allow",
    404: "expected a tar that is there: correct the address",
}
_PUBLIC = (
    "expected credentials: set them as the tools of that service do (for a public bucket, "
    "FSSPEC_S3_ANON=true)"
)
_NO_ANSWER = "expected an answer: check the address and the network, and start again"
_NO_TAR = "expected a tar or a pattern such as 'train-*.tar', of a server that sends parts of files"
_WRONG = "expected an address that can be read: correct it"
_TRY_AGAIN = (408, 425, 429)  # of the statuses that say that the request is wrong
_T = TypeVar("_T")


class RemoteState(NamedTuple):
    """What changes when a file at an address is written or replaced."""

    size: int
    version: str


class _RefusedError(Exception):
    """An answer that trying again would not change."""


def remote_state(url: str) -> RemoteState:
    """The state of a file.

    Raises:
        DataError: it cannot be had, or is a folder.
        MissingPackageError: one for such addresses is missing.
    """
    files, path = _opened(url)
    return _tried(url, lambda: _state(files, path))


def fetch(url: str, ranges: Sequence[tuple[int, int]], state: RemoteState) -> list[bytes]:
    """The bytes between each pair of places, at once, of a file that still has that state.

    Raises:
        ChangedError: it has another one.
        DataError: they cannot be had.
    """
    files, path = _opened(url)

    def pieces() -> list[bytes]:
        found = files.cat_ranges(
            [path] * len(ranges), *map(list, zip(*ranges, strict=True)), on_error="raise"
        )
        # Asked afterwards: what was read before is then of that state, too.
        if _state(files, path) != state:
            raise ChangedError
        for piece, (begin, end) in zip(found, ranges, strict=True):
            if len(piece) > end - begin:
                raise _RefusedError("the server sends whole files where parts are asked for")
            if len(piece) < end - begin:
                raise OSError(f"got {len(piece):,} of {end - begin:,} bytes")
        return list(found)

    return _tried(url, pieces)


def find_files(pattern: str) -> list[str]:
    """The addresses that a pattern names, sorted, or the one address that is no pattern.

    Raises:
        DataError: it names none, or what is there cannot be listed.
    """
    place, _, query = pattern.partition("?")  # in the query of an address, no sign is special
    if not (is_pattern(place) if query else is_pattern(pattern)):
        return [pattern]
    files, path = _opened(pattern)
    found = _tried(pattern, lambda: sorted(files.glob(path)))
    if not found:
        raise DataError(
            f"no file matches {shown_address(pattern)!r}; expected a pattern of tar files such as "
            "'train-*.tar' or 'train-{00..02}.tar': quote it against the shell"
        )
    return [str(files.unstrip_protocol(one)) for one in found]


_FILE_SYSTEMS: dict[tuple[int, str], Any] = {}
"""fsspec's, by process and beginning of the address.

A process that was forked makes its own, as fsspec asks for, and lets those of its parent be: to
close them here would cut connections that the parent still uses, which fsspec's own store of them
does.
"""


def _opened(url: str) -> tuple[Any, str]:
    """The file system of an address, and what the file is called there."""
    key = os.getpid(), "/".join(url.split("/", 3)[:3])
    try:
        if key not in _FILE_SYSTEMS:
            core = importlib.import_module("fsspec.core")
            # Nothing is remembered of what was listed: states have to be those of now.
            options = {"skip_instance_cache": True, "use_listings_cache": False}
            _FILE_SYSTEMS[key], _ = core.url_to_fs(url, **options)
        files = _FILE_SYSTEMS[key]
        return files, files._strip_protocol(url)
    except ImportError as error:
        what, package = f"Reading {shown_address(url)!r}", _package(error)
        if package in _IN_THE_EXTRA:
            raise MissingExtraError(what, package, "remote") from error
        raise MissingPackageError(what, package) from error
    except ValueError as error:
        raise UsageError(
            f"{shown_address(url)!r} cannot be read ({_plain(reason(error))}); expected an address "
            "that fsspec knows, such as s3://, gs://, hf:// or https://"
        ) from error


def _package(error: BaseException) -> str:
    """The package whose lack fsspec has met."""
    causes = [one for one in _causes(error) if isinstance(one, ImportError) and one.name]
    return str(causes[-1].name).partition(".")[0] if causes else _plain(reason(error))


def _state(files: Any, path: str) -> RemoteState:
    files.invalidate_cache()
    info = files.info(path)
    if info.get("type") == "directory":
        raise _RefusedError("it is a folder")
    if info.get("size") is None:
        raise _RefusedError("the server does not say how large it is")
    for names in _VERSIONS:
        said = [str(info[name]) for name in names if info.get(name) is not None]
        if said:
            return RemoteState(info["size"], said[0])
    return RemoteState(info["size"], "")


def _tried(url: str, get: Callable[[], _T]) -> _T:
    """What a call gives, tried again where that may help."""
    pauses, end = iter(_PAUSES), time.monotonic() + _PATIENCE
    while True:
        try:
            return get()
        except ChangedError:
            raise
        except Exception as error:  # of any package that fsspec brings in
            statuses = [status for one in _causes(error) if (status := _status(one))]
            if 416 in statuses:  # no such range, any more
                raise ChangedError from error
            pause, refused = next(pauses, None), _refused(error, statuses)
            if refused or pause is None or time.monotonic() > end:
                why, advice = refused or (_why(error), _NO_ANSWER)
                raise DataError(
                    f"{shown_address(url)!r} cannot be read ({why}); {advice}"
                ) from error
        time.sleep(pause)


def _refused(error: Exception, statuses: Sequence[int]) -> tuple[str, str] | None:
    """Why trying again is of no use, and what to do; None if it is of use."""
    if isinstance(error, _RefusedError):
        return str(error), _NO_TAR
    if any("Credential" in type(one).__name__ for one in _causes(error)):
        return _why(error), _PUBLIC
    status = statuses[-1] if statuses else _usual_status(error)
    if status is None:
        return (_why(error), _WRONG) if _is_wrong(error) else None
    if status in _TRY_AGAIN or not 400 <= status < 500:
        return None
    return f"{_why(error)}, status {status}", _REFUSED.get(status, _WRONG)


def _is_wrong(error: Exception) -> bool:
    """Whether an error says that the question is wrong: botocore's own, or one of Python's."""
    names = {type(one).__name__ for one in _causes(error)}
    return "ParamValidationError" in names or isinstance(
        error, (ValueError, TypeError, NotImplementedError)
    )


def _usual_status(error: Exception) -> int | None:
    """The status of an error that came without one."""
    if isinstance(error, PermissionError):
        return 403
    # Where fsspec could not ask, it says that a file is not there, with the cause.
    return 404 if isinstance(error, FileNotFoundError) and error.__cause__ is None else None


def _why(error: BaseException) -> str:
    """What the innermost error says: those around it are often less exact."""
    *_, last = _causes(error)
    return shorten(_plain(reason(last)).rstrip("."), 160)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _status(error: BaseException) -> int | None:
    """The status of HTTP that an error holds."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    elif response is not None:  # of requests and httpx
        status = getattr(response, "status_code", None)
    else:  # of aiohttp, else Google's; the former frowns on who asks for its code
        status = error.status if hasattr(error, "status") else getattr(error, "code", None)
    return status if isinstance(status, int) else None


_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")


def _plain(text: str) -> str:
    """A text of others with the addresses in it without their secrets."""
    return _ADDRESS.sub(lambda match: shown_address(match[0]), text)
