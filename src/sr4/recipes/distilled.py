"""Students: models that take few steps."""

from __future__ import annotations

from typing import get_args

from sr4.config import (
    DataSettings,
    DistillationSettings,
    ModelConfig,
    ModelSettings,
    RunSettings,
    TrainingSettings,
)
from sr4.errors import UsageError

STEPS: tuple[int, ...] = get_args(DistillationSettings.model_fields["steps"].annotation)


def distilled(teacher: ModelConfig, steps: int = 4) -> RunSettings:
    """The distillation of a trained model into one of 4, 2 or 1 steps.

    Command: `sr4 distill MODEL --data faces/ --out runs/student`. What was tried and what it gave
    is in docs/distillation.md.

    Args:
        teacher: the trained model.
        steps: the most steps that the student takes.

    A teacher of few steps is met at its own results, any other at the true pictures. A student of
    one step, where its network can, also gives the mean of all pictures that fit: so one evaluation
    makes results of any detail.

    Raises:
        UsageError: the teacher predicts eps. Students begin where x_t is all noise; of a picture
            that is told by its noise nothing is left there but the error, a hundred times and more.
    """
    if teacher.objective.prediction == "eps":
        raise UsageError(
            f"got a model of the recipe {teacher.recipe!r} to distil, which predicts eps; expected "
            "one that predicts x0 or v: train it with model.objective.prediction v"
        )
    weights = [
        checksum for name, checksum in teacher.sha256.items() if name.endswith(".safetensors")
    ]
    model = ModelSettings(**{name: getattr(teacher, name) for name in ModelSettings.model_fields})
    sampling = model.sampling.model_copy(
        update={"steps": steps, "most_steps": steps, "sampler": "ddim"}
    )
    network = model.network.with_mean_output() if steps == 1 else model.network
    # Each picture has a noise and a level of its own, and none is met at a mean without an output.
    changes: dict[str, object] = {"noise": "sample", "noise_level": "sample"}
    if not network.has_mean_output:
        changes["mean_share"] = 0.0
    objective = model.objective.model_copy(update=changes)
    return RunSettings(
        model=model.model_copy(
            update={"sampling": sampling, "network": network, "objective": objective}
        ),
        data=DataSettings(condition_noise=teacher.condition_noise, corruption=teacher.corruption),
        training=TrainingSettings(
            total_images=40_000,
            batch_size=8,
            learning_rate=1e-4,
            betas=(0.5, 0.99),
            warmup_images=800,
            cooldown=0.3,
            ema_decay=0.998,
            save_every_images=8_000,
            validate_every_images=8_000,
        ),
        distillation=DistillationSettings(
            steps=steps,
            teacher_steps=own if (own := teacher.sampling.steps) in STEPS else 0,
            teacher="".join(weights),
        ),
    )
