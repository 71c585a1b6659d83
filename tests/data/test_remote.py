"""Tars at addresses give what tars on the disk give, from several processes and after kills."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from sr4.data import open_source, open_sources
from sr4.data.encoded import EncodedSource
from sr4.data.prepare import info
from sr4.data.shard_cache import BLOCK
from sr4.errors import DataError
from tests.data.servers import Server

# Prints a checksum of all pictures of a source, in an order of its own.
READER = """
import hashlib, random, sys
from sr4.data import open_source
if len(sys.argv) > 3:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
source = open_source(sys.argv[1])
print("open", flush=True)
order = random.Random(sys.argv[2]).sample(range(len(source)), len(source))
data = {index: source.read_bytes(index) for index in order}
print(hashlib.sha256(b"".join(data[index] for index in range(len(source)))).hexdigest())
"""


def reader(url: str, *more: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", READER, url, *map(str, more)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True)


def checksum(source: EncodedSource) -> str:
    data = b"".join(source.read_bytes(index) for index in range(len(source)))
    return hashlib.sha256(data).hexdigest()


def blocks_kept() -> list[Path]:
    return list(Path(os.environ["XDG_CACHE_HOME"], "sr4", "shards").glob("*.blocks"))


@pytest.fixture
def url(server: Server, large_tar: Path) -> str:
    server.files["large.tar"] = large_tar.read_bytes()
    return server.url("large.tar")


def test_the_same_bytes_as_from_the_disk(server: Server, url: str, large_tar: Path) -> None:
    local, remote = open_source(large_tar), open_source(url)
    assert remote.names == local.names
    assert (remote.kind, remote.location, remote.paths) == ("tar", url, ())
    assert remote.label(3) == f"{url}: 03.png"
    copy = pickle.loads(pickle.dumps(remote))  # noqa: S301 - our own
    assert checksum(copy) == checksum(remote) == checksum(local)
    with pytest.raises(DataError, match=r"large.tar: 03.png. is not a picture"):
        remote.read(3)

    count = len(server.requests)
    assert checksum(open_source(url)) == checksum(local)
    assert len(server.requests) == count + 1  # whether it is still the same


def test_few_requests(server: Server, url: str) -> None:
    """Headers of small members cost none of their own, and no byte comes twice."""
    open_source(url)
    assert server.requests.count("GET") == -(-len(server.files["large.tar"]) // BLOCK)
    assert server.requests.count("HEAD") <= 4  # blocks come in twos, fours, eights


def test_headers_far_apart_do_not_bring_what_is_between(
    server: Server, tmp_path: Path, write_tar: Callable[[Path, Mapping[str, bytes]], Path]
) -> None:
    far = {"0.png": os.urandom(5 * BLOCK), "1.png": os.urandom(5 * BLOCK), "2.png": b"2"}
    server.files["far.tar"] = write_tar(tmp_path / "far.tar", far).read_bytes()
    source = open_source(server.url("far.tar"))
    assert server.requests.count("GET") <= 4
    assert [source.read_bytes(index) for index in range(3)] == list(far.values())


def test_several_sources(server: Server, url: str, large_tar: Path) -> None:
    server.files["b-0.tar"] = server.files["b-1.tar"] = server.files["large.tar"]
    two = open_source(server.url("b-{0..1}.tar"))
    assert len(two) == 80
    assert two.location == server.url("b-{0..1}.tar")
    assert two.names[40] == "b-1.tar/00.png"
    mixed = open_sources([large_tar, f"{url}?token=hidden"])
    assert "hidden" not in "".join((mixed.location, *mixed.names, mixed.label(79)))
    assert checksum(mixed) == checksum(two)
    assert info(url).count == 40


def test_several_processes_at_once(server: Server, url: str, large_tar: Path) -> None:
    server.latency = 0.01
    readers = [reader(url, seed) for seed in range(2)]
    ends = [(one.communicate(timeout=60), one.returncode) for one in readers]
    assert [(out, error, code) for (out, error), code in ends] == [
        (f"open\n{checksum(open_source(large_tar))}\n", "", 0)
    ] * 2
    assert len(blocks_kept()) == 1


def test_kills_while_the_cache_is_filled(server: Server, url: str, large_tar: Path) -> None:
    server.latency = 0.02
    kept = set()
    for attempt in range(4):
        one = reader(url, attempt)
        count = len(server.requests)
        while len(server.requests) < count + 3 and one.poll() is None:
            time.sleep(0.005)
        time.sleep(0.004 * attempt)
        one.send_signal(signal.SIGKILL)
        one.communicate(timeout=60)
        kept.add(one.returncode)
    assert -signal.SIGKILL in kept
    server.latency = 0.0
    assert checksum(open_source(url)) == checksum(open_source(large_tar))


def test_a_tar_that_changes(server: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR4_CACHE_GIGABYTES", "0")
    source = open_source(url)
    first = source.read_bytes(5)
    data = server.files["large.tar"]
    for changed in (data.replace(first, first[::-1]), data[: BLOCK // 2]):
        server.files["large.tar"] = changed
        with pytest.raises(DataError, match=r"05.png' cannot be read \(the tar has changed\)"):
            source.read_bytes(5)
    server.files["large.tar"] = data.replace(first, first[::-1])
    assert open_source(url).read_bytes(5) == first[::-1]


def test_what_is_kept_is_of_one_state(server: Server, url: str) -> None:
    source = open_source(url)
    first = source.read_bytes(5)
    server.files["large.tar"] = server.files["large.tar"].replace(first, first[::-1])
    assert source.read_bytes(5) == first  # as it was when it was opened
    assert open_source(url).read_bytes(5) == first[::-1]


@pytest.mark.skipif(os.name == "nt", reason="the system has no such limits")
def test_full_disks(server: Server, url: str, large_tar: Path) -> None:
    out, error = reader(url, 0, 3 * BLOCK).communicate(timeout=60)
    assert out == f"open\n{checksum(open_source(large_tar))}\n"
    assert error.count("not kept on this computer (File too large)") == 1


def test_tars_of_no_use(server: Server, url: str) -> None:
    whole = server.files["large.tar"]
    for name, data, expected in (
        ("junk.tar", os.urandom(5000), "is no tar"),
        ("cut.tar", whole[: len(whole) // 2], "truncated or damaged"),
        ("empty.tar", b"", "is no tar"),
        ("text.tar", bytes(10240), "picture"),
    ):
        server.files[name] = data
        with pytest.raises(DataError, match=expected):
            open_source(server.url(name))
