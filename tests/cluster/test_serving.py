"""The arguments of the service on a cluster, and what is built of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
serve = pytest.importorskip("ray.serve")

from sr4.cluster import serving  # noqa: E402
from sr4.cluster.serving import Front, build, read_arguments  # noqa: E402
from sr4.errors import ClusterError, MissingExtraError, ModelError, SR4Error, UsageError  # noqa: E402
from sr4.serve.service import Settings  # noqa: E402


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"modle": "x"}, UsageError, "unknown setting 'modle': did you mean 'model'?"),
        ({"replicas": "none"}, UsageError, "setting 'replicas': got 'none'"),
        ({"replicas": 0}, UsageError, "setting 'replicas': got '0'"),
        ({"replicas": 1, "min_replicas": 2}, UsageError, "expected at most as many"),
        ({"limit": "sample=4"}, UsageError, "unknown limit 'sample': did you mean 'samples'?"),
        ({"limit": ["samples=x"]}, UsageError, "got the limit 'samples=x'"),
        ({"model": "nothing"}, ModelError, "no model 'nothing'"),
        ({"backend": "tensorrt"}, UsageError, "setting 'backend': got 'tensorrt'"),
    ],
)
def test_what_cannot_be_is_one_line(given: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(SR4Error, match=re.escape(said)) as caught:
        build(given)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_a_command_of_ray_prints_the_line_alone() -> None:
    code = "import sys; from ray.serve.scripts import cli; sys.exit(cli())"
    words = ["run", "sr4.cluster.serving:build", "modle=x"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, line = done.stderr.splitlines()
    assert line.startswith("Error: the service's arguments: unknown setting 'modle'")


@pytest.mark.parametrize(
    ("missing", "extra"),
    [("ray", "cluster"), ("python_multipart", "serve"), ("prometheus_client", "serve")],
)
def test_without_an_extra_one_line_names_the_command(
    missing: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one.startswith(("sr4.serve", "sr4.cluster.d"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"pip install '.*\[{extra}\]'") as caught:
        build({})
    assert repr(missing.replace("_", "-")) in str(caught.value)


def test_a_command_line_has_lists_as_texts() -> None:
    found = read_arguments({"model": "a,b", "replicas": "3", "limit": "samples=4,steps=9"})
    assert found.model == ("a", "b")
    assert found.replicas == 3
    assert found.limit == ("samples=4", "steps=9")


def deployments(application: Any) -> dict[str, Any]:
    from ray.serve._private.build_app import build_app

    built = build_app(application, name="sr4", default_runtime_env={})
    return {one.name: one for one in built.deployments}


def test_arguments_decide_how_many_replicas_draw_and_on_what() -> None:
    found = deployments(build({"model": "sr4-fast", "replicas": 3, "device": "cuda", "cpus": 4}))
    assert list(found) == ["Drawer", "Front"]
    assert found["Drawer"].num_replicas == 3
    options = found["Drawer"].ray_actor_options
    assert (options["num_cpus"], options["num_gpus"]) == (4, 1)
    assert found["Front"].num_replicas == 1

    found = deployments(build({"model": "sr4-fast", "replicas": 9, "min_replicas": 0, "gpus": 0.5}))
    scaled = found["Drawer"]._deployment_config.autoscaling_config
    assert (scaled.min_replicas, scaled.max_replicas) == (0, 9)
    assert found["Drawer"].ray_actor_options["num_gpus"] == 0.5


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What Ray says of the front's replica."""

    class Context:
        world_size = 1

    monkeypatch.setattr(serve, "get_replica_context", Context)
    return Context


def test_there_is_one_front(alone: Any) -> None:
    alone.world_size = 2
    with pytest.raises(ClusterError, match="got 2 replicas of Front; expected one"):
        Front(Settings(), None, None)


def test_the_front_takes_its_key_where_it_runs(
    alone: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SR4_API_KEY", raising=False)
    (tmp_path / "key").write_text("secret\n")
    settings = Settings(models=("sr4-fast",))
    assert Front(settings, tmp_path / "key", None)._service.settings.key == "secret"
    assert Front(settings, None, None)._service.settings.key is None
    with pytest.raises(UsageError, match="got the key file"):
        Front(settings, tmp_path / "none", None)


def test_a_front_that_cannot_go_on_says_so(alone: Any) -> None:
    front = Front(Settings(models=("sr4-fast",)), None, None)
    front.check_health()
    front._service.error = ModelError("it is gone")
    with pytest.raises(ModelError, match="it is gone"):
        front.check_health()


def test_only_these_arguments_are_documented() -> None:
    said = " ".join((serving.Arguments.__doc__ or "").split())
    for name in serving.Arguments.model_fields:
        assert name in said, name
