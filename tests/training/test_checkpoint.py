"""Checkpoints: whole or not at all, checked when read, and exact."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from sr4.errors import RunError  # noqa: E402
from sr4.files.whole import clear_leftovers  # noqa: E402
from sr4.training.checkpoint import (  # noqa: E402 - needs torch
    Checkpoint,
    list_checkpoints,
    newest_checkpoint,
    optimiser_tensors,
    restore_optimiser,
)
from tests.conftest import largest_file  # noqa: E402

PARTS = ("network", "ema", "optimiser")


def checkpoint(images: int, size: int = 5) -> Checkpoint:
    generator = torch.Generator().manual_seed(images)
    tensors: dict[str, Any] = {
        part: {"a.b": torch.randn(size, generator=generator)} for part in PARTS
    }
    return Checkpoint(images, images // 4, **tensors)


def assert_equal(one: Checkpoint, other: Checkpoint) -> None:
    assert (one.images, one.step) == (other.images, other.step)
    for part in PARTS:
        ours, theirs = getattr(one, part), getattr(other, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(tmp_path: Path) -> None:
    path = checkpoint(40).save(tmp_path, keep=2)
    assert path == tmp_path / "000000000040"
    assert_equal(Checkpoint.load(path), checkpoint(40))
    newest, complaints = newest_checkpoint(tmp_path)
    assert newest is not None
    assert_equal(newest, checkpoint(40))
    assert complaints == []


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) == (None, [])


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    for images in (8, 16, 24, 1000, 32_000):
        checkpoint(images).save(tmp_path, keep)
    kept = (8, 16, 24, 1000, 32_000)[-keep:]
    assert names(tmp_path) == [f"{images:012d}" for images in kept]


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, Path.unlink])
@pytest.mark.parametrize("name", [*(f"{part}.safetensors" for part in PARTS), "state.json"])
def test_damage_is_noticed_and_the_one_before_is_taken(
    tmp_path: Path, name: str, damage: Any
) -> None:
    checkpoint(8).save(tmp_path, keep=2)
    path = checkpoint(16).save(tmp_path, keep=2)
    damage(path / name)
    with pytest.raises(RunError, match=name) as caught:
        Checkpoint.load(path)
    assert "\n" not in str(caught.value)
    newest, (complaint,) = newest_checkpoint(tmp_path)
    assert newest is not None
    assert_equal(newest, checkpoint(8))
    assert str(path) in complaint
    assert "going on from 000000000008" in complaint


def test_a_flip_of_any_byte_is_noticed(tmp_path: Path) -> None:
    """In whatever file, at whatever place: in numbers, in keys, in white space too."""
    path = checkpoint(8).save(tmp_path, keep=1)
    for file in path.iterdir():
        data = file.read_bytes()
        for place in range(len(data)):
            file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with pytest.raises(RunError, match="damaged"):
                Checkpoint.load(path)
        file.write_bytes(data)
    assert_equal(Checkpoint.load(path), checkpoint(8))


def test_states_of_old_held_no_checksum(tmp_path: Path) -> None:
    path = checkpoint(8).save(tmp_path, keep=1)
    state = json.loads((path / "state.json").read_text())
    state = {key: state[key] for key in ("images", "step", "sha256")}
    (path / "state.json").write_text(json.dumps(state, indent=2) + "\n")
    assert_equal(Checkpoint.load(path), checkpoint(8))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"images": 1, "sha256": null}'])
def test_a_damaged_state_is_noticed(tmp_path: Path, text: str) -> None:
    path = checkpoint(8).save(tmp_path, keep=1)
    (path / "state.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        Checkpoint.load(path)


def test_a_damaged_one_does_not_count_among_those_to_keep(tmp_path: Path) -> None:
    checkpoint(8).save(tmp_path, keep=2)
    flip_a_bit(checkpoint(32).save(tmp_path, keep=2) / "ema.safetensors")
    newest_checkpoint(tmp_path)
    checkpoint(16).save(tmp_path, keep=1)
    assert names(tmp_path) == ["000000000016", "damaged-000000000032"]
    newest, complaints = newest_checkpoint(tmp_path)
    assert newest is not None
    assert newest.images == 16
    assert complaints == []


def test_a_run_does_not_start_anew_because_all_are_damaged(tmp_path: Path) -> None:
    for images in (8, 16):
        flip_a_bit(checkpoint(images).save(tmp_path, keep=2) / "network.safetensors")
    for _ in range(2):  # neither does the next start
        with pytest.raises(RunError, match="no older checkpoint is whole"):
            newest_checkpoint(tmp_path)
    assert names(tmp_path) == ["000000000008", "000000000016"]


def test_what_a_kill_leaves_is_no_checkpoint(tmp_path: Path) -> None:
    path = checkpoint(8).save(tmp_path, keep=2)
    shutil.copytree(path, tmp_path / ".000000000016.tmp")
    assert list_checkpoints(tmp_path) == [path]
    clear_leftovers(tmp_path)
    assert names(tmp_path) == [path.name]


def test_a_full_disk_costs_no_older_checkpoint(tmp_path: Path) -> None:
    checkpoint(8).save(tmp_path, keep=1)
    with largest_file(10_000), pytest.raises(RunError, match="expected room") as caught:
        checkpoint(16, size=100_000).save(tmp_path, keep=1)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["000000000008"]
    assert_equal(Checkpoint.load(tmp_path / "000000000008"), checkpoint(8))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RunError, match="cannot be written"):
        checkpoint(8).save(tmp_path / "file", keep=1)


def test_nothing_is_pickled(tmp_path: Path) -> None:
    path = checkpoint(8).save(tmp_path, keep=1)
    assert names(path) == [*sorted(f"{part}.safetensors" for part in PARTS), "state.json"]
    sums = json.loads((path / "state.json").read_text())["sha256"]
    assert sorted(sums) == sorted(f"{part}.safetensors" for part in PARTS)


def step(network: Any, optimiser: Any, seed: int) -> None:
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(seed))
    network(x).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad()


def make(fused: bool) -> tuple[Any, Any]:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    return network, torch.optim.AdamW(network.parameters(), lr=1e-2, fused=fused)


@pytest.mark.parametrize("fused", [True, False])
def test_a_restored_optimiser_goes_on_exactly(tmp_path: Path, fused: bool) -> None:
    """Also where weights, and so the moments, are channels-last: files hold them otherwise."""
    network, optimiser = make(fused)
    for seed in range(4):
        step(network, optimiser, seed)
    saved = Checkpoint(0, 0, network.state_dict(), {}, optimiser_tensors(optimiser))
    loaded = Checkpoint.load(saved.save(tmp_path, keep=1))

    other, restored = make(fused)
    other.load_state_dict(loaded.network)
    restore_optimiser(restored, loaded.optimiser)
    assert restored.state_dict()["param_groups"] == optimiser.state_dict()["param_groups"]
    assert torch.equal(other.weight, network.weight)
    for seed in range(4, 8):
        step(network, optimiser, seed)
        step(other, restored, seed)
    assert torch.equal(other.weight, network.weight)
    assert torch.equal(other.bias, network.bias)


def test_moments_of_another_network_are_refused() -> None:
    network, optimiser = make(fused=True)
    step(network, optimiser, 0)
    tensors = optimiser_tensors(optimiser)
    tensors["0.exp_avg"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match=r"\[3, 3\] for \[8, 4, 3, 3\]"):
        restore_optimiser(make(fused=True)[1], tensors)
