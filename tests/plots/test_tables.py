"""Tables in Markdown."""

from __future__ import annotations

from sr4.plots.tables import Cell, Table, markdown


def test_markdown_keeps_its_columns_whatever_the_text() -> None:
    row = (Cell("a|b <i>\n*c*"), Cell("1.0", "[0.5, 1.5]", bold=True), Cell("2"))
    text = markdown(Table((Cell("Name"), Cell("Value", "dB"), Cell("Other")), (row,)))
    assert text.splitlines() == [
        "| Name | Value dB | Other |",
        "| --- | ---: | ---: |",
        "| a\\|b \\<i\\> \\*c\\* | **1.0** [0.5, 1.5] | 2 |",
    ]
