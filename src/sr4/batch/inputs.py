"""The pictures that inputs name: files, folders, patterns and tars."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sr4.data.tars import ChangedError, FileState, Place, index_tar, read_place
from sr4.errors import PictureError, UsageError, reason
from sr4.files.paths import is_address, refuse_address, refuse_unreachable
from sr4.files.patterns import is_pattern, matching
from sr4.pictures import READ_SUFFIXES, WRITE_SUFFIXES, natural_suffix
from sr4.pictures.decoding import check_size
from sr4.pictures.finding import FOREIGN_SUFFIXES, counted, list_files, nothing_found, read_here

TAR = ".tar"
NAMED = READ_SUFFIXES | set(WRITE_SUFFIXES) | FOREIGN_SUFFIXES
"""Suffixes of pictures: an output with another one is no file."""
_USUAL = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
_ALIKE = ({".jpg", ".jpeg"}, {".tif", ".tiff"})
_LIKE = 0.75  # share of the letters that two suffixes have in common


class Packed(NamedTuple):
    """A picture in a tar.

    Attributes:
        tar: the file; place: where in it the bytes are.
        state: of the tar when they were found there.
    """

    tar: Path
    place: Place
    state: FileState

    def read(self, name: Path) -> bytes:
        """The bytes.

        Args:
            name: what messages call the picture.

        Raises:
            PictureError: they cannot be read, are too many, or the tar has changed.
        """
        check_size(self.place.size, repr(str(name)))
        try:
            return read_place(self.tar, self.place, self.state)
        except ChangedError as error:
            raise PictureError(
                f"{str(name)!r} may be another by now, as its tar has changed; expected it to stay "
                "while it is read: call again"
            ) from error
        except OSError as error:
            raise PictureError(
                f"{str(name)!r} cannot be read ({reason(error)}); expected its tar to stay while "
                "it is"
            ) from error


class Found(NamedTuple):
    """A picture that an input names.

    Attributes:
        source: what messages call it: its file, or its tar and its name there.
        folder: that the output folder stands for.
        is_named: by the caller, not found in a folder or a tar or by a pattern.
        data: the bytes of a picture in memory.
        packed: where the bytes of one in a tar are.
    """

    source: Path
    folder: Path
    is_named: bool = True
    data: bytes | None = None
    packed: Packed | None = None

    @property
    def place(self) -> Path:
        """Relative to the output folder, with the suffix of the source."""
        return self.source.relative_to(self.folder)


def expand(text: str, out: Path, others: list[Path]) -> list[Found]:
    """The pictures that one INPUT names; files of folders that are none join the others.

    Raises:
        SR4Error: it names none, or cannot be read.
    """
    if not text:
        raise PictureError("got an empty name; expected a file, a folder or a pattern")
    if is_address(text):  # which may look like a pattern, too
        raise PictureError(
            f"got the address {text!r}; expected a file, since nothing is fetched from the "
            "network: save it first"
        )
    if os.path.isdir(text):
        return _expand_folder(Path(text), out, others)
    if text.lower().endswith(TAR) and os.path.isfile(text):
        return _expand_tar(Path(text), others)
    if os.path.lexists(text) or not is_pattern(text):
        return [Found(Path(text), Path(text).parent)]
    matches = matching(os.path.expanduser(text))
    if not matches:
        raise PictureError(f"no file matches {text!r}; expected a pattern such as 'faces/*.png'")
    expanded = [one for match in matches for one in expand(match, out, others)]
    return [one._replace(is_named=False) for one in expanded]


def _expand_folder(folder: Path, out: Path, others: list[Path]) -> list[Found]:
    files, foreign = list_files(folder, read_here(READ_SUFFIXES))
    results = Path(os.path.realpath(out))
    if Path(os.path.realpath(folder)) in results.parents:  # earlier results are no new inputs
        files, foreign = (
            [file for file in some if results not in Path(os.path.realpath(file)).parents]
            for some in (files, foreign)
        )
    if not files:
        raise PictureError(f"the folder {str(folder)!r} {nothing_found(counted(foreign))}")
    others += foreign
    return [Found(file, folder, is_named=False) for file in files]


def _expand_tar(tar: Path, others: list[Path]) -> list[Found]:
    """The pictures of a tar, by their names in it, as those of a folder."""
    suffixes = read_here(READ_SUFFIXES)
    state, places = index_tar(tar, lambda name: True)
    found = []
    for name, place in places.items():
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts:
            raise PictureError(
                f"{str(tar)!r} holds {name[:80]!r}, which leads out of it; expected names below "
                "the tar: unpack it with a program that refuses these, and name the folder"
            )
        if any(part.startswith(".") for part in parts):
            continue
        if os.path.splitext(name)[1].lower() in suffixes:
            packed = Packed(tar, place, state)
            found.append(Found(tar / name, tar, is_named=False, packed=packed))
        else:
            others.append(tar / name)
    if not found:
        raise PictureError(f"the tar {str(tar)!r} {nothing_found(counted(others))}")
    return found


def check_output(out: str | Path) -> None:
    """Refuse an output that names no place on this computer.

    Raises:
        UsageError: it is empty, an address or unreachable.
    """
    if not os.fspath(out):
        raise UsageError(
            "got an output without a name; expected a file or a folder: leave -o out for "
            "upscaled/, or name . for this folder"
        )
    refuse_address(Path(out))
    refuse_unreachable(Path(out))


def is_file_name(
    out: str | Path, suffix: str | None, *, single: bool, is_named: bool = True
) -> bool:
    """Whether an output names the file of a picture, rather than a folder.

    Args:
        out: a folder by a slash at its end, whatever else it holds; a `Path` keeps none.
        suffix: that results are to have; None or "same" for no certain one.
        single: whether there is one picture, whose result may be a file. Several go into a folder
            of any name.
        is_named: whether that one was named, rather than found by a pattern, which may find several
            another time.

    Raises:
        UsageError: it names a file of another format, or of one that cannot be written.
    """
    own = Path(out).suffix.lower()
    if os.path.basename(out) in ("", os.curdir) or os.path.isdir(out):
        return False
    if own not in NAMED:
        if single and is_named and own:
            raise UsageError(
                f"got the output {str(out)!r}; expected a picture's name, which ends in one of "
                f"{', '.join(WRITE_SUFFIXES)}, or a folder: {_slip(own)}end the name of a new "
                f"folder with {os.sep}"
            )
        return False
    if single and suffix not in (None, "same", own) and {own, suffix} not in _ALIKE:
        raise UsageError(
            f"got the output {str(out)!r} with the format {str(suffix).lstrip('.')}; expected one "
            "format: leave out one of them, or name the file so"
        )
    check_suffix(own)
    return True


def _slip(suffix: str) -> str:
    """The usual suffix that one most likely is by a slip, as the beginning of an advice."""
    meant = get_close_matches(suffix, _USUAL, 1, _LIKE)
    return f"did you mean {meant[0]!r}? Else " if meant else ""


def check_suffix(suffix: str) -> None:
    """Refuse a suffix of results that cannot be written.

    Raises:
        UsageError: it is one.
    """
    if suffix.lower() not in WRITE_SUFFIXES:
        raise UsageError(
            f"got results in the format {suffix!r}; expected one of {', '.join(WRITE_SUFFIXES)}"
        )


def result_name(found: Found, suffix: str | None, tag: str = "") -> Path:
    """Where a result goes below the output folder.

    Args:
        suffix: that is asked for, "same" being that of the picture.
        tag: what its name has before that, besides the name of the picture.
    """
    place = found.place
    if suffix == "same" and found.source.suffix.lower() in WRITE_SUFFIXES:
        suffix = place.suffix
    elif suffix is None or suffix == "same":
        suffix = natural_suffix(_start(found))
    return place.with_name(f"{place.stem}{tag}{suffix}") if tag else place.with_suffix(suffix)


def check_tag(tag: str, out: str | Path | None, *, to_file: bool) -> None:
    """Refuse what names of results cannot have beside those of their pictures.

    Args:
        to_file: whether the output names the result itself.

    Raises:
        UsageError: says why.
    """
    if any(sign in "/\\\0" or not sign.isprintable() for sign in tag):
        raise UsageError(
            f"got --suffix {tag!r}; expected a text for the end of names, such as _x4: folders are "
            "named by -o"
        )
    if tag and to_file:
        raise UsageError(
            f"got --suffix {tag!r} with the output {str(out)!r}, which is the name of the result; "
            "expected one of both: leave one out"
        )


def _start(found: Found) -> Path | bytes:
    """What tells which format holds the result: the name, but for TIFF, whose depth counts."""
    if found.packed is not None and found.source.suffix.lower() in (".tif", ".tiff"):
        return found.packed.read(found.source)
    return found.source if found.data is None else found.data
