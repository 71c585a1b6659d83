"""Tars whose headers lie: each is refused in one line, none hangs or fills the memory."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from sr4.data.tars import index_tar
from sr4.errors import DataError


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.type = kind
    block = bytearray(member.tobuf())
    field = (size & ((1 << 96) - 1)).to_bytes(12, "big")  # GNU's form, two's complement
    block[124:136] = bytes([field[0] | 0x80]) + field[1:]
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        index_tar(path, lambda name: name.endswith(".png"))
    message = str(caught.value)
    assert message.startswith(repr(str(path)))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("size", "kind", "said"),
    [
        (-1024, tarfile.REGTYPE, "a member has a negative size"),  # at itself again and again
        (-1, tarfile.REGTYPE, "a member has a negative size"),
        (-512, tarfile.GNUTYPE_LONGNAME, "a member has a negative size"),
        (2**40, tarfile.XHDTYPE, "a name or note has 1,099,511,627,776 bytes"),
        (2**40, tarfile.GNUTYPE_LONGNAME, "a name or note has 1,099,511,627,776 bytes"),
    ],
)
def test_sizes_that_no_member_has(tmp_path: Path, size: int, kind: bytes, said: str) -> None:
    path = tmp_path / "t.tar"
    path.write_bytes(header("a.png", 0) + header("b.png", size, kind) + bytes(1024))
    assert said in refusal(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"GNU.sparse.map": "1,x,3", "GNU.sparse.size": "9"},
        {"size": "-512"},
        {"size": "-2048"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"},
        {"GNU.sparse.map": "0,9", "GNU.sparse.size": "9"},  # true, but no picture of ours
    ],
)
def test_damaged_extensions(tmp_path: Path, fields: dict[str, str]) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(3):
            member = tarfile.TarInfo(f"{number}.png")
            member.size, member.pax_headers = 700, fields if number == 1 else {}
            tar.addfile(member, io.BytesIO(bytes(700)))
    refusal(path)


def link(target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("./link.png")
    member.type, member.linkname = tarfile.LNKTYPE, target
    return member


def test_hard_links_are_the_files_that_they_name(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("./a.png", "b.bin"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(name[-4:].encode()))
        tar.addfile(link("b.bin"))
        tar.addfile(link("a.png"))  # the last counts
    _, places = index_tar(path, lambda name: name.endswith(".png"))
    assert list(places) == ["a.png", "link.png"]
    assert places["link.png"] == places["a.png"]
    offset, size = places["link.png"]
    assert path.read_bytes()[offset : offset + size] == b".png"


def test_a_hard_link_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(link("gone.png"))
    assert "'link.png' is a link to 'gone.png', which is not before it" in refusal(path)
