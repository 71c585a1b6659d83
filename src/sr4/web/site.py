"""A static site that upscales in the browser: the page and the engine, ONNX Runtime Web, models.

The page is that of `sr4 serve`, built from `web/` into `page/` beside this module with the engine
of `web/engine` in place of the service. Names of files change with what they hold, so that
browsers may keep them for ever; `site.json` tells them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sr4._version import __version__
from sr4.config import ModelConfig
from sr4.errors import ModelError, UsageError, reason
from sr4.files.documents import parse_json, read_bytes
from sr4.files.kinds import FolderKind, holds
from sr4.files.whole import file_sha256, write_text
from sr4.model.folder import DEFAULT_MODEL, PHOTO_MODEL, find_model, read_config
from sr4.runtime import CONFIG, GRAPH, WEIGHTS
from sr4.runtime.files import check_files
from sr4.runtime.graph_check import check_graph
from sr4.runtime.weights import read_header
from sr4.upscaling.recogniser import LAYERS
from sr4.upscaling.recogniser import WEIGHTS as RECOGNISER

PAGE = Path(__file__).with_name("page")
RUNTIME = "onnxruntime-web"
_SCRIPT, _WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
_SITE = FolderKind("is no site of sr4", holds("site.json", "runtime", "models"), ModelError)
_DIGITS = 16  # of a checksum in a name


@dataclass(frozen=True)
class SiteReport:
    """What an export for the browser gave."""

    folder: Path
    models: tuple[str, ...]
    bytes: int  # of all files


def export_site(
    models: Sequence[str], out: Path, *, runtime: Path | None = None, overwrite: bool = False
) -> SiteReport:
    """Write a folder that any web server can serve, for upscaling without one.

    Args:
        models: names or folders; the first is what the page begins with.
        out: the new folder; an empty one may be there.
        runtime: folder of ONNX Runtime Web, or one that holds it; by default that of the checkout
            or of the current folder.
        overwrite: replace an existing site; nothing else is ever replaced.

    Raises:
        UsageError: two models have one name, or there is no ONNX Runtime Web.
        ModelError: a model is damaged, has no graph, or is none that the engine runs; or out
            exists or cannot be written.
    """
    folders = {_name(model): find_model(model) for model in models}
    if len(folders) < len(models):
        raise UsageError(f"got models of equal names, {', '.join(models)}; expected each once")
    configs = {
        name: _checked(model, folder)
        for model, (name, folder) in zip(models, folders.items(), strict=True)
    }
    package = find_runtime(runtime)
    try:
        with _SITE.new(out, overwrite=overwrite) as site:
            shutil.copytree(PAGE, site, dirs_exist_ok=True)
            said = {
                "format": 1,
                "version": __version__,
                "runtime": {
                    "script": _put(package / _SCRIPT, site, "runtime"),
                    "wasm": _put(package / _WASM, site, "runtime"),
                },
                "models": [
                    _model(name, folder, configs[name], site) for name, folder in folders.items()
                ],
                "choice": _choice(folders, site),
            }
            write_text(site / "site.json", json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ModelError(
            f"{out}: cannot be written ({reason(error)}); expected a writable place with room"
        ) from error
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return SiteReport(out, tuple(folders), size)


def find_runtime(folder: Path | None) -> Path:
    """The folder with the files of ONNX Runtime Web, of the version that the engine was built with.

    Args:
        folder: `node_modules`, the package in it, or the `dist` of that; None to look in the
            checkout and in the current folder.

    Raises:
        UsageError: there is none, or it is of another version.
    """
    version = parse_json((PAGE / "engine.json").read_text(encoding="utf-8"))[RUNTIME]
    checkout = Path(__file__).parents[3] / "web" / "node_modules"
    places = [checkout, Path("node_modules")] if folder is None else [folder, folder.parent]
    for package in (one for place in places for one in (place / RUNTIME, place)):
        if not (package / "dist" / _WASM).is_file():
            continue
        found = _version(package)
        if found == version:
            return package / "dist"
        raise UsageError(
            f"{package}: is {RUNTIME} {found}; expected {version}, which the engine was built "
            f"with: run `npm install {RUNTIME}@{version}`"
        )
    where = "in node_modules" if folder is None else f"in {str(folder)!r}"
    raise UsageError(
        f"found no {RUNTIME} {where}; expected its package: run `npm install {RUNTIME}@{version}` "
        "here, or name its folder with --runtime"
    )


def _version(package: Path) -> str:
    try:
        return str(parse_json(read_bytes(package / "package.json").decode("utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return "of an unknown version"


def _name(model: str) -> str:
    """What the site calls a model: a shipped one's name, or that of its folder."""
    folder = find_model(model).resolve()
    return folder.parent.name if folder.name == "model" else folder.name


def _checked(model: str, folder: Path) -> ModelConfig:
    """The config of a model, given so, whose files are whole, and that the engine runs."""
    config = read_config(folder)
    check_files(folder, config)
    if not (folder / GRAPH).is_file():
        raise ModelError(f"{folder}: has no {GRAPH}; expected one: run `sr4 export {model} -o …`")
    check_graph(folder / GRAPH, folder / WEIGHTS, read_header(folder / WEIGHTS))
    wanted: dict[str, tuple[Any, Any]] = {
        "channels": (config.channels, 3),
        "data_range": (config.data_range, None),
        "network.kind": (config.network.kind, "fast"),
        "schedule.kind": (config.schedule.kind, "cosine"),
        "sampling.sampler": (config.sampling.sampler, "ddim"),
    }
    for key, (got, expected) in wanted.items():
        if got != expected:
            raise ModelError(
                f"{folder}: got {key} {got!r}; in the browser expected {expected!r}: use sr4 "
                "upscale"
            )
    return config


def _model(name: str, folder: Path, config: ModelConfig, site: Path) -> dict[str, Any]:
    parts = f"models/{name}"
    return {
        "name": name,
        "scale": config.scale,
        "parameters": config.parameters,
        "description": config.description,
        "licence": config.licence,
        "has_detail": config.network.has_mean_output,
        "detail": config.sampling.detail,
        "files": {one: _put(folder / one, site, parts) for one in (CONFIG, GRAPH, WEIGHTS)},
    }


def _choice(models: Container[str], site: Path) -> dict[str, Any] | None:
    """Which of the shipped models a picture calls for, where both are there."""
    if not (DEFAULT_MODEL in models and PHOTO_MODEL in models):
        return None
    names = [*(f"convolutions.{number}" for number in range(len(LAYERS))), "out"]
    with np.load(RECOGNISER, allow_pickle=False) as tensors:
        parts = [tensors[f"{name}.{kind}"].ravel() for name in names for kind in ("weight", "bias")]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recogniser.bin"
        path.write_bytes(np.concatenate(parts).astype("<f4").tobytes())
        return {
            "face": DEFAULT_MODEL,
            "other": PHOTO_MODEL,
            "recogniser": _put(path, site, "models"),
        }


def _put(source: Path, site: Path, folder: str) -> dict[str, Any]:
    """Copy a file to a name that changes with what it holds."""
    checksum = file_sha256(source)
    stem, suffix = source.name.split(".")[0], source.suffix
    path = f"{folder}/{stem}-{checksum[:_DIGITS]}{suffix}"
    (site / folder).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, site / path)
    return {"path": path, "bytes": source.stat().st_size, "sha256": checksum}
