"""The figures: the numbers behind them, what is left out, and the pictures themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr4.ablation.figures import (
    attention_maps,
    curve_panels,
    learning_curves,
    loss_panel,
    schedule_panels,
    schedules,
    scores_over_steps,
    steps_panel,
)
from sr4.ablation.grids import denoising_strips, sample_files, sample_grid
from sr4.ablation.results import LossPoint, Results, Row
from sr4.evaluation.table import METRICS
from sr4.plots.charts import Line, Panel, draw, spread
from sr4.recipes import recipe

MakeRow = Callable[..., Row]
MakeResults = Callable[..., Results]

RED, BLUE = (213, 94, 0), (0, 114, 178)  # of sr4 and cosine


def paint(path: Path, colour: tuple[int, int, int], width: int = 16, height: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path)


def holds(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels have a colour."""
    return int(np.all(np.asarray(picture) == colour, axis=-1).sum())


def test_a_chart_shows_its_lines_in_their_own_colours_on_white() -> None:
    lines = [Line("sr4", [0, 1, 2], [1, 3, 2]), Line("other", [0, 1], [1, 1], like="cosine")]
    picture = draw([Panel("Title", "x", "y", lines)])
    assert picture.mode == "RGB"
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert min(holds(picture, RED), holds(picture, BLUE)) > 200
    wide = draw([Panel("Title", "x", "y", lines)] * 3, columns=2)
    assert wide.size == (2 * picture.width, 2 * picture.height)


def test_a_chart_heeds_and_leaves_no_global_state() -> None:
    import matplotlib

    panel = Panel("$ no maths", "x", "y", [Line("sr4", [1, 10], [1, 2])], log_x=True, measured=True)
    usual = draw([panel])
    with matplotlib.rc_context({"figure.facecolor": "black", "text.usetex": True}):
        before = dict(matplotlib.rcParams)
        assert draw([panel]) == usual
        assert dict(matplotlib.rcParams) == before


def test_a_chart_needs_neither_pyplot_nor_torch() -> None:
    code = (
        "import sys; from sr4.plots.charts import Line, Panel, draw\n"
        "draw([Panel('t', 'x', 'y', [Line('sr4', [1, 2], [1, 2])])])\n"
        "print(*{'matplotlib.figure', 'matplotlib.pyplot', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["matplotlib.figure"]


def test_labels_are_moved_no_further_than_needed() -> None:
    assert spread([0.1, 0.5, 0.9], 0.1) == [0.1, 0.5, 0.9]
    assert spread([0.5, 0.5, 0.52], 0.1) == pytest.approx([0.5, 0.6, 0.7])
    assert spread([0.9, 0.95, 1.0], 0.1) == pytest.approx([0.8, 0.9, 1.0])
    assert spread([-0.5], 0.1) == [0.0]
    assert spread([], 0.1) == []


def test_learning_curves_are_the_validations(make_row: MakeRow, make_results: MakeResults) -> None:
    row = make_row("sr4", curve=(18.0, 19.5))
    psnr, fit = curve_panels({"sr4": row.curve})
    assert psnr.lines == [Line("sr4", [5.0, 10.0], [18.0, 19.5])]
    assert fit.lines == [Line("sr4", [5.0, 10.0], [60.0, 60.0])]
    assert fit.log_y
    figures = list(learning_curves(make_results(row, make_row("sr3"))))
    assert [figure.name for figure in figures] == ["learning-psnr", "learning-consistency"]
    assert "32 pictures, in at most 50 steps" in figures[0].caption
    assert "sr4 19.5" in figures[0].alt
    assert "sr3" not in figures[0].alt  # it has no validations
    assert list(learning_curves(make_results(make_row("sr3")))) == []


@pytest.mark.parametrize("count", [1, 30, 500])
def test_losses_are_averaged_and_keep_their_mean(count: int) -> None:
    losses = [LossPoint(images=80 * n, loss=float(n % 7)) for n in range(1, count + 1)]
    (line,) = loss_panel({"sr3": losses}).lines
    assert len(line.x) == min(count, 50)
    assert np.mean(line.y) == pytest.approx(np.mean([point.loss for point in losses]))
    assert np.mean(line.x) == pytest.approx(0.08 * (count + 1) / 2)


def test_the_map_is_drawn_for_those_who_have_one(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    plain, with_map = make_row("sr3", curve=(1, 2)), make_row("attention-input", curve=(1, 2))
    assert list(attention_maps(make_results(plain, with_map))) == []
    with_map = make_row("attention-input", curve=(1, 2), maps=(0.512, 0.034))
    (figure,) = attention_maps(make_results(plain, with_map))
    assert "attention-input 0.512 ± 0.034" in figure.caption
    assert "sr3" not in figure.alt


def test_scores_over_steps_have_every_number_of_steps(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    row = make_row("sr4", 20.0)
    panel = steps_panel(make_results(row), METRICS[0])
    (line,) = panel.lines
    assert line == Line(
        "sr4",
        (20.0, 500.0),
        [19.0, 20.0],
        [score.evaluation.psnr.low for score in reversed(row.scores)],
        [score.evaluation.psnr.high for score in reversed(row.scores)],
    )
    assert [name for name, _ in panel.levels] == ["bicubic"]
    assert panel.levels[0][1] == pytest.approx(21.0)
    # Nobody has a kernel distance here.
    assert [figure.name for figure in scores_over_steps(make_results(row))] == ["steps-psnr"]


def test_schedules_end_where_the_design_says() -> None:
    names = ("sr3", "sr3-500", "sr3-500-matched", "cosine", "residual", "regression")
    gamma, root = schedule_panels({name: recipe(name).model.schedule for name in names})
    assert [(line.like, line.name) for line in gamma.lines] == [
        ("sr3", "linear to 0.01,\nT = 2,000"),
        ("sr3-500", "linear to 0.01,\nT = 500"),
        ("sr3-500-matched", "linear to 0.04,\nT = 500"),
        ("cosine", "cosine,\nT = 500"),
    ]
    ends = {line.like: line.y[-1] for line in root.lines}
    assert ends["sr3"] == pytest.approx(0.0066, abs=1e-4)
    assert ends["sr3-500"] == pytest.approx(0.285, abs=1e-3)
    assert ends["sr3-500-matched"] == pytest.approx(0.0063, abs=1e-4)
    for line, other in zip(gamma.lines, root.lines, strict=True):
        assert line.y[0] == pytest.approx(1.0)
        assert np.all(np.diff(line.y) <= 0)
        assert np.square(other.y) == pytest.approx(line.y)


def test_schedules_name_their_systems(make_row: MakeRow, make_results: MakeResults) -> None:
    rows = (make_row("cosine"), make_row("residual"), make_row("regression"))
    figure, _ = schedules(make_results(*rows))
    assert "cosine, T = 500: cosine, residual" in figure.caption
    assert "regression" not in figure.caption
    assert list(schedules(make_results(rows[2]))) == []


def test_the_grid_shows_every_sample(
    make_row: MakeRow, make_results: MakeResults, tmp_path: Path
) -> None:
    colours = {
        (name, number): (40 * place + 10, 80 * number + 10, 99)
        for place, name in enumerate(("low_res", "bicubic", "sr3", "sr4", "truth"))
        for number in range(2)
    }
    for (name, number), colour in colours.items():
        edge = 2 if name == "low_res" else 16
        paint(tmp_path / "samples" / name / f"{number}.png", colour, edge, edge)
    results = make_results(make_row("sr3"), make_row("sr4")).model_copy(update={"shown": 2})
    (figure,) = sample_grid(results, tmp_path)
    assert all(holds(figure.picture, colour) == 128 * 128 for colour in colours.values())
    assert figure.alt == "2 pictures, each as low-res, bicubic, sr3, sr4, truth."


def test_a_system_without_all_its_samples_is_left_out(
    make_row: MakeRow, make_results: MakeResults, tmp_path: Path
) -> None:
    results = make_results(make_row("sr3"), make_row("sr4")).model_copy(update={"shown": 2})
    assert list(sample_grid(results, tmp_path)) == []
    for name, count in (("sr3", 2), ("sr4", 1), ("truth", 2)):
        for number in range(count):
            paint(tmp_path / "samples" / name / f"{number}.png", RED)
    assert list(sample_files(results, tmp_path)) == ["sr3", "truth"]
    (figure,) = sample_grid(results, tmp_path)
    assert holds(figure.picture, RED) == 4 * 128 * 128


def test_strips_are_cut_into_their_frames(
    make_row: MakeRow, make_results: MakeResults, tmp_path: Path
) -> None:
    results = make_results(make_row("hybrid-vlb"), make_row("regression"))
    assert list(denoising_strips(results, tmp_path)) == []
    strip = Image.new("RGB", (4 * 16, 16))
    colours = [(50 * number + 10, 20, 30) for number in range(4)]
    for number, colour in enumerate(colours):
        strip.paste(colour, (16 * number, 0, 16 * number + 16, 16))
    path = tmp_path / "samples" / "hybrid-vlb" / "steps.png"
    path.parent.mkdir(parents=True)
    strip.save(path)
    paint(tmp_path / "samples" / "regression" / "steps.png", RED)
    (figure,) = denoising_strips(results, tmp_path)
    assert [holds(figure.picture, colour) for colour in colours] == [128 * 128] * 4
    assert holds(figure.picture, RED) == 0  # one step is no way
    assert "4 frames, for each of hybrid-vlb" in figure.alt
