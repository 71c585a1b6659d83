"""Options that several commands share.

Values that name something (a sampler, a backend) stay text: the core knows the valid names, and
its message gives the nearest one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]

Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Network evaluations a sample: fewer are faster and closer to the truth on average, "
        "more give more detail. Default: the model's own.",
    ),
]

Detail = Annotated[
    float | None,
    typer.Option(
        metavar="0..1",
        min=0,
        max=1,
        help="0: the mean of all pictures that fit, nearest to the truth and soft; 1: a sample of "
        "them, with all its detail. Default: the model's own.",
        show_default=False,
    ),
]

Inception = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also compute FID and KID, with these weights of Inception v3: the canonical file "
        "is weights-inception-2015-12-05-6726825d.pth of torch-fidelity. Needs the extra fid.",
        show_default=False,
    ),
]

Sampler = Annotated[
    str | None,
    typer.Option(metavar="ddpm|ddim|dpmpp", help="How to sample. Default: the model's own."),
]

Seed = Annotated[int, typer.Option(metavar="S", min=0, help="Seed: equal seeds, equal results.")]

Backend = Annotated[
    str,
    typer.Option(
        metavar="auto|torch|onnx|openvino",
        help="Runtime of the network; auto takes the fastest one installed that serves the model, "
        "where OpenVINO, which starts later, is for results of more pixels than 16 of training.",
    ),
]

Device = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda|mps", help="Device of the torch backend.")
]


def examples(*lines: str) -> str:
    """The end of a command's help. The backspace keeps typer from wrapping the lines."""
    title = "Examples:" if len(lines) > 1 else "Example:"
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])
