"""`sr4 distill`: a trained model becomes one that needs a few evaluations."""

from __future__ import annotations

from typing import Annotated

import typer

from sr4.cli.options import JSON, examples
from sr4.cli.train import Assignments, Config, Data, DryRun, Run, Val, lay_over, run_training
from sr4.errors import UsageError

EXAMPLES = examples(
    "sr4 distill runs/fast --data photos/ --out runs/student",
    "sr4 distill runs/student --data photos/ --out runs/one-step --steps 1",
)


def distill(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="The teacher: a shipped model, or a model or run folder.",
            show_default=False,
        ),
    ],
    data: Data,
    out: Run,
    val: Val = None,
    steps: Annotated[
        int, typer.Option(metavar="1|2|4", help="The most steps that the student takes.")
    ] = 4,
    config: Config = None,
    assignments: Assignments = None,
    dry_run: DryRun = False,
    as_json: JSON = False,
) -> int:
    """Distil a model into one of few steps.

    A copy of it, the student, learns to draw a picture in 4, 2 or 1 steps; a student of 4 steps
    takes 1 or 2 as well. It needs pictures as the teacher did, but far fewer of them. For a sharp
    single step distil twice: to 4 steps, and that student again. The same
    command again resumes a run that was stopped, by whatever. The trained student is RUN/model;
    other commands take RUN for it.
    """
    from sr4.model.folder import find_model, read_config
    from sr4.recipes.distilled import STEPS, distilled

    if steps not in STEPS:
        raise UsageError(f"got --steps {steps}; expected {', '.join(map(str, STEPS))}")
    folder = find_model(model)
    settings = lay_over(distilled(read_config(folder), steps), config, assignments or ())
    return run_training(
        settings,
        data,
        val,
        out,
        teacher=folder,
        dry_run=dry_run,
        as_json=as_json,
        command="sr4 distill",
    )
