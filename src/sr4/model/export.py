"""Export of a model folder to one that needs no torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sr4.errors import MissingExtraError, ModelError, UsageError, nearest, reason
from sr4.model.folder import CARD, MODEL, find_model, read_config, save_model, write_config
from sr4.runtime import GRAPH, IR
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
    on_start: Callable[[], object] | None = None,
) -> ExportReport:
    """Export a model folder to one that needs no torch, checked against torch.

    Args:
        model: name or folder of the model.
        out: the new model folder; an empty one may be there.
        format: "onnx", or "openvino" for OpenVINO's own files beside that.
        precision: of the stored weights, "float16" or "float32"; the arithmetic is float32.
        overwrite: replace an existing model folder; nothing else is ever replaced.
        on_start: called where the long part begins, once all that can be refused has been.

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
        if on_start is not None:
            on_start()
        config = save_model(folder, config, stored)
        difference = export_onnx(
            network,
            folder,
            channels=config.channels,
            size=config.image_size,
            degradation_aware=config.network.is_degradation_aware,
        )
        if format == "openvino":
            _convert_to_openvino(folder, precision)
        write_config(folder, config)
        if (source / CARD).exists():
            shutil.copyfile(source / CARD, folder / CARD)
    size = sum(path.stat().st_size for path in out.iterdir())
    return ExportReport(out, difference, size)


@contextmanager
def new_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """A new, empty folder to be filled, which takes the place of `out` when all went well.

    Args:
        out: the new model folder; an empty one may be there.
        overwrite: replace an existing model folder; nothing else is ever replaced.

    Raises:
        ModelError: out exists or cannot be written.
    """
    try:
        with MODEL.new(out, overwrite=overwrite) as folder:
            yield folder
    except OSError as error:
        raise ModelError(
            f"{out}: cannot be written ({reason(error)}); expected a writable place with room"
        ) from error


def _convert_to_openvino(folder: Path, precision: str) -> None:
    try:
        from sr4.runtime.openvino_backend import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("export to OpenVINO", "openvino", "openvino") from error
    is_half = precision == "float16"
    try:
        graph = openvino.Core().read_model(str(folder / GRAPH))
        openvino.save_model(graph, str(folder / IR), compress_to_fp16=is_half)
    except RuntimeError as error:  # its answer to a full disk
        raise ModelError(
            f"OpenVINO cannot write its files ({reason(error)}); expected a writable place with "
            "room: make some, or choose another"
        ) from error
