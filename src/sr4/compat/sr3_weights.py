"""Weights of other projects."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sr4.errors import MissingExtraError, ModelError, reason
from sr4.files.paths import missing_path

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from sr4.networks.sr3 import SR3UNet

    Tensors = Mapping[str, torch.Tensor | NDArray[Any]]

_FIRST, _LAST = "downs.0.weight", "final_conv.block.3.weight"
_BLOCK_LAYERS = {  # our name of a layer inside a block: theirs
    "norm_in": "res_block.block1.block.0",
    "conv_in": "res_block.block1.block.3",
    "noise": "res_block.noise_func.noise_func.0",
    "norm_out": "res_block.block2.block.0",
    "conv_out": "res_block.block2.block.3",
    "shortcut": "res_block.res_conv",
    "attention.norm": "attn.norm",
    "attention.qkv": "attn.qkv",
    "attention.out": "attn.out",
}


def read_sr3_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint of the widely used unofficial SR3 implementation, on the CPU.

    The file is a pickle, but read with torch's unpickler for tensors alone: a file that names
    anything else is refused, and nothing it brings along is run.

    Args:
        path: `I…_E…_gen.pth`: the weights of the U-Net and the tables of its noise schedule.

    Raises:
        ModelError: the file is missing, damaged, not safe to open, or holds something else.
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading a checkpoint", "torch", "train") from error
    check_file(path)
    expected = "expected the …_gen.pth of one training of SR3"
    try:
        _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({reason(error)}); {expected}") from error
    except _InflatedError as error:
        raise ModelError(f"{path}: {error}; {expected}: save it again with torch.save") from error
    except Exception as error:  # damaged bytes make the reader raise nearly every type
        # Not in torch's words, which recommend to open the file without precautions.
        raise ModelError(
            f"{path}: is damaged, or holds more than tensors and was not opened, since that could "
            f"run code; {expected}: copy it again"
        ) from error
    if not isinstance(content, Mapping):
        raise ModelError(f"{path}: holds a {type(content).__name__}; {expected}")
    if "optimizer" in content:
        raise ModelError(f"{path}: holds the state of an optimiser; {expected}, which lies beside")
    for name, value in content.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor) and _is_plain(value)):
            raise ModelError(
                f"{path}: holds {str(name)[:80]!r}, of type {type(value).__name__}; {expected}, "
                "float tensors by name: if they lie further inside, save that dictionary alone"
            )
    total = sum(tensor.numel() * tensor.element_size() for tensor in content.values())
    if total > path.stat().st_size:  # by strides of 0, or by sharing memory
        raise ModelError(
            f"{path}: its tensors have {total:,} bytes, more than the file; {expected}: save "
            "contiguous copies"
        )
    return dict(content)


class _InflatedError(Exception):
    """A file that stands for more bytes than it has."""


def _check_archive(path: Path) -> None:
    """Refuse what torch.save never writes: compressed parts, few bytes of which can stand for any
    amount of memory.
    """
    with path.open("rb") as file:
        is_archive = file.read(4) == b"PK\3\4"
    if not is_archive:  # of the time before torch 1.6, in which nothing is compressed
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if any(one.compress_type != zipfile.ZIP_STORED for one in parts):
        raise _InflatedError("is compressed")
    if sum(one.file_size for one in parts) > path.stat().st_size:
        raise _InflatedError("has parts of more bytes than the file")


def check_file(path: Path) -> None:
    """Refuse what is no file: reading a pipe or a device might never end."""
    if not os.path.exists(path):  # unlike pathlib's, never raises
        raise ModelError(f"{missing_path(path)}; expected a file")
    if not os.path.isfile(path):
        raise ModelError(f"{path}: is a folder or a device; expected a file: name one inside it")


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is real numbers in plain memory."""
    import torch

    return (
        tensor.is_floating_point()
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
    )


def load_sr3_unet(
    tensors: Tensors,
    *,
    channels: int,
    multipliers: Sequence[int],
    groups: int,
    attention_resolutions: Sequence[int],
    blocks: int,
    image_size: int,
) -> SR3UNet:
    """The SR3 U-Net with weights of the widely used unofficial SR3 implementation.

    Args:
        tensors: its key names, bare or behind one prefix (`denoise_fn.` in its checkpoints), to
            tensors. Other keys, such as the buffers of the noise schedule, are ignored: the
            schedule is no part of the weights.
        channels: `inner_channel` of its configuration; the colour channels follow from the tensors.
        multipliers: its `channel_multiplier`.
        groups: its `norm_groups`.
        attention_resolutions: its `attn_res`.
        blocks: its `res_blocks`.
        image_size: its `image_size`.

    Returns:
        The network in float32 and evaluation mode. It takes `log_snr` where the original takes
        `sqrt(gamma)`.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
        UsageError: the configuration contradicts itself.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtraError("the SR3 U-Net", "torch", "train") from error
    from sr4.networks.sr3 import SR3UNet

    theirs = _without_prefix(tensors)
    build = partial(
        SR3UNet,
        channels=_size(theirs, _FIRST, axis=1) // 2,
        out_channels=_size(theirs, _LAST, axis=0),
        inner=channels,
        multipliers=multipliers,
        groups=groups,
        attention_resolutions=attention_resolutions,
        blocks=blocks,
        image_size=image_size,
    )
    with torch.device("meta"):  # a network that the weights do not fit may not fit the memory
        expected = build().state_dict()
    layers = dict(_layers(len(multipliers), blocks))
    names, shapes = {}, {}
    for ours, parameter in expected.items():
        layer, _, kind = ours.rpartition(".")
        names[ours] = f"{layers[layer]}.{kind}"
        shapes[names[ours]] = tuple(parameter.shape)
    _check(
        theirs,
        shapes,
        f"channels={channels}, multipliers={tuple(multipliers)}, groups={groups}, "
        f"attention_resolutions={tuple(attention_resolutions)}, blocks={blocks}, "
        f"image_size={image_size}",
    )
    network = build()
    found = {ours: theirs[name] for ours, name in names.items()}
    network.load_state_dict(
        {  # arrays are copied, since torch warns of read-only ones
            ours: value if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
            for ours, value in found.items()
        }
    )
    return network.eval()


def _without_prefix(tensors: Tensors) -> Tensors:
    """The tensors of the U-Net under their own names, found by the one that every U-Net has."""
    prefixes = [name.removesuffix(_FIRST) for name in tensors if f".{name}".endswith(f".{_FIRST}")]
    if len(prefixes) != 1:
        raise ModelError(
            f"got {len(prefixes)} tensors named {_FIRST!r} or '….{_FIRST}' among {len(tensors)}; "
            "expected the weights of one U-Net of the unofficial SR3 implementation"
        )
    own = {
        name.removeprefix(prefixes[0]): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefixes[0])
    }
    # Layers have dots in their names; the buffers of the noise schedule (`betas`, …) have none.
    return {name: tensor for name, tensor in own.items() if "." in name}


def _size(tensors: Tensors, name: str, axis: int) -> int:
    """The size of one axis of a convolution's weight."""
    if name not in tensors:
        raise ModelError(f"got no tensor {name!r}; expected the weights of a whole SR3 U-Net")
    shape = tuple(tensors[name].shape)
    if len(shape) != 4:
        raise ModelError(
            f"got {name!r} of shape {shape}; expected the four axes of a convolution's weight"
        )
    return int(shape[axis])


def _layers(levels: int, blocks: int) -> Iterator[tuple[str, str]]:
    """Our name and theirs of each layer that a U-Net may have.

    They number the layers of each way through: on the way down the entry of a level comes before
    its blocks, on the way up (which starts at the deepest level) too, but the deepest has none.
    """
    yield "embed.layers.0", "noise_level_mlp.1"
    yield "embed.layers.2", "noise_level_mlp.3"
    yield "norm_out", "final_conv.block.0"
    yield "conv_out", "final_conv.block.3"
    blocks_of = {f"middle.{index}": f"mid.{index}" for index in range(2)}
    for level in range(levels):
        down = level * (blocks + 1)
        up = (levels - 1 - level) * (blocks + 2) - 1
        yield f"down.{level}.entry", f"downs.{down}" if level == 0 else f"downs.{down}.conv"
        yield f"up.{level}.entry.conv", f"ups.{up}.conv"
        for index in range(blocks):
            blocks_of[f"down.{level}.blocks.{index}"] = f"downs.{down + 1 + index}"
        for index in range(blocks + 1):
            blocks_of[f"up.{level}.blocks.{index}"] = f"ups.{up + 1 + index}"
    for ours, theirs in blocks_of.items():
        for layer, name in _BLOCK_LAYERS.items():
            yield f"{ours}.{layer}", f"{theirs}.{name}"


def _check(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], configuration: str) -> None:
    advice = f"for {configuration}: pass the configuration the weights were trained with"
    for name, shape in shapes.items():
        if name not in tensors:
            raise ModelError(f"got no tensor {name!r}; expected one of shape {shape} {advice}")
        if tuple(tensors[name].shape) != shape:
            raise ModelError(
                f"got {name!r} of shape {tuple(tensors[name].shape)}; expected {shape} {advice}"
            )
    for name in tensors:
        if name not in shapes:
            raise ModelError(f"got a tensor {name!r}; expected none of that name {advice}")
