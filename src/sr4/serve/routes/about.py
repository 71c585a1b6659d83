"""What the service says of itself."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from sr4._version import __version__
from sr4.serve.metrics import MEDIA_TYPE
from sr4.serve.problems import declared
from sr4.serve.routes.serving import EVERYWHERE, Serving
from sr4.serve.schemas import HealthBody, ModelsBody, models_body

router = APIRouter()


@router.get(
    "/v1/models", operation_id="models", summary="The models", responses=declared(*EVERYWHERE)
)
async def models(service: Serving) -> ModelsBody:
    """Those that requests may name."""
    return models_body(service.models)


@router.get(
    "/healthz", operation_id="healthz", summary="Whether the service lives", responses=declared(403)
)
async def healthz() -> HealthBody:
    """It does, where this is answered."""
    return HealthBody(status="alive", version=__version__)


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Whether the models are warm, and requests are taken",
    responses=declared(403, 503),
)
async def readyz(service: Serving) -> HealthBody:
    """For those who share out requests."""
    service.check_ready()
    return HealthBody(status="ready", version=__version__)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Counts for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Its text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **declared(*EVERYWHERE),
    },
)
async def metrics(service: Serving) -> Response:
    """Requests, seconds, pictures that wait and are drawn."""
    return Response(service.metrics.text(), media_type=MEDIA_TYPE)
