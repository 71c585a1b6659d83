"""The pictures at the top of README: one face and one photograph, enlarged.

python examples/samples.py face docs/astronaut.png
python examples/samples.py photo docs/chelsea.png     # needs scikit-image, whose cat this is
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import sr4
from sr4.pictures import write_image
from sr4.pictures.rgb import read_image
from sr4.plots.comparison import comparison_picture
from sr4.plots.heatmap import heatmap

HERE = Path(__file__).parent


def face() -> Image.Image:
    """Samples of one face, their mean and what was invented."""
    low_res, truth = (read_image(HERE / f"astronaut-{size}.png") for size in (16, 128))
    result = sr4.load("sr4-fast").upscale(low_res, samples=8)
    row = {
        "low-res": low_res,
        "bicubic": low_res.resize(truth.size, Image.Resampling.BICUBIC),
        "result": result.samples[0],
        "another": result.samples[1],
        "mean of 8": result.mean,
        "invented": heatmap(result.uncertainty),
        "truth": truth,
    }
    return comparison_picture([row], height=128)


def photo() -> Image.Image:
    """A part of a photograph, four times larger."""
    from skimage.data import chelsea

    truth = Image.fromarray(chelsea()).crop((96, 32, 352, 288))
    low_res = truth.resize((64, 64), Image.Resampling.BICUBIC)
    result = sr4.load("photo-x4").upscale(low_res)
    row = {
        "low-res": low_res,
        "bicubic": low_res.resize(truth.size, Image.Resampling.BICUBIC),
        "result": result.image,
        "truth": truth,
    }
    return comparison_picture([row], height=256)


if __name__ == "__main__":
    draw = {"face": face, "photo": photo}[sys.argv[1]]
    write_image(draw(), Path(sys.argv[2]), overwrite=True)
