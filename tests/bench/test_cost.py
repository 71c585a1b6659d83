"""Costs and peaks against known truth."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from sr4.bench import cost
from sr4.bench.cost import convolution_peaks, network_cost
from sr4.config import FastNetworkSettings
from sr4.machine.memory import peak_memory
from sr4.recipes import recipe
from sr4.training.plan import describe


def test_the_cost_of_known_networks() -> None:
    fast, sr3 = (network_cost(recipe(name).model) for name in ("sr4-fast", "sr3"))
    assert (fast.parameters, fast.size_multiple) == (11_038_352, 16)
    assert fast.gflops == pytest.approx(2.85, abs=0.005)
    assert sr3.parameters == pytest.approx(97.8e6, rel=1e-3)
    described = describe(recipe("sr4-fast"))
    assert {key: described[key] for key in fast._fields} == fast._asdict()


def test_the_cost_follows_the_picture() -> None:
    network = FastNetworkSettings(widths=(16, 32), blocks=(1, 1), attention=False)
    model = recipe("sr4-fast").model.model_copy(update={"network": network})
    assert network_cost(model, (64, 256)).gflops == pytest.approx(network_cost(model).gflops)
    ratio = network_cost(model, (256, 256)).gflops / network_cost(model).gflops
    assert ratio == pytest.approx(4, rel=0.01)  # but for the embedding of the noise level


def test_a_peak_is_operations_over_the_shortest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    clock = SimpleNamespace(perf_counter=lambda: 1e-3 * next(ticks))  # each call a millisecond
    monkeypatch.setattr(cost, "time", clock)
    monkeypatch.setattr(cost, "PEAK_SHAPES", ((8, 16), (4, 2)))
    expected = {
        "8 channels at 4x16x16": 2 * (4 * 8 * 16 * 16) * 8 * 9 / 1e9 / 1e-3,
        "4 channels at 4x2x2": 2 * (4 * 4 * 2 * 2) * 4 * 9 / 1e9 / 1e-3,
    }
    assert convolution_peaks() == pytest.approx(expected)


@pytest.mark.skipif(peak_memory() is None, reason="the system does not tell the memory")
def test_the_memory_is_that_of_the_process_alone() -> None:
    """A child of a large process is not large, and large once it has been."""
    child = (
        "from sr4.machine.memory import peak_memory; before = peak_memory();"
        "held = bytearray(b'x') * 200_000_000; held = None; print(before, peak_memory())"
    )
    parent = (
        "import subprocess, sys; held = bytearray(b'x') * 600_000_000;"
        f"print(subprocess.check_output([sys.executable, '-c', {child!r}], text=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert 10e6 < before < 300e6
    assert 190e6 < after - before < 250e6
