"""The optimiser step: batch, loss, backward, clip, step, average."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from sr4.build import build_network
from sr4.config import RunSettings, TrainingSettings
from sr4.data.loader import Batch
from sr4.errors import RunError, UsageError
from sr4.runtime.torch_backend import channels_last
from sr4.training.checkpoint import Checkpoint, optimiser_tensors, restore_optimiser
from sr4.training.ema import EMA
from sr4.training.objectives import DenoisingObjective


class NotFiniteError(RunError):
    """A loss or a gradient is not a finite number: that step was passed over."""


class Optimisation:
    """A network in training, with its optimiser and the average of its weights.

    Attributes:
        images: training pictures seen.
        steps: optimiser steps, with those passed over.
        skipped: steps passed over.
        average: a network with the average of the weights, which is what one validates and ships.

    Args:
        settings: the resolved recipe; its seed decides the fresh weights.
    """

    def __init__(self, settings: RunSettings) -> None:
        training = self._training = settings.training
        self.images, self.steps, self.skipped = 0, 0, 0
        AcceleratorState._reset_state()  # holds one precision for all runs of a process
        self._accelerator = Accelerator(
            mixed_precision="bf16" if training.precision == "bf16" else "no"
        )
        torch.manual_seed(training.seed)
        network = channels_last(build_network(settings.model))
        self._optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=training.learning_rate,
            betas=training.betas,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self._ema = EMA(network.to(self._accelerator.device), training.ema_decay)
        self.average = self._ema.module
        self._network: nn.Module = self._accelerator.prepare_model(network).train()
        self._objective = DenoisingObjective(settings.model, settings.data, training.seed)

    def step(self, batch: Batch) -> Tensor:
        """One optimiser step on one batch, the heart of all this; returns its loss.

        Raises:
            NotFiniteError: the loss or its gradient is not finite. The weights are as they were,
                and the batch counts as seen.
        """
        self._begin(batch)
        loss = self._objective(self._network, batch, self._accelerator.device).mean()
        norm = self._slope(loss)
        self._descend(batch, {"loss": loss, "norm of the gradient": norm})
        return loss.detach()

    def _begin(self, batch: Batch) -> None:
        torch.manual_seed(self._training.seed + batch.position + 1)  # dropout
        rate = learning_rate(self._training, self.images)
        for group in self._optimiser.param_groups:
            group["lr"] = rate

    def _slope(self, loss: Tensor) -> Tensor:
        """The gradient of a loss, left clipped in the weights; its norm before that."""
        self._accelerator.backward(loss)
        norm: Tensor = self._accelerator.clip_grad_norm_(
            self._network.parameters(), self._training.clip_norm
        )
        return norm

    def _descend(self, batch: Batch, figures: Mapping[str, Tensor]) -> None:
        """The weights and their average move by their gradient, if all figures are finite."""
        self.steps += 1
        self.images += len(batch.names)
        for what, value in figures.items():
            if not torch.isfinite(value):
                self._optimiser.zero_grad()
                self.skipped += 1
                raise NotFiniteError(
                    f"step {self.steps}: the {what} is {value.item()}, of the pictures "
                    f"{', '.join(batch.names)}"
                )
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._ema.update(self._accelerator.unwrap_model(self._network), self.steps)

    def begin_with(self, trained: nn.Module) -> None:
        """Take the weights of a trained network; parts that it lacks keep their fresh ones.

        Raises:
            UsageError: it has weights that this network has not, or of another shape.
        """
        own, given = self.average.state_dict(), trained.state_dict()
        for name, tensor in given.items():
            shape = tuple(own[name].shape) if name in own else None
            if shape != tuple(tensor.shape):
                raise UsageError(
                    f"got --init with a tensor {name!r} of shape {tuple(tensor.shape)}; expected "
                    f"{'none' if shape is None else shape}: take a model of the same network"
                )
        for network in (self._accelerator.unwrap_model(self._network), self.average):
            network.load_state_dict(own | given)

    def checkpoint(self) -> Checkpoint:
        """All that `restore` needs."""
        return Checkpoint(
            self.images,
            self.steps,
            self._accelerator.unwrap_model(self._network).state_dict(),
            self.average.state_dict(),
            optimiser_tensors(self._optimiser),
            self.skipped,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            RuntimeError, ValueError, LookupError: it is another network's.
        """
        self._accelerator.unwrap_model(self._network).load_state_dict(checkpoint.network)
        self.average.load_state_dict(checkpoint.ema)
        restore_optimiser(self._optimiser, checkpoint.optimiser)
        self.images, self.steps = checkpoint.images, checkpoint.step
        self.skipped = checkpoint.skipped


def learning_rate(training: TrainingSettings, images: int) -> float:
    """The learning rate at a data position: linear warm-up, constant, linear fall to 0 over the
    last share `cooldown` of the run. Constant in between, so that a run can be made longer.
    """
    warmup = min(1.0, (images + training.batch_size) / max(training.warmup_images, 1))
    cooling = training.cooldown * training.total_images
    left = (training.total_images - images) / cooling if cooling > 0 else 1.0
    return training.learning_rate * min(warmup, max(left, 0.0), 1.0)
