"""A stranger's graph is opened and run in a process of its own first.

Runtimes trust their graphs: whole numbers at the end of their range, divisors of zero or pads of
minus a billion end the whole process, and which of some fifty operators minds which number is
nowhere written down, nor the same from version to version. So it is tried, not guessed: what kills
that process is refused here. `graph_check` keeps out what a trial cannot show.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from sr4.config import ModelConfig
from sr4.degradation.known import CLEAN
from sr4.errors import ModelError
from sr4.files.caches import cache_folder
from sr4.files.whole import file_sha256
from sr4.machine.parent import end_with_parent
from sr4.runtime.compiled_cache import CompiledCache

_OWN = Path(__file__).parents[1] / "shipped"
_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
_MOST_SECONDS = 300.0
_SPARE_BYTES = 2**31
_WELL, _FAILED = 0, 3  # exit codes; one that failed in words does so in this process, too
_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import {0}; {0}.rehearse()"


def check_by_rehearsal(graph: Path, config: ModelConfig, backend: str) -> None:
    """Refuse a graph that ends the process it is run in. Those of the package are known to do well,
    and what did well once is remembered where there is a cache.

    Raises:
        ModelError: it does, or does not come to an end.
    """
    # A program that is its own interpreter would start itself.
    if _OWN in graph.resolve().parents or getattr(sys, "frozen", False) or not sys.executable:
        return
    place = cache_folder()
    cache = CompiledCache(None if place is None else place / "rehearsed")
    files = [path for path in sorted(graph.parent.glob("model.*")) if path.is_file()]
    key = json.dumps([_version(_PACKAGES[backend]), graph.name, *map(file_sha256, files)])
    if cache.read(key) is not None:
        return
    words = [str(graph.resolve()), backend, config.model_dump_json()]
    command = [sys.executable, "-c", _CHILD.format(__name__), json.dumps(sys.path)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(words).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refusal(graph, f"does not come to an end in {_MOST_SECONDS:.0f} seconds") from error
    if done.returncode == _WELL:
        cache.write(key, b"well")
    elif done.returncode not in (1, _FAILED):  # 1: Python itself did not get there
        raise _refusal(graph, f"kills the process that runs it (exit code {done.returncode})")


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # not there, or a build of another name
        return package


def _refusal(graph: Path, why: str) -> ModelError:
    return ModelError(
        f"{graph}: {why}; expected one that `sr4 export` wrote: export the model again, or get it "
        "from a source that you trust"
    )


def _bound_memory(config: ModelConfig) -> None:
    """Limit the memory of this process to several times what a usual picture takes."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        usual = config.network.bytes_per_pixel(config.channels) * config.image_size**2
        most = pages * resource.getpagesize() + _SPARE_BYTES + 4 * usual
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def rehearse() -> None:
    """What the process does: open the graph, and run it on pictures of the usual size, the smallest
    and others. Never returns, so that nothing runs after it.
    """
    end_with_parent()
    code = _FAILED
    try:
        from sr4.runtime import open_graph

        graph, backend, text = json.load(sys.stdin)
        config = ModelConfig.model_validate_json(text)
        _bound_memory(config)
        network = open_graph(Path(graph), config, backend, keep=False)
        usual, least = config.image_size, config.size_multiple
        for count, height, width in ((1, usual, usual), (1, least, least), (2, least, 3 * least)):
            picture = np.zeros((count, config.channels, height, width), np.float32)
            known = np.stack([CLEAN.vector()] * count)
            told = (known,) if config.network.is_degradation_aware else ()
            network(picture, 0.0, picture, *told)
        code = _WELL
    finally:
        os._exit(code)
