"""A Ray cluster of this machine alone, until its standard input ends; it prints its address and the
folder of its logs.

    python scripts/local_cluster.py --cpus 4 < /dev/zero &
    sr4 upscale photos/ -o large/ --cluster 127.0.0.1:PORT

`ray start` is for real ones. This one leaves others alone, and takes all that it started with it;
who may use it is decided by RAY_AUTH_MODE and RAY_AUTH_TOKEN in the environment.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

STORE = 10**8  # bytes of the object store, which holds no pictures


class Cluster(NamedTuple):
    """A cluster that runs.

    Attributes:
        address: of its head; process: the id of the process that all others belong to.
        environment: with which it is reached; folder: holds its logs.
    """

    address: str
    process: int
    environment: dict[str, str]
    folder: Path


@contextmanager
def local_cluster(cpus: int) -> Iterator[Cluster]:
    """A cluster in a process of its own, with a token that only this one knows.

    Args:
        cpus: its logical processors, of which each worker takes two.
    """
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    token |= {"RAY_USAGE_STATS_ENABLED": "0"}
    environment = {**os.environ, **token}
    with subprocess.Popen(
        [sys.executable, __file__, "--cpus", str(cpus)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address, _, folder = process.stdout.readline().strip().partition(" ")
        if not address:
            raise OSError("the local cluster does not start: run scripts/local_cluster.py to see")
        yield Cluster(address, process.pid, environment, Path(folder))
        process.stdin.close()


def main() -> None:
    """Run one."""
    import ray

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cpus", type=int, default=4, help="logical processors")
    cpus = parser.parse_args().cpus
    place = Path(tempfile.mkdtemp(prefix="ray-"))  # short: it holds sockets
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        context = ray.init(
            num_cpus=cpus,
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
            object_store_memory=STORE,
            _temp_dir=str(place),
        )
        print(context.address_info["gcs_address"], place, flush=True)
        sys.stdin.read()
    finally:
        ray.shutdown()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
