"""The training loop: optimiser steps, and now and then a validation or a checkpoint."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from sr4._version import __version__
from sr4.build import build_augmentation, build_degradation, build_training_corruption
from sr4.config import RunSettings
from sr4.data.bad_pictures import BadPictures
from sr4.data.excluding import excluding
from sr4.data.loader import Batch, training_batches
from sr4.data.sources import Source
from sr4.errors import DataError, RunError, UsageError
from sr4.model.folder import read_config
from sr4.runtime.files import check_files
from sr4.runtime.torch_backend import TorchNetwork
from sr4.training import processes
from sr4.training.books import Books, OnProgress, Progress, Run, model_config
from sr4.training.distillation import Distillation, student_weights
from sr4.training.objectives import DenoisingObjective
from sr4.training.optimisation import NotFiniteError, Optimisation
from sr4.training.run_folder import RunFolder, differences, fingerprint, locked
from sr4.training.validation import Stopped, check_pictures

__all__ = [
    "OnProgress",
    "Progress",
    "Training",
    "TrainingSummary",
    "begin",
    "model_config",
    "open_trained",
    "train",
]

_LOG_EVERY_STEPS = 20
_MOST_SKIPPED_IN_A_ROW = 10  # steps without a finite loss and gradient


@dataclass(frozen=True)
class TrainingSummary:
    """What a run gave."""

    model: Path  # the model folder with the averaged weights
    images: int
    seconds: float
    stopped: bool  # ended early by a signal, with a checkpoint
    bad_pictures: tuple[str, ...] = ()  # names of those left out
    skipped_steps: int = 0  # whose loss or gradient was not finite
    signalled: bool = False  # a signal came, be it too late to end it early


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

    Where torchrun or Accelerate has started several processes, they share each batch and see the
    pictures and the noise that one would; the first of them alone writes and tells.

    Args:
        settings: the resolved recipe.
        data: training pictures, among them those that `data.exclude` leaves out.
        val: validation pictures, or None for no validation.
        out: the run folder.
        teacher: the trained network, for settings with a distillation.
        init: a network whose weights a new run begins with.

    Raises:
        UsageError: a distillation without a teacher, or a teacher without a distillation; an init
            of another shape; processes that do not divide the batch, or were not started alike.
        RunError: the folder is another run's or in use, no loss is finite any more, the disk is
            full, or another process has ended.
        DataError: too many training pictures are bad or a validation picture is, a pattern of
            `data.exclude` matches none, or a source is not what it was when it was opened. What
            was trained till then is saved.
    """
    if (teacher is None) != (settings.distillation is None):
        raise UsageError(
            "got a distillation without a teacher, or a teacher without one; expected both or "
            "neither: distil with `sr4 distill`"
        )
    processes.check_share(settings.training.batch_size)
    with processes.joined(), _stop_signals() as stop:
        summary = _train(settings, data, val, out, teacher, init, on_progress, stop)
    # Asked once signals go elsewhere again: one that came in the last save is not lost.
    return replace(summary, signalled=stop())


def _train(
    settings: RunSettings,
    data: Source,
    val: Source | None,
    out: Path,
    teacher: nn.Module | None,
    init: nn.Module | None,
    on_progress: OnProgress | None,
    stop: Callable[[], bool],
) -> TrainingSummary:
    """What one of the processes does once they have met."""
    data = excluding(data, settings.data.exclude)
    _check_alike(settings, data)
    optimisation = begin(settings, teacher, init)
    run = Run(settings, data, val, optimisation, BadPictures(data, settings.data.max_bad))
    with ExitStack() as held:
        books = None
        if processes.is_first():
            if val is not None:
                check_pictures(run.described(), val, settings.training)
            folder = RunFolder(out)  # not before: what is refused leaves none behind
            held.enter_context(locked(folder.path, "trains this run"))
            folder.settle(settings, data)
            books = held.enter_context(closing(Books(run, folder, on_progress)))
        start = time.monotonic()
        stopped = Training(run, books).to_the_end(stop)
        seconds, bad = time.monotonic() - start, tuple(run.bad.found)
        return TrainingSummary(
            out / "model", run.images, seconds, stopped, bad, optimisation.skipped
        )


def _check_alike(settings: RunSettings, data: Source) -> None:
    pictures = {key: value for key, value in fingerprint(data).items() if key != "location"}
    what = {"version": __version__, "pictures": pictures, **settings.model_dump(mode="json")}
    processes.check_alike(what, differences)


def begin(
    settings: RunSettings, teacher: nn.Module | None = None, init: nn.Module | None = None
) -> Optimisation:
    """A training at its start.

    Args:
        teacher: the trained network, for settings with a distillation.
        init: a network whose weights it begins with.

    Raises:
        UsageError: an init of another shape.
    """
    if teacher is None:
        objective = DenoisingObjective(settings.model, settings.data, settings.training.seed)
        optimisation = Optimisation(settings, objective)
    else:
        optimisation = Optimisation(settings, Distillation(settings, teacher))
        optimisation.begin_with(student_weights(teacher, optimisation.average), "a teacher")
    if init is not None:
        optimisation.begin_with(init.state_dict(), "--init")
    return optimisation


def open_trained(folder: Path) -> nn.Module:
    """The network of a trained model, on the CPU.

    Raises:
        ModelError: the folder holds no whole model.
    """
    config = read_config(folder)
    check_files(folder, config)
    return TorchNetwork.open(folder, config, "cpu").module


class Training:
    """A run in one of its processes, from its last checkpoint on.

    Args:
        books: kept by the first process alone.
    """

    def __init__(self, run: Run, books: Books | None) -> None:
        self.run, self.books = run, books
        self.settings, self.training = run.settings, run.settings.training
        self.optimisation = run.optimisation
        self.skipped_in_a_row = 0
        if processes.count() > 1:
            self._begin_alike()

    def _begin_alike(self) -> None:
        """Begin where the first process does, which has read the last checkpoint."""
        begun = replace(self.optimisation.checkpoint(), bad_pictures=self.run.bad.found)
        begun = begun.exchanged(processes.from_first)
        if self.books is None:
            self.optimisation.restore(begun)
            self.run.bad.found.update(begun.bad_pictures)

    def to_the_end(self, stop: Callable[[], bool]) -> bool:
        """Train until the budget is spent or a signal comes to any process; whether it came."""
        validated = False
        with closing(self.batches()) as batches:
            while not any(processes.anywhere(stop())):
                validated = self._validate_if_due(stop)
                if self._is_done():
                    break
                validated = False
                self.step(self.next_batch(batches))
                self._keep_books()
        if self.books is not None:
            self.books.save_checkpoint()
            self.books.save_model()
        processes.anywhere(False)  # nobody leaves before all is written
        return not (self._is_done() and validated)

    @property
    def images(self) -> int:
        """Training pictures seen: the data position."""
        return self.optimisation.images

    def next_batch(self, batches: Iterator[Batch]) -> Batch:
        """The next batch; the bad pictures it would have held are named once in a run."""
        try:
            batch = next(batches)
            for line in self.run.bad.add(batch.bad):
                self._tell(f"left out: {line}")
        except DataError:
            if self.images and self.books is not None:
                self.books.save_checkpoint()  # the pictures fail, not the training
            raise
        return batch

    def step(self, batch: Batch) -> None:
        """A step of the optimiser; one that is not finite is passed over, a row of them an end."""
        try:
            loss = self.optimisation.step(batch)
            self.skipped_in_a_row = 0
            if self.books is not None:
                self.books.add(loss)
        except NotFiniteError as error:
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row < _MOST_SKIPPED_IN_A_ROW:
                self._tell(f"{error}; expected a finite one: the step is skipped")
                return
            saved = self.books.last_checkpoint() if self.books is not None else None
            raise RunError(
                f"{error}, and so it was for {_MOST_SKIPPED_IN_A_ROW} steps; expected a finite "
                f"one (the last good checkpoint: {saved or 'none yet'}): train anew "
                "with a lower training.learning_rate or training.precision=float32"
            ) from error

    def _keep_books(self) -> None:
        """Metrics and checkpoints, each when it is due."""
        if self.books is None:
            return
        if self.optimisation.steps % _LOG_EVERY_STEPS == 0 or self._is_done():
            self.books.log()
        if self._is_due(self.training.save_every_images):
            self.books.save_checkpoint()

    def _is_done(self) -> bool:
        return self.images >= self.training.total_images

    def _is_due(self, every: int) -> bool:
        """Whether the last batch crossed a multiple of `every`."""
        before = max(self.images - self.training.batch_size, 0)
        return self.images // every > before // every

    def batches(self) -> Generator[Batch, None, None]:
        batches = training_batches(
            self.run.data,
            degradation=build_degradation(self.settings.model),
            size=self.settings.model.image_size,
            batch_size=self.training.batch_size,
            seed=self.training.seed,
            augmentation=build_augmentation(self.settings.data),
            position=self.images,
            workers=self.settings.data.workers,
            corruption=build_training_corruption(self.settings.data),
            max_bad=self.settings.data.max_bad,
            process=(processes.rank(), processes.count()),
        )
        return batches if processes.count() == 1 else _agreed(batches)

    def _validate_if_due(self, stop: Callable[[], bool]) -> bool:
        """Validate, unless this position has been validated before the run was stopped; False if a
        signal comes meanwhile. The first process does, and asks the others at each step.
        """
        if not (self._is_due(self.training.validate_every_images) or self._is_done()):
            return True
        books = self.books
        if not any(processes.anywhere(books is not None and not books.is_validated)):
            return True
        if books is not None:
            try:
                books.validate(lambda: processes.anywhere(stop(), True)[0])
            except Stopped:
                return False
            processes.anywhere(False, False)
            return True
        goes_on, is_stopped = True, False
        while goes_on and not is_stopped:
            is_stopped, goes_on = processes.anywhere(stop(), False)
        return not goes_on

    def _tell(self, message: str) -> None:
        if self.books is not None:
            self.books.tell(message)


def _agreed(batches: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
    """The batches of a process with the bad pictures of all; an error of one is one of all."""
    with closing(batches):
        while True:
            batch, failure = None, ""
            try:
                batch = next(batches)
            except DataError as error:
                failure = str(error)
            if any(processes.anywhere(batch is None or bool(batch.bad))):
                own = {"bad": dict(batch.bad) if batch else {}, "failure": failure}
                everyones = [json.loads(text) for text in processes.gathered(json.dumps(own))]
                for one in everyones:
                    if one["failure"]:
                        raise DataError(one["failure"])
                assert batch is not None
                bad = {name: why for one in everyones for name, why in one["bad"].items()}
                batch = replace(batch, bad=bad)
            assert batch is not None
            yield batch


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT has come: the run then saves and leaves after the current step. A
    second signal acts as usual; of several processes, a launcher ends those that stay too long.
    """
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        for each, handler in before.items() if processes.launched() == 1 else ():
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
