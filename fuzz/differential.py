"""The same picture drawn in ways that must not matter: whole and in tiles, alone and together, on
each runtime, by one thread and by several.

    python fuzz/differential.py --model sr4-fast --count 100

README.md beside this file says by how much results may differ. The exit code is 1 where one does
by more.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import sr4

BACKENDS = ("onnx", "openvino", "torch")
_MODES = ("RGB", "RGB", "L", "RGBA", "16 bits")


class Bound(NamedTuple):
    """By how much results may differ, in levels of 8 bits."""

    most: float  # of any value
    mean: float  # root of the mean square


BOUNDS = {
    "together, onnx": Bound(1, 0.1),
    "together, openvino": Bound(0, 0),
    "together, torch": Bound(0, 0),
    "threads, onnx": Bound(1, 0.1),
    "threads, openvino": Bound(1, 0.1),
    "threads, torch": Bound(1, 0.1),
    "runtime, openvino": Bound(24, 1.5),  # it computes in bfloat16 where the processor does
    "runtime, torch": Bound(2, 0.2),
    "tiles": Bound(64, 5),  # a network sees less around the edge of a tile
}


def make_picture(random_: random.Random) -> Any:
    """A picture of any mode, of sides from 4 to 48: noise on a few smooth shapes."""
    noise = np.random.default_rng(random_.randrange(2**32))
    height, width = (random_.randint(4, 48) for _ in range(2))
    mode = random_.choice(_MODES)
    count = {"L": 1, "RGBA": 4}.get(mode, 3)
    rows, columns = np.mgrid[:height, :width]
    waves = noise.uniform(0, 0.5, (2, count))
    smooth = np.sin(rows[:, :, None] * waves[0] + columns[:, :, None] * waves[1])
    values = np.clip(0.5 + 0.4 * smooth + 0.05 * noise.standard_normal(smooth.shape), 0, 1)
    array = (65535 * values).astype(np.uint16) if mode == "16 bits" else (255 * values).astype("u1")
    return array[:, :, 0] if count == 1 else array


def make_options(random_: random.Random) -> dict[str, Any]:
    """Options of `upscale` that every model takes."""
    return {
        "seed": random_.randrange(1000),
        "steps": random_.choice((1, 1, 2, 4)),
        "samples": random_.choice((1, 1, 3)),
        "use_mean": random_.random() < 0.2,
        "evidence": random_.choice(("exact", "exact", "none")),
    }


def open_pipeline(model: str, backend: str, threads: int) -> Any:
    """A pipeline of so many threads, or of as many as there are processors."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)
    return sr4.load(model, backend=backend)


class Ways:
    """One model, opened in each way."""

    def __init__(self, model: str, threads: int) -> None:
        self._threads = threads
        self._one = {name: open_pipeline(model, name, 1) for name in BACKENDS}
        self._many = {name: open_pipeline(model, name, threads) for name in BACKENDS}

    def compare(self, picture: Any, beside: Any, options: dict[str, Any]) -> Iterator[Any]:
        """Name of a way, its result, and the one that it must be, for each way."""
        alone = {}
        for name, pipeline in self._one.items():
            self._set_threads(name, 1)
            alone[name] = pipeline.upscale(picture, tile=0, **options)
            both = pipeline.upscale([beside, picture, picture], tile=0, **options)
            for one in both[1:]:
                yield f"together, {name}", one, alone[name]
        for name, pipeline in self._many.items():
            self._set_threads(name, self._threads)
            drawn = pipeline.upscale(picture, tile=0, **options)
            yield f"threads, {name}", drawn, alone[name]
        for name in BACKENDS[1:]:
            yield f"runtime, {name}", alone[name], alone["onnx"]
        tiled = self._one["onnx"].upscale(picture, tile=64, **options)
        yield "tiles", tiled, alone["onnx"]

    def _set_threads(self, name: str, count: int) -> None:
        if name == "torch":  # which has them for the whole process
            import torch

            torch.set_num_threads(count)


def difference(one: Any, other: Any) -> Bound:
    """By how much two results differ."""
    scale = 255 / (65535 if one.array.dtype == np.uint16 else 255)
    apart = scale * np.abs(one.array.astype(float) - other.array.astype(float))
    return Bound(float(apart.max()), float(np.sqrt(np.square(apart).mean())))


def main() -> int:
    """Exit code 1 if any two results differ by more than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sr4-fast", help="name or folder, with an ONNX graph")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="other pictures for each")
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    ways = Ways(options.model, options.threads)
    worst = dict.fromkeys(BOUNDS, Bound(0, 0))
    failed = []
    for number in range(options.count):
        random_ = random.Random(f"{options.seed} {number}")
        picture, chosen = make_picture(random_), make_options(random_)
        for way, one, other in ways.compare(picture, make_picture(random_), chosen):
            found = difference(one, other)
            worst[way] = Bound(*map(max, worst[way], found))
            if found.most > BOUNDS[way].most or found.mean > BOUNDS[way].mean:
                failed.append(f"{number}, {way}: {found} of {picture.shape} with {chosen}")
    for way, found in worst.items():
        print(f"{way:20} worst: {found.most:6.2f} levels, {found.mean:6.3f} root mean square")
    print("\n".join([*failed, f"{options.count} pictures, {len(failed)} problems"]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
