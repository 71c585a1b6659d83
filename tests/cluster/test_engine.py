"""Addresses of clusters, and what is said where there is none."""

from __future__ import annotations

import socket
import sys

import pytest

from sr4.cluster.engine import joined
from sr4.errors import ClusterError, MissingExtraError, UsageError


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "ray://host:10001", "host:", ":6379", "host:0", "host:70000", "host:x"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="expected auto, or HOST:PORT"), joined(address):
        pass


def test_an_address_where_nothing_answers_is_one_line() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(ClusterError, match=r"no cluster answers at .*: `ray start"):
            with joined(f"127.0.0.1:{port}"):
                pass


@pytest.mark.parametrize("name", ["nohost.invalid", "a" * 70])
def test_a_name_that_no_host_has_is_one_line(name: str) -> None:
    with pytest.raises(ClusterError, match="no cluster answers"), joined(f"{name}:6379"):
        pass


def test_without_the_extra_one_line_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install '.*\[cluster\]'"), joined("auto"):
        pass
