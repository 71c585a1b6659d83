"""Tables, as cells that Markdown and HTML are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

NONE = "–"  # in place of a figure that there is not
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*|[]<>"} | {"\n": " "})


@dataclass(frozen=True)
class Cell:
    """One entry: text, what stands small beside it, and whether it stands out."""

    text: str
    small: str = ""
    bold: bool = False


@dataclass(frozen=True)
class Table:
    """A table; its first columns are words, the others figures."""

    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is."""
    return text.translate(_MARKDOWN)


def markdown(table: Table) -> str:
    """A table in GitHub's Markdown."""

    def show(cell: Cell) -> str:
        text = markdown_text(cell.text)
        text = f"**{text}**" if cell.bold else text
        return f"{text} {cell.small}" if cell.small else text

    def line(entries: Iterable[str]) -> str:
        return f"| {' | '.join(entries)} |"

    figures = len(table.header) - table.words
    return "\n".join(
        [
            line(map(show, table.header)),
            line(["---"] * table.words + ["---:"] * figures),
            *(line(map(show, row)) for row in table.rows),
        ]
    )
