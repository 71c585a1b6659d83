"""The training loop: batch, loss, backward, clip, step, average, now and then a checkpoint."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sr4.build import build_degradation, build_network
from sr4.config import ModelConfig, ModelSettings, RunSettings, TrainingSettings
from sr4.data.loader import Batch, training_batches
from sr4.data.sources import Source
from sr4.errors import RunError
from sr4.model import save_model
from sr4.runtime.torch_backend import channels_last
from sr4.training.checkpoint import Checkpoint, optimiser_tensors, restore_optimiser
from sr4.training.ema import EMA
from sr4.training.objectives import DenoisingObjective
from sr4.training.run_folder import MetricsLog, RunFolder
from sr4.training.validation import validate

_LOG_EVERY_STEPS = 20


class Progress(NamedTuple):
    """What `on_progress` sees: figures since the last call, or a message about an event."""

    images: int
    total: int
    loss: float
    learning_rate: float
    images_per_second: float
    message: str | None = None


@dataclass(frozen=True)
class TrainingSummary:
    """What a run gave."""

    model: Path  # the model folder with the averaged weights
    images: int
    seconds: float
    stopped: bool  # ended early by a signal, with a checkpoint


OnProgress = Callable[[Progress], None]


def train(
    settings: RunSettings,
    *,
    data: Source,
    val: Source | None,
    out: Path,
    on_progress: OnProgress | None = None,
) -> TrainingSummary:
    """Train a recipe; on a folder that already holds the run, go on where its last checkpoint is.

    On the CPU in float32 a resumed run ends with the weights of an uninterrupted one, bit for bit.

    Args:
        settings: the resolved recipe.
        data: training pictures; val: validation pictures, or None for no validation.
        out: the run folder.

    Raises:
        RunError: the folder is another run's, a loss is not finite, the disk is full.
        DataError: a training picture cannot be used.
    """
    folder = RunFolder(out, settings)
    with folder.lock(), _stop_signals() as stop:
        return _Run(settings, folder, data, val, on_progress).to_the_end(stop)


class _Run:
    """One process' share of a run."""

    def __init__(
        self,
        settings: RunSettings,
        folder: RunFolder,
        data: Source,
        val: Source | None,
        on_progress: OnProgress | None,
    ) -> None:
        self.settings, self.training = settings, settings.training
        self.folder, self.data, self.val = folder, data, val
        self.on_progress = on_progress
        self.images, self.step, self.rate = 0, 0, 0.0
        self.losses: list[torch.Tensor] = []
        self.accelerator = Accelerator(
            mixed_precision="bf16" if self.training.precision == "bf16" else "no"
        )
        torch.manual_seed(self.training.seed)
        network = channels_last(build_network(settings.model))
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=self.training.learning_rate,
            betas=self.training.betas,
            weight_decay=self.training.weight_decay,
            fused=True,
        )
        self.ema = EMA(network.to(self.accelerator.device), self.training.ema_decay)
        self.network: nn.Module = self.accelerator.prepare_model(network)
        self.objective = DenoisingObjective(settings.model, settings.data, self.training.seed)
        self._resume()
        self.log = MetricsLog(folder.path, self.images)

    def to_the_end(self, stop: Callable[[], bool]) -> TrainingSummary:
        """Train until the budget is spent or a signal comes."""
        start = self.marked = time.monotonic()
        self.network.train()
        for batch in self._batches():
            if self.images >= self.training.total_images or stop():
                break
            loss = self._optimise(batch)
            self._keep_books(loss)
        stopped = self.images < self.training.total_images
        self._save_checkpoint()
        self._save_model()
        self.log.close()
        return TrainingSummary(self.folder.model, self.images, time.monotonic() - start, stopped)

    def _optimise(self, batch: Batch) -> torch.Tensor:
        """One optimiser step on one batch: the heart of all this."""
        torch.manual_seed(self.training.seed + batch.position + 1)  # dropout
        rate = learning_rate(self.training, self.images)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.objective(self.network, batch, self.accelerator.device).mean()
        if not torch.isfinite(loss):
            raise RunError(
                f"step {self.step + 1}: the loss is {loss.item()}; expected a finite one: lower "
                f"training.learning_rate or look at the pictures {', '.join(batch.names)}"
            )
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), self.training.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        self.images += len(batch.names)
        self.ema.update(self.accelerator.unwrap_model(self.network), self.step)
        return loss.detach()

    def _keep_books(self, loss: torch.Tensor) -> None:
        """Metrics, checkpoints and validation, each when it is due."""
        self.losses.append(loss)
        done = self.images >= self.training.total_images
        if self.step % _LOG_EVERY_STEPS == 0 or done:
            now = time.monotonic()
            self.rate = len(self.losses) * self.training.batch_size / (now - self.marked)
            mean = float(torch.stack(self.losses).mean())
            rate = learning_rate(self.training, self.images)
            self.log.write(self.images, "train", {"loss": mean, "learning_rate": rate})
            self._tell(mean)
            self.losses, self.marked = [], now
        if self._due(self.training.save_every_images) and not done:
            self._save_checkpoint()
        if self.val is not None and (self._due(self.training.validate_every_images) or done):
            self._validate(self.val)

    def _due(self, every: int) -> bool:
        """Whether the last batch crossed a multiple of `every`."""
        return self.images // every > (self.images - self.training.batch_size) // every

    def _batches(self) -> Iterator[Batch]:
        return training_batches(
            self.data,
            degradation=build_degradation(self.settings.model),
            size=self.settings.model.image_size,
            batch_size=self.training.batch_size,
            seed=self.training.seed,
            flip=self.settings.data.flip,
            position=self.images,
            workers=self.settings.data.workers,
            artefacts=self.settings.data.artefacts,
        )

    def _validate(self, val: Source) -> None:
        began = time.monotonic()
        config = model_config(self.settings.model, self.ema.module, self.data, self.images)
        picture = self.folder.path / "validation" / f"{self.images:012d}.png"
        figures = validate(config, self.ema.module, val, self.training, picture)
        self.log.write(self.images, "validation", figures)
        self._tell(0.0, "validation: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        self.marked += time.monotonic() - began  # not training time

    def _resume(self) -> None:
        checkpoint, complaints = self.folder.newest_checkpoint()
        for line in complaints:
            self._tell(0.0, line)
        if checkpoint is None:
            return
        self.accelerator.unwrap_model(self.network).load_state_dict(checkpoint.network)
        self.ema.module.load_state_dict(checkpoint.ema)
        restore_optimiser(self.optimiser, checkpoint.optimiser)
        self.images, self.step = checkpoint.images, checkpoint.step
        self._tell(0.0, f"resumed at {self.images:,} pictures")

    def _save_checkpoint(self) -> None:
        Checkpoint(
            self.images,
            self.step,
            self.accelerator.unwrap_model(self.network).state_dict(),
            self.ema.module.state_dict(),
            optimiser_tensors(self.optimiser),
        ).save(self.folder.checkpoints, self.training.keep_checkpoints)

    def _save_model(self) -> None:
        config = model_config(self.settings.model, self.ema.module, self.data, self.images)
        save_model(self.folder.model, config, self.ema.module.state_dict())

    def _tell(self, loss: float, message: str | None = None) -> None:
        if self.on_progress is not None:
            rate = learning_rate(self.training, self.images)
            total = self.training.total_images
            self.on_progress(Progress(self.images, total, loss, rate, self.rate, message))


def learning_rate(training: TrainingSettings, images: int) -> float:
    """The learning rate at a data position: linear warm-up, constant, linear fall to 0 over the
    last share `cooldown` of the run. Constant in between, so that a run can be made longer.
    """
    warmup = min(1.0, (images + training.batch_size) / max(training.warmup_images, 1))
    cooling = training.cooldown * training.total_images
    left = (training.total_images - images) / cooling if cooling > 0 else 1.0
    return training.learning_rate * min(warmup, max(left, 0.0), 1.0)


def model_config(
    model: ModelSettings, network: nn.Module, data: Source, images: int
) -> ModelConfig:
    """The description of a model trained on `images` pictures of a source."""
    return ModelConfig(
        **dict(model),
        scale=model.degradation.scale,
        size_multiple=int(network.size_multiple),  # type: ignore[arg-type]
        training_data=(f"{Path(data.location).name} ({len(data)} pictures)",),
        training_images=images,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def describe(settings: RunSettings) -> dict[str, Any]:
    """Size and cost of a recipe, without training: parameters, GFLOPs of one evaluation for one
    picture, size multiple, optimiser steps.
    """
    model = settings.model
    with torch.device("meta"):
        network = build_network(model).eval()
        picture = torch.zeros(1, model.channels, model.image_size, model.image_size)
        with FlopCounterMode(display=False) as counter:
            network(picture, torch.zeros(1), picture)
    training = settings.training
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "gflops": counter.get_total_flops() / 1e9,
        "size_multiple": int(network.size_multiple),  # type: ignore[arg-type]
        "steps": -(-training.total_images // training.batch_size),
    }


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come: the run then saves and leaves after the current step. A
    second signal acts as usual.
    """
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        signal.signal(number, before[signal.Signals(number)])

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread, which alone may handle signals
        before = {}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
