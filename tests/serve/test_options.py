"""From fields and a picture to a ticket; what is wrong with fields is in test_service.py too."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from sr4.errors import PictureError, UsageError
from sr4.serve import options as module
from sr4.serve.limits import Limits
from sr4.serve.models import Models
from sr4.serve.options import FIELDS, admit, as_text, read_wish
from sr4.serve.painter import LocalPainter
from sr4.serve.problems import Problem
from sr4.serve.schemas import OPTIONS
from sr4.serve.tickets import Ticket
from tests.features.service_process import encoded


@pytest.fixture(scope="module")
def models(tiny_exported: Path) -> Models:
    return Models([str(tiny_exported)])


def ticket(models: Models, data: bytes, **fields: str) -> Ticket:
    limits = Limits(picture_pixels=1000, result_pixels=20_000, small_pixels=5000)
    wish = read_wish(fields, models, limits)
    return admit(data, wish, models, LocalPainter("onnx"), limits)


def test_fields_are_options_of_the_command_line(models: Models) -> None:
    fields = {"model": "tiny", "steps": "2", "seed": "7", "samples": "2", "mean": "true"}
    fields |= {"uncertainty": "1", "evidence": "noise", "noise": "2", "blur": "auto", "tile": "16"}
    wish = read_wish({**fields, "scale": "3", "format": "JPG", "detail": ""}, models, Limits())
    options = wish.options
    assert options.model == models.find("tiny")
    assert (options.steps, options.seed, options.samples, options.use_mean) == (2, 7, 2, True)
    assert (options.noise, options.blur, options.scale, options.tile) == (2.0, "auto", 3.0, 16)
    assert isinstance(options.scale, float)  # as results of the command line say
    assert options.detail is None
    assert (wish.samples, wish.uncertainty, wish.suffix) == (2, True, ".jpg")
    assert read_wish({"mean": "true"}, models, Limits()).options.samples == 8


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"format": "jpg", "quality": "0"}, "got quality 0; expected a whole number from 1"),
        ({"format": "jpg", "quality": "101"}, "got quality 101"),
        ({"format": "jpg", "quality": "good"}, "got quality 'good'"),
        ({"quality": "80"}, "got quality 80 for results in .png, which has none"),
    ],
)
def test_impossible_qualities_are_refused(
    models: Models, fields: dict[str, str], line: str
) -> None:
    assert ticket(models, encoded(), format="webp", quality="80").planned.quality == 80
    assert ticket(models, encoded(), format="png", quality="").planned.quality is None
    with pytest.raises(UsageError, match=f"^{re.escape(line)}"):
        ticket(models, encoded(), **fields)


def test_the_description_has_all_fields() -> None:
    assert tuple(OPTIONS) == FIELDS


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (3.0, "3"), (0.5, "0.5"), (True, "true"), ("x", "x")]
)
def test_json_is_read_as_a_form(value: object, text: str) -> None:
    assert as_text("seed", value) == text
    assert as_text("steps", [value, 2]) == f"{text},2"
    for other in (dict[str, str](), [1], [[1]]):
        with pytest.raises(UsageError, match="expected a text or a number"):
            as_text("seed", other)
    with pytest.raises(UsageError, match="expected a text or a number"):
        as_text("steps", [[1]])


def test_what_is_small(models: Models) -> None:
    small, large = ticket(models, encoded(16, 16)), ticket(models, encoded(20, 20))
    assert (small.is_small, small.pixels, small.size) == (True, 4096, (16, 16))
    assert (large.is_small, large.pixels) == (False, 6400)
    assert ticket(models, encoded(8, 8), samples="3").pixels == 3 * 1024
    assert ticket(models, encoded(8, 8), scale="8").pixels == 1024 + 4096  # two draws: of 8, of 16


def test_what_is_too_large(models: Models) -> None:
    for size, fields, line in (
        ((40, 30), {}, "at most 1,000 pixels and 100 frames"),
        ((30, 30), {"samples": "2"}, "28,800 pixels are to be drawn in all"),
        ((8, 8), {"scale": "30"}, "75,008 pixels"),
    ):
        with pytest.raises(Problem, match=line) as error:
            ticket(models, encoded(*size), **fields)
        assert error.value.status == 413


def test_what_decoding_takes_is_bounded_by_pixels(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their number and the model's channels; nothing is decoded, not even to look for a face."""
    monkeypatch.setattr(module, "_LITTLE", 256)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda _: pytest.fail("it was decoded"))

    def tiff(*shape: int, **others: Any) -> bytes:
        file = io.BytesIO()
        array: np.ndarray = np.zeros(shape)
        tifffile.imwrite(file, array, photometric="minisblack", **others)
        return file.getvalue()

    assert ticket(models, tiff(16, 16, 4, planarconfig=1)).size == (16, 16)
    for data, taken in (
        (tiff(16, 16, 5, planarconfig=1), 10_240),
        (tiff(16, 16, tile=(64, 64)), 32_768),
    ):
        for served in (models, Models()):
            with pytest.raises(Problem, match=f"takes {taken:,} bytes .* at most 8,192") as error:
                ticket(served, data)
            assert error.value.status == 413


def test_a_turned_picture_is_measured_upright(models: Models) -> None:
    """As it is drawn: 20x40 to a width of 35 is a result, and 8x80 to one of 80 far too much."""

    def turned(width: int, height: int) -> bytes:
        file, exif = io.BytesIO(), Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        Image.new("L", (width, height), 128).save(file, "JPEG", exif=exif)
        return file.getvalue()

    one = ticket(models, turned(40, 20), width="35")
    assert (one.size, one.pixels) == ((20, 40), 16 * 800)
    assert one.result_size == (35, 70)
    assert ticket(models, turned(40, 20)).result_size == (80, 160)
    with pytest.raises(Problem, match="74,240 pixels are to be drawn"):
        ticket(models, turned(80, 8), width="80")


def test_what_is_no_picture_or_cannot_be_enlarged(models: Models) -> None:
    for data in (b"", b"text", encoded()[:20]):
        with pytest.raises(Problem) as error:
            ticket(models, data)
        assert error.value.status == 415
    with pytest.raises(PictureError, match="expected at least 8"):
        ticket(models, encoded(), width="4")
    with pytest.raises(UsageError, match="multiple of 8"):
        ticket(models, encoded(), tile="9")
