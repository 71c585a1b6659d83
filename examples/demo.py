"""Enlarge a 16x16 face to 128x128 and set it beside bicubic and the truth.

Run it with `make demo`, or as `python examples/demo.py OUT` where sr4 is installed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from sr4.pictures import write_image
from sr4.pictures.rgb import read_image
from sr4.plots.comparison import comparison_picture

HERE = Path(__file__).resolve().parent
GIVEN, TRUTH = HERE / "astronaut-16.png", HERE / "astronaut-128.png"


def upscale(given: Path, result: Path) -> float:
    """Run `sr4 upscale` as one types it; the seconds that the whole process took."""
    sr4 = Path(sys.executable).with_name("sr4")
    start = time.perf_counter()
    subprocess.run([sr4, "upscale", given, "-o", result, "--overwrite"], check=True)
    return time.perf_counter() - start


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    seconds = upscale(GIVEN, out / "result.png")

    low_res, truth = read_image(GIVEN), read_image(TRUTH)
    pictures = {
        "low-res": low_res,
        "bicubic": low_res.resize(truth.size, Image.Resampling.BICUBIC),
        "result": read_image(out / "result.png"),
        "truth": truth,
    }
    write_image(low_res, out / "low_res.png", overwrite=True)
    write_image(comparison_picture([pictures]), out / "comparison.png", overwrite=True)

    print(f"sr4 upscale took {seconds:.1f} s, the start of the program included. Look at")
    print(f"  {out / 'low_res.png'}     what it was given, {low_res.width}x{low_res.height}")
    print(f"  {out / 'result.png'}      what it made of it, {truth.width}x{truth.height}")
    print(f"  {out / 'comparison.png'}  both, beside bicubic and the truth")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
