"""The systems of the SR4 paper."""

from __future__ import annotations

from sr4.config import (
    ModelSettings,
    ObjectiveSettings,
    RunSettings,
    SamplingSettings,
    ScheduleSettings,
    SR3NetworkSettings,
    SR4NetworkSettings,
    TrainingSettings,
)

# Section 4 of the paper: learning rate 1e-4, batch size 4, 640,000 iterations (Table 1's text).
_PAPER_TRAINING = TrainingSettings(
    total_images=2_560_000, batch_size=4, learning_rate=1e-4, ema_decay=0.9999
)


def sr3() -> RunSettings:
    """The baseline: SR3 (Saharia et al. 2021) with linear noise over 2,000 steps, the picture as
    target, L1 on eps.

    Command: `sr4 train sr3 --data faces/ --out runs/sr3`. Budget: 2.56 M pictures, 97.8 M
    parameters. Score in the paper (16→128 faces): PSNR 23, SSIM 0.68, consistency 55.7.
    """
    return RunSettings(
        model=ModelSettings(
            recipe="sr3",
            network=SR3NetworkSettings(),
            schedule=ScheduleSettings(kind="linear", steps=2000),
            objective=ObjectiveSettings(target="picture", prediction="eps", p=1),
            sampling=SamplingSettings(steps=2000, sampler="ddpm"),
        ),
        training=_PAPER_TRAINING,
    )


def sr4() -> RunSettings:
    """The paper's proposal (section 5.6): cosine schedule with 500 steps, residual prediction,
    multi-head attention at 8x8, the learned low-res path, learning-rate warm-up.

    Command: `sr4 train sr4 --data faces/ --out runs/sr4`. Budget: 2.56 M pictures. Score in the
    paper (16→128 faces): PSNR 23.1, SSIM 0.69, consistency 51.8.
    """
    return RunSettings(
        model=ModelSettings(
            recipe="sr4",
            network=SR4NetworkSettings(),
            schedule=ScheduleSettings(kind="cosine-table", steps=500),
            objective=ObjectiveSettings(target="residual", prediction="eps", p=1),
            sampling=SamplingSettings(steps=500, sampler="ddpm"),
        ),
        training=_PAPER_TRAINING.model_copy(update={"warmup_images": 40_000}),
    )
