"""The books of a run: what its folder comes to hold, and what its user is told."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sr4.config import ModelConfig, RunSettings, TrainingSettings
from sr4.data.bad_pictures import BadPictures
from sr4.data.sources import Source
from sr4.errors import RunError, reason
from sr4.model.folder import save_model
from sr4.training.checkpoint import list_checkpoints, newest_checkpoint, remove_older, writing
from sr4.training.optimisation import Optimisation, learning_rate, start_of_fall
from sr4.training.run_folder import VALIDATION_PICTURES, MetricsLog, RunFolder
from sr4.training.validation import validate

_BETWEEN_TOLD = 2.0  # seconds; steps may be few, and metrics of so many of them far apart


class Progress(NamedTuple):
    """What `on_progress` sees: the latest figures, and perhaps a message about an event."""

    images: int
    total: int
    loss: float  # mean over the last steps; not a number before there is one
    learning_rate: float
    images_per_second: float
    message: str | None = None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Run:
    """What a run is about.

    Attributes:
        settings: the resolved recipe.
        data: training pictures.
        val: validation pictures, or None for no validation.
        optimisation: where the training is.
        bad: the bad pictures so far.
    """

    settings: RunSettings
    data: Source
    val: Source | None
    optimisation: Optimisation
    bad: BadPictures

    @property
    def images(self) -> int:
        """Training pictures seen: the data position."""
        return self.optimisation.images

    def described(self) -> ModelConfig:
        """The model so far."""
        return model_config(self.settings, self.optimisation.average, self.data, self.images)


class Books:
    """Checkpoints, metrics, validation and the model of a run, which one process keeps.

    Takes up the newest checkpoint.

    Args:
        folder: where they are.
        on_progress: who is told.

    Raises:
        RunError: the checkpoints are damaged or of another network.
    """

    def __init__(self, run: Run, folder: RunFolder, on_progress: OnProgress | None) -> None:
        self._run, self._folder, self._on_progress = run, folder, on_progress
        self._training = run.settings.training
        self._saved_at = -1
        self._losses: list[Tensor] = []
        self._loss, self._rate = math.nan, 0.0
        self._resume()
        self._log = MetricsLog(folder.path, run.images)
        self._marked = self._told = time.monotonic()
        self.tell()

    def _resume(self) -> None:
        checkpoint, complaints = newest_checkpoint(self._folder.checkpoints)
        for line in complaints:
            self.tell(line)
        if checkpoint is None:
            return
        try:
            self._run.optimisation.restore(checkpoint)
            self._run.bad.found.update(checkpoint.bad_pictures)
        except (RuntimeError, ValueError, LookupError) as error:
            raise RunError(
                f"{self._folder.checkpoints}: the checkpoint does not fit the network of this "
                f"version of sr4 ({reason(error)[:200]}); expected one that it wrote: choose "
                "another --out, or go on with the version that began the run"
            ) from error
        remove_older(self._folder.checkpoints, self._training.keep_checkpoints)
        self._saved_at = self._run.images
        if self._run.images < self._training.total_images:
            self.tell(f"resumed at {self._run.images:,} pictures")
        else:
            self.tell(
                f"complete: its {self._run.images:,} pictures are trained on; to train on, raise "
                f"training.total_images above {self._run.images:,}"
            )
        if self._folder.before is not None:
            self._tell_of_another_fall(self._folder.before.training)

    def _tell_of_another_fall(self, before: TrainingSettings) -> None:
        """Say where another total changes the learning rate of what has been trained: the run is
        then none that was as long from its start on.
        """
        old, new = before.total_images, self._training.total_images
        falls = [start_of_fall(one) for one in (before, self._training)]
        if self._training.cooldown and old != new and self._run.images > min(falls):
            self.tell(
                f"training.total_images = {old:,}, got {new:,}: the learning rate falls from "
                f"{falls[1]:,.0f} pictures on, until now from {falls[0]:,.0f}, so that this run "
                f"differs from one of {new:,} pictures from its start on"
            )

    def close(self) -> None:
        """Close the files."""
        self._log.close()

    def tell(self, message: str | None = None) -> None:
        """Tell the latest figures, and perhaps a message."""
        if self._on_progress is not None:
            images = self._run.images
            rate = learning_rate(self._training, images)
            total = self._training.total_images
            self._on_progress(Progress(images, total, self._loss, rate, self._rate, message))

    def add(self, loss: Tensor) -> None:
        """Take in the loss of a step, and tell how far it is, now and then."""
        self._losses.append(loss)
        now = time.monotonic()
        if now - self._told >= _BETWEEN_TOLD:
            self._told = now
            self._rate = self._pace(now)
            self.tell()

    def _pace(self, now: float) -> float:
        """Pictures a second since the last metrics."""
        return len(self._losses) * self._training.batch_size / (now - self._marked)

    def log(self) -> None:
        """Write metrics of the steps since the last ones."""
        if not self._losses:
            return
        run, now = self._run, time.monotonic()
        self._rate = self._pace(now)
        self._loss = float(torch.stack(self._losses).mean())
        rate = learning_rate(self._training, run.images)
        faults = {"bad_pictures": len(run.bad.found), "skipped": run.optimisation.skipped}
        self._log.write(
            run.images,
            "train",
            {"loss": self._loss, "learning_rate": rate}
            | {what: count for what, count in faults.items() if count},
        )
        self.tell()
        self._losses, self._marked = [], now

    @property
    def is_validated(self) -> bool:
        """Whether there is nothing to validate here: no pictures, or it was done before a stop."""
        return self._run.val is None or self._log.validated_at == self._run.images

    def validate(self, stop: Callable[[], bool]) -> None:
        """Draw the validation pictures and score them.

        Raises:
            Stopped: `stop`, asked now and then, said so.
        """
        run = self._run
        assert run.val is not None
        self.save_checkpoint()  # whatever happens now costs no training
        began = time.monotonic()
        picture = self._folder.path / VALIDATION_PICTURES / f"{run.images:012d}.png"
        model, average = run.described(), run.optimisation.average
        figures = validate(model, average, run.val, self._training, picture, stop)
        self._log.write(run.images, "validation", figures)
        self.tell("validation: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
        self._marked += time.monotonic() - began  # not training time

    def save_checkpoint(self) -> None:
        """Write a checkpoint, unless it is written."""
        run = self._run
        if self._saved_at == run.images:
            return
        checkpoint = dataclasses.replace(run.optimisation.checkpoint(), bad_pictures=run.bad.found)
        checkpoint.save(self._folder.checkpoints, self._training.keep_checkpoints)
        self._saved_at = run.images

    def last_checkpoint(self) -> Path | None:
        """The newest one."""
        return max(list_checkpoints(self._folder.checkpoints), default=None)

    def save_model(self) -> None:
        """Write the model folder, with the averaged weights."""
        average = self._run.optimisation.average.state_dict()
        with writing(self._folder.model):
            save_model(self._folder.model, self._run.described(), average)


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
