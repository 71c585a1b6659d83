"""The fonts that pictures are drawn with, and words that they can write."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont, TTLibError
from PIL import ImageFont

ALPHABETS = {
    "latin": "eeeeeettttaaaooiiinnnsssrrhhllddcuumfpgwybvkxjqz",
    "accented": "eeaaoiuntrsldmäöüßéèêñçøåčšžłőąę",
    "greek": "αααεεοοιιτσνηυρπκμλςδγωθχφβξζψάέίό",
    "cyrillic": "оооееааиинттсрвлкмдпуяыьгзбчйхжшюцщэф",
    "cjk": "的一是不了人在有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过"
    "家学对可她里后小日本語の文字をひらがなカタカナ電話番号東京新聞駅前書店青山緑茶",
}
DIGITS = "0123456789"


class Fonts:
    """Font files by family and by the alphabets that they hold.

    A font is picked by its family first: some families have hundreds of files.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._families: dict[str, dict[str, list[Path]]] = {name: {} for name in ALPHABETS}
        self.names: list[str] = []
        for path in files:
            held = [name for name in ALPHABETS if set(ALPHABETS[name]) <= _characters(path)]
            if "latin" not in held:
                continue
            self.names.append(path.name)
            family = path.stem.split("-")[0]
            family = "Noto" if family.startswith("Noto") else family
            for name in held:
                self._families[name].setdefault(family, []).append(path)
        if not self.names:
            raise SystemExit(f"none of {len(files)} fonts holds Latin letters; install some fonts")

    def pick(self, rng: np.random.Generator, alphabet: str = "latin") -> Path:
        """A font that can write the alphabet."""
        families = list(self._families[alphabet].values())
        faces = families[rng.integers(len(families))]
        return faces[rng.integers(len(faces))]

    def pick_alphabet(self, rng: np.random.Generator) -> str:
        """Latin mostly; another one that some font holds at times."""
        others = [name for name in ALPHABETS if name != "latin" and self._families[name]]
        return "latin" if rng.random() < 0.6 or not others else others[rng.integers(len(others))]


@lru_cache(maxsize=4096)
def load(path: Path, pixels: int) -> ImageFont.FreeTypeFont:
    # Basic layout: the other one needs a library that not every machine has.
    return ImageFont.truetype(path, pixels, layout_engine=ImageFont.Layout.BASIC)


def _characters(path: Path) -> set[str]:
    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            held = {chr(code) for code in font.getBestCmap() or ()}
    except (TTLibError, OSError):
        return set()
    return held if set(DIGITS) | set("AZ.,:()") <= held else set()


def word(rng: np.random.Generator, alphabet: str, longest: int = 10) -> str:
    """A made-up word, now and then a number, with capitals and punctuation as in prose."""
    if rng.random() < 0.08:
        return number(rng)
    letters = ALPHABETS[alphabet]
    count = int(rng.integers(1, max(2, min(longest, 4 if alphabet == "cjk" else longest) + 1)))
    text = "".join(letters[k] for k in rng.integers(len(letters), size=count))
    case = rng.random()
    text = text.capitalize() if case < 0.2 else text.upper() if case < 0.27 else text
    mark = rng.random()
    return text + ("," if mark < 0.08 else "." if mark < 0.14 else ":" if mark < 0.16 else "")


def number(rng: np.random.Generator) -> str:
    value = float(rng.uniform(0, 10 ** rng.integers(1, 5)))
    return (
        f"{value:.{rng.integers(0, 3)}f}"
        + ("", "%", "-", "/7")[rng.choice(4, p=[0.7, 0.1, 0.1, 0.1])]
    )


def words(rng: np.random.Generator, alphabet: str, count: int) -> str:
    return " ".join(word(rng, alphabet) for _ in range(count))
