"""Whether faces given in more pixels than 16x16 come out as well: the same faces, given in several
sizes, drawn in the size of their truth and scored there.

    python benchmarks/face_sizes.py test.tar [--model sr4-fast] [--sizes 16 24 32] [--json]

Kernel distance and PSNR are those of `sr4 evaluate`, in RGB, of one sample a face, in 8 bits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sr4
from sr4.data import open_source
from sr4.degradation import SizedDegradation
from sr4.evaluation.distances import kernel_distance_interval
from sr4.evaluation.features import EfficientNetLite0
from sr4.evaluation.metrics import bootstrap, psnr
from sr4.pictures.pixels import quantise, to_array


def main() -> None:
    """Score each size and print the table."""
    args = arguments()
    source = open_source(args.source)
    truths = [source.read(index) for index in range(min(len(source), args.limit or len(source)))]
    pipeline, network = sr4.load(args.model, backend=args.backend), EfficientNetLite0()
    real = network(np.stack(truths))
    found = {}
    for size in args.sizes:
        results = np.stack([drawn(pipeline, truth, size) for truth in truths])
        scores = psnr(results / 255, np.stack(truths) / 255)
        found[size] = {
            "kid_efflite0": kernel_distance_interval(real, network(results)).model_dump(),
            "psnr": bootstrap(scores).model_dump(),
        }
        if not args.json:
            told = "  ".join(
                f"{name} {one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
                for name, one in found[size].items()
            )
            print(f"{size}x{size}  {told}", flush=True)
    if args.json:
        print(json.dumps({"faces": len(truths), "sizes": found}, indent=2))


def drawn(pipeline: Any, truth: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A face (H, W, 3) given in size x size pixels, and drawn in its own size again."""
    down = SizedDegradation(truth.shape[:2], (size, size))
    low_res = quantise(down(to_array(truth).astype(np.float64)))
    return np.asarray(pipeline.upscale(low_res, width=truth.shape[1]).image)


def arguments() -> argparse.Namespace:
    """Those of the command line."""
    parser = argparse.ArgumentParser(description="Score faces given in several sizes.")
    parser.add_argument("source", type=Path, help="square faces: a folder or a tar")
    parser.add_argument("--model", default="sr4-fast")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 24, 32])
    parser.add_argument("--limit", type=int, help="faces, from the first on")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
