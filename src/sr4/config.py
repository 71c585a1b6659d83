"""The settings of a model and of a run, as validated models.

Settings are data: they name things. `sr4.build` turns them into objects, and no settings travel
further inwards than that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sr4.errors import SR4Error, nearest, shorten

CorruptionName = Literal["none", "photo"]
CORRUPTIONS: tuple[CorruptionName, ...] = get_args(CorruptionName)
SamplerName = Literal["ddpm", "ddim", "dpmpp"]
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)

# The limits are far above what anyone trains, and low enough that a network of these settings can
# be laid out, without its weights, in a moment.
_Width = Annotated[int, Field(ge=1, le=8192)]
_Multiplier = Annotated[int, Field(ge=1, le=64)]
_Blocks = Annotated[int, Field(ge=1, le=64)]
_Edge = Annotated[int, Field(ge=1, le=65_536)]
_Decay = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """Base of all settings: immutable; unknown keys and numbers that are not finite are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


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
        return {"cosine": math.inf, "none": 1}.get(self.kind, self.steps)


class DegradationSettings(Settings):
    """The operator that makes `low_res` from `high_res`."""

    kind: Literal["bicubic"] = "bicubic"
    scale: int = Field(8, ge=1, le=64)


class SR3NetworkSettings(Settings):
    """The U-Net of SR3 (see `sr4.networks.sr3`)."""

    kind: Literal["sr3"] = "sr3"
    inner: int = Field(64, ge=8, le=1024)
    multipliers: tuple[_Multiplier, ...] = Field((1, 2, 4, 8, 8), min_length=1, max_length=8)
    groups: int = Field(32, ge=1, le=1024)
    attention_resolutions: tuple[_Edge, ...] = Field((16,), max_length=8)
    heads: int = Field(1, ge=1, le=64)
    blocks: int = Field(2, ge=1, le=16)
    dropout: float = Field(0.2, ge=0, lt=1)

    @property
    def size_multiple(self) -> int:
        """What divides the sides of every picture that the network takes."""
        return 1 << (len(self.multipliers) - 1)


class SR4NetworkSettings(SR3NetworkSettings):
    """The U-Net of SR4: attention at 8x8 only, and a low-res path (see `sr4.networks.sr4`)."""

    kind: Literal["sr4"] = "sr4"  # type: ignore[assignment]
    attention_resolutions: tuple[_Edge, ...] = Field((8,), max_length=8)
    heads: int = Field(4, ge=1, le=64)
    path: Literal["convolutions", "large-kernel", "bicubic", "direct", "none"] = "convolutions"
    path_resolution: _Edge = 16
    path_width: int = Field(32, ge=1, le=1024)


class AttentionInputNetworkSettings(SR3NetworkSettings):
    """The U-Net of SR3 behind an attention over its inputs (see `sr4.networks.attention_input`)."""

    kind: Literal["attention-input"] = "attention-input"  # type: ignore[assignment]


class FastNetworkSettings(Settings):
    """The efficient U-Net on patches (see `sr4.networks.fast`)."""

    kind: Literal["fast"] = "fast"
    patch: int = Field(4, ge=1, le=32)
    widths: tuple[_Width, ...] = Field((96, 192, 256), min_length=1, max_length=6)
    blocks: tuple[_Blocks, ...] = Field((3, 3, 4), min_length=1, max_length=6)
    block: Literal["dense", "gated"] = "dense"
    attention: bool = True
    degradation_aware: bool = False  # told what is known of the degradation (`sr4.known`)
    mean_output: bool = False  # also gives the mean of the pictures that fit low_res

    @property
    def size_multiple(self) -> int:
        """What divides the sides of every picture that the network takes."""
        return self.patch << (len(self.widths) - 1)

    @model_validator(mode="after")
    def _levels_agree(self) -> FastNetworkSettings:
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"got widths {self.widths} and blocks {self.blocks}; expected one of each a level"
            )
        return self


NETWORKS: Mapping[str, type[Settings]] = {
    "sr3": SR3NetworkSettings,
    "attention-input": AttentionInputNetworkSettings,
    "sr4": SR4NetworkSettings,
    "fast": FastNetworkSettings,
}
NetworkSettings = Annotated[
    SR3NetworkSettings | AttentionInputNetworkSettings | SR4NetworkSettings | FastNetworkSettings,
    Field(discriminator="kind"),
]


def has_mean_output(network: NetworkSettings) -> bool:
    """Whether a network gives a sample and the mean of all pictures that fit."""
    return isinstance(network, FastNetworkSettings) and network.mean_output


def is_degradation_aware(network: NetworkSettings) -> bool:
    """Whether a network takes what is known of the degradation as its last argument."""
    return isinstance(network, FastNetworkSettings) and network.degradation_aware


class ObjectiveSettings(Settings):
    """What is predicted, of what, and how it is scored."""

    target: Literal["picture", "residual", "fitted-residual", "null-space"] = "picture"
    target_scale: float = Field(1.0, gt=0)  # the diffused variable is the target over this
    prediction: Literal["eps", "x0", "v"] = "eps"
    variance: Literal["small", "large", "learned"] = "small"
    p: Literal[1, 2] = 1
    vlb_weight: float = Field(0.0, ge=0)
    noise_level: Literal["sample", "batch"] = "sample"
    # Share of the pictures that train t = 1 with x_t = 0: the x_0 of least error is then the mean
    # of all that fit low_res, which sampling at a temperature of 0 gives.
    mean_share: float = Field(0.0, ge=0, le=1)


class SamplingSettings(Settings):
    """Defaults of sampling; every one can be overridden in a call."""

    steps: int = Field(50, ge=1, le=100_000)
    sampler: SamplerName = "ddpm"
    temperature: float = Field(1.0, ge=0, le=2)  # deviation of the noise sampling starts from
    # Where a result lies between the mean of the pictures that fit (0) and a sample (1), for
    # networks that give both.
    detail: float = Field(1.0, ge=0, le=1)
    # More steps than the model was distilled for make its results no better: they are not taken.
    most_steps: int = Field(100_000, ge=1)
    # Whether validation and evaluation project, as upscaling does unless told otherwise.
    consistency: bool = True


class DataSettings(Settings):
    """How training pictures are read."""

    # Shell patterns on names of pictures to leave out, such as copies of test pictures (see
    # `sr4.data.excluding`).
    exclude: tuple[str, ...] = ()
    workers: int = Field(1, ge=0, le=64)
    flip: bool = True
    # Share of the pictures that may be bad, but at least one picture: another one takes the place
    # of each. 0 allows none.
    max_bad: float = Field(0.01, ge=0, le=0.5)
    # How a share `augmented` of the pictures is turned, enlarged and moved, each by up to so much
    # (see `sr4.data.augmentation`).
    augmented: float = Field(0.0, ge=0, le=1)
    rotation: float = Field(20.0, ge=0, le=180)  # degrees
    zoom: float = Field(2.0, ge=1, le=16)
    shift: float = Field(0.1, ge=0, le=1)  # of the edge
    # Largest deviation, on the [-1, 1] scale, of the Gaussian noise on what the network sees of
    # low_res (see `sr4.training.objectives.noisy_condition`).
    condition_noise: float = Field(0.0, ge=0, le=1)
    # What low_res goes through, drawn anew each time a picture is read (see
    # `sr4.data.corruption`): nothing, or the blur, noise and JPEG compression of photographs; how
    # hard it is hit at most, and the share of the pictures that stay clean.
    corruption: CorruptionName = "none"
    corruption_strength: float = Field(1.0, ge=0, le=1)
    clean: float = Field(0.25, ge=0, le=1)


class TrainingSettings(Settings):
    """Budget, optimiser and bookkeeping of a run. Amounts are counted in training pictures."""

    total_images: int = Field(1_000_000, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)
    warmup_images: int = Field(0, ge=0)  # linear, from 0
    cooldown: float = Field(0.0, ge=0, le=1)  # share of the run, at its end, that falls to 0
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.9999, ge=0, lt=1)  # a step; the start of a run uses less
    precision: Literal["float32", "bf16"] = "bf16"
    seed: int = Field(0, ge=0)
    init: str = ""  # checksum of the weights that the run begins with; fresh ones if empty
    save_every_images: int = Field(20_000, ge=1)
    validate_every_images: int = Field(20_000, ge=1)
    validation_images: int = Field(32, ge=1)
    validation_steps: int = Field(16, ge=1)  # of the recipe's own sampler
    keep_checkpoints: int = Field(2, ge=1)


class DistillationSettings(Settings):
    """How a student learns from its teacher (see `sr4.training.distillation`)."""

    steps: Literal[1, 2, 4] = 4  # the most that the student takes; it learns fewer too
    first_share: float = Field(0.4, ge=0, le=1)  # of the pictures, trains the first step
    # Steps (of DDIM) of the teacher, whose result from the same noise is to be met; 0: the picture.
    teacher_steps: int = Field(0, ge=0)
    # The discriminator's pull at a result, in units of the distance's.
    adversarial_weight: float = Field(1.0, ge=0)
    discriminator_rate: float = Field(3e-4, gt=0)
    teacher: str = ""  # checksum of its weights, so that a run goes on with the same one


class ModelSettings(Settings):
    """All that defines a model but its weights."""

    recipe: str
    channels: int = Field(3, ge=1, le=64)
    image_size: int = Field(128, ge=8, le=65_536)  # edge of the training pictures
    network: NetworkSettings
    degradation: DegradationSettings = DegradationSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    sampling: SamplingSettings = SamplingSettings()

    @model_validator(mode="after")
    def _can_learn_its_variance(self) -> ModelSettings:
        if self.objective.variance != "learned":
            return self
        if self.network.kind == "fast":
            raise ValueError(
                "got a learned variance for the network 'fast', which has no output for one; "
                "expected network.kind sr3, attention-input or sr4, or objective.variance small or "
                "large"
            )
        if self.schedule.kind not in ("linear", "cosine-table"):
            raise ValueError(
                f"got a learned variance with the schedule {self.schedule.kind!r}; its bound needs "
                "the steps of a table: choose schedule.kind linear or cosine-table"
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
            if self.schedule.kind == "none" and got != expected:
                raise ValueError(
                    f"got schedule.kind none with {key} {got}; expected {expected}, as there is no "
                    f"noise: set {key}={expected}, or choose another schedule"
                )
        return self


class RunSettings(Settings):
    """A recipe: a model and how it is trained; as a student, if there is a distillation."""

    model: ModelSettings
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    distillation: DistillationSettings | None = None

    @model_validator(mode="after")
    def _may_leave_a_corrupted_low_res(self) -> RunSettings:
        """Results that always fit low_res keep its noise."""
        corruption, target = self.data.corruption, self.model.objective.target
        if corruption != "none" and target == "null-space":
            raise ValueError(
                f"got data.corruption {corruption} with model.objective.target null-space, whose "
                "results always fit low_res and so keep its noise; expected fitted-residual, "
                "residual or picture: set model.objective.target"
            )
        return self

    @model_validator(mode="after")
    def _corrupts_rgb(self) -> RunSettings:
        """Files that photographs are compressed to hold three channels."""
        corruption, channels = self.data.corruption, self.model.channels
        if corruption != "none" and channels != 3:
            raise ValueError(
                f"got data.corruption {corruption} with model.channels {channels}; expected 3 "
                "channels: set data.corruption=none"
            )
        return self


class ModelConfig(ModelSettings):
    """`config.json` of a model folder: the model, and what people should know about it."""

    format: Literal[1] = 1
    scale: int
    value_range: tuple[float, float] = (-1.0, 1.0)
    size_multiple: int = Field(ge=1)
    description: str = ""
    licence: str = "unknown"  # terms of the weights, which follow those of the training pictures
    training_data: tuple[str, ...] = ()
    training_images: int = 0
    condition_noise: float = Field(0.0, ge=0, le=1)  # see DataSettings
    corruption: CorruptionName = "none"  # see DataSettings
    parameters: int = 0
    scores: Mapping[str, Any] = {}
    sha256: Mapping[str, str] = {}


def explain(error: ValidationError, settings: type[BaseModel]) -> str:
    """The first failure of a validation of these settings as one line, with the nearest valid key
    where one is unknown.
    """
    first = error.errors()[0]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    parts = [shorten(str(part)) for part in first["loc"]]
    kinds: Collection[str] = NETWORKS
    if "network" in parts[:-1]:  # pydantic puts the network's kind behind its key
        kinds = [parts.pop(parts.index("network") + 1)]
    key = ".".join(parts)
    if first["type"] == "extra_forbidden":
        return f"unknown setting {key!r}: {nearest(key, keys_of(settings, kinds))}{more}"
    if first["type"] == "union_tag_invalid":
        tag = shorten(str(first["ctx"]["tag"]))
        return f"unknown {key}.kind {tag!r}: {nearest(tag, NETWORKS)}{more}"
    place = f"setting {key!r}: " if key else ""
    if first["type"] == "missing":
        return f"{place}is missing; expected a value{more}"
    if first["type"] == "value_error":  # one of ours: says all there is to say
        return f"{place}{first['ctx']['error']}{more}"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{place}got {str(first['input'])[:80]!r}; {message}{more}"


def keys_of(settings: type[BaseModel], networks: Collection[str]) -> set[str]:
    """Dotted names of all settings inside a settings model, with those of the given networks."""
    keys = set()
    for name, field in settings.model_fields.items():
        models = [field.annotation, *get_args(field.annotation)]  # of `Settings | None` both
        if name == "network":
            models = [NETWORKS[kind] for kind in networks]
        for model in models:
            if isinstance(model, type) and issubclass(model, BaseModel):
                keys |= {f"{name}.{key}" for key in keys_of(model, networks)}
        if not any(key.startswith(f"{name}.") for key in keys):
            keys.add(name)
    return keys


def parse_model_config(text: str, where: str, failure: type[SR4Error]) -> ModelConfig:
    """A `config.json`; a failure names the file."""
    try:
        return ModelConfig.model_validate_json(text)
    except ValidationError as error:
        raise failure(f"{where}: {explain(error, ModelConfig)}") from error
