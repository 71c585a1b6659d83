"""What a call reads and writes, settled before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from sr4.batch.inputs import (
    Found,
    Packed,
    check_output,
    check_suffix,
    check_tag,
    expand,
    is_file_name,
    result_name,
)
from sr4.batch.outputs import Desk
from sr4.batch.provenance import is_result
from sr4.errors import PictureError, SR4Error, UsageError
from sr4.pictures import check_quality, has_quality, holds_provenance, natural_suffix, read_size
from sr4.pictures.finding import counted

DEFAULT_OUT = Path("upscaled")
_ONLY_RESULTS = (
    "there is nothing but results of sr4; expected other pictures: to upscale results again, name "
    "their files"
)

Made = Callable[["PlannedPicture"], Collection[Path]]
"""Which existing outputs of a picture an earlier call has made in the same way."""


class Failure(NamedTuple):
    """An input that could not be done, and why."""

    input: str
    error: str


@dataclass(frozen=True)
class PlannedPicture:
    """A picture to upscale, and the files that come of it.

    Attributes:
        source: its file; of a picture in memory, what messages call it.
        output: the result's file; of a picture in memory, the name that its bytes go by.
        samples: the files of the single samples, where they are asked for.
        uncertainty: the file of their uncertainty map, likewise: a picture, or the numbers.
        has_scale: whether such a picture explains its colours, below the map.
        made: the files that an earlier call has made already, of this picture and in this way.
        data: the bytes of a picture in memory.
        packed: of a picture in a tar, where they are.
        to_files: whether results are written; else they stay in memory.
        quality: from 1 to 100, that result and samples are written with; None for what their format
            does by itself, or where it has none.
    """

    source: Path
    output: Path
    samples: tuple[Path, ...] = ()
    uncertainty: Path | None = None
    has_scale: bool = True
    made: frozenset[Path] = frozenset()
    data: bytes | None = field(default=None, repr=False)
    packed: Packed | None = None
    to_files: bool = True
    quality: int | None = None

    @property
    def content(self) -> Path | bytes:
        """What it is read from.

        Raises:
            PictureError: it is in a tar that cannot be read.
        """
        if self.packed is not None:
            return self.packed.read(self.source)
        return self.source if self.data is None else self.data

    @property
    def without_data(self) -> PlannedPicture:
        """The same without its bytes, for whoever has them, or needs them no more."""
        return replace(self, data=None)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files made of the picture, the result last."""
        extra = () if self.uncertainty is None else (self.uncertainty,)
        return (*self.samples, *extra, self.output)

    @property
    def next_sample(self) -> Path:
        """The file of the first sample that is not asked for."""
        return _beside(self.output, len(self.samples) + 1)

    def quality_of(self, output: Path) -> int | None:
        """The quality of one of its outputs: maps lose nothing."""
        return None if output == self.uncertainty else self.quality

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.made.issuperset(self.outputs)

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """Width and height by its header; None where there is none to be read."""
        try:
            return read_size(self.content)
        except PictureError:  # said when the picture is read
            return None

    @cached_property
    def is_face(self) -> bool:
        """Whether it shows a face and nothing else, of a size that a model for faces takes."""
        from sr4.upscaling.choose import is_face

        try:
            return is_face(self.content)
        except PictureError:  # likewise
            return False


class Plan(NamedTuple):
    """What becomes of the pictures that inputs name.

    Attributes:
        pictures: those that can be done, or are.
        failures: what shows before anything is computed.
        left_out: how many files of folders are left out, by suffix, since nothing reads them.
        results: how many are, since they are results of earlier calls, but for outputs of these
            pictures.
    """

    pictures: list[PlannedPicture]
    failures: list[Failure]
    left_out: Mapping[str, int] = MappingProxyType({})
    results: int = 0


def plan_pictures(
    inputs: Sequence[str],
    out: str | Path | None,
    *,
    samples: int = 0,
    uncertainty: bool = False,
    map_suffix: str = ".png",
    overwrite: bool = False,
    suffix: str | None = None,
    tag: str = "",
    quality: int | None = None,
    data: bytes | None = None,
    made: Made | None = lambda picture: (),
) -> Plan:
    """The plan for the pictures that inputs name.

    Args:
        inputs: files, folders, tars and patterns.
        out: a folder; for a single file also the name of a picture, unless it ends with a slash.
            `upscaled/` if None.
        samples: how many samples are written beside each result.
        uncertainty: whether its uncertainty map is.
        map_suffix: of that: ".png" for a picture, ".tif" or ".npy" for the numbers.
        overwrite: whether existing outputs are replaced.
        suffix: of the results, "same" being that of each picture. By default PNG, which holds
            grey, RGB and transparency of 8 and 16 bits, or what else holds the picture's pixels.
        tag: what the names of results have at their end, before the suffix, such as "_x4".
        quality: of results, from 1 to 100; those whose format has none are written without it, if
            others have one.
        data: the bytes of a picture in memory, which the only input then names.
        made: says which existing outputs of a picture an earlier call has made in the same way;
            raises PictureError for one that cannot be read. None leaves what exists to whoever
            draws the pictures, who asks `look_for_outputs`.

    Raises:
        UsageError: `out` is empty, an address or unreachable; or a file name, and there are
            several pictures, a tag, or the suffix is one that cannot be written; or no such suffix
            can, or no name can have the tag, or no result the quality.
    """
    if out is not None:
        check_output(out)
    place = DEFAULT_OUT if out is None else Path(out)
    found, failures, others = _found(inputs, place, data)
    named = {one.source for one in found if one.is_named}
    found = list({one[:2]: one for one in found}.values())  # a picture named twice is done once

    single = len(inputs) == 1 and len(found) == 1
    single = single and not os.path.isdir(inputs[0]) and found[0].packed is None
    is_named = single and found[0].is_named
    to_file = out is not None and is_file_name(out, suffix, single=single, is_named=is_named)
    if out is not None and found and not single and (to_file or os.path.isfile(out)):
        raise UsageError(
            f"got the output file {str(out)!r} for {len(found)} pictures; expected a folder: "
            "leave the suffix out"
        )
    if suffix not in (None, "same"):
        check_suffix(suffix)
    check_tag(tag, out, to_file=to_file)
    wanted_map = map_suffix if uncertainty else None
    planned = []
    for one in found:
        try:
            output = place if to_file else place / result_name(one, suffix, tag)
        except PictureError as error:
            failures.append(Failure(str(one.source), str(error)))
            continue
        planned.append(_planned(one, output, quality, samples, wanted_map))
    _check_quality(planned, quality)
    del found  # of a million files, it takes as much memory as the plan
    originals, results = _without_results(planned, named)
    if planned and not originals:
        failures.append(Failure(", ".join(inputs), _ONLY_RESULTS))
    # Only what is there already could be an input, and only overwriting would replace it; what
    # cannot say that it is a result may be somebody's own.
    kept = [*originals, *(one for one in planned if not holds_provenance(one.source))]
    sources = {os.path.realpath(one.source) for one in kept} if overwrite else ()
    desk = Desk(sources, overwrite, made)
    admitted = []
    for picture in originals:
        try:
            admitted.append(desk.admit(picture))
        except PictureError as error:
            failures.append(Failure(str(picture.source), str(error)))
    return Plan(admitted, failures, counted(dict.fromkeys(others)), results)


def _found(
    inputs: Sequence[str], out: Path, data: bytes | None
) -> tuple[list[Found], list[Failure], list[Path]]:
    """The pictures that inputs name, the inputs that name none, and other files of folders."""
    found: list[Found] = []
    failures: list[Failure] = []
    others: list[Path] = []
    for text in inputs:
        try:
            found += (
                expand(text, out, others)
                if data is None
                else [Found(Path(text), Path(text).parent, data=data)]
            )
        except SR4Error as error:
            failures.append(Failure(text, str(error)))
    return found, failures, others


def plan_to_memory(text: str, suffix: str | None = None, quality: int | None = None) -> Plan:
    """The plan for the only picture that an input names, whose result stays in memory.

    Args:
        suffix, quality: as for `plan_pictures`.

    Raises:
        UsageError: there are several, or the suffix is one that cannot be written, or not with the
            quality.
    """
    found, failures, _ = _found([text], DEFAULT_OUT, None)
    if failures:
        return Plan([], failures)
    if (count := len({one.source for one in found})) > 1:
        raise UsageError(
            f"{text!r} names {count} pictures; expected one, for one result: choose a folder for "
            "them"
        )
    try:
        output = Path(result_name(found[0], suffix).name)
    except PictureError as error:
        return Plan([], [Failure(str(found[0].source), str(error))])
    check_suffix(output.suffix)
    picture = _planned(found[0], output, quality)
    _check_quality([picture], quality)
    return Plan([replace(picture, to_files=False)], [])


def plan_in_memory(
    data: bytes | Path,
    *,
    name: str = "picture",
    suffix: str | None = None,
    quality: int | None = None,
    samples: int = 0,
    uncertainty: bool = False,
    has_scale: bool = True,
) -> Plan:
    """The plan for one picture file, whose results stay in memory.

    Args:
        data: its bytes, or where it is.
        name: what messages call the bytes, and their results begin with.
        suffix: of the result, which decides its format; by default as for a file.
        quality: of that, from 1 to 100.
        samples: how many samples are encoded beside the result.
        uncertainty: whether the uncertainty map is, as a PNG.
        has_scale: whether that explains its colours, below the map.

    Raises:
        UsageError: the suffix is one that cannot be written, or not with the quality.
    """
    suffix = natural_suffix(data) if suffix is None else suffix.lower()
    check_suffix(suffix)
    source, content = (data, None) if isinstance(data, Path) else (Path(name), data)
    output = Path(f"{source.stem or 'picture'}{suffix}")
    found = Found(source, source.parent, data=content)
    picture = _planned(found, output, quality, samples, ".png" if uncertainty else None)
    _check_quality([picture], quality)
    return Plan([replace(picture, has_scale=has_scale, to_files=False)], [])


def _without_results(
    planned: Sequence[PlannedPicture], named: Collection[Path]
) -> tuple[list[PlannedPicture], int]:
    """Those that are no results of an earlier call, and how many are such that none of these gives.
    What was found is one if it says so, wherever it lies; of what was named, only what another
    picture gives. A file that cannot say so is one if another picture gives it, unless it is a
    second input for that one's result.
    """
    asked = {
        os.path.abspath(one.source)
        for one in planned
        if one.source in named or not holds_provenance(one.source)
    }
    givers: dict[str, list[PlannedPicture]] = {}
    for one in planned if asked else ():
        for output in map(os.path.abspath, one.outputs):
            if output in asked:
                givers.setdefault(output, []).append(one)

    def is_own(one: PlannedPicture) -> bool:
        others = givers.get(os.path.abspath(one.source), [])
        if one.source in named and all(other is one for other in others):
            return False
        if is_result(one.source):
            return True
        is_given = any(other.output != one.output for other in others)
        return is_given and not holds_provenance(one.source)

    own = [one for one in planned if is_own(one)]
    if not own:
        return list(planned), 0
    ids = set(map(id, own))
    originals = [one for one in planned if id(one) not in ids]
    given = {os.path.abspath(output) for one in originals for output in one.outputs}
    return originals, sum(os.path.abspath(one.source) not in given for one in own)


def _check_quality(planned: Sequence[PlannedPicture], quality: int | None) -> None:
    """Refuse a quality that is none, or that no result can have."""
    if planned:
        lossy = (one for one in planned if one.quality is not None)
        check_quality(next(lossy, planned[0]).output, quality)


def _planned(
    found: Found,
    output: Path,
    quality: int | None,
    samples: int = 0,
    map_suffix: str | None = None,
) -> PlannedPicture:
    return PlannedPicture(
        found.source,
        output,
        tuple(_beside(output, number) for number in range(1, samples + 1)),
        None if map_suffix is None else _beside(output, "uncertainty", map_suffix),
        data=found.data,
        packed=found.packed,
        quality=quality if has_quality(output) else None,
    )


def _beside(output: Path, what: object, suffix: str | None = None) -> Path:
    """The name of a file beside a result, by default of the same format."""
    return output.with_name(f"{output.stem}_{what}{suffix or output.suffix}")
