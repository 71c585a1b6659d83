"""Make tar shards of square pictures from any source, and say what a source holds."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from sr4.data.decoded import is_deep_file
from sr4.data.encoded import EncodedSource
from sr4.data.manifest import (
    PREPARED,
    Manifest,
    PictureEntry,
    ShardEntry,
    SkippedEntry,
    SourceEntry,
    read_manifest,
)
from sr4.data.sources import open_source
from sr4.errors import BadPictureError, DataError, PictureError, UsageError, reason
from sr4.files.paths import plain
from sr4.files.whole import file_sha256
from sr4.pictures import read_picture
from sr4.pictures.metadata import NO_METADATA
from sr4.pictures.raster import Colour, checked
from sr4.pictures.reading import NPY
from sr4.pictures.rgb import Header, read_header
from sr4.pictures.tiff_writing import write_deep

Format = Literal["png", "webp", "tif"]
OnProgress = Callable[[int, int], None]  # pictures done, pictures in all

_FORMATS: tuple[str, ...] = get_args(Format)
_SAVE_OPTIONS: dict[Format, dict[str, int]] = {"png": {}, "webp": {"quality": 92, "method": 4}}


def prepare(
    src: str | Path,
    out: str | Path,
    *,
    size: int,
    shard_images: int = 1000,
    format: Format | None = None,
    channels: int = 3,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Manifest:
    """Cut the pictures of a source square, bring them to one size and write them as tar shards.

    Each picture is cropped to its central square, then resized (bicubic with antialiasing). The
    folder appears when all is done, and equal input gives equal bytes. Pictures that cannot be read
    or are smaller than `size` are left out and listed in the manifest.

    Args:
        src: what `open_source` takes.
        out: the folder to make: `00000.tar`, `00001.tar` … and `manifest.json`.
        size: height and width of the prepared pictures.
        shard_images: pictures in a shard.
        format: "png" keeps 8-bit pixels exactly; "webp" (quality 92) is about a seventh as large;
            "tif" keeps numbers of any depth and any number of channels. By default "png", or "tif"
            where there are neither 1 nor 3 channels.
        channels: 3 for RGB, 1 for grey, any other number for pictures of as many bands.
        overwrite: replace `out`, but only if it was made by this function.
        on_progress: called after each picture.

    Returns:
        The manifest that was written.

    Raises:
        UsageError: an impossible setting.
        DataError: the source cannot be used, none of its pictures can, or `out` cannot be written.
    """
    for name, value in (("size", size), ("shard_images", shard_images), ("channels", channels)):
        if value < 1:
            raise UsageError(f"got {name} {value}; expected at least 1")
    has_colours = channels in (1, 3)
    format = format or ("png" if has_colours else "tif")
    if format not in _FORMATS:
        raise UsageError(f"got the format {format!r}; expected one of {', '.join(_FORMATS)}")
    if format != "tif" and not has_colours:
        raise UsageError(
            f"got the format {format} for pictures of {channels} channels; expected tif, which "
            "holds any number: leave the format out"
        )
    source, out = open_source(src, channels), Path(out)
    try:
        with PREPARED.new(out, overwrite=overwrite) as folder:
            writer = _ShardWriter(folder, shard_images, format)
            skipped = _write_all(source, writer, size, on_progress)
            if not writer.shards:
                raise DataError(
                    f"none of the {len(source)} pictures of {source.location!r} can be used; "
                    f"the first: {skipped[0].reason}"
                )
            manifest = Manifest(
                size=size,
                format=format,
                count=len(source) - len(skipped),
                source=SourceEntry(
                    location=plain(source.location), kind=source.kind, pictures=len(source)
                ),
                shards=tuple(writer.shards),
                skipped=tuple(skipped),
            )
            manifest.write(folder)
    except OSError as error:
        raise DataError(
            f"{str(out)!r} cannot be written ({reason(error)}); expected a writable folder with "
            "room for the shards"
        ) from error
    return manifest


def _write_all(
    source: EncodedSource, writer: _ShardWriter, size: int, on_progress: OnProgress | None
) -> list[SkippedEntry]:
    """Write every picture that can be used; the others, with the reason.

    Raises:
        DataError: the source has changed, or cannot be read any more.
    """
    skipped = []
    try:
        for index, name in enumerate(source.names):
            try:
                given = source.numbers(index) if writer.is_deep else source.read(index)
                picture = central_square(given, size)
            except BadPictureError as error:
                skipped.append(SkippedEntry(source=plain(name), reason=plain(str(error))))
            else:
                writer.add(picture, name)
            if on_progress is not None:
                on_progress(index + 1, len(source))
    finally:
        writer.close()
    return skipped


def central_square(pixels: NDArray[Any], size: int) -> NDArray[Any]:
    """The square in the middle of a picture (H, W, C) brought to a size, (size, size, C), in the
    same numbers.

    Raises:
        BadPictureError: it is smaller.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    if side < size:
        raise BadPictureError(
            f"too small: {width}x{height} pixels, expected at least {size}x{size}"
        )
    left, top = (width - side) // 2, (height - side) // 2
    pixels = pixels[top : top + side, left : left + side]
    if side == size:
        return pixels
    return np.stack([_resized(plane, size) for plane in np.moveaxis(pixels, 2, 0)], axis=2)


def _resized(plane: NDArray[Any], size: int) -> NDArray[Any]:
    """By Pillow's bicubic, which is antialiased when it makes a picture smaller."""
    is_shallow = plane.dtype == np.uint8
    image = Image.fromarray(plane if is_shallow else plane.astype(np.float32))
    found = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    if is_shallow or plane.dtype.kind == "f":
        return found.astype(plane.dtype)
    # Whole numbers overshoot beside edges: what they do not hold, float32 may not tell apart.
    limits = np.iinfo(plane.dtype)
    return np.clip(np.rint(found.astype(np.float64)), limits.min, limits.max).astype(plane.dtype)


def _encoded(pixels: NDArray[Any], format: Format) -> bytes:
    buffer = io.BytesIO()
    if format == "tif":
        colour: Colour = {1: "grey", 3: "rgb"}.get(pixels.shape[2], "bands")  # type: ignore[assignment]
        write_deep(buffer, checked(pixels, colour), NO_METADATA)
    else:
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image.save(buffer, format=format, **_SAVE_OPTIONS[format])
    return buffer.getvalue()


class _ShardWriter:
    """Writes pictures into numbered tars of equal length, one open at a time."""

    def __init__(self, folder: Path, shard_images: int, format: Format) -> None:
        self.shards: list[ShardEntry] = []  # the finished ones
        self._folder, self._shard_images, self._format = folder, shard_images, format
        self._tar: tarfile.TarFile | None = None
        self._entries: list[PictureEntry] = []
        self._taken: set[str] = set()

    @property
    def is_deep(self) -> bool:
        """Whether it writes numbers of any depth."""
        return self._format == "tif"

    def _path(self) -> Path:
        return self._folder / f"{len(self.shards):05d}.tar"

    def add(self, pixels: NDArray[Any], source_name: str) -> None:
        data = _encoded(pixels, self._format)
        if self._tar is None:
            self._tar = tarfile.open(self._path(), "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        member = tarfile.TarInfo(self._member_name(source_name))  # time, owner and group are 0
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))
        digest = hashlib.sha256(data).hexdigest()
        self._entries.append(
            PictureEntry(name=member.name, source=plain(source_name), sha256=digest)
        )
        if len(self._entries) == self._shard_images:
            self.close()

    def close(self) -> None:
        """Finish the open shard, if any."""
        if self._tar is None:
            return
        self._tar.close()
        path = self._path()
        self.shards.append(
            ShardEntry(file=path.name, sha256=file_sha256(path), pictures=tuple(self._entries))
        )
        self._tar, self._entries = None, []

    def _member_name(self, source_name: str) -> str:
        """The name in the source with the new suffix: relative, unique, and without a dot in its
        stem, since WebDataset ends a sample's name at the first one.
        """
        parts = [part for part in PurePosixPath(source_name).parts if part not in ("/", "..")]
        *folders, base = parts
        stem = PurePosixPath(plain(base)).stem.replace(".", "_")
        path = PurePosixPath(*map(plain, folders), stem)
        names = (f"{path}-{n}.{self._format}" for n in count(2))
        name = f"{path}.{self._format}"
        while name in self._taken:
            name = next(names)
        self._taken.add(name)
        return name


class Summary(BaseModel):
    """What a source holds. Sizes are (width, height); counts are over the sampled pictures."""

    model_config = ConfigDict(frozen=True)

    location: str
    kind: str  # "folder", "tar", "lmdb"
    count: int
    sampled: int
    smallest: tuple[int, int] | None  # None if no sampled picture is readable
    largest: tuple[int, int] | None
    most_common: tuple[int, int] | None
    formats: dict[str, int]
    modes: dict[str, int]
    unreadable: tuple[str, ...]  # one line each
    left_out: dict[str, int] = Field(default_factory=dict)  # files of no picture, by suffix
    manifests: int  # prepared data sets behind this source
    damaged: tuple[str, ...]  # shards whose checksum is not the manifest's


def _header(data: bytes, label: str) -> Header:
    """Of what a source reads, which is more than Pillow does."""
    if not is_deep_file(data):
        return read_header(data, name=label)
    raster = read_picture(data, name=label).frames[0]
    bands = raster.pixels.shape[2]
    kind = "NPY" if data.startswith(NPY) else "TIFF"
    return Header(kind, f"{bands} of {raster.pixels.dtype}", *raster.size)


def info(spec: str | Path, *, samples: int = 1000) -> Summary:
    """Look at the headers of up to `samples` evenly spaced pictures, and verify the checksums of
    prepared shards.

    Raises:
        DataError: the source cannot be opened.
    """
    source = open_source(spec)
    indices = np.unique(np.linspace(0, len(source) - 1, min(samples, len(source))).astype(int))
    headers, unreadable = [], []
    for index in map(int, indices):
        try:
            headers.append(_header(source.read_bytes(index), source.label(index)))
        except (DataError, PictureError) as error:
            unreadable.append(str(error))
    sizes = Counter((header.width, header.height) for header in headers)
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in source.paths)
    manifests = {folder: found for folder in folders if (found := read_manifest(folder))}
    return Summary(
        location=source.location,
        kind=source.kind,
        count=len(source),
        sampled=len(indices),
        smallest=by_area[0] if sizes else None,
        largest=by_area[-1] if sizes else None,
        most_common=sizes.most_common(1)[0][0] if sizes else None,
        formats=dict(Counter(header.format for header in headers).most_common()),
        modes=dict(Counter(header.mode for header in headers).most_common()),
        unreadable=tuple(unreadable),
        left_out=dict(source.left_out),
        manifests=len(manifests),
        damaged=tuple(
            str(folder / file)
            for folder, manifest in manifests.items()
            for file in manifest.damaged(folder)
        ),
    )
