"""The user's cache: where it is, and whether a folder in it is this user's alone."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from sr4.files.owners import is_mine


def cache_folder() -> Path | None:
    """The folder for what can be made or fetched again: sr4's part of the platform's cache. None
    where there is none, as for a user without a home.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        # A relative path is to be ignored, as the XDG Base Directory Specification says.
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):
            base = os.path.expanduser("~/.cache")
    return Path(base, "sr4") if os.path.isabs(base) else None


def is_private(folder: Path) -> bool:
    """Whether a folder is this user's, no link, and closed to all others; ours gets closed."""
    try:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or not is_mine(status):
            return False
        if sys.platform != "win32" and stat.S_IMODE(status.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError:
        return False
    return True
