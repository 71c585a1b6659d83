"""The list of faults is of this version's sources, and its script tells what survives."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "mutations.py"


@pytest.fixture(scope="module")
def mutations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutations", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutations"] = module
    spec.loader.exec_module(module)
    return module


def test_each_fault_can_be_made(mutations: ModuleType) -> None:
    root = mutations.ROOT
    assert len(mutations.MUTATIONS) >= 60
    assert len(set(mutations.MUTATIONS)) == len(mutations.MUTATIONS)
    for one in mutations.MUTATIONS:
        text = (root / "src" / "sr4" / one.file).read_text(encoding="utf-8")
        assert text.count(one.text) == 1, (one.file, one.text)
        assert one.text != one.fault
        assert (root / "tests" / one.tests).is_file()


def test_what_survives_is_told(
    mutations: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, tests = "diffusion/losses.py", "diffusion/test_losses.py"
    caught = mutations.Mutation(file, "/ math.log(2)", "/ math.log(10)", tests)
    harmless = mutations.Mutation(file, "p: int = 2", "p: int = int(2)", tests)
    monkeypatch.setattr(mutations, "MUTATIONS", [caught, harmless])
    assert mutations.main([]) == 1
    said = capsys.readouterr().out
    assert "1/2 caught: diffusion/losses.py" in said
    assert "2/2 SURVIVES: diffusion/losses.py: 'p: int = 2'" in said
    assert said.endswith("1 of 2 are caught\n")
