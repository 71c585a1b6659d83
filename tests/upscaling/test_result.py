"""Results at the prompt, in a notebook and in files."""

from __future__ import annotations

import base64
import io
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sr4
from sr4.diffusion.samplers import Step
from sr4.errors import PictureError, UsageError
from sr4.pictures import read_picture, read_provenance
from sr4.pictures.raster import Raster
from sr4.upscaling.notebook import consistency_in_words
from sr4.upscaling.pipeline import Pipeline


@pytest.fixture(scope="module")
def model(tiny_exported: Path) -> Pipeline:
    return sr4.load(tiny_exported, backend="onnx")  # type: ignore[return-value]


def smooth(mode: str = "RGB", size: tuple[int, int] = (12, 8)) -> Image.Image:
    coarse = np.random.default_rng(0).integers(60, 190, (3, 3, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def shown_pictures(html: str) -> list[Image.Image]:
    found = re.findall(r"base64,([^\"]+)", html)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def test_everything_at_the_prompt_is_one_line(model: Pipeline) -> None:
    steps: list[Step] = []
    result = model.upscale(smooth(), samples=2, on_step=steps.append)
    cascade = sr4.CascadePipeline([model, model])
    for thing in (result, result.raster, model, model.model, cascade, sr4.load("auto"), steps[0]):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 300
        assert repr(thing).startswith(type(thing).__name__)
    assert "48x32 of 12x8" in repr(result)
    assert "2 samples" in repr(result)
    assert f"consistency {result.consistency:.3g}" in repr(result)
    assert "x4, on onnx" in repr(model)
    total = model.model.sampling().steps
    assert repr(steps[0]) == f"Step(1 of {total}, x of shape (2, 3, 32, 48))"


def test_results_and_steps_compare_and_hash_by_identity(model: Pipeline) -> None:
    steps: list[Step] = []
    first, second = model.upscale([smooth(), smooth()], on_step=steps.append)
    assert first == first
    assert first != second
    assert len({first, second, first.raster, second.raster, *steps}) == 4 + len(steps)


def test_a_pillow_picture_is_made_once_it_is_asked_for(
    model: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of large results each takes as much memory as its raster; equal ones are one object."""
    result = model.upscale(smooth(), samples=3)
    by_mean = model.upscale(smooth(), samples=3, use_mean=True)
    made: list[Raster] = []
    to_pil = Raster.to_pil

    def counted(raster: Raster) -> Image.Image:
        made.append(raster)
        return to_pil(raster)

    monkeypatch.setattr(Raster, "to_pil", counted)
    assert result.image is result.image
    assert made == [result.raster]
    assert result.samples[0] is result.image
    assert made == list(result.rasters)
    assert result.mean is result.mean
    assert made == [*result.rasters, result.mean_raster]
    np.testing.assert_array_equal(result.mean, to_pil(result.mean_raster))
    assert by_mean.image is by_mean.mean
    assert by_mean.image not in by_mean.samples


def test_a_copied_result_shows_its_own_pictures(model: Pipeline) -> None:
    result = model.upscale(smooth(), samples=2)
    expected = [result.image, *result.samples, result.mean]
    again = pickle.loads(pickle.dumps(result))  # noqa: S301 - it was made here
    for one, other in zip([again.image, *again.samples, again.mean], expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_notebook_shows_before_after_and_consistency(model: Pipeline) -> None:
    picture = smooth()
    result = model.upscale(picture)
    page = result._repr_html_()
    before, after = shown_pictures(page)
    np.testing.assert_array_equal(np.asarray(before), np.asarray(picture))
    np.testing.assert_array_equal(np.asarray(after), np.asarray(result.image))
    assert "before, 12x8" in page
    assert consistency_in_words(result) in page
    loose = model.upscale(picture, evidence="none")
    assert "Not held to its input" in loose._repr_html_()
    sharpened = replace(result, evidence=result.evidence.of_sharpened("it was sharpened"))
    assert "to what sharpening can have changed in that: off by" in sharpened._repr_html_()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "I;16"])
def test_a_notebook_shows_pictures_of_any_mode(model: Pipeline, mode: str) -> None:
    picture = smooth().convert("L").convert(mode) if mode == "I;16" else smooth(mode)
    assert len(shown_pictures(model.upscale(picture)._repr_html_())) == 2


def test_a_large_result_is_shown_small(model: Pipeline) -> None:
    _, after = shown_pictures(model.upscale(smooth(size=(300, 200)))._repr_html_())
    assert after.size == (1024, 683)


def test_a_saved_result_keeps_profile_and_says_how_it_was_made(
    model: Pipeline, tmp_path: Path
) -> None:
    profile = Image.open(io.BytesIO(_with_profile())).info["icc_profile"]
    result = model.upscale(Image.open(io.BytesIO(_with_profile())), seed=3)
    result.save(tmp_path / "large.png")
    with Image.open(tmp_path / "large.png") as written:
        np.testing.assert_array_equal(np.asarray(written), np.asarray(result.image))
        assert written.info["icc_profile"] == profile == result.image.info["icc_profile"]
    said = read_provenance(tmp_path / "large.png")
    assert said is not None
    assert said["seed"] == 3
    assert said["shows"] == "a sample"
    with pytest.raises(PictureError, match="exists already; expected a new file: pass overwrite"):
        result.save(tmp_path / "large.png")
    result.save(tmp_path / "large.png", overwrite=True)


def test_saving_says_what_a_format_loses(model: Pipeline, tmp_path: Path) -> None:
    result = model.upscale(smooth("RGBA"))
    with pytest.warns(UserWarning, match="holds no transparency"):
        result.save(tmp_path / "large.jpg")
    assert read_picture(tmp_path / "large.jpg").frames[0].size == (48, 32)


def test_a_result_is_saved_with_a_quality(model: Pipeline, tmp_path: Path) -> None:
    result = model.upscale(smooth())
    sizes = []
    for quality in (None, 60, 20):
        path = tmp_path / f"{quality}.jpg"
        result.save(path, quality=quality)
        assert (read_provenance(path) or {}).get("quality") == quality
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    for name, wrong in (("a.png", 60), ("a.jpg", 0), ("a.jpg", 60.5)):
        with pytest.raises(UsageError, match=f"got quality {wrong}"):
            result.save(tmp_path / name, quality=wrong)  # type: ignore[arg-type]
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("path", [None, 3, "large", "nowhere/large.png"])
def test_impossible_files_are_refused(model: Pipeline, tmp_path: Path, path: object) -> None:
    target = tmp_path / path if isinstance(path, str) else path
    with pytest.raises(PictureError):
        model.upscale(smooth()).save(target)  # type: ignore[arg-type]


def test_a_picture_that_lies_sideways_comes_out_upright(model: Pipeline) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    smooth(size=(80, 64)).save(buffer, "JPEG", exif=exif, quality=90)
    result = model.upscale(Image.open(buffer))
    assert result.image.size == (256, 320)
    assert result.evidence.kind == "jpeg"
    assert result.consistency < 1
    assert result.given.frames[0].size == (64, 80)


def test_an_animation_in_memory_is_warned_of(model: Pipeline) -> None:
    buffer = io.BytesIO()
    smooth().save(buffer, "GIF", save_all=True, append_images=[smooth().rotate(180)])
    with pytest.warns(UserWarning, match="an animation of 2 frames, of which one is upscaled"):
        assert model.upscale(Image.open(buffer)).image.size == (48, 32)


def _with_profile() -> bytes:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    smooth().save(buffer, "PNG", icc_profile=profile)
    return buffer.getvalue()
