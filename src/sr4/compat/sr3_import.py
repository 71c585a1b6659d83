"""Model folders from checkpoints of the widely used unofficial SR3 implementation,
Image-Super-Resolution-via-Iterative-Refinement.

Its network, noise levels, order of inputs (the condition before the noisy picture), value range
[-1, 1] and ancestral sampling (variance beta~, x_0 clipped at every step) are those of the recipe
`sr3`. Two things differ, neither part of a model folder:

- Its condition is `low_res` enlarged by Pillow, which rounds and clips to 8 bits after each axis.
  Ours is the same bicubic picture without that: about a level apart at most, more only where it
  overshoots black or white.
- It makes `low_res` from the picture as it was found, we from `high_res`. For pictures that were
  larger than `high_res` the two differ a little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sr4.build import build_schedule
from sr4.compat.sr3_weights import check_file, load_sr3_unet, read_sr3_checkpoint
from sr4.config import (
    ModelConfig,
    ModelSettings,
    ScheduleSettings,
    SR3NetworkSettings,
    explain,
)
from sr4.diffusion.schedules import alpha_sigma
from sr4.errors import ModelError, reason
from sr4.files.documents import parse_json, read_bytes
from sr4.model.export import new_folder
from sr4.model.folder import save_model

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_TABLE = "alphas_cumprod"  # gamma after each step of the training schedule
_GROUPS = 32  # where its configuration names no norm_groups
# Or a string, in which // is text. One that does not end is passed over whole: to look for another
# one inside it, from each of its quotes on, would take time by the square.
_COMMENT = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"?|//[^\n]*')


class _Part(BaseModel):
    """A part of its configuration. Keys that do not matter to a result are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class _UNet(_Part):
    in_channel: Literal[6]
    out_channel: Literal[3]
    inner_channel: int
    norm_groups: int | None = None
    channel_multiplier: tuple[int, ...]
    attn_res: tuple[int, ...]
    res_blocks: int
    dropout: float


class _Schedule(_Part):
    schedule: Literal["linear", "cosine"]
    n_timestep: int
    linear_start: float | None = None
    linear_end: float | None = None


class _Schedules(_Part):
    train: _Schedule
    val: _Schedule


class _Diffusion(_Part):
    image_size: int
    channels: Literal[3]
    conditional: Literal[True]


class _Model(_Part):
    which_model_G: Literal["sr3"]
    unet: _UNet
    beta_schedule: _Schedules
    diffusion: _Diffusion


class _Dataset(_Part):
    l_resolution: int | None = Field(None, ge=1)
    r_resolution: int | None = Field(None, ge=1)


class _Datasets(_Part):
    train: _Dataset = _Dataset()
    val: _Dataset = _Dataset()


class _Configuration(_Part):
    model: _Model
    datasets: _Datasets


def import_sr3(
    checkpoint: Path,
    configuration: Path,
    out: Path,
    *,
    licence: str = "unknown",
    training_data: Sequence[str] = (),
    overwrite: bool = False,
) -> ModelConfig:
    """Write a model folder with the weights of the unofficial SR3 implementation.

    Noise schedule and number of steps are those of its validation.

    Args:
        checkpoint: its weights, `I…_E…_gen.pth`.
        configuration: the JSON file they were trained with; it may hold // comments.
        out: the new model folder; an empty one may be there.
        licence: terms of the weights.
        training_data: what they were trained on.
        overwrite: replace an existing model folder; nothing else is ever replaced.

    Returns:
        The config as written.

    Raises:
        ModelError: a file is missing, damaged, or not of a conditional SR3 model of RGB pictures;
            the two do not belong together; out exists or cannot be written.
        UsageError: the configuration contradicts itself.
        MissingExtraError: torch is not installed.
    """
    theirs = _read_configuration(configuration)
    with _explained(configuration):
        settings = ModelSettings.model_validate(_settings(theirs, configuration))
        trained = ScheduleSettings.model_validate(_schedule(theirs.model.beta_schedule.train))
    tensors = read_sr3_checkpoint(checkpoint)
    _check_schedule(tensors, trained, checkpoint)
    unet = settings.network
    assert isinstance(unet, SR3NetworkSettings)  # as _settings says
    network = load_sr3_unet(
        tensors,
        channels=unet.inner,
        multipliers=unet.multipliers,
        groups=unet.groups,
        attention_resolutions=unet.attention_resolutions,
        blocks=unet.blocks,
        image_size=settings.image_size,
    )
    weights = network.state_dict()
    _check_weights(weights, checkpoint)
    config = ModelConfig(
        **dict(settings),
        scale=settings.degradation.scale,
        size_multiple=network.size_multiple,
        description=f"SR3, imported from {checkpoint.name} of the unofficial implementation.",
        licence=licence,
        training_data=tuple(training_data),
    )
    with new_folder(out, overwrite) as folder:
        return save_model(folder, config, weights)


def _read_configuration(path: Path) -> _Configuration:
    check_file(path)
    try:
        values = parse_json(_without_comments(read_bytes(path).decode("utf-8-sig")))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: cannot be read ({reason(error)}); expected the JSON file that the checkpoint "
            "was trained with"
        ) from error
    with _explained(path):
        return _Configuration.model_validate(values)


def _without_comments(text: str) -> str:
    """JSON with // comments as JSON."""
    return _COMMENT.sub(lambda found: "" if found[0].startswith("//") else found[0], text)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn a failed validation into one line."""
    try:
        yield
    except ValidationError as error:
        raise ModelError(
            f"{path}: {explain(error, ModelSettings)}: only conditional SR3 models of RGB pictures "
            "can be imported, with linear or cosine noise"
        ) from error


def _settings(theirs: _Configuration, path: Path) -> dict[str, Any]:
    """Their configuration as `ModelSettings` name it."""
    unet = theirs.model.unet
    scale, edge = _sizes(theirs.datasets, path)
    # Attention is asked for at edges of the feature maps of an `image_size` that need not be the
    # size of the pictures; an edge that no level has is ignored.
    attending = [
        edge >> level
        for level in range(len(unet.channel_multiplier))
        if theirs.model.diffusion.image_size >> level in unet.attn_res
    ]
    return {
        "recipe": "sr3",
        "image_size": edge,
        "network": {
            "kind": "sr3",
            "inner": unet.inner_channel,
            "multipliers": unet.channel_multiplier,
            "groups": _GROUPS if unet.norm_groups is None else unet.norm_groups,
            "attention_resolutions": attending,
            "blocks": unet.res_blocks,
            "dropout": unet.dropout,
        },
        "degradation": {"scale": scale},
        "schedule": _schedule(theirs.model.beta_schedule.val),
        # It draws one step for a batch, and a level between this step and the next for each.
        "objective": {"target": "picture", "prediction": "eps", "p": 1, "noise_level": "batch"},
        "sampling": {
            "steps": theirs.model.beta_schedule.val.n_timestep,
            "sampler": "ddpm",
            "consistency": False,
        },
    }


def _sizes(datasets: _Datasets, path: Path) -> tuple[int, int]:
    """The scale, and the edge of the training pictures."""
    for data in (datasets.train, datasets.val):
        low, high = data.l_resolution, data.r_resolution
        if low is not None and high is not None:
            if high % low:
                raise ModelError(
                    f"{path}: got l_resolution {low} and r_resolution {high}; expected a whole "
                    "factor between them: only such models can be imported"
                )
            return high // low, high
    raise ModelError(
        f"{path}: names no l_resolution and r_resolution; expected both in datasets.train or "
        "datasets.val: add them"
    )


def _schedule(theirs: _Schedule) -> dict[str, Any]:
    """Their schedule as `ScheduleSettings` name it."""
    if theirs.schedule == "cosine":
        return {"kind": "cosine-table", "steps": theirs.n_timestep}
    return {
        "kind": "linear",
        "steps": theirs.n_timestep,
        "beta_start": theirs.linear_start,
        "beta_end": theirs.linear_end,
    }


def _check_schedule(tensors: Mapping[str, Tensor], trained: ScheduleSettings, path: Path) -> None:
    """Refuse weights that were trained with other noise than the configuration says. Checkpoints
    hold its table, the only trace of what shapes do not show.
    """
    schedule = build_schedule(trained)
    alpha, _ = alpha_sigma(schedule.log_snr(schedule.times(trained.steps)[-2::-1]))
    expected = alpha**2
    for name, tensor in tensors.items():
        if name.rpartition(".")[2] != _TABLE:
            continue
        found = tensor.detach().double().numpy()
        # Loose enough for tables in half precision; other schedules differ by far more.
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=5e-3):
            raise ModelError(
                f"{path}: was trained with {_table(found)}; the configuration says "
                f"{_table(expected)}: pass the one that belongs to it"
            )


def _table(gammas: NDArray[Any]) -> str:
    levels = gammas.ravel()
    return f"{levels.size} noise levels" + (f" up to gamma {levels[-1]:.3g}" if levels.size else "")


def _check_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Refuse networks for other than RGB pictures, and numbers that are none."""
    takes, gives = weights["down.0.entry.weight"].shape[1], weights["conv_out.weight"].shape[0]
    if (takes, gives) != (6, 3):
        raise ModelError(
            f"{path}: its network takes {takes} channels and gives {gives}; expected 6 and 3: only "
            "conditional models of RGB pictures can be imported"
        )
    if not all(tensor.isfinite().all() for tensor in weights.values()):
        raise ModelError(
            f"{path}: has weights that are not finite; expected numbers: take an older checkpoint "
            "of that training"
        )
