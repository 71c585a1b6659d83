"""The service of `sr4 serve` as an application of Ray Serve.

    serve run sr4.cluster.serving:build model=sr4-fast replicas=4

One replica, the front, takes requests and holds the queue and the jobs; any number of others draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from sr4._version import __version__
from sr4.cluster.worker import CPUS, checksums_of
from sr4.config import Settings as Validated
from sr4.config import explain
from sr4.errors import ClusterError, MissingExtraError, SR4Error, UsageError, package_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from sr4.serve.service import Settings

FRONT, DRAWER = "Front", "Drawer"
"""The deployments of the application."""
_REQUESTS = 1024  # that the front has open, far more than its queue takes: events of jobs count
_CUDA_GPUS = 1.0


def _several(given: object) -> object:
    """A list of texts, which a command line has as one."""
    return given.split(",") if isinstance(given, str) else given


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]


class Arguments(Validated):
    """What the application is built from: the options of `sr4 serve`, and how it is spread.

    Attributes:
        model, name, queue, limit, api_key_file, backend, device: those of `sr4 serve`; several
            models, names or limits as a list, or joined by commas.
        replicas: that draw, at most; min_replicas: at least, between which their number follows
            the load. None for always as many.
        cpus, gpus: logical processors and GPUs that each takes; by default a GPU on cuda.
    """

    model: Texts = ()
    name: Texts = ()
    queue: int = Field(64, ge=1)
    limit: Texts = ()
    api_key_file: Path | None = None
    backend: Literal["auto", "torch", "onnx", "openvino"] = "auto"
    device: str = "auto"
    replicas: int = Field(2, ge=1)
    min_replicas: int | None = Field(None, ge=0)
    cpus: float = Field(CPUS, gt=0)
    gpus: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _check_order(self) -> Arguments:
        if self.min_replicas is not None and self.min_replicas > self.replicas:
            raise ValueError(
                f"got min_replicas {self.min_replicas} and replicas {self.replicas}; expected at "
                "most as many: raise replicas"
            )
        return self


class Front:
    """Takes requests, and holds the queue and the jobs; a deployment of a single replica.

    Args:
        settings: of the service, but for its key, which this process reads.
        api_key_file: as of `sr4 serve`.
        drawers: the handle of the replicas that draw.

    Raises:
        ClusterError: it is not the only replica.
        UsageError: the key cannot be read.
    """

    def __init__(self, settings: Settings, api_key_file: Path | None, drawers: Any) -> None:
        from ray import serve

        from sr4.cluster.drawers import ClusterPainter
        from sr4.serve.key import read_key
        from sr4.serve.service import Service

        count = serve.get_replica_context().world_size
        if count > 1:
            raise ClusterError(
                f"got {count} replicas of {FRONT}; expected one, since it holds the queue and the "
                f"jobs: raise `replicas`, which is of {DRAWER}"
            )
        settings = replace(settings, key=read_key(api_key_file))
        self._service = Service(settings, ClusterPainter(drawers))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        from sr4.serve.app import make_app
        from sr4.serve.guard import Guard

        service, settings = self._service, self._service.settings
        return Guard(
            make_app(service), metrics=service.metrics, key=settings.key, hosts=settings.names
        )

    def check_health(self) -> None:
        """Have Ray start another one where the service cannot go on."""
        if self._service.error is not None:
            raise self._service.error


def build(args: dict[str, Any]) -> Any:
    """The application, as `serve run` and the configuration files of Ray Serve take it.

    Args:
        args: of `Arguments`, by name.

    Returns:
        A ray.serve.Application.

    Raises:
        UsageError: unknown or impossible arguments.
        ModelError: there is no such model.
        MissingExtraError: a package is not installed.
        click.ClickException: any of these, where a command of Ray calls this: it prints the line.
    """
    import click

    try:
        return _application(read_arguments(args))
    except SR4Error as error:
        if click.get_current_context(silent=True) is None:
            raise
        raise click.ClickException(str(error)) from error


def _application(arguments: Arguments) -> Any:
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401

        from sr4.cluster.drawers import GROUPS, Drawer, Post
        from sr4.serve.limits import read_limits
        from sr4.serve.models import Models
        from sr4.serve.service import Settings
    except ModuleNotFoundError as error:
        package = package_of(error, "fastapi")
        raise MissingExtraError("serving on a cluster", package, "serve") from error
    try:
        from ray import serve
    except ImportError as error:
        raise MissingExtraError("serving on a cluster", "ray", "cluster") from error

    limits = read_limits(arguments.limit, waiting=arguments.queue)
    post = Post(
        models=arguments.model,
        backend=arguments.backend,
        device=arguments.device,
        cpus=arguments.cpus,
        version=__version__,
        checksums=checksums_of(Models(arguments.model).loaded),
    )
    settings = Settings(
        models=arguments.model,
        workers=max(2, GROUPS * arguments.replicas),
        names=frozenset(one.lower() for one in arguments.name) or None,
        limits=limits,
    )
    drawers = serve.deployment(
        Drawer,
        name=DRAWER,
        max_ongoing_requests=GROUPS,
        graceful_shutdown_timeout_s=limits.grace_seconds,
        ray_actor_options={"num_cpus": arguments.cpus, "num_gpus": _gpus(arguments)},
        **_number(arguments),
    )
    front = serve.deployment(
        serve.ingress()(Front),
        name=FRONT,
        num_replicas=1,
        max_ongoing_requests=_REQUESTS,
        max_surge_percent=100,  # the new one is there before the old one goes
        graceful_shutdown_timeout_s=limits.grace_seconds,
        ray_actor_options={"num_cpus": 0},  # so that there is room for both
    )
    return front.bind(settings, arguments.api_key_file, drawers.bind(post))


def read_arguments(args: Mapping[str, Any]) -> Arguments:
    """Arguments by their names.

    Raises:
        UsageError: says in one line what is wrong.
    """
    try:
        return Arguments.model_validate(args)
    except ValidationError as error:
        raise UsageError(f"the service's arguments: {explain(error, Arguments)}") from error


def _gpus(arguments: Arguments) -> float:
    if arguments.gpus is not None:
        return arguments.gpus
    return _CUDA_GPUS if arguments.device == "cuda" else 0.0


def _number(arguments: Arguments) -> dict[str, Any]:
    """How many replicas draw, in the words of Ray."""
    if arguments.min_replicas is None:
        return {"num_replicas": arguments.replicas}
    return {
        "autoscaling_config": {
            "min_replicas": arguments.min_replicas,
            "max_replicas": arguments.replicas,
            "target_ongoing_requests": 1,  # groups of pictures
        }
    }
