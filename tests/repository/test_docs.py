"""The documents: links, names, settings and commands exist, and figures follow from the code."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import warnings
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from sr4.cli.main import app
from sr4.config import NETWORKS, RunSettings, keys_of
from sr4.degradation import Degradation
from sr4.diffusion.predictions import EpsPrediction
from sr4.diffusion.process import Transition
from sr4.diffusion.schedules import cosine_table, linear_schedule
from sr4.recipes import OURS, RECIPES, recipe

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/[!r]*/*.md"))
]
MODULES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("src", "tests", "scripts", "benchmarks", "examples", "fuzz", "deploy")
    for path in (ROOT / folder).rglob("*.py")
]
OTHERS = {"prepare_data.py", "eval.py"}  # of the unofficial SR3
RESULTS = ROOT / "docs" / "results"  # written when the long runs are done

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")
PLACEHOLDER = re.compile(r"…|\.\.\.|\[")  # marks a command that is an outline


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def anchors(markdown: str) -> set[str]:
    """The places in a document that a link can name, as GitHub makes them of the headings."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def exists(module: str, dotted: str = "") -> bool:
    """Whether there is a module, and in it that name, which may have dots."""
    try:
        reduce(getattr, filter(None, dotted.split(".")), importlib.import_module(module))
    except (AttributeError, ModuleNotFoundError):
        return False
    return True


def commands(markdown: str) -> list[str]:
    """What is shown to be typed: lines of code blocks, and code inside the text."""
    joined = re.sub(r"\\\n\s*", "", markdown)
    return re.findall(r"^    (sr4 .*)$", joined, re.MULTILINE) + re.findall(
        r"`(sr4 [^`]+)`", joined
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading(document: str) -> None:
    for _, target in LINK.findall(read(document)):
        name, _, anchor = target.partition("#")
        path = ((ROOT / document).parent / name).resolve() if name else ROOT / document
        pending = path.is_relative_to(RESULTS) and not RESULTS.is_dir()
        if "://" in target or pending:
            continue
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_name_is_in_the_module_it_is_linked_to(document: str) -> None:
    pytest.importorskip("torch")
    for text, target in LINK.findall(read(document)):
        module = re.search(r"src/(sr4/.+)\.py$", target)
        if module and CODE.fullmatch(text) and "/" not in text and not text.endswith(".py`"):
            assert exists(module[1].replace("/", "."), text.strip("`")), text
    for module_name in re.findall(r"`(sr4(?:\.\w+)+)[`(]", read(document)):
        owner, _, name = module_name.rpartition(".")
        assert exists(module_name) or exists(owner, name), module_name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_name_is_in_the_file_it_is_said_to_be_in(document: str) -> None:
    """As "`METRICS` of `src/sr4/evaluation/table.py`"; files of the project may be named by the end
    of their path.
    """
    text = read(document)
    for name, file in re.findall(r"`(\w+)`\s+(?:of|in)\s+`([\w/]+\.py)`", text):
        found = [path for path in MODULES if f"/{path}".endswith(f"/{file}")]
        assert found, file
        assert any(re.search(rf"\b{name}\b", read(path)) for path in found), (name, file)
    for file in re.findall(r"`([\w/]+\.py)`", text):
        is_ours = any(f"/{path}".endswith(f"/{file}") for path in MODULES)
        assert is_ours or file in OTHERS or "NAME" in file, file


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_and_option_exists(document: str) -> None:
    for line in commands(read(document)):
        words = shlex.split(PLACEHOLDER.split(line)[0].partition(" #")[0])[1:]
        command: Any = get_command(app)
        while words and hasattr(command, "commands"):
            assert words[0].startswith("-") or words[0] in command.commands, line
            command = command.commands.get(words.pop(0), command)
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        for word in words:
            known = {*options, "--help", "-"}  # a pipe
            assert not word.startswith("-") or word.partition("=")[0] in known, line


def test_every_setting_exists() -> None:
    known = keys_of(RunSettings, NETWORKS)
    known |= {key.removeprefix("model.") for key in known if key.startswith("model.sampling.")}
    named = re.findall(
        r"\b((?:model|training|data|sampling)\.[a-z_.]+[a-z])", read("docs/paper.md")
    )
    assert {"model.objective.p", "training.batch_size", "data.workers", "sampling.steps"} <= {
        *named
    }
    assert {*named} <= known


def test_each_recipe_of_the_paper_has_a_row() -> None:
    text = read("docs/paper.md")
    for name, function in RECIPES.items():
        assert name in OURS or f"[`{function.__name__}`](../src/sr4/recipes/paper.py)" in text


def paper_page_says(words: str, *figures: float) -> bool:
    """Whether docs/paper.md has these words, with these figures rounded as the words ask."""
    sentence = re.sub(r"(\d)%", r"\1 %", words.format(*figures))
    return sentence in " ".join(read("docs/paper.md").split())


def test_the_figures_about_schedules_are_true() -> None:
    """Errata 7 to 9, and how far beta and beta~ are apart."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        long, short = linear_schedule(), linear_schedule(500)
    matched, cosine = linear_schedule(500, beta_end=4e-2), cosine_table()
    left = [float(np.sqrt(schedule.gammas[-1])) for schedule in (short, long, matched)]
    noise = [float(np.mean(schedule.gammas[1:] < 0.01)) for schedule in (long, cosine, short)]
    agreeing = []
    for steps in (500, 20):
        levels = cosine.log_snr(cosine.times(steps))
        pair = Transition(levels[:-1], levels[1:])
        agreeing.append(float(np.mean(pair.variance_small / pair.variance_large > 0.9)))
    assert paper_page_says(
        "`sqrt(γ_T)` = {:.3f} of the picture after 500, against {:.3f}", *left[:2]
    )
    assert paper_page_says("A last β of 4e-2 ends at {:.3f}", left[2])
    assert paper_page_says(
        "T = 2000, {:.0%} of the steps have γ below 0.01 (cosine: {:.0%})", *noise[:2]
    )
    assert noise[2] == 0
    assert paper_page_says("within 10 % at {:.0%}, of 20 in their place at {:.0%}", *agreeing)
    assert (short.gammas[1:] > cosine.gammas[1:]).all()
    for other in (long.gammas[4::4], matched.gammas[1:]):
        assert (cosine.gammas[1:] > other)[3:-3].all()


def test_the_inference_step_is_the_posterior_of_the_predicted_picture() -> None:
    """Equation (7) against equations (2) and (4)."""
    schedule = linear_schedule()
    y_t, eps = np.random.default_rng(0).normal(size=(2, 1, 3, 4, 4))
    for step in (2, 10, 1000, 2000):
        alpha, gamma = 1 - schedule.betas[step - 1], schedule.gammas[step]
        equation_7 = (y_t - (1 - alpha) / np.sqrt(1 - gamma) * eps) / np.sqrt(alpha)
        levels = schedule.log_snr([step / 2000, (step - 1) / 2000])
        x_0 = EpsPrediction().x_0(eps, y_t, levels[0])
        np.testing.assert_allclose(Transition(*levels).mean(y_t, x_0), equation_7, rtol=1e-9)


def test_two_ways_down_lose_nothing_of_an_enlarged_picture() -> None:
    """The condition numbers of erratum 21."""
    degradation = Degradation(8)
    enlarged = degradation.upsample(np.eye(256).reshape(256, 1, 16, 16))
    ways = [degradation(enlarged), enlarged[..., ::8, ::8]]
    conditions = [float(np.linalg.cond(way.reshape(256, 256))) for way in ways]
    assert paper_page_says("(condition numbers {:.1f} and {:.0f})", *conditions)


def test_the_cost_is_that_of_the_recipes() -> None:
    plan = pytest.importorskip("sr4.training.plan")
    cost, large = plan.describe(recipe("sr3")), plan.describe(recipe("sr4"))
    hours = 3 * cost["gflops"] * recipe("sr3").training.total_images / 1e3 / 3600
    assert paper_page_says(
        "takes {:.1f} GFLOPs for one picture (SR4's: {:.1f})", cost["gflops"], large["gflops"]
    )
    assert paper_page_says("hours = {:.0f} / sustained TFLOP/s", hours)
    assert paper_page_says("5 x {:.0f} MB in float32", cost["parameters"] * 4 / 1e6)


def test_the_committed_results_are_what_is_drawn_of_them(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from sr4.ablation.page import write_page

    committed = ROOT / "docs" / "results" / "tiny"
    drawn = Path(shutil.copytree(committed, tmp_path / "tiny"))
    write_page(drawn)
    for name in ("README.md", "index.html"):
        assert (drawn / name).read_text("utf-8") == (committed / name).read_text("utf-8")
