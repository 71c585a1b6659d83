"""Ray: joined, and given chunks for its workers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sr4.cluster.worker import CPUS, Chunk, Order, Told, Worker
from sr4.errors import ClusterError, MissingExtraError, UsageError, package_of, reason
from sr4.machine.processors import available_cpus

AUTO = "auto"
_PATIENCE = 5.0  # seconds to wait for an address
_BEAT = 2.0  # seconds between looking whether the cluster is there
_NODE_MISSES = 2  # without an answer, after which this node is gone; Ray takes ten seconds
_HEAD_MISSES = 15  # the same of the head, which may come back; Ray takes a minute
AHEAD = 2  # chunks at a worker: one that it does, and the next


class Stop:
    """Tells all workers when the call is cancelled; an actor."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    async def ask(self) -> None:
        """Cancel the call."""
        self._asked.set()

    async def wait(self) -> None:
        """Return once it is cancelled."""
        await self._asked.wait()


@dataclass(frozen=True)
class Engine:
    """A cluster that was joined.

    Attributes:
        workers: how many it has room for.
    """

    workers: int
    _stop: Any

    def stop(self) -> None:
        """Have all workers end what they do, in order."""
        self._stop.ask.remote()

    def run(self, order: Order, chunks: Sequence[Chunk]) -> Generator[Told, None, None]:
        """What workers tell of chunks; to be closed by whoever does not take all of it. Of those
        that a killed worker had, nothing more comes.

        Raises:
            ClusterError: no worker can start.
        """
        import ray
        from ray.data import ActorPoolStrategy

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that Ray gives up
            rows: Any = ray.data.from_items(
                [{"chunk": one} for one in chunks], override_num_blocks=len(chunks)
            ).flat_map(
                Worker,
                fn_constructor_args=(order, processors_of_a_cpu, self._when_stopped()),
                compute=ActorPoolStrategy(
                    size=min(self.workers, len(chunks)), max_tasks_in_flight_per_actor=AHEAD
                ),
                num_cpus=CPUS,
                num_gpus=1 if order.device == "cuda" else None,
                max_restarts=-1,
                max_task_retries=0,  # a chunk is done again by what its results say
            )
            try:
                # Without a thread that fetches ahead: it would outlive this, and ask Ray for more
                # once that is left, which ends the process.
                for batch in rows.iter_batches(
                    batch_size=None, batch_format="numpy", prefetch_batches=0
                ):
                    yield from batch["told"]
            except ray.exceptions.RayError as error:
                raise _no_worker(error) from error

    def _when_stopped(self) -> Callable[[Callable[[], None]], None]:
        stop = self._stop

        def when_stopped(do: Callable[[], None]) -> None:
            def wait() -> None:
                import ray

                with suppress(ray.exceptions.RayError):
                    ray.get(stop.wait.remote())
                    do()

            threading.Thread(target=wait, daemon=True).start()

        return when_stopped


@contextmanager
def joined(
    address: str, device: str = "auto", lost: Callable[[str], object] = lambda said: None
) -> Iterator[Engine]:
    """A cluster, to the end of the context.

    Args:
        address: HOST:PORT of its head; "auto" for the one that runs on this machine, or that the
            variable RAY_ADDRESS names.
        device: that workers draw on; each takes one GPU for "cuda".
        lost: called in a thread, with a line, once the cluster is gone for good. Soon after, Ray
            ends the process without a word.

    Raises:
        UsageError: it is no address.
        ClusterError: there is no cluster, or none with room for a worker.
        MissingExtraError: Ray is not installed.
    """
    if address != AUTO:
        _check_address(address)
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # what it would print on our stdout
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Ray calls of its own, and is going to give up
        try:
            import ray
            import ray.data
        except ImportError as error:
            package = package_of(error, "ray")  # Ray alone has no Ray Data
            raise MissingExtraError("--cluster", package, "cluster") from error
        _join(address)
        _settle(ray.data.DataContext.get_current())
    try:
        stop = ray.remote(num_cpus=0)(Stop).remote()
        with _watched(lost):
            yield Engine(_room(device), stop)
    finally:
        ray.shutdown()


@contextmanager
def _watched(lost: Callable[[str], object]) -> Iterator[None]:
    import ray

    context = ray.get_runtime_context()
    node = next(one for one in ray.nodes() if one["NodeID"] == context.get_node_id())
    places = {
        context.gcs_address: _HEAD_MISSES,
        f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}": _NODE_MISSES,
    }
    missed = dict.fromkeys(places, 0)
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_BEAT):
            for place, most in places.items():
                missed[place] = 0 if _silence(place) is None else missed[place] + 1
                if missed[place] == most:
                    lost(
                        f"the cluster is gone ({place} answers no more); expected one that stays: "
                        "what is finished is kept, call again once it is back"
                    )
                    return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _silence(address: str) -> Exception | None:
    """Why nothing answers at HOST:PORT; None where something does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host has
        return error
    return None


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16 or "/" in address:
        raise UsageError(
            f"got the cluster {address!r}; expected {AUTO}, or HOST:PORT of the head of a Ray "
            "cluster, as `ray start --head` shows it"
        )
    error = _silence(address)
    if error is not None:
        raise ClusterError(
            f"no cluster answers at {address} ({reason(error)}); expected the head of one: "
            "`ray start --head` starts it and shows its address"
        ) from error


def _join(address: str) -> None:
    import ray

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        ray.init(address=address, configure_logging=False, log_to_driver=False)
    except ConnectionError as error:
        raise ClusterError(
            f"got --cluster {address}, and no cluster is to be joined here ({_first(error)}); "
            "expected one that this machine is a node of: `ray start --head` starts one, `ray "
            "start --address=HOST:PORT` joins one"
        ) from error
    except (Exception, SystemExit) as error:  # it leaves the process where nothing of Ray answers
        raise ClusterError(
            f"the cluster {address} cannot be joined ({_first(error)}); expected a Ray cluster "
            "with the same versions of Ray and Python, and the same token, that this machine is a "
            "node of: `ray start --address=HOST:PORT` joins one"
        ) from error


def _first(error: BaseException) -> str:
    """The first sentence of what Ray says."""
    return "nothing of Ray answers" if isinstance(error, SystemExit) else reason(error)[:200]


def _settle(context: Any) -> None:
    """Set what Ray Data does with chunks."""
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a killed worker costs a chunk, not the call
    context.target_max_block_size = 1  # bytes: messages come when they are sent
    context.memory_usage_poll_interval_s = None  # which reads the page tables of workers


def _room(device: str) -> int:
    """How many workers the cluster has room for.

    Raises:
        ClusterError: for none.
    """
    import ray

    kinds = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = [int(one.get("CPU", 0)) // CPUS for one in kinds]
    if device == "cuda":
        found = [min(room, int(one.get("GPU", 0))) for room, one in zip(found, kinds, strict=True)]
    if not sum(found):
        what = " and a GPU" if device == "cuda" else ""
        raise ClusterError(
            f"no node of the cluster has {CPUS} logical CPUs{what}; expected one: start it with "
            f"`ray start --num-cpus {CPUS}` or more"
        )
    return sum(found)


def processors_of_a_cpu() -> float:
    """The processors of this node for each of its logical ones."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    (logical,) = (one["Resources"]["CPU"] for one in ray.nodes() if one["NodeID"] == here)
    given = os.environ.pop("OMP_NUM_THREADS", None)  # Ray has set it for one worker
    try:
        return available_cpus() / float(logical)
    finally:
        if given is not None:
            os.environ["OMP_NUM_THREADS"] = given


def _no_worker(error: Exception) -> ClusterError:
    said = [line.strip() for line in str(error).splitlines() if "Error: " in line]
    return ClusterError(
        f"no worker can start ({(said or [reason(error)])[-1][:200]}); expected sr4 with the extra "
        "cluster, in the same version, on each node"
    )
