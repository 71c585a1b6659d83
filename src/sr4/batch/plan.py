"""What a call of `sr4 upscale` reads and writes, settled before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from sr4.errors import PictureError, SR4Error, UsageError
from sr4.files.patterns import is_pattern, matching
from sr4.pictures import READ_SUFFIXES, WRITE_SUFFIXES, natural_suffix
from sr4.pictures.finding import list_images

DEFAULT_OUT = Path("upscaled")
NAMED = READ_SUFFIXES | set(WRITE_SUFFIXES)  # an output with another suffix is a folder


class Failure(NamedTuple):
    """An input that could not be done, and why."""

    input: str
    error: str


@dataclass(frozen=True)
class Job:
    """One picture to upscale, and the files that come of it.

    Attributes:
        source: the picture; output: the result.
        samples: of the single samples, where they are asked for; uncertainty: of their map.
        made: those that an earlier call has made already, of this picture and in this way.
    """

    source: Path
    output: Path
    samples: tuple[Path, ...] = ()
    uncertainty: Path | None = None
    made: frozenset[Path] = frozenset()

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files it writes, the result last: where that is, the others are too."""
        extra = () if self.uncertainty is None else (self.uncertainty,)
        return (*self.samples, *extra, self.output)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.made.issuperset(self.outputs)


class _Found(NamedTuple):
    source: Path
    place: Path  # relative to the output folder, with the suffix of the source


def plan_jobs(
    inputs: Sequence[str],
    out: Path | None,
    *,
    samples: int = 0,
    uncertainty: bool = False,
    overwrite: bool = False,
    suffix: str | None = None,
    made: Callable[[Job], Collection[Path]] = lambda job: (),
) -> tuple[list[Job], list[Failure]]:
    """The jobs that can be done or are, and the failures that show before anything is computed.

    Args:
        inputs: files, folders and patterns.
        out: a folder; for a single file also the name of a picture. `upscaled/` if None.
        samples: how many samples are written beside each result.
        uncertainty: whether its uncertainty map is.
        overwrite: whether existing outputs are replaced.
        suffix: of the results, "same" being that of each picture. By default PNG, which holds
            grey, RGB and transparency of 8 and 16 bits, or what else holds the picture's pixels.
        made: says which existing outputs of a job an earlier call has made in the same way.

    Raises:
        UsageError: `out` is a file name, and there are several pictures or the suffix is one that
            cannot be written; or no such suffix can.
    """
    found: list[_Found] = []
    failures: list[Failure] = []
    for text in inputs:
        try:
            found += _expand(text, out or DEFAULT_OUT)
        except SR4Error as error:
            failures.append(Failure(text, str(error)))
    found = list(dict.fromkeys(found))  # a picture named twice is done once

    single = len(inputs) == 1 and len(found) == 1 and not os.path.isdir(inputs[0])
    to_file = out is not None and out.suffix.lower() in NAMED and not out.is_dir()
    if out is not None and found and not single and (to_file or out.is_file()):
        raise UsageError(
            f"got the output file {str(out)!r} for {len(found)} pictures; expected a folder: "
            "leave the suffix out"
        )
    wanted = [out.suffix] if out is not None and to_file else []
    for ending in [*wanted, *([suffix] if suffix and suffix != "same" else [])]:
        if ending.lower() not in WRITE_SUFFIXES:
            raise UsageError(
                f"got results in the format {ending!r}; expected one of {', '.join(WRITE_SUFFIXES)}"
            )
    # Only what is there already could be an input, and only --overwrite would replace it.
    sources = {os.path.realpath(one.source) for one in found} if overwrite else ()
    desk = _Desk(sources, overwrite, made)
    jobs = []
    for one in found:
        output = out if to_file and out else (out or DEFAULT_OUT) / _name(one, suffix)
        job = _make_job(one.source, output, samples, uncertainty)
        try:
            jobs.append(desk.admit(job))
        except PictureError as error:
            failures.append(Failure(str(one.source), str(error)))
    return jobs, failures


def _expand(text: str, out: Path) -> list[_Found]:
    """The pictures that one INPUT names."""
    if not text:
        raise PictureError("got an empty name; expected a file, a folder or a pattern")
    if os.path.isdir(text):
        return _expand_folder(Path(text), out)
    if os.path.lexists(text) or not is_pattern(text):
        return [_Found(Path(text), Path(Path(text).name))]
    matches = matching(os.path.expanduser(text))
    if not matches:
        raise PictureError(f"no file matches {text!r}; expected a pattern such as 'faces/*.png'")
    return [one for match in matches for one in _expand(match, out)]


def _expand_folder(folder: Path, out: Path) -> list[_Found]:
    files = list_images(folder, READ_SUFFIXES)
    results = Path(os.path.realpath(out))
    if Path(os.path.realpath(folder)) in results.parents:  # earlier results are no new inputs
        files = [file for file in files if results not in Path(os.path.realpath(file)).parents]
    if not files:
        raise PictureError(
            f"the folder {str(folder)!r} holds no pictures; expected files with a suffix such as "
            ".png, .jpg or .webp: check the path"
        )
    return [_Found(file, file.relative_to(folder)) for file in files]


def _name(found: _Found, suffix: str | None) -> Path:
    if suffix == "same" and found.source.suffix.lower() in WRITE_SUFFIXES:
        return found.place
    if suffix is None or suffix == "same":
        suffix = natural_suffix(found.source)
    return found.place.with_suffix(suffix)


def _make_job(source: Path, output: Path, samples: int, uncertainty: bool) -> Job:
    def beside(what: str, suffix: str) -> Path:
        return output.with_name(f"{output.stem}_{what}{suffix}")

    return Job(
        source,
        output,
        tuple(beside(str(number), output.suffix) for number in range(1, samples + 1)),
        beside("uncertainty", ".png") if uncertainty else None,
    )


class _Desk:
    """Admits jobs whose files can be written and belong to no other job."""

    def __init__(
        self,
        sources: Iterable[str],
        overwrite: bool,
        made: Callable[[Job], Collection[Path]],
    ) -> None:
        self._sources = frozenset(sources)
        self._overwrite = overwrite
        self._made = made
        self._taken: dict[Path, Path] = {}
        self._folders: set[Path] = set()  # that can be written into

    def admit(self, job: Job) -> Job:
        present = [output for output in job.outputs if os.path.lexists(output)]
        if present and not self._overwrite:
            job = replace(job, made=frozenset(self._made(job)))
        for output in job.outputs:
            if output in self._taken:
                raise PictureError(
                    f"{str(job.source)!r} and {str(self._taken[output])!r} would both write "
                    f"{str(output)!r}; expected one input for each output: upscale them into "
                    "different folders"
                )
            if self._overwrite and os.path.realpath(output) in self._sources:
                raise PictureError(
                    f"the output {str(output)!r} is an input too; expected another file, since "
                    "inputs are never replaced: choose another -o"
                )
            if not self._overwrite and output in present and output not in job.made:
                raise PictureError(
                    f"{str(output)!r} exists already; expected a new file: use --overwrite to "
                    "replace it"
                )
        if job.output.parent not in self._folders:
            _check_folder(job.output.parent)
            self._folders.add(job.output.parent)
        self._taken.update(dict.fromkeys(job.outputs, job.source))
        return job


def _check_folder(folder: Path) -> None:
    """Refuse a folder that neither exists nor can be made, as far as can be told beforehand."""
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
