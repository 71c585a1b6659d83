"""`sr4 bench`: speed and quality of models and runtimes on this machine, in one table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Overwrite, examples

if TYPE_CHECKING:
    from sr4.bench.benchmark import Progress
    from sr4.bench.plan import Plan

EXAMPLES = examples(
    "sr4 bench --quick",
    "sr4 bench --data test/ --out bench",
    "sr4 bench --model sr4:100,50 --model sr4-fast --backends onnx,openvino",
)


def bench(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|DIR[:STEPS]",
            help="A shipped model, a model or run folder, or a recipe, whose weights are then "
            "random: speed does not depend on them. With numbers of steps, such as sr4:100,50. "
            "May be given several times. Default: for --data whose first picture has at most "
            "256x256 pixels sr3:2000,500, sr4:50 and of sr4-fast as many of 4, 2 and 1 as it "
            "takes, for larger pictures photo-x4, and all of them without --data.",
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

    Rows are told as they are done. Ctrl-C ends with the table, and the report, of those that are.
    """
    from sr4.bench import report
    from sr4.bench.benchmark import benchmark
    from sr4.bench.plan import plan_rows

    if out is not None:
        report.check_out(out, overwrite=overwrite, with_plot=bool(data))
    plan = plan_rows(
        model,
        backends=[name.strip() for name in backends.split(",") if name.strip()],
        data=data or (),
        limit=limit,
        quick=quick,
    )
    console.note(f"sr4: {_work(plan)}")
    for text in plan.notes:
        console.note(f"sr4: note: {text}")
    with console.shares("measuring") as show:
        found = benchmark(plan, partial(_tell, show))
    if out is not None and found.rows:
        report.write(found, out, overwrite=overwrite)
    if as_json:
        console.say_json(
            found.model_dump(mode="json") | ({"interrupted": True} if found.missing else {})
        )
    elif found.rows:
        console.say_table(report.table(found), header=report.HEADER)
        for line in report.legend(found):
            console.say(line)
        if out is not None:
            console.say(f"report: {out}")
    for text in report.notes(found):
        if text not in plan.notes:
            console.note(f"sr4: note: {text}")
    if found.missing:
        raise KeyboardInterrupt(
            f"{len(found.rows)} of {len(plan.jobs)} rows are complete, missing are: "
            f"{'; '.join(found.missing)}"
        )
    return 1 if found.failures else 0


def _work(plan: Plan) -> str:
    """What there is to do."""
    count, pictures = len(plan.jobs), plan.pictures
    scored = f", and {pictures:,} picture{'s' * (pictures > 1)} to score each trained model on"
    names = "; ".join(map(str, plan.jobs))
    return f"{count} row{'s' * (count > 1)} to measure{scored if pictures else ''}: {names}"


def _tell(show: console.Show, now: Progress) -> None:
    from sr4.bench.report import told

    left = now.seconds_left
    if isinstance(now.ended, str):
        console.fail(now.ended)
    elif now.ended is not None:
        rest = "" if left is None or now.done == now.total else f"; {console.about(left)} left"
        console.note(f"sr4: row {now.done} of {now.total}: {told(now.ended)}{rest}")
    else:
        show(now.done / now.total, f"row {now.done + 1} of {now.total}, {now.doing}", left)
