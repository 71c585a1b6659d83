"""Train the named systems with the same pictures, order, budget and seed, once or with several
seeds; score them on the same pictures with the same noise.

    OUT/ablation.json     what the ablation is: refused to be changed later
    OUT/runs/RECIPE/      run folders of the training; RECIPE-seed-1 and so on of further seeds
    OUT/scores/*.json     evaluations that are done
    OUT/samples/          what the page shows
    OUT/results.json README.md index.html figures/

The last line and `ablation.json` are enough to go on with further runs, on any machine.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sr4.ablation.joining import copy_samples, joined_runs
from sr4.ablation.page import write_page
from sr4.ablation.plan import Plan, judged_steps, numbers_of_steps, recorded, settle
from sr4.ablation.results import (
    RESULTS,
    SAMPLES,
    CurvePoint,
    LossPoint,
    Results,
    Row,
    Score,
    points,
    read_results,
)
from sr4.ablation.samples import forget_samples, write_halfway, write_inputs, write_samples
from sr4.ablation.scores import (
    forget_scores,
    key,
    machine,
    read_score,
    score_of,
    versions,
    write_score,
)
from sr4.build import build_degradation
from sr4.config import RunSettings
from sr4.data.resized import ResizedSource
from sr4.data.sources import Source
from sr4.errors import DataError
from sr4.evaluation.evaluate import BicubicUpscaler, Upscaler, evaluate
from sr4.evaluation.features import InceptionV3
from sr4.evaluation.optional import require
from sr4.model.diffusion_model import DiffusionModel
from sr4.model.folder import find_model, read_config, weights_checksum
from sr4.runtime.torch_backend import TorchNetwork
from sr4.training.checkpoint import writing
from sr4.training.plan import describe
from sr4.training.processes import check_alone
from sr4.training.run_folder import (
    CONFIG,
    VALIDATION_PICTURES,
    changed_settings,
    locked,
    read_metrics,
    recorded_settings,
)
from sr4.training.trainer import train

SCORES = "scores"
_BATCH = 32  # pictures at a time when scoring


class Progress(NamedTuple):
    """What `on_progress` sees; a message is about an event."""

    doing: str
    done: float
    total: int
    message: str | None = None


OnProgress = Callable[[Progress], None]


def ablate(
    plan: Plan,
    *,
    data: Source,
    test: Source,
    val: Source | None = None,
    show: Source | None = None,
    out: Path,
    join: Sequence[Path] = (),
    inception: InceptionV3 | None = None,
    on_progress: OnProgress | None = None,
) -> Results | None:
    """Run a plan, or go on with it: what is done is not done again, wherever it was stopped. What
    `results.json` holds counts as done, without its training and its model.

    After each run, `results.json`, the table and the page are those of all runs so far; every
    system has its first run before any has its second.

    Args:
        plan: more recipes and seeds may be added to it when it goes on; all else must stay.
        data: training pictures, at least as large as the size's; larger ones are cropped to
            their central square and resized.
        test: test pictures, in the same way.
        val: pictures for the learning curves; those of the test if None: nothing is chosen by
            them.
        show: pictures for the sample grids; the first of the test if None.
        out: the folder.
        join: folders of ablations with the same pictures and settings, whose finished runs count
            as done, so that several processes or machines share the work.
        inception: what FID and KID are computed with; None leaves them out. Systems that were
            scored without are scored again.

    Returns:
        The results, or None if a signal (SIGTERM or SIGINT) has stopped it: it can go on.

    Raises:
        UsageError: an unknown recipe or setting, an impossible value.
        RunError: the folder is that of another ablation, in use, or cannot be written.
        DataError: a picture cannot be used.
    """
    check_alone()
    for package in ("matplotlib", "jinja2"):  # the page comes last: better to know now
        require(package, what="the page of an ablation", package=package)
    runs = [(name, seed, plan.settings(name, seed)) for name, seed in plan.runs]
    edge = runs[0][2].model.image_size
    data, test, val, show = (
        ResizedSource(source, edge) for source in (data, test, val or test, show or test)
    )
    if len(test) < 2:
        raise DataError(
            f"{test.location}: has {len(test)} test picture; expected two or more, by which an "
            "interval can be told: choose another --test"
        )
    with writing(out):
        recorded(out)
        out.mkdir(parents=True, exist_ok=True)
    with locked(out, "runs this ablation"):
        settle(out, plan, data, test)
        try:
            with _interrupted_by_sigterm():
                return _Ablation(
                    plan, runs, data, test, val, show, out, join, inception, on_progress
                ).run()
        except KeyboardInterrupt:
            return None


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what is done inside as Ctrl-C does, at once: files are written whole or not at
    all. Only a training sees to both by itself, and saves what it has.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread, which alone may handle signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass
class _Ablation:
    plan: Plan
    runs: Sequence[tuple[str, int, RunSettings]]  # recipe, seed, settings
    data: Source
    test: Source
    val: Source
    show: Source
    out: Path
    join: Sequence[Path]
    inception: InceptionV3 | None
    on_progress: OnProgress | None
    rows: dict[tuple[str, int], Row] = field(default_factory=dict)  # by recipe and seed

    def run(self) -> Results | None:
        first = self.runs[0][2]
        self.rows = self._found()
        if any((name, seed) not in self.rows for name, seed, _ in self.runs):
            self._check_pictures(first.training.validation_images)
        bicubic = build_degradation(first.model)
        kept = key(first.model.degradation.model_dump(mode="json"))
        baselines = [
            self._score(upscaler, upscaler.name, kept).evaluation
            for upscaler in (BicubicUpscaler(bicubic), BicubicUpscaler(bicubic, project=True))
        ]
        with writing(self.out):
            shown = write_inputs(self.out, self.show, bicubic)
        for folder in self.join:
            copy_samples(folder, self.out, [row.recipe for row in self.rows.values()])
        results = None
        for name, seed, settings in self.runs:
            if (name, seed) not in self.rows:
                if not self._train(_label(name, seed), settings):
                    return None
                self.rows[name, seed] = self._row(name, seed, settings)
            elif (name, seed) != self.plan.runs[-1]:
                continue  # the page that is there, or one to come, shows it
            # In the order of the plan; what it does not name was asked for before, and stays.
            rows = [self.rows[one] for one in self._order if one in self.rows]
            results = Results(
                size=self.plan.size,
                budget=first.training.total_images,
                seed=first.training.seed,
                data=f"{Path(self.data.location).name} ({len(self.data)} pictures)",
                test=f"{Path(self.test.location).name} (the first {self._tested})",
                machine=machine(),
                versions=versions(),
                baselines=tuple(baselines),
                rows=tuple(row for row in rows if row.seed == 0),
                repeats=tuple(row for row in rows if row.seed > 0),
                shown=shown,
            )
            with writing(self.out):
                results.write(self.out)
                write_page(self.out)
        return results

    def _check_pictures(self, validated: int) -> None:
        """Read what will be scored on, and validated with: a bad picture is better known before a
        training than after it.
        """
        judged = max(self.plan.limit, self.plan.judged)
        for source, count in ((self.test, judged), (self.val, validated)):
            count = min(count, len(source))
            for index in range(count):
                self._tell(f"reading pictures of {source.location}", index, count)
                source.read(index)

    def _found(self) -> dict[tuple[str, int], Row]:
        """The runs that `results.json` holds, of which nothing else need be left, and those to be
        joined with them.
        """
        before = [row for folder in self.join for row in joined_runs(folder, self.out)]
        if (self.out / RESULTS).is_file():
            own = read_results(self.out)
            before += [*own.rows, *own.repeats]  # these last, as the ones that stay
        self.rows = {(row.recipe, row.seed): row for row in before}
        wanted = {(name, seed): settings for name, seed, settings in self.runs}
        return {
            (row.recipe, row.seed): row
            for row in before
            if (settings := wanted.get((row.recipe, row.seed))) is None
            or (row.settings == settings and self._is_scored(row))
        }

    def _is_scored(self, row: Row) -> bool:
        """Whether a run has the scores that are asked for."""
        if self.inception is not None and any(one.evaluation.fid is None for one in row.scores):
            return False
        if not (self._run(_label(row.recipe, row.seed)) / "model").is_dir():
            return True  # a number of steps is not worth another training
        steps = self._judged(row.settings)
        return any(one.projected and one.steps == steps for one in row.scores)

    def _judged(self, settings: RunSettings) -> int:
        """At how many steps the quality of a system is judged: where all can, the same number."""
        systems = [*(one for *_, one in self.runs), *(row.settings for row in self.rows.values())]
        common = judged_steps(systems, self.plan.steps)
        draws = settings.model.schedule.is_diffusion
        return common if common is not None and draws else settings.model.sampling.steps

    @property
    def _order(self) -> Iterable[tuple[str, int]]:
        """All runs, those of the plan first."""
        return dict.fromkeys([*((name, seed) for name, seed, _ in self.runs), *self.rows])

    @property
    def _tested(self) -> str:
        limit, judged = (
            min(count, len(self.test)) for count in (self.plan.limit, self.plan.judged)
        )
        return f"{limit} pictures" + (f", with projection {judged}" if judged != limit else "")

    def _train(self, name: str, settings: RunSettings) -> bool:
        """Train a system up to its budget; False if a signal came."""
        folder = self._run(name)
        if self._is_trained(name, settings):
            return True
        summary = train(
            settings,
            data=self.data,
            val=self.val,
            out=folder,
            on_progress=lambda p: self._tell(f"training {name}", p.images, p.total, p.message),
        )
        # Those of weights that are no more; not before, since a training may be refused.
        with writing(self.out):
            forget_scores(self.out / SCORES, name)
            forget_samples(self.out, name)
        return not (summary.stopped or summary.signalled)

    def _is_trained(self, name: str, settings: RunSettings) -> bool:
        """Whether a system's run has its model and, unless stopped there, its last validation, with
        these settings: the training refuses to go on with others, and names what differs.
        """
        folder, total = self._run(name), settings.training.total_images
        if not (folder / "model").is_dir():
            return False
        if (folder / CONFIG).is_file() and changed_settings(
            recorded_settings(folder, settings), settings
        ):
            return False
        curve = points(read_metrics(folder), "validation", CurvePoint)
        images = read_config(find_model(folder)).training_images
        return min(images, curve[-1].images if curve else 0) >= total

    def _run(self, name: str) -> Path:
        return self.out / "runs" / name

    def _row(self, recipe: str, seed: int, settings: RunSettings) -> Row:
        """The scores of a trained run."""
        name = _label(recipe, seed)
        folder = find_model(self._run(name))
        config = read_config(folder)
        network = TorchNetwork.open(folder, config, "auto", settings.training.precision)
        model = DiffusionModel(config, network, name)
        kept = key(settings.model.model_dump(mode="json"), weights_checksum(config))
        own, *others = numbers_of_steps(settings, self.plan.steps)
        scores = [self._score(model, name, kept, own, own=True)]
        scores += [self._score(model, name, kept, steps) for steps in others]
        judged = self._judged(settings)
        for steps in dict.fromkeys((own, judged)):
            count = self.plan.judged if steps == judged else None
            scores.append(self._score(model, name, kept, steps, projected=True, limit=count))
        if seed == 0:
            with writing(self.out):
                write_samples(self.out, model, self.show)
                drawn = self._run(name) / VALIDATION_PICTURES
                write_halfway(self.out / SAMPLES / name, drawn, config.training_images)
        cost = describe(settings)
        metrics = read_metrics(self._run(name))
        return Row(
            recipe=recipe,
            seed=seed,
            settings=settings,
            parameters=cost["parameters"],
            gflops=cost["gflops"],
            images=config.training_images,
            losses=points(metrics, "train", LossPoint),
            curve=points(metrics, "validation", CurvePoint),
            scores=tuple(scores),
            machine=machine(),
            versions=versions(),
        )

    def _score(
        self,
        model: Upscaler,
        name: str,
        kept: str,
        steps: int | None = None,
        *,
        own: bool = False,
        projected: bool = False,
        limit: int | None = None,
    ) -> Score:
        """An evaluation, which is kept in a file of its own, under a key."""
        parts = [name, *([str(steps)] if steps else []), *(["projected"] if projected else [])]
        path, doing = self.out / SCORES / f"{'-'.join(parts)}.json", f"scoring {' '.join(parts)}"
        limit = limit or self.plan.limit
        found = read_score(path, kept, lambda why: self._tell(doing, 0, limit, why))
        if found is not None and (self.inception is None or found.evaluation.fid is not None):
            return found
        evaluation = evaluate(
            model,
            self.test,
            limit=limit,
            steps=steps,
            consistency=True if projected else None,
            batch_size=_BATCH,
            inception=self.inception,
            on_progress=lambda done, total: self._tell(doing, done, total),
        )
        score = score_of(evaluation, kept, own=own, projected=projected)
        with writing(path):
            write_score(path, score)
        return score

    def _tell(self, doing: str, done: float, total: int, message: str | None = None) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(doing, done, total, message))


def _label(recipe: str, seed: int) -> str:
    """What the files of a run are called."""
    return f"{recipe}-seed-{seed}" if seed else recipe
