"""`sr4 upscale`: picture files in, picture files out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sr4.batch.provenance import AUTO, Making
from sr4.cli import console
from sr4.cli.options import (
    JSON,
    Backend,
    Detail,
    Device,
    Overwrite,
    Sampler,
    Seed,
    Steps,
    examples,
)
from sr4.cli.work import CHUNK, Work
from sr4.errors import PictureError, UsageError

if TYPE_CHECKING:
    from sr4.batch.plan import Job
    from sr4.config import ModelConfig
    from sr4.upscaling.cascade import CascadePipeline
    from sr4.upscaling.pipeline import Pipeline

EXAMPLES = examples(
    "sr4 upscale holiday.jpg                       # writes upscaled/holiday.png",
    "sr4 upscale face.png -o large.png --seed 7    # other detail that fits",
    "sr4 upscale faces/ more/*.jpg -o results/ --samples 8 --uncertainty",
)

_WHY = {
    "sr4-fast": "16x16 to 32x32 pixels are taken for a face",
    "photo-x4": "taken for a photograph",
}
_DEFAULT_SAMPLES = 8  # where a mean or a map asks for several and nobody says how many


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
            metavar="NAME|DIR|auto",
            help="A shipped model or a model folder; A+B enlarges with A, then with B. auto takes "
            "photo-x4, and sr4-fast, which is for faces, for pictures of 16x16 to 32x32 pixels.",
        ),
    ] = AUTO,
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
    detail: Detail = None,
    consistency: Annotated[
        bool | None,
        typer.Option(
            "--consistency/--no-consistency",
            help="Make results that, scaled down, do not contradict their input. "
            "--no-consistency is --evidence none.",
            show_default=False,
        ),
    ] = None,
    evidence: Annotated[
        str,
        typer.Option(
            metavar="auto|exact|jpeg|noise|none",
            help="What an input says: its pixels, the coefficients of its JPEG blocks, its pixels "
            "to a deviation, or nothing. auto chooses by the file.",
        ),
    ] = "auto",
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Deviation of the inputs' noise in levels of 255, if it is known.",
            show_default=False,
        ),
    ] = None,
    blur: Annotated[
        str | None,
        typer.Option(
            metavar="S|auto",
            help="Deviation in pixels of a blur that the inputs went through before they were "
            "scaled down, which results are freed from; auto estimates it.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(
            metavar="F",
            help="Factor between an input and its result, 1 or more. Default: the model's own.",
            show_default=False,
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            metavar="W",
            help="Width of the results in pixels, in the place of --scale; the height follows.",
            show_default=False,
        ),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(metavar="H", help="Height of the results likewise.", show_default=False),
    ] = None,
    tile: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Make results larger than N pixels of tiles of N pixels, blended in every step: "
            "smaller tiles take less memory. 0 makes all results whole.",
        ),
    ] = "auto",
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="png|jpg|tif|webp|avif|jp2|gif|bmp|npy|same",
            help="Format of the results; same is that of each input. Default: png, or tif and npy "
            "where only these hold the pixels without loss.",
        ),
    ] = None,
    backend: Backend = "auto",
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Upscale low-resolution pictures.

    A result keeps the name of its input, its place below a folder given as INPUT, its mode, its
    depth and its metadata, and says how it was made. It is a PNG unless that loses pixels, since
    lossy ones break the promise of consistency; --format, or a name as in -o large.jpg, chooses
    another. Nothing is overwritten unless asked; called again, it does what is left to do.
    """
    from sr4.batch.plan import plan_jobs
    from sr4.evidence.choose import check_evidence
    from sr4.upscaling.sizing import SizeWanted

    if samples == 1 and (mean or uncertainty):
        raise UsageError("got --samples 1 with --mean or --uncertainty; expected at least 2")
    edge, deviation = _tile(tile), _blur(blur)
    check_evidence(evidence, noise, deviation, consistency)
    SizeWanted(scale, width, height)  # refuses impossible ones
    each = samples or (_DEFAULT_SAMPLES if mean or uncertainty else 1)
    options = {
        "steps": steps,
        "sampler": sampler,
        "seed": seed,
        "samples": each,
        "use_mean": mean,
        "detail": detail,
        "consistency": consistency,
        "evidence": evidence,
        "noise": noise,
        "blur": deviation,
        "scale": scale,
        "width": width,
        "height": height,
        "tile": edge,
    }
    making = Making(model, options)
    jobs, failures = plan_jobs(
        inputs,
        out,
        samples=samples or 0,
        uncertainty=uncertainty,
        overwrite=overwrite,
        suffix=_suffix(file_format),
        made=making.made,
    )
    work = Work(making, overwrite=overwrite, quiet=as_json)
    for failure in failures:
        work.fail(failure.input, failure.error)
    work.pass_over([job for job in jobs if job.is_done])
    jobs = [job for job in jobs if not job.is_done]
    if jobs:
        for name, own in _by_model(jobs, making).items():
            work.pipelines[name] = _open(name, own, each, backend, device)
            work.pipelines[name].check_options(steps, sampler, edge, detail)
            there = [job for job in own if making.size_of(job) is not None]
            if model == AUTO and there:
                several = f"{len(there):,} pictures" if len(there) > 1 else str(there[0].source)
                console.note(f"sr4: {name} for {several}: {_WHY[name]}; --model names another")
        work.do(jobs)
    if as_json:
        console.say_json(work.summary(model))
    return 1 if work.has_failed else 0


def _by_model(jobs: Sequence[Job], making: Making) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(making.model_for(job), []).append(job)
    return found


def _open(
    name: str, jobs: Sequence[Job], samples: int, backend: str, device: str
) -> Pipeline | CascadePipeline:
    from sr4.model.folder import find_model, read_config
    from sr4.upscaling.load import load, model_names

    stages = [read_config(find_model(one)) for one in model_names(name)]
    draws = samples * _count_draws(jobs, stages)
    return load(name, backend=backend, device=device, draws=draws)


def _suffix(text: str | None) -> str | None:
    return text if text in (None, "same") else f".{text.lstrip('.').lower()}"


def _tile(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"got --tile {text!r}; expected a number of pixels, 0 or auto")
    return int(text)


def _blur(text: str | None) -> float | Literal["auto"] | None:
    if text is None or text == "auto":
        return "auto" if text else None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"got --blur {text!r}; expected a number of pixels, or auto") from None


def _count_draws(jobs: Sequence[Job], stages: Sequence[ModelConfig]) -> int:
    """To how many pictures of the size that the last stage was trained on the results come, as far
    as is worth knowing.
    """
    from sr4.pictures.rgb import read_header

    draws, least = 0, stages[-1].image_size ** 2
    scale = math.prod(stage.scale for stage in stages)
    for job in jobs[:CHUNK]:
        try:
            header = read_header(job.source)
        except PictureError:  # said when it is read
            continue
        draws += max(1, header.width * header.height * scale**2 // least)
    return draws + len(jobs[CHUNK:])
