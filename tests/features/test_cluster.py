"""`sr4 upscale --cluster` on a Ray cluster of two workers: the files of one machine, through kills
of workers and of the driver, and one line for whatever is wrong.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil")

from local_cluster import Cluster, local_cluster  # noqa: E402

from tests.conftest import fill_disk, mounted_disk  # noqa: E402

PICTURES = 96
SEVERAL = 2  # workers
PATIENCE = 120.0  # seconds

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere a kill may leave a temporary file"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with local_cluster(cpus=2 * SEVERAL) as one:
        yield one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.cli.conftest import _make_picture

    folder = tmp_path_factory.mktemp("cluster") / "in"
    for number in range(PICTURES):
        _make_picture(folder / f"{number // 40}" / f"{number:02}.png", 24, 24, number)
    (folder / "0" / "bad.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def plain(place: Path, tiny_exported: Path) -> dict[str, bytes]:
    """The files of a call on one machine."""
    out = place.parent / "plain"
    started = start(None, "upscale", place, "-o", out, "--model", tiny_exported)
    assert ended(started)[0] == 1
    return contents(out)


def start(cluster: Cluster | None, *words: object, code: str = "") -> subprocess.Popen[str]:
    """`sr4 WORDS`, after some code."""
    code += "\nfrom sr4.cli.main import main\nraise SystemExit(main())"
    more = [] if cluster is None else ["--cluster", cluster.address]
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words), "--backend", "openvino", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if cluster is None else cluster.environment,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in out + error
    assert "ray" not in out.lower().replace("ray.", ""), out
    return process.returncode, out, error


def contents(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones too."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def wait_for(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until so many results are there."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(out.rglob("*.png"))) >= count:
            return
        time.sleep(0.005)
    raise AssertionError(process.communicate())


def kill_a_worker(cluster: Cluster) -> None:
    family = psutil.Process(cluster.process).children(recursive=True)
    workers = [one for one in family if "Worker)" in " ".join(one.cmdline())]
    assert len(workers) == SEVERAL
    workers[0].kill()


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs `sr4 WORDS` where no cluster is known."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))

    def run(*words: object) -> tuple[int, str, str]:
        code = "from sr4.cli.main import main\nraise SystemExit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert len(done.stderr.splitlines()) == 1
        return done.returncode, done.stdout, done.stderr

    return run


def test_no_cluster_and_no_files_are_one_line(
    call: Callable[..., tuple[int, str, str]], place: Path
) -> None:
    # First of all: a cluster of these tests would be looked at for some seconds.
    code, out, error = call("upscale", "-", "-o", "out", "--cluster", "auto")
    assert (code, out) == (2, "")
    assert "got --cluster with -; expected files" in error
    code, out, error = call("upscale", place, "--cluster", "127.0.0.1:1")
    assert (code, out) == (1, "")
    assert "no cluster answers at 127.0.0.1:1" in error
    code, out, error = call("upscale", place, "--cluster", "auto")
    assert (code, out) == (1, "")
    assert "no cluster is to be joined here" in error


def test_killed_workers_and_drivers_cost_nothing(
    cluster: Cluster, place: Path, plain: dict[str, bytes], tiny_exported: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["upscale", place, "-o", out, "--model", tiny_exported]
    process = start(cluster, *words)
    wait_for(out, PICTURES // 6, process)
    kill_a_worker(cluster)
    wait_for(out, PICTURES // 2, process)
    process.kill()
    ended(process)
    there = contents(out)
    assert there.items() <= plain.items()  # what is there is whole
    assert len(there) < PICTURES

    code, said, error = ended(start(cluster, *words, "--json"))
    assert contents(out) == plain
    found = json.loads(said)
    assert code == 1
    assert [Path(one["input"]).name for one in found["failures"]] == ["bad.png"]
    assert len(error.splitlines()) == 1
    assert len(found["done_before"]) + len(found["results"]) == PICTURES
    assert len(found["done_before"]) >= len(there)
    assert found["backend"] == "openvino"


def test_an_interruption_ends_in_order(
    cluster: Cluster, place: Path, plain: dict[str, bytes], tiny_exported: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["upscale", place, "-o", out, "--model", tiny_exported, "--json"]
    process = start(cluster, *words)
    wait_for(out, 10, process)
    process.send_signal(signal.SIGINT)
    code, said, error = ended(process)
    assert code == 130
    last = error.splitlines()[-1]
    assert re.fullmatch(
        r"sr4: interrupted: \d+ of 97 pictures are done; the same command does the rest", last
    )
    found = json.loads(said)
    assert found["interrupted"]
    assert contents(out).items() <= plain.items()
    assert len(found["results"]) == len(contents(out))  # nothing was done that was not told


def test_names_are_those_of_the_folder_where_it_was_called(
    cluster: Cluster, place: Path, tiny_exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    words = ("upscale", "in/2", "-o", "named", "--model", os.path.relpath(tiny_exported))
    code, out, _ = ended(start(cluster, *words))
    assert code == 0
    lines = sorted(out.splitlines())
    assert len(lines) == PICTURES - 80
    assert lines[0].startswith("in/2/80.png -> named/80.png  96x96, evidence exact")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sr4._version\nsr4._version.__version__ = '9.9'", "expected 9.9, as where the"),
        (
            "from sr4.cluster import worker\n"
            "worker._checksums = lambda model: {model: [{'model.onnx': '0'}]}",
            "has other checksums on",
        ),
        ("import os\nos.getcwd = lambda: '/nowhere'", "'/nowhere' cannot be entered on"),
    ],
)
def test_workers_with_other_things_are_one_line(
    cluster: Cluster, place: Path, tiny_exported: Path, tmp_path: Path, code: str, said: str
) -> None:
    words = ["upscale", place / "2", "-o", tmp_path / "out", "--model", tiny_exported]
    found = ended(start(cluster, *words, code=code))
    assert found[:2] == (1, "")
    (line,) = found[2].splitlines()
    assert line.startswith("sr4: error: ")
    assert said in line
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_a_line_for_each_picture(
    cluster: Cluster, place: Path, tiny_exported: Path, tmp_path: Path
) -> None:
    with mounted_disk(tmp_path / "disk", 1) as disk:
        fill_disk(disk / "filler", room=0)
        words = ["upscale", place / "2", "-o", disk, "--model", tiny_exported]
        code, out, error = ended(start(cluster, *words))
        assert (code, out) == (1, "")
        assert len(error.splitlines()) == PICTURES - 80
        assert all("No space left on device" in line for line in error.splitlines()), error
        assert list(contents(disk)) == ["filler"]


def test_a_cluster_that_goes_is_one_line(
    place: Path, plain: dict[str, bytes], tiny_exported: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with local_cluster(cpus=2) as doomed:
        words = ["upscale", place, "-o", out, "--model", tiny_exported, "--json"]
        process = start(doomed, *words)
        wait_for(out, 5, process)
        for one in psutil.Process(doomed.process).children(recursive=True):
            if one.name() == "raylet":
                one.kill()
        code, said, error = ended(process)
    assert code == 1
    (line,) = (line for line in error.splitlines() if "bad.png" not in line)
    assert line.startswith("sr4: error: the cluster is gone (")
    assert json.loads(said)["error"] in line
    assert contents(out).items() <= plain.items()


def test_nodes_with_an_older_sr4_are_one_line(
    place: Path, tiny_exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old/sr4").mkdir(parents=True)
    (tmp_path / "old/sr4/__init__.py").touch()  # of a version that knows no clusters
    here = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "old"))
    with local_cluster(cpus=2) as old:
        old.environment["PYTHONPATH"] = here
        words = ["upscale", place / "2", "-o", tmp_path / "out", "--model", tiny_exported]
        code, out, error = ended(start(old, *words))
    assert (code, out) == (1, "")
    (line,) = error.splitlines()
    assert "no worker can start (ModuleNotFoundError: No module named 'sr4." in line
