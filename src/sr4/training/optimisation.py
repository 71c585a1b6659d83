"""The optimiser step: batch, losses, backward, clip, step, average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import final

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin
from torch import Tensor, nn

from sr4.build import build_network
from sr4.config import RunSettings, TrainingSettings
from sr4.data.loader import Batch
from sr4.errors import RunError, UsageError
from sr4.networks.blocks import initialise
from sr4.networks.fused import drawing_for
from sr4.runtime.torch_backend import channels_last
from sr4.training import processes
from sr4.training.checkpoint import Checkpoint, optimiser_tensors, restore_optimiser
from sr4.training.ema import EMA
from sr4.training.objectives import Learner, Objective


class NotFiniteError(RunError):
    """A loss or a gradient is not a finite number: that step was passed over."""


@final
class Optimisation:
    """A network in training, with its optimiser and the average of its weights, and with whatever
    else its objective trains beside it.

    Accelerate holds the device and the precision, and wraps all networks and optimisers; with
    several processes, gradients are their mean after each backward pass.

    Attributes:
        images: training pictures seen.
        steps: optimiser steps, with those passed over.
        skipped: steps passed over.
        average: a network with the average of the weights, which is what one validates and ships.

    Args:
        settings: the resolved recipe; its seed decides the fresh weights.
        objective: what is minimised.
    """

    def __init__(self, settings: RunSettings, objective: Objective) -> None:
        training = self._training = settings.training
        self._objective = objective
        self.images, self.steps, self.skipped = 0, 0, 0
        AcceleratorState._reset_state()  # holds one precision for all runs of a process
        self._accelerator = Accelerator(
            mixed_precision="bf16" if training.precision == "bf16" else "no",
            # A launcher may ask for more steps, by the environment; pieces are counted here.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        )
        device = self._accelerator.device
        torch.manual_seed(training.seed)
        network = build_network(settings.model)
        initialise(network, training.initialisation)
        network = channels_last(network).to(device)
        optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self._ema = EMA(network, training.ema_decay)
        self.average = self._ema.module
        wanted = Learner("", network.train(), optimiser, training.clip_norm)
        self._learners = [self._prepared(one) for one in (wanted, *objective.rivals(device))]

    def _prepared(self, learner: Learner) -> Learner:
        module, optimiser = self._accelerator.prepare(learner.module, learner.optimiser)
        return replace(learner, module=module, optimiser=optimiser)

    def step(self, batch: Batch) -> Tensor:
        """One optimiser step on one batch, the heart of all this; returns its loss.

        Args:
            batch: what this process takes of it.

        Raises:
            NotFiniteError: the loss or a gradient is not finite. All weights are as they were, and
                the batch counts as seen.
        """
        wanted = self._learners[0]
        for group in wanted.optimiser.param_groups:
            group["lr"] = learning_rate(self._training, self.images)
        shown = self._gradients(batch)
        figures = {"loss": shown}
        for learner in self._learners:
            whose = f"{learner.name}'s " if learner.name else ""
            figures[f"norm of the {whose}gradient"] = self._accelerator.clip_grad_norm_(
                learner.module.parameters(), learner.clip_norm
            )
        self.steps += 1
        self.images += batch.part.of
        try:
            self._check_finite(figures, batch)
            for learner in self._learners:
                learner.optimiser.step()
        finally:
            for learner in self._learners:
                learner.optimiser.zero_grad()
        self._ema.update(self._plain(wanted), self.steps)
        return shown

    def _gradients(self, batch: Batch) -> Tensor:
        """Make the gradients of a batch, piece by piece; returns its loss."""
        modules = [one.module for one in self._learners]
        pieces = batch.pieces(self._training.microbatch)
        shown = []
        for number, piece in enumerate(pieces, 1):
            torch.manual_seed(self._training.seed + batch.position + 1)  # dropout
            weight = len(piece.names) / len(batch.names)
            with (
                self._exchanging(number == len(pieces)),
                drawing_for(piece.part.rows, piece.part.of),
            ):
                on_device = piece.to(self._accelerator.device)
                losses = self._objective.losses(modules, on_device, self.steps + 1)
                for loss in losses.each:
                    self._accelerator.backward(weight * loss)
            shown.append(weight * losses.shown)
        return processes.total(torch.stack(shown).sum()) / processes.count()

    @contextmanager
    def _exchanging(self, wanted: bool) -> Iterator[None]:
        """Whether gradients made inside are brought together over the processes."""
        with ExitStack() as stack:
            for one in () if wanted else self._learners:
                stack.enter_context(self._accelerator.no_sync(one.module))
            yield

    def _check_finite(self, figures: Mapping[str, Tensor], batch: Batch) -> None:
        for what, value in figures.items():
            if not torch.isfinite(value):
                self.skipped += 1
                # All processes are here: figures are common.
                names = processes.gathered(", ".join(batch.names))
                raise NotFiniteError(
                    f"step {self.steps}: the {what} is {value.item()}, of the pictures "
                    f"{', '.join(names)}"
                )

    def _plain(self, learner: Learner) -> nn.Module:
        """Its module without what Accelerate has put around it."""
        module: nn.Module = self._accelerator.unwrap_model(learner.module)
        return module

    def begin_with(self, tensors: Mapping[str, Tensor], whose: str) -> None:
        """Take the weights of a trained network; parts that it lacks keep their fresh ones.

        Args:
            whose: they are, for the message.

        Raises:
            UsageError: there are weights that this network has not, or of another shape.
        """
        own = self.average.state_dict()
        for name, tensor in tensors.items():
            shape = tuple(own[name].shape) if name in own else None
            if shape != tuple(tensor.shape):
                raise UsageError(
                    f"got {whose} with a tensor {name!r} of shape {tuple(tensor.shape)}; expected "
                    f"{'none' if shape is None else shape}: take a model of the same network"
                )
        for network in (self._plain(self._learners[0]), self.average):
            network.load_state_dict({**own, **tensors})

    def checkpoint(self) -> Checkpoint:
        """All that `restore` needs."""
        network, optimiser = dict(self._objective.state), dict[str, Tensor]()
        for one in self._learners:
            network |= _named(one, self._plain(one).state_dict())
            optimiser |= _named(one, optimiser_tensors(one.optimiser))
        return Checkpoint(
            self.images, self.steps, network, self.average.state_dict(), optimiser, self.skipped
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            RuntimeError, ValueError, LookupError: it is another network's.
        """
        network, optimiser = dict(checkpoint.network), dict(checkpoint.optimiser)
        for name, tensor in self._objective.state.items():
            tensor.copy_(network.pop(name))
        for one in reversed(
            self._learners
        ):  # the first one's names begin with nothing: what is left
            self._plain(one).load_state_dict(_taken(one, network))
            restore_optimiser(one.optimiser, _taken(one, optimiser))
        self.average.load_state_dict(checkpoint.ema)
        self.images, self.steps = checkpoint.images, checkpoint.step
        self.skipped = checkpoint.skipped


def _named(learner: Learner, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A learner's tensors by their names in a checkpoint."""
    return {_prefix(learner) + name: tensor for name, tensor in tensors.items()}


def _taken(learner: Learner, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A learner's tensors by their own names, taken out of those of a checkpoint (see `_named`)."""
    prefix = _prefix(learner)
    own = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in own}


def _prefix(learner: Learner) -> str:
    return f"{learner.name}." if learner.name else ""


def start_of_fall(training: TrainingSettings) -> float:
    """The data position from which on the learning rate falls; the end where it never does."""
    return training.total_images - training.cooldown * training.total_images


def learning_rate(training: TrainingSettings, images: int) -> float:
    """The learning rate at a data position: linear warm-up, constant, linear fall to 0 over the
    last share `cooldown` of the run. Constant in between, so that a run can be made longer.
    """
    warmup = min(1.0, (images + training.batch_size) / max(training.warmup_images, 1))
    cooling = training.cooldown * training.total_images
    left = (training.total_images - images) / cooling if cooling > 0 else 1.0
    return training.learning_rate * min(warmup, max(left, 0.0), 1.0)
