"""`sr4 train`: a recipe, its settings laid over each other, and the trainer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sr4.cli import console
from sr4.cli.options import JSON, examples
from sr4.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from sr4.config import RunSettings
    from sr4.data.sources import Source
    from sr4.training.trainer import Progress, TrainingSummary

EXAMPLES = examples(
    "sr4 train sr4-fast --data photos/ --out runs/mine",
    "sr4 train sr4 --data 'a/*.tar' --out runs/sr4 --set training.seed=1",
    "sr4 train sr4-fast --data a/ --data b/ --out runs/ab --config ab.yaml",
)


Data = Annotated[
    list[str],
    typer.Option(
        metavar="SRC",
        help="High-resolution training pictures: a folder, a tar, a pattern of tars (also on a "
        "network: s3://bucket/train-*.tar) or an LMDB folder. May be given several times.",
        show_default=False,
    ),
]
Run = Annotated[
    Path, typer.Option("-o", "--out", metavar="RUN", help="Run folder.", show_default=False)
]
Val = Annotated[
    list[str] | None,
    typer.Option(metavar="SRC", help="Validation pictures, as --data.", show_default=False),
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE.yaml", help="Settings to lay over the recipe's."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One setting, such as training.batch_size=8; goes over --config. May be given "
        "several times.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the settings, cost and time; train nothing."),
]


_NAMED = 5  # bad pictures in the last line about them


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="The system to train: sr4-fast, photo-x4, or one of the SR4 paper: "
            "sr3, sr3-500, sr3-500-matched, hybrid-vlb, cosine, attention-input, residual, sr4, "
            "regression.",
            show_default=False,
        ),
    ],
    data: Data,
    out: Run,
    val: Val = None,
    config: Config = None,
    assignments: Assignments = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|DIR",
            help="A model of the same network, whose weights the training begins with.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: JSON = False,
) -> int:
    """Train a model, or go on with a training.

    The same command again resumes a run that was stopped, by whatever. Ctrl-C and SIGTERM save a
    checkpoint first and end with exit code 1; a second one ends at once. Started by torchrun or
    accelerate launch, several processes share each batch. Bad pictures are named and
    left out, up to the share data.max_bad. The trained model is RUN/model; other commands take RUN
    for it.
    """
    settings = resolve_settings(recipe, config, assignments or ())
    folder = None
    if init is not None:
        from sr4.config.overrides import override
        from sr4.model.folder import find_model, read_config, weights_checksum

        folder = find_model(init)
        checksum = weights_checksum(read_config(folder))
        settings = override(settings, {"training": {"init": checksum}})
    return run_training(settings, data, val, out, init=folder, dry_run=dry_run, as_json=as_json)


def run_training(
    settings: RunSettings,
    data: Sequence[str],
    val: Sequence[str] | None,
    out: Path,
    *,
    teacher: Path | None = None,
    init: Path | None = None,
    dry_run: bool,
    as_json: bool,
    command: str = "sr4 train",
) -> int:
    """Train or distil by resolved settings, and say what came of it; returns the exit code.

    Args:
        command: what needs the packages that may be missing.
    """
    from sr4.data.sources import open_sources

    model = settings.model
    pictures = open_sources(data, model.channels, model.data_range)
    validation = open_sources(val, model.channels, model.data_range) if val else None
    speaks = _speaks()
    if speaks:
        console.note_left_out(pictures.left_out)
    if dry_run and speaks:
        networks = _networks(_trainer(command), teacher, init)
        _print_plan(settings, pictures, validation, out, networks, as_json=as_json)
    if dry_run:
        return 0
    summary = _train(_trainer(command), settings, pictures, validation, out, teacher, init)
    if not speaks:
        return 1 if summary.stopped else 0
    if as_json:
        console.say_json(
            {
                "model": str(summary.model),
                "images": summary.images,
                "seconds": summary.seconds,
                "stopped": summary.stopped,
                "bad_pictures": summary.bad_pictures,
                "skipped_steps": summary.skipped_steps,
            }
        )
    else:
        _print_summary(summary, settings)
    return 1 if summary.stopped else 0


def _speaks() -> bool:
    """Whether this process is the one of a training that prints: the first of those launched."""
    return _is_alone() or os.environ.get("RANK", "0") == "0"


def _is_alone() -> bool:
    """Whether no other process trains with this one."""
    return os.environ.get("WORLD_SIZE", "1") == "1"


def resolve_settings(name: str, config: Path | None, assignments: Sequence[str]) -> RunSettings:
    """The settings of a recipe with those of a file, then single ones, laid over them.

    Raises:
        UsageError: an unknown recipe or key, an impossible value, or a file that cannot be read.
    """
    from sr4.recipes import recipe

    return lay_over(recipe(name), config, assignments)


def lay_over(settings: RunSettings, config: Path | None, assignments: Sequence[str]) -> RunSettings:
    """Settings with those of a file, then single ones, laid over them.

    Raises:
        UsageError: an unknown key, an impossible value, or a file that cannot be read.
    """
    from sr4.config.overrides import override, parse_assignments

    if config is not None:
        try:
            settings = override(settings, read_settings(config))
        except UsageError as error:
            named = str(config) in str(error)
            raise UsageError(str(error) if named else f"{config}: {error}") from error
    return override(settings, parse_assignments(assignments))


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; keys may be dotted, as in `training.seed: 1`.

    Raises:
        UsageError: it is missing, unreadable, not YAML, or no mapping.
    """
    from sr4.config.overrides import merge
    from sr4.errors import reason
    from sr4.files.documents import parse_yaml, read_bytes
    from sr4.files.paths import missing_path

    expected = "expected a YAML file of settings, such as `training: {batch_size: 8}`"
    try:
        text = read_bytes(path).decode("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"got --config {path}: {missing_path(path)}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)}); {expected}") from error
    try:
        loaded = parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"{path}: not YAML that sr4 takes ({error}); {expected}") from error
    if loaded is None:  # an empty file, or comments only
        return {}
    if not isinstance(loaded, dict):
        raise UsageError(f"{path}: holds a {type(loaded).__name__}; {expected}")
    settings: dict[str, Any] = {}
    for key, value in loaded.items():
        for part in reversed(str(key).split(".")):
            value = {part: value}
        settings = merge(settings, value)
    return settings


def _train(
    trainer: Any,
    settings: RunSettings,
    pictures: Source,
    validation: Source | None,
    out: Path,
    teacher: Path | None,
    init: Path | None,
) -> TrainingSummary:
    networks = _networks(trainer, teacher, init)
    with console.progress("training") if _speaks() else nullcontext(_ignore) as advance:

        def show(progress: Progress) -> None:
            if progress.message is not None:
                console.note(f"sr4: {progress.message}")
                return
            loss = "" if isnan(progress.loss) else f"loss {progress.loss:.4f}, "
            figures = f"{loss}{progress.images_per_second:.1f} pictures/s"
            advance(progress.images, progress.total, figures)

        return trainer.train(  # type: ignore[no-any-return]
            settings, data=pictures, val=validation, out=out, on_progress=show, **networks
        )


def _networks(trainer: Any, teacher: Path | None, init: Path | None) -> dict[str, Any]:
    """The trained networks that a training begins with, by their part in it."""
    return {
        role: None if folder is None else trainer.open_trained(folder)
        for role, folder in (("teacher", teacher), ("init", init))
    }


def _ignore(done: float, total: int, text: str) -> None:
    """Progress where nobody looks."""


def _trainer(command: str) -> Any:
    try:
        from sr4.training import trainer
    except ModuleNotFoundError as error:
        raise MissingExtraError(command, error.name or "torch", "train") from error
    return trainer


def _print_plan(
    settings: RunSettings,
    pictures: Source,
    validation: Source | None,
    out: Path,
    networks: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """The resolved settings, and facts about them as comments, so that the output is a --config.

    How long it takes is tried last, as that needs memory and pictures; not by one of several
    processes.

    Args:
        networks: those that the training begins with.
    """
    import yaml

    from sr4.data.excluding import excluding
    from sr4.training.plan import describe, pictures_per_second, trained_pictures

    facts = {
        **describe(settings),
        "training_pictures": len(excluding(pictures, settings.data.exclude)),
        "validation_pictures": 0 if validation is None else len(validation),
        "trained_before": trained_pictures(out),
    }
    resolved = settings.model_dump(mode="json")
    left = max(0, settings.training.total_images - facts["trained_before"])
    if as_json:
        found = pictures_per_second(settings, pictures, **networks) if _is_alone() else None
        seconds = None if found is None else left / found
        time = {"pictures_per_second": found, "seconds": seconds}
        console.say_json({"settings": resolved, **facts, **time})
        return
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
        console.say(f"# {name.replace('_', ' ')}: {shown}")
    for line in yaml.safe_dump(resolved, sort_keys=False).splitlines():
        console.say(line)
    if not _is_alone():
        console.say("# time: not tried, as several processes train")
        return
    found = pictures_per_second(settings, pictures, **networks)
    about = console.about(left / found)
    console.say(f"# time: {about} at {found:.3g} pictures a second, without validations")


def _print_summary(summary: TrainingSummary, settings: RunSettings) -> None:
    total = settings.training.total_images
    if summary.stopped:
        console.note(
            f"sr4: stopped after {summary.images:,} of {total:,} pictures; a checkpoint is saved: "
            "the same command goes on from there"
        )
    if summary.bad_pictures:
        names = ", ".join(summary.bad_pictures[:_NAMED])
        more = f" and {extra} more" if (extra := len(summary.bad_pictures) - _NAMED) > 0 else ""
        console.note(f"sr4: left out {len(summary.bad_pictures):,} bad pictures: {names}{more}")
    if summary.skipped_steps:
        console.note(f"sr4: skipped {summary.skipped_steps:,} steps that were not finite")
    console.say(f"{summary.model}  {summary.images:,} pictures, {summary.seconds:.0f} s")
