"""A picture on its way through a worker: read, then drawn, then written."""

from __future__ import annotations

import errno
import math
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sr4.errors import PictureError, SR4Error, reason
from sr4.machine.memory import available_memory

if TYPE_CHECKING:
    from sr4.batch.options import UpscaleOptions
    from sr4.batch.plan import PlannedPicture
    from sr4.config import ModelConfig
    from sr4.evidence.kinds import Evidence
    from sr4.files.unfinished import UnfinishedFile
    from sr4.pictures import Picture, Provenance
    from sr4.upscaling.cascade import CascadePipeline
    from sr4.upscaling.pipeline import Pipeline
    from sr4.upscaling.result import Result

_DECODING = 12  # bytes that decoding may take for a pixel: the file's, RGBA and its own copy
_MANY_PIXELS = 2**31  # of a picture, where nobody tells how much memory there is
_LARGE = 2**28  # bytes of a result up from which it may not fit
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FLOAT = 4  # bytes of a channel of a pixel while it is drawn
_FRAMES_SEEN = 8  # at most, of an animation, for its dithering


@dataclass
class InWork:
    """A picture on its way.

    Attributes:
        planned: the picture and the files that come of it; model: what it goes through.
        picture: what was read; None before, after it is written, and where it cannot be.
        evidences: what each frame says.
        provenance: what each file is to say.
        result_size: width and height of the result.
        result_bytes: that its results take in memory, with the floats that they are drawn in.
        unfinished: keeps what is drawn of a large picture, for the case that the call is stopped.
        results: one for each frame, until they are written.
        seconds: of drawing, its share where several were drawn together; together: how many were.
        error: what was raised, if it could not be done; reason: the same in one line.
        made: the files that other calls have made of it, in the same way.
    """

    planned: PlannedPicture
    model: str
    picture: Picture | None = None
    evidences: Sequence[Evidence] = ()
    provenance: Mapping[Path, Provenance] = field(default_factory=dict)
    result_size: tuple[int, int] = (0, 0)
    result_bytes: int = 0
    unfinished: UnfinishedFile | None = None
    results: Sequence[Result] = ()
    seconds: float = 0.0
    together: int = 1
    error: Exception | None = None
    reason: str = ""
    made: frozenset[Path] = frozenset()

    @property
    def is_made(self) -> bool:
        """Whether other calls have made all its files, so that nothing is left to do."""
        return self.made.issuperset(self.planned.outputs)

    def fail(self, doing: str, error: Exception) -> None:
        """Give the picture up, and keep why.

        Args:
            doing: what was being done with it: "read", "upscaled" or "written".
        """
        self.error, self.reason = error, _explained(error, doing, self.planned)
        self.stop()
        self.forget_pixels()

    def stop(self) -> None:
        """Let another call go on with what is drawn."""
        if self.unfinished is not None:
            self.unfinished.close()

    def forget_pixels(self) -> None:
        """Let what takes memory go, also what frames of a failed call hold."""
        self.picture, self.results, self.evidences = None, (), ()
        if self.error is not None:
            forget_frames(self.error)

    def let_go(self) -> None:
        """Let all go but what was planned, once it is told what came of it."""
        self.forget_pixels()
        self.error = None  # its traceback leads to frames that hold this picture


def forget_frames(error: BaseException) -> None:
    """Let go of what functions that an error has ended still hold by its traceback, such as the
    bands of a picture; what a traceback shows stays. Functions that still run keep all.
    """
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one not in found:
            found.append(one)
            traceback.clear_frames(one.__traceback__)
            left += [one.__cause__, one.__context__]


def read(
    planned: PlannedPicture, options: UpscaleOptions, pipeline: Pipeline | CascadePipeline
) -> InWork:
    """A picture with its pixels and what is known of them, or why it cannot be had; of one too
    large, not even the pixels are decoded.

    Args:
        pipeline: what is going to draw it.
    """
    one = InWork(planned, options.model_for(planned), made=planned.made)
    try:
        _read(one, options, pipeline.scale, pipeline.first_config)
    except Exception as error:  # noqa: BLE001 - whatever a reader raises, it costs one picture
        one.fail("read", error)
    return one


def groups(chunk: Sequence[InWork]) -> Iterator[list[InWork]]:
    """Those that go through a network together: still pictures of a model, each animation alone."""
    found: dict[object, list[InWork]] = {}
    for one in chunk:
        if one.picture is not None and one.error is None:
            is_still = len(one.picture.frames) == 1
            found.setdefault(one.model if is_still else id(one), []).append(one)
    yield from found.values()


def _read(one: InWork, options: UpscaleOptions, scale: int, config: ModelConfig) -> None:
    from sr4.batch.provenance import provenance
    from sr4.pictures import check_sides, read_picture

    planned, name = one.planned, str(one.planned.source)
    picture = read_picture(planned.content, max_pixels=_most_pixels(scale), name=name)
    one.picture = picture.for_model(config.channels, config.data_range)
    size = one.picture.frames[0].size
    one.result_size = options.result_size(size, scale)
    for path in planned.outputs:
        check_sides(path, one.result_size)
    _check_memory(one.picture, one.result_size, options.samples)
    one.evidences = _evidences(one.picture, planned.content, options)
    said, found = provenance(planned, options), dict(one.evidences[0].numbers)
    one.provenance = {path: {**values, "found": found} for path, values in said.items()}
    one.result_bytes = _result_bytes(one.picture, one.result_size, options.samples)


def _evidences(
    picture: Picture, content: Path | bytes, options: UpscaleOptions
) -> Sequence[Evidence]:
    """What each frame says; those of an animation, whose pixels are what they are, by options
    alone, but for the dithering of those with a palette, which is the strongest of some frames for
    all of them: else they would flicker.
    """
    from sr4.evidence.choose import AUTO, choose, dithering
    from sr4.evidence.estimate import STRONG_NOISE
    from sr4.evidence.origin import file_origin

    kind = "none" if options.consistency is False else options.evidence
    of_frame = partial(choose, kind=kind, noise=options.noise, blur=options.blur)
    origin = file_origin(content)
    if len(picture.frames) > 1:
        if origin is not None and origin.is_indexed and (kind, options.noise) == (AUTO, None):
            some = picture.frames[:: -(-len(picture.frames) // _FRAMES_SEEN)]
            if (noise := max(map(dithering, some))) >= STRONG_NOISE:
                of_frame = partial(of_frame, noise=round(noise, 2))
        origin = None
    return [of_frame(frame, origin) for frame in picture.frames]


def _result_bytes(picture: Picture, size: tuple[int, int], samples: int) -> int:
    """What the results of all frames take in memory, together with the floats that they are drawn
    in.
    """
    from sr4.upscaling.canvas import result_bytes

    floats = _FLOAT * samples * math.prod(size) * picture.frames[0].pixels.shape[2]
    each = floats + result_bytes(picture.frames[0], (size[1], size[0]), samples)
    return int(len(picture.frames) * each)


def _check_memory(picture: Picture, size: tuple[int, int], samples: int) -> None:
    """Refuse a picture whose result alone does not fit the memory, before what it says is worked
    out of its pixels; with what drawing takes, its pipeline does.
    """
    from sr4.upscaling.canvas import result_bytes, too_large

    needed = result_bytes(picture.frames[0], (size[1], size[0]), samples)
    needed *= len(picture.frames)
    available = available_memory() if needed > _LARGE else None
    if available is not None and needed > available:
        raise too_large(picture.frames[0].size, size, needed, available)


def _most_pixels(scale: int) -> int:
    """Of a picture, that memory can hold together with a result of one byte a pixel: what its
    result takes exactly is known once it is read.
    """
    available = available_memory()
    return _MANY_PIXELS if available is None else available // (_DECODING + scale**2)


def write(one: InWork, *, overwrite: bool) -> tuple[Mapping[str, bytes], tuple[str, ...]]:
    """Write the files of a picture that are not made yet, all or none; those that stay in memory
    become bytes. What other calls make meanwhile, in the same way, is told by `one.made`. What was
    kept while it was drawn goes: before, if there is no room beside it.

    Returns:
        The bytes by name, and what reading and writing it lost, in words.
    """
    from sr4.batch.heatmap import legend
    from sr4.pictures import encode_picture, losses

    planned, outputs = one.planned, _outputs(one)
    if planned.uncertainty:
        shows = legend(one.results[0]).shows
        one.provenance = _with_map(one.provenance, planned.uncertainty, shows)
    files: dict[str, bytes] = {}
    if planned.to_files:
        try:
            _write_files(one, outputs, overwrite=overwrite)
        except PictureError as error:
            is_full = getattr(error.__cause__, "errno", None) in _NO_ROOM
            if not is_full or one.unfinished is None or not one.unfinished.remove():
                raise
            _write_files(one, outputs, overwrite=overwrite)
        if one.unfinished is not None:
            one.unfinished.remove()
    else:
        for path, picture in outputs.items():
            said, quality = one.provenance[path], planned.quality_of(path)
            files[str(path)] = encode_picture(picture, path, said, quality)
    result = outputs[planned.output]
    return files, (*result.notes, *losses(result, planned.output))


def _with_map(
    provenance: Mapping[Path, Provenance], path: Path, shows: str
) -> dict[Path, Provenance]:
    """Provenance that says what the map shows, which nobody knows before it is drawn."""
    said = provenance[path]
    return {**provenance, path: {**said, "found": {**said["found"], "map": shows}}}


def _write_files(one: InWork, outputs: Mapping[Path, Picture], *, overwrite: bool) -> None:
    from sr4.files.whole import kept
    from sr4.pictures import holds_provenance

    folder = one.planned.output.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(
            f"the folder {str(folder)!r} cannot be made ({reason(error)}); expected a writable "
            "place: choose another -o"
        ) from error
    wanted = [path for path in outputs if path not in one.made]
    if not overwrite:  # a map that says nothing comes after the result, by which it is known
        wanted.sort(key=holds_provenance, reverse=True)
    written: list[Path] = []
    # A single file is all or none by itself, and nothing is replaced unasked.
    with kept(wanted if overwrite and len(wanted) > 1 else ()) as before:
        try:
            for path in wanted:
                if _is_written(one, path, outputs[path], overwrite=overwrite):
                    written.append(path)
        except Exception:
            for path in written:
                if path in before:
                    os.replace(before[path], path)
                else:
                    path.unlink(missing_ok=True)
            raise


def _is_written(one: InWork, path: Path, picture: Picture, *, overwrite: bool) -> bool:
    """Write one file of a picture; false where another call has made it first, in the same way."""
    from sr4.batch.provenance import made_as
    from sr4.pictures import write_picture

    said, quality = one.provenance[path], one.planned.quality_of(path)
    try:
        write_picture(picture, path, provenance=said, quality=quality, overwrite=overwrite)
    except PictureError:
        if overwrite or path not in made_as(one.planned, one.provenance):
            raise
        one.made |= {path}
        return False
    return True


def _outputs(one: InWork) -> dict[Path, Picture]:
    """The pictures that come of one by file, the result last."""
    from sr4.batch.heatmap import UncertaintyMap
    from sr4.pictures import NO_METADATA
    from sr4.pictures.raster import from_pil

    planned, given, results = one.planned, one.picture, one.results
    assert given is not None
    outputs = {
        path: replace(given, frames=tuple(result.rasters[number] for result in results))
        for number, path in enumerate(planned.samples)
    }
    if planned.uncertainty:
        found = [UncertaintyMap.of(result) for result in results]
        maps = tuple(
            from_pil(one.picture(has_scale=planned.has_scale))
            if planned.uncertainty.suffix == ".png"
            else one.raster()
            for one in found
        )
        outputs[planned.uncertainty] = replace(given, frames=maps, metadata=NO_METADATA)
    outputs[planned.output] = replace(given, frames=tuple(result.raster for result in results))
    return outputs


def _explained(error: Exception, doing: str, planned: PlannedPicture) -> str:
    if isinstance(error, MemoryError):
        return "needs more memory than there is; expected a smaller picture: crop or shrink it"
    if isinstance(error, SR4Error):
        return str(error)
    if doing == "read" and isinstance(error, OSError):
        return f"cannot be read ({reason(error)}); expected it to stay while it is"
    if doing == "written":
        return (
            f"{str(planned.output)!r} cannot be written ({reason(error)}); expected a picture that "
            f"{planned.output.suffix} holds, and room for it: choose another format, such as .png"
        )
    return (
        f"cannot be {doing} (unexpected {type(error).__name__}: {reason(error)}); expected a "
        "picture that can: convert it, or report what SR4_DEBUG=1 in the environment shows"
    )
