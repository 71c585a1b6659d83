"""Whose a file is: of this user, and while it is locked of one thread or process alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":  # there, two processes that write one name are not kept apart
    import fcntl


def is_mine(status: os.stat_result) -> bool:
    """Whether a file or folder is this user's; what others have planted may say anything."""
    return sys.platform == "win32" or status.st_uid == os.geteuid()


def take(handle: int, path: Path) -> bool:
    """Whether the lock could be had, until it is closed, of an open file that still has its
    name.
    """
    if sys.platform == "win32":
        return True
    try:  # flock, which keeps threads apart, too
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks
        return True
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
