"""`sr4 data`: prepare training pictures, and look at a source of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sr4.cli import console
from sr4.cli.options import JSON, Overwrite, examples

if TYPE_CHECKING:
    from sr4.data.manifest import Manifest
    from sr4.data.prepare import Format

PREPARE_EXAMPLES = examples(
    "sr4 data prepare photos/ shards/ --size 128",
    "sr4 data prepare scenes/ shards/ --size 128 --channels 4",
)
INFO_EXAMPLES = examples("sr4 data info 'shards/*.tar'")

Source = Annotated[
    str,
    typer.Argument(
        metavar="SRC",
        help="A folder of pictures (searched recursively), a tar, a pattern of tars (also on a "
        "network: s3://bucket/train-*.tar), or an LMDB folder.",
        show_default=False,
    ),
]


def prepare(
    src: Source,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to make.", show_default=False)
    ],
    size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Height and width of the prepared pictures.")
    ] = 128,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="png|webp|tif",
            help="png is lossless; webp, quality 92, a seventh as large; tif keeps any depth and "
            "number of channels. Default: png, or tif for other channels than 1 and 3.",
            show_default=False,
        ),
    ] = None,
    channels: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Channels of the pictures: 3 for RGB, 1 for grey, others for as many bands.",
        ),
    ] = 3,
    shard_images: Annotated[
        int, typer.Option(metavar="N", min=1, help="Pictures in a tar.")
    ] = 1000,
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> int:
    """Pack pictures, square and of one size, into tar shards.

    Each is cropped to its central square and made smaller. OUT then holds 00000.tar, 00001.tar ...
    and manifest.json with checksums. Pictures that cannot be read or are smaller than the size are
    named, left out, and make the exit code 1, though all others are there.
    """
    from sr4.data.prepare import prepare as make_shards

    with console.progress("preparing") as advance:
        manifest = make_shards(
            src,
            out,
            size=size,
            shard_images=shard_images,
            format=cast("Format | None", format),  # checked there
            channels=channels,
            overwrite=overwrite,
            on_progress=lambda done, total: advance(done, total, ""),
        )
    skipped = [entry.model_dump() for entry in manifest.skipped]
    for entry in manifest.skipped:
        console.fail(
            entry.reason if entry.source in entry.reason else f"{entry.source}: {entry.reason}"
        )
    if as_json:
        console.say_json(
            {
                "folder": str(out),
                "count": manifest.count,
                "size": manifest.size,
                "format": manifest.format,
                "shards": [shard.file for shard in manifest.shards],
                "skipped": skipped,
            }
        )
    else:
        console.say(f"{out}  {_told(manifest)}")
    return 1 if skipped else 0


def _told(manifest: Manifest) -> str:
    """What shards hold, and, where that is not all of the source, that the rest of it is there."""
    left, size, shards = len(manifest.skipped), manifest.size, len(manifest.shards)
    count, total = manifest.count, manifest.count + left
    return (
        f"{count:,} {f'of {total:,} ' if left else ''}picture{'s' * (total != 1)}, {size}x{size}, "
        f"in {shards:,} shard{'s' * (shards != 1)}"
        + (f"; {left:,} left out, all others are there" if left else "")
    )


def info(src: Source, as_json: JSON = False) -> int:
    """Say what a source of pictures holds.

    Looks at up to 1,000 pictures and, in prepared shards, at all checksums. Unreadable pictures and
    damaged shards are named, and make the exit code 1.
    """
    from sr4.data.prepare import info as inspect
    from sr4.pictures.finding import told

    summary = inspect(src)
    for line in summary.unreadable:
        console.fail(line)
    for shard in summary.damaged:
        console.fail(
            f"{shard}: its checksum is not the manifest's; expected the shard as it was written: "
            "prepare or copy it again"
        )
    if as_json:
        console.say_json(summary.model_dump(mode="json"))
    else:
        console.say_table(
            [
                ("source", summary.location),
                ("kind", summary.kind),
                ("pictures", f"{summary.count:,}"),
                ("looked at", f"{summary.sampled:,}"),
                *(
                    (name, "{}x{}".format(*size))
                    for name, size in (
                        ("smallest", summary.smallest),
                        ("largest", summary.largest),
                        ("most common", summary.most_common),
                    )
                    if size is not None
                ),
                ("formats", _counts(summary.formats)),
                ("modes", _counts(summary.modes)),
                *([("left out", told(summary.left_out))] if summary.left_out else []),
                ("unreadable", str(len(summary.unreadable))),
                ("damaged shards", str(len(summary.damaged))),
            ]
        )
    return 1 if summary.unreadable or summary.damaged else 0


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
