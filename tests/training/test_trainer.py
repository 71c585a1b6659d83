"""Training from end to end, with a network so small that a run takes half a second."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

torch = pytest.importorskip("torch")

from torch.optim.optimizer import register_optimizer_step_pre_hook  # noqa: E402

from sr4.build import build_degradation  # noqa: E402
from sr4.config import RunSettings, TrainingSettings  # noqa: E402
from sr4.config.overrides import override  # noqa: E402
from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.data.loader import training_batches  # noqa: E402
from sr4.data.sources import Source  # noqa: E402
from sr4.errors import DataError, RunError, UsageError  # noqa: E402
from sr4.model.diffusion_model import load_model  # noqa: E402
from sr4.model.folder import save_model  # noqa: E402
from sr4.training import books, trainer  # noqa: E402 - needs torch
from sr4.training.checkpoint import Checkpoint  # noqa: E402
from sr4.training.objectives import DenoisingObjective  # noqa: E402
from sr4.training.optimisation import learning_rate  # noqa: E402
from sr4.training.trainer import Progress, train  # noqa: E402
from sr4.training.validation import validate as validate_really  # noqa: E402

Tiny = Callable[..., RunSettings]
Weights = Callable[[Path], dict[str, Any]]
MakeSource = Callable[[NDArray[np.uint8]], EncodedSource]

pytestmark = [
    # Python 3.12 warns of fork in a process with threads, torch of more workers than cores.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def metrics(out: Path, kind: str) -> list[dict[str, Any]]:
    text = (out / "metrics.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def checkpoints(out: Path) -> list[int]:
    return sorted(int(path.name) for path in (out / "checkpoints").glob("[0-9]*"))


SAMPLES = 10  # pictures that a start looks at: all of these tests


@dataclass
class Tripwire:
    """A source that does something when a picture is read for the nth time, counted from 1."""

    source: Source
    nth: int
    action: Callable[[], None]
    reads: int = 0

    @property
    def location(self) -> str:
        return self.source.location

    @property
    def names(self) -> Sequence[str]:
        return self.source.names

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> NDArray[np.uint8]:
        self.reads += 1
        if self.reads == self.nth:
            self.action()
        return self.source.read(index)


def test_progress_is_told_from_the_start_and_between_metrics(
    tiny: Tiny, source: EncodedSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of steps that take seconds each, twenty of them are minutes."""
    monkeypatch.setattr(books, "_BETWEEN_TOLD", 0.0)
    told: list[Progress] = []
    train(tiny(), data=source, val=None, out=tmp_path, on_progress=told.append)
    assert (told[0].images, told[0].total) == (0, 32)
    assert math.isnan(told[0].loss)
    assert sorted({one.images for one in told}) == list(range(0, 33, 4))
    assert all(one.images_per_second > 0 for one in told[1:])


def test_a_run_folder_holds_all_there_is_to_know(
    tiny: Tiny, source: EncodedSource, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[Progress] = []
    summary = train(tiny(), data=source, val=source, out=tmp_path, on_progress=told.append)
    assert (summary.model, summary.images, summary.stopped) == (tmp_path / "model", 32, False)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".lock",
        "checkpoints",
        "config.yaml",
        "data.json",
        "metrics.jsonl",
        "model",
        "tensorboard",
        "validation",
    }
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == tiny().model_dump(mode="json")
    assert checkpoints(tmp_path) == [16, 32]
    last = Checkpoint.load(tmp_path / "checkpoints" / f"{32:012d}")
    assert (last.images, last.step) == (32, 8)

    (line,) = metrics(tmp_path, "train")
    assert (line["images"], line["learning_rate"]) == (32, 0)
    validations = metrics(tmp_path, "validation")
    assert [line["images"] for line in validations] == [16, 32]
    # Rounding to 8 bits leaves 1/12 of a squared level, which D averages over some 16 pixels.
    rounding = 1e5 / 12 / 255**2 / 16
    for scores in validations:
        assert 5 < scores["psnr"] < 30
        assert scores["consistency"] < 2 * rounding
    for images in (16, 32):
        with Image.open(tmp_path / "validation" / f"{images:012d}.png") as picture:
            assert picture.width > picture.height > 3 * 32

    figures = [p for p in told if p.message is None and p.images == 32]  # a slow run tells more
    assert [(p.images, p.total, p.loss) for p in figures] == [(32, 32, line["loss"])]
    assert figures[0].images_per_second > 0
    messages = [p.message for p in told if p.message is not None]
    assert [message.partition(":")[0] for message in messages] == ["validation"] * 2
    assert capfd.readouterr() == ("", "")  # neither TensorBoard nor Accelerate talks


def test_the_model_folder_holds_the_average(finished: Path, weights: Weights) -> None:
    model = load_model(finished, backend="torch", device="cpu")
    assert model.config.recipe == "sr4-fast"
    assert (model.config.training_images, model.config.scale) == (32, 4)
    assert model.config.training_data == ("data.tar (10 pictures)",)
    average = {k.removeprefix("ema/"): v for k, v in weights(finished).items() if "ema/" in k}
    assert model.config.parameters == sum(tensor.numel() for tensor in average.values())
    assert_same(dict(model.network.module.state_dict()), average)  # type: ignore[attr-defined]
    result = model.sample(np.zeros((1, 3, 8, 8), np.float32), seeds=[0], steps=1)
    assert result.shape == (1, 3, 32, 32)


def test_the_loss_falls(tiny: Tiny, make_source: MakeSource, tmp_path: Path) -> None:
    """Flat pictures leave nothing to predict but the noise, which the network can see."""
    flat = make_source(np.full((4, 32, 32, 3), 128, np.uint8))
    settings = tiny(total_images=240, learning_rate=5e-3, warmup_images=0)
    # A patch of 4x4 noisy pixels would not fit through 16 channels.
    settings = override(settings, {"model": {"network": {"patch": 2}}})
    train(settings, data=flat, val=None, out=tmp_path)
    lines = metrics(tmp_path, "train")
    assert [line["images"] for line in lines] == [80, 160, 240]
    first, second, third = (line["loss"] for line in lines)
    assert 0.5 > first > 1.2 * second > 1.3 * third


def test_the_seed_decides_the_weights(
    tiny: Tiny, source: EncodedSource, finished: Path, weights: Weights, tmp_path: Path
) -> None:
    train(tiny(), data=source, val=None, out=tmp_path / "same")
    assert_same(weights(tmp_path / "same"), weights(finished))
    train(tiny(seed=1), data=source, val=None, out=tmp_path / "other")
    name = "network/conv_in.weight"
    assert not torch.equal(weights(tmp_path / "other")[name], weights(finished)[name])


def test_a_run_begins_with_the_weights_of_another_model(
    tiny: Tiny, source: EncodedSource, finished: Path, weights: Weights, tmp_path: Path
) -> None:
    init = trainer.open_trained(finished / "model")
    still = tiny(learning_rate=1e-12, total_images=4)
    train(still, data=source, val=None, out=tmp_path / "same", init=init)
    begun = weights(tmp_path / "same")
    for name, tensor in init.state_dict().items():
        torch.testing.assert_close(begun[f"network/{name}"], tensor)
    # A part that the other model lacks begins afresh; one that it has in another shape is refused.
    aware = override(still, {"model": {"network": {"degradation_aware": True}}})
    train(aware, data=source, val=None, out=tmp_path / "aware", init=init)
    begun = weights(tmp_path / "aware")
    torch.testing.assert_close(begun["network/conv_in.weight"], init.state_dict()["conv_in.weight"])
    wider = override(still, {"model": {"network": {"widths": [24, 32]}}})
    with pytest.raises(UsageError, match=r"^got --init with a tensor '.*' of shape"):
        train(wider, data=source, val=None, out=tmp_path / "wider", init=init)
    assert not (tmp_path / "wider").exists()


def test_validation_and_reading_ahead_change_no_weight(
    tiny: Tiny, source: EncodedSource, finished: Path, weights: Weights, tmp_path: Path
) -> None:
    settings = tiny(workers=1, validate_every_images=8, save_every_images=8)
    train(settings, data=source, val=source, out=tmp_path)
    assert_same(weights(tmp_path), weights(finished))


def test_a_resumed_run_ends_with_the_same_weights(
    tiny: Tiny, source: EncodedSource, finished: Path, interrupted: Path, weights: Weights
) -> None:
    told: list[Progress] = []
    summary = train(tiny(), data=source, val=None, out=interrupted, on_progress=told.append)
    assert (summary.images, summary.stopped) == (32, False)
    assert told[0].message == "resumed at 16 pictures"
    assert_same(weights(interrupted), weights(finished))
    assert (interrupted / "model" / "model.safetensors").read_bytes() == (
        finished / "model" / "model.safetensors"
    ).read_bytes()


def test_older_checkpoints_that_a_kill_has_kept_go(
    tiny: Tiny, source: EncodedSource, run: Path
) -> None:
    """It came between a new checkpoint and the removal of the oldest."""
    shutil.copytree(run / "checkpoints" / f"{16:012d}", run / "checkpoints" / f"{8:012d}")
    train(tiny(), data=source, val=None, out=run)
    kept = sorted(int(path.name) for path in (run / "checkpoints").iterdir())
    assert kept == [16, 32]


def test_a_finished_run_can_be_made_longer(
    tiny: Tiny, source: EncodedSource, weights: Weights, tmp_path: Path
) -> None:
    """With a constant learning rate, to the weights of a run that was as long from the start."""
    for total in (16, 32):
        train(tiny(total_images=total, cooldown=0), data=source, val=None, out=tmp_path / "twice")
    train(tiny(cooldown=0), data=source, val=None, out=tmp_path / "once")
    assert_same(weights(tmp_path / "twice"), weights(tmp_path / "once"))


def test_a_finished_run_stays_as_it_is(tiny: Tiny, source: EncodedSource, run: Path) -> None:
    """But for a validation that it has not had yet."""
    before = {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*")}
    for _ in range(2):
        summary = train(tiny(), data=source, val=source, out=run)
        assert (summary.images, summary.stopped) == (32, False)
        assert [line["images"] for line in metrics(run, "train")] == [32]
        assert [line["images"] for line in metrics(run, "validation")] == [32]
    assert {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*")} == before


def test_a_damaged_newest_checkpoint_is_passed_over_aloud(
    tiny: Tiny, source: EncodedSource, finished: Path, run: Path, weights: Weights
) -> None:
    newest = run / "checkpoints" / f"{32:012d}"
    data = bytearray((newest / "ema.safetensors").read_bytes())
    data[-1] ^= 1
    (newest / "ema.safetensors").write_bytes(data)
    told: list[Progress] = []
    train(tiny(), data=source, val=None, out=run, on_progress=told.append)
    complaint = told[0].message or ""
    assert f"{newest / 'ema.safetensors'}: a damaged checkpoint" in complaint
    assert "going on from 000000000016" in complaint
    assert_same(weights(run), weights(finished))


def test_a_checkpoint_of_another_network_is_one_line(
    tiny: Tiny, source: EncodedSource, run: Path
) -> None:
    settings = override(tiny(), {"model": {"network": {"widths": [16, 48]}}})
    (run / "config.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    with pytest.raises(RunError, match="does not fit the network") as caught:
        train(settings, data=source, val=None, out=run)
    assert "\n" not in str(caught.value)


def test_another_run_is_refused_and_left_alone(
    tiny: Tiny, source: EncodedSource, make_source: MakeSource, run: Path
) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"learning_rate = 0\.002, got 0\.5"):
        train(tiny(learning_rate=0.5), data=source, val=None, out=run)
    other = make_source(np.zeros((3, 32, 32, 3), np.uint8))
    with pytest.raises(RunError, match=r"trains on 10 pictures .* got 3"):
        train(tiny(), data=other, val=None, out=run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_leaves(
    tiny: Tiny,
    source: EncodedSource,
    finished: Path,
    weights: Weights,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    # While the sixth batch is being read, far from any checkpoint that is due.
    data = Tripwire(source, SAMPLES + 22, lambda: os.kill(os.getpid(), number))
    summary = train(tiny(), data=data, val=source, out=tmp_path)
    assert (summary.images, summary.stopped) == (24, True)
    assert checkpoints(tmp_path) == [16, 24]
    model = load_model(summary.model, backend="torch", device="cpu")
    assert model.config.training_images == 24
    average = Checkpoint.load(tmp_path / "checkpoints" / f"{24:012d}").ema
    assert_same(dict(model.network.module.state_dict()), dict(average))  # type: ignore[attr-defined]
    assert signal.getsignal(number) is before

    summary = train(tiny(), data=source, val=source, out=tmp_path)
    assert (summary.images, summary.stopped) == (32, False)
    assert_same(weights(tmp_path), weights(finished))


def test_a_signal_in_the_last_step_leaves_the_last_validation_to_be_done(
    tiny: Tiny, source: EncodedSource, tmp_path: Path
) -> None:
    settings = tiny(validate_every_images=10**6)
    data = Tripwire(source, SAMPLES + 30, lambda: os.kill(os.getpid(), signal.SIGTERM))
    summary = train(settings, data=data, val=source, out=tmp_path)
    assert (summary.images, summary.stopped) == (32, True)
    summary = train(settings, data=source, val=source, out=tmp_path)
    assert (summary.images, summary.stopped) == (32, False)
    assert len(list((tmp_path / "validation").glob("*.png"))) == 1


def test_a_signal_in_the_last_save_is_told(
    tiny: Tiny, source: EncodedSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops nothing any more, but whoever has more to do must know."""

    def signalled(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        save_model(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(books, "save_model", signalled)
        summary = train(tiny(), data=source, val=None, out=tmp_path)
    assert (summary.images, summary.stopped, summary.signalled) == (32, False, True)
    summary = train(tiny(), data=source, val=None, out=tmp_path)
    assert (summary.stopped, summary.signalled) == (False, False)


@pytest.mark.parametrize(
    ("images", "total", "told"),
    [
        (16, 64, False),  # before the fall of both
        (32, 64, True),
        (16, 20, True),
        (32, 32, False),
    ],
)
def test_another_total_in_the_fall_is_told(
    tiny: Tiny, run: Path, source: EncodedSource, images: int, total: int, told: bool
) -> None:
    """The rate of these runs falls over their last quarter: from 24 pictures on, of 32."""
    if images < 32:
        shutil.rmtree(run / "checkpoints" / f"{32:012d}")
    lines: list[Progress] = []
    train(tiny(total_images=total), data=source, val=None, out=run, on_progress=lines.append)
    found = [one.message for one in lines if "learning rate falls" in (one.message or "")]
    assert len(found) == told
    if images == 32 and told:
        assert found[0] == (
            "training.total_images = 32, got 64: the learning rate falls from 48 pictures on, "
            "until now from 24, so that this run differs from one of 64 pictures from its start on"
        )


def test_a_signal_ends_a_validation(
    tiny: Tiny, source: EncodedSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one, too: the run goes on with it."""

    def validate(*arguments: Any) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate_really(*arguments)

    settings = tiny(validate_every_images=10**6)
    with monkeypatch.context() as patch:
        patch.setattr(books, "validate", validate)
        summary = train(settings, data=source, val=source, out=tmp_path)
    assert (summary.images, summary.stopped) == (32, True)
    assert not list((tmp_path / "validation").glob("*.png"))
    summary = train(settings, data=source, val=source, out=tmp_path)
    assert (summary.images, summary.stopped) == (32, False)
    assert len(list((tmp_path / "validation").glob("*.png"))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_signal_to_all_its_processes_saves_and_leaves(
    tiny: Tiny, source: EncodedSource, tmp_path: Path
) -> None:
    """Service managers and batch systems send it to those that read ahead, too."""
    told, tell = os.pipe()

    def report(progress: Progress) -> None:
        if progress.images >= 16:
            os.write(tell, b".")

    process = os.fork()
    if process == 0:
        try:
            os.setsid()
            summary = train(
                tiny(workers=1, total_images=4000),
                data=source,
                val=source,
                out=tmp_path,
                on_progress=report,
            )
            os._exit(0 if summary.stopped else 2)
        finally:
            os._exit(1)
    os.close(tell)
    os.read(told, 1)  # the first validation is done
    os.killpg(process, signal.SIGTERM)
    _, status = os.waitpid(process, 0)
    os.close(told)
    assert os.waitstatus_to_exitcode(status) == 0
    images = checkpoints(tmp_path)[-1]
    assert 16 <= images < 4000
    assert load_model(tmp_path, backend="torch").config.training_images == images


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_acts_as_usual(
    tiny: Tiny, source: EncodedSource, tmp_path: Path, first: signal.Signals
) -> None:
    """Whichever the first one was."""

    def twice() -> None:
        for number in (first, signal.SIGINT):
            signal.raise_signal(number)

    with pytest.raises(KeyboardInterrupt):
        train(tiny(), data=Tripwire(source, SAMPLES + 6, twice), val=None, out=tmp_path)


class _NaNLoss(DenoisingObjective):
    """Not a number at the sixth step."""

    def __call__(self, network: Any, batch: Any) -> Any:
        loss = super().__call__(network, batch)
        return loss * math.nan if batch.position == 20 else loss


class _NaNGradient(DenoisingObjective):
    """A finite loss with a gradient that is not a number, at the sixth step."""

    def __call__(self, network: Any, batch: Any) -> Any:
        loss = super().__call__(network, batch)
        zero = 0 * next(network.parameters()).sum()
        return loss + zero.sqrt() if batch.position == 20 else loss


@pytest.mark.parametrize(
    ("objective", "what"),
    [(_NaNLoss, "loss is nan"), (_NaNGradient, "norm of the gradient is nan")],
)
def test_a_step_that_is_not_finite_is_skipped_named_and_counted(
    tiny: Tiny,
    source: EncodedSource,
    weights: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    objective: type,
    what: str,
) -> None:
    """The weights stay as they were before it, and the run as a resumed one goes on."""
    monkeypatch.setattr(trainer, "DenoisingObjective", objective)
    settings, steps = tiny(save_every_images=4, keep_checkpoints=8), []
    told: list[Progress] = []
    with each_step(lambda optimiser: steps.append(1)):
        summary = train(settings, data=source, val=None, out=tmp_path, on_progress=told.append)
    assert len(steps) == 7
    assert (summary.images, summary.skipped_steps) == (32, 1)
    (message,) = [progress.message for progress in told if progress.message is not None]
    names = ", ".join(next(stream(settings, source, position=20)).names)
    assert message.startswith(f"step 6: the {what}, of the pictures {names}; ")
    before, after, later = (
        Checkpoint.load(tmp_path / "checkpoints" / f"{images:012d}") for images in (20, 24, 28)
    )
    for part in ("network", "ema", "optimiser"):
        assert_same(dict(getattr(before, part)), dict(getattr(after, part)))
    assert not torch.equal(after.network["conv_in.weight"], later.network["conv_in.weight"])
    assert (after.images, after.step, before.skipped, after.skipped) == (24, 6, 0, 1)
    (line,) = metrics(tmp_path, "train")
    assert line["skipped"] == 1
    assert math.isfinite(line["loss"])

    whole = weights(tmp_path)
    for images in (24, 28, 32):
        shutil.rmtree(tmp_path / "checkpoints" / f"{images:012d}")
    assert train(settings, data=source, val=None, out=tmp_path).skipped_steps == 1
    assert_same(weights(tmp_path), whole)


def test_a_run_that_is_never_finite_any_more_stops(
    tiny: Tiny, source: EncodedSource, tmp_path: Path
) -> None:
    settings = tiny(total_images=400, learning_rate=1e30, warmup_images=0, save_every_images=4)
    told: list[Progress] = []
    with pytest.raises(RunError, match=r"for 10 steps; .* lower training\.learning_rate") as caught:
        train(settings, data=source, val=None, out=tmp_path, on_progress=told.append)
    message = str(caught.value)
    assert "\n" not in message
    newest = max((tmp_path / "checkpoints").iterdir())
    assert f"the last good checkpoint: {newest})" in message
    assert all(tensor.isfinite().all() for tensor in Checkpoint.load(newest).network.values())
    assert sum("is skipped" in (progress.message or "") for progress in told) == 9


def stream(settings: RunSettings, source: Source, position: int) -> Iterator[Any]:
    return training_batches(
        source,
        degradation=build_degradation(settings.model),
        size=32,
        batch_size=4,
        seed=0,
        position=position,
    )


@contextmanager
def each_step(look: Callable[[Any], None]) -> Iterator[None]:
    """Look at the optimiser before each of its steps."""
    handle = register_optimizer_step_pre_hook(lambda optimiser, args, kwargs: look(optimiser))
    try:
        yield
    finally:
        handle.remove()


def test_gradients_are_clipped(tiny: Tiny, source: EncodedSource, tmp_path: Path) -> None:
    norms: list[float] = []

    def look(optimiser: Any) -> None:
        gradients = [parameter.grad for parameter in optimiser.param_groups[0]["params"]]
        norms.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))

    with each_step(look):
        train(tiny(clip_norm=1e-3), data=source, val=None, out=tmp_path)
    # clip_grad_norm_ divides by the norm plus 1e-6
    assert norms == pytest.approx([1e-3] * 8, rel=1e-3)


def test_each_step_takes_the_rate_of_its_position(
    tiny: Tiny, source: EncodedSource, interrupted: Path
) -> None:
    rates: list[float] = []
    with each_step(lambda optimiser: rates.append(optimiser.param_groups[0]["lr"])):
        train(tiny(), data=source, val=None, out=interrupted)
    # Constant until the last quarter of 32 pictures, then down to 0; from picture 16 on.
    assert rates == pytest.approx([2e-3, 2e-3, 2e-3, 1e-3])


def test_learning_rate_is_the_closed_form() -> None:
    training = TrainingSettings(
        total_images=1000, batch_size=10, learning_rate=0.5, warmup_images=100, cooldown=0.2
    )
    rates = [learning_rate(training, images) for images in range(0, 1001, 10)]
    assert rates[:10] == pytest.approx([0.05 * step for step in range(1, 11)])
    assert rates[10:81] == [0.5] * 71
    assert rates[80:] == pytest.approx([0.025 * step for step in range(20, -1, -1)])
    assert learning_rate(training, 1010) == 0
    plain = TrainingSettings(total_images=1000, batch_size=10, learning_rate=0.5)
    assert {learning_rate(plain, images) for images in range(0, 1000, 10)} == {0.5}


def test_bf16_trains_weights_of_float32(
    tiny: Tiny, source: EncodedSource, finished: Path, weights: Weights, tmp_path: Path
) -> None:
    """And after a run in float32 in the same process: Accelerate holds one precision for all."""
    train(tiny(precision="bf16"), data=source, val=source, out=tmp_path)
    ours, theirs = weights(tmp_path), weights(finished)
    assert {tensor.dtype for tensor in ours.values()} == {torch.float32}
    name = "network/conv_in.weight"
    assert not torch.equal(ours[name], theirs[name])
    # The first steps of Adam follow the gradient's sign, which bfloat16's three digits rarely turn.
    torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=1.6e-2)
    similarity = torch.cosine_similarity(ours[name].flatten(), theirs[name].flatten(), dim=0)
    assert similarity > 0.99


def test_a_bad_validation_picture_ends_a_run_before_it_begins(
    tiny: Tiny, source: EncodedSource, tmp_path: Path
) -> None:
    def fail() -> None:
        raise DataError("the second picture is bad")

    with pytest.raises(DataError, match="second"):
        train(tiny(), data=source, val=Tripwire(source, 2, fail), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_failed_validation_costs_no_training_and_is_made_up_for(
    tiny: Tiny, source: EncodedSource, finished: Path, weights: Weights, tmp_path: Path
) -> None:
    def fail() -> None:
        raise DataError("the disk with these pictures is gone")

    settings = tiny(validate_every_images=8, save_every_images=1000)
    val = Tripwire(source, 5, fail)  # the second of the first validation: the start reads three
    with pytest.raises(DataError, match="gone"):
        train(settings, data=source, val=val, out=tmp_path)
    assert checkpoints(tmp_path) == [8]
    train(settings, data=source, val=source, out=tmp_path)
    assert [line["images"] for line in metrics(tmp_path, "validation")] == [8, 16, 24, 32]
    assert_same(weights(tmp_path), weights(finished))


def test_pictures_that_go_away_cost_no_step(
    tiny: Tiny, source: EncodedSource, finished: Path, weights: Weights, tmp_path: Path
) -> None:
    def fail() -> None:
        raise DataError("the disk with the pictures is gone")

    with pytest.raises(DataError, match="gone"):
        train(tiny(), data=Tripwire(source, SAMPLES + 22, fail), val=None, out=tmp_path)
    assert checkpoints(tmp_path) == [16, 20]
    train(tiny(), data=source, val=None, out=tmp_path)
    assert_same(weights(tmp_path), weights(finished))


def test_bad_pictures_are_named_once_and_counted(
    tiny: Tiny, spoilt: EncodedSource, weights: Weights, tmp_path: Path
) -> None:
    """And a run that is stopped goes on, with any number of workers, as if nothing had been."""
    told: list[Progress] = []
    out = tmp_path / "whole"
    summary = train(tiny(), data=spoilt, val=None, out=out, on_progress=told.append)
    assert (summary.images, summary.bad_pictures) == (32, ("03.png",))
    (message,) = [progress.message for progress in told if progress.message is not None]
    assert message.startswith("left out: ")
    assert "03.png' cannot be decoded" in message
    assert metrics(out, "train")[0]["bad_pictures"] == 1

    for workers in (0, 1):
        again = tmp_path / f"again-{workers}"
        shutil.copytree(out, again)
        shutil.rmtree(again / "checkpoints" / f"{32:012d}")
        told.clear()
        summary = train(
            tiny(workers=workers), data=spoilt, val=None, out=again, on_progress=told.append
        )
        assert summary.bad_pictures == ("03.png",)
        assert_same(weights(again), weights(out))
        messages = [progress.message or "" for progress in told]
        assert not any("left out" in line for line in messages)  # it was met before picture 16


def test_too_many_bad_pictures_stop_a_run_which_can_go_on(
    tiny: Tiny, spoilt: EncodedSource, weights: Weights, tmp_path: Path
) -> None:
    few = override(tiny(), {"data": {"max_bad": 0}})
    with pytest.raises(DataError, match=r"03\.png.* makes 1 bad of the 10 .*max_bad=0\)") as caught:
        train(few, data=spoilt, val=None, out=tmp_path / "run")
    assert "\n" not in str(caught.value)
    train(tiny(), data=spoilt, val=None, out=tmp_path / "run")
    train(tiny(), data=spoilt, val=None, out=tmp_path / "whole")
    assert_same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


def test_excluded_pictures_train_nothing_and_are_another_run(
    tiny: Tiny, source: EncodedSource, weights: Weights, tmp_path: Path
) -> None:
    """As if they were not in the source."""
    excluded = [source.names[1], source.names[4]]
    settings = override(tiny(), {"data": {"exclude": excluded}})
    seen: set[str] = set()

    class Watched:
        location, names = source.location, source.names

        def __len__(self) -> int:
            return len(source)

        def read(self, index: int) -> Any:
            seen.add(source.names[index])
            return source.read(index)

    train(settings, data=Watched(), val=None, out=tmp_path)
    assert seen == set(source.names) - set(excluded)
    with pytest.raises(RunError, match=r"data\.exclude"):
        train(tiny(total_images=40), data=source, val=None, out=tmp_path)


def test_old_checkpoints_are_removed(tiny: Tiny, source: EncodedSource, tmp_path: Path) -> None:
    settings = tiny(save_every_images=4, keep_checkpoints=3)
    train(settings, data=source, val=None, out=tmp_path)
    assert checkpoints(tmp_path) == [24, 28, 32]
    shutil.rmtree(tmp_path / "model")
    train(settings, data=source, val=None, out=tmp_path)  # writes the model anew, nothing else
    assert checkpoints(tmp_path) == [24, 28, 32]
    assert (tmp_path / "model" / "config.json").is_file()
