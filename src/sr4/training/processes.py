"""The processes of one training: how they find, ask and tell each other.

`torchrun` and `accelerate launch` start them and say in the environment who is who. Everything here
holds for a single process too, where it costs nothing: that one is the first of one.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor

from sr4.errors import RunError, UsageError, reason

# A process waits so long for another, which between two words does at most one step, one of a
# sampling or a checkpoint. One that has ended is noticed at once.
_PATIENCE = timedelta(minutes=10)
_NAMED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_OTHER = ("FSDP", "DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG")
_SHOWN = 3  # differences named in one message


def launched() -> int:
    """How many processes a launcher has started, by the environment; 1 without one.

    Raises:
        UsageError: the environment says it wrongly.
    """
    text = os.environ.get("WORLD_SIZE", "1")
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"got WORLD_SIZE={text} in the environment; expected a number of processes: start "
            "several with torchrun, or unset it"
        )
    return int(text)


@contextmanager
def joined() -> Iterator[None]:
    """Meet the other processes of this training, if there are any, and part at its end.

    Raises:
        UsageError: the environment does not say where to meet.
        RunError: they are not there, or one of them ends before it should.
    """
    processes = launched()
    if processes == 1:
        yield
        return
    missing = [name for name in _NAMED if not os.environ.get(name)]
    if missing:
        raise UsageError(
            f"got WORLD_SIZE={processes} without {missing[0]} in the environment; expected what "
            "torchrun sets: start with `torchrun … -m sr4 train …`, or unset WORLD_SIZE for a "
            "single process"
        )
    other = [name for name in _OTHER if parse_flag_from_env(f"ACCELERATE_USE_{name}")]
    if other:
        raise UsageError(
            f"got a start of Accelerate with {other[0]}; expected plain processes with a whole "
            "network each: choose multi-GPU in `accelerate config`, or start with torchrun"
        )
    have_met = _have_met()  # a program of the user's may have seen to that
    try:
        if not have_met:
            _meet()
    except (RuntimeError, ValueError) as error:
        PartialState._reset_state()  # which is half made
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise RunError(
            f"the {processes} processes cannot meet at {place} ({reason(error)[:200]}); expected "
            "process 0 there: check that each machine reaches that address and port, and that as "
            "many processes were started as were announced"
        ) from error
    try:
        yield
    except RuntimeError as error:
        if not _is_of_a_peer(error):
            raise
        raise RunError(
            f"process {rank()} of {processes}: another process of this training has ended "
            f"({reason(error)[:120]}); expected all to stay: see what that one says, and start "
            "again, to go on from the last checkpoint"
        ) from error
    if not have_met:
        # Not after an error: it may wait for one that is gone. First goes what holds on to it: a
        # thread that frees a tensor while the interpreter ends would abort the process.
        gc.collect()
        dist.destroy_process_group()
        PartialState._reset_state()


def _meet() -> None:
    """Start the process group: NCCL where each process has a GPU, gloo on the CPU."""
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
    place, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if not on_cpu and place >= there:
        raise UsageError(
            f"got process {place + 1} on a machine of {there} GPUs; expected at most one for each: "
            "start fewer, or set ACCELERATE_USE_CPU=true"
        )
    options: dict[str, Any] = {"backend": "gloo"} if on_cpu else {}
    PartialState._reset_state()  # which may be that of a training alone
    PartialState(cpu=on_cpu, timeout=_PATIENCE, **options)


def _is_of_a_peer(error: RuntimeError) -> bool:
    """Whether an error is that of a connection: gloo has no type of its own for them."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def count() -> int:
    """The number of processes."""
    return dist.get_world_size() if _have_met() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if _have_met() else 0


def _have_met() -> bool:
    return dist.is_available() and dist.is_initialized()


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return rank() == 0


def total(tensor: Tensor) -> Tensor:
    """The sum of a tensor, of the same shape everywhere, over all processes."""
    if count() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


def anywhere(*flags: bool) -> tuple[bool, ...]:
    """Of each flag, whether it is set in any process."""
    if count() == 1:
        return flags
    found = total(torch.tensor(flags, dtype=torch.int32, device=_device()))
    return tuple(bool(number) for number in found.tolist())


def gathered(text: str) -> list[str]:
    """What all processes have to say, in their order."""
    return [_sent_by(sender, text.encode()).decode() for sender in range(count())]


def from_first(data: bytes) -> bytes:
    """The bytes that the first process has; others give any."""
    return _sent_by(0, data)


def _sent_by(sender: int, data: bytes) -> bytes:
    if count() == 1:
        return data
    length = torch.tensor([len(data)], device=_device())
    dist.broadcast(length, sender)
    if not length:
        return b""
    if rank() == sender:
        sent = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(_device())
    else:
        sent = torch.empty(int(length), dtype=torch.uint8, device=_device())
    dist.broadcast(sent, sender)
    return sent.cpu().numpy().tobytes()


def _device() -> torch.device:
    """Where tensors lie that processes can exchange."""
    device: torch.device = PartialState().device
    return device


def check_alike(what: Mapping[str, Any], differences: Callable[[Any, Any], Sequence[str]]) -> None:
    """See to it that all processes were started alike.

    Args:
        what: the settings, as JSON holds them.
        differences: what differs between two such mappings, in words.

    Raises:
        UsageError: names what differs, in each process.
    """
    first, *others = (json.loads(text) for text in gathered(json.dumps(what)))
    for number, other in enumerate(others, 1):
        if changed := differences(first, other):
            more = f" (and {len(changed) - _SHOWN} more)" if len(changed) > _SHOWN else ""
            raise UsageError(
                f"process 0 has {'; '.join(changed[:_SHOWN])}{more} in process {number}; expected "
                "the same: start all processes by one command, on the same pictures"
            )


def check_share(batch_size: int) -> None:
    """See to it that each process gets as many pictures of a batch as the others.

    Raises:
        UsageError: the batch cannot be divided so.
    """
    processes = launched()
    if batch_size % processes:
        fitting = [number for number in range(1, batch_size + 1) if batch_size % number == 0]
        near = max(number for number in fitting if number <= processes)
        raise UsageError(
            f"got {processes} processes for training.batch_size {batch_size}; expected a number "
            f"that divides it: start {near}, or change the batch size of a new run"
        )


def check_alone() -> None:
    """See to it that this is the only process, for work that several would do several times.

    Raises:
        UsageError: a launcher has started more.
    """
    if (processes := launched()) > 1:
        raise UsageError(
            f"got {processes} processes (WORLD_SIZE); expected one: start it without a launcher"
        )
