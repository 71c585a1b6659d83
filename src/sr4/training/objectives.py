"""What a training step minimises: pictures in, one loss per picture out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr4.build import build_schedule, build_target
from sr4.config import DataSettings, ModelSettings
from sr4.data.loader import Batch
from sr4.diffusion.losses import hybrid_loss, simple_loss, vlb_term
from sr4.diffusion.predictions import PREDICTIONS, learned_log_variance
from sr4.diffusion.process import Transition, q_sample
from sr4.diffusion.schedules import TableSchedule
from sr4.errors import UsageError

Float64 = NDArray[np.float64]


class DenoisingObjective:
    """The denoising loss of a diffusion model (SR4 paper, equations 6 and 8).

    All randomness follows from the seed and the batch's position in the data, so that a resumed
    run draws what an uninterrupted one draws.
    """

    def __init__(self, model: ModelSettings, data: DataSettings, seed: int) -> None:
        self._settings = model.objective
        self._schedule = build_schedule(model.schedule)
        self._target = build_target(model)
        self._prediction = PREDICTIONS[model.objective.prediction]
        self._artefact_time = data.artefact_time
        self._seed = seed
        if self._settings.variance == "learned" and not isinstance(self._schedule, TableSchedule):
            raise UsageError(
                f"got a learned variance with the schedule {model.schedule.kind!r}; its bound "
                "needs the steps of a table: use linear or cosine-table"
            )

    def __call__(self, network: nn.Module, batch: Batch, device: torch.device) -> Tensor:
        """The loss of each picture of a batch, (B,), float32.

        Args:
            network: called as `network(x_t, log_snr, low_res)`.
        """
        random = np.random.default_rng([self._seed, batch.position, 2])
        generator = torch.Generator(device).manual_seed(int(random.integers(2**62)))
        high_res, low_res = batch.high_res.to(device), batch.low_res.to(device)
        x_0 = self._target.frame(low_res).encode(high_res)
        eps = torch.randn(x_0.shape, generator=generator, device=device)
        times = self._times(random, len(x_0), batch.artefact.numpy())
        log_snr = self._schedule.log_snr(times)
        x_t = q_sample(x_0, eps, log_snr)
        output = network(
            x_t.contiguous(memory_format=torch.channels_last),
            torch.as_tensor(log_snr, dtype=torch.float32, device=device),
            self._target.degradation.upsample(low_res).contiguous(
                memory_format=torch.channels_last
            ),
        ).float()
        predicted = output[:, : x_0.shape[1]]
        wanted = self._prediction.target(x_0, eps, log_snr)
        loss: Tensor = simple_loss(predicted, wanted, self._settings.p)
        if self._settings.variance != "learned":
            return loss
        vlb = self._vlb(x_0, x_t, output, times)
        return hybrid_loss(loss, vlb, self._settings.vlb_weight)  # type: ignore[no-any-return]

    def _times(
        self, random: np.random.Generator, count: int, artefact: NDArray[np.bool_]
    ) -> Float64:
        """Times in (0, 1], one a picture, spread evenly over a batch: each is uniform, and their
        sum varies less than that of independent ones (Kingma et al. 2021, appendix I.1).
        """
        if self._settings.noise_level == "batch":
            times = np.full(count, 1 - random.random())
        else:
            times = 1 - (random.random() + random.permutation(count) / count) % 1.0
        floor = self._artefact_time
        times = np.where(artefact, floor + (1 - floor) * times, times)
        if self._settings.variance == "learned" and isinstance(self._schedule, TableSchedule):
            steps = self._schedule.betas.size
            times = np.ceil(times * steps) / steps  # the bound is a sum over the table's steps
        return times

    def _vlb(self, x_0: Tensor, x_t: Tensor, output: Tensor, times: Float64) -> Tensor:
        """The bound's term; its gradient reaches the variance alone."""
        assert isinstance(self._schedule, TableSchedule)
        steps = self._schedule.betas.size
        log_snr = self._schedule.log_snr(times)
        transition = Transition(log_snr, self._schedule.log_snr(np.maximum(times - 1 / steps, 0)))
        is_first = times <= 1 / steps
        first_levels = self._schedule.log_snr([1 / steps, 2 / steps])
        floor = np.log(Transition(first_levels[1], first_levels[0]).variance_small)
        floor = np.where(is_first, floor, -np.inf)
        eps_like, variance_output = output.chunk(2, dim=1)
        predicted_x_0 = self._prediction.x_0(eps_like.detach(), x_t, log_snr)
        log_variance = learned_log_variance(variance_output, transition, floor)
        term: Tensor = vlb_term(x_0, x_t, predicted_x_0, log_variance, transition, is_first, floor)
        return term
