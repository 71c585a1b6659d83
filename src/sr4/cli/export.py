"""`sr4 export`: a model that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Overwrite, examples

EXAMPLES = examples("sr4 export runs/mine -o models/mine")


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A shipped model, or a model or run folder.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="OUT", help="The model folder to make.", show_default=False
        ),
    ],
    format: Annotated[
        str, typer.Option(metavar="onnx|openvino", help="The runtime it is for.")
    ] = "onnx",
    precision: Annotated[
        str, typer.Option(metavar="float16|float32", help="Of the stored weights.")
    ] = "float16",
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Export a model to run without torch.

    The export is compared with torch before it is kept.
    """
    from sr4.model.export import export_model

    report = export_model(model, out, format=format, precision=precision, overwrite=overwrite)
    if as_json:
        console.say_json(
            {
                "folder": str(report.folder),
                "difference": report.difference,
                "bytes": report.bytes,
            }
        )
    else:
        console.say(
            f"{report.folder}  {report.bytes / 1e6:.1f} MB, largest difference from torch "
            f"{report.difference:.2g}"
        )
    return 0
