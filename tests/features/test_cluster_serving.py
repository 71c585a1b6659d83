"""The service on a Ray cluster of two replicas: the answers of `sr4 serve`, through a kill and a
rolling update.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
SLOW: Any = {"steps": "10", "samples": "2"}

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

    def kill_a_drawer(self) -> None:
        family = psutil.Process(self.cluster.process).children(recursive=True)
        drawers = [one for one in family if "Replica:sr4:Drawer" in " ".join(one.cmdline())]
        assert len(drawers) == REPLICAS
        drawers[0].kill()


def ask(url: str, number: int, *, prefers_job: bool = False, **fields: str) -> Any:
    """The answer to one of several requests, each with a picture and a seed of its own."""
    files = {"file": encoded(8 + number % 3, 8, seed=number)}
    data = {"seed": str(number), **fields}
    headers = {"Prefer": "respond-async"} if prefers_job else {}
    with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        return client.post("/v1/upscale", files=files, data=data, headers=headers)


def ask_for_all(url: str, count: int = REQUESTS, **fields: Any) -> list[bytes]:
    """Answers to some requests, a number of clients at a time."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(lambda number: ask(url, number, **fields), range(count)))
    assert {one.status_code for one in answers} == {200}, [one.text for one in answers][:3]
    return [one.content for one in answers]


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
        found.deploy(model=[str(tiny_exported)])
        found.wait_for("tiny")
        yield found


def test_a_killed_replica_costs_no_answer(served: Served, plain: dict[str, list[bytes]]) -> None:
    with ThreadPoolExecutor(1) as aside:
        answers = aside.submit(ask_for_all, served.url, **SLOW)
        while "\nsr4_running 0.0" in served.get("/metrics").text:
            assert not answers.done()
        served.kill_a_drawer()
        assert answers.result() == plain["tiny"]
    # The killed one had pictures, else this would prove nothing.
    log = "".join(
        path.read_text() for path in Path(served.cluster.folder).rglob("replica_sr4_Front*.log")
    )
    assert "drawn again" in log


def test_jobs_tell_how_far_they_are_and_can_be_cancelled(served: Served) -> None:
    answer = ask(served.url, 1, prefers_job=True, steps="100")
    assert answer.status_code == 202
    links = answer.json()["links"]
    assert '"state":"done"' in served.get(links["events"]).text
    assert served.get(links["result"]).headers["SR4-Seed"] == "1"

    links = ask(served.url, 1, width="300", steps="100", samples="16").json()["links"]
    while "\nsr4_running 1.0" not in served.get("/metrics").text:
        time.sleep(0.05)
    assert httpx.delete(served.url + links["self"], trust_env=False).status_code == 204
    deadline = time.monotonic() + 10
    while "\nsr4_running 0.0" not in served.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
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
    is_over, found = threading.Event(), []

    def keep_asking(number: int) -> None:
        while not is_over.is_set():
            found.append((number, ask(served.url, number, **SLOW)))

    with ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(keep_asking, number) for number in range(4)]
        try:
            served.deploy(model=[str(other)])
            served.wait_for("other")
            began = len(found)
            while len(found) < began + 40 and not any(one.done() for one in asking):
                time.sleep(0.1)
        finally:
            is_over.set()
        for one in asking:
            one.result()
    assert {answer.status_code for _, answer in found} == {200}
    for number, answer in found:
        assert answer.content == plain[answer.headers["SR4-Model"]][number]
    assert {answer.headers["SR4-Model"] for _, answer in found} == {"tiny", "other"}
    assert found[-1][1].headers["SR4-Model"] == "other"
