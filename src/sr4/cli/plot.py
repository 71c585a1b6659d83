"""`sr4 plot`: schedules, runs, the way from noise to picture, and the page of an ablation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Backend, Device, Overwrite, Sampler, Seed, Steps, examples
from sr4.errors import MissingExtraError, PictureError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from sr4.ablation.denoising import Moment
    from sr4.config import ModelConfig
    from sr4.model.diffusion_model import DiffusionModel

    Floats = NDArray[np.float32]

SCHEDULES_EXAMPLES = examples("sr4 plot schedules -o schedules.png")
RUN_EXAMPLES = examples("sr4 plot run runs/mine -o curves.png")
PROCESS_EXAMPLES = examples("sr4 plot process sr4-fast face.png -o process.png")
ABLATION_EXAMPLES = examples("sr4 plot ablation docs/results/tiny")

_SCHEDULES = "sr3,sr3-500,sr3-500-matched,cosine"
_LONGEST_SIDE = 512  # of a result whose frames stand side by side
_ROW_HEIGHT = 128

Out = Annotated[
    Path,
    typer.Option(
        "-o", "--out", metavar="FILE.png", help="The picture to make.", show_default=False
    ),
]


def schedules(
    out: Out,
    recipes: Annotated[
        str, typer.Option(metavar="A,B,...", help="Whose schedules; equal ones are drawn once.")
    ] = _SCHEDULES,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Plot noise schedules.

    On the left gamma, the cumulative product of alpha, over time (the SR4 paper's Figure 3), on
    the right its root on a logarithmic axis: what is left of the picture where sampling starts.
    """
    from sr4.ablation.figures import schedule_panels
    from sr4.pictures import check_output, write_image
    from sr4.plots.charts import draw
    from sr4.recipes import recipe

    check_output(out, overwrite=overwrite)
    names = [name.strip() for name in recipes.split(",")]
    panels = schedule_panels({name: recipe(name).model.schedule for name in names})
    if not panels[0].lines:
        raise UsageError(
            f"got --recipes {recipes}, which have no schedule; expected at least one that diffuses"
        )
    write_image(draw(panels, columns=2), out, overwrite=overwrite)
    _report(out, as_json, recipes=names)
    return 0


def run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    out: Out,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Plot the loss of a run, and its validations.

    Of these, PSNR and consistency. A run that goes on may be plotted at any time.
    """
    from sr4.ablation.figures import run_panels
    from sr4.pictures import check_output, write_image
    from sr4.plots.charts import draw

    try:
        from sr4.training.run_folder import read_metrics
    except ModuleNotFoundError as error:
        raise MissingExtraError("sr4 plot run", error.name or "torch", "train") from error

    check_output(out, overwrite=overwrite)
    metrics = read_metrics(run)
    panels = run_panels(run.resolve().name, metrics)
    if not panels:
        raise UsageError(
            f"{run}: has no metrics; expected a run folder, with metrics.jsonl: name the folder "
            "that `sr4 train --out` wrote"
        )
    write_image(draw(panels), out, overwrite=overwrite)
    _report(out, as_json, images=metrics[-1]["images"])
    return 0


def process(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A shipped model, or a model or run folder.", show_default=False
        ),
    ],
    picture: Annotated[
        Path,
        typer.Argument(metavar="PICTURE", help="A low-resolution picture.", show_default=False),
    ],
    out: Out,
    moments: Annotated[
        int, typer.Option(metavar="N", min=2, max=32, help="How many moments to show.")
    ] = 8,
    steps: Steps = None,
    sampler: Sampler = None,
    seed: Seed = 0,
    backend: Backend = "auto",
    device: Device = "auto",
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Show how noise becomes a picture.

    In the first row the low-resolution picture, the noisy picture at moments evenly spread over
    the sampling, and the result (the SR4 paper's Figure 1). If the model does not draw the picture
    but a residual, that is in the second row, after the picture it is added to (Figure 4). Of more
    bands than RGB the first three are shown.
    """
    from sr4.ablation.denoising import denoising_moments
    from sr4.model.diffusion_model import load_model
    from sr4.pictures import check_output, write_image

    check_output(out, overwrite=overwrite)
    opened = load_model(model, backend=backend, device=device)
    low_res = _low_res(picture, opened.config)
    _check_size(opened, low_res)
    with console.progress("sampling") as advance:
        found = denoising_moments(
            opened,
            low_res,
            seed=seed,
            moments=moments,
            steps=steps,
            sampler=sampler,
            on_step=lambda step: advance(step.number, step.total, ""),
        )
    write_image(_strip(opened, low_res, found), out, overwrite=overwrite)
    _report(out, as_json, steps=list(found))
    return 0


def _low_res(picture: Path, config: ModelConfig) -> Floats:
    """The picture as the model takes it, (C, h, w) in [-1, 1]."""
    from sr4.data.decoded import decoded
    from sr4.pictures.decoding import decoding
    from sr4.pictures.pixels import to_array

    with decoding(picture) as (stream, _):
        data = stream.read()
    return to_array(decoded(data, str(picture), config.channels, config.data_range))


def _strip(model: DiffusionModel, low_res: Floats, found: dict[int, Moment]) -> Image.Image:
    from sr4.pictures.pixels import shown, to_image
    from sr4.plots.comparison import comparison_picture

    base = model.frame(low_res[None]).base[0]
    pictures = {f"step {number}": moment.picture for number, moment in found.items()}
    variables = {f"step {number}": moment.variable for number, moment in found.items()}
    given = to_image(shown(low_res))
    rows = [{"low-res": given, **pictures}, {"low-res": to_image(shown(base)), **variables}]
    captions = [{"low-res": "picture"}, {"low-res": "base, and x_t"}]
    if not model.config.objective.has_base:
        return comparison_picture(rows[:1], height=_ROW_HEIGHT)
    return comparison_picture(rows, captions=captions, height=_ROW_HEIGHT)


def _check_size(model: DiffusionModel, low_res: Floats) -> None:
    scale, (height, width) = model.config.scale, low_res.shape[1:]
    if max(height, width) * scale > _LONGEST_SIDE:
        raise PictureError(
            f"got a {width}x{height} picture; expected no side above {_LONGEST_SIDE // scale} "
            f"for a model of scale {scale}: crop it first"
        )


def ablation(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A folder with an ablation's results.json.", show_default=False
        ),
    ],
    as_json: JSON = False,
) -> int:
    """Draw the table and the page of an ablation again.

    index.html, README.md and figures/ are made anew from results.json and samples/ in the same
    folder. Other files stay as they are.
    """
    from sr4.ablation.page import PAGE, README, write_page

    write_page(folder)
    page, readme = folder / PAGE, folder / README
    if as_json:
        console.say_json({"page": str(page), "table": str(readme)})
    else:
        console.say(str(page))
        console.say(str(readme))
    return 0


def _report(out: Path, as_json: bool, **facts: object) -> None:
    if as_json:
        console.say_json({"file": str(out), **facts})
    else:
        console.say(str(out))
