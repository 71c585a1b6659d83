"""Two machines in one: hosts with a network, processes and a name of their own, joined by a cable.

They share the files. Namespaces need the system's administrator; where there are none, tests skip.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

NAMES = ("one", "two")
_NETWORK = "10.213.77"
_CABLE = "sr4cable"
_ISOLATED = ("--net", "--pid", "--mount", "--uts")
# The first process of a host buries those that nobody else does: Ray waits for that.
_INIT = """
mount --bind "$1/hosts" /etc/hosts && hostname "$2" && touch "$1/is-up"
while :; do sleep 1000 & wait; done
"""


class Host(NamedTuple):
    """A host that is on.

    Attributes:
        name, address: of it, which both know; init: the process that all others end with, as this
            system counts them; folder: for what Ray keeps; started: what was started there.
    """

    name: str
    address: str
    init: int
    folder: Path
    started: list[subprocess.Popen[str]]

    def words(self, *command: object, place: str = "/") -> list[str]:
        """The command line that runs a command on this host, in some folder."""
        enter = ("nsenter", "--target", str(self.init), *_ISOLATED, "env", "--chdir", place)
        return [*enter, f"RAY_TMPDIR={self.folder}", *map(str, command)]

    def start(self, *command: object, env: Mapping[str, str]) -> subprocess.Popen[str]:
        """A command on this host; it ends with that at the latest."""
        process = subprocess.Popen(
            self.words(*command, place=os.getcwd()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
            text=True,
        )
        self.started.append(process)
        return process

    def cut(self) -> None:
        """Pull its cable."""
        _run(*self.words("ip", "link", "set", _CABLE, "down"))

    def mend(self) -> None:
        """Plug it in again."""
        _run(*self.words("ip", "link", "set", _CABLE, "up"))
        _run(*self.words("ip", "route", "replace", "default", "dev", _CABLE))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def _can_have_hosts() -> bool:
    tools = all(map(shutil.which, ("ip", "unshare", "nsenter", "mount")))
    if not tools or os.geteuid() != 0:
        return False
    probe = ["unshare", *_ISOLATED, "--fork", "--mount-proc", "true"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@contextmanager
def _on(name: str, address: str) -> Iterator[Host]:
    """A host without a cable."""
    lines = [f"{_NETWORK}.{one} {other}" for one, other in enumerate(NAMES, 1)]
    with tempfile.TemporaryDirectory(prefix=name, ignore_cleanup_errors=True) as place:
        (Path(place) / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        first = ["unshare", *_ISOLATED, "--fork", "--kill-child", "--mount-proc"]
        with subprocess.Popen([*first, "sh", "-c", _INIT, "sh", place, name]) as parent:
            try:
                while not (Path(place) / "is-up").exists():
                    assert parent.poll() is None
                    time.sleep(0.01)
                children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
                host = Host(name, address, int(children.read_text()), Path(place), [])
                _run(*host.words("ip", "link", "set", "lo", "up"))
                yield host
                parent.kill()
                for process in host.started:
                    process.communicate()
            finally:
                parent.kill()


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts with a cable between them."""
    if not _can_have_hosts():
        pytest.skip("hosts need Linux, its administrator, and the programs ip, unshare and nsenter")
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(_on(name, f"{_NETWORK}.{number}"))
            for number, name in enumerate(NAMES, 1)
        )
        end = ("name", _CABLE, "netns", str(second.init))
        _run("ip", "link", "add", _CABLE, "netns", str(first.init), "type", "veth", "peer", *end)
        for host in (first, second):
            _run(*host.words("ip", "address", "add", f"{host.address}/24", "dev", _CABLE))
            host.mend()
        yield first, second


_ON = """#!/bin/bash
host=$1; shift
case $host in
CASES
*) exit 255 ;;
esac
"""
_SSH = """#!/bin/bash
set -m
[[ $1 == -tt ]] && shift && trap 'kill -HUP -- "-$there"' HUP TERM
host=$1; shift
on "$host" bash -c "$*" <&0 & there=$!
wait "$there"
"""
_SRUN = """#!/bin/bash
set -m
patience=600
while [[ $1 == --* ]]; do
    [[ $1 == --wait=* ]] && patience=${1#--wait=}
    shift
done
number=0 code=0 tasks=()
for host in NAMES; do
    SLURM_NODEID=$number SLURM_PROCID=$number on "$host" "$@" & tasks+=($!)
    number=$((number + 1))
done
stop() { for task in "${tasks[@]}"; do kill "${1--TERM}" -- "-$task"; done; } 2> /dev/null
trap stop TERM
wait -n || code=$?
(sleep "$patience"; stop; sleep 2; stop -KILL) & late=$!
for task in "${tasks[@]}"; do
    wait "$task" 2> /dev/null || last=$?
    [[ ${last:-0} -eq 0 || ${last:-0} -ge 128 ]] || code=$last
done
kill -- "-$late"
exit "$code"
"""
_SCONTROL = """#!/bin/bash
case $* in
"show hostnames NAMES") printf 'HOSTS' ;;
"getaddrs NAMES") printf 'ADDRESSES' ;;
*) exit 1 ;;
esac
"""


def programs(folder: Path, hosts: Sequence[Host]) -> None:
    """The programs `ssh`, `srun` and `scontrol`, as far as recipes use them, for these hosts."""
    cases = []
    for one in hosts:
        words = shlex.join(one.words(place="HERE")).replace("HERE", '"$PWD"')
        cases.append(f'{one.name} | {one.address}) exec {words} "$@" ;;')
    names = [one.name for one in hosts]
    scontrol = _SCONTROL.replace("NAMES", ",".join(names))
    scontrol = scontrol.replace("HOSTS", "".join(f"{one}\\n" for one in names))
    addresses = "".join(f"{one.name}: {one.address}:6818\\n" for one in hosts)
    texts = {
        "on": _ON.replace("CASES", "\n".join(cases)),
        "ssh": _SSH,
        "srun": _SRUN.replace("NAMES", " ".join(names)),
        "scontrol": scontrol.replace("ADDRESSES", addresses),
    }
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
