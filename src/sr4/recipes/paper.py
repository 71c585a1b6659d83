"""The systems of the SR4 paper."""

from __future__ import annotations

from typing import Any, Literal

from sr4.config import (
    AttentionInputNetworkSettings,
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


_WARM_TRAINING = _PAPER_TRAINING.model_copy(update={"warmup_images": 40_000})
_LINEAR_500 = ScheduleSettings(kind="linear", steps=500)
_COSINE_500 = ScheduleSettings(kind="cosine-table", steps=500)


def _system(
    name: str,
    schedule: ScheduleSettings,
    *,
    target: Literal["picture", "residual"] = "picture",
    network: SR3NetworkSettings = SR3NetworkSettings(),  # noqa: B008 - immutable
    training: TrainingSettings = _PAPER_TRAINING,
    **objective: Any,
) -> RunSettings:
    """What all rows of Table 1 share: L1 on eps, ancestral sampling over the whole schedule."""
    return RunSettings(
        model=ModelSettings(
            recipe=name,
            network=network,
            schedule=schedule,
            objective=ObjectiveSettings(target=target, prediction="eps", p=1, **objective),
            sampling=SamplingSettings(steps=schedule.steps, sampler="ddpm", consistency=False),
        ),
        training=training,
    )


def sr3() -> RunSettings:
    """The baseline: SR3 (Saharia et al. 2021) with linear noise over 2,000 steps, the picture as
    target, L1 on eps.

    Command: `sr4 train sr3 --data faces/ --out runs/sr3`. Budget: 2.56 M pictures, 97.8 M
    parameters. Score in the paper (16→128 faces): PSNR 23, SSIM 0.68, consistency 55.7.
    """
    return _system("sr3", ScheduleSettings(kind="linear", steps=2000))


def sr3_500() -> RunSettings:
    """SR3 with the same end points of beta over 500 steps (section 6). Its noise does not reach
    the pure noise that sampling starts from (`sqrt(gamma_T)` = 0.285), and building it warns.

    Command: `sr4 train sr3-500 --data faces/ --out runs/sr3-500`. Budget as `sr3`. Score in the
    paper: PSNR 22.4, SSIM 0.66, consistency 60.4.
    """
    return _system("sr3-500", _LINEAR_500)


def sr3_500_matched() -> RunSettings:
    """Control of `sr3-500`: 500 linear steps to a last beta of 4e-2, which end in as much noise as
    the 2,000 steps of `sr3`. With the warm-up of `cosine` (`training.warmup_images`) it is the
    control of that.

    Command: `sr4 train sr3-500-matched --data faces/ --out runs/matched`. Budget as `sr3`. Not in
    the paper.
    """
    return _system("sr3-500-matched", _LINEAR_500.model_copy(update={"beta_end": 4e-2}))


def hybrid_vlb() -> RunSettings:
    """`sr3-500` with a learned-range variance, trained by 0.001 of the bound beside the simple loss
    (section 5.3, equation 8).

    Command: `sr4 train hybrid-vlb --data faces/ --out runs/hybrid`. Budget as `sr3`. Score in the
    paper: PSNR 18.6, SSIM 0.61.
    """
    return _system("hybrid-vlb", _LINEAR_500, variance="learned", vlb_weight=0.001)


def cosine() -> RunSettings:
    """The cosine schedule over 500 steps, with learning-rate warm-up (section 5.2).

    Command: `sr4 train cosine --data faces/ --out runs/cosine`. Budget as `sr3`. Score in the
    paper: PSNR 23.1, SSIM 0.69, consistency 52.3.
    """
    return _system("cosine", _COSINE_500, training=_WARM_TRAINING)


def attention_input() -> RunSettings:
    """`sr3-500` with the low-res picture multiplied by an attention map (section 5.1). Validations
    log the map's mean and spread: the paper saw 0.5 and nearly 0.

    Command: `sr4 train attention-input --data faces/ --out runs/attention`. Budget as `sr3`. Score
    in the paper: PSNR 18.8, SSIM 0.63.
    """
    return _system("attention-input", _LINEAR_500, network=AttentionInputNetworkSettings())


def residual() -> RunSettings:
    """`cosine` on `high_res - upsampled` (section 5.4, equation 9).

    Command: `sr4 train residual --data faces/ --out runs/residual`. Budget as `sr3`. Score in the
    paper: PSNR 23.1, SSIM 0.68, consistency 54.3.
    """
    return _system("residual", _COSINE_500, target="residual", training=_WARM_TRAINING)


def sr4() -> RunSettings:
    """The paper's proposal (section 5.6): cosine schedule with 500 steps, residual prediction,
    multi-head attention at 8x8, the learned low-res path, learning-rate warm-up.

    Command: `sr4 train sr4 --data faces/ --out runs/sr4`. Budget: 2.56 M pictures. Score in the
    paper (16→128 faces): PSNR 23.1, SSIM 0.69, consistency 51.8.
    """
    return _system(
        "sr4",
        _COSINE_500,
        target="residual",
        network=SR4NetworkSettings(),
        training=_WARM_TRAINING,
    )


def regression() -> RunSettings:
    """Control of all of them: the same network makes the picture in one step from the low-res one
    alone, L1 on pixels. It has the best PSNR within reach of the network, and no detail that
    low_res leaves open.

    Command: `sr4 train regression --data faces/ --out runs/regression`. Budget as `sr3`. Not in
    the paper.
    """
    return RunSettings(
        model=ModelSettings(
            recipe="regression",
            network=SR3NetworkSettings(),
            schedule=ScheduleSettings(kind="none", steps=1),
            objective=ObjectiveSettings(target="picture", prediction="x0", p=1),
            sampling=SamplingSettings(steps=1, sampler="ddim", temperature=0, consistency=False),
        ),
        training=_PAPER_TRAINING,
    )
