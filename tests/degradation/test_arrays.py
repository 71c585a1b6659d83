"""The functions for an array: the library of the array, and no more of it than is needed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from sr4.degradation import arrays
from sr4.degradation.arrays import array_namespace


@pytest.mark.parametrize("conforms", [True, False])
def test_numpy_arrays_have_the_functions_of_the_standard(
    conforms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_NUMPY_CONFORMS", conforms and arrays._NUMPY_CONFORMS)
    x = np.arange(6.0).reshape(2, 3)
    xp = array_namespace(x, x[0], x[0, 0])
    np.testing.assert_array_equal(xp.concat([x, x], axis=0), np.concatenate([x, x]))
    np.testing.assert_array_equal(xp.asarray([1.0], device="cpu"), [1.0])


def test_tensors_have_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    assert isinstance(array_namespace(torch.zeros(2)).concat([torch.zeros(2)]), torch.Tensor)
    with pytest.raises(TypeError):
        array_namespace(torch.zeros(2), np.zeros(2))
    with pytest.raises(TypeError):
        array_namespace()


@pytest.mark.skipif(not arrays._NUMPY_CONFORMS, reason="this NumPy needs array_api_compat's")
def test_upscaling_loads_only_what_it_uses_of_numpy() -> None:
    code = (
        "import sys, numpy as np, sr4\n"
        "sr4.load('sr4-fast').upscale(np.zeros((16, 16, 3), np.uint8))\n"
        "assert 'sr4.upscaling.pipeline' in sys.modules\n"
        "print(*{'numpy.f2py', 'array_api_compat.numpy', 'sr4.data'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
