"""Score a model on pictures whose high-resolution version is known."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr4.config import Calibration, SamplingSettings
from sr4.data.corruption import Corruption
from sr4.data.evaluation import EvaluationBatch, evaluation_batches
from sr4.data.sources import Source
from sr4.degradation import Degradation
from sr4.degradation.known import Known
from sr4.diffusion.samplers import Step
from sr4.errors import MissingExtraError, UsageError
from sr4.evaluation.calibration import Calibrator
from sr4.evaluation.features import EfficientNetLite0, FeatureExtractor, InceptionV3
from sr4.evaluation.metrics import SSIM_WINDOW
from sr4.evaluation.optional import require
from sr4.evaluation.perceptual import shared_distance
from sr4.evaluation.protocol import SAMPLE_STRIDE, protocol
from sr4.evaluation.report import Evaluation
from sr4.evaluation.sampling import MOST_PIXELS, check_result, in_tiles, is_large, start_runtime
from sr4.evaluation.spread import Pixels, RunningSpread, Spread
from sr4.evaluation.tally import Tally
from sr4.evidence.choose import choose
from sr4.evidence.constraint import Constraint
from sr4.evidence.kinds import Evidence
from sr4.evidence.origin import Origin, pillow_origin
from sr4.files.paths import plain
from sr4.model.diffusion_model import DiffusionModel
from sr4.pictures.pixels import quantise
from sr4.pictures.raster import from_array, from_pil
from sr4.upscaling.thresholds import LARGE

PROJECTION_ROUNDS = 5


class Upscaler(Protocol):
    """What an evaluation needs of a model."""

    @property
    def name(self) -> str: ...

    @property
    def degradation(self) -> Degradation: ...

    @property
    def runtime(self) -> str:
        """What computes, with which precision and on what, in words."""

    def sampling(
        self,
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        detail: float | None = None,
    ) -> SamplingSettings | None:
        """What the arguments stand for, with the model's own in place of None; None if it does
        not sample. UsageError for impossible ones.
        """

    def sample(
        self,
        low_res: NDArray[np.float32],
        *,
        seeds: Sequence[int],
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        detail: float | None = None,
        known: Sequence[Known] | None = None,
        constraints: Sequence[Constraint] | None = None,
    ) -> NDArray[np.float32]:
        """(B, C, h, w) in [-1, 1] to (B, C, H, W) in [-1, 1], with a seed for each picture.

        Of corrupted pictures, the evidence is their `constraints` and what is `known` of them, as
        in `DiffusionModel.sample`.
        """


@dataclass(frozen=True)
class BicubicUpscaler:
    """The baseline without a network: bicubic upscaling.

    Args:
        project: also make the result consistent with its input, as models do.
    """

    degradation: Degradation
    project: bool = False

    @property
    def name(self) -> str:
        return "bicubic-projected" if self.project else "bicubic"

    @property
    def runtime(self) -> str:
        return "numpy, float32 on the processor"

    def sampling(
        self,
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        detail: float | None = None,
    ) -> None:
        return None

    def sample(
        self,
        low_res: NDArray[np.float32],
        *,
        seeds: Sequence[int],
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        detail: float | None = None,
        known: Sequence[Known] | None = None,
        constraints: Sequence[Constraint] | None = None,
    ) -> NDArray[np.float32]:
        upsampled = self.degradation.upsample(low_res)
        if self.project:
            upsampled = self.degradation.project(
                upsampled, low_res, rounds=PROJECTION_ROUNDS, value_range=(-1.0, 1.0)
            )
        return np.asarray(upsampled)


def evaluate(
    model: Upscaler,
    source: Source,
    *,
    limit: int | None = None,
    steps: int | None = None,
    sampler: str | None = None,
    consistency: bool | None = None,
    detail: float | None = None,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = 50,
    border: int = 0,
    patch: int | None = None,
    corruption: Corruption | None = None,
    calibration: Calibration | None = None,
    calibrator: Calibrator | None = None,
    features: FeatureExtractor | Literal["auto"] | None = "auto",
    inception: InceptionV3 | None = None,
    on_progress: Callable[[float, int], None] | None = None,
    bad: list[str] | None = None,
) -> Evaluation:
    """Upscale the degraded pictures of a source and compare the 8-bit results with the originals.

    Picture i is sampled with the seed `seed + i`, whatever the batch size. Only batches and the
    few pictures that are shown are held in memory; large ones are drawn as `sr4 upscale` does.

    Args:
        model: what is scored; it names the degradation that makes its input.
        source: high-resolution pictures.
        limit: take only the first pictures.
        steps: sampling steps, of the model's own choice if None.
        sampler: its name, of the model's own choice if None.
        consistency: project every step and the result; the model's own choice if None.
        detail: from the mean of all pictures that fit (0) to a sample (1); the model's own choice
            if None.
        samples: draws for each picture. All metrics are those of the first one; from 2 on there
            are also the PSNR of their mean and the deviation between them.
        border: pixels at each edge that PSNR and SSIM leave out; for photographs the custom is as
            many as the scale.
        patch: take the features of patches of this edge, of which a picture has as many as fit side
            by side, instead of whole pictures: so that a few large ones do for a distance.
        corruption: what the low-resolution pictures go through, as photographs do; the draws follow
            from a picture's place alone. Results are compared with the clean originals, their
            consistency is with the corrupted picture. None makes them by the degradation alone.
        calibration: what makes intervals of several samples, whose coverage is then scored.
        calibrator: gets the spread of the samples of all pictures, to fit a calibration.
        features: what `kid_efflite0` and `fd_efflite0` are computed with; None leaves both out,
            and "auto" too if the packages they need are not installed. `perceptual` needs
            EfficientNet-Lite0, which is what "auto" stands for.
        inception: what `kid` and `fid` are computed with; None leaves both out.
        on_progress: called with the pictures done, of those that are being drawn a share, and the
            number of all: at the start, after each step of models of ours, and after each batch.
        bad: gets what is wrong with each picture that cannot be read or is too small. Those are
            left out, and counted in the notes; without the list, such a picture is an error.

    Raises:
        MissingExtraError: scikit-image is not installed.
        UsageError: an impossible number of samples, steps or pictures, or an unknown sampler.
        DataError: a picture is bad (without the list), or all are.
        ModelError: a result has the wrong shape, or holds numbers that are not finite.
    """
    _check(samples, batch_size, seed, border, patch, calibrator)
    # What can fail is asked before hours of sampling.
    require("skimage.metrics", what="SSIM", package="scikit-image", extra="scores")
    known = {} if detail is None else {"detail": detail}  # which only models of ours know
    options = {"steps": steps, "sampler": sampler, "consistency": consistency, **known}
    total = min(len(source), limit or len(source))
    tell = partial(_tell, on_progress, total)
    sampling = _Sampling(model, options, samples, seed, calibrator, tell)
    extractors, notes = _extractors(features, inception)

    tally = Tally(
        model.degradation,
        extractors,
        border,
        patch,
        perceptual=shared_distance(extractors.get("efflite0")),
        calibration=calibration if samples > 1 else None,
    )
    tell(0)
    for batch in evaluation_batches(
        source,
        degradation=model.degradation,
        batch_size=batch_size,
        limit=limit,
        most_pixels=MOST_PIXELS,
        corruption=corruption,
        on_bad=None if bad is None else bad.append,
        least=1 if bad is None else max(SSIM_WINDOW + 2 * border, tally.least),
    ):
        tally.add(batch, *sampling.draws(batch))
        tell(batch.position + len(batch.names))

    notes += [f"{len(bad)} of the {total} pictures are bad and were left out"] if bad else []
    distances, distance_notes = tally.distances(seed)
    return Evaluation(
        model=plain(model.name),
        data=plain(source.location),
        count=len(tally.names),
        **tally.means(seed),
        **distances,
        samples=samples,
        nfe=sampling.nfe,
        seconds_per_image=sampling.seconds / (samples * len(tally.names)),
        protocol=protocol(
            scale=model.degradation.scale,
            sampling=sampling.protocol,
            samples=samples,
            batch_size=batch_size,
            tally=tally,
            runtime=model.runtime,
            corruption=corruption,
        ),
        notes=(*notes, *tally.notes(), *distance_notes),
        reliability=tally.reliability(seed),
        legend=tally.legend,
        pictures=tally.scores(),
        shares=tally.shares(),
        examples=tally.examples(),
    )


def _tell(on_progress: Callable[[float, int], None] | None, total: int, done: float) -> None:
    if on_progress is not None:
        on_progress(done, total)


def _check(
    samples: int,
    batch_size: int,
    seed: int,
    border: int,
    patch: int | None,
    calibrator: Calibrator | None,
) -> None:
    """Refuse impossible numbers."""
    if calibrator is not None and calibrator.counts[-1] > samples:
        raise UsageError(
            f"got {samples} samples for a calibration of {calibrator.samples}; expected as many"
        )
    if samples < 1 or batch_size < 1 or seed < 0 or border < 0 or (patch is not None and patch < 1):
        raise UsageError(
            f"got {samples} samples, batch size {batch_size}, seed {seed}, border {border}, patch "
            f"{patch}; expected at least 1 sample, 1 picture a batch, a seed and a border of at "
            "least 0 and patches of at least 1 pixel"
        )


def _extractors(
    features: FeatureExtractor | Literal["auto"] | None, inception: InceptionV3 | None
) -> tuple[dict[str, FeatureExtractor], list[str]]:
    """The feature networks by name, and what to know of them or of their absence."""
    found: dict[str, FeatureExtractor] = {}
    notes = []
    if features is None:
        notes.append("kid_efflite0, fd_efflite0 and perceptual were left out by choice")
    else:
        try:
            found["efflite0"] = EfficientNetLite0() if features == "auto" else features
        except MissingExtraError as error:
            notes.append(f"kid_efflite0, fd_efflite0 and perceptual were left out: {error}")
    if inception is not None:
        found["inception"] = inception
        if inception.caution:
            notes.append(inception.caution)
    return found, notes


@dataclass
class _Sampling:
    """Draws results in 8 bits, counts the time, and tells how many pictures are drawn."""

    model: Upscaler
    options: dict[str, Any]
    samples: int
    seed: int
    calibrator: Calibrator | None
    tell: Callable[[float], None]
    seconds: float = 0.0
    is_in_tiles: bool = False  # whether any picture so far was drawn so

    def __post_init__(self) -> None:
        self.settings = self.model.sampling(**self.options)

    @property
    def nfe(self) -> int:
        """Network evaluations for one picture."""
        return 0 if self.settings is None else self.settings.steps

    @property
    def protocol(self) -> str:
        if self.settings is None:
            return "none"
        shown = ", ".join(f"{name} {value}" for name, value in self.settings.model_dump().items())
        tiles = f"; above {LARGE:,} pixels in tiles, as sr4 upscale" if self.is_in_tiles else ""
        return f"{shown}, seed {self.seed} + index of the picture{tiles}"

    def draws(self, batch: EvaluationBatch) -> tuple[list[Pixels], Spread | None]:
        """The results of each sample, and their spread, if they are several."""
        if isinstance(self.model, DiffusionModel) and not self.seconds:
            start_runtime(self.model, batch.low_res, self.options.get("detail"))
        counts = () if self.calibrator is None else self.calibrator.counts
        draws, spread = [], RunningSpread((*counts, *([self.samples] if self.samples > 1 else [])))
        began = time.perf_counter()
        evidence = self._evidence(batch)
        self.seconds += time.perf_counter() - began
        for number in range(self.samples):
            drawn = self._draw(batch, number, evidence)
            spread.add(drawn)
            draws.append(quantise(drawn))
        if self.calibrator is not None:
            self.calibrator.add(batch.names, quantise(batch.high_res), spread.kept)
        return draws, spread.kept.get(self.samples)

    def _draw(
        self, batch: EvaluationBatch, number: int, evidence: Mapping[str, Any]
    ) -> NDArray[np.float32]:
        count = len(batch.names)

        def look(of: int, place: int, step: Step) -> None:
            """Tell of a step for one of so many pictures, or for all together."""
            share = (number + (place + step.number / step.total) / of) / self.samples
            if share < 1:  # they are done once they are scored
                self.tell(batch.position + share * count)

        first = self.seed + number * SAMPLE_STRIDE + batch.position
        seeds = list(range(first, first + count))
        began = time.perf_counter()
        if not isinstance(self.model, DiffusionModel) or self.settings is None:
            result = self.model.sample(batch.low_res, seeds=seeds, **self.options, **evidence)
        elif is_large(batch.high_res):
            self.is_in_tiles, each = True, partial(partial, look, count)  # by place
            result = in_tiles(self.model, self.settings, batch.low_res, seeds, evidence, each)
        else:
            options = {**self.options, **evidence, "on_step": partial(look, 1, 0)}
            result = self.model.sample(batch.low_res, seeds=seeds, **options)
        self.seconds += time.perf_counter() - began
        check_result(self.model.name, result, batch)
        return result

    def _evidence(self, batch: EvaluationBatch) -> dict[str, Any]:
        """What the low-resolution pictures say, as `sr4 upscale` takes it by itself."""
        found = []
        for low_res, file in zip(batch.low_res, batch.files, strict=True):
            evidence = _of_file(file) if file else _of_pixels(low_res, batch.is_rounded)
            found.append((evidence.constraint(low_res, self.model.degradation), evidence.known))
        constraints, known = zip(*found, strict=True)
        return {"constraints": constraints, "known": known}


def _of_file(file: bytes) -> Evidence:
    image = Image.open(io.BytesIO(file))
    return choose(from_pil(image), pillow_origin(image))


def _of_pixels(low_res: NDArray[np.float32], is_rounded: bool) -> Evidence:
    """What pixels (C, h, w) in [-1, 1] say, those of 8 bits as in a PNG file."""
    if is_rounded:
        return choose(from_array(quantise(low_res), len(low_res)), Origin("PNG"))
    floats = np.clip((np.moveaxis(low_res, 0, -1) + 1) / 2, 0, 1)
    return choose(from_array(floats, len(low_res)), None)
