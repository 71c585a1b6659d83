"""Settings of a run: a model, its data, and how it is trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from sr4.config.base import Settings
from sr4.config.model import ModelSettings, ObjectiveSettings, check_corruption
from sr4.config.names import CorruptionName
from sr4.errors import any_of

_Decay = Annotated[float, Field(ge=0, lt=1)]


_RETIRED = ("artefacts", "artefact_time")


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

    @model_validator(mode="before")
    @classmethod
    def _retired(cls, given: Any) -> Any:
        """Runs of older versions name settings that no longer exist; where unused, they go."""
        if not isinstance(given, dict) or given.get("artefacts") is not None:
            return given
        return {key: value for key, value in given.items() if key not in _RETIRED}


class TrainingSettings(Settings):
    """Budget, optimiser and bookkeeping of a run. Amounts are counted in training pictures."""

    total_images: int = Field(1_000_000, ge=1)
    batch_size: int = Field(16, ge=1)  # of a step, over all processes
    # Pictures that a process takes at a time, where its memory holds no more; None: its whole share
    # of the batch. What is learnt is the same.
    microbatch: int | None = Field(None, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[_Decay, _Decay] = (0.9, 0.999)
    warmup_images: int = Field(0, ge=0)  # linear, from 0
    cooldown: float = Field(0.0, ge=0, le=1)  # share of the run, at its end, that falls to 0
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.9999, ge=0, lt=1)  # a step; the start of a run uses less
    precision: Literal["float32", "bf16"] = "bf16"
    seed: int = Field(0, ge=0, lt=2**63)
    # Of fresh weights: PyTorch's own; or orthogonal or of normal numbers (He et al. 2015), without
    # biases. Layers that start at zero do so in any case.
    initialisation: Literal["default", "orthogonal", "kaiming"] = "default"
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
    # That of one which sees feature maps of a network that knows many pictures; RGB alone.
    feature_weight: float = Field(0.0, ge=0)
    discriminator_rate: float = Field(3e-4, gt=0)
    # The pull of a perceptual distance from the true picture, likewise; RGB alone.
    perceptual_weight: float = Field(0.0, ge=0)
    # How much of its distance from another sample of the same picture a result is spared: with 1
    # both distances are energy scores, which the right spread of samples makes smallest.
    diversity_weight: float = Field(0.0, ge=0, le=1)
    teacher: str = ""  # checksum of its weights, so that a run goes on with the same one


class RunSettings(Settings):
    """A recipe: a model and how it is trained; as a student, if there is a distillation."""

    model: ModelSettings
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    distillation: DistillationSettings | None = None

    @model_validator(mode="after")
    def _may_leave_a_corrupted_low_res(self) -> RunSettings:
        """Results that always fit low_res keep its noise."""
        corruption, objective = self.data.corruption, self.model.objective
        if corruption != "none" and objective.always_fits:
            targets = get_args(ObjectiveSettings.model_fields["target"].annotation)
            free = [one for one in targets if not ObjectiveSettings(target=one).always_fits]
            raise ValueError(
                f"got data.corruption {corruption} with model.objective.target {objective.target}, "
                f"whose results always fit low_res and so keep its noise; expected "
                f"{any_of(free[::-1])}: set model.objective.target"
            )
        return self

    @model_validator(mode="after")
    def _predicts_pictures_where_it_learns_means(self) -> RunSettings:
        """Means are learnt of x_t = 0, which has no noise that could be told."""
        objective = self.model.objective
        if objective.prediction == "eps" and objective.mean_share > 0:
            raise ValueError(
                f"got model.objective.mean_share {objective.mean_share:g} with "
                "model.objective.prediction eps; expected x0 or v, which tell the mean of all "
                "pictures where there is no noise: set one of them"
            )
        return self

    @model_validator(mode="after")
    def _learns_its_variance_by_the_bound(self) -> RunSettings:
        """Nothing else of the loss reaches the output for the variance."""
        objective = self.model.objective
        if (objective.variance == "learned") != (objective.vlb_weight > 0):
            raise ValueError(
                f"got model.objective.variance {objective.variance} with "
                f"model.objective.vlb_weight {objective.vlb_weight:g}; expected a weight above 0 "
                "for a learned variance, and 0 for others: set both"
            )
        if objective.vlb_weight > 0 and (objective.has_base or objective.target_scale != 1):
            raise ValueError(
                f"got model.objective.vlb_weight {objective.vlb_weight:g} with target "
                f"{objective.target} and target_scale {objective.target_scale:g}; expected target "
                "picture and target_scale 1: its last term tells the levels of pictures"
            )
        return self

    @model_validator(mode="after")
    def _perceives_rgb(self) -> RunSettings:
        """The network whose feature maps are compared takes three channels."""
        for name in ("perceptual_weight", "feature_weight"):
            weight = getattr(self.distillation, name) if self.distillation else 0
            if weight > 0 and self.model.channels != 3:
                raise ValueError(
                    f"got distillation.{name} {weight} with model.channels "
                    f"{self.model.channels}; expected 3 channels: set the weight to 0"
                )
        return self

    @model_validator(mode="after")
    def _draws_what_is_to_be_diverse(self) -> RunSettings:
        """Two samples of a picture come from two noises, and share their goal."""
        given = self.distillation
        if given and given.diversity_weight > 0 and (given.steps > 1 or given.teacher_steps):
            raise ValueError(
                f"got distillation.diversity_weight {given.diversity_weight} with "
                f"distillation.steps {given.steps} and distillation.teacher_steps "
                f"{given.teacher_steps}; expected a student of 1 step towards the true pictures "
                "(teacher_steps 0): set them, or the weight to 0"
            )
        return self

    @model_validator(mode="after")
    def _distils_whole_batches(self) -> RunSettings:
        """The pulls at a student are balanced by their size over a whole batch."""
        most = self.training.microbatch
        if self.distillation is not None and most is not None:
            raise ValueError(
                f"got training.microbatch {most} with a distillation, which weighs its losses by "
                "a whole batch; expected none: start more processes, or take a smaller "
                "training.batch_size"
            )
        return self

    @model_validator(mode="after")
    def _corrupts_photographs(self) -> RunSettings:
        check_corruption(self.data.corruption, self.model)
        return self
