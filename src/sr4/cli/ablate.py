"""`sr4 ablate`: systems trained and scored under equal conditions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Inception, examples
from sr4.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from sr4.ablation.results import Results
    from sr4.ablation.run import Progress
    from sr4.data.sources import Source

EXAMPLES = examples(
    "sr4 ablate --data faces/ --test test/ --out ablation",
    "sr4 ablate --data a/ --test b/ --out c --recipes cosine,sr4 --budget 200",
)


def ablate(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="SRC",
            help="High-resolution training pictures: a folder, a tar, a pattern of tars (also on a "
            "network: s3://bucket/train-*.tar) or an LMDB folder. May be given several times.",
            show_default=False,
        ),
    ],
    test: Annotated[
        list[str],
        typer.Option(metavar="SRC", help="Test pictures, as --data.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Folder of the ablation.", show_default=False
        ),
    ],
    recipes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Systems to compare: recipes, or recipes with settings of their own, such as "
            "sr4+path=bicubic. Default: the seven of the paper and two controls.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="tiny|full",
            help="tiny: 8x8 to 64x64 and a quarter of the channels, for a CPU. full: the paper's.",
        ),
    ] = "tiny",
    budget: Annotated[
        int | None,
        typer.Option(
            metavar="IMAGES",
            min=1,
            help="Training pictures for each system. Default: 40,000 for tiny, 2,560,000 for full.",
            show_default=False,
        ),
    ] = None,
    val: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SRC",
            help="Pictures for the learning curves, as --data. Default: those of --test.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SRC",
            help="Pictures for the sample grids, as --data. Default: the first of --test.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Numbers of steps to score, besides each system's own.",
        ),
    ] = "20,100",
    limit: Annotated[
        int, typer.Option(metavar="N", min=2, help="Test pictures; validations draw no more.")
    ] = 64,
    judged: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="Test pictures of the scores with projection, which claims are judged by. "
            "Default: those of --limit.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(
            metavar="N|A=N,...",
            help="Runs of each system, or of those named, each with a seed of its own; with "
            "several, the spread over them is part of all intervals.",
        ),
    ] = "1",
    join: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Another ablation's folder, of the same pictures and settings, whose finished "
            "runs count as done: so several processes or machines share the work. May be given "
            "several times.",
            show_default=False,
        ),
    ] = None,
    inception: Inception = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of all systems, such as training.batch_size=8. May be given several "
            "times.",
            show_default=False,
        ),
    ] = None,
    as_json: JSON = False,
) -> int:
    """Train and score systems under equal conditions.

    All see the same pictures in the same order, with the same budget and seeds. DIR gets
    results.json, a table (README.md) and a page with curves and pictures (index.html). The same
    command again goes on where it was stopped, by whatever.
    """
    from sr4.config.overrides import parse_assignments
    from sr4.data.sources import open_sources
    from sr4.evaluation.features import InceptionV3

    planning, run = _runner()
    network = InceptionV3(inception) if inception is not None else None
    names = _names(recipes) if recipes is not None else planning.PAPER
    plan = planning.Plan(
        recipes=names,
        size=_size(size),
        budget=budget,
        changes=parse_assignments(assignments or ()),
        steps=_numbers(steps),
        limit=limit,
        judged=limit if judged is None else judged,
        seeds=_seeds(seeds, names),
    )
    with console.progress("ablation") as advance:

        def tell(progress: Progress) -> None:
            if progress.message is not None:
                console.note(f"sr4: {progress.doing}: {progress.message}")
            else:
                advance(progress.done, progress.total, progress.doing)

        def opened(specs: Sequence[str]) -> Source:
            # All systems see the same pictures.
            model = plan.settings(names[0]).model
            return open_sources(specs, model.channels, model.data_range)

        results = run.ablate(
            plan,
            data=opened(data),
            test=opened(test),
            val=opened(val) if val else None,
            show=opened(show) if show else None,
            out=out,
            join=join or (),
            inception=network,
            on_progress=tell,
        )
    if results is None:
        console.note("sr4: stopped; what is done is saved: the same command goes on from there")
        if as_json:
            console.say_json({"stopped": True, "out": str(out)})
        return 1
    if as_json:
        console.say_json(results.model_dump(mode="json"))
    else:
        _print(results, out)
    return 0


def _runner() -> tuple[Any, Any]:
    try:
        from sr4.ablation import plan, run
    except ModuleNotFoundError as error:
        raise MissingExtraError("sr4 ablate", error.name or "torch", "train") from error
    return plan, run


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _size(name: str) -> str:
    from sr4.recipes.sizes import SIZES

    if name not in SIZES:
        raise UsageError(f"got --size {name!r}; expected {' or '.join(SIZES)}")
    return name


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
        if min(numbers, default=1) < 1:
            raise ValueError("below 1")
    except ValueError as error:
        raise UsageError(
            f"got --steps {text!r}; expected whole numbers of at least 1, such as 20,100"
        ) from error
    return numbers


def _seeds(text: str, recipes: Sequence[str]) -> dict[str, int]:
    try:
        if "=" not in text:
            return dict.fromkeys(recipes, int(text))
        parts = (part.rsplit("=", 1) for part in text.split(","))
        return {name.strip(): int(count) for name, count in parts}
    except ValueError as error:
        raise UsageError(
            f"got --seeds {text!r}; expected a number of runs such as 3, or those of some systems "
            "such as cosine=3,sr4=3"
        ) from error


def _print(results: Results, out: Path) -> None:
    from sr4.evaluation.table import METRICS

    shown = [metric for metric in METRICS if metric.tables == "all"]
    header = ("system", *(metric.title for metric in shown), "steps")
    rows = [
        (row.recipe, *(str(row.own[one.field] or "-") for one in shown), str(row.own.nfe))
        for row in results.rows
    ]
    console.say_table(rows, header=header)
    console.say(f"{out / 'index.html'}")
