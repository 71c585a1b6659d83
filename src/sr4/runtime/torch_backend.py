"""torch: for models that are not exported, for accelerators, and for validation in training."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sr4.build import build_network
from sr4.config import ModelConfig
from sr4.errors import ModelError, UsageError, reason, shorten
from sr4.runtime import WEIGHTS, failure
from sr4.runtime.weights import read_header

# The threads that share its work do not outlive a fork, and to wait for them would never end. One
# thread needs no others.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def open_module(folder: Path, config: ModelConfig) -> nn.Module:
    """The network of a model folder, whose weights may be of any float type.

    Nothing is allocated before the file is found to hold all that the config asks for.

    Raises:
        ModelError: the file is missing, damaged, or of a network of another shape; or there is no
            such network.
    """
    path = folder / WEIGHTS
    try:
        with torch.device("meta"):
            expected = {
                name: tuple(tensor.shape)
                for name, tensor in build_network(config).state_dict().items()
            }
    except UsageError as error:
        raise ModelError(f"{folder}: its config is impossible: {error}") from error
    found = {name: tensor.shape for name, tensor in read_header(path).items()}
    for name in sorted(expected.keys() | found.keys()):
        got, wanted = found.get(name), expected.get(name)
        if got != wanted:
            raise ModelError(
                f"{path}: tensor {shorten(name)!r} is {_shape(got)}; the configuration expects "
                f"{_shape(wanted)}: the weights belong to another configuration"
            )
    network = build_network(config)
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: not a readable safetensors file ({reason(error)}); expected the weights of "
            f"{type(network).__name__}: copy or export the model again"
        ) from error
    return network


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {shape}"


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolutions in the layout that is fastest on every device."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def cast_weights(network: nn.Module, precision: str) -> dict[str, Tensor]:
    """The network's tensors in "float16" or "float32"; the network itself takes on their values, so
    that a check of it is not one of rounding.
    """
    kind = {"float16": torch.float16, "float32": torch.float32}[precision]
    tensors = {name: tensor.to(kind) for name, tensor in network.state_dict().items()}
    network.load_state_dict(tensors)
    return tensors


def choose_device(name: str) -> torch.device:
    """A torch device by name; "auto" takes an accelerator where there is one."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, present in available.items() if present)
    if not available[name]:
        raise UsageError(f"got device {name!r}, which torch does not find here: use cpu")
    return torch.device(name)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "the processor" if device.type == "cpu" else str(device)


class TorchNetwork:
    """A torch network.

    Args:
        precision: "float32", or "bf16" for autocast to bfloat16.
    """

    name = "torch"

    def __init__(
        self, network: nn.Module, device: torch.device, precision: str = "float32"
    ) -> None:
        self.device = device
        self.told = f"torch, {precision} on {_device_name(device)}"
        # On a processor other kernels than for one picture take over where there are several.
        self.is_for_one = device.type == "cpu"
        self._autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        self.module = channels_last(network.eval().to(device))

    @classmethod
    def open(
        cls, folder: Path, config: ModelConfig, device: str, precision: str = "float32"
    ) -> TorchNetwork:
        """The network of a model folder."""
        return cls(open_module(folder, config), choose_device(device), precision)

    def __call__(
        self, x_t: Tensor, log_snr: float, upsampled: Tensor, known: Tensor | None = None
    ) -> Tensor:
        levels = torch.full((x_t.shape[0],), log_snr, device=self.device)
        layout = torch.channels_last
        try:
            with torch.inference_mode(), self._autocast:
                output: Tensor = self.module(
                    x_t.contiguous(memory_format=layout),
                    levels,
                    upsampled.contiguous(memory_format=layout),
                    *(() if known is None else (known,)),
                )
        except RuntimeError as error:  # an accelerator's own type of memory error is one too
            raise failure(str(self.device), tuple(x_t.shape), error) from error
        return output.float()

    def native(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def numpy(self, array: Tensor) -> NDArray[np.float32]:
        return array.cpu().numpy()
