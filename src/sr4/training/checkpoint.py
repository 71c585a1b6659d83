"""Checkpoints: written whole or not at all, checked when read, never pickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save, save_file
from torch import Tensor

from sr4.errors import PictureError, RunError, reason
from sr4.files.documents import parse_json, read_bytes
from sr4.files.whole import file_sha256, remove_folder, replaced_folder

_STATE = "state.json"
_PARTS = ("network", "ema", "optimiser")
_KEYS_OF_OLD = {"images", "step", "sha256"}


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
    skipped: int = 0  # steps whose loss or gradient was not finite
    bad_pictures: Mapping[str, str] = field(default_factory=dict)  # what is wrong, by name

    def save(self, folder: Path, keep: int) -> Path:
        """Write a new checkpoint under folder and leave the newest `keep` there.

        Raises:
            RunError: the disk is full or the folder cannot be written; older ones stay.
        """
        final = folder / f"{self.images:012d}"
        with writing(final), replaced_folder(final) as new:  # only fragments can have this name
            self._write(new)
        remove_older(folder, keep)
        return final

    def _write(self, folder: Path) -> None:
        sums = {}
        for name in _PARTS:
            path = folder / f"{name}.safetensors"
            save_file({k: v.contiguous() for k, v in getattr(self, name).items()}, path)
            sums[path.name] = file_sha256(path)
        state = {**self._counts(), "sha256": sums}
        (folder / _STATE).write_text(_signed(state), encoding="utf-8")

    def _counts(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "step": self.step,
            "skipped": self.skipped,
            "bad_pictures": dict(self.bad_pictures),
        }

    def exchanged(self, exchange: Callable[[bytes], bytes]) -> Checkpoint:
        """The checkpoint that comes of an exchange of the bytes of each of its parts."""
        counts = json.loads(exchange(json.dumps(self._counts()).encode()))
        parts: dict[str, Any] = {
            name: load(exchange(save({k: v.contiguous() for k, v in getattr(self, name).items()})))
            for name in _PARTS
        }
        return Checkpoint(**counts, **parts)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            RunError: a file is missing or its checksum differs.
        """
        file = path / _STATE
        try:
            state = _verified(read_bytes(file).decode())
            parts = {}
            for name in _PARTS:
                file = path / f"{name}.safetensors"
                if file_sha256(file) != state["sha256"][file.name]:
                    raise ValueError(f"its checksum differs from the one in {_STATE}")
                parts[name] = load_file(file)
            return cls(
                int(state["images"]),
                int(state["step"]),
                **parts,
                skipped=int(state.get("skipped", 0)),
                bad_pictures=dict(state.get("bad_pictures", {})),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise RunError(f"{file}: a damaged checkpoint ({reason(error)})") from error


def _signed(state: Mapping[str, Any]) -> str:
    """The text of a state file, which holds a checksum of all else in it."""
    digest = hashlib.sha256(_text(state).encode("utf-8")).hexdigest()
    return _text({**state, "checksum": digest})


def _verified(text: str) -> dict[str, Any]:
    """What such a text says.

    Raises:
        ValueError: it is not, to the byte, what was written.
    """
    state: dict[str, Any] = parse_json(text)
    is_of_old = state.keys() == _KEYS_OF_OLD  # when it held no checksum
    whole = {key: value for key, value in state.items() if key != "checksum"}
    if text != (_text(state) if is_of_old else _signed(whole)):
        raise ValueError("its checksum differs from what it holds")
    return state


def _text(state: Mapping[str, Any]) -> str:
    return json.dumps(state, indent=2) + "\n"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints under a folder, damaged ones too, oldest first."""
    return sorted(folder.glob("[0-9]*"))


def remove_older(folder: Path, keep: int) -> None:
    """Leave the newest `keep` checkpoints under a folder.

    Raises:
        RunError: the folder cannot be written.
    """
    with writing(folder):
        for old in list_checkpoints(folder)[:-keep]:
            remove_folder(old)


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, and a line for each damaged one that was passed over.

    The damaged ones are renamed, so that they do not count among those to keep.

    Raises:
        RunError: there are checkpoints, but all are damaged.
    """
    damaged: list[Path] = []
    complaints: list[str] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            checkpoint = Checkpoint.load(path)
        except RunError as error:
            damaged.append(path)
            complaints.append(str(error))
            continue
        with writing(folder):
            for other in damaged:
                aside = other.with_name(f"damaged-{other.name}")
                if aside.exists():
                    remove_folder(aside)
                other.rename(aside)
        return checkpoint, [f"{line}: set aside, going on from {path.name}" for line in complaints]
    if complaints:
        raise RunError(
            f"{complaints[0]}, and no older checkpoint is whole; expected one: bring back a copy "
            f"of {folder}, or delete it to train from the start"
        )
    return None, []


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says to a failed write into a `RunError` of one line."""
    try:
        yield
    except (OSError, SafetensorError, PictureError) as error:
        cause = error.__cause__ if isinstance(error, PictureError) else None
        raise RunError(
            f"{path}: cannot be written ({reason(cause or error)}); expected room and write "
            "access: make some and start the run again, it goes on from its last checkpoint"
        ) from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors, "index.quantity"."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, quantities in state.items()
        for key, value in quantities.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`.

    Raises:
        ValueError, LookupError: the state is that of other parameters.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        if key != "step":
            parameter = parameters[int(index)]
            if tensor.shape != parameter.shape:
                raise ValueError(
                    f"{key} of shape {[*tensor.shape]} for {[*parameter.shape]} weights"
                )
            # Files hold contiguous tensors, but the fused kernels walk a parameter and its moments
            # by address: a moment in another layout than its parameter's would be scrambled.
            tensor = torch.empty_like(parameter).copy_(tensor)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
