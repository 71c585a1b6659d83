"""A cluster of one worker inside this process, whose death can be had."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sr4.batch.events import Event
from sr4.batch.options import UpscaleOptions
from sr4.batch.plan import PlannedPicture, plan_pictures
from sr4.cluster import bulk
from sr4.cluster.worker import Chunk, Order, Told, Worker
from tests.batch.conftest import folder, smooth

__all__ = ["folder", "smooth"]


class Nearby:
    """What the driver sees of a cluster.

    Args:
        dies: whether a worker dies once it has told of a chunk, so many messages of it.
    """

    workers = 1

    def __init__(self, dies: Callable[[Chunk, Told], bool] = lambda *_: False) -> None:
        self._dies = dies
        self.rounds: list[list[int]] = []  # the pictures of each chunk
        self.when_stopped: list[Callable[[], None]] = []

    def stop(self) -> None:
        for do in self.when_stopped:
            do()

    def run(self, order: Order, chunks: Sequence[Chunk]) -> Generator[Told, None, None]:
        self.rounds.append([len(one.pictures) for one in chunks])
        worker = Worker(order, lambda: 1.0, self.when_stopped.append)
        for chunk in chunks:
            for row in worker({"chunk": chunk}):
                if self._dies(chunk, row["told"]):
                    break
                yield row["told"]


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers bound the threads of their process, which is this one here."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))


@pytest.fixture
def options(tiny_model: Path) -> UpscaleOptions:
    return UpscaleOptions(model=str(tiny_model))


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[Path], tuple[PlannedPicture, ...]]:
    """The pictures of a folder, with what exists left to workers."""

    def plan(place: Path) -> tuple[PlannedPicture, ...]:
        return tuple(plan_pictures([str(place)], tmp_path / "out", made=None).pictures)

    return plan


@pytest.fixture
def spread(
    options: UpscaleOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[Event]]:
    """All events of a call for a folder on a `Nearby`."""

    def call(place: Path, cluster: Nearby, **words: Any) -> list[Event]:
        @contextmanager
        def joined(*_: object) -> Iterator[Nearby]:
            yield cluster

        monkeypatch.setattr(bulk, "joined", joined)
        plan = plan_pictures([str(place)], tmp_path / "out", made=None)
        events = bulk.upscale_on_cluster(plan, options, address="auto", backend="torch", **words)
        return list(events)

    return call
