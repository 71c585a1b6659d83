"""What a process makes of the environment; `tests/features/test_processes.py` starts several."""

from __future__ import annotations

from datetime import timedelta

import pytest

torch = pytest.importorskip("torch")

from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.errors import RunError, UsageError  # noqa: E402
from sr4.training import processes  # noqa: E402

ALONE = ("WORLD_SIZE", *processes._NAMED)
AT = {"RANK": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALONE:
        monkeypatch.delenv(name, raising=False)


def test_a_single_process_is_the_first_of_one() -> None:
    with processes.joined():
        assert (processes.count(), processes.rank(), processes.is_first()) == (1, 0, True)
        assert processes.anywhere(True, False) == (True, False)
        assert processes.gathered("so") == ["so"]
        assert processes.from_first(b"so") == b"so"
        one = torch.ones(2)
        assert processes.total(one) is one
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("text", ["0", "two", "-1", ""])
def test_a_wrong_number_of_processes_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(UsageError, match=f"^got WORLD_SIZE={text} in the environment; expected"):
        processes.launched()


def test_a_batch_is_shared_evenly_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "5")
    processes.check_share(20)
    with pytest.raises(UsageError, match=r"^got 5 processes .*\.batch_size 16; .* start 4, or"):
        processes.check_share(16)


def test_a_start_without_a_place_to_meet_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    message = r"^got WORLD_SIZE=2 without LOCAL_RANK in the environment; expected what torchrun"
    with pytest.raises(UsageError, match=message), processes.joined():
        pass


def test_other_ways_to_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**AT, "WORLD_SIZE": "2", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UsageError, match="with FSDP; expected"), processes.joined():
        pass


def test_nobody_where_they_should_meet_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**AT, "WORLD_SIZE": "2", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setattr(processes, "_PATIENCE", timedelta(seconds=1))
    message = r"^the 2 processes cannot meet at 127\.0\.0\.1:1 \("
    with pytest.raises(RunError, match=message) as found, processes.joined():
        pass
    assert "\n" not in str(found.value)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**AT, "WORLD_SIZE": "2", "MASTER_PORT": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match=r"^got process 2 on a machine of 1 GPUs; expected"):
        processes._meet()


def test_what_differs_between_processes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(text: str) -> list[str]:
        return [text, text, text.replace('"seed": 0', '"seed": 3')]

    monkeypatch.setattr(processes, "gathered", told)
    from sr4.training.run_folder import differences

    processes.check_alike({"seed": 1}, differences)
    message = r"^process 0 has seed = 0, got 3 in process 2; expected the same"
    with pytest.raises(UsageError, match=message):
        processes.check_alike({"seed": 0}, differences)


def test_other_training_pictures_are_a_difference(
    monkeypatch: pytest.MonkeyPatch, source: EncodedSource
) -> None:
    from sr4.data.excluding import excluding
    from sr4.recipes import recipe
    from sr4.training import trainer

    said: list[str] = []

    def told(text: str) -> list[str]:
        said.append(text)
        return [said[0], text]

    monkeypatch.setattr(processes, "gathered", told)
    settings = recipe("sr3")
    trainer._check_alike(settings, source)
    fewer = excluding(source, [source.names[-1]])
    with pytest.raises(UsageError, match=rf"pictures\.pictures = {len(source)}, got {len(fewer)};"):
        trainer._check_alike(settings, fewer)


def test_an_ablation_takes_a_single_process(
    monkeypatch: pytest.MonkeyPatch, source: EncodedSource, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("matplotlib")
    from sr4.ablation.plan import Plan
    from sr4.ablation.run import ablate

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=r"^got 2 processes"):
        ablate(Plan(), data=source, test=source, out=tmp_path_factory.mktemp("ablation"))
