"""Take pictures out of training sets for validation, by a fixed rule, and say what that leaves out.

    python scripts/hold_apart.py OUT.tar --take 24 photos/train.tar --take 36 'more/train-*.tar'

Of each source so many pictures are taken, spread over the beginnings of their names in proportion
to their numbers (`cam-0001.webp` begins with `cam`), and evenly spaced in each. Prints the names
that training must leave out: those taken, and, where a beginning is named by `--windows` since its
pictures may be parts of one photograph, the two others of that beginning whose colours are most
alike to each one taken. With `--crop N`, of each one taken its middle NxN pixels are kept, as PNG.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.data.encoded import EncodedSource
from sr4.data.sources import open_source


def groups(source: EncodedSource) -> dict[str, list[int]]:
    """Indices by the beginning of the name, in the order of the names."""
    found: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(source)), key=lambda k: source.names[k]):
        found[Path(source.names[index]).stem.rpartition("-")[0]].append(index)
    return dict(sorted(found.items()))


def shares(sizes: dict[str, int], count: int) -> dict[str, int]:
    """`count` divided in proportion to the sizes, by the largest remainders."""
    exact = {name: count * size / sum(sizes.values()) for name, size in sizes.items()}
    given = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (given[name] - exact[name], name))
    for name in by_remainder[: count - sum(given.values())]:
        given[name] += 1
    return given


def evenly_spaced(members: list[int], count: int) -> list[int]:
    return [members[(2 * k + 1) * len(members) // (2 * count)] for k in range(count)]


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares of 8x8x8 cells of RGB, (512,); they add up to 1."""
    cells = (pixels >> 5).astype(int) @ (64, 8, 1)
    return np.bincount(cells.ravel(), minlength=512) / cells.size


def most_alike(source: EncodedSource, taken: list[int], members: list[int]) -> list[int]:
    """The two members nearest to each taken one by the overlap of their colours."""
    spectra = {index: colours(source.read(index)) for index in members}
    found: set[int] = set()
    for index in taken:
        overlaps = {
            other: float(np.minimum(spectra[index], spectra[other]).sum())
            for other in members
            if other != index
        }
        found.update(sorted(overlaps, key=lambda other: -overlaps[other])[:2])
    return sorted(found - set(taken))


def middle(pixels: NDArray[np.uint8], edge: int) -> bytes:
    """The middle of a picture of at least that edge, as PNG."""
    top, left = ((side - edge) // 2 for side in pixels.shape[:2])
    stream = io.BytesIO()
    Image.fromarray(pixels[top : top + edge, left : left + edge]).save(stream, "PNG")
    return stream.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", metavar="OUT.tar", type=Path)
    parser.add_argument("--take", nargs=2, action="append", required=True, metavar=("N", "SRC"))
    parser.add_argument("--windows", action="append", default=[], metavar="BEGINNING")
    parser.add_argument("--crop", type=int, metavar="N", help="keep the middle NxN pixels")
    args = parser.parse_args()

    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(args.out, "w", format=tarfile.PAX_FORMAT) as tar:
        for count, spec in args.take:
            source = open_source(spec)
            members = groups(source)
            given = shares({name: len(some) for name, some in members.items()}, int(count))
            for name, some in members.items():
                taken = evenly_spaced(some, given[name])
                for index in taken:
                    data, name_kept = source.read_bytes(index), source.names[index]
                    if args.crop is not None:
                        data = middle(source.read(index), args.crop)
                        name_kept = str(PurePosixPath(name_kept).with_suffix(".png"))
                    member = tarfile.TarInfo(name_kept)  # its time is 0
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                    print(f"{source.names[index]}\t{spec}\ttaken")
                for index in most_alike(source, taken, some) if name in args.windows else ():
                    print(f"{source.names[index]}\t{spec}\talike")


if __name__ == "__main__":
    main()
