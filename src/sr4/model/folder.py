"""Model folders: found by name, read, checked and written. Each describes itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sr4.config import Calibration, ModelConfig, parse_model_config
from sr4.errors import ModelError, nearest, reason
from sr4.files.documents import check_own_file, parse_json, read_bytes
from sr4.files.kinds import FolderKind, holds
from sr4.files.paths import missing_path
from sr4.files.whole import file_sha256, replaced_folder, write_text
from sr4.runtime import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

CARD = "README.md"
SHIPPED = Path(__file__).parents[1] / "shipped"
DEFAULT_MODEL = "sr4-fast"
PHOTO_MODEL = "photo-x4"
FORMAT = 1  # of config.json

VALUE_RANGE = (-1.0, 1.0)
MODEL = FolderKind(
    "is no model folder",
    holds(CONFIG, "network", "degradation", "objective", "size_multiple"),
    ModelError,
)
_MODEL_FILES = "model.*"  # weights, graph, and what other runtimes want
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")


def shipped_models() -> dict[str, Path]:
    """The models inside the package by name."""
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob(f"[!.]*/{CONFIG}"))}


def find_model(name: str | Path) -> Path:
    """The folder of a model: a shipped name, a model folder, or a run folder that has one.

    Raises:
        ModelError: there is no such thing; says what was found instead.
    """
    shipped = shipped_models()
    if str(name) in shipped:
        return shipped[str(name)]
    path = Path(name)
    for folder in (path, path / "model"):
        if os.path.isfile(folder / CONFIG):  # unlike pathlib's, never raises
            return folder
    expected = f"expected a model folder, {CONFIG} with {WEIGHTS}"
    if os.path.isfile(path):
        raise ModelError(f"{path}: is a file; {expected}{_advice([path])}")
    if os.path.isdir(path):
        raise ModelError(
            f"{path}: has no {CONFIG}; {expected}, or a run folder that has saved one"
            f"{_advice(path.iterdir())}"
        )
    if str(name) != path.name:  # no name has a slash
        raise ModelError(
            f"{missing_path(path)}; expected a model folder, a run folder, or one of the names "
            f"{', '.join(shipped)}"
        )
    raise ModelError(f"no model {str(name)!r}: {nearest(str(name), shipped)}")


def _advice(files: Iterable[Path]) -> str:
    """What to do with files that are no model folder."""
    if any(file.suffix.lower() in _PICKLES for file in files):
        return ": files that need unpickling are no models, `sr4 import` may turn one into a model"
    return ": name the folder that `sr4 train` or `sr4 export` wrote"


def read_config(folder: Path) -> ModelConfig:
    """The description of a model folder.

    Raises:
        ModelError: missing, not JSON, of a newer format, or not what a config may say.
    """
    path = folder / CONFIG
    try:
        check_own_file(path, folder)
        text = read_bytes(path).decode("utf-8")
        values = parse_json(text)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: cannot be read ({reason(error)}); expected a model's JSON: copy the model "
            "again"
        ) from error
    format = values.get("format", FORMAT) if isinstance(values, dict) else FORMAT
    if isinstance(format, int) and format > FORMAT:
        raise ModelError(
            f"{path}: is of format {format}; expected at most {FORMAT}: update sr4 to read it"
        )
    config = parse_model_config(text, str(path), ModelError)
    if config.scale != config.degradation.scale or config.value_range != VALUE_RANGE:
        raise ModelError(
            f"{path}: got scale {config.scale}, a degradation by {config.degradation.scale} and "
            f"the value range {config.value_range}; expected equal scales and {VALUE_RANGE}: "
            "copy the model again"
        )
    if config.size_multiple != config.network.size_multiple:
        raise ModelError(
            f"{path}: got size_multiple {config.size_multiple}; expected "
            f"{config.network.size_multiple}, that of its network: copy or export the model again"
        )
    return config


def weights_checksum(config: ModelConfig) -> str:
    """The checksum of a model's weights file; empty where its config has none."""
    return config.sha256.get(WEIGHTS, "")


def save_model(folder: Path, config: ModelConfig, tensors: Mapping[str, Tensor]) -> ModelConfig:
    """Write a model folder, whole or not at all: the tensors as they are, and the config with
    checksums.

    Files of other weights, such as an exported graph, do not stay; all else in the folder does.

    Returns:
        The config as written.
    """
    from safetensors.torch import save

    parameters = sum(tensor.numel() for tensor in tensors.values())
    with replaced_folder(folder) as new:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                shutil.copytree(path, new / path.name, symlinks=True)
            elif path.name != CONFIG and not path.match(_MODEL_FILES):
                shutil.copy2(path, new / path.name, follow_symlinks=False)
        # Not by save_file, whose files only their owner may read.
        weights = save({name: tensor.contiguous() for name, tensor in tensors.items()})
        (new / WEIGHTS).write_bytes(weights)
        return write_config(new, config.model_copy(update={"parameters": parameters}))


def add_calibration(folder: Path, calibration: Calibration) -> ModelConfig:
    """Put a calibration into the description of a model folder, in the place of one for the same
    sampling and corruption.

    Returns:
        The config as written.

    Raises:
        ModelError: the description cannot be read or written.
    """
    config = read_config(folder)
    others = tuple(
        one
        for one in config.calibrations
        if (one.sampling, one.corruption) != (calibration.sampling, calibration.corruption)
    )
    changes = {"calibrations": (*others, calibration)}
    try:
        return write_config(folder, config.model_copy(update=changes))
    except OSError as error:
        raise ModelError(
            f"{folder / CONFIG}: cannot be written ({reason(error)}); expected a model folder that "
            "can be changed: copy it, or make room"
        ) from error


def write_config(folder: Path, config: ModelConfig) -> ModelConfig:
    """Write `config.json` with the checksums of the model files beside it."""
    sums = {path.name: file_sha256(path) for path in sorted(folder.glob(_MODEL_FILES))}
    config = config.model_copy(update={"sha256": sums})
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_text(folder / CONFIG, text + "\n")
    return config
