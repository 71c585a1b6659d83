"""The degradation operator D that makes `low_res` from `high_res`, its inverse and projection.

D is bicubic downscaling with antialiasing, as Pillow and torch (`antialias=True`) do it, after a
Gaussian blur where that is part of what happened. It is separable and linear, `D(x) = A x Bᵀ` with
one banded matrix per axis, so its adjoint, its pseudo-inverse `D⁺` and the projection onto
`{x : D x = low_res}` are products with banded matrices too. All functions take NumPy arrays and
torch tensors of shape (..., H, W), any value range.

- `bicubic`: the kernel and the matrix of an axis
- `blur`: the same after a Gaussian blur
- `inverse`: its adjoint and pseudo-inverse
- `banded`: the products of such matrices with pictures
- `operator`, `chain`: D by a whole factor, and several of them in turn
- `sized`: D between two given sizes, of any ratio
- `protocols`: what is asked of D, whichever of these it is
"""

from __future__ import annotations

from sr4.degradation.bicubic import resize_matrix
from sr4.degradation.blur import MAX_BLUR, gaussian_matrix
from sr4.degradation.chain import DegradationChain
from sr4.degradation.operator import Degradation, resize
from sr4.degradation.sized import SizedDegradation

__all__ = [
    "MAX_BLUR",
    "Degradation",
    "DegradationChain",
    "SizedDegradation",
    "gaussian_matrix",
    "resize",
    "resize_matrix",
]
