"""The speed of a training from a bucket of S3 beside that from the disk.

    python benchmarks/remote_data.py 'shards/*.tar'
    python benchmarks/remote_data.py --rounds 5 --latency 20 --set data.workers=1 'shards/*.tar'

The server runs here, and so takes a share of the processors from the training it serves;
benchmarks/README.md says what is measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sr4.config.overrides import merge, override, parse_assignment
from sr4.data.patterns import matching_paths
from sr4.data.sources import open_source
from sr4.recipes import recipe

BUCKET = "pictures"


def serve(port: int, latency: float) -> None:
    """A server of S3 that answers each request so many seconds late, until it is killed."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)

    def late(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        time.sleep(latency)
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    run_simple("127.0.0.1", port, late, threaded=True)


def upload(paths: Sequence[Path]) -> None:
    """Put files into the bucket, once the server is there."""
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False)
    files.mkdir(BUCKET)
    for path in paths:
        files.put_file(str(path), f"{BUCKET}/{path.name}")


def trained(data: str, changes: dict[str, Any], out: str) -> tuple[float, float]:
    """Seconds to open the pictures, and pictures a second of the training."""
    from sr4.training.trainer import train

    start = time.perf_counter()
    source = open_source(data)
    opened = time.perf_counter() - start
    settings = override(recipe("sr4-fast"), changes)
    summary = train(settings, data=source, val=None, out=Path(out))
    return opened, settings.training.total_images / summary.seconds


def alone(work: Any, *arguments: Any) -> Any:
    """What a call gives in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measure(options: argparse.Namespace, folder: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Seconds to open and pictures a second, by round and system."""
    cache = folder / "cache"
    os.environ["XDG_CACHE_HOME"] = str(cache)
    systems = {
        "disk": options.data,
        "S3, first time": f"s3://{BUCKET}/*.tar",
        "S3, kept": f"s3://{BUCKET}/*.tar",
    }
    changes: dict[str, Any] = {"training": {"total_images": options.images, "batch_size": 8}}
    for text in options.set:
        changes = merge(changes, parse_assignment(text))
    rounds: list[dict[str, Any]] = []
    for number in range(options.rounds):
        shutil.rmtree(cache, ignore_errors=True)
        figures = {}
        for name in list(systems) if number % 2 else [*list(systems)[1:], "disk"]:
            data, out = systems[name], str(folder / f"{number}-{name}")
            opened, speed = alone(trained, data, changes, out)
            figures[name] = {"opened": opened, "pictures_per_second": speed}
            print(f"{number}: {name}: opened in {opened:.2f} s, {speed:.2f} pictures/s")
        rounds.append(figures)
    ratios = {
        name: statistics.median(
            one[name]["pictures_per_second"] / one["disk"]["pictures_per_second"] for one in rounds
        )
        for name in systems
    }
    return {"rounds": rounds, "ratio_to_disk": ratios, "shards": [path.name for path in paths]}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Training from S3 beside training from the disk.")
    parser.add_argument("data", help="a pattern of tars on the disk")
    parser.add_argument("--images", type=int, default=400, help="pictures of each training")
    parser.add_argument("--rounds", type=int, default=3, help="each trains once by each way")
    parser.add_argument("--latency", type=float, default=0, help="milliseconds before each answer")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    paths = matching_paths(options.data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = get_context("spawn").Process(
        target=serve, args=(port, options.latency / 1000), daemon=True
    )
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with tempfile.TemporaryDirectory() as folder:
        alone(upload, paths)
        print(json.dumps(measure(options, Path(folder), paths)["ratio_to_disk"], indent=1))
    server.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
