"""Training and many pictures on two hosts, each with a network of its own, and by the recipes that
start them there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sr4.data.encoded import EncodedSource
from tests.cli.conftest import _make_picture
from tests.features.hosts import Host, programs, two_hosts
from tests.features.test_processes import (
    ENVIRONMENT,
    FAST,
    FEW,
    NEAR,
    SETTINGS,
    metrics,
    words,
)

pytest.importorskip("ray")

DEPLOY = Path(__file__).parents[2] / "deploy"
CUT = 20.0  # seconds
PATIENCE = 300.0
STEPS = ["--steps", "20"]  # so that some time goes by
PICTURES = int(os.environ.get("SR4_LINK_PICTURES", "200"))
RAY = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NODELIST": "one,two",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_CPUS_PER_TASK": "2",
}


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as both:
        yield both


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with pictures."""
    folder = tmp_path_factory.mktemp("hosts")
    for number in range(PICTURES):
        _make_picture(folder / "in" / f"{number:04}.png", 12, 12, number)
    for number in range(12):
        _make_picture(folder / "few" / f"{number:04}.png", 12, 12, number)
    return folder


@pytest.fixture(scope="module")
def plain(place: Path, tiny_exported: Path) -> dict[str, bytes]:
    """The files of a call on one host."""
    call = [
        sys.executable,
        "-m",
        "sr4",
        "upscale",
        "in",
        "-o",
        "plain",
        "--model",
        str(tiny_exported),
    ]
    done = subprocess.run([*call, *STEPS], cwd=place, capture_output=True)
    assert done.returncode == 0, done.stderr
    return contents(place / "plain")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def by_recipe(place: Path, hosts: tuple[Host, Host], recipe: str, *given: object) -> str:
    """What a recipe says that ends well."""
    programs(place / "programs", hosts)
    folders = [place / "programs", Path(sys.executable).parent, os.environ["PATH"]]
    environment = {**os.environ, **SLURM, **ENVIRONMENT, "PATH": ":".join(map(str, folders))}
    done = subprocess.run(
        ["bash", str(DEPLOY / recipe), *map(str, given)],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["slurm/upscale.sbatch", "ssh/upscale.sh ADDRESS two --"])
def test_recipes_upscale_on_both_hosts(
    recipe: str,
    hosts: tuple[Host, Host],
    place: Path,
    plain: dict[str, bytes],
    tiny_exported: Path,
) -> None:
    name, *given = recipe.replace("ADDRESS", hosts[0].address).split()
    out = place / name.partition("/")[0]
    said = by_recipe(place, hosts, name, *given, "few", "-o", out, "--model", tiny_exported, *STEPS)
    assert "On worker node" in said or name.startswith("ssh")
    found = contents(out)
    assert len(found) == 12
    assert found.items() <= plain.items()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["slurm/train.sbatch", "ssh/train.sh 1 one two --"])
def test_recipes_train_on_both_hosts(
    recipe: str, hosts: tuple[Host, Host], place: Path, source: EncodedSource
) -> None:
    def training(out: Path) -> list[str]:
        settings: Any = SETTINGS | FEW
        return words("train sr4-fast", Path(source.location), out, settings, FAST)

    name, *given = recipe.split()
    out = place / name.replace("/", "-")
    by_recipe(place, hosts, name, *given, *training(out))
    alone = place / f"{out.name}-alone"
    done = subprocess.run(
        [sys.executable, "-m", "sr4", *training(alone)], env=os.environ | ENVIRONMENT
    )
    assert done.returncode == 0
    ours, theirs = (metrics(run) for run in (out, alone))
    assert [line["loss"] for line in ours] == pytest.approx(
        [line["loss"] for line in theirs], rel=NEAR
    )
    assert ours[-1]["images"] == 20


@pytest.mark.slow
def test_a_cut_link_costs_no_picture(
    hosts: tuple[Host, Host],
    place: Path,
    plain: dict[str, bytes],
    tiny_exported: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One host joins the cluster of the other; then nothing goes between them for a while."""
    monkeypatch.chdir(place)
    first, second = hosts
    python = [sys.executable, "-m"]
    ray = [*python, "ray.scripts.scripts", "start", "--block", "--num-cpus=2"]
    at = f"--node-ip-address={first.address}"
    first.start(*ray, "--head", at, "--include-dashboard=false", env=RAY)
    second.start(*ray, f"--address={first.address}:6379", env=RAY)
    wait_for_nodes(first, 2)
    call = ["upscale", "in", "-o", "cut", "--model", tiny_exported, "--json", *STEPS]
    driver = first.start(*python, "sr4", *call, "--cluster", f"{first.address}:6379", env=RAY)
    out = place / "cut"
    deadline = time.monotonic() + PATIENCE
    while len(list(out.rglob("*.png"))) < PICTURES // 10:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second.cut()
    time.sleep(CUT)
    assert driver.poll() is None
    second.mend()
    said, error = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, error
    results = json.loads(said)["results"]
    assert len(results) + len(json.loads(said)["done_before"]) == PICTURES
    assert contents(out) == plain


def wait_for_nodes(host: Host, count: int) -> None:
    code = f"import ray; ray.init('{host.address}:6379'); print(len(ray.nodes()))"
    deadline = time.monotonic() + PATIENCE
    found = ""
    while found.strip() != str(count):
        assert time.monotonic() < deadline, found
        process = host.start(sys.executable, "-c", code, env=RAY)
        found, _ = process.communicate(timeout=PATIENCE)
