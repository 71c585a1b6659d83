"""What people read of an ablation: README.md, and index.html, which opens from disk; both are made
from results.json and samples/ alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from PIL import Image

from sr4.ablation.claims import Judgement, judge
from sr4.ablation.figures import (
    Figure,
    attention_maps,
    learning_curves,
    loss_curves,
    schedules,
    scores_over_steps,
)
from sr4.ablation.grids import denoising_strips, halfway_pictures, sample_files, sample_grid
from sr4.ablation.results import RESULTS, Results, Row, read_results
from sr4.ablation.table import (
    BOLD_RULE,
    ONE_SEED,
    PAIRS_RULE,
    all_metrics_table,
    claims_table,
    pairs_table,
    score_table,
    settings_table,
    steps_table,
)
from sr4.errors import SR4Error, UsageError, reason
from sr4.evaluation.protocol import shared
from sr4.files.whole import write_text
from sr4.pictures import write_image
from sr4.plots.pages import Placed, render
from sr4.plots.tables import Table, markdown, markdown_text

PAGE, README, FIGURES = "index.html", "README.md", "figures"
_TEMPLATE = "page.html.jinja"
_MARK = f"made by `sr4 plot ablation` from {RESULTS}"  # in what may be written again

# Where the paper shows what a row of the sample grid does.
_PAPER_FIGURES = {
    "low-res": "Figure 6",
    "truth": "Figure 5",
    "sr3": "Figure 7",
    "cosine": "Figure 8",
    "residual": "Figures 4 and 9",
    "sr4": "Figure 10",
}


def write_page(folder: Path) -> None:
    """Write README.md, index.html and figures/ beside the results.json of an ablation, in place of
    those of an earlier call. Each file appears whole.

    Raises:
        UsageError: there are no results, or a README.md or index.html that is not ours.
        PictureError: a sample picture cannot be read, or a figure not be written.
        MissingExtraError: Matplotlib or Jinja2 is not installed.
        SR4Error: the folder cannot be written.
    """
    results = read_results(folder)
    for name in (README, PAGE):
        _check_ours(folder / name)
    content = _Content.of(results, folder)
    page = _page(content, results, folder)
    try:
        (folder / FIGURES).mkdir(exist_ok=True)
        for figure in content.figures:
            write_image(figure.picture, folder / _file(figure), overwrite=True)
        write_text(folder / README, "\n\n".join(_paragraphs(content)) + "\n")
        write_text(folder / PAGE, page)
    except OSError as error:
        raise SR4Error(
            f"{folder}: cannot be written ({reason(error)}); expected a writable folder: copy "
            "the results to another place"
        ) from error


def _check_ours(path: Path) -> None:
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace")[:300]:
        raise UsageError(
            f"{path} exists and was not {_MARK}; expected no file of that name, or ours: move it "
            "away"
        )


@dataclass(frozen=True)
class _Content:
    """What both the page and the README show."""

    title: str
    facts: dict[str, str]
    remarks: list[str]
    scores: Table
    claims: list[Judgement]
    pairs: Table | None
    steps: Table | None
    sections: dict[str, list[Figure]]  # the figures by what they are about

    @classmethod
    def of(cls, results: Results, folder: Path) -> _Content:
        return cls(
            title=title(results),
            facts=facts(results),
            remarks=remarks(results),
            scores=score_table(results),
            claims=judge(results),
            pairs=pairs_table(results),
            steps=steps_table(results),
            sections={
                "learning": [*learning_curves(results), *loss_curves(results)],
                "steps": list(scores_over_steps(results)),
                "schedules": list(schedules(results)),
                "samples": list(sample_grid(results, folder)),
                "halfway": list(halfway_pictures(results, folder)),
                "process": list(denoising_strips(results, folder)),
                "attention": list(attention_maps(results)),
            },
        )

    @property
    def figures(self) -> list[Figure]:
        """All of them, in the order of the page."""
        return [figure for figures in self.sections.values() for figure in figures]


def _file(figure: Figure) -> str:
    return f"{FIGURES}/{figure.name}.png"


def title(results: Results) -> str:
    """The heading."""
    count = len(results.rows)
    systems = "1 system" if count == 1 else f"{count} systems"
    return f"Ablation: {systems}, {results.size}, {results.budget:,} pictures each"


def facts(results: Results) -> dict[str, str]:
    """What was run, in words."""
    model = results.rows[0].settings.model
    low = model.image_size // model.degradation.scale
    rows = (*results.rows, *results.repeats)
    return {
        "Size": f"{results.size}: {low}x{low} to {model.image_size}x{model.image_size} pixels",
        "Budget": f"{results.budget:,} training pictures for each system, repeats counted",
        "Seeds": _seeds(results),
        "Training pictures": results.data,
        "Test pictures": results.test,
        "Machine": _of_all([row.machine or results.machine for row in rows]),
        "Versions": _of_all([row.versions or results.versions for row in rows]),
    }


def _of_all(words: Sequence[str]) -> str:
    """Each of them once."""
    return "; ".join(dict.fromkeys(words))


def _seeds(results: Results) -> str:
    text = f"{results.seed}, of weights, order and noise, for all systems"
    for name in dict.fromkeys(row.recipe for row in results.repeats):
        others = ", ".join(str(results.seed + row.seed) for row in results.runs(name)[1:])
        text += f"; {name} also with {others}"
    return text


def remarks(results: Results) -> list[str]:
    """What to know before reading the scores."""
    found = [
        "Brackets are 95 % intervals, arrows point to the better side.",
        BOLD_RULE,
        "The paper's figures (its Table 1) are those of 16x16 to 128x128 faces after 2,560,000 "
        "pictures: compare the order of the systems with them, not the values.",
    ]
    if any(score.projected for row in results.rows for score in row.scores):
        found.append(
            'The systems are scored as the paper\'s, without projection. "Projected" among the '
            "scores at other numbers of steps: every step and the result are brought onto the "
            "pictures whose degraded version is the input, which leaves the detail to be judged."
        )
    own = [row.own for row in results.rows]
    return found + list(dict.fromkeys(note for one in own for note in one.notes))


def _gallery(results: Results, folder: Path) -> list[dict[str, Any]]:
    """The rows of the sample grid as links to the single pictures."""
    return [
        {
            "label": label,
            "paper": _PAPER_FIGURES.get(label, ""),
            "files": [quote(file.as_posix()) for file in files],
        }
        for label, files in sample_files(results, folder).items()
    ]


def _sliders(results: Results, folder: Path) -> list[Placed]:
    """The shown pictures, each as all systems drew it, under a slider."""
    files = sample_files(results, folder)
    if not any(row.recipe in files for row in results.rows):
        return []
    cards = []
    for number in range(results.shown):
        sources = {label: quote(paths[number].as_posix()) for label, paths in files.items()}
        with Image.open(folder / list(files.values())[-1][number]) as picture:
            width, height = picture.size
        cards.append(Placed(f"Picture {number + 1}", "", "", width, height, sources))
    return cards


def _sides(systems: Sequence[str]) -> tuple[str, ...]:
    """What the slider lies between at first: the baseline and the proposal."""
    return (systems[0], "sr4" if "sr4" in systems else systems[-1]) if systems else ()


def _contents(content: _Content) -> dict[str, str]:
    """Headings by the names of their sections."""
    headings = {
        "scores": "Scores",
        "claims": "Claims" if content.claims else "",
        "pairs": "Pairs" if content.pairs else "",
        "learning": "Learning",
        "steps": "Steps",
        "schedules": "Schedules",
        "samples": "Samples",
        "attention": "Attention" if content.sections["attention"] else "",
        "details": "Settings and protocol",
    }
    return {name: text for name, text in headings.items() if text}


def _page(content: _Content, results: Results, folder: Path) -> str:
    gallery = _gallery(results, folder)
    shown = {row["label"] for row in gallery}
    return render(
        Path(__file__).with_name(_TEMPLATE),
        **vars(content),
        contents=_contents(content),
        mark=_MARK,
        file=_file,
        pairs_rule=PAIRS_RULE,
        one_seed=ONE_SEED,
        gallery=gallery,
        sliders=_sliders(results, folder),
        sides=_sides([row.recipe for row in results.rows if row.recipe in shown]),
        missing=[row.recipe for row in results.rows if row.recipe not in shown],
        metrics=all_metrics_table(results),
        settings=settings_table(results),
        systems={row.recipe: _yaml(row) for row in results.rows},
        protocol=shared({row.recipe: row.own.protocol for row in results.rows}),
    )


def _yaml(row: Row) -> str:
    return yaml.safe_dump(row.settings.model_dump(mode="json"), sort_keys=False)


def _paragraphs(content: _Content) -> Iterator[str]:
    """Of README.md."""
    yield f"<!-- {_MARK} -->"
    yield f"# {markdown_text(content.title)}"
    yield "\n".join(f"- {name}: {markdown_text(text)}" for name, text in content.facts.items())
    yield (
        f"All of this is drawn from [{RESULTS}]({RESULTS}) by `sr4 plot ablation`. "
        f"[{PAGE}]({PAGE}) is the same with settings and protocol; it opens from disk."
    )
    yield "## Scores at each system's own number of steps"
    yield markdown(content.scores)
    yield "\n".join(f"- {markdown_text(text)}" for text in content.remarks)
    tables = {
        "What the paper claims": claims_table(content.claims) if content.claims else None,
        "Systems in pairs": content.pairs,
        "Scores at other numbers of steps": content.steps,
    }
    for heading, table in tables.items():
        if table is not None:
            yield f"## {heading}"
            yield markdown(table)
    if content.pairs is not None:
        yield f"Pairs: {PAIRS_RULE}"
    yield "## Figures"
    for figure in content.figures:
        yield f"![{markdown_text(figure.alt)}]({_file(figure)})"
        yield markdown_text(figure.caption)
