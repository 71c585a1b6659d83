"""Our own systems: a real picture in a few evaluations of a small network."""

from __future__ import annotations

from sr4.config import (
    DataSettings,
    FastNetworkSettings,
    ModelSettings,
    ObjectiveSettings,
    RunSettings,
    SamplingSettings,
    ScheduleSettings,
    TrainingSettings,
)
from sr4.config.overrides import override


def sr4_fast() -> RunSettings:
    """The efficient U-Net on 4x4 patches, v-prediction of the null-space residual, continuous
    cosine schedule.

    Command: `sr4 train sr4-fast --data faces/ --out runs/fast`. The shipped model's budget and
    scores are in its card (`sr4 info sr4-fast`).
    """
    return RunSettings(
        model=ModelSettings(
            recipe="sr4-fast",
            network=FastNetworkSettings(block="gated", blocks=(4, 4, 6)),
            schedule=ScheduleSettings(kind="cosine"),
            objective=ObjectiveSettings(
                # 0.14 is the deviation of the null-space residual over 18,000 faces, 16→128.
                target="null-space",
                target_scale=0.14,
                prediction="v",
                p=2,
                mean_share=0.2,
            ),
            sampling=SamplingSettings(steps=10, sampler="dpmpp"),
        ),
        data=DataSettings(augmented=0.4),
        training=TrainingSettings(
            total_images=600_000,
            batch_size=8,
            learning_rate=1e-3,
            weight_decay=0.01,
            betas=(0.9, 0.99),
            warmup_images=4_800,
            cooldown=0.3,
            ema_decay=0.9995,
        ),
    )


def photo_x4() -> RunSettings:
    """For photographs, text and drawings, four times larger: as `sr4-fast`, with a network of two
    levels without attention. What it makes of a place depends on the surroundings alone, so that
    large pictures can be made of tiles; a patch is one pixel of `low_res`.

    A quarter of the training pictures are clean, the others have gone through blur, noise and
    compression (`sr4.data.corruption`). The network is told what is known of that.

    Command: `sr4 train photo-x4 --data photos/ --out runs/photo`. The shipped model's budget and
    scores are in its card (`sr4 info photo-x4`).
    """
    return override(
        sr4_fast(),
        {
            "model": {
                "recipe": "photo-x4",
                "network": {
                    "block": "gated",
                    "widths": (96, 176),
                    "blocks": (7, 6),
                    "attention": False,
                    "degradation_aware": True,
                },
                "degradation": {"scale": 4},
                # Over photographs and drawings so corrupted the median deviation is 0.14; text
                # brings the root mean square to 0.19.
                "objective": {"target": "fitted-residual", "target_scale": 0.15},
            },
            "data": {"augmented": 0.0, "corruption": "photo"},
            "training": {"total_images": 800_000, "cooldown": 0.35},
        },
    )
