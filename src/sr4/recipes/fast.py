"""Our own systems: a real picture in a few evaluations of a small network."""

from __future__ import annotations

from sr4.config import (
    DataSettings,
    DegradationSettings,
    FastNetworkSettings,
    ModelSettings,
    ObjectiveSettings,
    RunSettings,
    SamplingSettings,
    ScheduleSettings,
    TrainingSettings,
)
from sr4.overrides import override


def sr4_fast() -> RunSettings:
    """The efficient U-Net on 4x4 patches, v-prediction of the null-space residual, continuous
    cosine schedule.

    Command: `sr4 train sr4-fast --data faces/ --out runs/fast`. The shipped model's budget and
    scores are in its card (`sr4 info sr4-fast`).
    """
    return RunSettings(
        model=ModelSettings(
            recipe="sr4-fast",
            network=FastNetworkSettings(),
            schedule=ScheduleSettings(kind="cosine"),
            objective=ObjectiveSettings(
                # 0.14 is the deviation of the null-space residual over 18,000 faces, 16→128.
                target="null-space",
                target_scale=0.14,
                prediction="v",
                p=2,
            ),
            sampling=SamplingSettings(steps=10, sampler="dpmpp"),
        ),
        data=DataSettings(artefacts="q50-*"),
        training=TrainingSettings(
            total_images=135_000,
            batch_size=16,
            learning_rate=5e-4,
            weight_decay=0.01,
            betas=(0.9, 0.99),
            warmup_images=4_800,
            cooldown=0.3,
            ema_decay=0.9995,
        ),
    )


def photo_x4() -> RunSettings:
    """For photographs, four times larger: as `sr4-fast`, with a network of two levels without
    attention. What it makes of a place depends on the surroundings alone, so that large pictures
    can be made of tiles; a patch is one pixel of `low_res`.

    Command: `sr4 train photo-x4 --data photos/ --out runs/photo`. The shipped model's budget and
    scores are in its card (`sr4 info photo-x4`).
    """
    fast = sr4_fast()
    return fast.model_copy(
        update={
            "model": fast.model.model_copy(
                update={
                    "recipe": "photo-x4",
                    "network": FastNetworkSettings(
                        widths=(96, 176), blocks=(5, 4), attention=False
                    ),
                    "degradation": DegradationSettings(scale=4),
                    # 0.126 is the deviation over 300 photographs.
                    "objective": fast.model.objective.model_copy(update={"target_scale": 0.126}),
                }
            ),
            "data": DataSettings(),
        }
    )


def photo_x4_real() -> RunSettings:
    """As `photo-x4`, for pictures as cameras and web pages give them: `low_res` is blurred, noisy
    and compressed in training, and the result need not fit it.

    Command: `sr4 train photo-x4-real --data photos/ --out runs/real`. Nobody has trained it yet.
    """
    return override(
        photo_x4(),
        {
            "model": {
                "recipe": "photo-x4-real",
                # 0.165 is the deviation over 300 photographs, with their low_res corrupted.
                "objective": {"target": "residual", "target_scale": 0.165},
                "sampling": {"consistency": False},
            },
            "data": {"corruption": "photo"},
        },
    )
