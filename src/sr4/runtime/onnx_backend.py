"""ONNX Runtime: the default, needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sr4.errors import ModelError, reason
from sr4.machine.processors import available_cpus
from sr4.runtime import failure

Floats = NDArray[np.float32]

# Microseconds for which a thread without work stays awake: enough between the operators of a small
# graph. By default it is a thousand and more, taken from whatever else is at work: the fits beside
# the network, another process.
_AWAKE = 50
_MOST_FOLDED = 2**28  # bytes that one operator may make of constants when a session starts


class ONNXNetwork:
    """The exported graph in ONNX Runtime, float32 on the CPU."""

    name = "onnx"
    told = "onnxruntime, float32 on the processor"
    is_for_one = False

    def __init__(self, graph: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cpus()
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(_AWAKE))
        # A few operators on constants could stand for any amount of memory.
        options.add_session_config_entry(
            "optimization.constant_folding_max_output_size_in_bytes", str(_MOST_FOLDED)
        )
        options.log_severity_level = 4  # its messages span lines; ours below says what to do
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # to the same provider, with lines on stdout
            )
        except Exception as error:  # onnxruntime has no public base class of its errors
            raise ModelError(
                f"{graph}: ONNX Runtime cannot open it ({reason(error)[:200]}); expected an "
                "exported graph beside its model.safetensors: run `sr4 export` again"
            ) from error

    def __call__(
        self, x_t: Floats, log_snr: float, upsampled: Floats, known: Floats | None = None
    ) -> Floats:
        levels = np.full(x_t.shape[0], log_snr, np.float32)
        inputs = {"x_t": x_t, "log_snr": levels, "low_res": upsampled}
        if known is not None:
            inputs["known"] = known
        try:
            return self._session.run(None, inputs)[0]  # type: ignore[no-any-return]
        except Exception as error:  # no public base class here either
            raise failure("ONNX Runtime", x_t.shape, error) from error

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array
