"""The training loop: optimiser steps, and now and then a validation or a checkpoint."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from sr4.bench.cost import network_cost
from sr4.build import build_augmentation, build_degradation, build_training_corruption
from sr4.config import ModelConfig, RunSettings
from sr4.data.bad_pictures import BadPictures
from sr4.data.excluding import excluding
from sr4.data.loader import Batch, training_batches
from sr4.data.sources import Source
from sr4.errors import DataError, RunError, UsageError, reason
from sr4.model.folder import read_config, save_model
from sr4.runtime.files import check_files
from sr4.runtime.torch_backend import TorchNetwork
from sr4.training.checkpoint import (
    list_checkpoints,
    newest_checkpoint,
    remove_older,
    writing,
)
from sr4.training.distillation import Distillation, student_weights
from sr4.training.objectives import DenoisingObjective
from sr4.training.optimisation import NotFiniteError, Optimisation, learning_rate
from sr4.training.run_folder import VALIDATION_PICTURES, MetricsLog, RunFolder, locked
from sr4.training.validation import Stopped, check_pictures, validate

_LOG_EVERY_STEPS = 20
_MOST_SKIPPED_IN_A_ROW = 10  # steps without a finite loss and gradient


class Progress(NamedTuple):
    """What `on_progress` sees: the latest figures, and perhaps a message about an event."""

    images: int
    total: int
    loss: float  # mean over the last steps; not a number before there is one
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
    bad_pictures: tuple[str, ...] = ()  # names of those left out
    skipped_steps: int = 0  # whose loss or gradient was not finite


OnProgress = Callable[[Progress], None]


def train(
    settings: RunSettings,
    *,
    data: Source,
    val: Source | None,
    out: Path,
    teacher: nn.Module | None = None,
    init: nn.Module | None = None,
    on_progress: OnProgress | None = None,
) -> TrainingSummary:
    """Train a recipe, or distil a teacher; on a folder that already holds the run, go on where its
    last checkpoint is.

    On the CPU in float32, with the same number of threads, a resumed run ends with the weights of
    an uninterrupted one, bit for bit.
    SIGTERM and SIGINT end a run early, with a checkpoint and the model so far.

    Args:
        settings: the resolved recipe.
        data: training pictures, among them those that `data.exclude` leaves out.
        val: validation pictures, or None for no validation.
        out: the run folder.
        teacher: the trained network, for settings with a distillation.
        init: a network whose weights a new run begins with.

    Raises:
        UsageError: a distillation without a teacher, or a teacher without a distillation; an init
            of another shape.
        RunError: the folder is another run's or in use, no loss is finite any more, the disk is
            full.
        DataError: too many training pictures are bad or a validation picture is, a pattern of
            `data.exclude` matches none, or a source is not what it was when it was opened. What
            was trained till then is saved.
    """
    if (teacher is None) != (settings.distillation is None):
        raise UsageError(
            "got a distillation without a teacher, or a teacher without one; expected both or "
            "neither: distil with `sr4 distill`"
        )
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise RunError(
            f"started as one of {processes} processes (WORLD_SIZE); expected a single one: start "
            "the training without a distributed launcher"
        )
    data = excluding(data, settings.data.exclude)
    folder = RunFolder(out)
    with locked(folder.path, "trains this run"), _stop_signals() as stop:
        folder.settle(settings, data)
        return _Run(settings, folder, data, val, teacher, init, on_progress).to_the_end(stop)


def begin(settings: RunSettings, teacher: nn.Module | None = None) -> Optimisation:
    """A training at its start.

    Args:
        teacher: the trained network, for settings with a distillation.
    """
    if teacher is None:
        objective = DenoisingObjective(settings.model, settings.data, settings.training.seed)
        return Optimisation(settings, objective)
    optimisation = Optimisation(settings, Distillation(settings, teacher))
    optimisation.begin_with(student_weights(teacher, optimisation.average))
    return optimisation


def open_trained(folder: Path) -> nn.Module:
    """The network of a trained model, on the CPU.

    Raises:
        ModelError: the folder holds no whole model.
    """
    config = read_config(folder)
    check_files(folder, config)
    return TorchNetwork.open(folder, config, "cpu").module


class _Run:
    """A run from its last checkpoint on."""

    def __init__(
        self,
        settings: RunSettings,
        folder: RunFolder,
        data: Source,
        val: Source | None,
        teacher: nn.Module | None,
        init: nn.Module | None,
        on_progress: OnProgress | None,
    ) -> None:
        self.settings, self.training = settings, settings.training
        self.folder, self.data, self.val = folder, data, val
        self.on_progress = on_progress
        self.saved_at = -1
        self.bad = BadPictures(data, settings.data.max_bad)
        self.skipped_in_a_row = 0
        self.losses: list[torch.Tensor] = []
        self.loss, self.rate = math.nan, 0.0
        self.optimisation = begin(settings, teacher)
        if init is not None:
            self.optimisation.begin_with(init.state_dict())
        if val is not None:
            check_pictures(self._describe_model(), val, self.training)
        self._resume()
        self.log = MetricsLog(folder.path, self.images)

    def to_the_end(self, stop: Callable[[], bool]) -> TrainingSummary:
        """Train until the budget is spent or a signal comes."""
        start = self.marked = time.monotonic()
        validated = False
        with closing(self.log), closing(self._batches()) as batches:
            while not stop():
                validated = self._validate_if_due(stop)
                if self._is_done():
                    break
                self._step(self._next(batches))
                self._keep_books()
            self._save_checkpoint()
        with writing(self.folder.model):
            save_model(
                self.folder.model, self._describe_model(), self.optimisation.average.state_dict()
            )
        seconds = time.monotonic() - start
        return TrainingSummary(
            self.folder.model,
            self.images,
            seconds,
            not (self._is_done() and validated),
            tuple(self.bad.found),
            self.optimisation.skipped,
        )

    @property
    def images(self) -> int:
        """Training pictures seen: the data position."""
        return self.optimisation.images

    def _next(self, batches: Iterator[Batch]) -> Batch:
        """The next batch; the bad pictures it would have held are named once in a run."""
        try:
            batch = next(batches)
            for line in self.bad.add(batch.bad):
                self._tell(f"left out: {line}")
        except DataError:
            if self.images:
                self._save_checkpoint()  # the pictures fail, not the training
            raise
        return batch

    def _step(self, batch: Batch) -> None:
        """A step of the optimiser; one that is not finite is passed over, a row of them an end."""
        try:
            self.losses.append(self.optimisation.step(batch))
            self.skipped_in_a_row = 0
        except NotFiniteError as error:
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row < _MOST_SKIPPED_IN_A_ROW:
                self._tell(f"{error}; expected a finite one: the step is skipped")
                return
            saved = list_checkpoints(self.folder.checkpoints)
            raise RunError(
                f"{error}, and so it was for {_MOST_SKIPPED_IN_A_ROW} steps; expected a finite "
                f"one (the last good checkpoint: {saved[-1] if saved else 'none yet'}): train anew "
                "with a lower training.learning_rate or training.precision=float32"
            ) from error

    def _keep_books(self) -> None:
        """Metrics and checkpoints, each when it is due."""
        log_is_due = self.optimisation.steps % _LOG_EVERY_STEPS == 0 or self._is_done()
        if log_is_due and self.losses:
            now = time.monotonic()
            self.rate = len(self.losses) * self.training.batch_size / (now - self.marked)
            self.loss = float(torch.stack(self.losses).mean())
            rate = learning_rate(self.training, self.images)
            faults = {"bad_pictures": len(self.bad.found), "skipped": self.optimisation.skipped}
            self.log.write(
                self.images,
                "train",
                {"loss": self.loss, "learning_rate": rate}
                | {what: count for what, count in faults.items() if count},
            )
            self._tell()
            self.losses, self.marked = [], now
        if self._is_due(self.training.save_every_images):
            self._save_checkpoint()

    def _is_done(self) -> bool:
        return self.images >= self.training.total_images

    def _is_due(self, every: int) -> bool:
        """Whether the last batch crossed a multiple of `every`."""
        before = max(self.images - self.training.batch_size, 0)
        return self.images // every > before // every

    def _batches(self) -> Generator[Batch, None, None]:
        return training_batches(
            self.data,
            degradation=build_degradation(self.settings.model),
            size=self.settings.model.image_size,
            batch_size=self.training.batch_size,
            seed=self.training.seed,
            augmentation=build_augmentation(self.settings.data),
            position=self.images,
            workers=self.settings.data.workers,
            corruption=build_training_corruption(self.settings.data),
            max_bad=self.settings.data.max_bad,
        )

    def _validate_if_due(self, stop: Callable[[], bool]) -> bool:
        """Validate, unless this position has been validated before the run was stopped; False if a
        signal comes meanwhile.
        """
        due = self._is_due(self.training.validate_every_images) or self._is_done()
        if self.val is None or not due or self.log.validated_at == self.images:
            return True
        self._save_checkpoint()  # whatever happens now costs no training
        began = time.monotonic()
        picture = self.folder.path / VALIDATION_PICTURES / f"{self.images:012d}.png"
        model, average = self._describe_model(), self.optimisation.average
        try:
            figures = validate(model, average, self.val, self.training, picture, stop)
        except Stopped:
            return False
        self.log.write(self.images, "validation", figures)
        self._tell("validation: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        self.marked += time.monotonic() - began  # not training time
        return True

    def _resume(self) -> None:
        checkpoint, complaints = newest_checkpoint(self.folder.checkpoints)
        for line in complaints:
            self._tell(line)
        if checkpoint is None:
            return
        try:
            self.optimisation.restore(checkpoint)
            self.bad.found.update(checkpoint.bad_pictures)
        except (RuntimeError, ValueError, LookupError) as error:
            raise RunError(
                f"{self.folder.checkpoints}: the checkpoint does not fit the network of this "
                f"version of sr4 ({reason(error)[:200]}); expected one that it wrote: choose "
                "another --out, or go on with the version that began the run"
            ) from error
        remove_older(self.folder.checkpoints, self.training.keep_checkpoints)
        self.saved_at = self.images
        self._tell(f"resumed at {self.images:,} pictures")

    def _save_checkpoint(self) -> None:
        if self.saved_at == self.images:
            return
        checkpoint = dataclasses.replace(
            self.optimisation.checkpoint(), bad_pictures=self.bad.found
        )
        checkpoint.save(self.folder.checkpoints, self.training.keep_checkpoints)
        self.saved_at = self.images

    def _describe_model(self) -> ModelConfig:
        return model_config(self.settings, self.optimisation.average, self.data, self.images)

    def _tell(self, message: str | None = None) -> None:
        if self.on_progress is not None:
            rate = learning_rate(self.training, self.images)
            total = self.training.total_images
            self.on_progress(Progress(self.images, total, self.loss, rate, self.rate, message))


def model_config(
    settings: RunSettings, network: nn.Module, data: Source, images: int
) -> ModelConfig:
    """The description of a model trained on `images` pictures of a source."""
    model = settings.model
    return ModelConfig(
        **dict(model),
        scale=model.degradation.scale,
        size_multiple=int(network.size_multiple),  # type: ignore[arg-type]
        training_data=(f"{Path(data.location).name} ({len(data)} pictures)",),
        training_images=images,
        condition_noise=settings.data.condition_noise,
        corruption=settings.data.corruption,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def describe(settings: RunSettings) -> dict[str, Any]:
    """Size and cost of a recipe, without training: parameters, GFLOPs of one evaluation for one
    picture, size multiple, optimiser steps.
    """
    training = settings.training
    return {
        **network_cost(settings.model)._asdict(),
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
        for each, handler in before.items():
            signal.signal(each, handler)

    try:
        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread, which alone may handle signals
        before = {}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
