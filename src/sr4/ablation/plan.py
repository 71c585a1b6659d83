"""What an ablation compares, and the record of that in its folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sr4.build import build_schedule
from sr4.config import RunSettings
from sr4.config.overrides import full_name, override, parse_assignment
from sr4.data.sources import Source
from sr4.errors import RunError, UsageError, reason, shorten
from sr4.files.kinds import FolderKind, holds
from sr4.files.whole import clear_leftovers, write_text
from sr4.recipes import recipe
from sr4.recipes.sizes import Size, at_size
from sr4.training.checkpoint import writing
from sr4.training.run_folder import differences, fingerprint, sampled

PAPER = (
    "sr3",
    "sr3-500",
    "sr3-500-matched",
    "hybrid-vlb",
    "cosine",
    "attention-input",
    "residual",
    "sr4",
    "regression",
)
STEPS = (20, 100)
_RECORD = "ablation.json"
_PICTURES = ("data", "test")  # of what it tells
_NAME = re.compile(r"[\w.-]+(\+[\w.]+=[\w.-]+)*", re.ASCII)  # the name of files, too
ABLATION = FolderKind(
    "holds files, but no ablation",
    holds(_RECORD, "size", "budget", "changes", "steps", "limit", "data", "test"),
    RunError,
    first=(".lock",),
)


@dataclass(frozen=True)
class Plan:
    """What is compared, and how.

    Args:
        recipes: names of systems; each is trained. A system is a recipe, or one with settings of
            its own laid over it, named by their last part: "sr4+path=bicubic".
        size: "tiny" or "full".
        budget: training pictures for each; the size's own if None.
        changes: settings laid over those of each recipe, nested as `RunSettings`.
        steps: numbers of steps to score besides each system's own, where it has so many.
        limit: test pictures; validations draw no more.
        judged: test pictures of the scores with projection, which claims are judged by.
        seeds: runs of a system by its name, one where there is none; run n adds n to
            `training.seed`.
    """

    recipes: tuple[str, ...] = PAPER
    size: Size = "tiny"
    budget: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[int, ...] = STEPS
    limit: int = 64
    judged: int = 64
    seeds: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.recipes or len(set(self.recipes)) < len(self.recipes):
            raise UsageError(
                f"got the recipes {', '.join(self.recipes)}; expected at least one, each once"
            )
        for name in self.recipes:
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"got the system {shorten(name)!r}; expected a recipe, or one with settings of "
                    "its own, such as sr4+path=bicubic"
                )
        for name, count in self.seeds.items():
            if name not in self.recipes or count < 1:
                raise UsageError(
                    f"got {count} seeds of {name}; expected at least one, of one of the recipes "
                    f"{', '.join(self.recipes)}"
                )
        if min(self.limit, self.judged) < 2:
            raise UsageError(
                f"got {self.limit} test pictures and {self.judged} to judge by; expected two or "
                "more"
            )

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """Recipe and seed of each run; every system has its first one before any its second."""
        most = max(self.seeds.get(name, 1) for name in self.recipes)
        return tuple(
            (name, seed)
            for seed in range(most)
            for name in self.recipes
            if seed < self.seeds.get(name, 1)
        )

    def settings(self, name: str, seed: int = 0) -> RunSettings:
        """The settings of one of the systems, in the run of that seed.

        Raises:
            UsageError: an unknown recipe or setting, an impossible value; settings of its own by
                which its scores would not compare with those of others.
        """
        first, *own = name.split("+")
        settings = override(at_size(recipe(first), self.size, self.budget), self.changes)
        common = _common(settings)
        for text in own:
            end, _, value = text.partition("=")
            settings = override(settings, parse_assignment(f"{full_name(settings, end)}={value}"))
        if changed := differences(common, _common(settings)):
            raise UsageError(
                f"got the system {shorten(name)} with {'; '.join(changed)}; expected what all "
                "systems have in common: use --set for all of them"
            )
        pictures = min(settings.training.validation_images, self.limit)
        seed += settings.training.seed
        return override(settings, {"training": {"validation_images": pictures, "seed": seed}})


def _common(settings: RunSettings) -> dict[str, Any]:
    """The settings that all systems have in common, so that their scores compare."""
    model, training = settings.model, settings.training
    return {
        "training.total_images": training.total_images,
        "training.seed": training.seed,
        "model.image_size": model.image_size,
        "model.degradation": model.degradation.model_dump(mode="json"),
        "model.channels": model.channels,
        "model.data_range": model.data_range,
    }


def settle(out: Path, plan: Plan, data: Source, test: Source) -> None:
    """Record what the ablation is, or refuse to go on with another one."""
    path = out / _RECORD
    record = {
        "size": plan.size,
        "budget": plan.settings(plan.recipes[0]).training.total_images,
        "changes": dict(plan.changes),
        "steps": list(plan.steps),
        "limit": plan.limit,
        "judged": plan.judged,
        "data": _told(data),
        "test": _told(test),
    }
    record = json.loads(json.dumps(record))
    if (old := recorded(out)) is not None and (changed := changes(old, record)):
        raise RunError(
            f"{out}: this ablation has {'; '.join(changed)}; expected the same to go on: "
            "choose another --out for another ablation"
        )
    with writing(path):
        write_text(path, json.dumps(record, indent=2) + "\n")
    clear_leftovers(out)


def recorded(out: Path) -> Mapping[str, Any] | None:
    """What the ablation in a folder is, if one has begun there; refuses what others keep there."""
    path, found = out / _RECORD, None
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            for name in _PICTURES:
                if not isinstance(found[name]["location"], str):
                    raise TypeError(f"{name}.location is no text")
        except (OSError, ValueError, RecursionError, LookupError, TypeError) as error:
            raise RunError(
                f"{path}: cannot be read ({reason(error)}); expected what the ablation's first "
                "start wrote: bring back a copy, or choose another --out"
            ) from error
    ABLATION.check_lasting(out)
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between the records of two ablations, "key = old, got new" each. Where pictures
    lie is up to the machine: their names, number and pixels tell them from others.
    """
    old, new = ({**one, **{name: {**one[name]} for name in _PICTURES}} for one in (old, new))
    for name in _PICTURES:
        for one in (old, new):
            one[name]["location"] = Path(one[name]["location"]).name
        if "pixels" not in old[name].keys() & new[name].keys():  # one of an earlier version
            old[name]["pixels"] = new[name]["pixels"] = None
    return differences(old, new)


def _told(pictures: Source) -> dict[str, Any]:
    """What tells pictures from others."""
    pixels = hashlib.sha256("".join(sampled(pictures).values()).encode())
    name = Path(pictures.location).name
    return {**fingerprint(pictures), "location": name, "pixels": pixels.hexdigest()}


def numbers_of_steps(settings: RunSettings, others: Sequence[int]) -> list[int]:
    """At how many steps a system is scored: its own, then the others that its schedule has."""
    own, schedule = settings.model.sampling.steps, build_schedule(settings.model.schedule)
    numbers = [own]
    for steps in dict.fromkeys(others):
        try:
            schedule.times(steps)
        except UsageError:
            continue  # a table with fewer steps
        if steps != own:
            numbers.append(steps)
    return numbers


def judged_steps(systems: Iterable[RunSettings], numbers: Iterable[int]) -> int | None:
    """The largest of some numbers of steps that all systems have which draw samples; None if there
    is none.
    """
    common = {*numbers}
    for settings in systems:
        if settings.model.schedule.is_diffusion:
            common &= {*numbers_of_steps(settings, tuple(common))}
    return max(common, default=None)
