"""One pipeline used hard: by many threads at once, and very often.

    python fuzz/endure.py threads --backend openvino --threads 16 --pictures 200
    python fuzz/endure.py memory --backend onnx --count 10000

README.md beside this file says what is checked. The exit code is 1 where it does not hold.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import sr4

LEVELS = {"onnx": 1, "openvino": 0, "torch": 0}
"""By how much a result may differ from the one that a picture has alone (README, `sr4.load`)."""

_SETTLED = 1000  # upscales, after which memory has to stay as it is
_GROWTH = 0.05
_EVERY = 100  # upscales between looks at the memory


def pictures(count: int, most: int, seed: int) -> list[Any]:
    """Pictures (H, W, 3) of 8 bits, of random sides from 4 to `most`."""
    random = np.random.default_rng(seed)
    sizes = random.integers(4, most + 1, (count, 2))
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def in_threads(options: argparse.Namespace) -> bool:
    """Whether every picture has the same result from many threads as alone."""
    model = sr4.load(options.model, backend=options.backend)
    given = pictures(options.pictures, options.side, options.seed)
    alone = [model.upscale(picture, seed=7).array for picture in given]
    model = sr4.load(options.model, backend=options.backend)  # what is made when first needed, too
    began = time.perf_counter()

    def draw(task: int) -> int | str:
        """By how much a result differs, or what was raised."""
        number = task % options.pictures
        try:
            drawn = model.upscale(given[number], seed=7).array
        except Exception as error:  # noqa: BLE001 - each is counted and shown
            return f"{type(error).__name__}: {error}"
        return int(np.abs(drawn.astype(int) - alone[number].astype(int)).max())

    with ThreadPoolExecutor(options.threads) as threads:
        found = list(threads.map(draw, range(options.pictures * options.rounds)))
    errors = [one for one in found if isinstance(one, str)]
    differences = [one for one in found if isinstance(one, int)]
    wrong = sum(one > LEVELS[options.backend] for one in differences)
    print(
        f"{options.backend}: {len(found):,} results of {options.pictures} pictures by "
        f"{options.threads} threads in {time.perf_counter() - began:.0f} s: {len(errors)} errors, "
        f"{wrong} wrong, {sum(one > 0 for one in differences)} not bit for bit the same"
    )
    for error in sorted(set(errors)):
        print(error)
    return not errors and not wrong


def resident_megabytes() -> float:
    """The memory of this process that is in use (Linux only)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s*(\d+)", status)[0]) / 1024


def in_memory(options: argparse.Namespace) -> bool:
    """Whether the memory stays as it is after the first thousand upscales."""
    model = sr4.load(options.model, backend=options.backend)
    began, sizes, used = time.perf_counter(), set(), []
    settled = min(_SETTLED, options.count // 2)
    for number, picture in enumerate(pictures(options.count, options.side, options.seed), 1):
        model.upscale(picture, seed=number)
        sizes.add(picture.shape)
        if number >= settled and number % _EVERY == 0:
            used.append(resident_megabytes())
    growth = max(used) / used[0] - 1
    print(
        f"{options.backend}: {options.count:,} upscales of {len(sizes)} sizes in "
        f"{time.perf_counter() - began:.0f} s: {used[0]:.0f} MB after {settled:,}, then at most "
        f"{max(used):.0f} MB ({100 * growth:+.1f} %), {used[-1]:.0f} MB at the end"
    )
    return growth <= _GROWTH


def main() -> int:
    """Exit code 1 if it does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("threads", "memory"))
    parser.add_argument("--model", default="sr4-fast", help="name or folder")
    parser.add_argument("--backend", choices=LEVELS, default="onnx")
    parser.add_argument("--seed", type=int, default=0, help="other pictures for each")
    parser.add_argument("--side", type=int, default=24, help="longest side of a picture")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=200, help="of which threads draw each")
    parser.add_argument("--rounds", type=int, default=1, help="how often they do")
    parser.add_argument("--count", type=int, default=10_000, help="upscales in all, for memory")
    options = parser.parse_args()
    return 0 if {"threads": in_threads, "memory": in_memory}[options.what](options) else 1


if __name__ == "__main__":
    sys.exit(main())
