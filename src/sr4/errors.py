"""The errors SR4 raises on purpose.

Every message is one line with three parts: what was got, what was expected, what to do. The command
line prints that line and nothing else, and leaves with `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from sr4.machine.installation import how_to_install


class SR4Error(Exception):
    """Base of all errors that SR4 raises on purpose."""

    exit_code = 1


class UsageError(SR4Error):
    """The call itself is wrong: unknown name, impossible value, contradicting options."""

    exit_code = 2


class PictureError(SR4Error):
    """A picture cannot be read or written."""


class DataError(SR4Error):
    """A source of training or test pictures cannot be used."""


class BadPictureError(DataError):
    """One picture of a source cannot be used; the others may well be good."""


class ModelError(SR4Error):
    """A model folder is missing, damaged, or does not fit what it is used for."""


class OutOfMemoryError(ModelError, MemoryError):
    """A runtime has no memory left for what it was given."""


class RunError(SR4Error):
    """A training run cannot start, go on or be resumed."""


class ClusterError(SR4Error):
    """A cluster cannot be reached, or cannot do what is asked of it."""


class MissingPackageError(SR4Error):
    """An optional package is needed.

    Args:
        command: what installs it, if pip by its name alone does not.
    """

    exit_code = 2

    def __init__(self, what: str, package: str, command: str | None = None) -> None:
        super().__init__(
            f"{what} needs the package {package!r}, which is not installed: "
            + (command or f"pip install '{package}'")
        )


class MissingExtraError(MissingPackageError):
    """An optional package of one of our extras is needed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(what, package, how_to_install(extra, package))


def package_of(error: ImportError, otherwise: str) -> str:
    """What to install for a module that is missing.

    Args:
        otherwise: the package, where the error names no module.
    """
    return (error.name or otherwise).partition(".")[0].replace("_", "-")


def shorten(text: str, most: int = 80) -> str:
    """The beginning of what others wrote, for a message of one line."""
    return text if len(text) <= most else f"{text[:most]}..."


def nearest(name: object, known: Iterable[str], listed: Iterable[str] = ()) -> str:
    """The end of an "unknown name" message: the nearest known name, or, if none is near, those to
    be listed; by default all.
    """
    names = sorted(known)
    close = difflib.get_close_matches(shorten(str(name)), names, n=1)
    return (
        f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(listed) or names)}"
    )


def nearest_option(name: str, known: Iterable[str]) -> str:
    """The same of options, with or without dashes. Many are short, so more has to be alike, and the
    first letter, which people seldom miss: `--gpu` is no `--out`.
    """
    names, typed = sorted(known), shorten(name).lstrip("-")
    alike = {bare: one for one in names if (bare := one.lstrip("-"))[:1] == typed[:1]}
    close = difflib.get_close_matches(typed, alike, n=1, cutoff=0.7)
    return nearest(alike[close[0]] if close else "", names)


def any_of(names: Sequence[str]) -> str:
    """Names to choose from, as part of a sentence: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def reason(error: BaseException) -> str:
    """What an error says, in one line without the file name that an OSError adds."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
