"""Where this package was installed from, and so how more of it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

_NAME = "sr4"
_SOURCES = Path(__file__).parents[3]  # of a checkout; elsewhere a folder without our project file


def how_to_install(extra: str, package: str) -> str:
    """The command that installs an extra from where this package came: a checkout or a wheel that
    is still there. Where that is not known, the package alone, which indexes have.
    """
    origin = _origin()
    if origin is None:
        return f"pip install '{package}'"
    if origin.is_dir():
        return f"pip install '{origin}[{extra}]'"
    return f"pip install '{_NAME}[{extra}] @ {origin.as_uri()}'"


def _origin() -> Path | None:
    """The checkout or wheel that holds the package, if one is there."""
    from importlib import metadata  # these two take a while, and few calls need them
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    if _is_checkout(_SOURCES):
        return _SOURCES
    try:
        said = metadata.distribution(_NAME).read_text("direct_url.json")  # PEP 610
        parts = urlsplit(json.loads(said or "{}").get("url", ""))
    except (metadata.PackageNotFoundError, OSError, ValueError, AttributeError):
        return None
    path = Path(url2pathname(parts.path))
    if parts.scheme != "file" or not (path.is_file() or _is_checkout(path)):
        return None
    return path


def _is_checkout(folder: Path) -> bool:
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return re.search(rf'^name = "{_NAME}"$', text, re.MULTILINE) is not None
