"""The picture files of a folder."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from sr4.errors import PictureError, reason
from sr4.files.paths import missing_path

# fmt: off
SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp",
    ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif",
    ".hif",
))
# fmt: on
"""The suffixes, in lower case, of the picture files that are read, HEIC with its extra alone."""


def list_images(path: str | Path, suffixes: Collection[str] = SUFFIXES) -> list[Path]:
    """The picture files under a folder, by suffix, searched recursively and sorted by path.

    Links to folders are followed, each real folder is entered once, so loops end. Hidden files and
    folders (name starts with a dot) are left out: systems and archivers keep their notes there.

    Raises:
        PictureError: the folder, or one inside it, is missing, no folder, or may not be read.
    """
    root = Path(path)
    found: list[Path] = []
    entered: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise error

    try:
        for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                folders.clear()
                continue
            entered.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [
                Path(folder, name)
                for name in files
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
            ]
    except FileNotFoundError as error:
        raise PictureError(missing_path(Path(error.filename or root))) from error
    except (OSError, ValueError) as error:
        place = getattr(error, "filename", None) or root
        raise PictureError(
            f"the folder {str(place)!r} cannot be listed ({reason(error)}); expected a readable "
            "folder of pictures"
        ) from error
    return sorted(found, key=lambda file: file.relative_to(root).as_posix())
