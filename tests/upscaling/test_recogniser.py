"""The recogniser of faces, on pictures that it was not trained on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sr4.upscaling.recogniser import LAYERS, Recogniser, as_seen, recogniser

SIDES = (16, 20, 24, 32)


def small(pixels: np.ndarray, box: tuple[int, int, int, int], side: int) -> np.ndarray:
    """A part (left, top, right, bottom) of a picture, made that small."""
    picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC, box)
    return np.asarray(picture)


@pytest.mark.parametrize("side", SIDES)
def test_a_face_is_one(side: int) -> None:
    data = pytest.importorskip("skimage.data")
    astronaut = data.astronaut()
    for margin in (0, 15, 30):
        box = (170 - margin, 60 - margin, 280 + margin, 170 + margin)
        assert recogniser().is_face(small(astronaut, box, side))


@pytest.mark.parametrize("side", SIDES)
def test_other_pictures_are_none(side: int) -> None:
    data = pytest.importorskip("skimage.data")
    whole, cat = data.coffee(), data.chelsea()
    boxes = [(0, 0, 400, 400), (200, 0, 600, 400), (100, 100, 200, 200)]
    others = [small(whole, box, side) for box in boxes]
    others += [small(cat, (0, 0, 300, 300), side), small(data.astronaut(), (0, 0, 512, 512), side)]
    others.append(np.full((side, side, 3), 128, np.uint8))
    others.append(np.tile(np.array([[[0], [255]]], np.uint8).repeat(3, 2), (side, side // 2, 1)))
    assert [recogniser().is_face(one) for one in others] == [False] * len(others)


def test_the_network_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    tensors, channels = {}, 16 * LAYERS[-1][1]
    for number, (before, after, _) in enumerate(LAYERS):
        tensors[f"convolutions.{number}.weight"] = random.normal(0, 0.1, (after, before, 3, 3))
        tensors[f"convolutions.{number}.bias"] = random.normal(0, 0.1, after)
    tensors |= {"out.weight": random.normal(0, 0.1, (1, channels)), "out.bias": np.array([0.3])}
    x = torch.from_numpy(as_seen(random.integers(0, 256, (20, 24, 3)).astype(np.uint8)))[None]
    y = x
    for number, (_, _, stride) in enumerate(LAYERS):
        layer = [
            torch.from_numpy(tensors[f"convolutions.{number}.{name}"]).float()
            for name in ("weight", "bias")
        ]
        y = torch.relu(torch.conv2d(y, *layer, stride, 1))
    expected = y.flatten() @ torch.from_numpy(tensors["out.weight"][0]).float() + 0.3
    assert Recogniser(tensors).score(x[0].numpy()) == pytest.approx(float(expected), rel=1e-4)
