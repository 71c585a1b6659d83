"""What the driver makes of what workers tell, and of workers that die."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sr4.batch.events import (
    Advanced,
    Cancelled,
    Done,
    Event,
    Failed,
    ModelReady,
    Planned,
    Skipped,
    Started,
)
from sr4.cluster import bulk, worker
from sr4.cluster.worker import Chunk, Told
from sr4.errors import ClusterError
from tests.batch.conftest import smooth, upscale
from tests.cluster.conftest import Nearby

__all__ = ["upscale"]

Spread = Callable[..., list[Event]]


@pytest.fixture
def place(folder: Callable[..., Path]) -> Path:
    return folder(**{f"p{number:02}": (8, 8) for number in range(24)})


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def done(events: list[Event]) -> list[str]:
    return [event.picture.source.name for event in events if isinstance(event, Done)]


def test_it_tells_and_writes_what_one_machine_does(
    spread: Spread, upscale: Callable[..., list[Event]], place: Path, tmp_path: Path
) -> None:
    (place / "bad.png").write_bytes(b"no picture")
    events = spread(place, cluster := Nearby())
    assert cluster.rounds == [[3] * 8 + [1]]
    (planned,) = (event for event in events if isinstance(event, Planned))
    ours = {id(one) for one in planned.pictures}
    for event in events:  # about the very pictures that were planned
        if isinstance(event, (Started, Advanced)):
            assert {id(one) for one in event.pictures} <= ours
        if isinstance(event, (Done, Failed)):
            assert id(event.picture) in ours
    (failure,) = (event for event in events if isinstance(event, Failed))
    assert "'bad.png' is not" in failure.error.replace(f"{place}/", "")
    (ready,) = (event for event in events if isinstance(event, ModelReady))
    assert (ready.backend, len(ready.pictures)) == ("torch", 24)
    found = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "spread")
    plain = upscale(place)
    assert contents(tmp_path / "out") == found
    assert sorted(done(plain)) == sorted(done(events))


def test_progress_never_goes_back(spread: Spread, place: Path) -> None:
    shares = [event.share_of_all for event in spread(place, Nearby()) if type(event) is Advanced]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1


def test_what_is_done_is_not_done_again(spread: Spread, place: Path, tmp_path: Path) -> None:
    spread(place, Nearby())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    (tmp_path / "out/p03.png").unlink()
    events = spread(place, Nearby())
    assert done(events) == ["p03.png"]
    (skipped,) = (event for event in events if isinstance(event, Skipped))
    assert len(skipped.pictures) == 23
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert {path for path in before if before[path] != after[path]} == {tmp_path / "out/p03.png"}


def test_a_file_of_others_is_a_failure_of_one(spread: Spread, place: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    smooth().save(tmp_path / "out/p05.png")
    events = spread(place, Nearby())
    (failure,) = (event for event in events if isinstance(event, Failed))
    assert "exists already" in failure.error
    assert len(done(events)) == 23
    assert len(done(spread(place, Nearby(), overwrite=True))) == 24


def test_what_a_dead_worker_had_is_done_by_another(
    spread: Spread, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_PAUSE", 0.0)  # a message for each event
    deaths: list[Chunk] = []

    def dies(chunk: Chunk, told: Told) -> bool:
        if not deaths and chunk.number == 2 and any(type(one) is Done for one in told.events):
            deaths.append(chunk)  # what it told last is lost on the way
        return bool(deaths) and chunk is deaths[0]

    events = spread(place, cluster := Nearby(dies))
    assert cluster.rounds == [[3] * 8, [1] * 3]
    (skipped,) = (event for event in events if isinstance(event, Skipped))
    assert len(skipped.pictures) + len(done(events)) == 24
    assert len(set(done(events))) == len(done(events))
    assert len(contents(tmp_path / "out")) == 24


def test_a_picture_that_kills_costs_itself(spread: Spread, place: Path, tmp_path: Path) -> None:
    def dies(chunk: Chunk, told: Told) -> bool:
        return any(picture.source.name == "p07.png" for picture in chunk.pictures)

    # Nothing of it was written, as a worker that dies before has it.
    def kill(*words: object) -> bool:
        (tmp_path / "out/p07.png").unlink(missing_ok=True)
        return dies(*words)  # type: ignore[arg-type]

    events = spread(place, cluster := Nearby(kill))
    assert cluster.rounds == [[3] * 8, [1] * 3, [1]]
    (failure,) = (event for event in events if isinstance(event, Failed))
    assert failure.picture is not None
    assert failure.picture.source.name == "p07.png"
    assert failure.error.startswith("its worker was killed 2 times")
    skipped = sum(len(event.pictures) for event in events if isinstance(event, Skipped))
    assert len(done(events)) + skipped == 23


def test_a_worker_that_refuses_ends_the_call(
    spread: Spread, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_take_place", refuse)
    with pytest.raises(ClusterError, match="not here"):
        spread(place, Nearby())


def refuse(*_: object) -> None:
    raise ClusterError("not here")


def test_a_cancelled_call_ends_in_order(
    spread: Spread, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_WAKE", 0.0)
    cluster = Nearby()
    asked: list[bool] = []

    def is_cancelled() -> bool:
        if len(list((tmp_path / "out").glob("*.png"))) >= 6 and not asked:
            asked.append(True)
            cluster.stop()
        return bool(asked)

    events = spread(place, cluster, is_cancelled=is_cancelled)
    (cancelled,) = (event for event in events if isinstance(event, Cancelled))
    assert len(cancelled.pictures) + len(done(events)) == 24
    assert sorted(done(events)) == sorted(contents(tmp_path / "out"))
    assert 6 <= len(done(events)) < 24
