"""Benchmarks: their figures fit each other, and whatever fails is one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("skimage")

from sr4.bench import benchmark as module
from sr4.bench import report
from sr4.bench.benchmark import Benchmark, Progress, benchmark
from sr4.bench.cost import network_cost
from sr4.bench.plan import Plan, plan_rows
from sr4.bench.row import Job, Row, measure
from sr4.bench.speed import Spread
from sr4.errors import MissingExtraError, SR4Error, UsageError
from sr4.model.folder import read_config
from sr4.recipes import RECIPES, recipe
from sr4.recipes.sizes import at_size

# The process of a row with small convolutions, and mean colours in place of the feature network.
LIGHT = """
from sr4.bench import cost, row
from sr4.evaluation import evaluate
class Colours:
    protocol = "mean colour"
    def __call__(self, pictures):
        return pictures.mean(axis=(1, 2)) / 255
cost.PEAK_SHAPES = ((32, 16), (16, 16))
evaluate.EfficientNetLite0 = Colours
row.main()
"""


@pytest.fixture(scope="session", autouse=True)
def _light() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROW", LIGHT)
        patch.setattr("sr4.bench.cost.PEAK_SHAPES", ((32, 16), (16, 16)))
        yield


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three 32x32 pictures."""
    folder = tmp_path_factory.mktemp("faces")
    for number in range(3):
        noise = np.random.default_rng(number).integers(64, 192, (3, 3, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC).save(
            folder / f"{number}.png"
        )
    return folder


@pytest.fixture(scope="session")
def progress() -> list[Progress]:
    return []


@pytest.fixture(scope="session")
def found(
    tiny_exported: Path, tiny_model: Path, faces: Path, progress: list[Progress]
) -> Benchmark:
    """A model with a graph at two numbers of steps, and one without."""
    plan = plan_rows(
        [f"{tiny_exported}:2,1", f"{tiny_model}:2"],
        backends=["onnx"],
        data=[str(faces)],
        limit=2,
        quick=True,
    )
    return benchmark(plan, progress.append)


def test_the_rows_are_those_asked_for(found: Benchmark, tiny_exported: Path) -> None:
    assert found.failures == ()
    assert [(row.backend, row.nfe) for row in found.rows] == [
        ("onnx", 2),
        ("onnx", 1),
        ("torch", 2),
    ]
    assert found.rows[0].title == f"{tiny_exported}, 2 steps, onnx"
    assert found.rows[1].title == f"{tiny_exported}, 1 step, onnx"
    assert all(row.trained and row.recipe == "sr4-fast" for row in found.rows)


def test_the_figures_fit_each_other(found: Benchmark, tiny_model: Path) -> None:
    cost = network_cost(read_config(tiny_model))
    for row in found.rows:
        assert row.parameters == cost.parameters
        assert row.gflops == pytest.approx(row.nfe * cost.gflops)
        seconds, evaluation = row.speed.seconds, row.speed.evaluation_seconds
        assert 0 < seconds.low <= seconds.median <= seconds.high
        assert row.nfe * evaluation.low < seconds.high
        shares = [
            cost.gflops / one.evaluation_seconds / max(one.peaks.values()) for one in row.rounds
        ]
        assert row.share_of_peak == Spread.of(shares)
        assert row.memory_bytes is None or 30e6 < row.memory_bytes < 3e9
        assert row.times_faster is None  # the baseline is not among them
    assert found.peak is not None
    best = max(value for row in found.rows for one in row.rounds for value in one.peaks.values())
    assert found.peak.gflops_per_second == found.peak.all[found.peak.convolution] == best


def test_the_runtime_without_torch_needs_less_memory(found: Benchmark) -> None:
    onnx, _, torch = (row.memory_bytes for row in found.rows)
    assert onnx is None or torch is None or onnx < torch


def test_the_quality_is_that_of_evaluate(found: Benchmark) -> None:
    """The backends agree, and the scores are those of the rows' own numbers of steps."""
    first, single, other = (row.quality for row in found.rows)
    assert first is not None
    assert single is not None
    assert other is not None
    assert (first.count, first.nfe, single.nfe) == (2, 2, 1)
    assert first.psnr.value == pytest.approx(other.psnr.value, abs=0.05)
    assert first.psnr != single.psnr
    assert first.consistency.value < 1


def test_progress_names_the_row(found: Benchmark, progress: list[Progress]) -> None:
    assert {now.total for now in progress} == {3}
    assert sorted({now.done for now in progress}) == [0, 1, 2, 3]
    assert progress[0].doing == f"{found.rows[0].title}: starting"
    assert progress[-2].doing == f"{found.rows[2].title}: 2 of 2 pictures scored"


def test_each_row_is_handed_over_when_it_is_done(
    found: Benchmark, progress: list[Progress]
) -> None:
    ends = [now for now in progress if now.ended is not None]
    assert [(now.done, now.ended) for now in ends] == [
        (number, row) for number, row in enumerate(found.rows, start=1)
    ]
    assert ends[0].doing == found.rows[0].title
    # What is left is known once a row is measured.
    assert {now.seconds_left for now in progress if not now.done} == {None}
    assert ends[0].seconds_left is not None
    assert ends[0].seconds_left > 0
    assert ends[-1].seconds_left == 0
    starts = [now for now in progress if now.doing == f"{found.rows[1].title}: starting"]
    assert starts[0].seconds_left == pytest.approx(ends[0].seconds_left, abs=2)


def test_all_of_it_survives_json(found: Benchmark) -> None:
    assert Benchmark.model_validate_json(found.model_dump_json()).rows[0] == found.rows[0]


def test_random_weights_are_timed_and_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = at_size(recipe("sr3"), "tiny")
    monkeypatch.setitem(RECIPES, "sr3", lambda: settings)
    monkeypatch.setattr("sr4.bench.speed.LONG_SECONDS", 0.0)
    job = Job(model="sr3", random=True, backend="torch", steps=2000, quick=True)
    row = measure(job, lambda done, total, doing: None)
    assert (row.nfe, row.trained, row.recipe) == (2000, False, "sr3")
    assert row.gflops == pytest.approx(2000 * 1.4, rel=0.05)
    assert row.speed.computed
    assert row.speed.step_seconds is not None
    assert row.speed.seconds.median == 2000 * row.speed.step_seconds.median
    assert row.speed.full_seconds is None
    assert (row.quality, row.notes) == (None, ("no quality: no --data",))


def test_how_much_faster_than_the_baseline(found: Benchmark) -> None:
    fast = found.rows[0]
    speed = fast.speed.model_copy(update={"seconds": fast.speed.seconds.times(50)})
    base = fast.model_copy(update={"recipe": "sr3", "nfe": 2000, "speed": speed, "model": "mine"})
    together = module._summary(Plan((), (), None, 1, 0), [fast, base], [], [], [])
    assert together.baseline == "mine, 2,000 steps, onnx"
    assert [row.times_faster for row in together.rows] == pytest.approx([50, 1])


def test_a_failure_is_one_line_and_the_rest_is_done(tiny_exported: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_exported, damaged)
    with (damaged / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    models = [f"{damaged}:1", f"{tiny_exported}:1"]
    told: list[Progress] = []
    found = benchmark(plan_rows(models, backends=["onnx"], quick=True), told.append)
    (failure,) = found.failures
    assert [now.ended for now in told if now.ended] == [failure, found.rows[0]]
    assert failure.startswith(f"{damaged}, 1 step, onnx: ")
    assert "checksum" in failure
    assert [row.model for row in found.rows] == [str(tiny_exported)]
    assert found.rows[0].notes == ("no quality: no --data",)


JOB = Job(model="sr4-fast", random=False, backend="onnx", steps=1)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "killed by signal 9; .* memory",
        ),
        ("raise SystemExit('out of order')", r"ended early \(out of order\)"),
        ("import os; os._exit(0)", r"ended early \(it said nothing\)"),
    ],
)
def test_a_dead_process_is_explained(
    monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    monkeypatch.setattr(module, "_ROW", code)
    with pytest.raises(SR4Error, match=message):
        module._measure(JOB, lambda doing: None, [])


TALKATIVE = """
import warnings, sr4.bench.row as row
def measure(job, tell):
    print("noise")
    warnings.warn("beware")
    tell(1, 2, "things")
    raise row.SR4Error("no such luck")
row.measure = measure
row.main()
"""


def test_what_libraries_print_does_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROW", TALKATIVE)
    told: list[str] = []
    notes: list[str] = []
    with pytest.raises(SR4Error, match=r"^no such luck$"):
        module._measure(JOB, told.append, notes)
    assert told == [f"{JOB}: starting", f"{JOB}: 1 of 2 things"]
    assert notes == [f"{JOB}: beware"]


def test_an_interrupt_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    code = 'import time; print(\'{"progress": [0, 1, "naps"]}\', flush=True); time.sleep(60)'
    monkeypatch.setattr(module, "_ROW", code)

    def tell(doing: str) -> None:
        if doing.endswith("naps"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module._measure(JOB, tell, [])


def test_an_interrupt_keeps_the_rows_that_are_complete(tiny_exported: Path) -> None:
    plan = plan_rows([f"{tiny_exported}:2,1,3"], backends=["onnx"], quick=True)

    def interrupt(now: Progress) -> None:
        if now.done == 1 and now.doing.endswith("timed"):
            raise KeyboardInterrupt

    found = benchmark(plan, interrupt)
    assert [row.nfe for row in found.rows] == [2]
    assert found.missing == (f"{tiny_exported}, 1 step, onnx", f"{tiny_exported}, 3 steps, onnx")
    assert found.peak is not None  # what is there is a whole benchmark
    lines = list(report._markdown(found, with_plot=False))
    at = lines.index("## Missing, since it was interrupted")
    assert lines[at + 2 :] == [f"- {title}" for title in found.missing]


def test_an_interrupt_after_the_last_row_takes_nothing(tiny_exported: Path) -> None:
    plan = plan_rows([f"{tiny_exported}:1"], backends=["onnx"], quick=True)

    def interrupt(now: Progress) -> None:
        if now.ended:
            raise KeyboardInterrupt

    found = benchmark(plan, interrupt)
    assert (len(found.rows), found.missing) == (1, ())


def test_long_scorings_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, faces: Path
) -> None:
    monkeypatch.setattr("sr4.bench.row.LONG_SCORING", 1e-6)
    job = Job(
        model=str(tiny_model),
        random=False,
        backend="torch",
        steps=1,
        data=(str(faces),),
        quick=True,
    )
    row = measure(job, lambda done, total, doing: None)
    (note,) = row.notes
    assert row.quality is None
    assert "3 pictures would take 0 hours; give a smaller --limit" in note


def test_the_table(found: Benchmark) -> None:
    rows = report.table(found)
    assert [len(cells) for cells in rows] == [len(report.HEADER)] * 3
    cells = dict(zip(report.HEADER, rows[0], strict=True))
    row = found.rows[0]
    assert row.quality is not None
    assert row.gflops is not None
    assert cells["NFE"] == "2"
    assert cells["PSNR"] == str(row.quality.psnr)
    assert cells["Perceptual distance"] == str(row.quality.perceptual or "-")
    assert cells["Kernel distance"] == str(row.quality.kid_efflite0 or "-")
    assert cells["times faster"] == "-"
    assert float(cells["GFLOPs"]) == pytest.approx(row.gflops, rel=0.01)
    median = float(cells["ms a picture [range]"].split()[0].replace(",", ""))
    assert median == pytest.approx(1000 * row.speed.seconds.median, rel=0.01)
    assert found.peak is not None
    assert any(found.peak.convolution in line for line in report.legend(found))


def test_a_row_by_itself(found: Benchmark, tiny_exported: Path) -> None:
    row = found.rows[0]
    assert row.quality is not None
    line = report.told(row)
    cells = dict(zip(report.HEADER, report.table(found)[0], strict=True))
    assert line.startswith(
        f"{tiny_exported}, 2 steps, onnx: {cells['ms a picture [range]']} ms a picture, PSNR "
        f"{row.quality.psnr}, "
    )
    assert report.told(long_row(row)) == (
        "sr3, 500 steps, onnx: 300,000 [250,000, 400,000] ms a picture, computed"
    )


def long_row(row: Row) -> Row:
    """A row as of a recipe with random weights."""
    step = Spread(median=0.6, low=0.5, high=0.8)
    speed = row.speed.model_copy(
        update={
            "seconds": step.times(500),
            "step_seconds": step,
            "computed": True,
            "full_seconds": 312.34,
        }
    )
    return row.model_copy(
        update={
            "model": "sr3",
            "nfe": 500,
            "speed": speed,
            "trained": False,
            "quality": None,
            "notes": ("no quality: random weights",),
        }
    )


def test_what_is_computed_is_marked(found: Benchmark) -> None:
    together = found.model_copy(update={"rows": (*found.rows, long_row(found.rows[2]))})
    cells = report.table(together)[-1]
    assert cells[0] == "sr3, untrained"
    assert cells[3] == "300,000 [250,000, 400,000] computed"
    assert cells[8:12] == ("-",) * 4
    legend = list(report.legend(together))
    assert "computed: the steps times the measured time of one." in legend
    assert "sr3, 500 steps, torch: one picture was really drawn, in 312.3 s; " in " ".join(legend)
    notes = list(report.notes(together))
    assert "sr3, 500 steps, torch: no quality: random weights" in notes
    assert any("kid_efflite0: a kernel distance of 2 may lie far off" in note for note in notes)


def test_the_folder(found: Benchmark, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    together = found.model_copy(update={"rows": (*found.rows, long_row(found.rows[2]))})
    folder = report.write(together, tmp_path / "bench")
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.md",
        "results.json",
        "speed.png",
    ]
    assert json.loads((folder / "results.json").read_text()) == together.model_dump(mode="json")
    text = (folder / "report.md").read_text()
    assert all(" | ".join(cells) in text for cells in report.table(together))
    with Image.open(folder / "speed.png") as picture:
        assert picture.width > 1000
    with pytest.raises(UsageError, match="exists already"):
        report.check_out(folder)
    report.write(found, folder, overwrite=True)
    (folder / "results.json").unlink()
    with pytest.raises(UsageError, match="holds no report"):
        report.check_out(folder, overwrite=True)


def test_the_plot_holds_the_rows(found: Benchmark) -> None:
    together = found.model_copy(update={"rows": (*found.rows, long_row(found.rows[2]))})
    *_, psnr = report.speed_panels(together)
    first, second = psnr.lines
    assert first.x == [1000 * row.speed.seconds.median for row in found.rows[:2]]
    assert first.y == [row.quality.psnr.value for row in found.rows[:2] if row.quality]
    assert len(second.x) == 1
    assert psnr.marks == [("sr3, 500 steps", 300_000)]
    unscored = found.model_copy(update={"rows": (long_row(found.rows[0]),)})
    assert report.speed_panels(unscored) == []


def test_the_plot_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        report.check_out(tmp_path / "new")
    report.check_out(tmp_path / "new", with_plot=False)
