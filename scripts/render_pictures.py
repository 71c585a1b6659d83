"""Make tar shards of synthetic pictures: text, screens, drawings, charts, maps and patterns.

    python scripts/render_pictures.py OUT --count N --size 256 --seed S [--held-out-fonts]

`OUT` is the beginning of the shards' names: `rendered/train` makes `rendered/train-00.tar`,
`rendered/train-01.tar` and so on. Pictures are lossless PNG files named by what they show, and
`README.txt` in each shard says how to make it again. A picture depends on the seed, its index, its
size, the fonts and the versions of Pillow and matplotlib, and on nothing else.

Training pictures take every font that is installed but the ones in `HELD_OUT`; test pictures
(`--held-out-fonts`) take DejaVu Serif and STIX as matplotlib brings them, so that they can be made
anywhere.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import PIL
from matplotlib import font_manager
from rendering import scenes
from rendering.fonts import Fonts

HELD_OUT = ("DejaVuSerif", "DejaVuMath", "STIX")
"""Beginnings of the names of font files that no training picture uses."""

NO_LETTERS = ("LastResort", "D050000L")
"""Beginnings of the names of font files that claim letters and draw boxes or signs."""

SMALLEST = 128  # pixels a side; charts and screens need that much

README = """Synthetic pictures, drawn by scripts/render_pictures.py of SR4.
Terms: free for any use; the fonts are only drawn with, none is contained.

seed {seed}, pictures {first} to {last} of {count}, {size}x{size} pixels
Pillow {pillow}, matplotlib {matplotlib}, numpy {numpy}

Fonts:
{fonts}
"""


def installed_fonts(held_out: bool) -> list[Path]:
    """Font files in a fixed order: those held out for tests as matplotlib brings them, or all
    others on this machine. Of files with the same name the first counts.
    """
    bundled = Path(mpl.get_data_path()) / "fonts" / "ttf"
    found = sorted(bundled.glob("*.ttf"))
    if held_out:
        names = ("DejaVuSerif.", "DejaVuSerif-", "STIXGeneral")
        return [path for path in found if path.name.startswith(names)]
    system = sorted(map(Path, font_manager.findSystemFonts()), key=lambda path: path.name)
    by_name: dict[str, Path] = {}
    for path in found + system:
        if not path.name.startswith(HELD_OUT + NO_LETTERS):
            by_name.setdefault(path.name, path)
    return list(by_name.values())


def png(pixels: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    pixels.convert("RGB").save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # time, owner and group are 0: equal input gives equal bytes
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard", type=int, default=600, help="pictures in a shard")
    parser.add_argument("--held-out-fonts", action="store_true")
    args = parser.parse_args()
    if args.size < SMALLEST or args.count < 1 or args.shard < 1:
        parser.error(
            f"got size {args.size}, count {args.count}, shard {args.shard}; expected a size of at "
            f"least {SMALLEST} and at least 1 picture"
        )

    fonts = Fonts(installed_fonts(args.held_out_fonts))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for shard, first in enumerate(range(0, args.count, args.shard)):
        last = min(first + args.shard, args.count) - 1
        path = args.out.with_name(f"{args.out.name}-{shard:02d}.tar")
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            about = README.format(
                seed=args.seed,
                first=first,
                last=last,
                count=args.count,
                size=args.size,
                pillow=PIL.__version__,
                matplotlib=mpl.__version__,
                numpy=np.__version__,
                fonts="\n".join(fonts.names),
            )
            add(tar, "README.txt", about.encode())
            for index in range(first, last + 1):
                name, picture = scenes.draw(
                    np.random.default_rng([args.seed, index]), fonts, args.size
                )
                add(tar, f"{name}-{args.seed}-{index:05d}.png", png(picture))
        print(f"{path}: pictures {first} to {last}, {len(fonts.names)} fonts", flush=True)


if __name__ == "__main__":
    main()
