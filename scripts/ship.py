"""Turn a finished run into a shipped model: export, measure, write its card and README's table.

    python scripts/ship.py runs/student sr4-fast --steps 1 --also 2 4 --sampler ddim \\
        --test faces128=faces/test.tar --test portraits128=portraits/test.tar

Every figure in the card and in README comes from here; none is typed by hand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sr4.data.sources import open_source
from sr4.evaluation.evaluate import BicubicUpscaler, Upscaler, evaluate
from sr4.evaluation.report import Evaluation
from sr4.export import export_model
from sr4.model import CARD, SHIPPED, load_model, read_config, write_config

ROOT = Path(__file__).resolve().parents[1]
METRICS = ("psnr", "ssim", "consistency", "kid_efflite0")
MARKS = ("<!-- scores: written by scripts/ship.py -->", "<!-- end of scores -->")


def measure(
    name: str, tests: Mapping[str, str], also: Sequence[int], limit: int | None
) -> dict[str, dict[str, Any]]:
    """Scores by test set and by system."""
    model = load_model(name)
    baselines = [BicubicUpscaler(model.degradation), BicubicUpscaler(model.degradation, True)]
    rows: list[tuple[str, Upscaler, int | None]] = [(b.name, b, None) for b in baselines]
    own = model.config.sampling.steps
    for steps in sorted({own, *also}):
        label = f"{name}, {counted(steps)}{' (default)' * (steps == own)}"
        rows.append((label, model, steps))
    scores: dict[str, dict[str, Any]] = {}
    for test, spec in tests.items():
        for label, system, steps in rows:
            result = evaluate(system, open_source(spec), steps=steps, limit=limit)
            scores.setdefault(test, {})[label] = figures(result)
            print(test, label, scores[test][label], file=sys.stderr, flush=True)
    return scores


def counted(steps: int) -> str:
    return f"{steps} step{'s' if steps > 1 else ''}"


def figures(result: Evaluation) -> dict[str, Any]:
    """What the card keeps of an evaluation."""
    values = {metric: getattr(result, metric) for metric in METRICS}
    kept = {metric: value.model_dump() for metric, value in values.items() if value is not None}
    return {"count": result.count, "nfe": result.nfe, **kept}


def table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The scores as Markdown."""
    lines = [
        "| test set | system | PSNR, dB | SSIM | consistency, x 1e-5 | kernel distance, x 1000 |",
        "|---|---|---|---|---|---|",
    ]
    for test, systems in scores.items():
        for label, row in systems.items():
            cells = [f"{row[m]['value']:.{d}f}" for m, d in zip(METRICS, (2, 3, 3, 0), strict=True)]
            lines.append(f"| {test} ({row['count']}) | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def card(name: str, facts: Mapping[str, Any], config: Any) -> str:
    """The model card as Markdown."""

    def bullets(items: list[str]) -> str:
        return "\n".join(f"- {' '.join(item.split())}" for item in items)

    sampling = config.sampling
    steps = counted(sampling.steps)
    return f"""# {name}

{config.description}

**Terms of the weights.** {config.licence} The code of sr4 has its own licence, Apache-2.0.

## Data

{bullets(facts["training_data"])}

## Training

{facts["recipe_note"].strip()}

- network: {config.network.kind}, {config.parameters / 1e6:.1f} M parameters
- budget: {config.training_images:,} training pictures, repeats counted
- predicts {config.objective.prediction} of the {config.objective.target} residual
- sampling: {steps} of {sampling.sampler}, starting noise of deviation \
{sampling.temperature}

## Scores

One sample a picture, 8-bit results, pictures that were not trained on. Intervals are in
`config.json`; the protocol is what `sr4 evaluate --json` prints. The kernel distance is
`kid_efflite0`, which is not FID or KID on Inception features.

{table(config.scores)}

## Limits

{bullets(facts["limits"])}
"""


def update_readme(text: str) -> None:
    """Put the table between its two marks in README."""
    path = ROOT / "README.md"
    before, rest = path.read_text(encoding="utf-8").split(MARKS[0])
    _, after = rest.split(MARKS[1])
    parts = (before, MARKS[0], "\n\n", text, "\n\n", MARKS[1], after)
    path.write_text("".join(parts), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="run or model folder")
    parser.add_argument("name")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--also", type=int, nargs="*", default=[], help="other steps to score")
    parser.add_argument("--sampler", required=True)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--test", action="append", default=[], metavar="NAME=SRC")
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    facts = yaml.safe_load((ROOT / "scripts" / f"{arguments.name}.yaml").read_text())
    folder = SHIPPED / arguments.name
    print(export_model(arguments.run, folder, overwrite=True), file=sys.stderr)
    config = read_config(folder)
    sampling = config.sampling.model_copy(
        update={key: getattr(arguments, key) for key in ("steps", "sampler", "temperature")}
    )
    changes = {key: facts[key] for key in ("description", "licence")}
    changes |= {"training_data": tuple(facts["training_data"]), "sampling": sampling}
    config = write_config(folder, config.model_copy(update=changes))
    tests = dict(test.split("=", 1) for test in arguments.test)
    scores = measure(arguments.name, tests, arguments.also, arguments.limit)
    config = write_config(folder, config.model_copy(update={"scores": scores}))
    (folder / CARD).write_text(card(arguments.name, facts, config), encoding="utf-8")
    update_readme(table(scores))


if __name__ == "__main__":
    main()
