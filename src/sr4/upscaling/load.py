"""Ready pipelines, by the names of models."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from sr4.errors import UsageError
from sr4.model.diffusion_model import load_model
from sr4.model.folder import DEFAULT_MODEL, shipped_models
from sr4.upscaling.cascade import CascadePipeline
from sr4.upscaling.pipeline import Pipeline

JOINT = "+"  # between the names of a cascade's models


def load(
    name: str | Path = DEFAULT_MODEL,
    *,
    backend: str = "auto",
    device: str = "auto",
    draws: int | None = None,
) -> Pipeline | CascadePipeline:
    """A ready pipeline for a model by name or folder, or a cascade of several.

    Args:
        name: a shipped model ("sr4-fast"), a model folder, or a run folder; or several of them,
            joined by "+" in the order of their use ("sr4-fast+runs/x4").
        backend: "auto", "torch", "onnx" or "openvino"; exported models need no torch.
        device: "auto", "cpu", "cuda" or "mps", for the torch backend.
        draws: how many pictures will be drawn, if that is known: it helps "auto" to choose (see
            `sr4.runtime.open_network`).

    Raises:
        ModelError: there is no such model, or it is damaged.
        UsageError: unknown backend or device, or one that the other does not serve.
        MissingExtraError: the backend's runtime is not installed.
    """
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
        UsageError: a name is missing.
    """
    names = [str(name)] if os.path.isdir(name) else str(name).split(JOINT)
    if not all(names) and len(names) > 1:
        raise UsageError(
            f"got the model {str(name)!r}; expected names joined by {JOINT}, such as "
            f"{DEFAULT_MODEL}{JOINT}{DEFAULT_MODEL}"
        )
    return names
