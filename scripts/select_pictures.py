"""Copy pictures of several tars into one, byte for byte: all but some names, or every n-th.

    python scripts/select_pictures.py runs/data/photos.tar photos/train.tar 'more/*.tar' \\
        --exclude held-apart.txt

Names keep their order; a line of the file of excluded names may have more columns, behind a tab.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path

from sr4.data.sources import open_sources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="+", metavar="SRC")
    parser.add_argument("--exclude", type=Path, help="a file of names, one a line")
    parser.add_argument("--every", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    lines = arguments.exclude.read_text().splitlines() if arguments.exclude else []
    excluded = {line.split("\t")[0] for line in lines if line}
    source = open_sources(arguments.sources)
    kept = [
        index
        for index, name in enumerate(source.names)
        if name not in excluded and name.rsplit("/", 1)[-1] not in excluded
    ][:: arguments.every]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_suffix(".tmp")
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        for index in kept:
            data = source.read_bytes(index)
            member = tarfile.TarInfo(source.names[index])
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    temporary.replace(arguments.out)
    print(f"{arguments.out}: {len(kept):,} of {len(source):,} pictures")


if __name__ == "__main__":
    main()
