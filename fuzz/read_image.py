"""Coverage-guided fuzzing of reading pictures: whatever the bytes, a picture or a `PictureError`.

Run `python fuzz/read_image.py -max_total_time=120`; README.md beside this file says what it needs.
"""

from __future__ import annotations

import random
import sys

import atheris

with atheris.instrument_imports(include=["PIL", "sr4", "tifffile"]):
    from mutations import mutate
    from PIL import Image
    from seeds import make_seeds

    from sr4.errors import PictureError
    from sr4.pictures import read_picture
    from sr4.pictures.rgb import read_header, read_image

    Image.preinit()

SEEDS = [seed.data for seed in make_seeds(bombs=False)]
_MOST_PIXELS = 1_000_000  # a large picture is slow, not wrong


def read(data: bytes) -> None:
    """One execution."""
    for call in (
        read_header,
        lambda source: read_image(source, max_pixels=_MOST_PIXELS),
        lambda source: read_picture(source, max_pixels=_MOST_PIXELS),
    ):
        try:
            call(data)
        except PictureError as error:
            if "\n" in str(error):
                raise AssertionError(f"several lines: {error}") from error


def change(data: bytes, most: int, seed: int) -> bytes:
    """Half of the time what knows the formats, half of the time what libFuzzer does."""
    random_ = random.Random(seed)
    if not data or random_.random() < 0.02:
        data = random_.choice(SEEDS)
    if random_.random() < 0.5:
        return mutate(data, SEEDS, random_)[:most]
    return atheris.Mutate(data, most)


if __name__ == "__main__":
    atheris.Setup([*sys.argv, "-max_len=4096"], read, custom_mutator=change)
    atheris.Fuzz()
