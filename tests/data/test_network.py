"""What comes of addresses that do not answer as they should: another try, or one line."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("aiohttp")
registry = pytest.importorskip("fsspec.registry")

from sr4.data import network  # noqa: E402
from sr4.data.network import fetch, find_files, remote_state  # noqa: E402
from sr4.data.tars import ChangedError  # noqa: E402
from sr4.errors import DataError, MissingExtraError, MissingPackageError, UsageError  # noqa: E402
from tests.data.servers import Server  # noqa: E402


def refusal(url: str) -> str:
    with pytest.raises(DataError) as caught:
        remote_state(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bytes_of_a_state(server: Server) -> None:
    server.files["x"] = b"0123456789"
    state = remote_state(server.url("x"))
    assert state.size == 10
    assert fetch(server.url("x"), [(0, 3), (5, 10)], state) == [b"012", b"56789"]
    for other in (b"abcdefghij", b"0123"):
        server.files["x"] = other
        with pytest.raises(ChangedError):
            fetch(server.url("x"), [(5, 10)], state)


def test_failures_that_pass_are_tried_again(server: Server) -> None:
    server.files["x"] = b"0123456789"
    server.statuses = [503, 503]
    state = remote_state(server.url("x"))
    server.statuses = [500, 429]
    assert fetch(server.url("x"), [(2, 4)], state) == [b"23"]
    assert server.statuses == []


def test_failures_that_stay(server: Server) -> None:
    server.statuses = [503] * 100
    said = refusal(server.url("x"))
    assert "cannot be read (503" in said
    assert said.endswith("expected an answer: check the address and the network, and start again")
    assert len(server.requests) == 2 * (1 + len(network._PAUSES))  # HEAD, then GET, each time


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "set your credentials as the tools of that service do"),
        (403, "check your credentials and what they allow"),
        (404, "expected a tar that is there: correct the address"),
        (410, "expected an address that can be read: correct it"),
    ],
)
def test_refusals_are_not_tried_again(server: Server, status: int, advice: str) -> None:
    server.statuses = [status] * 2
    said = refusal(server.url("secret.tar?X-Amz-Signature=hidden"))
    assert said.startswith(f"{server.url('secret.tar')!r} cannot be read (")
    assert f"status {status}" in said
    assert said.endswith(advice)
    assert "hidden" not in said
    assert len(server.requests) == 2


def test_nobody_answers() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_PAUSES", (0.01,))
        said = refusal("http://me:hidden@127.0.0.1:1/x.tar")
    assert said.startswith("'http://127.0.0.1:1/x.tar' cannot be read (")
    assert said.endswith("check the address and the network, and start again")


def test_a_server_without_parts(server: Server) -> None:
    server.files["x"] = b"0123456789"
    server.has_ranges = False
    state = remote_state(server.url("x"))
    with pytest.raises(DataError, match="sends whole files where parts are asked for"):
        fetch(server.url("x"), [(2, 4)], state)


def test_patterns(server: Server) -> None:
    server.files["d/"] = b'<a href="a-1.tar">1</a> <a href="b.tar">b</a> <a href="a-0.tar">0</a>'
    assert find_files(server.url("d/a-*.tar")) == [
        server.url("d/a-0.tar"),
        server.url("d/a-1.tar"),
    ]
    assert find_files(server.url("d/a.tar?x=*")) == [server.url("d/a.tar?x=*")]
    with pytest.raises(DataError, match=r"no file matches .*quote it against the shell"):
        find_files(server.url("d/c-*.tar"))


@pytest.mark.parametrize(
    ("protocol", "package", "command"),
    [("s3", "s3fs", "remote]'"), ("https", "aiohttp", "remote]'"), ("gs", "gcsfs", "'gcsfs'")],
)
def test_packages_that_are_missing(
    monkeypatch: pytest.MonkeyPatch, protocol: str, package: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    monkeypatch.delitem(registry._registry, protocol, raising=False)
    with pytest.raises(MissingPackageError) as caught:
        remote_state(f"{protocol}://user:hidden@there/x.tar?hidden")
    said = str(caught.value)
    assert said.startswith(f"Reading '{protocol}://there/x.tar' needs the package {package!r}")
    assert said.endswith(command)


def test_fsspec_itself_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match="needs the package 'fsspec'"):
        remote_state("https://nowhere.invalid/x.tar")


def test_protocols_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match=r"'foo://bar/x.tar' cannot be read .* such as s3://"):
        remote_state("foo://bar/x.tar")
