"""Results as answers: the picture's bytes, and in headers how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sr4._version import __version__
from sr4.serve.problems import Problem
from sr4.upscaling.provenance import shown

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

    from sr4.batch.events import Done
    from sr4.batch.options import UpscaleOptions

MEDIA_TYPES: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".jp2": "image/jp2",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".npy": "application/octet-stream",
}
"""Of results, by their suffix."""

HEADERS: Mapping[str, str] = {
    "SR4-Version": "The version of sr4.",
    "SR4-Model": "The model that the picture went through.",
    "SR4-Backend": "The runtime of its network.",
    "SR4-Seed": "The seed of what the picture shows.",
    "SR4-Samples": "How many samples were drawn.",
    "SR4-Detail": "The detail, from 0 to 1; of several models joined, a list.",
    "SR4-Evidence": "What the picture was taken to say, in words.",
    "SR4-Scale": "Width of the result through that of the picture.",
    "SR4-Consistency": "How far what is shown contradicts the picture, x 1e-5, before the loss of "
    "formats such as JPEG; see sr4 upscale.",
    "SR4-Input-SHA256": "Checksum of the picture file.",
    "SR4-Settings": "The fields that make the same picture again, as a JSON object.",
    "SR4-Provenance": "What the result's file says of how it was made, as a JSON object.",
    "SR4-Map": "Of an uncertainty map what it shows, as a JSON object: in words, whether that is "
    "calibrated, and what the brightest colour stands for, in levels of 255.",
    "SR4-Notes": "What else is to be known, as a JSON list; missing where there is nothing.",
}


def picture(done: Done, path: Path, options: UpscaleOptions, width: int) -> Response:
    """The answer with one of the files of a result.

    Args:
        path: the name of the file.
        options: that all of them were made with.
        width: of the picture given.
    """
    from starlette.responses import Response

    has_map = done.picture.uncertainty is not None
    if path in done.picture.samples:  # which is the result of a request of its own
        has_map = False
        number = done.picture.samples.index(path)
        options = replace(options, seed=options.seed + number, samples=1, use_mean=False)
        done = replace(
            done, record=replace(done.record, consistency=done.record.consistencies[number])
        )
    headers = _headers(done, options, width, has_map=has_map)
    legend = done.record.legend
    if path == done.picture.uncertainty and legend is not None:
        said = {"shows": legend.shows, "calibrated": legend.is_calibrated, "most": legend.most}
        headers["SR4-Map"] = json.dumps(said)
    return Response(done.files[str(path)], media_type=MEDIA_TYPES[path.suffix], headers=headers)


def _headers(done: Done, options: UpscaleOptions, width: int, *, has_map: bool) -> dict[str, str]:
    record, suffix = done.record, done.picture.output.suffix
    said = {**record.provenance, **shown(options)}
    found = {
        "SR4-Version": __version__,
        "SR4-Model": _ascii(said["model"]),
        "SR4-Backend": record.backend,
        "SR4-Seed": str(options.seed),
        "SR4-Samples": str(options.samples),
        "SR4-Detail": json.dumps(said["detail"]),
        "SR4-Evidence": _ascii(record.evidence),
        "SR4-Scale": f"{record.size[0] / width:g}",
        "SR4-Consistency": f"{record.consistency:.6g}",
        "SR4-Input-SHA256": said["input"],
        "SR4-Settings": json.dumps(settings(said, options, suffix, has_map=has_map)),
        "SR4-Provenance": json.dumps(said),
    }
    if record.notes:
        found["SR4-Notes"] = json.dumps(list(record.notes))
    return found


def settings(
    said: Mapping[str, Any], options: UpscaleOptions, suffix: str, *, has_map: bool
) -> dict[str, Any]:
    """The fields of a request that make the same picture again, in a file of that suffix.

    Args:
        said: its provenance.
        has_map: whether the request asked for an uncertainty map, too.
    """
    steps = said["steps"]
    found: dict[str, Any] = {
        "model": said["model"],
        "steps": ",".join(map(str, steps)) if isinstance(steps, list) else steps,
        "seed": options.seed,
        "samples": options.samples,
        "mean": options.use_mean,
        "uncertainty": has_map,
        "evidence": options.evidence,
        "tile": "auto" if options.tile is None else options.tile,
        "format": suffix.lstrip("."),
    }
    for name in ("sampler", "detail", "consistency", "noise", "blur", "scale", "width", "height"):
        value = getattr(options, name)
        if value is None and name in ("sampler", "detail") and not isinstance(said[name], list):
            value = said[name]  # the model's own; for those of models joined there is no field
        if value is not None:
            found[name] = value
    if "quality" in said:
        found["quality"] = said["quality"]
    return found


def file_of(done: Done, *, show: str, sample: int | None, use_mean: bool) -> Path:
    """Which file of a result a request means.

    Args:
        show: "result", "mean" or "uncertainty"; sample: its number from 1, in their place.

    Raises:
        Problem: there is no such file.
    """
    planned = done.picture
    if sample is not None:
        if not 1 <= sample <= len(planned.samples):
            there = f"1 to {len(planned.samples)}" if planned.samples else "samples in the request"
            raise Problem(404, f"there is no sample {sample}; expected {there}")
        return planned.samples[sample - 1]
    if show == "uncertainty":
        if planned.uncertainty is None:
            raise Problem(
                404, "there is no uncertainty map; expected 'uncertainty=true' in the request"
            )
        return planned.uncertainty
    if show == "mean" and not use_mean:
        raise Problem(404, "there is no mean; expected 'mean=true' in the request")
    return planned.output


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()
