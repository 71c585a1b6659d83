"""`sr4 bench`: speed and quality of models and runtimes on this machine, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Overwrite, examples

EXAMPLES = examples(
    "sr4 bench --quick",
    "sr4 bench --data test/ --out bench",
    "sr4 bench --model sr3 --model sr4-fast:4,1 --backends onnx,openvino",
)


def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR[:STEPS]",
            help="A shipped model, a model or run folder, or a recipe, whose weights are then "
            "random: speed does not depend on them. With numbers of steps, such as sr4-fast:4,1. "
            "May be given several times. Default: sr3:2000,500, sr4:50 and of sr4-fast as many of "
            "4, 2 and 1 as it takes.",
            show_default=False,
        ),
    ] = None,
    backends: Annotated[
        str,
        typer.Option(
            metavar="A,B,...",
            help="Runtimes of exported models; those that are not installed are left out. Other "
            "models run on torch in float32.",
        ),
    ] = "onnx,openvino,torch",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SRC",
            help="High-resolution pictures to measure quality with: a folder, a tar, a pattern of "
            "tars (also on a network: https://host/test.tar) or an LMDB folder. May be given "
            "several times. Default: speed alone.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Pictures to score.")] = 200,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Fewer repeats, and no long picture: a sampling of 500 steps, say."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Folder for results.json, report.md and, with --data, speed.png.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Measure speed and quality on this machine.

    Each row is one model at a number of steps on one runtime, in a process of its own: milliseconds
    for one picture, network evaluations (NFE), GFLOPs, the share of the processor's convolution
    peak that the network reaches, memory, scores, and how many times faster than the paper's
    baseline, sr3 at 2,000 steps. Let the machine do nothing else meanwhile.
    """
    from sr4.bench import report
    from sr4.bench.benchmark import MODELS, benchmark

    if out is not None:
        report.check_out(out, overwrite=overwrite, with_plot=bool(data))
    with console.progress("measuring") as advance:
        found = benchmark(
            model or MODELS,
            backends=[name.strip() for name in backends.split(",") if name.strip()],
            data=data or (),
            limit=limit,
            quick=quick,
            on_progress=advance,
        )
    if out is not None and found.rows:
        report.write(found, out, overwrite=overwrite)
    if as_json:
        console.say_json(found.model_dump(mode="json"))
    elif found.rows:
        console.say_table(report.table(found), header=report.HEADER)
        for line in report.legend(found):
            console.say(line)
        if out is not None:
            console.say(f"report: {out}")
    for text in report.notes(found):
        console.note(f"sr4: note: {text}")
    for failure in found.failures:
        console.fail(failure)
    return 1 if found.failures else 0
