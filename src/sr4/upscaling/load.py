"""Ready pipelines, by the names of models."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Literal, overload

from sr4.errors import UsageError
from sr4.model.diffusion_model import load_model
from sr4.model.folder import DEFAULT_MODEL, PHOTO_MODEL, shipped_models
from sr4.upscaling.auto import AutoPipeline
from sr4.upscaling.cascade import CascadePipeline
from sr4.upscaling.pipeline import Pipeline

JOINT = "+"  # between the names of a cascade's models
AUTO = "auto"  # the name that stands for a shipped model for each picture


@overload
def load(  # type: ignore[overload-overlap]  # "auto" is a name of its own
    name: Literal["auto"] = ..., *, backend: str = ..., device: str = ..., draws: int | None = ...
) -> AutoPipeline: ...


@overload
def load(
    name: str | Path, *, backend: str = ..., device: str = ..., draws: int | None = ...
) -> Pipeline | CascadePipeline: ...


def load(
    name: str | Path = AUTO,
    *,
    backend: str = "auto",
    device: str = "auto",
    draws: int | None = None,
) -> Pipeline | CascadePipeline | AutoPipeline:
    """A ready pipeline for a model by name or folder, or a cascade of several.

    Args:
        name: a shipped model ("photo-x4" for photographs, "sr4-fast" for faces of 16x16 pixels), a
            model folder, or a run folder; or several of them, joined by "+" in the order of their
            use ("sr4-fast+runs/x4"); or "auto", the shipped one that each picture calls for.
        backend: "auto", "torch", "onnx" or "openvino"; exported models need no torch.
        device: "auto", "cpu", "cuda" or "mps", for the torch backend.
        draws: how many pictures will be drawn, if that is known: it helps "auto" to choose (see
            `sr4.runtime.open_network`).

    Raises:
        ModelError: there is no such model, or it is damaged.
        UsageError: unknown backend or device, or one that the other does not serve.
        MissingExtraError: the backend's runtime is not installed.
    """
    if name == AUTO:
        return AutoPipeline(partial(_open, backend=backend, device=device, draws=draws))
    names = model_names(name)
    opened = {one: _open(one, backend, device, draws) for one in dict.fromkeys(names)}
    stages = [opened[one] for one in names]
    return CascadePipeline(stages) if len(stages) > 1 else stages[0]


def _open(name: str, backend: str, device: str, draws: int | None = None) -> Pipeline:
    """The pipeline of one model; copies of it are on the same runtime, whatever "auto" would take
    then, and find its folder from anywhere.
    """
    model = load_model(name, backend=backend, device=device, draws=draws)
    place = name if name in shipped_models() else os.path.abspath(name)
    return Pipeline(model, partial(_open, place, model.network.name, device))


def model_names(name: str | Path) -> list[str]:
    """The models of "a+b" in the order of their use; a folder with a plus in its name is one model.

    Raises:
        UsageError: a name is missing, or is no name.
    """
    given: object = name
    if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
        raise UsageError(
            f"got the model {name!r}; expected a name, such as {PHOTO_MODEL!r}, or the folder of a "
            "model: `sr4 models` lists the names"
        )
    names = [str(name)] if os.path.isdir(name) else str(name).split(JOINT)
    if not all(names) and len(names) > 1:
        raise UsageError(
            f"got the model {str(name)!r}; expected names joined by {JOINT}, such as "
            f"{DEFAULT_MODEL}{JOINT}{DEFAULT_MODEL}"
        )
    return names


def public_name(model: str) -> str:
    """What results and services call a model, or several: a folder by its own name."""
    return JOINT.join(Path(name).name for name in model_names(model))
