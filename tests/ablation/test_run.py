"""An ablation is whole, fair, goes on wherever it was stopped, and does not become another one."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

torch = pytest.importorskip("torch")

from sr4.ablation import run  # noqa: E402 - needs torch
from sr4.ablation.plan import PAPER, Plan, judged_steps, numbers_of_steps, recorded  # noqa: E402
from sr4.ablation.results import Results, read_results  # noqa: E402 - needs torch
from sr4.cli.main import main  # noqa: E402
from sr4.errors import RunError, UsageError  # noqa: E402
from sr4.recipes import OURS, RECIPES, recipe  # noqa: E402
from sr4.training.books import Books  # noqa: E402
from sr4.training.run_folder import locked  # noqa: E402

KILLS = 6
DRIVER = Path(__file__).with_name("ablation_driver.py")
_spec = importlib.util.spec_from_file_location("ablation_driver", DRIVER)
assert _spec is not None
assert _spec.loader is not None
driver = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(driver)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork"),
    pytest.mark.filterwarnings("ignore::sr4.diffusion.schedules.TerminalSNRWarning"),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten smooth pictures of 20x24."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number in range(10):
        coarse: NDArray[np.uint8] = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((24, 20), Image.Resampling.BICUBIC).save(
            folder / f"{number}.png"
        )
    return folder


@pytest.fixture(scope="module")
def ablations(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder with a peaceful ablation and one that was killed, and what the kills found."""
    out = tmp_path_factory.mktemp("ablations")
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(pictures), str(out), str(KILLS), "0"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


@pytest.fixture
def peaceful(ablations: tuple[Path, list[str]], tmp_path: Path) -> Path:
    """A copy of the peaceful ablation."""
    return Path(shutil.copytree(ablations[0] / "peaceful", tmp_path / "ablation"))


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def without_times(results: Results) -> Any:
    """All figures but those of the clock, and the logged losses: means since the last log or since
    a resume, whichever came later.
    """
    skipped = ("seconds_per_image", "losses")

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if k not in skipped}
        return [clean(one) for one in value] if isinstance(value, list) else value

    return clean(results.model_dump(mode="json"))


def test_from_nothing_to_the_page(ablations: tuple[Path, list[str]]) -> None:
    out = ablations[0] / "peaceful"
    results = read_results(out)
    assert [row.recipe for row in results.rows] == list(driver.RECIPES)
    for row in results.rows:
        assert row.images == results.budget == driver.BUDGET
        kinds = [(score.steps, score.own, score.projected) for score in row.scores]
        own_projected, judged = row.scores[3:]
        assert kinds == [
            (12, True, False),
            (4, False, False),
            (2, False, False),
            (12, False, True),
            (4, False, True),
        ]
        assert row.score("own projected") == own_projected
        assert row.score("projected") == judged
        assert judged.evaluation.count == 7
        assert np.mean(judged.pictures["kid_efflite0"]) == pytest.approx(
            judged.evaluation.kid_efflite0.value, rel=0.01
        )
        assert own_projected.evaluation.consistency.value < 0.1 < row.own.consistency.value
        assert [point.images for point in row.curve] == [100, 200]
        assert row.losses[-1].images == driver.BUDGET
        assert row.own.count == 6
        assert len(row.scores[0].pictures["psnr"]) == 6
        assert np.mean(row.scores[0].pictures["psnr"]) == pytest.approx(row.own.psnr.value)
        assert "consistency False" in row.own.protocol["sampling"]
        for number in range(results.shown):
            assert size_of(out / "samples" / row.recipe / f"{number}.png") == (16, 16)
        assert size_of(out / "samples" / row.recipe / "steps.png") == (8 * 16, 16)
        drawn = out / "runs" / row.recipe / "validation" / "000000000100.png"
        halfway = out / "samples" / row.recipe / "halfway.png"
        assert size_of(halfway) == size_of(drawn)
    assert [one.model for one in results.baselines] == ["bicubic", "bicubic-projected"]
    for name in ("index.html", "README.md"):
        text = (out / name).read_text(encoding="utf-8")
        assert all(recipe in text for recipe in driver.RECIPES)


def test_all_systems_see_the_same_pictures_in_the_same_order(
    ablations: tuple[Path, list[str]],
) -> None:
    runs = ablations[0] / "peaceful" / "runs"
    assert len({(run / "data.json").read_text() for run in runs.iterdir()}) == 1
    settings = [row.settings for row in read_results(runs.parent).rows]
    for key in ("total_images", "batch_size", "seed", "learning_rate", "ema_decay"):
        assert len({getattr(one.training, key) for one in settings}) == 1


def test_kills_change_no_figure(ablations: tuple[Path, list[str]]) -> None:
    out, found = ablations
    assert len(found) == KILLS
    assert len(set(found)) >= KILLS - 2, "the kills are not spread over the ablation"
    one, other = (read_results(out / name) for name in ("peaceful", "killed"))
    assert without_times(one) == without_times(other)
    for file in (out / "peaceful" / "samples").rglob("*.png"):
        twin = out / "killed" / file.relative_to(out / "peaceful")
        assert file.read_bytes() == twin.read_bytes()
    assert not list((out / "killed").rglob(".*.sr4"))


def test_what_is_done_is_not_done_again(
    peaceful: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr("sr4.ablation.run.train", never)
    monkeypatch.setattr("sr4.ablation.run.evaluate", never)
    before = without_times(read_results(peaceful))
    (peaceful / "results.json").unlink()
    assert main(driver.words(str(pictures), peaceful)) == 0
    assert without_times(read_results(peaceful)) == before
    for path in (peaceful / "scores").iterdir():  # as an earlier version wrote them
        path.write_text(json.dumps(without_key(path)))
    (peaceful / "results.json").unlink()
    assert main(driver.words(str(pictures), peaceful)) == 0
    assert {one.key for row in read_results(peaceful).rows for one in row.scores} == {""}


def without_key(path: Path) -> dict[str, Any]:
    """What a score's file holds but for what it is a score of."""
    said = json.loads(path.read_text(encoding="utf-8"))
    assert said.pop("key")
    return dict(said)


def test_results_of_an_earlier_version_are_read(peaceful: Path) -> None:
    """They had no keys, and one machine for all rows."""
    path = peaceful / "results.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    for row in said["rows"]:
        assert row.pop("machine") == said["machine"]
        assert row.pop("versions") == said["versions"]
        assert all(score.pop("key") for score in row["scores"])
    path.write_text(json.dumps(said))
    assert [row.machine for row in read_results(peaceful).rows] == [""] * len(driver.RECIPES)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"steps": 4}', "scores/residual-4.json: "),
        ("\x00", "scores/residual-4.json: "),
        (None, "scores/residual-4.json: is of other settings or weights"),
    ],
)
def test_scores_that_are_damaged_or_of_others_are_made_again(
    peaceful: Path, pictures: Path, capsys: pytest.CaptureFixture[str], text: str | None, why: str
) -> None:
    before = without_times(read_results(peaceful))
    (peaceful / "results.json").unlink()
    path = peaceful / "scores" / "residual-4.json"
    other = json.dumps(without_key(path) | {"key": "0" * 16})
    path.write_text(other if text is None else text)
    assert main(driver.words(str(pictures), peaceful)) == 0
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "scores/" in one]
    assert why in line
    assert line.endswith("; scoring again")
    assert without_times(read_results(peaceful)) == before


def test_a_run_of_other_settings_is_not_taken_for_that_of_these(
    peaceful: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where another version of a recipe has them."""
    run_folder = peaceful / "runs" / "cosine"
    config = run_folder / "config.yaml"
    before = config.read_text()
    (peaceful / "results.json").unlink()
    config.write_text(before.replace("learning_rate: 0.0005", "learning_rate: 0.25"))
    words = driver.words(str(pictures), peaceful)
    assert main(words) == 1
    assert "this run has training.learning_rate = 0.25, got 0.0005" in capsys.readouterr().err
    # Without a checkpoint it is trained anew, and scores and samples with its model.
    scores, samples = peaceful / "scores", peaceful / "samples"
    shutil.rmtree(run_folder / "checkpoints")
    made = [scores / "cosine-4.json", scores / "cosine-4-projected.json"]
    made.append(samples / "cosine" / "steps.png")
    kept = [scores / "residual-4.json", samples / "residual" / "steps.png"]
    times = {path: path.stat().st_mtime_ns for path in (*made, *kept)}
    assert main(words) == 0
    assert config.read_text() == before
    changed = {path for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert changed == set(made)


def test_a_signal_in_the_last_save_of_a_training_stops_it(
    peaceful: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = without_times(read_results(peaceful))
    (peaceful / "results.json").unlink()
    for name in ("cosine", "residual"):
        shutil.rmtree(peaceful / "runs" / name)
        for path in (peaceful / "scores").glob(f"{name}-*"):
            path.unlink()
    words = driver.words(str(pictures), peaceful)
    save = Books.save_model

    def signalled(self: Books) -> None:
        save(self)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Books, "save_model", signalled)
        patch.setattr(run, "evaluate", lambda *_, **__: pytest.fail("went on"))
        assert main(words) == 1
    assert (peaceful / "runs" / "cosine" / "model").is_dir()
    assert not (peaceful / "runs" / "residual").exists()
    assert main(words) == 0
    assert without_times(read_results(peaceful)) == expected


class Brightness:
    """Features that need no weights: the mean of each channel."""

    size, protocol, caution = 3, "the mean of each channel", "no Inception"

    def __init__(self, weights: Path) -> None:
        self.seen = weights

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return pictures.mean(axis=(1, 2))


def test_fid_is_added_to_what_was_scored_without(
    peaceful: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(row.own.fid is None for row in read_results(peaceful).rows)
    monkeypatch.setattr("sr4.evaluation.features.InceptionV3", Brightness)
    words = [*driver.words(str(pictures), peaceful), "--inception", "inception.pth"]
    assert main(words) == 0
    found = read_results(peaceful)
    for evaluation in (*found.baselines, *(row.own for row in found.rows)):
        assert evaluation.fid is not None
        assert evaluation.fid.value > 0
        assert evaluation.protocol["features of kid, fid"] == Brightness.protocol
    monkeypatch.setattr("sr4.ablation.run.evaluate", lambda *_, **__: pytest.fail("scored again"))
    for again in (words, words[:-2]):
        assert main(again) == 0
        assert without_times(read_results(peaceful)) == without_times(found)


def test_a_system_can_be_added(peaceful: Path, pictures: Path) -> None:
    more = (*driver.RECIPES, "sr3-500-matched")
    assert main(driver.words(str(pictures), peaceful, more)) == 0
    assert [row.recipe for row in read_results(peaceful).rows] == list(more)


def test_a_recipe_with_a_setting_of_its_own_is_a_system(peaceful: Path, pictures: Path) -> None:
    name = "cosine+variance=large"
    more = [*driver.words(str(pictures), peaceful, ("cosine", name)), "--seeds", f"{name}=2"]
    assert main(more) == 0
    found = read_results(peaceful)
    plain, other = found.runs("cosine")[0], found.runs(name)[0]
    assert other.settings.model.objective.variance == "large"
    assert (plain.losses, plain.curve[0].images) == (other.losses, other.curve[0].images)
    assert plain.own.psnr != other.own.psnr  # the same network, which samples otherwise
    assert [row.seed for row in found.runs(name)] == [0, 1]
    table = (peaceful / "README.md").read_text(encoding="utf-8")
    assert f"| {name} − cosine | variance=large |" in table
    assert (peaceful / "runs" / f"{name}-seed-1" / "model").is_dir()


def test_a_system_with_fewer_steps_has_the_others_judged_anew(
    peaceful: Path, pictures: Path
) -> None:
    """But those whose model is gone, which would have to be trained again."""
    name = "cosine+sampling.steps=3+schedule.steps=3"
    shutil.rmtree(peaceful / "runs" / "sr4")
    assert main(driver.words(str(pictures), peaceful, ("cosine", "sr4", name))) == 0
    rows = read_results(peaceful).rows
    judged = {row.recipe: [one.steps for one in row.scores if one.projected] for row in rows}
    assert (judged["cosine"], judged[name], judged["sr4"]) == ([12, 2], [3, 2], [12, 4])


def test_its_results_are_enough_to_go_on(
    peaceful: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere, without trainings, models and scores; a plan that names less loses nothing."""
    before = without_times(read_results(peaceful))
    for name in ("runs", "scores"):
        shutil.rmtree(peaceful / name)
    words = driver.words(str(pictures), peaceful, ("cosine",))
    with monkeypatch.context() as patch:
        patch.setattr("sr4.ablation.run.train", lambda *_, **__: pytest.fail("trained again"))
        assert main(words) == 0
    names = [row.recipe for row in read_results(peaceful).rows]
    assert names == ["cosine", "sr3-500", "residual", "sr4"]
    assert main([*words, "--seeds", "2"]) == 0
    assert sorted(one.name for one in (peaceful / "runs").iterdir()) == ["cosine-seed-1"]
    found = without_times(read_results(peaceful))
    assert sorted(found["rows"], key=str) == sorted(before["rows"], key=str)
    assert [row["recipe"] for row in found["repeats"]] == ["cosine"]


def part_of(ablation: Path, folder: Path, recipes: tuple[str, ...]) -> Path:
    """What an ablation of some of the systems would have left of its results."""
    shutil.copytree(ablation, folder, ignore=shutil.ignore_patterns("runs", "scores"))
    found = read_results(folder)
    rows = tuple(row for row in found.rows if row.recipe in recipes)
    found.model_copy(update={"rows": rows}).write(folder)
    for path in (folder / "samples").iterdir():
        if path.name in {row.recipe for row in found.rows} - {*recipes}:
            shutil.rmtree(path)
    return folder


def test_parts_from_several_machines_are_joined(
    peaceful: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = part_of(peaceful, tmp_path / "a", ("sr3-500", "residual"))
    b = part_of(peaceful, tmp_path / "b", ("cosine", "sr4"))
    record = json.loads((a / "ablation.json").read_text())
    record["data"]["location"] = f"/elsewhere/{record['data']['location']}"
    del record["data"]["pixels"]  # as an earlier version wrote it
    (a / "ablation.json").write_text(json.dumps(record))
    unfinished = shutil.copytree(a / "samples" / "sr3-500", b / "samples" / "sr3-500")
    (unfinished / "steps.png").unlink()
    monkeypatch.setattr("sr4.ablation.run.train", lambda *_, **__: pytest.fail("trained again"))
    words = driver.words(str(pictures), tmp_path / "joined")
    assert main([*words, "--join", str(b), "--join", str(a)]) == 0
    joined, before = (without_times(read_results(one)) for one in (tmp_path / "joined", peaceful))
    assert joined["rows"] == before["rows"]
    for path in (peaceful / "samples").rglob("*.png"):
        other = tmp_path / "joined" / path.relative_to(peaceful)
        assert other.read_bytes() == path.read_bytes()
    assert main(words) == 0  # nothing else is needed from now on


def test_only_the_same_ablation_is_joined(
    peaceful: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = driver.words(str(pictures), tmp_path / "joined")
    for other, told in (
        (tmp_path / "none", "holds no ablation"),
        (part_of(peaceful, tmp_path / "a", ("sr4",)), "judged = 5, got 7"),
        (part_of(peaceful, tmp_path / "b", ("sr4",)), "other pictures are shown there"),
        (part_of(peaceful, tmp_path / "c", ("sr4",)), "c/results.json: cannot be read"),
    ):
        if other.name == "a":
            record = json.loads((other / "ablation.json").read_text())
            (other / "ablation.json").write_text(json.dumps(record | {"judged": 5}))
        if other.name == "b":
            shutil.copy(other / "samples/truth/1.png", other / "samples/truth/0.png")
        if other.name == "c":
            (other / "results.json").unlink()
        shown = ["--recipes", "sr4"]
        assert main([*words, *shown, "--join", str(other)]) == (2 if other.name == "c" else 1)
        assert told in capsys.readouterr().err


def test_seeds_can_be_added(peaceful: Path, pictures: Path) -> None:
    before = read_results(peaceful)
    assert main([*driver.words(str(pictures), peaceful), "--seeds", "cosine=2"]) == 0
    found = read_results(peaceful)
    assert without_times(found)["rows"] == without_times(before)["rows"]
    (again,) = found.repeats
    first, _ = found.runs("cosine")
    assert (again.recipe, again.seed, again.settings.training.seed) == ("cosine", 1, 1)
    assert again.own.psnr != first.own.psnr
    assert [score.steps for score in again.scores] == [score.steps for score in first.scores]
    assert (peaceful / "runs" / "cosine-seed-1" / "model").is_dir()
    text = (peaceful / "README.md").read_text(encoding="utf-8")
    assert "- Seeds: 0, of weights, order and noise, for all systems; cosine also with 1" in text


@pytest.mark.parametrize(
    ("more", "difference"),
    [
        (["--judged", "5"], "judged = 7, got 5"),
        (["--set", "training.seed=1"], "changes.training.seed = None, got 1"),
        (["--limit", "5"], "limit = 6, got 5"),
        (["--budget", "400"], "budget = 200, got 400"),
    ],
)
def test_another_ablation_is_refused_with_the_difference(
    peaceful: Path,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    difference: str,
) -> None:
    assert main([*driver.words(str(pictures), peaceful), *more]) == 1
    assert difference in capsys.readouterr().err


def test_pictures_may_lie_elsewhere_and_others_of_their_names_are_refused(
    peaceful: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(pictures, tmp_path / "other" / pictures.name)
    assert main(driver.words(str(moved), peaceful)) == 0
    for path in moved.iterdir():
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    assert main(driver.words(str(moved), peaceful)) == 1
    assert "this ablation has data.pixels = '" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once(
    peaceful: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    """While it scores, which has no end of its own before that of all steps."""
    expected = without_times(read_results(peaceful))
    for name in ("scores/residual-4.json", "results.json"):
        (peaceful / name).unlink()
    before = signal.getsignal(signal.SIGTERM)
    command = [*driver.words(str(pictures), peaceful), "--json"]

    def evaluate(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(60)

    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(run, "evaluate", evaluate)
        assert main(command) == 1
    assert time.monotonic() - began < 30
    said = capsys.readouterr()
    assert json.loads(said.out) == {"stopped": True, "out": str(peaceful)}
    assert "the same command goes on from there" in said.err
    assert signal.getsignal(signal.SIGTERM) is before
    assert main(command) == 0
    assert without_times(read_results(peaceful)) == expected


def test_validations_draw_no_more_pictures_than_the_limit() -> None:
    counts = [Plan(limit=limit).settings("sr3").training.validation_images for limit in (3, 64)]
    assert counts == [3, 32]


def test_two_at_a_time_are_refused(
    peaceful: Path, pictures: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with locked(peaceful, "runs this ablation"):
        process = os.fork()
        if process == 0:  # a lock of this process would not stop itself
            try:
                os._exit(main(driver.words(str(pictures), peaceful)))
            finally:
                os._exit(70)
        _, status = os.waitpid(process, 0)
    assert os.WEXITSTATUS(status) == 1
    assert "another process runs this ablation" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipes", "sr3,cosin"], "did you mean 'cosine'?"),
        (["--recipes", "sr3,sr3"], "each once"),
        (["--recipes", ","], "at least one"),
        (["--recipes", "sr4-fast"], "expected a system of the paper"),
        (["--set", "training.batchsize=1"], "did you mean 'training.batch_size'?"),
        (["--size", "huge"], "expected tiny or full"),
        (["--steps", "20,x"], "whole numbers"),
        (["--steps", "0"], "whole numbers"),
        (["--seeds", "0"], "got 0 seeds of sr3"),
        (["--seeds", "three"], "a number of runs such as 3"),
        (["--recipes", "sr4", "--seeds", "cosine=2"], "one of the recipes sr4"),
        (["--recipes", "sr4+paht=none"], "did you mean 'path'?"),
        (["--recipes", "sr4+kind=none"], "expected one of model.network.kind, "),
        (["--recipes", "sr4+path"], "got the system 'sr4+path'; expected a recipe, or one with"),
        (["--recipes", "sr4+a=../../b"], "expected a recipe, or one with settings of its own"),
        (
            ["--recipes", "sr4+total_images=80", "--budget", "40"],
            "with training.total_images = 40, got 80; expected what all systems have in common",
        ),
        (["--recipes", "sr4+image_size=32"], "with model.image_size = 64, got 32"),
    ],
)
def test_wrong_words_get_one_line(
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    command = ["ablate", "--data", str(pictures), "--test", str(pictures)]
    assert main([*command, "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


def test_a_single_test_picture_is_refused_before_any_training(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(min(pictures.iterdir()), alone)
    words = driver.words(str(pictures), tmp_path / "out")
    words[words.index("--test") + 1] = str(alone)
    assert main(words) == 1
    assert "has 1 test picture; expected two or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_test_picture_is_found_before_any_training(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that is judged by alone, too: the seventh."""
    monkeypatch.setattr(run, "train", lambda *_, **__: pytest.fail("trained"))
    test = Path(shutil.copytree(pictures, tmp_path / "test"))
    (test / "6.png").write_bytes(b"no picture")
    words = driver.words(str(pictures), tmp_path / "out")
    words[words.index("--test") + 1] = str(test)
    assert main(words) == 1
    assert "6.png" in capsys.readouterr().err


def test_a_folder_of_other_things_is_refused(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(driver.words(str(pictures), tmp_path)) == 1
    assert "holds files, but no ablation" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    ["not json", "[" * 200_000, "[]", "{}", '{"data": 3}', '{"data": {"location": 3}}'],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "ablation.json").write_text(text)
    with pytest.raises(RunError, match=r"ablation\.json: cannot be read") as caught:
        recorded(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_results_are_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UsageError, match=r"results\.json"):
        read_results(tmp_path)


def test_a_plan_takes_all_systems_of_the_paper_at_both_sizes() -> None:
    assert set(PAPER) == RECIPES.keys() - {*OURS}
    for name in PAPER:
        full, tiny = Plan(size="full").settings(name), Plan().settings(name)
        assert full == recipe(name)
        assert tiny.model.image_size == full.model.image_size // 2
        assert tiny.training.total_images == 40_000


def test_systems_are_scored_at_numbers_of_steps_that_they_have() -> None:
    steps = {name: numbers_of_steps(recipe(name), (20, 100, 20)) for name in PAPER}
    assert steps["sr3"] == [2000, 20, 100]
    assert steps["sr4"] == [500, 20, 100]
    assert steps["regression"] == [1]


@pytest.mark.parametrize(
    ("names", "numbers", "judged"),
    [
        (PAPER, (20, 100), 100),
        (PAPER, (100, 20), 100),
        (PAPER, (20, 100, 1000), 100),  # which systems of 500 steps do not have
        (("sr3", "regression"), (20, 100, 1000), 1000),
        (PAPER, (1000,), None),
        (PAPER, (), None),
    ],
)
def test_systems_are_judged_at_the_most_steps_that_all_have(
    names: tuple[str, ...], numbers: tuple[int, ...], judged: int | None
) -> None:
    assert judged_steps(map(recipe, names), numbers) == judged
