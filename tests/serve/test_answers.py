"""Results as answers: what their headers say; how they come about is in test_service.py."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.responses import Response

from sr4.batch.events import Done
from sr4.batch.options import read_stages
from sr4.evidence.jpeg import quality_of
from sr4.serve.answers import file_of, picture
from sr4.serve.limits import Limits
from sr4.serve.models import Models
from sr4.serve.options import admit, as_text, read_wish
from sr4.serve.painter import LocalPainter
from tests.features.service_process import encoded


def answer(
    served: Path | str, /, sample: int | None = None, show: str = "result", **fields: object
) -> Response:
    """The answer to a request of these fields, by a service of that model; of a sample where its
    number is given.
    """
    models, painter, limits = Models([str(served)]), LocalPainter("onnx"), Limits()
    texts = {name: as_text(name, value) for name, value in fields.items()}
    ticket = admit(encoded(), read_wish(texts, models, limits), models, painter, limits)
    (done,) = (
        event
        for event in painter.paint(
            [ticket.planned],
            ticket.options,
            is_cancelled=lambda: False,
            wants_preview=lambda _: False,
        )
        if isinstance(event, Done)
    )
    path = file_of(done, show=show, sample=sample, use_mean=ticket.options.use_mean)
    return picture(done, path, ticket.options, ticket.size[0])


@pytest.mark.parametrize(("wanted", "found"), [("JPG", "jpg"), (".webp", "webp"), ("", "png")])
def test_the_settings_make_the_same_file(tiny_exported: Path, wanted: str, found: str) -> None:
    first = answer(tiny_exported, seed=3, format=wanted)
    settings = json.loads(first.headers["SR4-Settings"])
    assert settings["format"] == found
    again = answer(tiny_exported, **settings)
    assert again.body == first.body
    assert again.headers == first.headers


def test_the_settings_hold_the_quality(tiny_exported: Path) -> None:
    plain = answer(tiny_exported, format="jpg")
    first = answer(tiny_exported, format="jpg", quality=30, samples=2)
    settings = json.loads(first.headers["SR4-Settings"])
    assert settings["quality"] == 30
    assert answer(tiny_exported, **settings).body == first.body
    assert len(first.body) < len(plain.body)
    assert "quality" not in json.loads(plain.headers["SR4-Settings"])
    with Image.open(io.BytesIO(first.body)) as image:
        tables = [np.reshape(one, (8, 8)) for one in image.quantization.values()]
    assert quality_of(tables) == 30


def test_the_settings_hold_what_was_left_to_the_model(tiny_exported: Path) -> None:
    """Another model of that name may choose otherwise; of models joined there is no field for it,
    as each has its own.
    """
    own = read_stages("photo-x4")[0].sampling
    found = json.loads(answer("photo-x4").headers["SR4-Settings"])
    assert (found["detail"], found["sampler"]) == (own.detail, own.sampler)
    assert found["uncertainty"] is False
    found = json.loads(answer("photo-x4", detail=0.25).headers["SR4-Settings"])
    assert found["detail"] == 0.25
    joined = f"{tiny_exported}+{tiny_exported}"
    first = answer(joined, seed=3)
    settings = json.loads(first.headers["SR4-Settings"])
    assert {"detail", "sampler"}.isdisjoint(settings)
    assert answer(joined, **settings).body == first.body
    one = json.loads(answer(joined, detail=1, sampler="ddpm").headers["SR4-Settings"])
    assert (one["detail"], one["sampler"]) == (1, "ddpm")


def test_the_settings_of_a_map_make_it_again(tiny_exported: Path) -> None:
    given: dict[str, Any] = {"seed": 3, "samples": 3, "uncertainty": True}
    first = answer(tiny_exported, show="uncertainty", **given)
    settings = json.loads(first.headers["SR4-Settings"])
    assert settings["uncertainty"] is True
    assert answer(tiny_exported, show="uncertainty", **settings).body == first.body
    assert json.loads(answer(tiny_exported, **given).headers["SR4-Settings"]) == settings
    sample = json.loads(answer(tiny_exported, sample=2, **given).headers["SR4-Settings"])
    assert (sample["uncertainty"], sample["samples"], sample["seed"]) == (False, 1, 4)


def test_the_settings_name_a_model_that_is_known() -> None:
    """The one that "auto" has taken."""
    first = answer("auto", seed=3)
    settings = json.loads(first.headers["SR4-Settings"])
    assert settings["model"] == "photo-x4"
    assert answer("auto", **settings).body == first.body


@pytest.mark.parametrize("use_mean", [False, True])
def test_a_sample_says_what_it_would_say_alone(tiny_exported: Path, use_mean: bool) -> None:
    for number in (1, 2, 3):
        found = answer(tiny_exported, sample=number, samples=3, mean=use_mean, evidence="none")
        alone = answer(tiny_exported, **json.loads(found.headers["SR4-Settings"]))
        assert found.body == alone.body
        assert found.headers["SR4-Consistency"] == alone.headers["SR4-Consistency"]


def test_a_model_may_have_any_name(tiny_exported: Path, tmp_path: Path) -> None:
    """Headers hold ASCII."""
    folder = tmp_path / "模型"
    shutil.copytree(tiny_exported, folder)
    found = answer(folder)
    assert found.headers["SR4-Model"] == r"\u6a21\u578b"
    assert json.loads(found.headers["SR4-Settings"])["model"] == folder.name
