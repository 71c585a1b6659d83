"""`sr4 upscale`: picture files in, picture files out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr4.cli import console
from sr4.cli.options import (
    JSON,
    Backend,
    Device,
    Overwrite,
    Sampler,
    Seed,
    Steps,
    examples,
)
from sr4.errors import PictureError, SR4Error, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from sr4.cascade import CascadePipeline
    from sr4.cli.jobs import Job
    from sr4.config import ModelConfig
    from sr4.pipeline import Pipeline
    from sr4.result import Result

EXAMPLES = examples(
    "sr4 upscale face.png                          # writes upscaled/face.png",
    "sr4 upscale face.png -o large.png --seed 7    # another face that fits",
    "sr4 upscale faces/ more/*.jpg -o results/ --samples 8 --uncertainty",
)

_DEFAULT_SAMPLES = 8  # where a mean or a map asks for several and nobody says how many
_CHUNK = 16  # samples drawn between two moves of the progress bar, which also bounds the memory


def upscale(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Low-resolution pictures: files, folders (searched recursively) and patterns.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder for the results, or a picture's name if there is one INPUT file. "
            "Default: upscaled/",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR",
            help="A shipped model or a model folder; A+B enlarges with A, then with B.",
        ),
    ] = "sr4-fast",
    steps: Steps = None,
    sampler: Sampler = None,
    seed: Seed = 0,
    samples: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="Draw K samples; also write NAME_1 to NAME_K."),
    ] = None,
    mean: Annotated[
        bool,
        typer.Option(
            "--mean",
            help="Make the mean of the samples the result: nearer to the truth, and softer. "
            f"Draws {_DEFAULT_SAMPLES} unless --samples says otherwise.",
        ),
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Write NAME_uncertainty.png too: the standard deviation of the samples, from "
            "black (0) to pale yellow (32 of 255 levels or more). "
            f"Draws {_DEFAULT_SAMPLES} unless --samples says otherwise.",
        ),
    ] = False,
    consistency: Annotated[
        bool | None,
        typer.Option(
            "--consistency/--no-consistency",
            help="Make results that, scaled down, give their input back. Default: yes, unless the "
            "model was trained to undo the noise of its input.",
            show_default=False,
        ),
    ] = None,
    tile: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Make results larger than N pixels of tiles of N pixels, blended in every step: "
            "smaller tiles take less memory. 0 makes all results whole.",
        ),
    ] = "auto",
    backend: Backend = "auto",
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Upscale low-resolution pictures.

    A result keeps the name of its input, and its place below a folder given as INPUT. It is a PNG
    whatever the input is, since only lossless pixels keep the promise of consistency; another
    format comes from naming the file, as in -o large.jpg. Nothing is overwritten unless asked.
    """
    from sr4.cli.jobs import plan_jobs

    if samples == 1 and (mean or uncertainty):
        raise UsageError("got --samples 1 with --mean or --uncertainty; expected at least 2")
    edge = _tile(tile)
    jobs, failures = plan_jobs(
        inputs, out, samples=samples or 0, uncertainty=uncertainty, overwrite=overwrite
    )
    work = _Work(overwrite=overwrite, quiet=as_json)
    for failure in failures:
        work.fail(failure.input, failure.error)
    if jobs:
        from sr4.cascade import load, model_names
        from sr4.model import find_model, read_config

        each = samples or (_DEFAULT_SAMPLES if mean or uncertainty else 1)
        stages = [read_config(find_model(name)) for name in model_names(model)]
        draws = each * _count_draws(jobs, stages)
        work.pipeline = load(model, backend=backend, device=device, draws=draws)
        work.pipeline.check_options(steps, sampler, edge)
        work.options = {
            "steps": steps,
            "sampler": sampler,
            "seed": seed,
            "samples": each,
            "use_mean": mean,
            "consistency": consistency,
            "tile": edge,
        }
        work.do(jobs)
    if as_json:
        console.say_json(work.summary(model))
    return 1 if work.failures else 0


def _tile(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"got --tile {text!r}; expected a number of pixels, 0 or auto")
    return int(text)


def _count_draws(jobs: Sequence[Job], stages: Sequence[ModelConfig]) -> int:
    """To how many pictures of the size that the last stage was trained on the results come, as far
    as is worth knowing.
    """
    from sr4.images import read_header

    draws, least = 0, stages[-1].image_size ** 2
    scale = math.prod(stage.scale for stage in stages)
    for job in jobs[:_CHUNK]:
        try:
            header = read_header(job.source)
        except PictureError:  # said when it is read
            continue
        draws += max(1, header.width * header.height * scale**2 // least)
    return draws + len(jobs[_CHUNK:])


@dataclass
class _Item:
    """A job on its way: read, upscaled and written, or why not."""

    job: Job
    picture: Image.Image | None = None
    result: Result | None = None
    seconds: float = 0.0
    error: str | None = None


class _Work:
    """Upscales planned jobs and keeps what came of each.

    While the network works on some pictures, one thread reads the next ones and another writes the
    ones before. The main thread alone reports, in the order of the jobs.
    """

    pipeline: Pipeline | CascadePipeline
    options: dict[str, Any]

    def __init__(self, *, overwrite: bool, quiet: bool) -> None:
        self.overwrite, self.quiet = overwrite, quiet
        self.results: list[dict[str, Any]] = []
        self.failures: list[dict[str, str]] = []

    def fail(self, source: str, error: str) -> None:
        self.failures.append({"input": source, "error": error})
        console.fail(error if source in error else f"{source}: {error}")

    def do(self, jobs: list[Job]) -> None:
        size = max(1, _CHUNK // self.options["samples"])
        chunks = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        done, written = 0, None
        with (
            console.progress("upscaling") as advance,
            ThreadPoolExecutor(1) as reader,
            ThreadPoolExecutor(1) as writer,
        ):
            ahead = reader.submit(self._read, chunks[0])
            for following in [*chunks[1:], []]:
                items, ahead = ahead.result(), reader.submit(self._read, following)
                self.options["on_step"] = lambda step, done=done: advance(
                    done, len(jobs), f"step {step.number} of {step.total}"
                )
                self._upscale([item for item in items if item.error is None])
                self._report(written)
                written = writer.submit(self._write, items)
                done += len(items)
                advance(done, len(jobs), "")
            self._report(written)

    def _read(self, jobs: Sequence[Job]) -> list[_Item]:
        """With the pictures; of one too large for the model not even the pixels are decoded."""
        from sr4.images import read_image
        from sr4.pipeline import MAX_RESULT_PIXELS

        limit = MAX_RESULT_PIXELS // self.pipeline.scale**2
        items = [_Item(job) for job in jobs]
        for item in items:
            try:
                item.picture = read_image(item.job.source, max_pixels=limit)
            except SR4Error as error:
                item.error = str(error)
        return items

    def _upscale(self, items: list[_Item]) -> None:
        """Upscale some pictures together; where that fails one by one, to find the culprit."""
        pictures = [item.picture for item in items if item.picture is not None]
        if not pictures:
            return
        began = time.perf_counter()
        try:
            results = self.pipeline.upscale(pictures, **self.options)
        except (SR4Error, MemoryError) as error:
            if len(items) == 1:
                items[0].error = _reason(error)
            else:
                for item in items:
                    self._upscale([item])
            return
        seconds = (time.perf_counter() - began) / len(items)
        for item, result in zip(items, results, strict=True):
            item.result, item.seconds = result, seconds

    def _write(self, items: list[_Item]) -> list[_Item]:
        for item in items:
            if item.result is not None:
                try:
                    _write(item.job, item.result, overwrite=self.overwrite)
                except SR4Error as error:
                    item.error = str(error)
        return items

    def _report(self, written: Future[list[_Item]] | None) -> None:
        for item in written.result() if written else ():
            if item.result is None or item.error is not None:
                self.fail(str(item.job.source), str(item.error))
            else:
                self._report_result(item.job, item.result, item.seconds)

    def _report_result(self, job: Job, result: Result, seconds: float) -> None:
        width, height = result.image.size
        entry: dict[str, Any] = {
            "input": str(job.source),
            "output": str(job.output),
            "width": width,
            "height": height,
            "consistency": result.consistency,
            "seconds": seconds,
        }
        if job.samples:
            entry["samples"] = [str(path) for path in job.samples]
        if job.uncertainty:
            entry["uncertainty"] = str(job.uncertainty)
        self.results.append(entry)
        if not self.quiet:
            console.say(
                f"{job.source} -> {job.output}  {width}x{height}, consistency "
                f"{result.consistency:.3f}, {seconds:.2f} s on {self.pipeline.backend}"
            )

    def summary(self, model: str) -> dict[str, Any]:
        """What --json prints; without a job that could be tried there was no backend."""
        backend = self.pipeline.backend if hasattr(self, "pipeline") else None
        return {
            "model": model,
            "backend": backend,
            "results": self.results,
            "failures": self.failures,
        }


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "needs more memory than there is; expected a smaller picture: crop or shrink it"
    return str(error)


def _write(job: Job, result: Result, *, overwrite: bool) -> None:
    """Write all files of a job, or none."""
    from sr4.cli.heatmap import heatmap
    from sr4.images import reason, write_image

    pictures = dict(zip(job.samples, result.samples, strict=bool(job.samples)))
    if job.uncertainty:
        pictures[job.uncertainty] = heatmap(result.uncertainty)
    pictures[job.output] = result.image
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(
            f"the folder {str(job.output.parent)!r} cannot be made ({reason(error)}); expected a "
            "writable place: choose another -o"
        ) from error
    written: list[Path] = []
    try:
        for path, picture in pictures.items():
            write_image(picture, path, overwrite=overwrite)
            written.append(path)
    except PictureError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
