"""The work of `sr4 upscale`: planned jobs are read, upscaled, written and reported."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr4.batch.provenance import Making
from sr4.cli import console
from sr4.cli.meter import Group, Meter
from sr4.errors import PictureError, SR4Error
from sr4.machine.memory import available_memory

if TYPE_CHECKING:
    from sr4.batch.plan import Job
    from sr4.evidence.kinds import Evidence
    from sr4.pictures import Picture, Provenance
    from sr4.upscaling.cascade import CascadePipeline
    from sr4.upscaling.pipeline import Pipeline
    from sr4.upscaling.result import Result

_WORTH_SAYING = 5e-4  # share of the pixels that are given up
CHUNK = 16  # samples drawn before the next pictures are written, which also bounds the memory
_LARGE = 2**18  # pixels of a result that is drawn and written by itself
_HUGE = 2**26  # of one that is drawn only once the one before has left the memory
_LONG = 2**24  # of one that takes so long that people want to know how long
_DECODING = 12  # bytes that decoding may take for a pixel: the file's, RGBA and its own copy
_MANY_PIXELS = 2**31  # of a picture, where nobody tells how much memory there is


@dataclass
class _Item:
    """A job on its way: read, upscaled and written, or why not."""

    job: Job
    model: str
    picture: Picture | None = None
    provenance: dict[Path, Provenance] | None = None
    evidences: Sequence[Evidence] = ()  # one a frame
    results: Sequence[Result] = ()  # one a frame
    seconds: float = 0.0  # its share of the time that it took together with others
    together: int = 1  # pictures that shared that time
    entry: dict[str, Any] | None = None  # what is reported of it, once it is written
    error: str | None = None
    notes: tuple[str, ...] = ()


class Work:
    """Upscales planned jobs and keeps what came of each.

    While the network works on some pictures, one thread reads the next ones and another writes the
    ones before. The main thread alone reports, in the order of the jobs.
    """

    def __init__(self, making: Making, *, overwrite: bool, quiet: bool) -> None:
        self._making, self._overwrite, self._quiet = making, overwrite, quiet
        self.pipelines: dict[str, Pipeline | CascadePipeline] = {}  # by the name of their model
        self._results: list[dict[str, Any]] = []
        self._failures: list[dict[str, str]] = []
        self._done_before: list[dict[str, str]] = []

    @property
    def has_failed(self) -> bool:
        """Whether a picture has."""
        return bool(self._failures)

    def fail(self, source: str, error: str) -> None:
        """Report a picture that could not be done."""
        self._failures.append({"input": source, "error": error})
        console.fail(error if source in error else f"{source}: {error}")

    def pass_over(self, jobs: Sequence[Job]) -> None:
        """Report jobs that an earlier call has done."""
        self._done_before = [{"input": str(job.source), "output": str(job.output)} for job in jobs]
        if jobs and not self._quiet:
            pictures = "1 picture was" if len(jobs) == 1 else f"{len(jobs):,} pictures were"
            console.note(f"sr4: {pictures} done before, in the same way")

    def do(self, jobs: list[Job]) -> None:
        """Do jobs, in their order."""
        chunks = list(self._chunks(jobs))
        done, written = 0, None
        with (
            console.shares("upscaling") as show,
            ThreadPoolExecutor(1) as reader,
            ThreadPoolExecutor(1) as writer,
        ):
            meter = Meter(show, sum(map(self._weight, jobs)))
            ahead = reader.submit(self._read, chunks[0])
            for following in [*chunks[1:], []]:
                items, ahead = ahead.result(), reader.submit(self._read, following)
                if self._result_pixels(items[0].job) > _HUGE:
                    self._report(written)
                    written = None
                for together in _groups(items):
                    group = self._group(together, _name(items, done, len(jobs)))
                    self._upscale(together, group, meter)
                    meter.finish(group)
                self._report(written)
                written = writer.submit(self._write, items)
                done += len(items)
            self._report(written)

    def _chunks(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """What is read, drawn and written at a time: some small pictures, or a large one."""
        most = max(1, CHUNK // self._making.options["samples"])
        chunk: list[Job] = []
        for job in jobs:
            is_large = self._result_pixels(job) > _LARGE
            if chunk and (is_large or len(chunk) == most):
                yield chunk
                chunk = []
            chunk.append(job)
            if is_large:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _result_pixels(self, job: Job) -> int:
        """Of one sample; none of what cannot be read."""
        size = self._making.size_of(job)
        return 0 if size is None else math.prod(self._result_size(job, size))

    def _result_size(self, job: Job, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the result of a picture of that size."""
        from sr4.upscaling.sizing import SizeWanted

        options, scale = self._making.options, self.pipelines[self._making.model_for(job)].scale
        wanted = SizeWanted(*(options.get(name) for name in ("scale", "width", "height")))
        with suppress(PictureError):  # said when it is drawn
            found = wanted.of(*size)
            if found is not None:
                return found
        return size[0] * scale, size[1] * scale

    def _weight(self, job: Job) -> int:
        size = self._making.size_of(job)
        return 0 if size is None else self._making.pixels_drawn(job, size)

    def _group(self, items: Sequence[_Item], name: str) -> Group:
        """Pictures that go through a network together, as progress sees them."""
        pipeline, making = self.pipelines[items[0].model], self._making
        channels, pixels, draws = pipeline.first_config.channels, 0, 1
        frames = [(item, frame) for item in items if item.picture for frame in item.picture.frames]
        for item, frame in frames:
            draws = -(-frame.pixels.shape[2] // channels)
            pixels += draws * making.pixels_drawn(item.job, frame.size)
        widths = {self._result_size(item.job, frame.size)[0] for item, frame in frames}
        draws *= making.options["samples"]
        announce = None
        if len(frames) == 1 and self._result_pixels(items[0].job) >= _LONG and not self._quiet:
            size = frames[0][1].size
            result = self._result_size(items[0].job, size)
            announce = partial(_announce, items[0].job.source, size, result)
        weight = sum(self._weight(item.job) for item in items)
        return Group(name, weight, max(1, pixels), widths, draws, announce)

    def _read(self, jobs: Sequence[Job]) -> list[_Item]:
        """With the pictures; of one too large not even the pixels are decoded."""
        from sr4.errors import reason
        from sr4.pictures import check_sides, read_picture

        items = [_Item(job, self._making.model_for(job)) for job in jobs]
        for item in items:
            scale = self.pipelines[item.model].scale
            try:
                item.picture = read_picture(item.job.source, max_pixels=_most_pixels(scale))
                size = self._result_size(item.job, item.picture.frames[0].size)
                for path in item.job.outputs:
                    check_sides(path, size)
                item.evidences = self._evidences(item, item.picture)
                item.provenance = {
                    path: {**said, "found": dict(item.evidences[0].numbers)}
                    for path, said in self._making.provenance(item.job).items()
                }
            except SR4Error as error:
                item.error = str(error)
            except OSError as error:
                item.error = f"cannot be read ({reason(error)}); expected it to stay while it is"
        return items

    def _evidences(self, item: _Item, picture: Picture) -> Sequence[Evidence]:
        """What each frame says; those of an animation, whose pixels are what they are, by options
        alone.
        """
        from sr4.evidence.choose import choose, file_origin

        options = self._making.options
        is_still = len(picture.frames) == 1
        origin = file_origin(item.job.source) if is_still else None
        kind = "none" if options["consistency"] is False else options["evidence"]
        return [
            choose(frame, origin, kind, noise=options["noise"], blur=options["blur"])
            for frame in picture.frames
        ]

    def _upscale(self, items: list[_Item], group: Group, meter: Meter) -> None:
        """Upscale some pictures together; where that fails one by one, to find the culprit."""
        frames = [frame for item in items if item.picture for frame in item.picture.frames]
        evidences = [one for item in items for one in item.evidences]
        options = {**self._making.options, "evidence": evidences, "noise": None, "blur": None}
        options["on_step"] = partial(meter.step, group)
        if self._making.options["evidence"] == "none":
            options["consistency"] = False  # of a cascade, in all stages
        began = time.perf_counter()
        try:
            results = iter(self.pipelines[items[0].model].upscale(frames, **options))
        except (SR4Error, MemoryError) as error:
            if len(items) == 1:
                items[0].error = _reason(error)
            else:
                for item in items:
                    self._upscale([item], group, meter)
            return
        seconds = (time.perf_counter() - began) / len(items)
        for item in items:
            assert item.picture is not None
            item.results = [next(results) for _ in item.picture.frames]
            item.seconds, item.together = seconds, len(items)

    def _write(self, items: list[_Item]) -> list[_Item]:
        """Write the results, which leave the memory."""
        for item in items:
            if item.results:
                try:
                    item.notes = _write(item, overwrite=self._overwrite)
                    item.entry = _entry(item)
                except SR4Error as error:
                    item.error = str(error)
            item.results, item.picture = (), None
        return items

    def _report(self, written: Future[list[_Item]] | None) -> None:
        for item in written.result() if written else ():
            if item.entry is None:
                self.fail(str(item.job.source), str(item.error))
            else:
                self._report_result(item, item.entry)

    def _report_result(self, item: _Item, entry: dict[str, Any]) -> None:
        job = item.job
        self._results.append(entry)
        for text in entry.get("notes", ()):
            console.note(f"sr4: {job.source}: {text}")
        if not self._quiet:
            seconds = f"{item.seconds * item.together:.2f} s"
            if item.together > 1:
                seconds += f" for {item.together} together"
            console.say(
                f"{job.source} -> {job.output}  {entry['width']}x{entry['height']}, evidence "
                f"{item.evidences[0]}, consistency {entry['consistency']:.3f}, {seconds} on "
                f"{self.pipelines[item.model].backend}"
            )

    def summary(self, model: str) -> dict[str, Any]:
        """What --json prints; without a job that could be tried there was no backend."""
        names = {one.backend for one in self.pipelines.values()}
        backend = " and ".join(sorted(names)) or None
        return {
            "model": model,
            "backend": backend,
            "results": self._results,
            "done_before": self._done_before,
            "failures": self._failures,
        }


def _name(items: Sequence[_Item], done: int, count: int) -> str:
    """What progress calls some pictures of so many."""
    if len(items) > 1:
        return f"pictures {done + 1:,} to {done + len(items):,} of {count:,}"
    place = f", picture {done + 1:,} of {count:,}" if count > 1 else ""
    return f"{items[0].job.source}{place}"


def _announce(source: Path, size: tuple[int, int], result: tuple[int, int], seconds: float) -> None:
    """How long a large picture will take."""
    width, height = result
    console.note(
        f"sr4: {source}: {size[0]}x{size[1]} -> {width}x{height}, "
        f"{width * height / 1e6:,.0f} megapixels, {console.about(seconds)}"
    )


def _most_pixels(scale: int) -> int:
    """Of a picture, that memory can hold together with a result of one byte a pixel: what its
    result takes exactly is known once it is read.
    """
    available = available_memory()
    return _MANY_PIXELS if available is None else available // (_DECODING + scale**2)


def _entry(item: _Item) -> dict[str, Any]:
    """What --json says of a result."""
    from sr4.batch.given_up import what_was_given_up

    job, result = item.job, item.results[0]
    width, height = result.raster.size
    entry: dict[str, Any] = {
        "input": str(job.source),
        "output": str(job.output),
        "model": item.model,
        "width": width,
        "height": height,
        "consistency": max(one.consistency for one in item.results),
        "seconds": item.seconds,
    }
    if item.together > 1:
        entry["together"] = item.together
    entry["evidence"] = dict(result.evidence.numbers)
    entry["given_up"] = max(float(one.given_up.mean()) for one in item.results)
    if len(item.results) > 1:
        entry["frames"] = len(item.results)
    notes = [*result.evidence.notes, *item.notes]
    if result.evidence.kind != "none" and entry["given_up"] >= _WORTH_SAYING:
        notes.append(what_was_given_up(result.given_up))
    if notes:
        entry["notes"] = notes
    if job.samples:
        entry["samples"] = [str(path) for path in job.samples]
    if job.uncertainty:
        entry["uncertainty"] = str(job.uncertainty)
    return entry


def _groups(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    """Those that go through a network together: all still pictures of a model, and each animation
    alone.
    """
    groups: dict[object, list[_Item]] = {}
    for item in items:
        if item.picture is not None and item.error is None:
            is_still = len(item.picture.frames) == 1
            groups.setdefault(item.model if is_still else item.job, []).append(item)
    yield from groups.values()


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "needs more memory than there is; expected a smaller picture: crop or shrink it"
    return str(error)


def _write(item: _Item, *, overwrite: bool) -> tuple[str, ...]:
    """Write the files of a job that are not made yet, all or none; what that lost, in words."""
    from sr4.errors import reason
    from sr4.pictures import losses, write_picture

    job, outputs = item.job, _outputs(item)
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(
            f"the folder {str(job.output.parent)!r} cannot be made ({reason(error)}); expected a "
            "writable place: choose another -o"
        ) from error
    written: list[Path] = []
    try:
        for path, picture in outputs.items():
            if path not in job.made:
                provenance = (item.provenance or {})[path]
                write_picture(picture, path, provenance=provenance, overwrite=overwrite)
                written.append(path)
    except PictureError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    result = outputs[job.output]
    return (*result.notes, *losses(result, job.output))


def _outputs(item: _Item) -> dict[Path, Picture]:
    """The pictures of a job by file, the result last."""
    from sr4.batch.heatmap import heatmap
    from sr4.pictures import NO_METADATA
    from sr4.pictures.raster import from_pil

    job, given, results = item.job, item.picture, item.results
    assert given is not None
    outputs = {
        path: replace(given, frames=tuple(result.rasters[number] for result in results))
        for number, path in enumerate(job.samples)
    }
    if job.uncertainty:
        maps = tuple(from_pil(heatmap(result.uncertainty)) for result in results)
        outputs[job.uncertainty] = replace(given, frames=maps, metadata=NO_METADATA)
    outputs[job.output] = replace(given, frames=tuple(result.raster for result in results))
    return outputs
