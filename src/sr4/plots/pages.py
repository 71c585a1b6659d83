"""Pages that open from disk without a network: templates, and pictures that lie inside of them.

What pages share is in `parts/`: their frame, the parts that they are made of, one look and one
script.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sr4.errors import MissingExtraError

MOST_BYTES = 3_600_000
"""Of the pictures inside a page; base64 makes a third more of them."""

_PARTS = Path(__file__).parent / "parts"
_EDGES = (256, 192, 128, 96, 64)  # pixels that sides are cut to, until all are small enough


@dataclass(frozen=True)
class Card:
    """Pictures of one thing, of one size, to be laid over each other under a slider.

    Args:
        title: what the card is among the others; caption: what it shows; facts: what is known.
        size: width and height of the whole picture, of which the layers may be the middle.
        layers: the pictures by name, in the order in which they can be chosen.
    """

    title: str
    caption: str
    facts: str
    size: tuple[int, int]
    layers: Mapping[str, Image.Image]


@dataclass(frozen=True)
class Placed:
    """A card as the template takes it: with addresses in place of pictures."""

    title: str
    caption: str
    facts: str
    width: int
    height: int
    sources: Mapping[str, str]

    @property
    def name(self) -> str:
        """Title and caption, for those who do not see the picture."""
        return f"{self.title}: {self.caption}" if self.caption else self.title


def check_pages() -> None:
    """Raise MissingExtraError if pages cannot be made; worth asking before long work."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("a page", error.name or "jinja2", "scores") from error


def render(template: Path, **values: Any) -> str:
    """A page of a template that extends `parts/base.html.jinja`; text in it stays text.

    Args:
        values: what the template asks for; of all: title, mark (a comment at its top), facts and
            contents (headings by the names of their sections).

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    check_pages()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([template.parent, _PARTS]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(values)


def embedded(cards: Sequence[Card], most_bytes: int = MOST_BYTES) -> list[Placed]:
    """The cards with their pictures inside: without any loss, and as much of their middle as has
    room.
    """
    found: list[Placed] = []
    for edge in _EDGES:
        found, total = [], 0
        for card in cards:
            cut = {name: middle(picture, edge) for name, picture in card.layers.items()}
            files = {name: _file(picture) for name, picture in cut.items()}
            total += sum(map(len, files.values()))
            if total > most_bytes:
                break
            found.append(_placed(card, cut, {name: _address(one) for name, one in files.items()}))
        if total <= most_bytes:
            break
    return found


def _placed(card: Card, pictures: Mapping[str, Image.Image], sources: Mapping[str, str]) -> Placed:
    width, height = next(iter(pictures.values())).size
    facts = [card.facts] if card.facts else []
    if card.size != (width, height):
        facts.append(f"the middle {width}x{height} of {card.size[0]}x{card.size[1]} pixels")
    return Placed(card.title, card.caption, "; ".join(facts), width, height, sources)


def middle(picture: Image.Image, edge: int) -> Image.Image:
    """The middle of a picture, with no side above `edge` pixels."""
    width, height = (min(side, edge) for side in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _file(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, format="WEBP", lossless=True, quality=100, method=4)
    return file.getvalue()


def _address(file: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(file).decode()}"
