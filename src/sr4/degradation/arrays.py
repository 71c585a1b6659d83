"""The functions for an array, NumPy's or PyTorch's, under the names of the array API standard."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

# From 2.1 on, NumPy itself has all functions of the standard. `array_api_compat.numpy` imports
# the whole of NumPy, its Fortran compiler too: 0.1 s of the 0.9 s that a face takes.
_NUMPY_CONFORMS = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def array_namespace(*arrays: Any) -> Any:
    """The module whose functions take these arrays, which are all of one library.

    Raises:
        TypeError: they are of several libraries, or of one that does not conform.
    """
    if (
        _NUMPY_CONFORMS
        and arrays
        and all(isinstance(one, (np.ndarray, np.generic)) for one in arrays)
    ):
        return np
    return array_api_compat.array_namespace(*arrays)
