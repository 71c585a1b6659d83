"""Outputs of planned pictures: whether they may be written, and which are there already."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sr4.errors import PictureError
from sr4.files.paths import longest_name, refuse_long_name

if TYPE_CHECKING:
    from sr4.batch.plan import Made, PlannedPicture


def look_for_outputs(picture: PlannedPicture, made: Made) -> PlannedPicture:
    """The picture with the files that an earlier call has made.

    Raises:
        PictureError: another file has the name of an output, or the picture cannot be read.
    """
    present = [output for output in picture.outputs if os.path.lexists(output)]
    if not present:
        return picture
    picture = replace(picture, made=frozenset(made(picture)))
    for output in present:
        if output not in picture.made:
            raise PictureError(
                f"{str(output)!r} exists already; expected a new file: use --overwrite to "
                "replace it"
            )
    return picture


def made_by_now(picture: PlannedPicture, made: Made) -> frozenset[Path]:
    """The files of a picture that other calls have made, in the same way, also since it was
    planned.

    Raises:
        PictureError: another file has the name of an output, or the picture cannot be read.
    """
    if not any(os.path.lexists(one) for one in picture.outputs if one not in picture.made):
        return picture.made
    return look_for_outputs(picture, made).made


class Desk:
    """Admits pictures whose files can be written and belong to no other picture."""

    def __init__(
        self,
        sources: Iterable[str],
        overwrite: bool,
        made: Made | None,
    ) -> None:
        self._sources = frozenset(sources)
        self._overwrite = overwrite
        self._made = made
        self._taken: dict[Path, Path] = {}
        self._folders: dict[Path, int] = {}  # that can be written into, with their longest names

    def admit(self, picture: PlannedPicture) -> PlannedPicture:
        """The picture, with the files that an earlier call has made.

        Raises:
            PictureError: one of its files cannot be written, or belongs to another picture.
        """
        for output in picture.outputs:
            if output in self._taken:
                raise PictureError(
                    f"{str(picture.source)!r} and {str(self._taken[output])!r} would both write "
                    f"{str(output)!r}; expected one input for each output: upscale them into "
                    "different folders, or with --format same where their formats differ"
                )
            if self._overwrite and os.path.realpath(output) in self._sources:
                raise PictureError(
                    f"the output {str(output)!r} is an input too; expected another file, since "
                    "inputs are never replaced: choose another -o"
                )
        if self._made is not None and not self._overwrite:
            picture = look_for_outputs(picture, self._made)
        if picture.output.parent not in self._folders:
            self._folders[picture.output.parent] = _check_folder(picture.output.parent)
        for output in picture.outputs:
            refuse_long_name(output, self._folders[output.parent])
        self._taken.update(dict.fromkeys(picture.outputs, picture.source))
        return picture


def _check_folder(folder: Path) -> int:
    """The longest name that a folder takes; refuses one that neither exists nor can be made, as far
    as can be told beforehand.
    """
    present = folder
    while not os.path.lexists(present):
        present = present.parent
    if not present.is_dir():
        raise PictureError(
            f"{str(present)!r} is a file; expected a folder to write into: choose another -o"
        )
    if not os.access(present, os.W_OK | os.X_OK):
        raise PictureError(
            f"the folder {str(present)!r} is read-only; expected one to write into: choose "
            "another -o"
        )
    return longest_name(present)
