"""The manifest of a prepared data set: what is in its shards, where from, and their checksums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sr4.errors import DataError
from sr4.files.kinds import FolderKind
from sr4.files.whole import file_sha256

MANIFEST_NAME = "manifest.json"
_MAKER: Literal["sr4 data prepare"] = "sr4 data prepare"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PictureEntry(_Entry):
    """One picture of a shard."""

    name: str
    source: str  # its name in the source
    sha256: str  # of the encoded file


class ShardEntry(_Entry):
    """One tar."""

    file: str
    sha256: str
    pictures: tuple[PictureEntry, ...]


class SkippedEntry(_Entry):
    """A picture of the source that is in no shard."""

    source: str
    reason: str


class SourceEntry(_Entry):
    """Where the pictures came from."""

    location: str
    kind: str
    pictures: int


class Manifest(_Entry):
    """`manifest.json` beside the shards; it holds no time, so equal input gives equal bytes."""

    made_by: Literal["sr4 data prepare"] = _MAKER
    version: Literal[1] = 1
    size: int  # height and width of every picture
    format: Literal["png", "webp", "tif"]
    count: int
    source: SourceEntry
    shards: tuple[ShardEntry, ...]
    skipped: tuple[SkippedEntry, ...]

    def write(self, folder: Path) -> None:
        """Write it into the folder of its shards."""
        text = json.dumps(self.model_dump(), indent=1)
        (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")

    def damaged(self, folder: Path) -> tuple[str, ...]:
        """The shards that are missing in the folder, or whose checksum is another."""
        return tuple(shard.file for shard in self.shards if not _intact(folder / shard.file, shard))


def _intact(path: Path, shard: ShardEntry) -> bool:
    return path.is_file() and file_sha256(path) == shard.sha256


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder; None if there is none, or another program's.

    Raises:
        DataError: it is one of ours, and damaged or of a later version.
    """
    path = folder / MANIFEST_NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # not there, or not JSON, so none of ours
        return None
    if not isinstance(fields, dict) or fields.get("made_by") != _MAKER:
        return None
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{str(path)!r} is damaged or of another version ({first['msg']} at "
            f"{'.'.join(map(str, first['loc']))}); expected version 1: prepare the data again"
        ) from error


PREPARED = FolderKind(
    "was not made by `sr4 data prepare`",
    lambda folder: read_manifest(folder) is not None,
    DataError,
)
