"""Export of a model folder to one that needs no torch."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sr4.config import is_degradation_aware
from sr4.errors import MissingExtraError, ModelError, UsageError, nearest, reason
from sr4.model.folder import CARD, find_model, read_config, save_model, write_config
from sr4.runtime import CONFIG, GRAPH, IR
from sr4.runtime.files import check_files

FORMATS = ("onnx", "openvino")
PRECISIONS = ("float16", "float32")


@dataclass(frozen=True)
class ExportReport:
    """What an export gave."""

    folder: Path
    difference: float  # largest difference between the graph and torch, same weights
    bytes: int  # of all files in the folder


def export_model(
    model: str | Path,
    out: Path,
    *,
    format: str = "onnx",
    precision: str = "float16",
    overwrite: bool = False,
) -> ExportReport:
    """Export a model folder to one that needs no torch, checked against torch.

    Args:
        model: name or folder of the model.
        out: the new model folder; an empty one may be there.
        format: "onnx", or "openvino" for OpenVINO's own files beside that.
        precision: of the stored weights, "float16" or "float32"; the arithmetic is float32.
        overwrite: replace an existing model folder; nothing else is ever replaced.

    Raises:
        UsageError: unknown format or precision.
        ModelError: the model is damaged, out exists or cannot be written, or the graph differs
            from torch.
    """
    for name, known in ((format, FORMATS), (precision, PRECISIONS)):
        if name not in known:
            raise UsageError(f"unknown export option {name!r}: {nearest(name, known)}")
    if find_spec("torch") is None:
        raise MissingExtraError("export", "torch", "train")
    from sr4.runtime.graph import export_onnx
    from sr4.runtime.torch_backend import cast_weights, open_module

    source = find_model(model)
    config = read_config(source)
    check_files(source, config)
    network = open_module(source, config)
    stored = cast_weights(network, precision)
    if not all(tensor.isfinite().all() for tensor in stored.values()):
        raise ModelError(
            f"{source}: has weights beyond the range of {precision}; expected finite numbers: "
            "export with float32"
        )
    with new_folder(out, overwrite) as folder:
        config = save_model(folder, config, stored)
        difference = export_onnx(
            network,
            folder,
            channels=config.channels,
            size=config.image_size,
            degradation_aware=is_degradation_aware(config.network),
        )
        if format == "openvino":
            _convert_to_openvino(folder)
        write_config(folder, config)
        if (source / CARD).exists():
            shutil.copyfile(source / CARD, folder / CARD)
    size = sum(path.stat().st_size for path in out.iterdir())
    return ExportReport(out, difference, size)


@contextmanager
def new_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary folder that takes the place of `out` when all went well.

    Args:
        out: the new model folder; an empty one may be there.
        overwrite: replace an existing model folder; nothing else is ever replaced.

    Raises:
        ModelError: out exists or cannot be written.
    """
    try:
        _check_place(out, overwrite)
        place, token = out.resolve(), secrets.token_hex(8)
        temporary, old = (place.with_name(f".{token}.{kind}") for kind in ("tmp", "old"))
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if place.exists():
                place.rename(old)
            temporary.rename(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if place.exists():
                shutil.rmtree(old, ignore_errors=True)
            elif old.exists():
                old.rename(place)
    except OSError as error:
        raise ModelError(
            f"{out}: cannot be written ({reason(error)}); expected a writable place with room"
        ) from error


def _check_place(out: Path, overwrite: bool) -> None:
    """Refuse to replace what is there, and even with overwrite all but a model folder."""
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise ModelError(f"{out}: exists already; expected a new folder: use --overwrite")
    if not (out / CONFIG).is_file():
        raise ModelError(
            f"{out}: is no model folder; expected one to replace, or a new name: choose another"
        )


def _convert_to_openvino(folder: Path) -> None:
    try:
        from sr4.runtime.openvino_backend import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("export to OpenVINO", "openvino", "openvino") from error
    graph = openvino.Core().read_model(str(folder / GRAPH))
    openvino.save_model(graph, str(folder / IR), compress_to_fp16=True)
