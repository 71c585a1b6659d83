"""`sr4 import`: a model folder from another project's checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Overwrite, examples

EXAMPLES = examples("sr4 import I640000_E37_gen.pth --config sr_sr3_16_128.json -o models/sr3")


def import_(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT.pth", help="The weights: I…_E…_gen.pth.", show_default=False
        ),
    ],
    config: Annotated[
        Path,
        typer.Option(
            metavar="CONFIG.json", help="What they were trained with.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="MODEL_DIR", help="The model folder to make.", show_default=False
        ),
    ],
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Terms of the weights.")] = "unknown",
    training_data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="What the weights were trained on. May be given several times.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Make a model of an SR3 checkpoint from another project.

    Reads what Image-Super-Resolution-via-Iterative-Refinement saved: conditional SR3 models of RGB
    pictures with linear or cosine noise. Network, noise and number of steps stay the same; the
    bicubic picture that the network sees is no longer rounded to 8 bits. A file that holds more
    than tensors is not opened.
    """
    from sr4.compat.sr3_import import import_sr3

    made = import_sr3(
        checkpoint,
        config,
        out,
        licence=licence,
        training_data=training_data or (),
        overwrite=overwrite,
    )
    if as_json:
        console.say_json({"folder": str(out)} | made.model_dump(mode="json"))
    else:
        console.say(
            f"{out}  x{made.scale}, {made.parameters / 1e6:.1f} M parameters, "
            f"{console.steps(made.sampling.steps, made.sampling.sampler)}; terms of the weights: "
            f"{made.licence}"
        )
    return 0
