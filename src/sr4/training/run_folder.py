"""A run's folder: resolved settings, checkpoints, metrics, TensorBoard logs, validation pictures.

config.yaml  data.json  checkpoints/  metrics.jsonl  tensorboard/  validation/  model/
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import yaml
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from sr4.config import RunSettings
from sr4.config.overrides import override
from sr4.data.sources import Source
from sr4.errors import BadPictureError, RunError, UsageError, reason
from sr4.files.kinds import FolderKind, fields, holds
from sr4.files.whole import clear_leftovers, write_text
from sr4.training.checkpoint import list_checkpoints, writing

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[str]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(file: IO[str]) -> bool:
        try:
            # Not flock: forked processes that read ahead would hold on to that for some seconds
            # after this one has been killed, and a restart would be refused.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # some network file systems have no locks: there, nobody guards the run
            return True
        return True


@contextmanager
def locked(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes off a folder; the system drops the lock with the process.

    Args:
        doing: what the other process does, for the message: "trains this run".

    Raises:
        RunError: another process holds the lock.
    """
    path = folder / ".lock"
    with writing(path):
        file = path.open("a", encoding="utf-8")  # what others keep there stays
    with file:
        if not _take(file):
            raise RunError(
                f"{folder}: another process {doing}; expected none: wait for it, or choose "
                "another --out"
            )
        yield


# What may change between two starts of one run: none of it touches what a step computes, but for
# the order of its sums, and for the learning rate where that falls towards total_images: then a
# start says so.
_FREE = frozenset(
    f"training.{name}"
    for name in (
        "total_images",
        "save_every_images",
        "validate_every_images",
        "validation_images",
        "validation_steps",
        "keep_checkpoints",
        "microbatch",
    )
) | {"data.workers", "data.max_bad"}
CHECKPOINTS, CONFIG = "checkpoints", "config.yaml"
VALIDATION_PICTURES = "validation"
_SAMPLES = 16  # pictures looked at when a run starts
_SHOWN = 3  # differences named in one message
_ADVICE = "expected what the run's first start wrote: bring back a copy, or choose another --out"


def _is_run(folder: Path) -> bool:
    """Whether a run has recorded its settings or its pictures in a folder."""
    settings = fields(folder / CONFIG)
    model, training = settings.get("model"), settings.get("training")
    return holds("data.json", "location", "pictures", "sha256")(folder) or (
        isinstance(model, Mapping)
        and isinstance(training, Mapping)
        and model.keys() >= {"network", "degradation", "objective"}
        and training.keys() >= {"total_images", "batch_size"}
    )


RUN = FolderKind("holds files, but no run", _is_run, RunError, first=(".lock", "checkpoints"))


class RunFolder:
    """The files of one run.

    Attributes:
        before: the settings of the start before, once it is settled; None for a new run.

    Args:
        path: the folder; made if missing.

    Raises:
        RunError: it cannot be made, or holds files of others.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before: RunSettings | None = None
        self.model = path / "model"
        self.checkpoints = path / CHECKPOINTS
        try:
            RUN.check_lasting(path)
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{path}: cannot be a run folder ({reason(error)}); expected a new or writable "
                "folder: choose another --out"
            ) from error

    def settle(self, settings: RunSettings, data: Source) -> None:
        """Record settings and training pictures, or refuse others than those of the run so far.

        A run without a checkpoint has nothing to go on from and takes any.

        Raises:
            RunError: names what differs.
        """
        clear_leftovers(self.path)
        config, pictures = self.path / CONFIG, self.path / "data.json"
        found = {**fingerprint(data), "samples": sampled(data)}
        if list_checkpoints(self.checkpoints):
            if config.exists():
                self.before = recorded_settings(self.path, settings)
                self._refuse_other_settings(self.before, settings)
            if pictures.exists():
                self._refuse_other_pictures(_read(pictures, json.loads), found)
        with writing(config):
            write_text(config, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
        with writing(pictures):
            write_text(pictures, json.dumps(found, indent=2) + "\n")

    def _refuse_other_settings(self, before: RunSettings, settings: RunSettings) -> None:
        if changed := changed_settings(before, settings):
            more = f" (and {len(changed) - _SHOWN} more)" if len(changed) > _SHOWN else ""
            raise RunError(
                f"{self.path}: this run has {'; '.join(changed[:_SHOWN])}{more}; expected the "
                "same settings to resume: choose another --out for another run"
            )

    def _refuse_other_pictures(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        if (old.get("pictures"), old.get("sha256")) != (new["pictures"], new["sha256"]):
            raise RunError(
                f"{self.path}: this run trains on {old.get('pictures')} pictures of "
                f"{old.get('location')!r}, got {new['pictures']} of {new['location']!r}; expected "
                "the same names in the same order to resume: choose another --out for another run"
            )
        samples = old.get("samples", {})  # a run of an older version has none
        changed = [
            name for name, digest in samples.items() if new["samples"].get(name, digest) != digest
        ]
        if changed:
            raise RunError(
                f"{self.path}: {changed[0]!r} of {new['location']!r} is another picture than when "
                f"the run began, as are {len(changed) - 1} of {len(samples) - 1} others looked at; "
                "expected the same ones to resume: bring them back, choose another --out, or "
                f"delete {self.path / 'data.json'} to go on with these"
            )


def recorded_settings(run: Path, settings: RunSettings) -> RunSettings:
    """The settings in a run's config.yaml. Those that an older version did not know yet are taken
    from the given ones.

    Raises:
        RunError: they cannot be read, or are not those of a run.
    """
    try:
        return override(settings, _read(run / CONFIG, yaml.safe_load))
    except UsageError as error:
        raise RunError(
            f"{run}: its {CONFIG} does not fit this version of sr4 ({error}); expected the "
            "settings of a run: choose another --out"
        ) from error


def changed_settings(before: RunSettings, settings: RunSettings) -> list[str]:
    """What differs and must not between two starts of one run, "key = old, got new" each."""
    return [
        f"{key} = {was!r}, got {now!r}"
        for key, was, now in _differences(before.model_dump(), settings.model_dump())
        if key not in _FREE
    ]


class MetricsLog:
    """Metrics as JSON lines and for TensorBoard.

    After a resume, what lay beyond the checkpoint is written again, so it is dropped here.
    """

    def __init__(self, path: Path, resumed_at: int) -> None:
        self._path = path / "metrics.jsonl"
        with writing(self._path), ExitStack() as files:
            lines: list[str] = []
            if self._path.exists():
                text = self._path.read_text(encoding="utf-8", errors="replace")
                lines = [line for line in text.splitlines() if 0 <= _position(line) <= resumed_at]
            write_text(self._path, "".join(f"{line}\n" for line in lines))
            self._file = files.enter_context(self._path.open("a", encoding="utf-8"))
            # TensorBoard, too, hides what was logged at this position or later.
            board = files.enter_context(_board_file(path / "tensorboard"))
            self._board = _Board(board, purge_from=resumed_at + 1)
            self._files = files.pop_all()
        self.validated_at = max((_position(line, "validation") for line in lines), default=-1)

    def write(self, images: int, kind: str, values: Mapping[str, float]) -> None:
        """One line of metrics at a data position; kind is "train" or "validation"."""
        with writing(self._path):
            self._file.write(json.dumps({"images": images, "kind": kind, **values}) + "\n")
            self._file.flush()
            self._board.write(images, {f"{kind}/{name}": value for name, value in values.items()})
        if kind == "validation":
            self.validated_at = images

    def close(self) -> None:
        """Close the files."""
        with writing(self._path):
            self._files.close()


_starts = itertools.count()


def _board_file(folder: Path) -> BinaryIO:
    """A new file with a name that TensorBoard looks for."""
    folder.mkdir(exist_ok=True)
    place = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_starts)}"
    return (folder / f"events.out.tfevents.{place}").open("xb")


class _Board:
    """Scalars for TensorBoard. SummaryWriter would write them in a thread, which answers a full
    disk with a traceback.
    """

    def __init__(self, file: BinaryIO, purge_from: int) -> None:
        self._records = RecordWriter(file)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=purge_from, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._add(Event(step=step, summary=Summary(value=values)))

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, each with "images", "kind" and figures; none if the run
    has not begun. A last line that a killed process has cut off is left out.

    Raises:
        RunError: the file cannot be read.
    """
    path = run / "metrics.jsonl"
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({reason(error)}); {_ADVICE}") from error
    return [json.loads(line) for line in text.splitlines() if _position(line) >= 0]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two nested mappings, "key = old, got new" each."""
    return [f"{key} = {was!r}, got {now!r}" for key, was, now in _differences(old, new)]


def _position(line: str, kind: str | None = None) -> int:
    """The data position of a line of metrics; -1 for a line of another kind, or one that a killed
    process has cut off.
    """
    try:
        values = json.loads(line)
        return int(values["images"]) if kind in (None, values["kind"]) else -1
    except (ValueError, OverflowError, KeyError, TypeError, RecursionError):
        return -1


def fingerprint(data: Source) -> dict[str, Any]:
    """What the order of a run's training pictures depends on: their number and names."""
    digest = hashlib.sha256()
    for name in data.names:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return {"location": data.location, "pictures": len(data), "sha256": digest.hexdigest()}


def sampled(data: Source) -> dict[str, str]:
    """Checksums of the pixels of a few pictures, by name: names alone do not tell a source from
    another that took its place.
    """
    digests = {}
    for index in dict.fromkeys(np.linspace(0, len(data) - 1, _SAMPLES).astype(int).tolist()):
        try:
            digests[data.names[index]] = hashlib.sha256(data.read(index).tobytes()).hexdigest()
        except BadPictureError:
            continue  # it may be repaired, or have come to harm: the others can go on
    return digests


def _read(path: Path, parse: Any) -> Mapping[str, Any]:
    """The mapping in a file."""
    try:
        values = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RunError(f"{path}: cannot be read ({reason(error)}); {_ADVICE}") from error
    if not isinstance(values, Mapping):
        raise RunError(f"{path}: holds {type(values).__name__}; {_ADVICE}")
    return values


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(old.keys() | new.keys()):
        before, now = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            yield prefix + key, before, now
