"""A diffusion model: network, process, target and degradation as one; loaded from and saved to a
folder that describes itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr4.build import build_degradation, build_sampler, build_schedule, build_target
from sr4.config import ModelConfig, SamplingSettings, parse_model_config
from sr4.diffusion.predictions import PREDICTIONS
from sr4.diffusion.samplers import Denoised, OnStep, PictureNoise, sample
from sr4.errors import ModelError, UsageError, nearest
from sr4.runtime import GRAPH, WEIGHTS, Network, open_network

if TYPE_CHECKING:
    from torch import Tensor

Array = Any
Floats = NDArray[np.float32]

CONFIG = "config.json"
CARD = "README.md"
SHIPPED = Path(__file__).parent / "models"
DEFAULT_MODEL = "sr4-fast"

# Rounds of projection and clipping that end a sampling: after five, clipping costs nothing that
# 8-bit pixels could show (DESIGN: section 3).
_FINAL_ROUNDS = 5


class DiffusionModel:
    """Draws high-res pictures for low-res ones, on float arrays.

    Args:
        config: the model's description.
        network: its network on some runtime.
        name: what to call it in reports.
    """

    def __init__(self, config: ModelConfig, network: Network, name: str) -> None:
        self.config = config
        self.network = network
        self.name = name
        self.degradation = build_degradation(config)
        self._target = build_target(config)
        self._schedule = build_schedule(config.schedule)
        self._prediction = PREDICTIONS[config.objective.prediction]

    def sampling(self, steps: int | None = None, sampler: str | None = None) -> SamplingSettings:
        """The model's own sampling settings with the given ones in their place."""
        if sampler is not None and sampler not in ("ddpm", "ddim", "dpmpp"):
            raise UsageError(
                f"unknown sampler {sampler!r}: {nearest(sampler, ('ddpm', 'ddim', 'dpmpp'))}"
            )
        changes = {"steps": steps, "sampler": sampler}
        given = {key: value for key, value in changes.items() if value is not None}
        settings = SamplingSettings.model_construct(**(self.config.sampling.model_dump() | given))
        self._schedule.times(settings.steps)  # refuses an impossible number of steps
        return settings

    def nfe(self, steps: int | None = None, sampler: str | None = None) -> int:
        """Network evaluations for one picture."""
        return self.sampling(steps, sampler).steps

    def sample(
        self,
        low_res: Floats,
        *,
        seeds: Sequence[int],
        steps: int | None = None,
        sampler: str | None = None,
        consistency: bool = True,
        on_step: OnStep | None = None,
    ) -> Floats:
        """Draw one high-res picture for each low-res one.

        Args:
            low_res: (B, C, h, w) in [-1, 1]; h * scale and w * scale are multiples of the
                network's size multiple.
            seeds: one per picture; a picture's result depends on its own seed alone.
            steps: number of steps; the model's own by default.
            sampler: "ddpm", "ddim" or "dpmpp"; the model's own by default.
            consistency: keep every step, and the result, on the pictures that D maps onto
                low_res.
            on_step: see `sr4.diffusion.samplers.sample`.

        Returns:
            (B, C, H, W) in [-1, 1].
        """
        if len(seeds) != len(low_res):
            raise UsageError(f"got {len(seeds)} seeds for {len(low_res)} pictures; expected equal")
        settings = self.sampling(steps, sampler)
        network, scale = self.network, self.config.scale
        _, channels, height, width = low_res.shape
        noise = PictureNoise(seeds, (channels, height * scale, width * scale))
        low = network.native(low_res)
        upsampled = self.degradation.upsample(low)
        frame = self._target.frame(low)

        def denoise(x_t: Array, log_snr: float) -> Denoised:
            output = network(x_t, log_snr, upsampled)
            variance = output[:, channels:] if output.shape[1] > channels else None
            x_0 = self._prediction.x_0(output[:, :channels], x_t, log_snr)
            return Denoised(frame.constrain(x_0, consistency=consistency), variance)

        x_0 = sample(
            denoise,
            network.native(noise() * np.float32(settings.temperature)),
            self._schedule.times(settings.steps),
            self._schedule,
            build_sampler(settings, self.config.objective.variance),
            noise,
            on_step,
        )
        result = network.numpy(frame.decode(x_0))
        if consistency:
            result = self.degradation.project(
                result, low_res, rounds=_FINAL_ROUNDS, value_range=(-1.0, 1.0)
            )
        return np.clip(result, -1.0, 1.0)


def shipped_models() -> dict[str, Path]:
    """The models inside the package by name."""
    return {path.parent.name: path.parent for path in sorted(SHIPPED.glob(f"*/{CONFIG}"))}


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
        if (folder / CONFIG).is_file():
            return folder
    if path.is_file():
        raise ModelError(
            f"{path}: is a file; expected a model folder ({CONFIG} with {WEIGHTS}). "
            "Checkpoints that need unpickling are never opened: convert them to a model folder"
        )
    if path.is_dir():
        raise ModelError(
            f"{path}: has no {CONFIG}; expected a model folder, or a run folder that has saved one"
        )
    raise ModelError(f"no model {str(name)!r}: {nearest(str(name), shipped)}")


def read_config(folder: Path) -> ModelConfig:
    """The description of a model folder."""
    path = folder / CONFIG
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); expected a model's JSON") from error
    return parse_model_config(text, str(path), ModelError)


def load_model(name: str | Path, *, backend: str = "auto", device: str = "auto") -> DiffusionModel:
    """A model by name or folder, its files checked against the checksums of its config.

    Raises:
        ModelError: nothing there, damaged, or not what its config says.
        MissingExtraError: the backend's runtime is not installed.
    """
    folder = find_model(name)
    config = read_config(folder)
    for file, expected in config.sha256.items():
        path = folder / Path(file).name
        if path.exists() and file_sha256(path) != expected:
            raise ModelError(
                f"{path}: its checksum differs from the one in {CONFIG}; expected the file the "
                "model was saved with: copy the model again"
            )
    network = open_network(folder, config, backend=backend, device=device)
    return DiffusionModel(config, network, str(name))


def save_model(folder: Path, config: ModelConfig, tensors: Mapping[str, Tensor]) -> ModelConfig:
    """Write a model folder: weights as float16 or as they are, config with checksums.

    Returns:
        The config as written.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    (folder / GRAPH).unlink(missing_ok=True)  # a graph of other weights must not stay
    parameters = sum(tensor.numel() for tensor in tensors.values())
    return write_config(folder, config.model_copy(update={"parameters": parameters}))


def write_config(folder: Path, config: ModelConfig) -> ModelConfig:
    """Write `config.json` with the checksums of the model files beside it."""
    files = sorted(path for path in folder.glob("model.*") if path.is_file())
    sums = {path.name: file_sha256(path) for path in files}
    config = config.model_copy(update={"sha256": sums})
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False)
    temporary = folder / f".{CONFIG}.tmp"
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(folder / CONFIG)
    return config


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
