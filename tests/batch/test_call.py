"""`sr4.upscale` against the command line, file by file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import sr4
from sr4.batch import call
from sr4.cli.main import app
from sr4.errors import ModelError, PictureError, UsageError
from sr4.pictures import read_provenance

ROOT = Path(__file__).resolve().parents[2]


def smooth(size: tuple[int, int] = (40, 24), seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(60, 190, (3, 3, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def sideways(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth((80, 64)).save(path, quality=60, exif=exif)


def moving(path: Path) -> None:
    smooth().save(path, save_all=True, append_images=[smooth(seed=1)], duration=[40, 90], loop=3)


WRITERS = {
    "face.png": lambda path: Image.open(ROOT / "examples/astronaut-16.png").save(path),
    "photo.png": lambda path: smooth().convert("RGBA").save(path),
    "phone.jpg": sideways,
    "moving.gif": moving,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_saved_result_is_the_file_of_the_command_line(tmp_path: Path, name: str) -> None:
    source, by_command, by_python = (tmp_path / one for one in (name, "command.png", "python.png"))
    WRITERS[name](source)
    done = CliRunner().invoke(app, ["upscale", str(source), "-o", str(by_command), "--seed", "5"])
    assert done.exit_code == 0, done.output
    result = sr4.upscale(source, seed=5)
    result.save(by_python)
    assert by_python.read_bytes() == by_command.read_bytes()
    said = read_provenance(by_python)
    assert said is not None
    assert said["model"] == ("sr4-fast" if name == "face.png" else "photo-x4")


def test_bytes_and_pictures_give_what_the_file_gives(tiny_exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    smooth().save(path)
    options: dict[str, Any] = {"model": tiny_exported, "backend": "onnx", "samples": 2}
    data = path.read_bytes()
    given: list[Any] = [path, str(path), data, smooth(), np.asarray(smooth()), io.BytesIO(data)]
    results = sr4.upscale(given, **options)
    given[-1] = io.BytesIO(data)
    results += sr4.load(tiny_exported, backend="onnx").upscale(given, samples=2)
    for one in results:
        np.testing.assert_array_equal(one.mean, results[0].mean)
    assert len(results) == 12


@pytest.mark.parametrize(
    "options",
    [
        {"seed": np.int64(3)},
        {"noise": np.float32(3), "tile": np.int64(0)},
        {"scale": np.float32(2), "blur": np.float32(0.5)},
        {"width": np.int64(60), "detail": np.float32(1)},
        {"samples": np.int64(2), "use_mean": True},
    ],
)
def test_numbers_of_numpy_are_numbers(
    tiny_exported: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    smooth((20, 16)).save(tmp_path / "a.png")
    result = sr4.upscale(tmp_path / "a.png", model=tiny_exported, **options)
    result.save(tmp_path / "b.png")
    said = read_provenance(tmp_path / "b.png")
    assert said is not None
    assert all(said[key] == options[key] for key in options.keys() & said.keys())


def test_each_model_of_a_call_is_loaded_once(
    tiny_exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the work of all its pictures: 3 samples of each, in units of 32x32 pixels of a result."""
    loaded: list[tuple[str, int]] = []

    def counted(name: str, *, draws: int, **options: Any) -> Any:
        loaded.append((name, draws))
        return sr4.load(tiny_exported, draws=draws, **options)

    monkeypatch.setattr(call, "load", counted)
    smooth().save(tmp_path / "a.png")
    given: list[Any] = [smooth(), tmp_path / "a.png", smooth((16, 8)), smooth((8, 8))]
    results = sr4.upscale(given, model=tiny_exported, backend="onnx", samples=3)
    assert [one.image.size for one in results] == [(160, 96), (160, 96), (64, 32), (32, 32)]
    assert loaded == [(str(tiny_exported), 3 * (15 + 15 + 2 + 1))]
    loaded.clear()
    with Image.open(ROOT / "examples/astronaut-16.png") as face:
        sr4.upscale([smooth(), face, smooth(), face], backend="onnx")
    assert [name for name, _ in loaded] == ["photo-x4", "sr4-fast"]


def test_the_model_of_a_stream_is_that_of_its_file(tmp_path: Path) -> None:
    smooth().save(tmp_path / "a.jpg")
    model = sr4.load("auto")
    with (tmp_path / "a.jpg").open("rb") as stream:
        found = model.upscale(stream)
    expected = model.upscale(tmp_path / "a.jpg")
    np.testing.assert_array_equal(found.image, expected.image)
    assert found.evidence.kind == expected.evidence.kind == "jpeg"


def test_a_stream_of_text_is_refused() -> None:
    with pytest.raises(PictureError, match=r"got a stream of str .* open the file as 'rb'"):
        sr4.upscale(io.StringIO("x"))  # type: ignore[call-overload]


def test_all_frames_of_an_animation(tiny_exported: Path, tmp_path: Path) -> None:
    moving(tmp_path / "a.gif")
    result = sr4.upscale(tmp_path / "a.gif", model=tiny_exported, backend="onnx")
    assert len(result.frames) == 2
    assert "2 frames" in repr(result)
    result.save(tmp_path / "large.png")
    with Image.open(tmp_path / "large.png") as written:
        assert (written.n_frames, written.size) == (2, (160, 96))


@pytest.mark.parametrize(
    "options",
    [
        {"seed": "a"},
        {"samples": 1.5},
        {"steps": "many"},
        {"tile": "a"},
        {"scale": "a"},
        {"evidence": 3},
        {"evidence": ["exact"]},
        {"on_step": 3},
        {"model": ""},
        {"model": None},
    ],
)
def test_wrong_types_are_refused_in_one_line(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.png"
    smooth((16, 16)).save(path)
    for given in (path, smooth((16, 16))):
        if options == {"evidence": ["exact"]} and given is not path:
            continue  # one kind for one picture
        with pytest.raises(UsageError) as caught:
            sr4.upscale(given, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["", ".", "missing.png", b"", b"no picture", None, 3, {}])
def test_what_is_no_picture_is_refused(given: Any) -> None:
    with pytest.raises(PictureError):
        sr4.upscale(given)


@pytest.mark.parametrize(
    ("given", "options", "part"),
    [
        ("a.png", {"sed": 3}, "'sed': did you mean 'seed'?"),
        ("a.png", {"modle": "sr4-fast"}, "'modle': did you mean 'model'?"),
        ("a.png", {"condition_noise": 0.1}, "'condition_noise': known: backend, "),
        (smooth(), {"sed": 3}, "'sed': did you mean 'seed'?"),
    ],
)
def test_a_misspelt_option_is_named(given: Any, options: dict[str, Any], part: str) -> None:
    with pytest.raises(TypeError) as caught:
        sr4.upscale(given, **options)
    start = "sr4.upscale() got an unexpected keyword argument "
    assert str(caught.value).startswith(start + part)


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ModelError, match="did you mean 'photo-x4'"):
        sr4.upscale(smooth(), model="photo-x3")


def test_pages_that_are_left_out_are_said(tiny_exported: Path) -> None:
    buffer = io.BytesIO()
    smooth().save(buffer, "TIFF", save_all=True, append_images=[smooth()])
    with pytest.warns(UserWarning, match="the first of 2 pages is taken"):
        sr4.upscale(buffer.getvalue(), model=tiny_exported, backend="onnx")
