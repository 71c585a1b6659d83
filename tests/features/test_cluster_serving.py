"""The service on a Ray cluster of two replicas: the answers of `sr4 serve`, through more load,
a kill and a rolling update.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

psutil = pytest.importorskip("psutil")
pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from local_cluster import Cluster, local_cluster  # noqa: E402

from sr4.model.export import export_model  # noqa: E402
from tests.conftest import random_model  # noqa: E402
from tests.features.service_process import encoded, running  # noqa: E402

REPLICAS, CLIENTS, REQUESTS = 2, 32, 96
PATIENCE = 120.0  # seconds
CONFIG = Path(__file__).parents[2] / "deploy" / "ray" / "serve.yaml"
SLOW: Any = {"steps": "10", "samples": "2", "mean": "true"}

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes of Ray are found by their titles"
)


class Served(NamedTuple):
    """A service on a cluster.

    Attributes:
        cluster: that it runs on; url: where it is; file: its configuration.
    """

    cluster: Cluster
    url: str
    file: Path

    def deploy(self, **args: Any) -> None:
        """Bring it into being, or up to date, by the configuration that we ship."""
        config = yaml.safe_load(CONFIG.read_text())
        config["http_options"]["port"] = int(self.url.rpartition(":")[2])
        (one,) = config["applications"]
        one["args"] = {"backend": "openvino", "replicas": REPLICAS, "cpus": 1, **args}
        self.file.write_text(yaml.safe_dump(config))
        words = ["run", str(self.file), "--non-blocking", "--address", self.cluster.address]
        command = [sys.executable, "-c", "from ray.serve.scripts import cli; cli()", *words]
        done = subprocess.run(
            command, env=self.cluster.environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr

    def wait_for(self, model: str) -> None:
        """Until it is ready with this model as its default."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                is_ready = self.get("/readyz").is_success
                if is_ready and self.get("/v1/models").json()["default"] == model:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"no service with {model} at {self.url}")

    def get(self, address: str) -> Any:
        return httpx.get(self.url + address, trust_env=False, timeout=PATIENCE)

    def metric(self, name: str) -> float:
        lines = self.get("/metrics").text.splitlines()
        return next(float(one.split()[1]) for one in lines if one.startswith(f"{name} "))

    def drawers(self) -> list[Any]:
        """The processes that draw."""
        family = psutil.Process(self.cluster.process).children(recursive=True)
        return [one for one in family if "Replica:sr4:Drawer" in title(one)]

    def count_at_work(self) -> int:
        """How many of them have drawn something since the service is there."""
        return sum("CALL draw OK" in text for text in self.logs("Drawer"))

    def logs(self, deployment: str) -> list[str]:
        """What each replica has logged."""
        (folder,) = self.cluster.folder.glob("session_2*/logs/serve")
        return [one.read_text() for one in folder.glob(f"replica_sr4_{deployment}_*.log")]


def title(process: Any) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def ask(url: str, number: int, *, prefers_job: bool = False, **fields: str) -> Any:
    """The answer to one of several requests, each with a picture and a seed of its own."""
    files = {"file": encoded(8 + number % 3, 8, seed=number)}
    data = {"seed": str(number), **fields}
    headers = {"Prefer": "respond-async"} if prefers_job else {}
    with httpx.Client(base_url=url, trust_env=False, verify=False, timeout=PATIENCE) as client:
        return client.post("/v1/upscale", files=files, data=data, headers=headers)


def ask_for_all(url: str, count: int = REQUESTS, **fields: Any) -> list[bytes]:
    """Answers to some requests, a number of clients at a time."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda number: ask(url, number, **fields), range(count)))
    assert {one.status_code for one in answers} == {200}, [one.text for one in answers][:3]
    return [one.content for one in answers]


@contextmanager
def asking(served: Served) -> Iterator[list[tuple[int, Any]]]:
    """Four clients who ask all the time: the numbers of their requests, and the answers."""
    is_over, found = threading.Event(), []

    def keep_asking(number: int) -> None:
        while not is_over.is_set():
            found.append((number, ask(served.url, number, **SLOW)))

    with ThreadPoolExecutor(4) as clients:
        started = [clients.submit(keep_asking, number) for number in range(4)]
        try:
            yield found
        finally:
            is_over.set()
        for one in started:
            one.result()
    assert {answer.status_code for _, answer in found} == {200}


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives other pictures."""
    folder = tmp_path_factory.mktemp("other") / "other"
    export_model(random_model(tmp_path_factory.mktemp("plain"), mean_output=True), folder)
    return folder


@pytest.fixture(scope="module")
def plain(tiny_exported: Path, other: Path) -> dict[str, list[bytes]]:
    """The answers of a service in one process, by the model."""
    found = {}
    with running("--model", tiny_exported, "--model", other, "--backend", "openvino") as one:
        found["tiny"] = ask_for_all(one.url, model=tiny_exported.name, **SLOW)
        found["other"] = ask_for_all(one.url, 4, model=other.name, **SLOW)
    return found


@pytest.fixture(scope="module")
def served(tiny_exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{one.getsockname()[1]}"
    with local_cluster(cpus=6) as cluster:
        found = Served(cluster, url, tmp_path_factory.mktemp("serve") / "serve.yaml")
        found.deploy(model=[str(tiny_exported)], min_replicas=1)
        found.wait_for("tiny")
        yield found


def test_replicas_follow_the_load(served: Served, plain: dict[str, list[bytes]]) -> None:
    assert len(served.drawers()) == 1
    with asking(served) as found:
        wait_until(lambda: served.count_at_work() == REPLICAS)
    for number, answer in found:
        assert answer.content == plain["tiny"][number]


def test_a_killed_replica_costs_no_answer(served: Served, plain: dict[str, list[bytes]]) -> None:
    with asking(served):  # where no test before has, else they are there
        wait_until(lambda: served.count_at_work() == REPLICAS)
    with ThreadPoolExecutor(1) as aside:
        answers = aside.submit(ask_for_all, served.url, **SLOW)
        wait_until(lambda: served.metric("sr4_waiting") > 2 * REPLICAS)  # so all have their fill
        first, _ = served.drawers()
        first.kill()
        assert answers.result() == plain["tiny"]
    # The killed one had pictures, else this would prove nothing.
    wait_until(lambda: any("drawn again" in text for text in served.logs("Front")))


def test_jobs_tell_how_far_they_are_and_can_be_cancelled(served: Served) -> None:
    answer = ask(served.url, 1, prefers_job=True, steps="100")
    assert answer.status_code == 202
    links = answer.json()["links"]
    assert '"state":"done"' in served.get(links["events"]).text
    assert served.get(links["result"]).headers["SR4-Seed"] == "1"

    links = ask(served.url, 1, width="300", steps="100", samples="16").json()["links"]
    wait_until(lambda: served.metric("sr4_running") == 1)
    assert httpx.delete(served.url + links["self"], trust_env=False).status_code == 204
    wait_until(lambda: served.metric("sr4_running") == 0)
    assert served.get(links["self"]).status_code == 404


def test_what_is_wrong_is_refused_as_by_one_process(served: Served) -> None:
    refused: Any = (
        ({"sampler": "x"}, 422, "unknown sampler 'x'"),
        ({"model": "x"}, 422, "unknown model 'x'"),
        ({"width": "2"}, 422, "expected"),
        ({"steps": "1000"}, 422, "got 1000 steps"),
    )
    for fields, status, said in refused:
        answer = ask(served.url, 0, **fields)
        assert answer.status_code == status, answer.text
        assert said in answer.json()["detail"]


def test_a_rolling_update_fails_no_request(
    served: Served, plain: dict[str, list[bytes]], other: Path
) -> None:
    with asking(served) as found:
        served.deploy(model=[str(other)])
        served.wait_for("other")
        count = len(found)
        wait_until(lambda: len(found) >= count + 40)
    for number, answer in found:
        assert answer.content == plain[answer.headers["SR4-Model"]][number]
    assert {answer.headers["SR4-Model"] for _, answer in found} == {"tiny", "other"}
    assert found[-1][1].headers["SR4-Model"] == "other"
