"""FID and KID with weights that the user names.

torch-fidelity is stood in for by a module with its call: constructor, weights read by the network
itself, 8-bit pictures in, a tuple of features out. The last test is of the real one.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sr4.data.sources import Source
from sr4.degradation import Degradation
from sr4.errors import MissingExtraError, ModelError
from sr4.evaluation import features as module
from sr4.evaluation.distances import frechet_distance, kernel_distance_interval
from sr4.evaluation.evaluate import BicubicUpscaler, evaluate
from sr4.evaluation.features import InceptionV3

torch = pytest.importorskip("torch")


class MeanColour(torch.nn.Module):  # type: ignore[misc,name-defined]
    """2048 mixtures of a picture's mean colour, called as torch-fidelity's Inception v3 is."""

    def __init__(
        self, name: str, features_list: list[str], feature_extractor_weights_path: Any = None
    ) -> None:
        super().__init__()
        assert isinstance(name, str)
        assert features_list == ["2048"]
        self.fc = torch.nn.Linear(3, 2048)
        # As torch-fidelity does it, which must not be given the file itself.
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

    def forward(self, x: Any) -> tuple[Any]:
        assert not self.training
        assert x.dtype == torch.uint8
        assert x.dim() == 4
        assert x.shape[1] == 3
        return (self.fc(x.float().mean(dim=(2, 3)) / 255),)


@pytest.fixture
def fidelity(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("torch_fidelity")
    stand_in.__version__ = "0.0"  # type: ignore[attr-defined]
    stand_in.FeatureExtractorInceptionV3 = MeanColour  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_fidelity", stand_in)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    draw = torch.Generator().manual_seed(0)
    tensors = {
        "fc.weight": torch.randn(2048, 3, generator=draw),
        "fc.bias": torch.randn(2048, generator=draw),
    }
    torch.save(tensors, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


class Pictures:
    """Four noisy pictures of different colours."""

    location = "memory"
    names = ["0", "1", "2", "3"]  # noqa: RUF012 - never changed

    def __len__(self) -> int:
        return 4

    def read(self, index: int) -> np.ndarray:
        rng = np.random.default_rng(index)
        colour = rng.uniform(60, 200, size=3)
        return np.clip(rng.normal(colour, 30, size=(16, 16, 3)), 0, 255).astype(np.uint8)


def by_hand(pictures: np.ndarray, weights: Path) -> np.ndarray:
    tensors = {name: one.numpy() for name, one in torch.load(weights, weights_only=True).items()}
    return np.asarray(
        pictures.mean(axis=(1, 2)) / 255 @ tensors["fc.weight"].T + tensors["fc.bias"]
    )


@pytest.mark.usefixtures("fidelity")
def test_features_are_those_of_the_network_with_the_weights_of_the_file(weights: Path) -> None:
    source = Pictures()
    pictures = np.stack([source.read(index) for index in range(4)])
    found = InceptionV3(weights)(np.concatenate([pictures] * 8))  # more than one pass
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.tile(by_hand(pictures, weights), (8, 1)), atol=1e-5)


@pytest.mark.usefixtures("fidelity")
def test_an_evaluation_has_fid_and_kid_and_names_the_weights(weights: Path) -> None:
    pytest.importorskip("skimage")
    source: Source = Pictures()
    upscaler = BicubicUpscaler(Degradation(4))
    found = evaluate(upscaler, source, features=None, inception=InceptionV3(weights))

    truths = np.stack([source.read(index) for index in range(4)])
    unit = np.moveaxis(truths, -1, 1) / 127.5 - 1
    bicubic = upscaler.sample(upscaler.degradation.observe(unit), seeds=range(4))
    results = np.clip(np.rint((np.moveaxis(bicubic, 1, -1) + 1) * 127.5), 0, 255)
    real, fake = by_hand(truths, weights), by_hand(results, weights)
    assert found.kid is not None
    assert found.fid is not None
    assert found.kid.value == pytest.approx(kernel_distance_interval(real, fake).value, rel=1e-3)
    with pytest.warns(UserWarning, match="biased"):
        assert found.fid.value == pytest.approx(frechet_distance(real, fake), rel=1e-3)
    assert found.fid.low <= found.fid.value <= found.fid.high

    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    stated = found.protocol["features of kid, fid"]
    assert f"weights.pth, SHA-256 {digest}" in stated
    assert "kid" in found.protocol
    assert "fid" in found.protocol
    left_out, other_weights, few, small_set = found.notes
    assert "kid: a kernel distance of 4 may lie far off" in few
    assert "by choice" in left_out
    assert f"starts with {digest[:8]} instead of 6726825d" in other_weights
    assert "fid: the Fréchet distance of 4 pictures in 2048 dimensions is biased" in small_set
    assert small_set.endswith("(kid)")


@pytest.mark.usefixtures("fidelity")
def test_the_canonical_weights_need_no_caution(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert InceptionV3(weights).caution is not None
    monkeypatch.setattr(module, "CANONICAL", hashlib.sha256(weights.read_bytes()).hexdigest()[:8])
    assert InceptionV3(weights).caution is None


@pytest.mark.usefixtures("fidelity")
def test_files_that_are_no_weights_are_one_line(tmp_path: Path) -> None:
    garbage, other, listed = tmp_path / "garbage", tmp_path / "other", tmp_path / "list"
    garbage.write_bytes(b"no weights")
    torch.save({"fc.weight": torch.zeros(3, 3), "more": torch.zeros(1)}, other)
    torch.save([torch.zeros(3)], listed)
    for path, part in (
        (garbage, "is damaged or holds more than tensors"),
        (other, "holds no weights of Inception v3 (Error(s) in loading state_dict"),
        (listed, "holds no weights of Inception v3 (Expected state_dict to be dict-like"),
        (tmp_path / "nowhere.pth", "cannot be read (No such file or directory)"),
    ):
        with pytest.raises(ModelError) as error:
            InceptionV3(path)
        (line,) = str(error.value).splitlines()
        assert line.startswith(f"{path}: {part}")
        assert "expected the file weights-inception-2015-12-05-6726825d.pth" in line
        assert "weights_only" not in line


class Harmful:
    """What runs code when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.usefixtures("fidelity")
def test_weights_that_bring_code_are_refused_before_it_runs(tmp_path: Path) -> None:
    trace, weights = tmp_path / "trace", tmp_path / "harmful.pth"
    torch.save({"fc.weight": Harmful(trace)}, weights)
    with pytest.raises(ModelError, match="holds more than tensors"):
        InceptionV3(weights)
    assert not trace.exists()
    torch.load(weights, weights_only=False)  # as torch-fidelity would have read it
    assert trace.exists()


def test_without_torch_fidelity_the_extra_is_named(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(MissingExtraError, match=r"FID needs the package 'torch-fidelity'.*\[fid\]"):
        InceptionV3(weights)


def test_the_network_of_torch_fidelity_takes_weights_and_pictures(tmp_path: Path) -> None:
    """With random weights, since the real ones are not at hand: the call is what is tested."""
    fidelity = pytest.importorskip("torch_fidelity")
    nothing = tmp_path / "nothing"
    torch.save({}, nothing)

    class Unread(fidelity.FeatureExtractorInceptionV3):  # type: ignore[misc,name-defined]
        def load_state_dict(self, *_: object, **__: object) -> None:
            """Keep the random weights."""

    network = Unread("unread", ["2048"], str(nothing))
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):  # or nothing is left after ninety of them
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), tmp_path / "random.pth")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 24, 3), dtype=np.uint8)
    with torch.inference_mode():
        (expected,) = network.eval()(torch.from_numpy(np.moveaxis(pictures, -1, 1).copy()))
    found = InceptionV3(tmp_path / "random.pth")
    assert expected.std() > 0.01
    np.testing.assert_allclose(found(pictures), expected.numpy(), rtol=1e-3, atol=1e-4)
    assert found(pictures).shape == (2, 2048)
    assert found.caution is not None
