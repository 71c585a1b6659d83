"""The speed of a training step on this CPU: `sr4 train` beside plain torch.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --recipe sr4 --size tiny --batch 16 --steps 50 --json

Three systems take the same steps in turn, each in a process of its own: torch in float32, the same
under bf16 autocast, and the optimiser step of `sr4 train` itself. benchmarks/README.md says what
is the same and what is not.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sr4.bench.cost import convolution_peaks
from sr4.build import build_degradation, build_network
from sr4.config import RunSettings
from sr4.config.overrides import override
from sr4.data.loader import Batch
from sr4.degradation.known import KNOWN_LENGTH
from sr4.errors import SR4Error
from sr4.networks.fused import Dropout, GroupNormSiLU
from sr4.pictures.pixels import to_array
from sr4.recipes import RECIPES, recipe
from sr4.recipes.sizes import SIZES, at_size
from sr4.training.ema import EMA
from sr4.training.objectives import DenoisingObjective
from sr4.training.optimisation import learning_rate
from sr4.training.plan import describe
from sr4.training.trainer import begin

WARM_UP_STEPS = 2  # the first ones also fetch memory and make the optimiser's moments

Step = Callable[[Batch], Tensor]


class PlainTraining:
    """What one writes with torch alone: its own modules, its usual memory layout, its AdamW."""

    def __init__(self, settings: RunSettings, *, autocast: bool) -> None:
        self._training = training = settings.training
        torch.manual_seed(training.seed)
        self._network = InTorch(build_network(settings.model), autocast=autocast).train()
        self._ema = EMA(self._network, training.ema_decay)
        self._objective = DenoisingObjective(settings.model, settings.data, training.seed)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(),
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
        )
        self._steps = 0

    def step(self, batch: Batch) -> Tensor:
        """As `sr4.training.optimisation.Optimisation.step`."""
        torch.manual_seed(self._training.seed + batch.position + 1)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self._training, batch.position)
        loss = self._objective(self._network, batch).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), self._training.clip_norm)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._steps += 1
        self._ema.update(self._network, self._steps)
        return loss.detach()


class InTorch(nn.Module):
    """A network of SR4 with torch's own modules in place of the fused ones."""

    def __init__(self, network: nn.Module, *, autocast: bool = False) -> None:
        super().__init__()
        self.network = _replace_fused(network)
        self.autocast = autocast

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the network, but that channels_last inputs become contiguous first."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            return self.network(*(x.contiguous() for x in inputs))  # type: ignore[no-any-return]


def _replace_fused(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, GroupNormSiLU):
            norm = nn.GroupNorm(child.num_groups, child.num_channels, child.eps)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, nn.Sequential(norm, nn.SiLU()))
        elif isinstance(child, Dropout):
            setattr(module, name, nn.Dropout(child.dropped / 2**16))
        else:
            _replace_fused(child)
    return module


# By key: what the table calls it, and how it starts.
SYSTEMS: Mapping[str, tuple[str, Callable[[RunSettings], Step]]] = {
    "float32": ("torch, float32", lambda settings: PlainTraining(settings, autocast=False).step),
    "autocast": (
        "torch, bf16 autocast",
        lambda settings: PlainTraining(settings, autocast=True).step,
    ),
    "sr4": ("sr4 train", lambda settings: begin(settings).step),
}


def random_batch(settings: RunSettings, position: int) -> Batch:
    """Noise for pictures; it follows from the seed and the position."""
    model, count = settings.model, settings.training.batch_size
    random = np.random.default_rng([settings.training.seed, position])
    shape = (count, model.image_size, model.image_size, model.channels)
    high_res = torch.from_numpy(to_array(random.integers(0, 256, shape, dtype=np.uint8)))
    low_res = build_degradation(model).observe(high_res.double()).float()
    names = tuple(f"noise {position + number}" for number in range(count))
    known, is_clean = torch.zeros(count, KNOWN_LENGTH), torch.ones(count, dtype=torch.bool)
    return Batch(high_res, low_res, names, position, known, is_clean)


class _Worker:
    """The state of a worker process."""

    settings: RunSettings
    step: Step


def _start(threads: int, settings: RunSettings, system: str) -> None:
    torch.set_num_threads(threads)
    _Worker.settings = settings
    _Worker.step = staticmethod(SYSTEMS[system][1](settings))


def _timed_step(number: int) -> tuple[float, float]:
    """Seconds and loss of a step, counted from 0."""
    batch = random_batch(_Worker.settings, number * _Worker.settings.training.batch_size)
    began = time.perf_counter()
    loss = _Worker.step(batch)
    return time.perf_counter() - began, float(loss)


def measure(settings: RunSettings, steps: int, threads: int) -> dict[str, Any]:
    """All figures, as `--json` prints them. The systems take turns, so that whatever slows the
    machine for a while slows all of them.

    Raises:
        UsageError: the recipe's settings contradict each other.
        SR4Error: a process died.
    """
    cost = describe(settings)
    times: dict[str, list[tuple[float, float]]] = {system: [] for system in SYSTEMS}
    peaks: dict[str, float] = {}
    torch.set_num_threads(threads)
    with ExitStack() as stack:
        workers: dict[str, ProcessPoolExecutor] = {}
        for system in SYSTEMS:
            start = (threads, settings, system)
            workers[system] = stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), _start, start)
            )
            workers[system].submit(torch.get_num_threads)  # starts the process
        for turn in range(WARM_UP_STEPS + steps):
            for system in _rotated(list(SYSTEMS), turn):
                times[system].append(_result(workers[system].submit(_timed_step, turn), system))
            for shape, speed in convolution_peaks().items():
                peaks[shape] = max(speed, peaks.get(shape, 0.0))
            _report(turn, steps, {system: times[system][-1] for system in SYSTEMS})
    return _figures(settings, cost, threads, times, peaks)


def _rotated(names: Sequence[str], turn: int) -> Sequence[str]:
    first = turn % len(names)
    return [*names[first:], *names[:first]]


def _result(job: Future[tuple[float, float]], system: str) -> tuple[float, float]:
    try:
        return job.result()
    except BrokenProcessPool as error:
        raise SR4Error(
            f"the process of {system!r} has died; expected it to live: most often the memory is "
            "too small, so use a smaller --batch or --size tiny"
        ) from error


def _report(turn: int, steps: int, latest: Mapping[str, tuple[float, float]]) -> None:
    kind, number, count = "step", turn - WARM_UP_STEPS + 1, steps
    if turn < WARM_UP_STEPS:
        kind, number, count = "warm-up", turn + 1, WARM_UP_STEPS
    line = ", ".join(f"{system} {seconds:.3g} s" for system, (seconds, _) in latest.items())
    print(f"{kind} {number} of {count}: {line}", file=sys.stderr, flush=True)


def _figures(
    settings: RunSettings,
    cost: Mapping[str, Any],
    threads: int,
    times: Mapping[str, Sequence[tuple[float, float]]],
    peaks: Mapping[str, float],
) -> dict[str, Any]:
    batch_size = settings.training.batch_size
    gflops = 3 * cost["gflops"] * batch_size  # the backward pass is two forward ones
    best = max(peaks, key=lambda shape: peaks[shape])
    systems: dict[str, dict[str, Any]] = {}
    for system, steps in times.items():
        seconds = [second for second, _ in steps[WARM_UP_STEPS:]]
        median = statistics.median(seconds)
        systems[system] = {
            "seconds": {"median": median, "low": min(seconds), "high": max(seconds)},
            "samples_per_second": batch_size / median,
            "gflops_per_second": gflops / median,
            "share_of_peak": gflops / median / peaks[best],
            "losses": [loss for _, loss in steps],
        }
    for row in systems.values():
        row["ratio"] = row["samples_per_second"] / systems["float32"]["samples_per_second"]
    return {
        "recipe": settings.model.recipe,
        "image_size": settings.model.image_size,
        "parameters": cost["parameters"],
        "batch_size": batch_size,
        "gflops_per_step": gflops,
        "threads": threads,
        "steps": len(times["sr4"]) - WARM_UP_STEPS,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "systems": systems,
        "peak": {"gflops_per_second": peaks[best], "convolution": best, "all": dict(peaks)},
    }


def table(figures: Mapping[str, Any]) -> str:
    """What `--json` holds, for people."""
    lines = [
        f"{figures['recipe']}: {figures['image_size']}x{figures['image_size']} pictures, "
        f"{figures['parameters'] / 1e6:.1f} M parameters, batch {figures['batch_size']}, "
        f"{figures['gflops_per_step']:.0f} GFLOPs a step",
        f"torch {figures['torch']} ({figures['machine']}), threads {figures['threads']}, "
        f"steps {figures['steps']} after {WARM_UP_STEPS} of warm-up",
        "",
        f"{'':22}{'s a step, median [range]':>28}{'samples/s':>11}{'ratio':>8}{'GFLOP/s':>9}"
        f"{'of peak':>9}",
    ]
    for system, row in figures["systems"].items():
        seconds = row["seconds"]
        spread = f"{seconds['median']:.3f} [{seconds['low']:.3f}, {seconds['high']:.3f}]"
        lines.append(
            f"{SYSTEMS[system][0]:22}{spread:>28}{row['samples_per_second']:>11.2f}"
            f"{row['ratio']:>8.2f}{row['gflops_per_second']:>9.0f}{row['share_of_peak']:>9.0%}"
        )
    plain, ours = (figures["systems"][system]["losses"] for system in ("float32", "sr4"))
    apart = max(abs(one - other) / one for one, other in zip(plain, ours, strict=True))
    peak = figures["peak"]
    lines += [
        "",
        f"peak: {peak['gflops_per_second']:.0f} GFLOP/s, the fastest of {len(peak['all'])} 3x3 "
        f"convolutions in bf16, forward: {peak['convolution']}",
        f"loss of the last step: float32 {plain[-1]:.5f}, sr4 train {ours[-1]:.5f}; at most "
        f"{apart:.2%} apart in all steps",
    ]
    return "\n".join(lines)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {number}; expected at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="sr3", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--batch", type=_count, default=4, help="pictures a step (4)")
    parser.add_argument("--steps", type=_count, default=10, help="timed steps (10)")
    parser.add_argument("--threads", type=_count, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    try:
        settings = at_size(recipe(chosen.recipe), chosen.size)
        settings = override(settings, {"training": {"batch_size": chosen.batch}})
        figures = measure(settings, chosen.steps, chosen.threads)
    except SR4Error as error:
        print(f"train_step.py: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(figures, indent=2) if chosen.json else table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
