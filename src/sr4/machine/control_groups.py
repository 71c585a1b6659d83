"""Control groups of Linux, versions 1 and 2: the limits of a container, a service or a job."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def group_folders(controller: str) -> list[Path]:
    """The folders of this process's group and of all groups around it, whose limits hold too, for
    a controller such as "memory"; those of version 1 first.

    In a container the groups are named as the system outside calls them, but the container sees its
    own as the root: names that lead nowhere are passed over.
    """
    names = {"": "/", controller: "/"}  # of the group, by controller; of version 2 by none
    with suppress(OSError, ValueError):
        for line in _OWN.read_text(encoding="utf-8").splitlines():
            _, controllers, name = line.split(":", 2)
            for one in controllers.split(","):
                if one in names:
                    names[one] = name
    found = []
    for one in (controller, ""):
        top = _ROOT / one
        own = top / names[one].strip("/")
        found += [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]
