"""`sr4 export`: a model that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Overwrite, examples
from sr4.errors import UsageError, nearest

WEB = "web"
STORED = "float16"
EXAMPLES = examples(
    "sr4 export runs/mine -o models/mine",
    "sr4 export sr4-fast photo-x4 --format web -o site",
)


def export(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="A shipped model, or a model or run folder; for the web any number.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="OUT", help="The folder to make.", show_default=False),
    ],
    format: Annotated[
        str,
        typer.Option(
            metavar="onnx|openvino|web",
            help="The runtime it is for; web makes a page that upscales in the browser.",
        ),
    ] = "onnx",
    precision: Annotated[
        str, typer.Option(metavar="float16|float32", help="Of the stored weights.")
    ] = STORED,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For the web: where npm has put onnxruntime-web, if not in node_modules.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Export a model to run without torch, or in the browser.

    The export is compared with torch before it is kept; a page for the browser takes the graph that
    a model has.
    """
    from sr4.model.export import FORMATS, export_model

    if format not in (*FORMATS, WEB):
        raise UsageError(f"unknown export option {format!r}: {nearest(format, (*FORMATS, WEB))}")
    if format == WEB:
        if precision != STORED:
            raise UsageError(
                f"got --precision {precision} for the format 'web'; expected none, as weights stay "
                "as they are: export to onnx first"
            )
        return _site(models, out, runtime, overwrite=overwrite, as_json=as_json)
    if len(models) > 1 or runtime is not None:
        raise UsageError(
            f"got {f'{len(models)} models' if len(models) > 1 else '--runtime'} for the format "
            f"{format!r}; expected that for web alone: export one model at a time"
        )
    report = export_model(
        models[0],
        out,
        format=format,
        precision=precision,
        overwrite=overwrite,
        on_start=lambda: console.note(
            f"sr4: exporting {models[0]} to {out}, and comparing it with torch: a minute or so"
        ),
    )
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


def _site(
    models: list[str], out: Path, runtime: Path | None, *, overwrite: bool, as_json: bool
) -> int:
    from sr4.web.site import export_site

    report = export_site(models, out, runtime=runtime, overwrite=overwrite)
    if as_json:
        console.say_json(
            {
                "folder": str(report.folder),
                "models": list(report.models),
                "bytes": report.bytes,
            }
        )
    else:
        console.say(
            f"{report.folder}  {report.bytes / 1e6:.1f} MB, {', '.join(report.models)}: open it by "
            f"`python -m http.server -d {report.folder}`, then http://localhost:8000"
        )
    return 0
