"""OpenVINO: the fastest runtime on processors with bfloat16 arithmetic."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.errors import ModelError, reason
from sr4.files.whole import file_sha256
from sr4.machine.processors import available_cpus
from sr4.runtime import IR, IR_WEIGHTS, WEIGHTS, failure
from sr4.runtime.compiled_cache import CompiledCache


def import_openvino() -> Any:
    """The package, without its telemetry: this reports each import to its makers, and keeps a
    number for the user in the home folder. Where it is not installed, the package does without; so
    for the time of the import it is not to be found.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    name = "openvino_telemetry"
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return openvino


openvino = import_openvino()

Floats = NDArray[np.float32]

_GROUP = 8  # pictures that go together where there are that many: more are hardly faster a picture
_PRECISIONS = {"float32": "f32", "bf16": "bf16"}


class OpenVINONetwork:
    """The exported graph in OpenVINO on the CPU.

    Pictures of the usual size run on models compiled for that size, for `_GROUP` pictures and for
    one, up to a fifth faster than on the model for any size. A picture's size alone decides which,
    so that neither the batch it comes in nor earlier calls change its result by rounding. Each is
    compiled when it is first needed, in about 0.3 s. Any number of threads may use it at once.

    Args:
        size: edge of the pictures that come most; None where there is no such size.
        multiple: what the sides of pictures have to be multiples of. OpenVINO itself does not check
            shapes inside a graph: others give numbers of an earlier call, or end the process.
        precision: of the arithmetic, "float32" or "bf16"; "auto" is bf16 where the processor has
            it. With bf16 outputs differ from float32 ones by about 0.01.
        cache: folder that keeps compiled models between processes; None keeps none.
    """

    name = "openvino"
    is_for_one = False

    def __init__(
        self,
        graph: Path,
        *,
        size: int | None = None,
        multiple: int = 1,
        precision: str = "auto",
        cache: Path | None = None,
    ) -> None:
        self._graph, self._size, self._multiple = graph, size, multiple
        self._cache = CompiledCache(cache)
        self._core = _core()
        if precision == "auto":
            has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if has_bf16 else "float32"
        self.precision = precision
        self.told = f"openvino, {precision} on the processor"
        self._compiled: dict[int | None, _Compiled] = {}  # by pictures in a group; None for any
        self._compiling: dict[int | None, threading.Lock] = {}  # by the same
        try:
            self._model = self._core.read_model(str(graph))
        except RuntimeError as error:
            raise ModelError(
                f"{graph}: OpenVINO cannot open it ({reason(error)[:200]}); expected an exported "
                "graph beside its model.safetensors: run `sr4 export` again"
            ) from error

    def __call__(
        self, x_t: Floats, log_snr: float, upsampled: Floats, known: Floats | None = None
    ) -> Floats:
        if any(side % self._multiple for side in x_t.shape[2:]):
            raise failure(
                "OpenVINO", x_t.shape, ValueError(f"sides are no multiples of {self._multiple}")
            )
        inputs = {
            "x_t": np.ascontiguousarray(x_t),
            "log_snr": np.full(len(x_t), log_snr, np.float32),
            "low_res": np.ascontiguousarray(upsampled),
        }
        if known is not None:
            inputs["known"] = np.ascontiguousarray(known)
        try:
            if x_t.shape[2:] != (self._size, self._size):
                return self._evaluate(None, inputs)
            return np.concatenate(
                [
                    self._evaluate(
                        part.stop - part.start, {name: one[part] for name, one in inputs.items()}
                    )
                    for part in _groups(len(x_t))
                ]
            )
        except (RuntimeError, MemoryError) as error:  # memory's end: its own, or Python's
            raise failure("OpenVINO", x_t.shape, error) from error

    def _evaluate(self, group: int | None, inputs: Mapping[str, Floats]) -> Floats:
        shapes = {name: one.shape for name, one in inputs.items() if group is not None}
        with self._compiling.setdefault(group, threading.Lock()):
            if group not in self._compiled:
                self._compiled[group] = _Compiled(self._compile(shapes, available_cpus()))
        found = self._compiled[group](inputs)
        if np.isnan(found).all():  # as where one thread fails without a word: two say why
            found = _Compiled(self._compile(shapes, 2))(inputs)
        if np.isnan(found).all():  # as on a single processor, where two are one
            raise RuntimeError("no number comes out of it")
        return found

    def _compile(self, shapes: Mapping[str, tuple[int, ...]], threads: int) -> Any:
        """The model compiled for these shapes, or for any; from the cache if it is there."""
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            # More than there are processors would wait for each other in busy loops.
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": _PRECISIONS[self.precision],
            # Else processes of one thread each would all have it on the first processor.
            "ENABLE_CPU_PINNING": False,
            # Else what it prepares for each new size of pictures stays: two thirds of a megabyte.
            "CPU_RUNTIME_CACHE_CAPACITY": 0,
        }
        key = self._key(shapes, options) if self._cache.keeps else ""
        kept = self._cache.read(key) if key else None
        if kept is not None:
            try:
                return self._core.import_model(kept, "CPU", options)
            except RuntimeError:  # whatever makes it useless here, the graph is at hand
                pass
        model = self._model.clone()
        if shapes:
            model.reshape(dict(shapes))
        compiled = self._core.compile_model(model, "CPU", options)
        if key:
            self._cache.write(key, compiled.export_model().getvalue())
        return compiled

    def _key(self, shapes: Mapping[str, tuple[int, ...]], options: Mapping[str, Any]) -> str:
        """All that a compiled model depends on."""
        weights = IR_WEIGHTS if self._graph.name == IR else WEIGHTS
        files = [self._graph, self._graph.with_name(weights)]
        machine = [
            self._core.get_property("CPU", name)
            for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
        ]
        sums = [file_sha256(path) for path in files if path.is_file()]
        return json.dumps([openvino.__version__, machine, sums, dict(shapes), dict(options)])

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array


class _Compiled:
    """A compiled model. Each evaluation has an infer request to itself, whose buffers hold its
    outputs until they are copied; requests are used again, so that there are no more than threads.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._idle: list[Any] = []

    def __call__(self, inputs: Mapping[str, Floats]) -> Floats:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._model.create_infer_request()
        # With one thread an evaluation can fail without a word, and leaves what was there.
        buffer = request.get_output_tensor().data
        if buffer.dtype.kind == "f":
            buffer[:] = np.nan
        output = np.array(request.infer(inputs, share_inputs=True)[0])
        self._idle.append(request)
        return output


_core_lock = threading.Lock()
_cores: list[Any] = []


def _core() -> Any:
    """One for the whole process, never closed. A core gives the thread that first compiles on it a
    stack for signal handlers, and when it is closed puts back what was there before it: of two
    that are closed in the order of their making, a stack that is gone, and the next signal, such as
    Ctrl-C, would end the process.
    """
    with _core_lock:
        if not _cores:
            _cores.append(openvino.Core())
        return _cores[0]


def _groups(count: int) -> list[slice]:
    """Whole groups of pictures, then single ones."""
    whole = count - count % _GROUP
    return [slice(i, i + _GROUP) for i in range(0, whole, _GROUP)] + [
        slice(i, i + 1) for i in range(whole, count)
    ]
