"""`sr4 upscale`: picture files in, picture files out."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from sr4.batch.options import AUTO, UpscaleOptions
from sr4.batch.words import (
    DEFAULT_SAMPLES,
    count_samples,
    read_blur,
    read_map_format,
    read_steps,
    read_suffix,
    read_tile,
)
from sr4.cli import console
from sr4.cli.options import (
    JSON,
    Backend,
    Detail,
    Device,
    Overwrite,
    Sampler,
    Seed,
    examples,
)
from sr4.cli.pipes import PIPE, STDIN, check_pipes, is_pipe, read_stdin, write_stdout
from sr4.cli.upscale_report import Report
from sr4.errors import ClusterError, UsageError
from sr4.evidence import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sr4.batch.events import Event
    from sr4.batch.plan import Plan

EXAMPLES = examples(
    "sr4 upscale holiday.jpg                       # writes upscaled/holiday.png",
    "sr4 upscale face.png -o large.png --seed 7    # other detail that fits",
    "cat face.png | sr4 upscale - -o - > large.png",
    "sr4 upscale faces/ more/*.jpg -o results/ --samples 8 --uncertainty",
)


def upscale(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Low-resolution pictures: files, folders (searched recursively), tars and "
            "patterns; - is the standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,  # a Path would lose the slash at the end of a folder
        typer.Option(
            "-o",
            "--out",
            metavar="OUT",
            help="Folder for the results, or a picture's name if there is one INPUT file; what "
            "ends with / is a folder, - the standard output. Default: upscaled/",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR|auto",
            help="A shipped model or a model folder; A+B enlarges with A, then with B. auto takes "
            "sr4-fast for what shows a face of 16x16 to 32x32 pixels, and photo-x4 for all else.",
        ),
    ] = AUTO,
    steps: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Network evaluations a sample: fewer are faster and closer to the truth on "
            "average, more give more detail. Of models joined by +, one number for all or one for "
            "each, as in 1,10. Default: the models' own.",
            show_default=False,
        ),
    ] = None,
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
            f"Draws {DEFAULT_SAMPLES} unless --samples says otherwise.",
        ),
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Write NAME_uncertainty.png too: half the 90 % interval of each pixel, from black "
            "(0) to pale yellow (96 of 255 levels or more), if the model is calibrated for what is "
            "asked; else the standard deviation of the samples, to 32 levels. "
            f"Draws {DEFAULT_SAMPLES} unless --samples says otherwise.",
        ),
    ] = False,
    uncertainty_format: Annotated[
        str,
        typer.Option(
            metavar="png|tiff|npy",
            help="Of the map: a picture with a scale, or the numbers, float32 in levels of 255.",
        ),
    ] = "png",
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
            metavar="|".join((AUTO, *KINDS)),
            help="What an input says: its pixels, the coefficients of its JPEG blocks, its pixels "
            "to a deviation, or nothing. auto chooses by the file.",
        ),
    ] = "auto",
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Deviation of the inputs' noise in levels of 255, if it is known; --evidence "
            "noise alone estimates it.",
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
            help="Format of the results; same is that of each input, or the default where that is "
            "only read, as HEIC is. Default: png, or tif and npy where only these hold the pixels "
            "without loss.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100,
            help="Of results in jpg, webp and avif: the lower, the smaller the files. Default: 95, "
            "and webp without loss.",
            show_default=False,
        ),
    ] = None,
    suffix: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="What results are called besides the name of their input, as photo_x4.png with "
            "_x4: so they can lie beside it.",
            show_default=False,
        ),
    ] = "",
    backend: Backend = "auto",
    device: Device = "auto",
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="auto|ADDRESS",
            help="Upscale on the Ray cluster of this machine, or with its head at that HOST:PORT; "
            "needs the extra `cluster`. Default: on this machine alone.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Upscale low-resolution pictures.

    A result keeps the name of its input, its place in a folder or tar given as INPUT, its mode, its
    depth and its metadata, and says how it was made. It is a PNG unless that loses pixels, since
    lossy ones break the promise of consistency; --format, or a name as in -o large.jpg, chooses
    another. Nothing is overwritten unless asked; called again, it does what is left to do.

    The line for a result tells its consistency: how far the result, scaled down, lies from what its
    input says, as a mean square x 1e-5 on the scale from 0 to 1, before its file is written. At 0
    nothing is contradicted; results of clean pictures reach 0.001 to 0.005, bicubic enlargement 15
    to 50.
    """
    drawn = count_samples(samples, mean=mean, uncertainty=uncertainty)
    several = bool(uncertainty or (samples and not mean))
    check_pipes(inputs, out, files=several, as_json=as_json)
    if cluster is not None and (PIPE in inputs or is_pipe(out)):
        raise UsageError(f"got --cluster with {PIPE}; expected files, which all nodes can reach")
    edge, deviation = read_tile(tile), read_blur(blur)
    options = UpscaleOptions(
        model=model,
        steps=read_steps(steps),
        sampler=sampler,
        seed=seed,
        samples=drawn,
        use_mean=mean,
        detail=detail,
        consistency=consistency,
        evidence=evidence,
        noise=noise,
        blur=deviation,
        scale=scale,
        width=width,
        height=height,
        tile=edge,
    )
    report = Report(model, quiet=as_json, to_stdout=is_pipe(out), does_rest=not overwrite)
    try:
        _upscale(
            inputs,
            out,
            options,
            report,
            samples=samples or 0,
            map_suffix=read_map_format(uncertainty_format) if uncertainty else None,
            suffix=read_suffix(file_format),
            tag=suffix,
            quality=quality,
            backend=backend,
            device=device,
            cluster=cluster,
            overwrite=overwrite,
        )
    except KeyboardInterrupt:
        if as_json:
            console.say_json({**report.summary(), "interrupted": True})
        raise
    if as_json:
        console.say_json(report.summary())
    return 1 if report.failures else 0


def _upscale(
    inputs: list[str],
    out: str | None,
    options: UpscaleOptions,
    report: Report,
    *,
    samples: int,
    map_suffix: str | None,
    suffix: str | None,
    tag: str,
    quality: int | None,
    backend: str,
    device: str,
    cluster: str | None,
    overwrite: bool,
) -> None:
    """Plan and upscale. The first interruption ends the work in order, so that what was done is
    reported.
    """
    from sr4.batch.events import Done
    from sr4.batch.inputs import check_tag
    from sr4.batch.pipelines import Pipelines
    from sr4.batch.plan import plan_pictures
    from sr4.batch.provenance import made_before
    from sr4.batch.worker import upscale_pictures

    data = read_stdin() if inputs == [PIPE] else None
    if is_pipe(out):
        check_tag(tag, out, to_file=True)
        plan = _piped(inputs[0], data, suffix, quality)
    else:
        plan = plan_pictures(
            inputs if data is None else [STDIN],
            out,
            samples=samples,
            uncertainty=map_suffix is not None,
            map_suffix=map_suffix or ".png",
            overwrite=overwrite,
            suffix=suffix,
            tag=tag,
            quality=quality,
            data=data,
            made=partial(made_before, options=options) if cluster is None else None,
        )
    with ExitStack() as around:
        is_interrupted = around.enter_context(console.interruptions())
        events: Iterator[Event]
        if cluster is None:
            events = upscale_pictures(
                plan,
                options,
                Pipelines(backend, device),
                overwrite=overwrite,
                is_cancelled=is_interrupted,
            )
        else:
            from sr4.cluster.bulk import upscale_on_cluster

            around.enter_context(console.quiet_libraries())
            events = upscale_on_cluster(
                plan,
                options,
                address=cluster,
                backend=backend,
                device=device,
                overwrite=overwrite,
                is_cancelled=is_interrupted,
                lost=partial(_leave, report),
            )
        around.enter_context(report)
        for event in events:
            if isinstance(event, Done) and not event.picture.to_files:
                write_stdout(event.files[str(event.picture.output)])
            report.tell(event)  # of a result once it is where it belongs
        if is_interrupted():
            raise KeyboardInterrupt(report.interrupted())


def _leave(report: Report, said: str) -> None:
    """End the process, with what was done, from a thread: no other gets to it any more."""
    report.end_bar()
    console.fail(said)
    if report.quiet:
        console.say_json({**report.summary(), "error": said})
    os._exit(ClusterError.exit_code)


def _piped(text: str, data: bytes | None, suffix: str | None, quality: int | None) -> Plan:
    """The plan for the picture whose result goes to the standard output."""
    from sr4.batch.plan import plan_in_memory, plan_to_memory

    if suffix == "same" and data is not None:
        raise UsageError(
            f"got --format same for {PIPE}, which has no name; expected a format, such as jpg"
        )
    if data is not None:
        return plan_in_memory(data, name=STDIN, suffix=suffix, quality=quality)
    return plan_to_memory(text, suffix, quality)
