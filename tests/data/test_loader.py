"""The training stream: the same bits for any number of workers and any starting position."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from sr4.data.augmentation import Augmentation  # noqa: E402
from sr4.data.corruption import SecondOrderCorruption  # noqa: E402
from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.data.loader import Batch, training_batches  # noqa: E402 - needs torch
from sr4.data.sources import open_source  # noqa: E402
from sr4.degradation import Degradation  # noqa: E402
from sr4.degradation.known import CLEAN  # noqa: E402
from sr4.errors import BadPictureError, DataError, UsageError  # noqa: E402
from sr4.pictures.pixels import quantise, to_array  # noqa: E402

Pixels = NDArray[np.uint8]
Write = Callable[[Path, Mapping[str, bytes]], Path]

pytestmark = [
    # Python 3.12 warns of fork in a process with threads, torch of more workers than cores.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


@pytest.fixture(scope="module")
def source(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], write_tar: Write
) -> EncodedSource:
    return open_source(write_tar(tmp_path_factory.mktemp("data") / "t.tar", files))


def stream(source: EncodedSource, count: int, **changes: Any) -> list[Batch]:
    settings: dict[str, Any] = {
        "degradation": Degradation(4),
        "size": 16,
        "batch_size": 3,
        "seed": 7,
        **changes,
    }
    return list(islice(training_batches(source, **settings), count))


def assert_equal(batches: list[Batch], others: list[Batch]) -> None:
    assert [batch.position for batch in batches] == [batch.position for batch in others]
    assert [batch.names for batch in batches] == [batch.names for batch in others]
    for ours, theirs in zip(batches, others, strict=True):
        assert torch.equal(ours.high_res, theirs.high_res)
        assert torch.equal(ours.low_res, theirs.low_res)
        assert torch.equal(ours.known, theirs.known)


def test_workers_and_position_change_nothing(source: EncodedSource) -> None:
    whole = stream(source, 8)
    assert [batch.position for batch in whole] == list(range(0, 24, 3))
    assert_equal(stream(source, 8, workers=2), whole)
    assert_equal(stream(source, 5, position=9), whole[3:])
    assert_equal(stream(source, 5, position=9, workers=1), whole[3:])


def test_any_position_is_a_start(source: EncodedSource) -> None:
    """Pictures depend on their position in the stream, not on how it is cut into batches."""
    whole = torch.cat([batch.high_res for batch in stream(source, 8)])
    (odd,) = stream(source, 1, position=5, batch_size=11)
    assert torch.equal(odd.high_res, whole[5:16])


@pytest.mark.parametrize("count", [2, 3, 6])
def test_processes_share_each_batch(source: EncodedSource, count: int) -> None:
    """Wherever they begin, every picture comes to one of them, at its own place in the batch."""
    whole = stream(source, 4, batch_size=6, position=2)
    shares = [
        stream(source, 4, batch_size=6, position=2, process=(index, count))
        for index in range(count)
    ]
    for batch, *parts in zip(whole, *shares, strict=True):
        rows = [row for part in parts for row in part.part.rows]
        assert sorted(rows) == list(range(6))
        assert {(part.position, part.part.of) for part in parts} == {(batch.position, 6)}
        for field in ("high_res", "low_res", "known", "is_clean"):
            together = torch.cat([getattr(part, field) for part in parts])
            assert torch.equal(together, getattr(batch, field)[rows])


def test_pieces_of_a_batch_are_its_pictures(source: EncodedSource) -> None:
    (share,) = stream(source, 1, batch_size=6, process=(1, 2))
    first, last = share.pieces(2)
    assert [(*first.part.rows,), (*last.part.rows,)] == [(1, 3), (5,)]
    assert first.names + last.names == share.names
    assert torch.equal(torch.cat([first.low_res, last.low_res]), share.low_res)


def test_an_epoch_visits_every_picture_once_in_a_new_order(source: EncodedSource) -> None:
    names = [batch.names[0] for batch in stream(source, 21, batch_size=1)]
    epochs = [names[start : start + 7] for start in (0, 7, 14)]
    for epoch in epochs:
        assert sorted(epoch) == sorted(source.names)
    assert epochs[0] != epochs[1] != epochs[2]
    expected = np.random.default_rng([7, 1]).permutation(7)
    assert epochs[1] == [source.names[index] for index in expected]


def test_the_seed_matters(source: EncodedSource) -> None:
    assert not torch.equal(stream(source, 1)[0].high_res, stream(source, 1, seed=8)[0].high_res)


def test_pixels_are_exact_crops_mirrored_half_of_the_time(
    source: EncodedSource, pictures: dict[str, Pixels]
) -> None:
    mirrored, corners = 0, set()
    for batch in stream(source, 40):
        for name, pixels in zip(batch.names, quantise(batch.high_res.numpy()), strict=True):
            views = np.lib.stride_tricks.sliding_window_view(pictures[name], (16, 16), (0, 1))
            views = views.transpose(0, 1, 3, 4, 2)  # (9, 9, 16, 16, 3)
            plain = np.argwhere((views == pixels).all(axis=(2, 3, 4)))
            turned = np.argwhere((views == pixels[:, ::-1]).all(axis=(2, 3, 4)))
            assert len(plain) + len(turned) == 1
            mirrored += len(turned)
            corners.add(tuple(np.concatenate([plain, turned])[0]))
    assert 40 <= mirrored <= 80  # of 120; the bounds are 3.7 deviations from the mean
    assert {corner[0] for corner in corners} == set(range(9))
    assert {corner[1] for corner in corners} == set(range(9))


def test_flips_do_not_move_crops(source: EncodedSource) -> None:
    both = zip(
        stream(source, 6), stream(source, 6, augmentation=Augmentation(flip=False)), strict=True
    )
    same, mirrored = 0, 0
    for flipped, plain in both:
        for ours, theirs in zip(flipped.high_res, plain.high_res, strict=True):
            same += torch.equal(ours, theirs)
            mirrored += torch.equal(ours, theirs.flip(-1))
    assert same + mirrored == 18
    assert same > 0
    assert mirrored > 0


def test_pictures_of_the_size_are_taken_as_they_are(
    source: EncodedSource, pictures: dict[str, Pixels]
) -> None:
    for batch in stream(source, 3, size=24, augmentation=Augmentation(flip=False)):
        for name, pixels in zip(batch.names, batch.high_res, strict=True):
            assert np.array_equal(pixels.numpy(), to_array(pictures[name]))


def test_low_res_is_observed_by_the_degradation(source: EncodedSource) -> None:
    (batch,) = stream(source, 1)
    assert batch.high_res.shape == (3, 3, 16, 16)
    assert batch.low_res.shape == (3, 3, 4, 4)
    assert batch.high_res.dtype == batch.low_res.dtype == torch.float32
    assert batch.high_res.is_contiguous()
    expected = Degradation(4).observe(batch.high_res.double()).float()
    assert torch.equal(batch.low_res, expected)
    # An 8-bit file of it gives the same numbers.
    assert np.array_equal(to_array(quantise(batch.low_res.numpy())), batch.low_res.numpy())


def test_clean_pictures_are_known_to_be_clean(source: EncodedSource) -> None:
    for batch in stream(source, 3):
        np.testing.assert_array_equal(batch.known, np.tile(CLEAN.vector(), (3, 1)))
        assert batch.is_clean.all()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_global_random_state_is_left_alone(source: EncodedSource, workers: int) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    stream(source, 2, workers=workers)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_end_with_the_iterator(source: EncodedSource) -> None:
    others = set(multiprocessing.active_children())
    batches = training_batches(
        source, degradation=Degradation(4), size=16, batch_size=2, seed=0, workers=2
    )
    next(batches)
    workers = set(multiprocessing.active_children()) - others
    assert len(workers) == 2
    del batches
    gc.collect()
    assert not any(worker.is_alive() for worker in workers)


class _Threads:
    """A source that answers with the number of threads of the process that reads."""

    location, names = "threads", ("only",)

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Pixels:
        return np.full((16, 16, 3), torch.get_num_threads(), np.uint8)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_worker_uses_one_thread() -> None:
    batches = training_batches(
        _Threads(), degradation=Degradation(4), size=16, batch_size=1, seed=0, workers=1
    )
    assert np.unique(quantise(next(batches).high_res.numpy())).tolist() == [1]
    batches.close()


class _Dies(_Threads):
    def read(self, index: int) -> Pixels:
        os._exit(3)


def test_a_worker_that_dies_is_reported() -> None:
    batches = training_batches(
        _Dies(), degradation=Degradation(4), size=16, batch_size=1, seed=0, workers=1
    )
    with pytest.raises(DataError, match=r"has died .*data\.workers") as caught:
        next(batches)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_pictures_are_named(
    tmp_path: Path,
    files: dict[str, bytes],
    write_folder: Write,
    png: Callable[[Pixels], bytes],
    workers: int,
) -> None:
    others = set(multiprocessing.active_children())
    good = next(iter(files.values()))
    broken = open_source(write_folder(tmp_path / "broken", {"x.png": good[:300]}))
    with pytest.raises(DataError) as caught:
        stream(broken, 1, workers=workers)
    assert str(caught.value).startswith(f"{str(tmp_path / 'broken') + ': x.png'!r} cannot be deco")
    assert "\n" not in str(caught.value)
    assert set(multiprocessing.active_children()) <= others

    small = png(np.zeros((16, 15, 3), np.uint8))
    narrow = open_source(write_folder(tmp_path / "narrow", {"y.png": small}))
    with pytest.raises(DataError, match=r"'y\.png' of .* is 15x16 pixels; .* at least 16x16"):
        stream(narrow, 1, workers=workers)


@pytest.fixture
def spoilt(tmp_path: Path, files: dict[str, bytes], write_folder: Write) -> EncodedSource:
    """The seven pictures with a truncated one in place of the third."""
    return open_source(
        write_folder(tmp_path / "spoilt", {**files, "a/1.png": files["a/1.png"][:99]})
    )


def test_the_next_good_picture_takes_the_place_of_a_bad_one(
    source: EncodedSource, spoilt: EncodedSource
) -> None:
    order = [
        index for epoch in range(3) for index in np.random.default_rng([7, epoch]).permutation(7)
    ]
    bad = source.names.index("a/1.png")
    batches = stream(spoilt, 14, batch_size=1, max_bad=0.01)
    whole = stream(source, 14, batch_size=1)
    for position, (batch, other) in enumerate(zip(batches, whole, strict=True)):
        if order[position] != bad:
            assert_equal([batch], [other])
            assert not batch.bad
            continue
        epoch, place = divmod(position, 7)
        successor = order[7 * epoch + (place + 1) % 7]  # of the same epoch
        assert batch.names == (source.names[successor],)
        assert list(batch.bad) == ["a/1.png"]
        assert "cannot be decoded" in batch.bad["a/1.png"]
    assert sum(len(batch.bad) for batch in batches) == 2


def test_bad_pictures_do_not_hang_on_workers_or_position(spoilt: EncodedSource) -> None:
    whole = stream(spoilt, 8, max_bad=0.2)
    for others in (
        stream(spoilt, 8, workers=2, max_bad=0.2),
        [*stream(spoilt, 3, max_bad=0.2), *stream(spoilt, 5, position=9, workers=1, max_bad=0.2)],
    ):
        assert_equal(others, whole)
        assert [batch.bad for batch in others] == [batch.bad for batch in whole]


def test_too_small_pictures_are_bad_too(
    tmp_path: Path, files: dict[str, bytes], write_folder: Write, png: Callable[[Pixels], bytes]
) -> None:
    small = png(np.zeros((16, 15, 3), np.uint8))
    mixed = open_source(write_folder(tmp_path / "mixed", {**files, "small.png": small}))
    batches = stream(mixed, 8, batch_size=1, max_bad=0.01)
    assert [list(batch.bad) for batch in batches if batch.bad] == [["small.png"]]
    assert sorted({name for batch in batches for name in batch.names}) == sorted(files)


@pytest.mark.parametrize(
    ("count", "share", "read", "most"),
    [
        (7, 0.01, 2, 1),  # one is always put up with
        (7, 0.3, 3, 2),
        (100, 0.07, 8, 7),  # 0.07 * 100 is above 7 by rounding
        (1000, 0.5, 64, 500),  # so many in a row are no chance
    ],
)
def test_nothing_but_bad_pictures_stops_at_once(
    count: int, share: float, read: int, most: int
) -> None:
    tried: list[int] = []

    class Hopeless(_Threads):
        names: Any = tuple(map(str, range(count)))

        def __len__(self) -> int:
            return count

        def read(self, index: int) -> Pixels:
            tried.append(index)
            raise BadPictureError(f"{index} is bad")

    hopeless: Any = Hopeless()
    with pytest.raises(
        DataError, match=f"makes {read} bad of the {count} .* at most {most} "
    ) as error:
        stream(hopeless, 1, max_bad=share)
    assert "\n" not in str(error.value)
    assert len(tried) == len(set(tried)) == read
    assert str(error.value).startswith(f"{tried[-1]} is bad")


def test_a_source_that_changes_is_no_bad_picture(
    tmp_path: Path, files: dict[str, bytes], write_folder: Write
) -> None:
    source = open_source(write_folder(tmp_path / "folder", files))
    (tmp_path / "folder" / "5.png").unlink()
    with pytest.raises(DataError, match=r"5\.png.*No such file") as caught:
        stream(source, 7, batch_size=1, max_bad=0.5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"size": 18}, {"size": 0}, {"batch_size": 0}, {"seed": -1}, {"position": -1}, {"workers": -1}],
)
def test_impossible_settings_fail_before_the_first_batch(
    source: EncodedSource, changes: dict[str, int]
) -> None:
    settings: dict[str, Any] = {"size": 16, "batch_size": 1, "seed": 0, **changes}
    with pytest.raises(UsageError, match=f"got {next(iter(changes))}"):
        training_batches(source, degradation=Degradation(4), **settings)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_declared_range_keeps_all_levels(tmp_path: Path, share: float) -> None:
    """Numbers from 0 to 10,000, of which 8 bits of their type would be 40 levels."""
    noise = np.random.default_rng(0).integers(0, 10_001, (4, 20, 20, 4)).astype(np.uint16)
    for number, pixels in enumerate(noise):
        np.save(tmp_path / f"{number}.npy", pixels)
    source = open_source(tmp_path, 4, (0, 10_000))
    augmentation = Augmentation(flip=False, share=share)
    (batch,) = stream(source, 1, batch_size=4, augmentation=augmentation, workers=1)
    numbers = (batch.high_res.double() + 1) * 5000
    assert len(torch.unique(numbers.round())) > 3000
    assert numbers.min() >= 0
    assert numbers.max() <= 10_000
    if not share:
        assert (numbers - numbers.round()).abs().max() < 1e-3
    expected = Degradation(4)(batch.high_res.double()).clip(-1, 1)
    assert torch.equal(batch.low_res, expected.float())  # not rounded to 8 bits


def test_what_cannot_be_corrupted_is_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((20, 20, 4), np.uint8))
    source = open_source(tmp_path, 4)
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"4 channels to corrupt .* leave the corruption out"):
            stream(source, 1, corruption=SecondOrderCorruption(), workers=workers)


def test_clean_pictures_among_corrupted_ones_fit_at_their_borders(source: EncodedSource) -> None:
    """Though the corruption sees more of them than is kept."""
    (batch,) = stream(source, 1, corruption=SecondOrderCorruption(clean=1.0))
    assert batch.is_clean.all()
    expected = Degradation(4).observe(batch.high_res.double()).float()
    assert torch.equal(batch.low_res, expected)
