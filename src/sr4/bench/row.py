"""One row of a benchmark: a model at a number of steps on one runtime.

`sr4.bench.benchmark` runs `main` in a process of its own for each row, so that the peak memory
is the row's own. A job comes in on stdin; progress and the row leave on stdout, a JSON object a
line.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sr4.bench.cost import convolution_peaks, network_cost
from sr4.bench.speed import Speed, SpeedTest, Spread, Tell, measure_speed
from sr4.build import build_network
from sr4.config import ModelConfig
from sr4.data.evaluation import evaluation_batches
from sr4.data.sources import Source, open_sources
from sr4.errors import SR4Error
from sr4.evaluation.evaluate import evaluate
from sr4.evaluation.report import Evaluation
from sr4.machine.memory import peak_memory
from sr4.machine.parent import end_with_parent
from sr4.model.diffusion_model import DiffusionModel, load_model
from sr4.model.folder import find_model, read_config
from sr4.pictures.pixels import quantise, to_array
from sr4.pictures.raster import Span
from sr4.recipes import recipe
from sr4.runtime import GRAPH

LONG_SCORING = 3600.0  # seconds; longer ones are left to `sr4 evaluate`
_ROUNDS, _QUICK_ROUNDS = 5, 2
_EVALUATIONS = 4  # of a round; of long ones, one


class Job(BaseModel):
    """What to measure.

    Attributes:
        model: a shipped model or a folder; a recipe where `random`.
        random: take fresh weights.
        data: where the pictures are; without any, speed alone is measured.
        limit: how many of them to score.
        quick: fewer repeats, and no long picture.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    random: bool
    backend: str
    steps: int
    data: tuple[str, ...] = ()
    limit: int = 200
    quick: bool = False

    def __str__(self) -> str:
        return title(self.model, self.steps, self.backend)


def title(model: str, steps: int, backend: str) -> str:
    """What messages call a row."""
    return f"{model}, {steps:,} step{'s' * (steps > 1)}, {backend}"


class Round(BaseModel):
    """Seconds of one evaluation, and the GFLOP/s of convolutions right after it."""

    model_config = ConfigDict(frozen=True)

    evaluation_seconds: float
    peaks: dict[str, float]


class Row(BaseModel):
    """One row, measured.

    Attributes:
        recipe: of the model; its weights are random where not `trained`.
        nfe: network evaluations for one picture.
        gflops: of one picture; None without torch, which counts them.
        memory_bytes: the most that the process held until the speed was measured.
        rounds: the network and `convolution_peaks` in turn; empty without torch.
        share_of_peak: the network's GFLOP/s over the fastest convolution's, round by round.
        quality: None where `notes` say why.
        times_faster: a picture, than the benchmark's baseline.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    recipe: str
    trained: bool
    backend: str
    nfe: int
    parameters: int
    speed: Speed
    gflops: float | None
    memory_bytes: int | None
    rounds: tuple[Round, ...]
    share_of_peak: Spread | None
    quality: Evaluation | None
    notes: tuple[str, ...]
    times_faster: float | None = None

    @property
    def title(self) -> str:
        """What messages call the row."""
        return title(self.model, self.nfe, self.backend)


def measure(job: Job, tell: Tell) -> Row:
    """Measure a row in this process.

    The order matters: the memory is read before torch comes, which some runtimes do without, and
    before the scoring, which holds all pictures.

    Raises:
        SR4Error: the model cannot be opened or used, or a picture cannot be read.
    """
    model = open_model(job)
    picture = low_res_picture(model, job)
    test = SpeedTest(model, picture, job.steps)
    speed = measure_speed(test, tell, quick=job.quick)
    memory = peak_memory()
    cost = None
    rounds: tuple[Round, ...] = ()
    if find_spec("torch") is not None:
        cost = network_cost(model.config, _network_size(model.config, picture))
        evaluations = 1 if speed.computed else _EVALUATIONS
        rounds = _rounds(test, _QUICK_ROUNDS if job.quick else _ROUNDS, evaluations, tell)
    quality, notes = _score(model, job, speed, tell)
    nfe = model.sampling(job.steps).steps
    return Row(
        model=job.model,
        recipe=model.config.recipe,
        trained=not job.random,
        backend=job.backend,
        nfe=nfe,
        parameters=cost.parameters if cost else model.config.parameters,
        speed=speed,
        gflops=nfe * cost.gflops if cost else None,
        memory_bytes=memory,
        rounds=rounds,
        share_of_peak=_share(cost.gflops, rounds) if cost else None,
        quality=quality,
        notes=notes,
    )


def open_model(job: Job) -> DiffusionModel:
    """The model of a job. One without a graph runs in torch's float32, as the papers' systems do.

    Raises:
        SR4Error: there is no such model, or it cannot be opened.
    """
    if not job.random and (find_model(job.model) / GRAPH).exists():
        return load_model(job.model, backend=job.backend, device="cpu")
    import torch

    from sr4.runtime.torch_backend import TorchNetwork

    if not job.random:
        folder = find_model(job.model)
        config = read_config(folder)
        network = TorchNetwork.open(folder, config, "cpu", "float32")
        return DiffusionModel(config, network, job.model)
    settings = recipe(job.model).model
    torch.manual_seed(0)
    module = build_network(settings)
    config = ModelConfig(
        **dict(settings),
        scale=settings.degradation.scale,
        size_multiple=int(module.size_multiple),  # type: ignore[arg-type]
    )
    network = TorchNetwork(module, torch.device("cpu"), "float32")
    return DiffusionModel(config, network, job.model)


def low_res_picture(model: DiffusionModel, job: Job) -> NDArray[Any]:
    """What is upscaled when speed is measured, (h, w, C) as the model takes it: the first picture
    of the data, or noise.

    Raises:
        DataError: the picture cannot be read, or is too small.
    """
    config = model.config
    if job.data:
        source = _source(model, job)
        batches = evaluation_batches(source, degradation=model.degradation, batch_size=1, limit=1)
        unit = next(batches).low_res[0]
    else:
        edge = config.image_size // config.scale
        shape = (edge, edge, config.channels)
        unit = to_array(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    if config.data_range is None:
        return quantise(unit)
    return Span(*config.data_range, np.dtype(np.float32)).pixels(np.moveaxis(unit, 0, 2))


def _source(model: DiffusionModel, job: Job) -> Source:
    return open_sources(job.data, model.config.channels, model.config.data_range)


def _network_size(config: ModelConfig, picture: NDArray[Any]) -> tuple[int, int]:
    """Height and width of what the network sees."""
    height, width = (side * config.scale for side in picture.shape[:2])
    return height + -height % config.size_multiple, width + -width % config.size_multiple


def _rounds(test: SpeedTest, count: int, evaluations: int, tell: Tell) -> tuple[Round, ...]:
    """The network and the convolutions in turn: what slows the machine for a while slows both."""
    rounds = []
    for number in range(count):
        test.evaluations()
        for _ in range(-(-evaluations // test.total)):
            test.steps(min(evaluations, test.total))
        seconds = min(test.evaluations())  # as of the convolutions, the best of a few
        rounds.append(Round(evaluation_seconds=seconds, peaks=convolution_peaks()))
        tell(number + 1, count, "rounds beside convolutions")
    return tuple(rounds)


def _share(gflops: float, rounds: Sequence[Round]) -> Spread:
    return Spread.of([gflops / one.evaluation_seconds / max(one.peaks.values()) for one in rounds])


def _score(
    model: DiffusionModel, job: Job, speed: Speed, tell: Tell
) -> tuple[Evaluation | None, tuple[str, ...]]:
    """The scores, or why there are none."""
    if not job.data:
        return None, ("no quality: no --data",)
    if job.random:
        return None, ("no quality: random weights; give a trained model by its folder",)
    source = _source(model, job)
    count = min(job.limit, len(source))
    hours = count * speed.seconds.median / 3600
    if hours * 3600 > LONG_SCORING:
        return None, (
            f"no quality: {count} pictures would take {hours:,.0f} hours; give a smaller --limit, "
            "or run `sr4 evaluate`",
        )
    evaluation = evaluate(
        model,
        source,
        limit=job.limit,
        steps=job.steps,
        on_progress=lambda done, total: tell(int(done), total, "pictures scored"),
    )
    # Of the distances, tables show the kernel distance alone.
    return evaluation, tuple(one for one in evaluation.notes if not one.startswith("fd_"))


def main() -> None:
    """Measure the job on stdin. The last line on stdout holds its "row", or the "error"."""
    end_with_parent()
    # What libraries print must not get between the lines.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    warnings.showwarning = lambda message, *_where, **_more: say(note=str(message))
    job = Job.model_validate_json(sys.stdin.buffer.read())
    try:
        row = measure(job, lambda done, total, doing: say(progress=[done, total, doing]))
    except SR4Error as error:
        say(error=str(error))
    else:
        say(row=row.model_dump(mode="json"))
