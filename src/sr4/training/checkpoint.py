"""Checkpoints: written whole or not at all, checked when read, never pickled."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sr4.errors import RunError
from sr4.model import file_sha256

_STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Random numbers need no state: each step's follow from the seed and `images`.
    """

    images: int  # training pictures seen: the data position
    step: int
    network: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]

    def save(self, folder: Path, keep: int) -> Path:
        """Write a new checkpoint under folder and leave the newest `keep` there."""
        final = folder / f"{self.images:012d}"
        temporary = folder / f".{final.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            sums = {}
            for name in ("network", "ema", "optimiser"):
                path = temporary / f"{name}.safetensors"
                save_file({k: v.contiguous() for k, v in getattr(self, name).items()}, path)
                _flush(path)
                sums[path.name] = file_sha256(path)
            state = {"images": self.images, "step": self.step, "sha256": sums}
            (temporary / _STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
            _flush(temporary / _STATE)
            shutil.rmtree(final, ignore_errors=True)  # only a damaged one can have this name
            temporary.rename(final)
            _flush(folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise RunError(
                f"{final}: the checkpoint cannot be written ({error.strerror}); expected room and "
                "write access: free some space and start the run again, it goes on where it was"
            ) from error
        for old in list_checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
        return final

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            RunError: a file is missing or its checksum differs.
        """
        try:
            state = json.loads((path / _STATE).read_text(encoding="utf-8"))
            parts = {}
            for name in ("network", "ema", "optimiser"):
                file = path / f"{name}.safetensors"
                if file_sha256(file) != state["sha256"][file.name]:
                    raise RunError(f"{file}: damaged, its checksum differs from {_STATE}'s")
                parts[name] = load_file(file)
            return cls(int(state["images"]), int(state["step"]), **parts)
        except (OSError, ValueError, KeyError) as error:
            raise RunError(f"{path}: damaged checkpoint ({error})") from error


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints under a folder, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if (path / _STATE).is_file())


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors, "index.quantity"."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, quantities in state.items()
        for key, value in quantities.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        parameter = parameters[int(index)]
        if tensor.shape == parameter.shape:
            # Files hold contiguous tensors, but the fused kernels walk a parameter and its moments
            # by address: a moment in another layout than its parameter's would be scrambled.
            tensor = torch.empty_like(parameter).copy_(tensor)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _flush(path: Path) -> None:
    """Have the system put a file, or a folder's list of names, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
