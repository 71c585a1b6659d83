"""Charts that lie inside of pages."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from sr4.plots.charts import Line, Panel, draw, draw_svg

pytest.importorskip("matplotlib")

LINES = Panel("Two & <three>", "x", "y", [Line("a<b", [0, 1], [0, 1]), Line("$c", [0, 1], [1, 0])])
BINS = Panel("PSNR", "dB", "pictures", [Line("it", [20, 21, 22, 23], [3, 0, 5])], binned=True)


@pytest.mark.parametrize("panel", [LINES, BINS])
def test_a_chart_is_one_element_of_text_and_lines(panel: Panel) -> None:
    svg = draw_svg(panel, "mine")
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.tag.endswith("svg")
    assert root.get("viewBox")
    texts = ["".join(one.itertext()).strip() for one in root.iter() if one.tag.endswith("text")]
    assert panel.title in texts
    if len(panel.lines) > 1:
        assert {"a<b", "$c"} <= {*texts}
    assert draw_svg(panel, "mine") == svg  # the same each time


def test_identifiers_of_charts_differ() -> None:
    one, other = (set(re.findall(r' id="([^"]+)"', draw_svg(LINES, name))) for name in ("a", "b"))
    assert one
    assert not one & other
    svg = draw_svg(LINES, "a")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    assert used
    assert used <= one


def test_bins_are_as_high_as_their_counts() -> None:
    """One outline has a level for each bin: 3, 0 and 5."""
    found = []
    for path in re.findall(r'<path d="([^"]+)"', draw_svg(BINS, "a")):
        heights = [float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path)]
        base, top = max(heights, default=0), min(heights, default=0)
        if base > top:
            found.append(sorted({round((base - y) / (base - top), 3) for y in heights}))
    assert [0, 0.6, 1] in found


def test_bins_can_be_a_picture_too() -> None:
    assert draw([BINS]).size == draw([LINES]).size
