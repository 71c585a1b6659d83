"""OpenVINO: the fastest runtime on processors with bfloat16 arithmetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from sr4.errors import ModelError

Floats = NDArray[np.float32]


class OpenVINONetwork:
    """The exported graph in OpenVINO on the CPU, in the precision OpenVINO finds fastest there."""

    name = "openvino"

    def __init__(self, graph: Path) -> None:
        core = openvino.Core()
        try:
            self._model = core.compile_model(core.read_model(str(graph)), "CPU")
        except RuntimeError as error:
            first_line = str(error).strip().splitlines()[0][:200]
            raise ModelError(
                f"{graph}: OpenVINO cannot open it ({first_line}); expected an exported graph "
                "beside its model.safetensors: run `sr4 export` again"
            ) from error

    def __call__(self, x_t: Floats, log_snr: float, upsampled: Floats) -> Floats:
        levels = np.full(x_t.shape[0], log_snr, np.float32)
        result = self._model({"x_t": x_t, "log_snr": levels, "low_res": upsampled})
        return np.array(result[0])  # a copy: the runtime uses its buffer again

    def native(self, array: Floats) -> Floats:
        return array

    def numpy(self, array: Floats) -> Floats:
        return array
