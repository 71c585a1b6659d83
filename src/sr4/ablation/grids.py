"""The sample pictures of an ablation side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from sr4.ablation.figures import Figure
from sr4.ablation.results import HALFWAY, SAMPLES, Results
from sr4.pictures.rgb import read_image
from sr4.plots.comparison import comparison_picture

# What the folders of samples/ hold, in the order in which they are shown; the systems' names stand
# for themselves.
INPUTS = {"low_res": "low-res", "bicubic": "bicubic"}
TRUTH = {"truth": "truth"}
STRIP = "steps.png"
_IN_STRIPS = ("sr3", "cosine", "sr4")  # all look alike: a few will do
_HALFWAY = ("cosine", "residual")  # those that the paper compares
_CELL = 128  # pixels of one sample, about


def sample_files(results: Results, folder: Path) -> dict[str, list[Path]]:
    """The shown pictures by what they are, relative to the folder of the results; without those
    of which one is missing.
    """
    systems = {row.recipe: row.recipe for row in results.rows}
    found = {}
    for name, label in (INPUTS | systems | TRUTH).items():
        files = [Path(SAMPLES, name, f"{number}.png") for number in range(results.shown)]
        if files and all((folder / file).is_file() for file in files):
            found[label] = files
    return found


def sample_grid(results: Results, folder: Path) -> Iterator[Figure]:
    """The systems' results for the shown pictures (the paper's Figures 4 to 10)."""
    files = sample_files(results, folder)
    if any(row.recipe in files for row in results.rows):
        rows = [
            {label: read_image(folder / paths[number]) for label, paths in files.items()}
            for number in range(results.shown)
        ]
        yield Figure(
            "samples",
            "Pictures that all systems were shown, one sample each (the paper's Figures 4 to 10).",
            f"{results.shown} pictures, each as {', '.join(files)}.",
            comparison_picture(rows, height=_CELL),
        )


def halfway_pictures(results: Results, folder: Path) -> Iterator[Figure]:
    """What the systems drew after half of their training (the paper's Figure 12)."""
    found = {
        row.recipe: read_image(path)
        for row in results.rows
        if (path := folder / SAMPLES / row.recipe / HALFWAY).is_file()
    }
    shown = {name: found[name] for name in _HALFWAY if name in found} or found
    if shown:
        yield Figure(
            "halfway",
            "Halfway through the training: results of the validation nearest to half of the "
            f"budget (the paper's Figure 12). More systems: {SAMPLES}/*/{HALFWAY}.",
            f"Validation pictures, halfway through the training, of {', '.join(shown)}.",
            comparison_picture([shown]),
        )


def denoising_strips(results: Results, folder: Path) -> Iterator[Figure]:
    """From noise to picture (the paper's Figure 1), a row for each of a few systems."""
    strips = {
        row.recipe: _cut(read_image(path))
        for row in results.rows
        if (path := folder / SAMPLES / row.recipe / STRIP).is_file()
    }
    several = {name: frames for name, frames in strips.items() if len(frames) > 1}
    strips = {name: several[name] for name in _IN_STRIPS if name in several} or several
    if strips:
        count = min(map(len, strips.values()))
        labels = [f"{100 * number / (count - 1):.0f} %" for number in range(count)]
        yield Figure(
            "process",
            "From noise to picture (the paper's Figure 1): x_t of the first picture, evenly over "
            "the system's own steps. A residual is shown on top of the bicubic picture. More "
            f"systems: {SAMPLES}/*/{STRIP}.",
            f"Noise becomes a picture in {count} frames, for each of {', '.join(strips)}.",
            comparison_picture(
                [dict(zip(labels, frames, strict=False)) for frames in strips.values()],
                captions=[{labels[0]: name} for name in strips],
                height=_CELL,
            ),
        )


def _cut(strip: Image.Image) -> list[Image.Image]:
    """The square frames of a strip."""
    edge = strip.height
    return [strip.crop((left, 0, left + edge, edge)) for left in range(0, strip.width, edge)]
