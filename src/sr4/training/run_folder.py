"""A run's folder: resolved settings, checkpoints, metrics, TensorBoard logs, validation pictures.

config.yaml  checkpoints/  metrics.jsonl  tensorboard/  validation/  model/
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from torch.utils.tensorboard import SummaryWriter

from sr4.config import RunSettings
from sr4.errors import RunError
from sr4.images import reason
from sr4.training.checkpoint import Checkpoint, list_checkpoints

# What may change between two starts of one run: none of it touches a step's arithmetic.
_FREE = frozenset(
    f"training.{name}"
    for name in (
        "total_images",
        "save_every_images",
        "validate_every_images",
        "validation_images",
        "validation_steps",
        "keep_checkpoints",
    )
) | {"data.workers"}


class RunFolder:
    """The files of one run.

    Args:
        path: the folder; made if missing.
        settings: of this start; compared with those of the first one.

    Raises:
        RunError: the folder belongs to a run with other settings, or cannot be written.
    """

    def __init__(self, path: Path, settings: RunSettings) -> None:
        self.path = path
        self.model = path / "model"
        self.checkpoints = path / "checkpoints"
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self._settle(settings)
        except OSError as error:
            raise RunError(
                f"{path}: cannot be a run folder ({reason(error)}); expected a new or writable "
                "folder: choose another --out"
            ) from error

    def _settle(self, settings: RunSettings) -> None:
        """Write the settings, or refuse those that differ from the run's."""
        file = self.path / "config.yaml"
        new = settings.model_dump(mode="json")
        if file.exists():
            old = yaml.safe_load(file.read_text(encoding="utf-8"))
            for key, before, now in _differences(old, new):
                if key not in _FREE:
                    raise RunError(
                        f"{self.path}: this run has {key} = {before!r}, got {now!r}; expected the "
                        "same settings to resume: choose another --out for another run"
                    )
        temporary = file.with_suffix(".tmp")
        temporary.write_text(yaml.safe_dump(new, sort_keys=False), encoding="utf-8")
        temporary.replace(file)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes off this run; the system drops the lock with the process."""
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(
                    f"{self.path}: another process trains this run; expected none: wait for it, "
                    "or choose another --out"
                ) from error
            yield

    def newest_checkpoint(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest whole checkpoint, and a line for each damaged one that was passed over."""
        complaints: list[str] = []
        for path in reversed(list_checkpoints(self.checkpoints)):
            try:
                return Checkpoint.load(path), complaints
            except RunError as error:
                complaints.append(f"{error}: going on from the one before it")
        return None, complaints


class MetricsLog:
    """Metrics as JSON lines and for TensorBoard. After a resume, what lay beyond the checkpoint is
    written again, so it is dropped here.
    """

    def __init__(self, path: Path, resumed_at: int) -> None:
        file = path / "metrics.jsonl"
        kept = []
        if file.exists():
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if _is_before(line, resumed_at)]
        temporary = file.with_suffix(".tmp")
        temporary.write_text("".join(kept), encoding="utf-8")
        temporary.replace(file)
        self._file = file.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(path / "tensorboard"), purge_step=resumed_at)

    def write(self, images: int, kind: str, values: Mapping[str, float]) -> None:
        """One line of metrics at a data position; kind is "train" or "validation"."""
        self._file.write(json.dumps({"images": images, "kind": kind, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, images)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._board.close()


def _is_before(line: str, images: int) -> bool:
    try:
        return int(json.loads(line)["images"]) <= images
    except (ValueError, KeyError):
        return False  # the last line of a killed process may be cut off


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(old.keys() | new.keys()):
        before, now = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            yield prefix + key, before, now
