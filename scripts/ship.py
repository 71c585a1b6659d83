"""Turn a finished run into a shipped model: export, measure, write its card and README's table.

    python scripts/ship.py runs/student sr4-fast --steps 1 --also 2 4 --sampler ddim \\
        --test faces128=faces/test.tar --test portraits128=portraits/test.tar

    python scripts/ship.py runs/photo-student photo-x4 --steps 1 --sampler ddim --samples 8 \\
        --border 4 --patch 64 --luma --test Set5=Set5/ --test Kodak=kodak.tar \\
        --corrupted "Kodak, degraded=kodak.tar"

Every figure in the card and in README comes from here; none is typed by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sr4.build import build_corruption
from sr4.config import CORRUPTIONS, CorruptionName
from sr4.data.sources import open_source
from sr4.evaluation.evaluate import BicubicUpscaler, Upscaler, evaluate
from sr4.evaluation.report import Evaluation
from sr4.evaluation.table import METRICS, Metric
from sr4.model.diffusion_model import load_model
from sr4.model.export import export_model
from sr4.model.folder import CARD, SHIPPED, read_config, write_config

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {  # in words
    "picture": "picture",
    "residual": "residual",
    "fitted-residual": "fitted residual",
    "null-space": "null-space residual",
}


def marks(name: str) -> tuple[str, str]:
    """What a model's table in README stands between."""
    return f"<!-- scores of {name}: written by scripts/ship.py -->", f"<!-- end of {name} -->"


def measure(
    name: str,
    tests: Mapping[str, tuple[str, CorruptionName]],
    also: Sequence[int],
    details: Sequence[float],
    **options: Any,
) -> dict[str, dict[str, Any]]:
    """Scores by test set and by system; the options are those of `evaluate`.

    Args:
        tests: by name, the pictures and what their low-resolution versions go through.
        also: steps beside the model's own.
        details: the same of its detail, in its own number of steps.
    """
    model = load_model(name)
    baselines = [BicubicUpscaler(model.degradation), BicubicUpscaler(model.degradation, True)]
    rows: list[tuple[str, Upscaler, dict[str, Any]]] = [(b.name, b, {}) for b in baselines]
    own = model.config.sampling.steps
    for steps in sorted({own, *also}):
        label = f"{name}, {counted(steps)}{' (default)' * (steps == own)}"
        rows.append((label, model, {"steps": steps, "samples": options["samples"]}))
    for detail in details:
        label = f"{name}, detail {detail:g}"
        # The mean of all that fit is one picture, whatever the noise.
        samples = options["samples"] if detail else 1
        rows.append((label, model, {"detail": detail, "samples": samples}))
    scores: dict[str, dict[str, Any]] = {}
    for test, (spec, corruption) in tests.items():
        for label, system, chosen in rows:
            given = options | {"samples": 1, "corruption": build_corruption(corruption)}
            result = evaluate(system, open_source(spec), **(given | chosen))
            scores.setdefault(test, {})[label] = figures(result)
            print(test, label, scores[test][label], file=sys.stderr, flush=True)
    return scores


def counted(steps: int) -> str:
    return f"{steps} step{'s' if steps > 1 else ''}"


def figures(result: Evaluation) -> dict[str, Any]:
    """What the card keeps of an evaluation."""
    values = {metric.field: result[metric.field] for metric in METRICS}
    kept = {metric: value.model_dump() for metric, value in values.items() if value is not None}
    return {"count": result.count, "nfe": result.nfe, **kept}


def columns(scores: Mapping[str, Mapping[str, Any]], *, luma: bool) -> list[Metric]:
    """The metrics that a card shows: those of short tables, of Y where that is wanted and there is
    a choice, and that some system has a figure in.
    """
    rows = [row for systems in scores.values() for row in systems.values()]
    return [
        metric
        for metric in METRICS
        if (metric.tables == "all" if metric.of_luma is None else metric.of_luma == luma)
        and any(metric.field in row for row in rows)
    ]


def table(scores: Mapping[str, Mapping[str, Any]], metrics: Sequence[Metric]) -> str:
    """The scores as Markdown."""
    headings = [f"{metric.title}, {metric.unit}".removesuffix(", ") for metric in metrics]
    lines = [f"| test set | system | {' | '.join(headings)} |", "|---" * (2 + len(metrics)) + "|"]
    for test, systems in scores.items():
        for label, row in systems.items():
            cells = [m.shown(row[m.field]["value"]) if m.field in row else "-" for m in metrics]
            lines.append(f"| {test} ({row['count']}) | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def card(name: str, facts: Mapping[str, Any], config: Any, scores: str) -> str:
    """The model card as Markdown."""

    def bullets(items: list[str]) -> str:
        return "\n".join(f"- {' '.join(item.split())}" for item in items)

    sampling = config.sampling
    excluded = facts.get("excluded")
    if excluded:
        excluded = f"\nLeft out of training, since test sets hold them:\n\n{bullets(excluded)}\n"
    steps = counted(sampling.steps)
    return f"""# {name}

{config.description}

**Terms of the weights.** {config.licence} The code of sr4 has its own licence, Apache-2.0.

## Data

{bullets(facts["training_data"])}
{excluded or ""}
## Training

{facts["recipe_note"].strip()}

- network: {config.network.kind}, {config.parameters / 1e6:.1f} M parameters
- budget: {config.training_images:,} training pictures, repeats counted
- predicts {config.objective.prediction} of the {TARGETS[config.objective.target]}
- sampling: {steps} of {sampling.sampler}, starting noise of deviation \
{sampling.temperature}, detail {sampling.detail:g}

## Scores

{facts["protocol"].strip()} Intervals are in `config.json`; the protocol is what
`sr4 evaluate --json` prints. The kernel distance is `kid_efflite0`, which is not FID or KID on
Inception features.

{scores}

## Limits

{bullets(facts["limits"])}
"""


def update_readme(name: str, text: str) -> None:
    """Put a model's table between its two marks in README."""
    path, (start, end) = ROOT / "README.md", marks(name)
    before, rest = path.read_text(encoding="utf-8").split(start)
    _, after = rest.split(end)
    parts = (before, start, "\n\n", text, "\n\n", end, after)
    path.write_text("".join(parts), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "run", help="run or model folder; the shipped one is measured anew as it is"
    )
    parser.add_argument("name")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--also", type=int, nargs="*", default=[], help="other steps to score")
    parser.add_argument("--sampler", required=True)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--detail", type=float, default=1.0, help="the model's own")
    parser.add_argument(
        "--also-detail", type=float, nargs="*", default=[], help="other detail to score"
    )
    parser.add_argument("--test", action="append", default=[], metavar="NAME=SRC")
    parser.add_argument(
        "--corrupted",
        action="append",
        default=[],
        metavar="NAME=SRC",
        help="a test whose low-resolution pictures are degraded as photographs are",
    )
    parser.add_argument("--limit", type=int)
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--border", type=int, default=0)
    parser.add_argument("--patch", type=int)
    parser.add_argument("--luma", action="store_true", help="show the scores of photographs")
    arguments = parser.parse_args()
    facts = yaml.safe_load((ROOT / "scripts" / f"{arguments.name}.yaml").read_text())
    folder = SHIPPED / arguments.name
    if Path(arguments.run).resolve() != folder:
        print(export_model(arguments.run, folder, overwrite=True), file=sys.stderr)
    config = read_config(folder)
    sampling = config.sampling.model_copy(
        update={
            key: getattr(arguments, key) for key in ("steps", "sampler", "temperature", "detail")
        }
    )
    changes = {key: facts[key] for key in ("description", "licence")}
    changes |= {"training_data": tuple(facts["training_data"]), "sampling": sampling}
    config = write_config(folder, config.model_copy(update=changes))
    tests: dict[str, tuple[str, CorruptionName]] = {}
    for corruption in CORRUPTIONS:
        for test in arguments.test if corruption == "none" else arguments.corrupted:
            label, spec = test.split("=", 1)
            tests[label] = spec, corruption
    options = {key: getattr(arguments, key) for key in ("limit", "samples", "border", "patch")}
    scores = measure(arguments.name, tests, arguments.also, arguments.also_detail, **options)
    config = write_config(folder, config.model_copy(update={"scores": scores}))
    shown = table(scores, columns(scores, luma=arguments.luma))
    text = card(arguments.name, facts, config, shown)
    (folder / CARD).write_text(text, encoding="utf-8")
    update_readme(arguments.name, shown)


if __name__ == "__main__":
    main()
