"""Score a model on pictures whose high-resolution version is known."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from sr4._version import __version__
from sr4.config import Calibration, SamplingSettings
from sr4.data.corruption import Corruption
from sr4.data.evaluation import EvaluationBatch, evaluation_batches
from sr4.data.sources import Source
from sr4.degradation import Degradation
from sr4.degradation.known import Known
from sr4.errors import MissingExtraError, ModelError, UsageError
from sr4.evaluation._optional import require
from sr4.evaluation.calibration import Calibrator
from sr4.evaluation.features import EfficientNetLite0, FeatureExtractor, InceptionV3
from sr4.evaluation.metrics import SSIM_WINDOW
from sr4.evaluation.perceptual import shared_distance
from sr4.evaluation.report import Evaluation
from sr4.evaluation.spread import Intervals, Pixels, RunningSpread
from sr4.evaluation.table import OF_PICTURES, OF_SETS, Compared
from sr4.evaluation.tally import Tally
from sr4.evidence.choose import choose, pillow_origin
from sr4.evidence.constraint import Constraint
from sr4.pictures.pixels import quantise
from sr4.pictures.raster import from_pil

SAMPLE_STRIDE = 1_000_000  # between the seeds of two samples of one picture
PROJECTION_ROUNDS = 5


class Upscaler(Protocol):
    """What an evaluation needs of a model."""

    @property
    def name(self) -> str: ...

    @property
    def degradation(self) -> Degradation: ...

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

    def nfe(self, steps: int | None = None, sampler: str | None = None) -> int:
        """Network evaluations for one picture."""

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

    def sampling(
        self,
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool | None = None,
        detail: float | None = None,
    ) -> None:
        return None

    def nfe(self, steps: int | None = None, sampler: str | None = None) -> int:
        return 0

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
    on_progress: Callable[[int, int], None] | None = None,
    bad: list[str] | None = None,
) -> Evaluation:
    """Upscale the degraded pictures of a source and compare the 8-bit results with the originals.

    Picture i is sampled with the seed `seed + i`, whatever the batch size. The results stay in
    memory until the end (3 bytes a pixel, as do the originals).

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
        on_progress: called with the pictures done and the number of all after each batch.
        bad: gets what is wrong with each picture that cannot be read or is too small. Those are
            left out, and counted in the notes; without the list, such a picture is an error.

    Raises:
        MissingExtraError: scikit-image is not installed.
        UsageError: an impossible number of samples, steps or pictures, or an unknown sampler.
        DataError: a picture is bad (without the list), or all are.
        ModelError: a result has the wrong shape, or holds numbers that are not finite.
    """
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
    # What can fail is asked before hours of sampling.
    require("skimage.metrics", what="SSIM", package="scikit-image", extra="scores")
    nfe = model.nfe(steps, sampler)
    extractors, notes = _extractors(features, inception)

    options: dict[str, Any] = {"steps": steps, "sampler": sampler, "consistency": consistency}
    if detail is not None:  # only models of ours know it
        options["detail"] = detail
    calibration = calibration if samples > 1 else None
    sampling = _Sampling(model, options, samples, seed, calibration, calibrator)
    tally = Tally(
        model.degradation, extractors, border, patch, shared_distance(extractors.get("efflite0"))
    )
    total = min(len(source), limit or len(source))
    for batch in evaluation_batches(
        source,
        degradation=model.degradation,
        batch_size=batch_size,
        limit=limit,
        corruption=corruption,
        on_bad=None if bad is None else bad.append,
        least=1 if bad is None else SSIM_WINDOW + 2 * border,
    ):
        tally.add(batch, *sampling.draws(batch))
        if on_progress:
            on_progress(len(tally.names), total)

    if bad:
        notes.append(f"{len(bad)} of the {total} pictures are bad and were left out")
    distances, distance_notes = tally.distances(seed)
    return Evaluation(
        model=model.name,
        data=source.location,
        count=len(tally.names),
        **tally.means(seed),
        **distances,
        samples=samples,
        nfe=nfe,
        seconds_per_image=sampling.seconds / (samples * len(tally.names)),
        protocol=_protocol(sampling, batch_size, tally)
        | _corruption_protocol(corruption)
        | _calibration_protocol(calibration),
        notes=(*notes, *tally.notes(), *distance_notes),
        pictures=tally.scores(),
        shares=tally.shares(),
        examples=tally.examples(),
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
    """Draws results in 8 bits and counts the time."""

    model: Upscaler
    options: dict[str, Any]
    samples: int
    seed: int
    calibration: Calibration | None = None
    calibrator: Calibrator | None = None
    seconds: float = 0.0

    @property
    def protocol(self) -> str:
        settings = self.model.sampling(**self.options)
        if settings is None:
            return "none"
        shown = ", ".join(f"{name} {value}" for name, value in settings.model_dump().items())
        return f"{shown}, seed {self.seed} + index of the picture"

    def draws(self, batch: EvaluationBatch) -> tuple[list[Pixels], Intervals | None]:
        """The results of each sample, and their intervals, if there is a calibration."""
        counts = () if self.calibrator is None else self.calibrator.counts
        draws, spread = [], RunningSpread((*counts, *([self.samples] if self.calibration else [])))
        for number in range(self.samples):
            drawn = self._draw(batch, number)
            spread.add(drawn)
            draws.append(quantise(drawn))
        truths = quantise(batch.high_res)
        if self.calibrator is not None:
            self.calibrator.add(batch.names, truths, spread.kept)
        if self.calibration is None:
            return draws, None
        return draws, Intervals(truths, spread.kept[self.samples], self.calibration)

    def _draw(self, batch: EvaluationBatch, number: int) -> NDArray[np.float32]:
        first = self.seed + number * SAMPLE_STRIDE + batch.position
        seeds = list(range(first, first + len(batch.names)))
        began = time.perf_counter()
        result = self.model.sample(
            batch.low_res,
            seeds=seeds,
            **self.options,
            **self._evidence(batch),
        )
        self.seconds += time.perf_counter() - began
        if result.shape != batch.high_res.shape:
            raise ModelError(
                f"the model {self.model.name!r} gave pictures of shape {result.shape}; expected "
                f"{batch.high_res.shape}: its scale or channels do not fit its degradation"
            )
        if not np.all(np.isfinite(result)):
            raise ModelError(
                f"the model {self.model.name!r} gave numbers that are not finite for "
                f"{batch.names[0]!r} or one of the {len(batch.names) - 1} pictures after it; "
                "expected values in [-1, 1]: its weights may be damaged"
            )
        return result

    def _evidence(self, batch: EvaluationBatch) -> dict[str, Any]:
        """What the files of corrupted pictures say, as `sr4 upscale` takes it by itself."""
        if not any(batch.files):
            return {}
        found = []
        for low_res, file in zip(batch.low_res, batch.files, strict=True):
            assert file is not None
            image = Image.open(io.BytesIO(file))
            evidence = choose(from_pil(image), pillow_origin(image))
            found.append((evidence.constraint(low_res, self.model.degradation), evidence.known))
        constraints, known = zip(*found, strict=True)
        return {"constraints": constraints, "known": known}


def _protocol(sampling: _Sampling, batch_size: int, tally: Tally) -> dict[str, str]:
    """All that another one needs to get the same numbers."""
    scale = sampling.model.degradation.scale
    left_out = f"of {tally.border} pixels left out of PSNR and SSIM" if tally.border else "left out"
    protocol = {
        "pixels": "results rounded to 8 bits; originals cropped right and bottom to a multiple of "
        f"the scale; {'a' if tally.border else 'no'} border {left_out}",
        "degradation": f"bicubic with antialiasing by {scale}, low_res "
        + ("rounded to 8 bits" if tally.is_rounded else "not rounded, but to 8 bits in metrics"),
        "sampling": sampling.protocol,
        "intervals": "95 %, percentile bootstrap over pictures, 1000 resamples",
        "seconds_per_image": f"wall clock of the sampling, in batches of up to {batch_size}",
        "versions": f"sr4 {__version__}, numpy {np.__version__}, pillow {PIL.__version__}",
    }
    if sampling.samples > 1:
        protocol["samples"] = f"{sampling.samples} a picture, seeds {SAMPLE_STRIDE} apart; all " + (
            "metrics of the first one but those of the mean of the samples and of their diversity"
        )
    if tally.perceptual is not None:
        protocol["perceptual"] = tally.perceptual.protocol
    return protocol | _metrics_protocol(tally)


def _metrics_protocol(tally: Tally) -> dict[str, str]:
    """How each metric that was computed is: those that are told alike, together."""
    count = sum(len(truth) for truth, _ in next(iter(tally.features.values()), ()))
    told = {m.field: m.protocol for m in OF_PICTURES if m.field in tally.columns and m.protocol}
    of_sets = [metric for metric in OF_SETS if metric.network in tally.extractors]
    told |= {m.field: m.protocol(Compared(count, tally.patch)) for m in of_sets}
    fields: dict[str, list[str]] = {}
    for field, text in told.items():
        fields.setdefault(text, []).append(field)
    protocol = {", ".join(names): text for text, names in fields.items()}
    for network, extractor in tally.extractors.items():
        names = ", ".join(metric.field for metric in of_sets if metric.network == network)
        protocol[f"features of {names}"] = extractor.protocol
    return protocol


def _calibration_protocol(calibration: Calibration | None) -> dict[str, str]:
    """What made the intervals; nothing without any."""
    if calibration is None:
        return {}
    return {"calibration": f"on {calibration.data_name}, sha256 {calibration.sha256}"}


def _corruption_protocol(corruption: Corruption | None) -> dict[str, str]:
    """Nothing for clean pictures: their protocol is what it was before there were others."""
    if corruption is None:
        return {}
    return {
        "corruption": f"low_res made by {corruption}, in place of the degradation alone; drawn by "
        "numpy.random.default_rng([index of the picture, 4])"
    }
