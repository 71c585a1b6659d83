"""Training models that undo what corrupts low_res: settings, runs, and what the model then does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

import sr4  # noqa: E402
from sr4.config import RunSettings  # noqa: E402
from sr4.config.overrides import override  # noqa: E402
from sr4.data.corruption import PhotoCorruption  # noqa: E402
from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.errors import UsageError  # noqa: E402
from sr4.model.folder import read_config  # noqa: E402
from sr4.recipes import recipe  # noqa: E402
from sr4.recipes.distilled import distilled  # noqa: E402
from sr4.training import trainer, validation  # noqa: E402

Tiny = Callable[..., RunSettings]
Weights = Callable[[Path], dict[str, Any]]

PHOTO = {
    "model": {"objective": {"target": "residual"}, "sampling": {"consistency": False}},
    "data": {"corruption": "photo"},
}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny, source: EncodedSource) -> Path:
    """A run on corrupted pictures; never touch it."""
    out = tmp_path_factory.mktemp("real") / "run"
    trainer.train(override(tiny(), PHOTO), data=source, val=None, out=out)
    return out


def test_a_result_that_keeps_the_noise_is_refused() -> None:
    fast, photo = recipe("sr4-fast"), {"data": {"corruption": "photo"}}
    wanted = (
        r"^got data\.corruption photo with model\.objective\.target null-space, whose results "
        r"always fit low_res and so keep its noise; expected fitted-residual, residual or picture"
    )
    with pytest.raises(UsageError, match=wanted):
        override(fast, photo)
    assert override(fast, PHOTO).data.corruption == "photo"
    with pytest.raises(UsageError, match=r"setting 'data\.corruption': got 'foto'"):
        override(fast, {"data": {"corruption": "foto"}})


def test_a_resumed_run_ends_with_the_same_weights(
    real: Path, tiny: Tiny, source: EncodedSource, tmp_path: Path, weights: Weights
) -> None:
    out = tmp_path / "run"
    shutil.copytree(real, out)
    shutil.rmtree(out / "checkpoints" / f"{32:012d}")
    shutil.rmtree(out / "model")
    trainer.train(override(tiny(), PHOTO), data=source, val=None, out=out)
    whole, resumed = weights(real), weights(out)
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    clean = override(tiny(), PHOTO | {"data": {"corruption": "none"}})
    trainer.train(clean, data=source, val=None, out=tmp_path / "clean")
    other = weights(tmp_path / "clean")
    assert any(not torch.equal(whole[name], other[name]) for name in whole)


def test_the_model_says_so_and_its_student_goes_on(real: Path, finished: Path) -> None:
    config = read_config(real / "model")
    assert config.corruption == "photo"
    assert distilled(config).data.corruption == "photo"
    assert read_config(finished / "model").corruption == "none"
    assert distilled(read_config(finished / "model")).data.corruption == "none"


def test_validation_sees_corrupted_pictures(real: Path, source: EncodedSource, tiny: Tiny) -> None:
    training = tiny().training
    config = read_config(real / "model")
    clean = config.model_copy(update={"corruption": "none"})
    (ours,), (plain,) = (list(validation._batches(c, source, training)) for c in (config, clean))
    np.testing.assert_array_equal(ours.high_res, plain.high_res)
    for number, picture in enumerate(ours.high_res):
        random = np.random.default_rng([number, 4])
        expected = PhotoCorruption()(picture.astype(np.float64), sr4.Degradation(4), random)
        np.testing.assert_array_equal(ours.low_res[number], expected.low_res)
        assert ours.known[number] == expected.known


def test_results_keep_to_what_their_input_says_whatever_the_training(real: Path) -> None:
    """Pixels of an array are exact; the noise of a file would be seen, and left out."""
    model = sr4.load(real, backend="torch")
    noise = np.random.default_rng(0).integers(100, 156, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    chosen, free = (model.upscale(picture, consistency=wanted) for wanted in (None, False))
    assert chosen.consistency < 0.1 < free.consistency
    assert (chosen.evidence.kind, free.evidence.kind) == ("exact", "none")
