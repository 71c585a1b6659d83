"""Pages that open from disk: pictures inside of them, and text that stays text."""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.errors import MissingExtraError
from sr4.plots.pages import Card, check_pages, embedded, middle, render

pytest.importorskip("jinja2")

TEMPLATE = """{% extends "base.html.jinja" %}
{% block main %}
<section id="pictures">{{ parts.sliders("them", cards, "a", "b") }}</section>
{% endblock %}
"""


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture that nothing makes smaller."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def card(width: int, height: int, title: str = "worst 1", caption: str = "a.png") -> Card:
    layers = {"a": noise(width, height, 1), "b": noise(width, height, 2)}
    return Card(title, caption, "PSNR 20 dB", (width, height), layers)


def opened(address: str) -> Image.Image:
    kind, _, data = address.partition(";base64,")
    assert kind == "data:image/webp"
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def size(cards: list[Card], most: int) -> int:
    return sum(len(one) for placed in embedded(cards, most) for one in placed.sources.values())


def test_pictures_inside_lose_nothing() -> None:
    (placed,) = embedded([card(40, 24)])
    assert (placed.width, placed.height, placed.facts) == (40, 24, "PSNR 20 dB")
    assert list(placed.sources) == ["a", "b"]
    np.testing.assert_array_equal(opened(placed.sources["b"]), noise(40, 24, 2))


def test_as_much_of_the_middle_as_has_room() -> None:
    cards = [card(300, 200) for _ in range(3)]
    found = embedded(cards, 300_000)
    assert len(found) == 3
    edge = found[0].width
    assert edge < 200
    assert found[0].facts == f"PSNR 20 dB; the middle {edge}x{edge} of 300x200 pixels"
    np.testing.assert_array_equal(opened(found[2].sources["a"]), middle(noise(300, 200, 1), edge))
    assert size(cards, 300_000) < 300_000 * 4 / 3 + 1000
    assert size(cards, 10**9) > size(cards, 300_000)


def test_the_middle_of_a_picture() -> None:
    pixels = np.asarray(middle(noise(10, 7), 4))
    np.testing.assert_array_equal(pixels, np.asarray(noise(10, 7))[1:5, 3:7])
    assert middle(noise(3, 9), 4).size == (3, 4)


def test_text_stays_text(tmp_path: Path) -> None:
    nasty = '<script>alert("1")</script>\'&'
    template = tmp_path / "page.html.jinja"
    template.write_text(TEMPLATE)
    page = render(
        template,
        title=nasty,
        mark="made by a test",
        facts={nasty: nasty},
        contents={"pictures": nasty},
        cards=embedded([card(8, 8, nasty, nasty)]),
    )
    assert "alert(" in page
    assert len(re.findall("<script", page)) == 1  # our own
    assert not re.search(r"https?:|<link|url\(", page)
    assert page.startswith("<!DOCTYPE html>\n<!-- made by a test -->")


def test_what_is_missing_is_said_before_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"a page needs the package 'jinja2'.*scores"):
        check_pages()
