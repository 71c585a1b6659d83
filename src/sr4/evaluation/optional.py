"""Optional packages, imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

from sr4.errors import MissingExtraError


def require(module: str, *, what: str, package: str, extra: str = "train") -> Any:
    """The imported module; MissingExtraError says that `what` needs `package`, which is in that
    extra, if it is absent.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(what, package, extra) from error
