"""The application: the routes and the page around a service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from sr4._version import __version__
from sr4.serve import problems
from sr4.serve.guard import LOCKED
from sr4.serve.problems import ProblemBody
from sr4.serve.routes import about, jobs, upscale

if TYPE_CHECKING:
    from sr4.serve.service import Service


class _Application(FastAPI):
    """Describes problems as they are sent."""

    def openapi(self) -> dict[str, Any]:
        found = super().openapi()
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        schemas["ProblemBody"] = ProblemBody.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):  # which nobody sends here
            schemas.pop(name, None)
        for path, operations in found["paths"].items():
            for operation in operations.values():
                if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                    del operation["responses"]["422"]
                if self.state.service.settings.key is not None and path.startswith(LOCKED):
                    operation["security"] = [{"key": []}]
        scheme = {"type": "http", "scheme": "bearer"}
        if self.state.service.settings.key is not None:
            found["components"]["securitySchemes"] = {"key": scheme}
        return found


def make_app(service: Service) -> FastAPI:
    """The application of a service, without its guard."""

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        sweeping = asyncio.create_task(service.jobs.keep_swept())
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.to_thread(service.stop)

    app = _Application(
        title="SR4",
        version=__version__,
        description="Enlarges pictures as `sr4 upscale` does; the options are the same.",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=running,
    )
    app.state.service = service
    problems.install(app)
    for router in (upscale.router, jobs.router, about.router):
        app.include_router(router)
        _answer_head(app, router)
    service.pages.add_to(app)
    return app


def _answer_head(app: FastAPI, router: APIRouter) -> None:
    """Answer HEAD wherever a router has GET (RFC 9110), by the same function: servers leave the
    body out. OpenAPI names GET alone.
    """
    for route in router.routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            app.add_api_route(
                route.path,
                route.endpoint,
                methods=["HEAD"],
                response_class=route.response_class,
                include_in_schema=False,
            )
