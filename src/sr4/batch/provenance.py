"""What results say of how they were made, and how those of an earlier call are told by it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr4._version import __version__
from sr4.batch.options import UpscaleOptions, read_stages
from sr4.errors import PictureError

if TYPE_CHECKING:
    from sr4.batch.plan import PlannedPicture
    from sr4.pictures import Provenance

NOTE = "contains generated detail"
# What a result says of how it was made that is no option: it follows from them and the input.
_FOUND = {"software": "", "found": ""}
_SIZES = ("scale", "width", "height")


def provenance(picture: PlannedPicture, options: UpscaleOptions) -> dict[Path, Provenance]:
    """What each file that comes of a picture says of how it was made.

    Raises:
        PictureError: the picture cannot be read.
        ModelError: its model cannot be.
    """
    from sr4.runtime import WEIGHTS
    from sr4.upscaling.load import model_names

    model = options.model_for(picture.size)
    stages = read_stages(model)
    sampling = [stage.sampling for stage in stages]
    common = {
        "software": f"sr4 {__version__}",
        "note": NOTE,
        "model": "+".join(Path(one).name for one in model_names(model)),
        "sha256": "+".join(stage.sha256.get(WEIGHTS, "") for stage in stages),
        "steps": _joined(options.steps or one.steps for one in sampling),
        "sampler": _joined(options.sampler or one.sampler for one in sampling),
        "detail": _joined(
            one.detail if options.detail is None else options.detail for one in sampling
        ),
        "consistency": options.consistency is not False,
        **{key: getattr(options, key) for key in ("evidence", "noise", "blur")},
        # Left out where the model decides, as results of earlier versions have it.
        **{key: side for key in _SIZES if (side := getattr(options, key)) is not None},
        "tile": options.tile,
        "input": _sha256(picture),
    }
    seed, several = options.seed, {"seed": options.seed, "samples": options.samples}
    said = {
        path: {**common, "shows": "a sample", "seed": seed + number}
        for number, path in enumerate(picture.samples)
    }
    if picture.uncertainty:
        said[picture.uncertainty] = {**common, "shows": "the deviation of samples", **several}
    result = {"shows": "the mean of samples", **several}
    if not options.use_mean:
        result = {"shows": "a sample", "seed": seed}
    return {**said, picture.output: {**common, **result}}


def made_before(picture: PlannedPicture, options: UpscaleOptions) -> Collection[Path]:
    """The files of a picture that are there already, made of it in the same way, whatever the
    version.

    Raises:
        PictureError: the picture cannot be read.
        ModelError: its model cannot be.
    """
    wanted = provenance(picture, options)
    return {path for path, said in wanted.items() if _says(path, said)}


def is_result(path: Path) -> bool:
    """Whether a file says that it was made here."""
    return _read(path) is not None


def _sha256(picture: PlannedPicture) -> str:
    """Of the bytes of a picture; what is no regular file, or beyond the limit, is not read."""
    from sr4.pictures.decoding import decoding

    digest = hashlib.sha256()
    with decoding(picture.content, str(picture.source)) as (stream, _):
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _joined(values: Iterable[Any]) -> Any:
    """The one value, or those of the stages of a cascade."""
    several = list(values)
    return several[0] if len(several) == 1 else several


def _says(path: Path, wanted: Provenance) -> bool:
    found = _read(path)
    return found is not None and {**found, **_FOUND} == {**wanted, **_FOUND}


def _read(path: Path) -> Provenance | None:
    from sr4.pictures import read_provenance

    try:
        return read_provenance(path)
    except PictureError:  # not there, or someone else's
        return None
