"""Addresses of clusters, and what is said where there is none."""

from __future__ import annotations

import socket
import sys

import pytest

from sr4.cluster import engine
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
        said = pytest.raises(ClusterError, match=r"no cluster answers at .*: `ray start")
        with said, joined(f"127.0.0.1:{port}"):
            pass


@pytest.mark.parametrize("name", ["nohost.invalid", "a" * 70])
def test_a_name_that_no_host_has_is_one_line(name: str) -> None:
    with pytest.raises(ClusterError, match="no cluster answers"), joined(f"{name}:6379"):
        pass


def test_without_the_extra_one_line_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install '.*\[cluster\]'"), joined("auto"):
        pass


@pytest.mark.parametrize(
    ("nodes", "device", "room"),
    [
        ([{"CPU": 4.0}, {"CPU": 5.0}, {"CPU": 1.0}], "auto", 4),
        ([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 4.0}, {"CPU": 8.0}], "cuda", 2),
        ([{"CPU": 1.0}, {}], "auto", 0),
        ([{"CPU": 64.0}], "cuda", 0),
    ],
)
def test_a_worker_takes_two_processors_of_a_node_that_lives(
    nodes: list[dict[str, float]], device: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    found = [{"Resources": one, "Alive": True} for one in nodes]
    found.append({"Resources": {"CPU": 64.0, "GPU": 8.0}, "Alive": False})
    monkeypatch.setattr(ray, "nodes", lambda: found)
    if room:
        assert engine._room(device) == room
    else:
        with pytest.raises(ClusterError, match="no node of the cluster has 2 logical CPUs"):
            engine._room(device)
