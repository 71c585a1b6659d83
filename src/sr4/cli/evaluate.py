"""`sr4 evaluate`: the scores of a model, with their protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr4.cli import console
from sr4.cli.calibration import SAMPLES, Calibrating, show
from sr4.cli.options import (
    JSON,
    Backend,
    Detail,
    Device,
    Inception,
    Overwrite,
    Sampler,
    Seed,
    Steps,
    examples,
)
from sr4.errors import UsageError, nearest
from sr4.upscaling.asked import check_detail

if TYPE_CHECKING:
    from sr4.config import Calibration, CorruptionName, SamplingSettings
    from sr4.data.corruption import Corruption
    from sr4.evaluation.evaluate import Upscaler
    from sr4.evaluation.report import Evaluation

EXAMPLES = examples(
    "sr4 evaluate --model sr4-fast --data test/ --json",
    "sr4 evaluate --model bicubic --data test.tar --scale 8 --out reports/bicubic",
    "sr4 evaluate --model photo-x4 --data Set5/ --border 4 --patch 64 --samples 8",
    "sr4 evaluate --model photo-x4 --data Set14/ --border 4 --corruption photo",
    "sr4 evaluate --model my-model/ --data val.tar --calibrate",
)

_BASELINES = ("bicubic", "bicubic-projected")
_DEFAULT_SCALE = 8


def evaluate(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="SRC",
            help="High-resolution pictures: a folder, a tar, a pattern of tars (also on a network: "
            "https://host/test.tar) or an LMDB folder. The model's degradation makes the "
            "low-resolution ones. May be given several times.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR",
            help="A shipped model, a model or run folder, or a baseline: bicubic or "
            "bicubic-projected.",
        ),
    ] = "sr4-fast",
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Take the first N pictures only.")
    ] = None,
    steps: Steps = None,
    sampler: Sampler = None,
    consistency: Annotated[
        bool | None,
        typer.Option(
            "--consistency/--no-consistency",
            help="Project every step and the result onto the pictures whose degraded version is "
            "the input. Default: the model's own choice; the paper's systems do not.",
            show_default=False,
        ),
    ] = None,
    detail: Detail = None,
    samples: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            help="Samples a picture; all scores but those of their mean, spread and intervals are "
            f"the first one's. Default: 1, and {SAMPLES} with --calibrate.",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Fit the intervals of pixels on these pictures, which the model must not have "
            "been trained on, and write what makes them into the model folder. The samples are "
            "drawn as upscaling draws them, unless options say otherwise.",
        ),
    ] = False,
    seed: Seed = 0,
    batch_size: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Pictures at a time, fewer where they are larger than faces."
        ),
    ] = 50,
    border: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Pixels at each edge that PSNR and SSIM leave out; the custom for photographs is "
            "as many as the scale.",
        ),
    ] = 0,
    patch: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Compare features of patches of N pixels a side instead of whole pictures: so a "
            "few large ones do for a kernel distance.",
            show_default=False,
        ),
    ] = None,
    corruption: Annotated[
        str,
        typer.Option(
            metavar="none|photo",
            help="What the low-resolution pictures go through: photo blurs them, adds noise and "
            "compresses them, each picture in its own fixed way.",
        ),
    ] = "none",
    scale: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help=f"Scale of a baseline. Default: {_DEFAULT_SCALE}"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="REPORT",
            help="Folder for a report: index.html, which opens from disk, report.json, report.md, "
            "per_picture.csv, comparison.png, and the pictures that they show.",
        ),
    ] = None,
    inception: Inception = None,
    backend: Backend = "auto",
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Score a model on high-resolution pictures.

    Their low-resolution versions are upscaled, and the results compared with the originals.
    Pictures that cannot be read are named, left out, and make the exit code 1.

    Metrics come with their 95 % bootstrap interval, and with the protocol that makes them
    comparable.
    """
    from sr4.data.sources import open_sources
    from sr4.evaluation.evaluate import evaluate as score
    from sr4.evaluation.features import InceptionV3
    from sr4.evaluation.report import check_report_folder
    from sr4.plots.pages import check_pages

    if out is not None:
        check_report_folder(out, overwrite=overwrite)
        check_pages()
    fitting = None
    if calibrate:
        samples = SAMPLES if samples is None else samples
        consistency = consistency is not False  # as upscaling has it
        fitting = Calibrating(model, samples, is_baseline=model in _BASELINES)
    network = InceptionV3(inception) if inception is not None else None
    given: dict[str, Any] = {"steps": steps, "sampler": sampler, "detail": detail}
    given["consistency"] = consistency
    _check_options(model, given | {"backend": backend, "device": device})
    upscaler = _open(model, scale, backend, device)
    channels, data_range = _values(upscaler)
    drawn = _corruption(corruption, model, channels)
    settings = upscaler.sampling(**given)
    source = open_sources(data, channels, data_range)
    _note(source.left_out, model, scale)
    bad: list[str] = []
    with _progress() as advance:
        evaluation = score(
            upscaler,
            source,
            limit=limit,
            **given,
            samples=samples or 1,
            seed=seed,
            batch_size=batch_size,
            border=border,
            patch=patch,
            corruption=drawn,
            calibration=None if fitting else _calibration(upscaler, settings, corruption),
            calibrator=None if fitting is None else fitting.calibrator,
            inception=network,
            on_progress=advance,
            bad=bad,
        )
    for why in bad:
        console.fail(why)
    if out is not None:
        evaluation.write(out, overwrite=overwrite)
    said = evaluation.model_dump(mode="json")
    if not as_json:
        _print(evaluation, out)
    if fitting is not None and settings is not None:
        fitted = fitting.write(data, _known_corruption(corruption), settings)
        said["calibration"] = fitted.model_dump(mode="json")
        show(fitted, fitting.folder, is_quiet=as_json)
    if as_json:
        console.say_json(said)
    for text in evaluation.notes:
        console.note(f"sr4: note: {text}")
    return 1 if bad else 0


def _note(left_out: Mapping[str, int], model: str, scale: int | None) -> None:
    """Say what is no part of the data, and what was chosen for a baseline."""
    console.note_left_out(left_out)
    if model in _BASELINES and scale is None:
        console.note(
            f"sr4: note: {model} has the scale {_DEFAULT_SCALE}, as none was given: --scale for "
            "another"
        )


@contextmanager
def _progress() -> Iterator[Callable[[float, int], None]]:
    """A bar of the pictures that are done. An interrupt says of how many the work is lost."""
    done, total = 0.0, 0

    def advance(now: float, count: int) -> None:
        nonlocal done, total
        done, total = now, count
        move(now, count, "")

    try:
        with console.progress("evaluating") as move:
            yield advance
    except KeyboardInterrupt as stop:
        if done < 1:
            raise
        raise KeyboardInterrupt(
            f"the work of {int(done):,} of {total:,} pictures is lost, since no scores are kept "
            "before all are done"
        ) from stop


def _check_options(model: str, options: Mapping[str, object]) -> None:
    """Refuse options of networks for what is none, and a detail that none has."""
    given = [f"--{name}" for name, value in options.items() if value not in (None, "auto")]
    if model in _BASELINES and given:
        raise UsageError(
            f"got {' and '.join(given)} for the baseline {model!r}, which is no network; expected "
            "none of it: leave it out"
        )
    check_detail(options["detail"])


def _open(model: str, scale: int | None, backend: str, device: str) -> Upscaler:
    if model in _BASELINES:
        from sr4.degradation import Degradation
        from sr4.evaluation.evaluate import BicubicUpscaler

        return BicubicUpscaler(Degradation(scale or _DEFAULT_SCALE), model != _BASELINES[0])
    if scale is not None:
        raise UsageError(
            f"got --scale {scale} for the model {model!r}, which has its own; expected --scale "
            f"with {' or '.join(_BASELINES)} only: leave it out"
        )
    from sr4.model.diffusion_model import load_model

    return load_model(model, backend=backend, device=device)


def _values(model: Upscaler) -> tuple[int, tuple[float, float] | None]:
    """The channels of pictures that a model takes, and what stands for black and white in them."""
    from sr4.model.diffusion_model import DiffusionModel

    if isinstance(model, DiffusionModel):
        return model.config.channels, model.config.data_range
    return 3, None


def _corruption(name: str, model: str, channels: int) -> Corruption | None:
    from sr4.build import build_corruption

    found = build_corruption(_known_corruption(name))
    if found is not None and channels != 3:
        raise UsageError(
            f"got --corruption {name} for the model {model!r} of {channels} channels; expected one "
            "of RGB pictures, which JPEG files hold: leave it out"
        )
    return found


def _calibration(
    model: Upscaler, settings: SamplingSettings | None, corruption: str
) -> Calibration | None:
    """What makes the intervals of a model's samples, if it was calibrated for such."""
    from sr4.model.diffusion_model import DiffusionModel
    from sr4.upscaling.intervals import calibration_of

    if not isinstance(model, DiffusionModel):
        return None
    return calibration_of(model.config.calibrations, settings, _known_corruption(corruption))


def _known_corruption(name: str) -> CorruptionName:
    from sr4.config import CORRUPTIONS

    known = {known: known for known in CORRUPTIONS}
    if name not in known:
        raise UsageError(f"unknown corruption {name!r}: {nearest(name, known)}")
    return known[name]


def _print(evaluation: Evaluation, out: Path | None) -> None:
    console.say(f"{evaluation.model} on {evaluation.count} pictures of {evaluation.data}")
    console.say_table(list(evaluation.table()), header=("metric", "value [95 % interval]", "unit"))
    if out is not None:
        console.say(f"report: {out}")
