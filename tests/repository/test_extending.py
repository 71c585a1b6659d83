"""A network, schedule, target or evidence is known by name where it is made, and nowhere else."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import sr4
from sr4.config import NETWORKS

ROOT = Path(sr4.__file__).parent
HOMES = (
    "build.py",
    "compat/",  # another project's checkpoints are about one network by their nature
    "config/",
    "diffusion/schedules.py",
    "diffusion/targets.py",
    "evidence/",
    "networks/",
    "recipes/",
)
OF_SCHEDULES = {"CosineSchedule", "linear_schedule", "cosine_table", "single_step"}
KINDS = re.compile(
    r"(schedule|network|evidence)\.kind (==|!=|in|not in) |objective\.target (==|!=|in) "
)


def network_names() -> set[str]:
    """Of the classes that settings and modules of networks are."""
    pytest.importorskip("torch")
    names = {settings.__name__ for settings in NETWORKS.values()}
    for path in (ROOT / "networks").glob("*.py"):
        module = importlib.import_module(f"sr4.networks.{path.stem}")
        names |= {name for name in vars(module) if name.endswith("UNet")}
    return names


def test_nothing_but_its_home_knows_a_network_or_a_schedule_by_name() -> None:
    names = network_names()
    assert {"SR3UNet", "FastUNet", "SR4NetworkSettings", "FastNetworkSettings"} <= names
    faults = []
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        if where.startswith(HOMES):
            continue
        text = path.read_text(encoding="utf-8")
        used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        faults += [f"{where}: {name}" for name in sorted(used & (names | OF_SCHEDULES))]
        faults += [f"{where}: {found.group()}" for found in KINDS.finditer(text)]
    assert faults == []
