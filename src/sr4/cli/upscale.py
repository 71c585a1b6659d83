"""`sr4 upscale`: picture files in, picture files out."""

from __future__ import annotations

import time
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

    from sr4.cli.jobs import Job
    from sr4.pipeline import Pipeline, Result

EXAMPLES = examples(
    "sr4 upscale face.png                          # writes upscaled/face.png",
    "sr4 upscale face.png -o large.png --steps 4   # faster",
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
        str, typer.Option(metavar="NAME|DIR", help="A shipped model or a model folder.")
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
        bool,
        typer.Option(
            "--consistency/--no-consistency",
            help="Make results that, scaled down, give their input back.",
        ),
    ] = True,
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
    jobs, failures = plan_jobs(
        inputs, out, samples=samples or 0, uncertainty=uncertainty, overwrite=overwrite
    )
    work = _Work(overwrite=overwrite, quiet=as_json)
    for failure in failures:
        work.fail(failure.input, failure.error)
    if jobs:
        import sr4

        work.pipeline = sr4.load(model, backend=backend, device=device)
        work.pipeline.model.sampling(steps, sampler)  # refuses what would fail for every picture
        work.options = {
            "steps": steps,
            "sampler": sampler,
            "seed": seed,
            "samples": samples or (_DEFAULT_SAMPLES if mean or uncertainty else 1),
            "use_mean": mean,
            "consistency": consistency,
        }
        work.do(jobs)
    if as_json:
        console.say_json(work.summary(model))
    return 1 if work.failures else 0


class _Work:
    """Upscales planned jobs and keeps what came of each."""

    pipeline: Pipeline
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
        with console.progress("upscaling") as advance:
            for start in range(0, len(jobs), size):
                chunk = [
                    (job, picture)
                    for job in jobs[start : start + size]
                    if (picture := self._read(job)) is not None
                ]
                self.options["on_step"] = lambda step, done=start: advance(
                    done, len(jobs), f"step {step.number} of {step.total}"
                )
                self._upscale(chunk)
                advance(min(start + size, len(jobs)), len(jobs), "")

    def _read(self, job: Job) -> Image.Image | None:
        """The picture of a job; of one too large for the model not even the pixels are decoded."""
        from sr4.images import read_image
        from sr4.pipeline import MAX_RESULT_PIXELS

        try:
            limit = MAX_RESULT_PIXELS // self.pipeline.config.scale**2
            return read_image(job.source, max_pixels=limit)
        except SR4Error as error:
            self.fail(str(job.source), str(error))
            return None

    def _upscale(self, chunk: list[tuple[Job, Image.Image]]) -> None:
        """Upscale some pictures together; where that fails one by one, to find the culprit."""
        if not chunk:
            return
        began = time.perf_counter()
        try:
            results = self.pipeline.upscale([picture for _, picture in chunk], **self.options)
        except (SR4Error, MemoryError) as error:
            if len(chunk) == 1:
                self.fail(str(chunk[0][0].source), _reason(error))
            else:
                for pair in chunk:
                    self._upscale([pair])
            return
        seconds = (time.perf_counter() - began) / len(chunk)
        for (job, _), result in zip(chunk, results, strict=True):
            try:
                _write(job, result, overwrite=self.overwrite)
            except SR4Error as error:
                self.fail(str(job.source), str(error))
            else:
                self._report(job, result, seconds)

    def _report(self, job: Job, result: Result, seconds: float) -> None:
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
                f"{job.source} -> {job.output}  {width}x{height}, "
                f"consistency {result.consistency:.3f}, {seconds:.2f} s"
            )

    def summary(self, model: str) -> dict[str, Any]:
        """What --json prints; without a job that could be tried there was no backend."""
        backend = self.pipeline.model.network.name if hasattr(self, "pipeline") else None
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
