"""Settings of a model: all that defines it but its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from sr4.config.base import Settings
from sr4.config.calibration import Calibration
from sr4.config.names import CorruptionName
from sr4.config.networks import NETWORKS, NetworkSettings
from sr4.config.sampling import SamplingSettings
from sr4.errors import any_of

_CONTINUOUS = ("cosine",)  # schedules of as many steps as anyone wants; the others are tables


class ScheduleSettings(Settings):
    """Noise schedule. `steps` serves the two tables only, the betas "linear" only.

    "none" is no diffusion: the network makes x_0 of `low_res` and nothing, in one step.
    """

    kind: Literal["linear", "cosine", "cosine-table", "none"] = "cosine"
    steps: int = Field(2000, ge=1, le=100_000)
    beta_start: float = Field(1e-6, gt=0, lt=1)
    beta_end: float = Field(1e-2, gt=0, lt=1)

    @property
    def most_steps(self) -> float:
        """The number of steps that a sampler may take at most."""
        if not self.is_diffusion:
            return 1
        return math.inf if self.kind in _CONTINUOUS else self.steps

    @property
    def is_diffusion(self) -> bool:
        """Whether there is any noise."""
        return self.kind != "none"

    @property
    def has_table(self) -> bool:
        """Whether its noise levels are those of `steps` steps, between which it interpolates."""
        return self.is_diffusion and self.kind not in _CONTINUOUS

    @property
    def title(self) -> str:
        """What charts call it: its name and, on a line of its own, the number of its steps."""
        if not self.has_table:
            return self.kind
        end = f" to {self.beta_end:g}" if self.kind == "linear" else ""
        return f"{self.kind.removesuffix('-table')}{end},\nT = {self.steps:,}"


class DegradationSettings(Settings):
    """The operator that makes `low_res` from `high_res`."""

    kind: Literal["bicubic"] = "bicubic"
    scale: int = Field(8, ge=1, le=64)


class ObjectiveSettings(Settings):
    """What is predicted, of what, and how it is scored."""

    target: Literal["picture", "residual", "fitted-residual", "null-space"] = "picture"
    target_scale: float = Field(1.0, gt=0)  # the diffused variable is the target over this
    prediction: Literal["eps", "x0", "v"] = "eps"
    variance: Literal["small", "large", "learned"] = "small"
    p: Literal[1, 2] = 1
    vlb_weight: float = Field(0.0, ge=0)
    noise_level: Literal["sample", "batch"] = "sample"
    noise: Literal["sample", "batch"] = "sample"  # drawn for each picture, or once for a batch
    # Share of the pictures that train t = 1 with x_t = 0: the x_0 of least error is then the mean
    # of all that fit low_res, which sampling at a temperature of 0 gives.
    mean_share: float = Field(0.0, ge=0, le=1)

    @property
    def always_fits(self) -> bool:
        """Whether D of whatever is predicted is `low_res`."""
        return self.target == "null-space"

    @property
    def has_base(self) -> bool:
        """Whether what is diffused is added to something that `low_res` gives."""
        return self.target != "picture"


class ModelSettings(Settings):
    """All that defines a model but its weights."""

    recipe: str
    channels: int = Field(3, ge=1, le=64)
    # The values of pictures that stand for black and white, of any type that holds them: files are
    # then trained on and enlarged with all their levels. None: 8 and 16 bits have all of their
    # type's, and training takes 8 bits.
    data_range: tuple[float, float] | None = None
    image_size: int = Field(128, ge=8, le=65_536)  # edge of the training pictures
    network: NetworkSettings
    degradation: DegradationSettings = DegradationSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    sampling: SamplingSettings = SamplingSettings()

    def steps_taken(self, asked: int | None, detail: float | None) -> int:
        """How many steps a call takes that asks for so many, and for that detail, or leaves them to
        the model.
        """
        own = self.sampling
        if (own.detail if detail is None else detail) == 0 and self.objective.mean_share > 0:
            return 1  # the mean of all pictures that fit comes of no noise
        return int(min(own.steps if asked is None else asked, own.most_steps))

    @model_validator(mode="after")
    def _has_black_below_white(self) -> ModelSettings:
        if self.data_range is not None and not self.data_range[0] < self.data_range[1]:
            low, high = self.data_range
            raise ValueError(
                f"got data_range from {low:g} to {high:g}; expected the value of black, then that "
                "of white, above it"
            )
        return self

    @model_validator(mode="after")
    def _can_learn_its_variance(self) -> ModelSettings:
        if self.objective.variance != "learned":
            return self
        if not self.network.learns_variance:
            able = [kind for kind, one in NETWORKS.items() if one.learns_variance]
            raise ValueError(
                f"got a learned variance for the network {self.network.kind!r}, which has no "
                f"output for one; expected network.kind {any_of(able)}, or objective.variance "
                "small or large"
            )
        if not self.schedule.has_table:
            kinds = get_args(ScheduleSettings.model_fields["kind"].annotation)
            tables = [kind for kind in kinds if ScheduleSettings(kind=kind).has_table]
            raise ValueError(
                f"got a learned variance with the schedule {self.schedule.kind!r}; its bound needs "
                f"the steps of a table: choose schedule.kind {any_of(tables)}"
            )
        return self

    @model_validator(mode="after")
    def _schedule_has_enough_steps(self) -> ModelSettings:
        if self.sampling.steps > self.schedule.most_steps:
            raise ValueError(
                f"got sampling.steps {self.sampling.steps} for a schedule of "
                f"{self.schedule.most_steps} steps; expected at most as many: set both"
            )
        return self

    @model_validator(mode="after")
    def _regresses_a_picture(self) -> ModelSettings:
        """Without a schedule, the network sees no noise that it could tell of."""
        wanted = {
            "objective.prediction": (self.objective.prediction, "x0"),
            "sampling.temperature": (self.sampling.temperature, 0),
        }
        for key, (got, expected) in wanted.items():
            if not self.schedule.is_diffusion and got != expected:
                raise ValueError(
                    f"got schedule.kind {self.schedule.kind} with {key} {got}; expected "
                    f"{expected}, as there is no noise: set {key}={expected}, or choose another "
                    "schedule"
                )
        return self


class ModelConfig(ModelSettings):
    """`config.json` of a model folder: the model, and what people should know about it."""

    format: Literal[1] = 1
    scale: int
    value_range: tuple[float, float] = (-1.0, 1.0)  # of what the network sees
    size_multiple: int = Field(ge=1)
    description: str = ""
    licence: str = "unknown"  # terms of the weights, which follow those of the training pictures
    training_data: tuple[str, ...] = ()
    training_images: int = 0
    condition_noise: float = Field(0.0, ge=0, le=1)  # see DataSettings
    corruption: CorruptionName = "none"  # see DataSettings
    parameters: int = 0
    scores: Mapping[str, Any] = {}
    calibrations: tuple[Calibration, ...] = ()  # what makes intervals of samples
    sha256: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _was_corrupted_as_photographs_are(self) -> ModelConfig:
        check_corruption(self.corruption, self)
        return self


def check_corruption(corruption: CorruptionName, model: ModelSettings) -> None:
    """Refuse what the files that photographs are compressed to do not hold: other pictures than
    those of three channels and 8 bits.

    Raises:
        ValueError: says which.
    """
    if corruption == "none":
        return
    if model.channels != 3:
        raise ValueError(
            f"got data.corruption {corruption} with model.channels {model.channels}; expected 3 "
            "channels: set data.corruption=none"
        )
    if model.data_range is not None:
        raise ValueError(
            f"got data.corruption {corruption} with a model.data_range; expected pictures of 8 "
            "bits: set data.corruption=none"
        )
