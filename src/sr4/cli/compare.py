"""`sr4 compare`: reports of evaluations beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Overwrite, examples

if TYPE_CHECKING:
    from sr4.plots.tables import Table

EXAMPLES = examples(
    "sr4 compare reports/bicubic reports/sr4-fast",
    "sr4 compare reports/* --out reports-compared",
)


def compare(
    reports: Annotated[
        list[Path],
        typer.Argument(
            metavar="REPORT...",
            help="Folders that `sr4 evaluate --out` wrote, two or more.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FOLDER",
            help="Folder for index.html, which opens from disk, and comparison.json.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Set reports of evaluations beside each other.

    Their scores with intervals, and what each two of them differ by on the pictures that all have,
    with a test of whether that is chance, corrected for the number of comparisons. Reports of
    other pictures, or of scores that were taken in another way, are refused.
    """
    from sr4.evaluation.compare import compare as set_beside
    from sr4.evaluation.compare_page import KIND, RULE, pairs_table, score_table, write
    from sr4.evaluation.report import check_report_folder

    if out is not None:
        check_report_folder(out, overwrite=overwrite, kind=KIND)
    found = set_beside(reports)
    if out is not None:
        write(found, out, overwrite=overwrite)
    if as_json:
        console.say_json(found.model_dump(mode="json"))
    else:
        console.say(f"{len(found.systems)} systems on {found.count:,} pictures")
        _say(score_table(found))
        if found.pairs:
            console.say("")
            _say(pairs_table(found))
            console.say("")
            console.say(RULE)
        if out is not None:
            console.say(f"page: {out / 'index.html'}")
    for text in found.notes:
        console.note(f"sr4: note: {text}")
    return 0


def _say(table: Table) -> None:
    """Print a table; what stands small under the names of its lines is left out."""
    rows = [
        (row[0].text, *(f"{cell.text} {cell.small}".rstrip() for cell in row[1:]))
        for row in table.rows
    ]
    console.say_table(rows, header=[cell.text for cell in table.header])
