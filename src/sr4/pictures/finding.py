"""The picture files of a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sr4.errors import PictureError, reason
from sr4.files.paths import missing_path
from sr4.machine.installation import how_to_install

# fmt: off
SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp",
    ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif",
    ".hif",
))
HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
"""Those of them that are read with the extra `heic` alone."""

FOREIGN_SUFFIXES = frozenset((
    ".jxl", ".svg", ".psd", ".psb", ".xcf", ".kra", ".exr", ".hdr", ".dds", ".tga", ".ico", ".icns",
    ".cur", ".pcx", ".sgi", ".ras", ".xbm", ".xpm", ".pam", ".pfm", ".qoi", ".flif", ".bpg", ".jxr",
    ".wdp", ".jpf", ".jpm", ".j2c", ".jpc", ".fits", ".fit", ".dcm", ".dng", ".raw", ".cr2", ".cr3",
    ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f", ".pdf", ".eps", ".ps",
    ".ai", ".wmf", ".emf", ".djvu", ".avifs", ".heics", ".heifs",
))
# fmt: on
"""Suffixes of pictures that are neither read nor written."""

_NAMED = 5  # suffixes of other files that a message names


class Files(NamedTuple):
    """The files of a folder: pictures by their suffix, and all others, each sorted by path."""

    pictures: list[Path]
    others: list[Path]


def read_here(suffixes: Collection[str]) -> frozenset[str]:
    """Those of the suffixes whose files can be read with what is installed."""
    return frozenset(suffixes) - (HEIF_SUFFIXES if find_spec("pillow_heif") is None else set())


def counted(files: Iterable[Path]) -> dict[str, int]:
    """How many files there are of each suffix in lower case, the most frequent first."""
    counts = Counter(file.suffix.lower() for file in files)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def told(counts: Mapping[str, int]) -> str:
    """What is said of files that are left out by their suffix: how many of which."""
    named = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in counts.items()]
    more = f" and {len(named) - _NAMED:,} more suffixes" if len(named) > _NAMED else ""
    total = sum(counts.values())
    said = f"{total:,} {'file' if total == 1 else 'files'}: {', '.join(named[:_NAMED])}{more}"
    if HEIF_SUFFIXES & set(counts):
        said += f"; HEIC is read with the extra heic: {how_to_install('heic', 'pillow-heif')}"
    return said


def nothing_found(others: Mapping[str, int]) -> str:
    """What a folder without a picture holds, by the suffixes of its files, and what is expected."""
    what = f"nothing but {told(others)}" if others else "no pictures"
    return (
        f"holds {what}; expected pictures with a suffix such as .png, .jpg or .webp: check the path"
    )


def list_files(path: str | Path, suffixes: Collection[str] = SUFFIXES) -> Files:
    """The files under a folder, searched recursively; those of the suffixes are pictures.

    Links to folders are followed, but not to those that hold this one, and each real folder is
    entered once, so loops end. Hidden files and folders (name starts with a dot) are left out:
    systems and archivers keep their notes there.

    Raises:
        PictureError: the folder, or one inside it, is missing, no folder, or may not be read.
    """
    root = Path(path)
    found = Files([], [])

    def refuse(error: OSError) -> None:
        raise error

    try:
        entered = {_identity(above) for above in root.resolve().parents}
        for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
            if (identity := _identity(folder)) in entered:
                folders.clear()
                continue
            entered.add(identity)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            place = Path(folder)
            for name in files:
                if not name.startswith("."):
                    is_picture = os.path.splitext(name)[1].lower() in suffixes
                    (found.pictures if is_picture else found.others).append(place / name)
    except FileNotFoundError as error:
        raise PictureError(missing_path(Path(error.filename or root))) from error
    except (OSError, ValueError) as error:
        refused = getattr(error, "filename", None) or root
        raise PictureError(
            f"the folder {str(refused)!r} cannot be listed ({reason(error)}); expected a readable "
            "folder of pictures"
        ) from error
    for files_of_a_kind in found:
        files_of_a_kind.sort(key=Path.as_posix)  # which begin with the root alike
    return found


def _identity(folder: str | Path) -> tuple[int, int]:
    """What a folder is known by, whichever way leads to it."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
