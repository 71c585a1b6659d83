"""What results say of how they were made, and how those of an earlier call are told by it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr4.batch.options import UpscaleOptions, read_stages
from sr4.errors import PictureError
from sr4.machine.processors import processor

if TYPE_CHECKING:
    from sr4.batch.plan import PlannedPicture
    from sr4.config import ModelConfig
    from sr4.pictures import Provenance

# Packages whose versions may round in other ways.
_ROUNDING = ("numpy", "pillow", "onnxruntime", "openvino", "torch")

_WORD, _SMALL = b"software", 2**16  # a key of what results say, as it stands in every format; bytes

# What a result says of how it was made that is no option: it follows from them and the input.
_FOUND = {"software": "", "found": ""}


def provenance(picture: PlannedPicture, options: UpscaleOptions) -> dict[Path, Provenance]:
    """What each file that comes of a picture says of how it was made.

    Raises:
        PictureError: the picture cannot be read.
        ModelError: its model cannot be.
    """
    from sr4.upscaling.load import model_names
    from sr4.upscaling.provenance import common_provenance, shown, with_quality

    model = options.model_for(picture)
    stages = read_stages(model)
    common = common_provenance(model_names(model), stages, options)
    common["input"] = _sha256(picture)
    seed, several = options.seed, {"seed": options.seed, "samples": options.samples}
    said = {
        path: {**common, "shows": "a sample", "seed": seed + number}
        for number, path in enumerate(picture.samples)
    }
    if picture.uncertainty:
        said[picture.uncertainty] = {**common, **_map(stages), **several}
    said[picture.output] = {**common, **shown(options)}
    return {path: with_quality(one, picture.quality_of(path)) for path, one in said.items()}


def _map(stages: Sequence[ModelConfig]) -> dict[str, Any]:
    """What a map says that it shows: which of the two it is, its evidence decides."""
    calibrations = stages[0].calibrations if len(stages) == 1 else ()
    if not calibrations:
        return {"shows": "the deviation of samples"}
    keys = "+".join(one.key for one in calibrations)
    return {"shows": "the uncertainty of pixels", "calibrations": keys}


def made_before(picture: PlannedPicture, options: UpscaleOptions) -> Collection[Path]:
    """The files of a picture that are there already, made of it in the same way, whatever the
    version.

    Raises:
        PictureError: the picture cannot be read.
        ModelError: its model cannot be.
    """
    return made_as(picture, provenance(picture, options))


def made_as(picture: PlannedPicture, wanted: Mapping[Path, Provenance]) -> Collection[Path]:
    """The files of a picture that are there already, made as they are to say.

    A map that cannot say so, such as NPY, counts where all others do, since they are written before
    it; but not beside a further sample, by which it may be the map of more than are asked for.
    """
    from sr4.pictures import holds_provenance

    made = {path for path, said in wanted.items() if _says(path, said)}
    map_ = picture.uncertainty
    if map_ is not None and not holds_provenance(map_) and map_.is_file():
        others_are_made = made.issuperset(set(picture.outputs) - {map_})
        if others_are_made and not os.path.lexists(picture.next_sample):
            made.add(map_)
    return made


def unfinished_key(said: Provenance, samples: int, backend: str) -> dict[str, Any]:
    """What decides each bit of a result, so far as it can be told, for those who go on with it.

    Args:
        said: what its file is to say.
        backend: the runtime that draws it.
    """
    return {
        **said,
        "samples": samples,
        "backend": backend,
        "processor": processor(),
        "versions": [_version(name) for name in _ROUNDING],
    }


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def is_result(path: Path) -> bool:
    """Whether a file says that it was made here."""
    return _may_say(path) and _read(path) is not None


def _may_say(path: Path) -> bool:
    """False for a small file without a word that results hold: folders have very many of them, and
    to take them apart takes ten times as long.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _SMALL:
            return True
        with open(path, "rb") as file:
            return _WORD in file.read()
    except (OSError, ValueError):
        return False


def _sha256(picture: PlannedPicture) -> str:
    """Of the bytes of a picture; what is no regular file, or beyond the limit, is not read."""
    from sr4.pictures.decoding import decoding

    digest = hashlib.sha256()
    with decoding(picture.content, str(picture.source)) as (stream, _):
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _says(path: Path, wanted: Provenance) -> bool:
    found = _read(path)
    return found is not None and {**found, **_FOUND} == {**wanted, **_FOUND}


def _read(path: Path) -> Provenance | None:
    from sr4.pictures import read_provenance

    try:
        return read_provenance(path)
    except PictureError:  # not there, or someone else's
        return None
