"""OpenVINO: the fastest runtime on processors with bfloat16 arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from sr4.errors import ModelError
from sr4.images import reason

Floats = NDArray[np.float32]


class OpenVINONetwork:
    """The exported graph in OpenVINO on the CPU.

    Args:
        precision: of the arithmetic, "f32", "bf16" or "f16"; None takes what OpenVINO finds fastest
            there. With bfloat16 outputs differ from float32 ones by about 0.01.
    """

    name = "openvino"

    def __init__(self, graph: Path, precision: str | None = None) -> None:
        core = openvino.Core()
        options = {} if precision is None else {"INFERENCE_PRECISION_HINT": precision}
        try:
            self._model = core.compile_model(core.read_model(str(graph)), "CPU", options)
        except RuntimeError as error:
            raise ModelError(
                f"{graph}: OpenVINO cannot open it ({reason(error)[:200]}); expected an exported "
                "graph beside its model.safetensors: run `sr4 export` again"
            ) from error

    def __call__(self, x_t: Floats, log_snr: float, upsampled: Floats) -> Floats:
        levels = np.full(x_t.shape[0], log_snr, np.float32)
        try:
            result = self._model({"x_t": x_t, "log_snr": levels, "low_res": upsampled})
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO fails on pictures of shape {x_t.shape} ({reason(error)[:200]}); "
                "expected shapes of the exported network and enough memory: use smaller or fewer "
                "pictures, or run `sr4 export` again"
            ) from error
        return np.array(result[0])  # a copy: the runtime uses its buffer again

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array
