"""`sr4 models` and `sr4 info`: what models there are, and all that one says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from sr4.cli import console
from sr4.cli.options import JSON, examples

if TYPE_CHECKING:
    from pathlib import Path

    from sr4.config import ModelConfig

MODELS_EXAMPLES = examples("sr4 models")
INFO_EXAMPLES = examples("sr4 info sr4-fast")


def models(as_json: JSON = False) -> int:
    """List the models that come with the package."""
    from sr4.model.folder import read_config, shipped_models

    found = {name: (folder, read_config(folder)) for name, folder in shipped_models().items()}
    if as_json:
        listed = [
            {
                "name": name,
                "scale": config.scale,
                "parameters": config.parameters,
                "bytes": sum(_sizes(folder).values()),
                "licence": config.licence,
                "folder": str(folder),
            }
            for name, (folder, config) in found.items()
        ]
        console.say_json({"models": listed})
        return 0
    rows = [
        (
            name,
            f"x{config.scale}",
            f"{config.parameters / 1e6:.1f} M",
            f"{sum(_sizes(folder).values()) / 1e6:.1f} MB",
            config.licence.splitlines()[0],
        )
        for name, (folder, config) in found.items()
    ]
    header = ("name", "scale", "parameters", "size", "licence of the weights")
    console.say_table(rows, header=header)
    return 0


def info(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A shipped model, or a model or run folder.", show_default=False
        ),
    ],
    as_json: JSON = False,
) -> int:
    """Say what a model is.

    Its terms of use come first; then size, sampling, training data, scores and files.
    """
    from sr4.cli.scores import cautions, tables
    from sr4.model.folder import find_model, read_config

    folder = find_model(model)
    config = read_config(folder)
    if as_json:
        described = {"name": model, "folder": str(folder), "bytes": _sizes(folder)}
        console.say_json(described | config.model_dump(mode="json"))
        return 0
    if config.description:
        console.say(config.description)
    console.say(f"LICENCE OF THE WEIGHTS: {config.licence}")
    console.say("(The code of sr4 has its own, Apache-2.0, which does not cover the weights.)")
    console.say_table(list(_facts(folder, config)))
    for found in tables(config.scores):
        console.say("")
        of = f" on {found.title}" if found.title else ""
        console.say(f"scores{of}, ± half of the 95 % interval:")
        console.say_table(found.rows, header=found.header)
    for text in cautions(config.scores):
        console.say(f"caution: {text}")
    return 0


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of a model folder."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


def _facts(folder: Path, config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Name and value of all that people ask of a model."""
    objective, sampling = config.objective, config.sampling
    yield "folder", str(folder)
    yield "recipe", config.recipe
    yield "scale", f"x{config.scale}, trained for results of {config.image_size} pixels a side"
    yield "size multiple", f"{config.size_multiple} pixels; others are padded"
    if config.data_range is not None:
        yield "values", "{:g} (black) to {:g} (white)".format(*config.data_range)
    yield "degradation", f"{config.degradation.kind} by {config.degradation.scale}, antialiased"
    if config.corruption != "none":
        yield "trained to undo", f"what corrupts a {config.corruption}: see data.corruption"
    if config.condition_noise:
        most = config.condition_noise
        yield "condition noise", f"trained with deviations up to {most:g} on the [-1, 1] scale"
    yield "network", f"{config.network.kind}, {config.parameters / 1e6:.1f} M parameters"
    yield "objective", f"predicts {objective.prediction} of the {objective.target}, L{objective.p}"
    yield "schedule", config.schedule.kind
    yield "sampling", console.steps(sampling.steps, sampling.sampler)
    yield "trained on", "; ".join(config.training_data) or "not stated"
    seen = f"{config.training_images:,} seen, repeats counted"
    yield "training pictures", seen if config.training_images else "not stated"
    for one in config.calibrations:
        at = one.sampling
        yield "calibrated", f"on {one.data_name}, for {console.steps(at.steps, at.sampler)}"
    for name, size in _sizes(folder).items():
        yield f"file: {name}", f"{size / 1000:,.0f} kB"
