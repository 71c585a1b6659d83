"""The picture at the top of README: several samples of one face, their mean and what was invented.

python examples/samples.py docs/astronaut.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import sr4
from sr4.cli.heatmap import heatmap
from sr4.comparison import comparison_picture
from sr4.images import read_image
from sr4.pictures import write_image

HERE = Path(__file__).parent


def main(out: str) -> None:
    low_res, truth = (read_image(HERE / f"astronaut-{size}.png") for size in (16, 128))
    result = sr4.load().upscale(low_res, samples=8)
    row = {
        "low-res": low_res,
        "bicubic": low_res.resize(truth.size, Image.Resampling.BICUBIC),
        "result": result.samples[0],
        "another": result.samples[1],
        "mean of 8": result.mean,
        "invented": heatmap(result.uncertainty),
        "truth": truth,
    }
    write_image(comparison_picture([row], height=128), Path(out), overwrite=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
