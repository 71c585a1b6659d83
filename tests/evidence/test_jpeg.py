"""JPEG files: what they say is right, whatever the quality, the tables and the subsampling."""

from __future__ import annotations

import io
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sr4.degradation import Degradation, resize
from sr4.evidence import jpeg
from sr4.evidence.boxes import JpegBoxes, components_of, means
from sr4.evidence.constraint import Constraint
from sr4.evidence.jpeg import (
    file_boxes,
    pixel_boxes,
    quality_of,
    quantisation_noise,
    standard_tables,
    subsampling_name,
    upsampled_samples,
)
from sr4.evidence.sets import LEVEL, dct_matrix, to_blocks
from sr4.pictures.pixels import quantise, to_array
from sr4.pictures.rgb import upright

pytest.importorskip("jpegio")

# Of an encoder's whole-numbered arithmetic, levels at a pixel: luma and colours are rounded to a
# half, the means of colours once more, the result of the DCT by little.
_ROUNDED = (0.5 + 0.05, 1.0 + 0.05)


def scene(height: int, width: int, seed: int) -> NDArray[np.float64]:
    """A picture with edges, gradients, flat and noisy parts, (3, height, width) in [-1, 1]."""
    random = np.random.default_rng(seed)
    smooth = resize(random.uniform(-1.4, 1.4, (3, 5, 6)), height, width)
    rows, columns = np.mgrid[:height, :width]
    edge = (rows * random.uniform(-1, 1) + columns * random.uniform(-1, 1)) % 23 < 9
    found = smooth + 0.5 * edge * random.uniform(-1, 1, (3, 1, 1))
    found[:, : height // 4] += 0.2 * random.standard_normal((3, height // 4, width))
    return np.asarray(np.clip(found, -1, 1))


def compressed(unit: NDArray[Any], **options: Any) -> bytes:
    """The file of (3, h, w), or of grey (1, h, w), in [-1, 1]."""
    buffer, pixels = io.BytesIO(), quantise(unit)
    Image.fromarray(pixels if len(unit) == 3 else pixels[:, :, 0]).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def worst(boxes: JpegBoxes, unit: NDArray[Any]) -> float:
    """By how much coefficients of whole blocks leave their boxes, beyond what rounding explains."""
    norms = np.abs(dct_matrix()).sum(axis=1)  # by how much errors of 1 may add up
    components, found = components_of(unit, boxes.colour), 0.0
    for number, plane in enumerate(boxes.planes):
        down, across = plane.step
        rows, columns = (
            side // (8 * step) for side, step in zip(unit.shape[1:], plane.step, strict=True)
        )
        part = components[number, : rows * 8 * down, : columns * 8 * across]
        samples = part.reshape(rows * 8, down, columns * 8, across).mean(axis=(1, 3))
        levels = plane.levels[:rows, :columns]
        away = np.abs(to_blocks(samples) - levels * plane.table) - plane.table / 2
        allowed = _ROUNDED[number > 0] * np.outer(norms, norms)
        found = max(found, float((away - allowed).max(initial=0)))
    return found


@settings(max_examples=150, deadline=None)
@given(
    quality=st.integers(5, 100),
    subsampling=st.integers(0, 2),
    progressive=st.booleans(),
    tables=st.none() | st.lists(st.integers(1, 120), min_size=128, max_size=128),
    size=st.tuples(st.integers(8, 60), st.integers(8, 60)),
    scale=st.sampled_from([1, 2, 4]),
    blur=st.sampled_from([0.0, 0.6, 1.5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_truth_never_leaves_the_set(
    quality: int,
    subsampling: int,
    progressive: bool,
    tables: list[int] | None,
    size: tuple[int, int],
    scale: int,
    blur: float,
    seed: int,
) -> None:
    """What was blurred and downscaled as D says, put into 8 bits and compressed."""
    degradation = Degradation(scale, blur)
    truth: Any = scene(size[0] * scale, size[1] * scale, seed)
    options: dict[str, Any] = {"subsampling": subsampling, "progressive": progressive}
    if tables is None:
        options["quality"] = quality
    else:
        options["qtables"] = [tables[:64], tables[64:]]
    low_res = degradation.observe(truth)
    boxes, found = file_boxes(compressed(low_res, **options))
    if tables is not None:
        np.testing.assert_array_equal(found[0], np.reshape(tables[:64], (8, 8)))
    assert worst(boxes, low_res) == 0
    # At all pixels, those of cut blocks too. Rounding alone moves them by at most 1.7 levels, and
    # by 0.42 in the mean of a picture (3,000 cases). It is measured on D's side: where D keeps
    # little of a detail, many times as much of the detail gives so small a difference.
    rest = np.asarray(boxes.rest(low_res)) / LEVEL
    assert np.abs(rest).max() < 3
    assert np.sqrt(np.mean(rest**2)) < 0.6


def test_another_truth_leaves_the_set() -> None:
    low_res = scene(64, 64, 0)
    boxes, _ = file_boxes(compressed(low_res, quality=60))
    assert worst(boxes, low_res) == 0
    assert worst(boxes, np.roll(low_res, 1, axis=2)) > 20
    assert worst(boxes, np.clip(low_res + 8 * LEVEL, -1, 1)) > 20
    wrong_tables, _ = file_boxes(compressed(low_res, quality=30))
    planes = tuple(
        type(a)(a.levels, b.table, a.step, a.slack)
        for a, b in zip(boxes.planes, wrong_tables.planes, strict=True)
    )
    assert worst(JpegBoxes(planes, boxes.size), low_res) > 20


@pytest.mark.parametrize("quality", [30, 60, 75, 90, 95, 98])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_results_give_the_coefficients_of_the_file_back(quality: int, subsampling: int) -> None:
    """Degraded and compressed with the file's tables, from results in 8 bits."""
    degradation = Degradation(4)
    low_res = degradation.observe(0.9 * scene(384, 448, 1))
    data = compressed(low_res, quality=quality, subsampling=subsampling)
    boxes, _ = file_boxes(data)
    random = np.random.default_rng(0)
    guess = resize(to_array(Image.open(io.BytesIO(data))).astype(np.float64), 384, 448)
    guess = np.clip(guess + 0.1 * resize(random.standard_normal((3, 192, 224)), 384, 448), -1, 1)
    result = quantise(Constraint(degradation, boxes).fit(guess.astype(np.float32)))
    seen = degradation(np.moveaxis(result, 2, 0) / 127.5 - 1)
    assert given_back(boxes, seen) >= 0.9999
    assert given_back(boxes, degradation(guess)) < 0.9995
    if quality <= 90:  # finer steps are lost where encoders take pixels in 8 bits
        again, _ = file_boxes(compressed(seen, quality=quality, subsampling=subsampling))
        pairs = zip(again.planes, boxes.planes, strict=True)
        same = np.concatenate([(a.levels == b.levels).ravel() for a, b in pairs])
        assert np.mean(same) >= 0.999


def given_back(boxes: JpegBoxes, y: NDArray[Any]) -> float:
    """The share of a file's coefficients that those of y, without rounding to 8 bits, round to."""
    components = components_of(y, boxes.colour)
    same = [
        np.round(to_blocks(means(component, *plane.step)) / plane.table) == plane.levels
        for component, plane in zip(components, boxes.planes, strict=True)
    ]
    return float(np.mean(np.concatenate([one.ravel() for one in same])))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_turned_pictures_have_turned_sets(orientation: int, subsampling: int) -> None:
    low_res = scene(37, 61, 2)
    boxes, _ = file_boxes(compressed(low_res, quality=70, subsampling=subsampling))
    y = low_res + 0.1 * np.random.default_rng(1).standard_normal(low_res.shape)

    def turn(x: NDArray[Any]) -> NDArray[Any]:
        return np.stack([upright(channel, orientation) for channel in x])

    turned = boxes.turned(orientation)
    assert turned.size == turn(y).shape[1:]
    np.testing.assert_allclose(turned.project(turn(y)), turn(boxes.project(y)), atol=1e-9)
    start, stop = turned.around(9, 20)
    np.testing.assert_allclose(
        turned.cut(slice(start, stop)).project(turn(y)[:, start:stop]),
        turn(boxes.project(y))[:, start:stop],
        atol=1e-9,
    )


@pytest.mark.parametrize("quality", [40, 60, 80])
@pytest.mark.parametrize(("subsampling", "step"), [(0, (1, 1)), (1, (1, 2)), (2, (2, 2))])
def test_pixels_and_tables_give_the_coefficients_too(
    quality: int, subsampling: int, step: tuple[int, int]
) -> None:
    data = compressed(0.7 * scene(64, 96, 3), quality=quality, subsampling=subsampling)
    boxes, tables = file_boxes(data)
    decoded = to_array(Image.open(io.BytesIO(data)))
    found = pixel_boxes(decoded, [tables[0], tables[1]], step)
    for a, b in zip(found.planes, boxes.planes, strict=True):
        sure = a.slack == 0
        assert sure.mean() > 0.3
        assert np.mean(a.levels[sure] == b.levels[sure]) > 0.9995
    assert worst(found, quantise(0.7 * scene(64, 96, 3)).transpose(2, 0, 1) / 127.5 - 1) < 4


def test_samples_are_those_that_were_upsampled() -> None:
    """Linearly between their centres, as decoders do; of each pixel, the pixels are the samples."""
    samples = np.random.default_rng(0).normal(size=(6, 5))
    np.testing.assert_array_equal(upsampled_samples(samples, (1, 1)), samples)
    wide = np.pad(samples, ((0, 0), (1, 1)), mode="edge")
    near, left, right = 0.75 * samples, 0.25 * wide[:, :-2], 0.25 * wide[:, 2:]
    pixels = np.stack([near + left, near + right], axis=2).reshape(6, 10)
    np.testing.assert_allclose(upsampled_samples(pixels, (1, 2)), samples, atol=1e-3)


def test_grey_files_bound_every_channel() -> None:
    low_res = scene(40, 56, 4)[:1]
    boxes, tables = file_boxes(compressed(low_res, quality=50))
    assert (boxes.colour, subsampling_name(boxes), len(tables)) == ("same", "grey", 1)
    np.testing.assert_allclose(
        boxes.project(np.repeat(low_res, 3, axis=0) + 0.2),
        np.repeat(boxes.project(low_res + 0.2), 3, axis=0),
        atol=1e-12,
    )


def test_quality_is_that_of_the_tables() -> None:
    for quality in (1, 10, 49, 50, 75, 99, 100):
        assert quality_of(standard_tables(quality)) == quality
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
        quantization = Image.open(buffer).quantization  # type: ignore[attr-defined]
        np.testing.assert_array_equal(np.ravel(standard_tables(quality)[0]), quantization[0])
        np.testing.assert_array_equal(np.ravel(standard_tables(quality)[1]), quantization[1])
    assert abs(quality_of([standard_tables(60)[0] + 1, standard_tables(60)[1]]) - 60) <= 2
    assert quantisation_noise(standard_tables(100)) == pytest.approx(12**-0.5)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture", "cannot be read"),
        (b"", "cannot be read"),
        (compressed(scene(16, 16, 0))[:300], "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, reason: str, capfd: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=reason):
        file_boxes(data)
    path = tmp_path / "file.jpg"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        file_boxes(path)
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_middle_prints_nothing(capfd: Any) -> None:
    data = bytearray(compressed(scene(64, 64, 0), quality=90))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    file_boxes(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(
    sys.platform != "darwin" and platform.libc_ver()[0] != "glibc",
    reason="there is no way to silence libjpeg alone",
)
def test_what_others_print_meanwhile_is_not_lost(
    capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jpegio = pytest.importorskip("jpegio")
    read = jpegio.read

    def printing(path: str) -> Any:
        os.write(2, b"of another thread\n")
        return read(path)

    monkeypatch.setattr(jpegio, "read", printing)
    data = bytearray(compressed(scene(64, 64, 0), quality=90))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    file_boxes(bytes(data))
    assert capfd.readouterr() == ("", "of another thread\n")


def test_without_such_a_stream_nothing_is_printed_either(
    capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg, "_stream_of_c", lambda: None)
    test_damage_in_the_middle_prints_nothing(capfd)


def test_inks_have_no_boxes() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 16), (10, 20, 30, 40)).save(buffer, "JPEG")
    with pytest.raises(ValueError, match="4 components"):
        file_boxes(buffer.getvalue())
