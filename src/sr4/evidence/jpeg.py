"""What a JPEG file says: its quantised coefficients, tables and subsampling as a convex set."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr4.evidence.boxes import JpegBoxes, Plane, components_of, means
from sr4.evidence.sets import BLOCK, to_blocks

Float64 = NDArray[np.float64]
Tables = Sequence[NDArray[Any]]  # of luma and of the differences of colour, (8, 8) each

# The tables that libjpeg scales by quality (ITU-T T.81, annex K, tables K.1 and K.2).
# fmt: off
_LUMA = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
])
_COLOUR = np.array([
    [17, 18, 24, 47, 99, 99, 99, 99], [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99], [47, 66, 99, 99, 99, 99, 99, 99],
    *[[99] * 8] * 4,
])
# fmt: on
_FINE_STEP = 4  # a smaller step is not told from its neighbours where pixels were rounded
_ROUNDED = 2.0  # levels by which the rounding of pixels moves a coefficient, at most
_UPSAMPLED = 16  # rounds that undo the smoothing of upsampled colours, to 2**-16
_STDERR = threading.Lock()


def standard_tables(quality: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tables (8, 8) of luma and colour by which libjpeg quantises at a quality of 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, colour = (np.clip((table * scale + 50) // 100, 1, 255) for table in (_LUMA, _COLOUR))
    return luma, colour


@cache
def all_standard() -> tuple[Float64, Float64]:
    """The tables of all qualities, (100, 8, 8) each."""
    pairs = [standard_tables(quality) for quality in range(1, 101)]
    luma, colour = (np.array(tables, np.float64) for tables in zip(*pairs, strict=True))
    return luma, colour


def quality_of(tables: Tables) -> int:
    """The quality, 1 to 100, whose tables are nearest to these in the ratio of their steps."""
    difference = np.zeros(100)
    for table, standard in zip(tables[:2], all_standard(), strict=False):
        steps = np.maximum(np.asarray(table, np.float64), 1)
        difference += np.abs(np.log(steps / standard)).mean(axis=(1, 2))
    return int(np.argmin(difference)) + 1


def quantisation_noise(tables: Tables) -> float:
    """The deviation, in levels, that quantising by the table of luma could add to pixels: that of
    errors spread evenly over each step, where the coefficients are not smaller than it.
    """
    return float(np.sqrt(np.mean(np.asarray(tables[0], np.float64) ** 2) / 12))


def file_boxes(source: Path | bytes) -> tuple[JpegBoxes, list[NDArray[np.int64]]]:
    """The set of a JPEG file, as it is stored (not turned upright), and the tables of its
    components.

    Raises:
        ValueError: why it has none, as a clause.
    """
    try:
        import jpegio
    except ImportError:
        raise ValueError("pyjpegio, which reads coefficients, is not installed") from None
    with _as_file(source) as path, _quiet():
        try:
            found = jpegio.read(path)
        except (RuntimeError, ValueError, OSError) as error:
            text = " ".join(str(error).replace("[JSTRUCT]", "").split())
            raise ValueError(f"its coefficients cannot be read: {text}") from error
    tables = [np.array(found.quant_tables[one.quant_tbl_no]) for one in found.comp_info]
    if found.num_components not in (1, 3):
        raise ValueError(f"it has {found.num_components} components")
    most = [max(one.v_samp_factor for one in found.comp_info)]
    most.append(max(one.h_samp_factor for one in found.comp_info))
    planes = []
    for one, array, table in zip(found.comp_info, found.coef_arrays, tables, strict=True):
        factors = (one.v_samp_factor, one.h_samp_factor)
        if any(whole % part for whole, part in zip(most, factors, strict=True)):
            raise ValueError("its components have no whole ratio of sizes")
        step = (most[0] // factors[0], most[1] // factors[1])
        planes.append(Plane.of(_blocks(array), table, step))
    # libjpeg's codes: 1 grey, 2 RGB, 3 YCbCr (jpeglib.h, J_COLOR_SPACE).
    colour = {1: "same", 2: "same", 3: "ycc"}.get(found.jpeg_color_space)
    if colour is None:
        raise ValueError("its colours are of another kind")
    size = (int(found.image_height), int(found.image_width))
    return JpegBoxes(tuple(planes), size, colour=colour), tables  # type: ignore[arg-type]


def pixel_boxes(
    unit: NDArray[Any],
    tables: Tables,
    step: tuple[int, int],
    offset: tuple[int, int] = (0, 0),
    *,
    is_decoded: bool = True,
) -> JpegBoxes:
    """The set of a JPEG picture of which only the decoded pixels are left, and the tables.

    The coefficients are those of the pixels, rounded to the nearest multiples of the steps. Where
    rounding or clipping has moved them, the boxes are wider.

    Args:
        unit: (C, h, w) in [-1, 1], of one channel or of RGB.
        tables: of luma and colour.
        step: pixels to a sample of colour, along each axis.
        offset: rows above and columns on the left that the first blocks have.
        is_decoded: whether pixels are what blocks were decoded to. Then nothing is known of those
            that the borders cut, as what lay behind these is lost; else they go on as there.
    """
    height, width = unit.shape[1:]
    components = components_of(unit, "ycc" if len(unit) == 3 else "same")
    planes = []
    steps = [(1, 1), step, step][: len(unit)]
    behind = [
        -(length + before) % (BLOCK * each)
        for length, before, each in zip((height, width), offset, step, strict=True)
    ]
    pad = list(zip(offset, behind, strict=True))
    for number, (component, each) in enumerate(zip(components, steps, strict=True)):
        samples = upsampled_samples(np.pad(component, pad, mode="edge"), each)
        table = np.asarray(tables[min(number, len(tables) - 1)], samples.dtype)
        plane = _plane(samples, table, each)
        inside = np.pad(np.ones((height, width), np.float32), pad)
        whole = means(inside, BLOCK * each[0], BLOCK * each[1]) == 1
        if is_decoded:
            plane = replace(plane, slack=np.where(whole, plane.slack, np.float32(np.inf)))
        planes.append(plane)
    colour = "ycc" if len(unit) == 3 else "same"
    return JpegBoxes(tuple(planes), (height, width), offset, colour)  # type: ignore[arg-type]


def _plane(samples: NDArray[Any], table: NDArray[Any], step: tuple[int, int]) -> Plane:
    rest = to_blocks(samples)
    levels = np.rint(rest / table).astype(np.int16)
    rest -= levels * table
    away = np.abs(rest, out=rest).max(axis=(2, 3))
    slack = np.where(away > _ROUNDED, 4 * away, _ROUNDED if table.min() < _FINE_STEP else 0.0)
    return Plane(levels, table.astype(np.float32), step, slack.astype(np.float32))


def upsampled_samples(component: NDArray[Any], step: tuple[int, int]) -> NDArray[Any]:
    """Samples that decoders have upsampled linearly between their centres: their means over each
    pair of pixels are 1/8, 6/8 and 1/8 of neighbours, which is undone.
    """
    down, across = step
    found = samples = np.asarray(means(component, down, across))
    if down == across == 1:
        return found
    for _ in range(_UPSAMPLED):
        smooth = found
        for axis, count in ((0, down), (1, across)):
            if count == 2:
                pad = [(1, 1) if axis == one else (0, 0) for one in (0, 1)]
                wide = np.pad(smooth, pad, mode="edge")
                before, after = (
                    np.take(wide, range(first, first + smooth.shape[axis]), axis=axis)
                    for first in (0, 2)
                )
                smooth = smooth * 0.75 + (before + after) / 8
        found = found + samples - smooth
    return found


def _blocks(array: NDArray[Any]) -> NDArray[np.int16]:
    """(8 m, 8 n) coefficients by block, (m, n, 8, 8)."""
    rows, columns = (side // BLOCK for side in array.shape)
    blocks = array.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks, np.int16)


def subsampling_name(boxes: JpegBoxes) -> str:
    """Such as "4:2:0" (two differences of colour for four pixels in each of two rows)."""
    steps = [plane.step for plane in boxes.planes]
    if boxes.colour == "same":
        return "grey" if len(steps) == 1 else "RGB"
    names: Mapping[tuple[int, int], str] = {
        (1, 1): "4:4:4", (1, 2): "4:2:2", (2, 2): "4:2:0", (2, 1): "4:4:0", (1, 4): "4:1:1",
    }  # fmt: skip
    down, across = max(steps)
    return names.get((down, across), f"1/{across} by 1/{down}")


@contextmanager
def _as_file(source: Path | bytes) -> Iterator[str]:
    """A path: the library reads nothing else."""
    if not isinstance(source, bytes):
        yield str(source)
        return
    with ExitStack() as held:
        try:
            path = Path(held.enter_context(tempfile.TemporaryDirectory()), "picture.jpg")
            path.write_bytes(source)
        except OSError as error:
            raise ValueError("no temporary file can be written for its reader") from error
        yield str(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """libjpeg prints what it finds wrong by itself, past every stream of Python; what counts of it
    is raised.
    """
    with _STDERR:
        stream = _stream_of_c()
        if stream is None:
            with _no_stderr():
                yield
            return
        kept, stream.value = stream.value, _nowhere()
        try:
            yield
        finally:
            stream.value = kept


@cache
def _stream_of_c() -> ctypes.c_void_p | None:
    """The variable by which libraries in C find their standard error, where it is one: setting it
    hides what they print, and nothing that Python prints meanwhile in another thread.
    """
    if sys.platform == "darwin":
        name = "__stderrp"
    elif platform.libc_ver()[0] == "glibc":
        name = "stderr"
    else:  # musl has a constant there
        return None
    try:
        found = ctypes.c_void_p.in_dll(ctypes.CDLL(None), name)
        return found if found.value and _nowhere() else None
    except (OSError, ValueError, AttributeError):
        return None


@cache
def _nowhere() -> int | None:
    """A stream of C that nothing comes out of."""
    opened = ctypes.CDLL(None).fopen
    opened.argtypes, opened.restype = [ctypes.c_char_p, ctypes.c_char_p], ctypes.c_void_p
    found: int | None = opened(os.fsencode(os.devnull), b"we")
    return found


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Nothing that the process writes to its standard error comes out."""
    with ExitStack() as held:
        with suppress(OSError):  # there is no stderr, or no file can be opened
            kept = os.dup(2)
            held.callback(os.close, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            held.callback(os.close, nowhere)
            held.callback(os.dup2, kept, 2)
            os.dup2(nowhere, 2)
        yield
