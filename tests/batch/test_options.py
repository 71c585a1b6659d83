"""The options of a call, and what follows from them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sr4.batch.options import UpscaleOptions, count_draws, read_stages
from sr4.batch.plan import PlannedPicture
from sr4.errors import PictureError, UsageError
from sr4.model.folder import read_config


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"evidence": "jpg"}, "did you mean 'jpeg'"),
        ({"evidence": "none", "consistency": True}, "got evidence none with consistency"),
        ({"scale": 0.5}, "a factor of at least 1"),
        ({"scale": 2, "width": 5}, "a scale beside a width"),
        ({"samples": 0}, "got 0 samples"),
        ({"noise": -1.0}, "got noise -1.0"),
        ({"detail": 2.0}, "got detail 2.0; expected a number from 0"),
        ({"detail": "x"}, "got detail 'x'"),
        ({"model": "/home/me/mine", "steps": (1, 2)}, "for the model 'mine'; expected a single"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        UpscaleOptions(**options)


def test_a_face_goes_through_the_model_for_faces(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    auto, head = UpscaleOptions(), Image.fromarray(data.astronaut()).crop((170, 60, 280, 170))

    def chosen(picture: Image.Image, name: str) -> str:
        picture.save(tmp_path / name)
        return auto.model_for(PlannedPicture(tmp_path / name, Path("out.png")))

    assert chosen(head.resize((16, 16)), "face.png") == "sr4-fast"
    assert chosen(head.resize((32, 32)), "larger.png") == "sr4-fast"
    assert chosen(head.resize((33, 33)), "too large.png") == "photo-x4"
    coffee = Image.fromarray(data.coffee())
    assert chosen(coffee.resize((16, 16)), "no face.png") == "photo-x4"
    assert auto.model_for(PlannedPicture(tmp_path / "none.png", Path("out.png"))) == "photo-x4"
    named = PlannedPicture(tmp_path / "face.png", Path("out.png"))
    assert UpscaleOptions(model="x").model_for(named) == "x"


def test_the_size_of_a_result() -> None:
    assert UpscaleOptions().result_size((10, 7), 4) == (40, 28)
    assert UpscaleOptions(scale=2.5).result_size((10, 7), 4) == (25, 18)
    assert UpscaleOptions(height=21).result_size((10, 7), 4) == (30, 21)
    with pytest.raises(PictureError, match="got a width of 9"):
        UpscaleOptions(width=9).result_size((10, 7), 4)


def test_the_pixels_of_all_stages_and_samples_are_drawn(tiny_model: Path) -> None:
    cascade = UpscaleOptions(model=f"{tiny_model}+{tiny_model}", samples=3)
    assert cascade.pixels_drawn(cascade.model, (5, 2)) == 3 * 10 * (4**2 + 16**2)
    assert cascade.pixels_drawn(cascade.model, None) == 0
    assert cascade.pixels_drawn_last(cascade.model, (5, 2)) == 10 * 16**2
    small = UpscaleOptions(model=str(tiny_model), samples=3, scale=5)
    assert small.pixels_drawn_last(small.model, (5, 2)) == 28 * 12  # for 25x10, from 7x3
    assert small.pixels_drawn(small.model, (5, 2)) == 3 * (10 * 4**2 + 28 * 12)


def test_a_large_picture_counts_as_many(tiny_model: Path) -> None:
    """So that a runtime is chosen that is fastest in the long run."""
    config = read_config(tiny_model)
    assert config.image_size // config.scale == 8
    assert count_draws([(8, 8), (80, 40), (3, 3), None], [config], 16) == 1 + 50 + 1
    assert count_draws([(80, 40)] * 100, [config], 16) == 16 * 50 + 84
    assert count_draws([(8, 8)], [config, config], 16) == 8 * 8 * 16**2 // 32**2


def test_a_model_that_was_changed_is_read_again(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    assert read_stages(str(folder))[0].recipe == "sr4-fast"
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "recipe": "mine"}))
    os.utime(folder / "config.json", ns=(1, 1))
    assert read_stages(str(folder))[0].recipe == "mine"
