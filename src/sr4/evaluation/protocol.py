"""How scores were taken, in words: all that another one needs to get the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from sr4._version import __version__
from sr4.config import Calibration
from sr4.data.corruption import Corruption
from sr4.evaluation.table import OF_PICTURES, OF_SETS
from sr4.evaluation.tally import Tally
from sr4.machine.processors import available_cpus, processor

SAMPLE_STRIDE = 1_000_000
"""Between the seeds of two samples of one picture."""

_PACKAGES = ("numpy", "pillow", "scipy")  # which every score has to do with
_RUNTIMES = ("torch", "onnxruntime", "openvino")


def protocol(
    *,
    scale: int,
    sampling: str,
    samples: int,
    batch_size: int,
    tally: Tally,
    runtime: str,
    corruption: Corruption | None,
) -> dict[str, str]:
    """All that another one needs to get the same numbers.

    Args:
        sampling, runtime: in words; scale: of the model; samples: of each picture.
        batch_size: the most pictures at a time.
    """
    count = available_cpus()
    left_out = f"of {tally.border} pixels left out of PSNR and SSIM" if tally.border else "left out"
    found = {
        "pixels": "results rounded to 8 bits; originals cropped right and bottom to a multiple of "
        f"the scale; {'a' if tally.border else 'no'} border {left_out}",
        "degradation": f"bicubic with antialiasing by {scale}, low_res "
        + ("rounded to 8 bits" if tally.is_rounded else "not rounded, but to 8 bits in metrics"),
        "sampling": sampling,
        "intervals": "95 %, percentile bootstrap over pictures, 1000 resamples, of means as wide "
        "as Student's t",
        "seconds_per_image": f"wall clock of the sampling, in batches of up to {batch_size}"
        ", once the runtime has started",
        "runtime": runtime,
        "processor": f"{processor()}, {count} thread{'s' * (count > 1)}",
        "versions": ", ".join(f"{name} {number}" for name, number in _versions(runtime, tally)),
    }
    if samples > 1:
        found["samples"] = f"{samples} a picture, seeds {SAMPLE_STRIDE} apart; all " + (
            "metrics of the first one but those of the mean of the samples and of their diversity"
        )
    if tally.perceptual is not None:
        found["perceptual"] = tally.perceptual.protocol
    found |= _metrics_protocol(tally)
    return found | _corruption_protocol(corruption) | _calibration_protocol(tally.calibration)


def _versions(runtime: str, tally: Tally) -> Iterator[tuple[str, str]]:
    """Of what has a share in the numbers: the runtime of the model, and torch where the features
    of a network are its own.
    """
    yield "sr4", __version__
    used = {runtime.split(",")[0], *(["torch"] if tally.extractors else [])}
    for name in (*_PACKAGES, *(one for one in _RUNTIMES if one in used)):
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _metrics_protocol(tally: Tally) -> dict[str, str]:
    """How each metric that was computed is: those that are told alike, together."""
    told = {m.field: m.protocol for m in OF_PICTURES if m.field in tally.columns and m.protocol}
    of_sets = [metric for metric in OF_SETS if metric.network in tally.extractors]
    told |= {m.field: m.protocol(tally.compared) for m in of_sets}
    fields: dict[str, list[str]] = {}
    for field, text in told.items():
        fields.setdefault(text, []).append(field)
    protocols = {", ".join(names): text for text, names in fields.items()}
    for network, extractor in tally.extractors.items():
        names = ", ".join(metric.field for metric in of_sets if metric.network == network)
        protocols[f"features of {names}"] = extractor.protocol
    return protocols


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


def shared(protocols: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The protocols of systems by name as one: what is common to all, then what is each one's
    own.
    """
    common: dict[str, str] = {}
    apart: dict[str, str] = {}
    for key in dict.fromkeys(key for one in protocols.values() for key in one):
        values = {name: one.get(key, "none") for name, one in protocols.items()}
        if len(set(values.values())) == 1:
            common[key] = next(iter(values.values()))
        else:
            apart |= {f"{key}, {name}": value for name, value in values.items()}
    return common | apart
