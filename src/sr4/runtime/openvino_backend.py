"""OpenVINO: the fastest runtime on processors with bfloat16 arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from sr4.errors import ModelError, reason
from sr4.machine.processors import available_cpus
from sr4.runtime import failure

Floats = NDArray[np.float32]

_GROUP = 8  # pictures that go together where there are that many: more are hardly faster a picture
_PRECISIONS = {"float32": "f32", "bf16": "bf16"}


class OpenVINONetwork:
    """The exported graph in OpenVINO on the CPU.

    Pictures of the usual size run on models compiled for that size, for `_GROUP` pictures and for
    one, up to a fifth faster than on the model for any size. A picture's size alone decides which,
    so that neither the batch it comes in nor earlier calls change its result by rounding. Each is
    compiled when it is first needed, in about 0.3 s.

    Args:
        size: edge of the pictures that come most; None where there is no such size.
        precision: of the arithmetic, "float32" or "bf16"; "auto" is bf16 where the processor has
            it. With bf16 outputs differ from float32 ones by about 0.01.
        cache: folder that keeps compiled models between processes; None keeps none.
    """

    name = "openvino"

    def __init__(
        self,
        graph: Path,
        *,
        size: int | None = None,
        precision: str = "auto",
        cache: Path | None = None,
    ) -> None:
        self._size, self._cache = size, cache
        self._core = _core()
        if precision == "auto":
            has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            precision = "bf16" if has_bf16 else "float32"
        self.precision = precision
        self._requests: dict[int | None, Any] = {}  # by pictures in a group; None takes any shape
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
        except RuntimeError as error:
            raise failure("OpenVINO", x_t.shape, error) from error

    def _evaluate(self, group: int | None, inputs: Mapping[str, Floats]) -> Floats:
        if group not in self._requests:
            shapes = {name: one.shape for name, one in inputs.items()}
            self._requests[group] = self._compile(group, shapes).create_infer_request()
        outputs = self._requests[group].infer(inputs, share_inputs=True)
        return np.array(outputs[0])  # a copy: the runtime uses its buffer again

    def _compile(self, group: int | None, shapes: Mapping[str, tuple[int, ...]]) -> Any:
        model = self._model.clone()
        if group is not None:
            model.reshape(dict(shapes))
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": available_cpus(),
            "INFERENCE_PRECISION_HINT": _PRECISIONS[self.precision],
        }
        if self._cache is not None:
            try:
                cached = options | {"CACHE_DIR": str(self._cache)}
                return self._core.compile_model(model, "CPU", cached)
            except RuntimeError:  # a full disk, a read-only folder: the work goes on without
                self._cache = None
        return self._core.compile_model(model, "CPU", options)

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array


@functools.cache
def _core() -> Any:
    """One for the whole process, never closed. A core gives the thread that first compiles on it a
    stack for signal handlers, and when it is closed puts back what was there before it: of two
    that are closed in the order of their making, a stack that is gone, and the next signal, such as
    Ctrl-C, would end the process.
    """
    return openvino.Core()


def _groups(count: int) -> list[slice]:
    """Whole groups of pictures, then single ones."""
    whole = count - count % _GROUP
    return [slice(i, i + _GROUP) for i in range(0, whole, _GROUP)] + [
        slice(i, i + 1) for i in range(whole, count)
    ]
