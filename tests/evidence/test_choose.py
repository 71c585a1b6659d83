"""Which evidence an input gives, and what results make of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import sr4
from sr4.degradation import Degradation, resize
from sr4.errors import PictureError, UsageError
from sr4.evidence.choose import choose
from sr4.evidence.jpeg import file_boxes, quality_of
from sr4.evidence.kinds import exact, nothing
from sr4.evidence.origin import file_origin, pillow_origin
from sr4.evidence.recognised import Unread
from sr4.evidence.sets import LEVEL
from sr4.pictures import read_picture
from sr4.pictures.pixels import quantise, to_array
from sr4.pictures.raster import from_pil
from sr4.upscaling.pipeline import Pipeline

pytest.importorskip("jpegio")


def scene(height: int = 96, width: int = 112, seed: int = 0) -> NDArray[Any]:
    random = np.random.default_rng(seed)
    smooth = resize(random.uniform(-0.9, 0.9, (3, 9, 11)), height, width)
    rows, columns = np.mgrid[:height, :width]
    edges = 0.3 * ((rows + 2 * columns) % 29 < 11) + 0.1 * np.sin(rows / 2.1) * np.cos(columns / 3)
    edges[: height // 3] = 0  # flat, as skies are
    return np.asarray(np.clip(0.7 * smooth + edges - 0.15, -0.9, 0.9))


def image(seed: int = 0, **size: int) -> Image.Image:
    return Image.fromarray(quantise(scene(seed=seed, **size)))


def saved(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def of_file(path: Path, kind: str = "auto", **numbers: Any) -> Any:
    return choose(read_picture(path).frames[0], file_origin(path), kind, **numbers)


@pytest.mark.parametrize(("subsampling", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_file_gives_its_own_boxes(
    tmp_path: Path, subsampling: int, name: str, progressive: bool
) -> None:
    options = {"quality": 70, "subsampling": subsampling, "progressive": progressive}
    path = saved(tmp_path / "a.jpg", image(), **options)
    found = of_file(path)
    assert (found.kind, found.subsampling, found.known.quality) == ("jpeg", name, 70)
    assert found.notes == ()
    assert str(found) == f"jpeg (quality 70, {name})"
    assert found.numbers["quality"] == 70
    assert "quality" not in exact().numbers
    boxes, _ = file_boxes(path)
    unit = read_picture(path).frames[0].unit
    noise = 0.2 * np.random.default_rng(0).standard_normal(unit.shape)
    expected = boxes.project(unit + noise)
    np.testing.assert_allclose(found.allowed(unit).project(unit + noise), expected)
    with Image.open(path) as opened:  # Python's way to the same
        origin = pillow_origin(opened)
    assert choose(read_picture(path).frames[0], origin) == found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_boxes_turn_with_the_picture(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = saved(tmp_path / "a.jpg", image(height=90, width=101), quality=60, exif=exif)
    found = of_file(path)
    assert (found.kind, found.notes) == ("jpeg", ())
    unit = read_picture(path).frames[0].unit
    assert np.sqrt(np.mean(found.allowed(unit).rest(unit) ** 2)) < 0.3 * LEVEL


def test_bytes_and_a_file_that_is_gone_do_too(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    image().save(buffer, "JPEG", quality=70)
    opened = Image.open(io.BytesIO(buffer.getvalue()))
    origin = pillow_origin(opened)
    raster = read_picture(buffer.getvalue()).frames[0]
    assert choose(raster, origin).notes == ()
    opened.load()  # its stream is closed now
    late = choose(raster, pillow_origin(opened))
    assert (late.kind, late.known.quality) == ("jpeg", 70)
    assert late.notes == ("its file is not at hand: its blocks are read from its pixels",)


def test_strong_colours_leave_a_file_its_blocks(tmp_path: Path) -> None:
    """Though what decoders interpolate between samples of colour lies outside their boxes."""
    halves = np.zeros((128, 128, 3), np.uint8)
    halves[:, :60, 2] = halves[:, 60:, 0] = 255
    path = saved(tmp_path / "halves.jpg", Image.fromarray(halves), quality=80)
    found = of_file(path)
    assert (found.kind, found.subsampling, found.notes) == ("jpeg", "4:2:0", ())
    pixels = read_picture(path).frames[0].unit
    assert np.sqrt(np.mean(file_boxes(path)[0].rest(pixels) ** 2)) > 2 * LEVEL


def test_odd_jpegs_fall_back_with_a_line(tmp_path: Path) -> None:
    inks = saved(tmp_path / "inks.jpg", image().convert("CMYK"), quality=70)
    found = of_file(inks)
    assert found.kind == "noise"
    assert found.notes == (
        "it has 4 components: its pixels are taken to 11.2 levels",
    ) or found.notes[0].startswith("it has 4 components: its pixels are taken to ")
    path = saved(tmp_path / "a.jpg", image(), quality=70)
    painted = Image.open(path)
    painted.paste(Image.new("RGB", (96, 80), "red"))
    raster = read_picture(saved(tmp_path / "b.png", painted)).frames[0]
    changed = choose(raster, pillow_origin(painted))
    assert changed.notes[0].startswith("its pixels are not those of its blocks: ")
    tables = [list(range(1, 65)), [255] * 64]
    odd = of_file(saved(tmp_path / "odd.jpg", image(), qtables=tables))
    assert (odd.kind, odd.notes) == ("jpeg", ())
    rgb = of_file(saved(tmp_path / "rgb.jpg", image(), keep_rgb=True))
    assert (rgb.kind, rgb.subsampling, rgb.notes) == ("jpeg", "RGB", ())
    grey = of_file(saved(tmp_path / "grey.jpg", image().convert("L")))
    assert (grey.kind, grey.subsampling, grey.notes) == ("jpeg", "grey", ())


@pytest.mark.parametrize(("quality", "cut"), [(85, (0, 0)), (95, (0, 0)), (95, (3, 5))])
def test_an_earlier_compression_counts_for_more(
    tmp_path: Path, quality: int, cut: tuple[int, int]
) -> None:
    big = image(height=192, width=256)
    first = Image.open(saved(tmp_path / "a.jpg", big, quality=40))
    second = saved(tmp_path / "b.jpg", first.crop((*cut, 256, 192)), quality=quality)
    found = of_file(second)
    assert found.known.quality == 40
    assert found.notes == ("it was compressed before, with a quality of about 40: that counts",)
    truth = to_array(big)[:, cut[1] :, cut[0] :]
    inside = found.allowed(truth).rest(truth)
    outside = file_boxes(second)[0].rest(truth)
    assert np.mean(inside**2) < 0.1 * np.mean(outside**2)
    once = of_file(saved(tmp_path / "c.jpg", big, quality=quality))
    assert (once.known.quality, once.notes) == (quality, ())


def test_a_jpeg_saved_as_png_is_recognised(tmp_path: Path) -> None:
    big = image(height=192, width=256)
    whole = Image.open(saved(tmp_path / "a.jpg", big, quality=60))
    cropped = whole.crop((5, 11, 245, 185))
    found = of_file(saved(tmp_path / "b.png", cropped))
    assert (found.kind, found.subsampling, found.known.quality) == ("jpeg", "4:2:0", 60)
    unit = to_array(big)[:, 11:185, 5:245]  # the truth is in the set, but for what clipping hides
    assert np.sqrt(np.mean(found.allowed(unit).rest(unit) ** 2)) < 0.5 * LEVEL
    clean = of_file(saved(tmp_path / "clean.png", big))
    assert (clean.kind, clean.known) == ("exact", clean.known._replace(noise=0.0, quality=100.0))


def test_noise_is_seen_or_given(tmp_path: Path) -> None:
    random, unit = np.random.default_rng(0), scene(128, 160)
    noisy = Image.fromarray(quantise(unit + 10 * LEVEL * random.standard_normal(unit.shape)))
    path = saved(tmp_path / "noisy.png", noisy)
    found = of_file(path)
    assert found.kind == "noise"
    assert found.known.noise == pytest.approx(10, rel=0.15)
    assert of_file(path, noise=7).known.noise == 7
    assert of_file(path, noise=0).kind == "exact"
    assert of_file(path, "exact").kind == "exact"
    assert choose(read_picture(path).frames[0], None).kind == "exact"  # of an array
    wider = of_file(saved(tmp_path / "a.jpg", image(), quality=70), noise=5)
    assert str(wider) == "jpeg (quality 70, 4:2:0, noise of 5.0 levels)"


def in_few_colours(picture: Image.Image, count: int) -> Image.Image:
    palette = picture.quantize(count)
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def test_dithering_is_noise_and_a_drawing_has_none(tmp_path: Path) -> None:
    photograph = image(height=128, width=160)
    few = in_few_colours(photograph, 16)
    lost = np.asarray(few.convert("RGB"), float) - np.asarray(photograph)
    for name in ("few.gif", "few.png"):
        found = of_file(saved(tmp_path / name, few))
        assert found.kind == "noise"
        assert found.known.noise == pytest.approx(np.sqrt((lost**2).mean()), rel=0.5)
    # The same pixels without their palette show less, that of their flattest parts.
    without = of_file(saved(tmp_path / "rgb.png", few.convert("RGB")))
    assert without.known.noise < 0.8 * found.known.noise
    drawing = Image.new("P", (96, 96), 0)
    drawing.putpalette([255, 255, 255, 0, 0, 0, 200, 30, 30])
    drawing.paste(1, (20, 20, 40, 90))
    drawing.paste(2, (50, 10, 80, 33))
    assert of_file(saved(tmp_path / "drawing.gif", drawing)).kind == "exact"


def test_the_boxes_of_a_file_are_for_its_own_size(tmp_path: Path) -> None:
    found = of_file(saved(tmp_path / "a.jpg", image(height=80, width=96)))
    low_res = np.zeros((3, 96, 80), np.float32)
    with pytest.raises(UsageError, match="evidence of a picture of 96x80 pixels for one of 80x"):
        found.allowed(low_res)


def test_networks_are_told_a_blur_unless_the_pixels_are_exact(tmp_path: Path) -> None:
    soft = image().filter(ImageFilter.GaussianBlur(1))
    assert of_file(saved(tmp_path / "soft.jpg", soft, quality=95)).known.blur is not None
    exact_pixels = saved(tmp_path / "soft.png", soft)
    for kind in ("auto", "exact"):
        assert of_file(exact_pixels, kind).kind == "exact"
        assert of_file(exact_pixels, kind).known.blur is None
        assert of_file(exact_pixels, kind, blur=0.8).known.blur == 0.8


def test_blur_is_estimated_where_that_is_asked_for(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sharp = resize(random.standard_normal((3, 64, 64)), 512, 512) * 0.2
    sharp += 0.3 * (np.indices((512, 512)).sum(0) % 97 < 40)
    low_res = Degradation(4, 1.2).observe(np.clip(sharp, -1, 1))
    path = saved(tmp_path / "soft.png", Image.fromarray(quantise(low_res)))
    assert of_file(path).blur == 0
    assert of_file(path, blur="auto").blur == pytest.approx(1.2, abs=0.6)
    assert of_file(path, blur=0.9).degradation(Degradation(4)) == Degradation(4, 0.9)


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"evidence": "jpg"}, "unknown evidence 'jpg': did you mean 'jpeg'"),
    "noise": ({"noise": -1}, "got noise -1; expected a deviation from 0 to 128"),
    "infinite": ({"noise": float("inf")}, "got noise inf"),
    "text": ({"noise": "much"}, "got noise 'much'"),
    "blur": ({"blur": 9.5}, "got blur 9.5; expected a deviation from 0 to 8"),
    "exact noise": ({"evidence": "exact", "noise": 3}, "got evidence exact with noise 3"),
    "none but": ({"evidence": "none", "consistency": True}, "got evidence none with consistency"),
    "not": ({"evidence": "jpeg", "consistency": False}, "got evidence jpeg without consistency"),
    "both": ({"evidence": exact(), "blur": 1}, "got noise or blur beside an Evidence"),
    "count": ({"evidence": ["exact"] * 2}, "got 2 kinds of evidence for 1 pictures"),
}


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Pipeline:
    found = sr4.load(tiny_model, backend="torch")
    assert isinstance(found, Pipeline)
    return found


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_named(model: Pipeline, name: str) -> None:
    options, message = CONTRADICTIONS[name]
    with pytest.raises(UsageError) as caught:
        model.upscale(image(height=16, width=16), **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_no_trace_of_jpeg_is_named(model: Pipeline) -> None:
    with pytest.raises(PictureError, match="got a picture without a trace of JPEG"):
        model.upscale(image(), evidence="jpeg")


def test_results_say_what_they_fit(model: Pipeline, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", image(), quality=70)
    result = model.upscale(Image.open(path), steps=1)
    assert result.evidence.kind == "jpeg"
    assert result.consistency < 0.01
    assert result.given_up.shape == (96, 112)
    assert not result.given_up.any()
    degraded = Degradation(4)(np.moveaxis(result.array / 127.5 - 1, 2, 0))
    again = io.BytesIO()
    Image.fromarray(quantise(degraded)).save(again, "JPEG", quality=70)
    pairs = zip(file_boxes(again.getvalue())[0].planes, file_boxes(path)[0].planes, strict=True)
    same = np.concatenate([(a.levels == b.levels).ravel() for a, b in pairs])
    assert same.mean() >= 0.999
    pixels = model.upscale(Image.open(path), steps=1, evidence="exact")
    assert pixels.evidence.kind == "exact"
    assert not np.array_equal(pixels.array, result.array)
    free = model.upscale(Image.open(path), steps=1, evidence="none")
    assert free.evidence == nothing(free.evidence.known)
    assert free.consistency > 10  # of the pixels
    assert free.given_up.any()
    same = model.upscale(Image.open(path), steps=1, consistency=False).array
    np.testing.assert_array_equal(free.array, same)


def test_each_picture_of_a_list_has_its_own(model: Pipeline, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", image(), quality=60)
    array = np.asarray(image(1))
    both = model.upscale([Image.open(path), array], steps=1)
    assert [one.evidence.kind for one in both] == ["jpeg", "exact"]
    alone = [model.upscale(Image.open(path), steps=1), model.upscale(array, steps=1)]
    for one, other in zip(both, alone, strict=True):
        assert np.abs(one.array.astype(int) - other.array).max() <= 1
    mixed = model.upscale([array, array], steps=1, evidence=["none", "exact"])
    assert mixed[0].consistency > 10 * mixed[1].consistency


def test_noise_that_cannot_be_seen_has_to_be_given() -> None:
    """A small picture was taken for exact."""
    small = image(height=32, width=32)
    raster = read_picture(png_of(small)).frames[0]
    with pytest.raises(PictureError, match=r"^got a picture of 32x32 in rgb whose noise is to be"):
        choose(raster, None, "noise")
    assert choose(raster, None, "noise", noise=2.0).kind == "noise"


def test_a_picture_without_the_noise_asked_for_is_exact_and_said_so() -> None:
    flat = read_picture(png_of(Image.new("RGB", (64, 64), (90, 120, 40)))).frames[0]
    found = choose(flat, None, "noise")
    assert (found.kind, found.notes) == (
        "exact",
        ("it shows no noise: its pixels count as exact",),
    )
    assert choose(flat, None, "noise", noise=0.0).notes == ()


def png_of(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_jpeg_without_a_place_for_its_reader_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(tmp_path / "a.jpg", image(), quality=60).read_bytes()
    raster = read_picture(data).frames[0]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    found = choose(raster, file_origin(data), "auto")
    assert found.kind == "jpeg"
    assert found.notes == (
        "no temporary file can be written for its reader: its blocks are read from its pixels",
    )


@pytest.mark.parametrize(("quality", "kind"), [(95, "exact"), (70, "noise"), (40, "noise")])
def test_a_webp_file_is_held_to_what_its_compression_has_left(
    tmp_path: Path, quality: int, kind: str
) -> None:
    path = saved(tmp_path / "a.webp", image(height=128, width=160), quality=quality)
    found = of_file(path)
    assert found.kind == kind
    with Image.open(path) as opened:
        assert found.kind == choose(read_picture(path).frames[0], pillow_origin(opened)).kind
        opened.paste((9, 9, 9), (3, 3, 4, 4))
        assert choose(from_pil(opened), pillow_origin(opened)).kind == "exact"
    assert of_file(path, "exact").kind == "exact"
    if kind == "noise":
        assert found.known == found.known._replace(noise=0.0, quality=None)
        assert found.notes[0].startswith("it was compressed with loss: its pixels are taken to ")


def test_a_saved_jpeg_of_any_tables_keeps_its_blocks(tmp_path: Path) -> None:
    """A screenshot of a photograph, or one that was saved anew."""
    order = np.add.outer(np.arange(8), np.arange(8))
    tables = [np.rint(8 * np.exp(order / 8)).astype(int), np.rint(9 + 3 * order).astype(int)]
    lists = [table.ravel().tolist() for table in tables]
    file = saved(tmp_path / "a.jpg", image(height=192, width=256), qtables=lists)
    with Image.open(file) as opened:
        copy = saved(tmp_path / "a.png", opened)
    found = of_file(copy)
    assert (found.kind, found.subsampling, found.notes) == ("jpeg", "4:2:0", ())
    assert found.known.quality == pytest.approx(quality_of(tables[:1]), abs=8)


def test_a_changed_jpeg_is_held_to_what_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps are not told any more; what it shows is beyond a little, or does not count."""
    path = saved(tmp_path / "a.png", image())
    monkeypatch.setattr("sr4.evidence.choose.recognised_jpeg", lambda unit: Unread(5.0))
    found = of_file(path)
    assert found.kind == "noise"
    assert found.notes == (
        "it shows the blocks of a JPEG, but not their steps any more: its pixels are taken to 5.0 "
        "levels",
    )
    with pytest.raises(PictureError, match="without the steps of JPEG"):
        of_file(path, "jpeg")
    monkeypatch.setattr("sr4.evidence.choose.recognised_jpeg", lambda unit: Unread(2.0))
    assert of_file(path).kind == "exact"


def before_and_after_sharpening() -> tuple[Image.Image, Image.Image]:
    """Grey waves of all lengths, 96x96 in RGB."""
    random = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(96), np.fft.rfftfreq(96)
    radius = np.hypot(rows[:, None], columns) + 1 / 96
    spectrum = np.fft.rfft2(random.standard_normal((1, 96, 96))) / radius**0.5
    waves = np.fft.irfft2(spectrum, (96, 96))
    grey = quantise(np.clip(0.3 * waves / waves.std(), -1, 1))
    plain = Image.fromarray(np.repeat(grey, 3, axis=-1))
    return plain, plain.filter(ImageFilter.UnsharpMask(0.8, 150, 0))


def test_a_sharpened_picture_binds_results_to_what_sharpening_left(tmp_path: Path) -> None:
    """Its finest detail is none of a larger picture; who asks for it gets it with its dots."""
    plain, sharp = before_and_after_sharpening()
    png, jpg = saved(tmp_path / "a.png", sharp), saved(tmp_path / "a.jpg", sharp, quality=95)
    for path, kind, asked in ((png, "noise", "exact"), (jpg, "jpeg", "jpeg")):
        found, insisting = of_file(path), of_file(path, asked)
        assert (found.kind, found.known) == (kind, insisting.known)
        assert "sharpened" in found.notes[0]
        assert found.is_sharpened
        assert found.numbers["sharpened"] is True
        assert str(found).endswith("sharpened)")
        assert not insisting.is_sharpened
        low_res = from_pil(Image.open(path)).unit
        before = from_pil(plain).unit
        away, other = found.allowed(low_res).rest, insisting.allowed(low_res).rest
        # What is softer is allowed, but for clipping, what is brighter is not.
        assert np.abs(other(before)).mean() > 20 * LEVEL
        assert np.abs(away(before)).mean() < 4 * LEVEL
        assert np.abs(away(low_res)).mean() < 0.1 * LEVEL
        assert np.abs(away(before + 20 * LEVEL)).mean() > 10 * LEVEL
    assert of_file(png, "exact").kind == "exact"
    assert of_file(jpg, "jpeg").kind == "jpeg"
    assert of_file(png, noise=5.0).kind == "noise"
    assert of_file(png, blur=0.3).kind == "exact"
    assert choose(from_pil(sharp), None).kind == "exact"  # pixels without a file


def test_noise_that_is_known_leaves_a_picture_sharpened(tmp_path: Path) -> None:
    _, sharp = before_and_after_sharpening()
    jpg = saved(tmp_path / "a.jpg", sharp, quality=95)
    png = saved(tmp_path / "a.png", sharp)
    assert of_file(jpg, noise=1.0).is_sharpened
    assert of_file(png, noise=0.0).is_sharpened
    assert not of_file(jpg, blur=0.3).is_sharpened


def test_the_borders_of_a_sharpened_picture_bind(tmp_path: Path) -> None:
    """Its pixels there are known, other than those of a JPEG whose last blocks are cut."""
    _, sharp = before_and_after_sharpening()
    path = saved(tmp_path / "a.png", sharp.crop((0, 0, 91, 93)))
    low_res = read_picture(path).frames[0].unit
    allowed = of_file(path).allowed(low_res)
    for place in (np.s_[..., -3:, :], np.s_[..., -3:], np.s_[..., 40:43, :]):
        changed = low_res.copy()
        changed[place] = -1.0
        assert np.abs(allowed.rest(changed)[place]).mean() > 20 * LEVEL
    assert np.abs(allowed.rest(low_res)).max() < 0.5 * LEVEL


def test_blocks_are_not_looked_for_where_some_is_hardly_seen(tmp_path: Path) -> None:
    """There the colours that networks see are others than those of the blocks."""
    _, sharp = before_and_after_sharpening()
    compressed = Image.open(saved(tmp_path / "a.jpg", sharp, quality=80))
    assert of_file(saved(tmp_path / "a.png", compressed)).kind == "jpeg"
    opaque, faint = (Image.new("L", sharp.size, level) for level in (255, 255))
    faint.paste(90, (60, 0, 96, 96))
    for alpha, kinds in ((opaque, ("noise", "jpeg")), (faint, ("exact", "exact"))):
        for name, picture, kind in zip("bc", (sharp, compressed), kinds, strict=True):
            with_alpha = picture.convert("RGB")
            with_alpha.putalpha(alpha)
            found = of_file(saved(tmp_path / f"{name}.png", with_alpha))
            assert (found.kind, found.is_sharpened) == (kind, kind != "exact")


def test_a_range_of_values_makes_pixels_of_a_jpeg_file(tmp_path: Path) -> None:
    """Levels of the range are not those of the file's steps."""
    path = saved(tmp_path / "a.jpg", Image.fromarray(quantise(scene()[:1])[..., 0]), quality=90)
    whole = read_picture(path).frames[0]
    part = whole.for_model(1, (0, 100))
    found, plain = choose(part, file_origin(path)), choose(whole, file_origin(path))
    assert (plain.kind, found.kind) == ("jpeg", "noise")
    assert np.abs(found.allowed(part.unit).rest(part.unit)).max() < 1e-6
    wide = 2.55 * np.sqrt(np.mean(whole_table(path) ** 2) / 12)
    assert found.notes == (
        f"the model has a range of values of its own: its pixels are taken to {wide:.1f} levels",
    )


def whole_table(path: Path) -> NDArray[np.float64]:
    _, tables = file_boxes(path)
    return np.asarray(tables[0], np.float64)


def test_a_colour_alone_is_bound_to_what_quantising_leaves_of_it(tmp_path: Path) -> None:
    """In which a model of grey takes a JPEG file, whose blocks are those of all three."""
    path = saved(tmp_path / "a.jpg", Image.fromarray(quantise(scene())), quality=60)
    low_res = read_picture(path).frames[0].unit
    found = of_file(path)
    for colour, truth in zip(low_res, scene(), strict=True):
        rest = found.allowed(colour[None]).rest
        assert np.abs(rest(colour[None])).max() < 1e-6
        assert np.abs(rest(truth[None])).mean() < 2 * LEVEL
        assert np.abs(rest(colour[None] + 60 * LEVEL)).mean() > 10 * LEVEL
