"""Refusals and failures as answers: `application/problem+json` (RFC 9457) with one line."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from sr4.errors import OutOfMemoryError, PictureError, SR4Error, UsageError, shorten

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
LATER = (429, 503)  # for which the answer says when to ask again
_LONGEST = 1000  # characters of a line, which may quote the request


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field("about:blank", description="Always about:blank: the status says the kind.")
    title: str = Field(description="The status in words.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="One line: what was got, what was expected, what to do.")


class Problem(Exception):
    """A request that is not served.

    Args:
        status: of the answer; detail: its one line.
        retry_after: seconds after which the same request may be served.
        headers: further ones of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = dict(headers or {})
        if retry_after is not None or status in LATER:
            self.headers["Retry-After"] = str(retry_after or 1)

    def response(self) -> Response:
        """The answer."""
        from starlette.responses import JSONResponse

        detail = shorten(" ".join(self.detail.split()), _LONGEST)
        body = ProblemBody(
            type="about:blank",
            title=http.HTTPStatus(self.status).phrase,
            status=self.status,
            detail=detail.encode("utf-8", "backslashreplace").decode(),  # of names in requests
        )
        return JSONResponse(
            body.model_dump(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def problem_of(error: BaseException | None, line: str | None = None) -> Problem:
    """The problem that an error of the core is for whoever asked.

    Args:
        line: what is said of it, where that is not the error's own.
    """
    if isinstance(error, Problem):
        return error
    text = line or str(error)
    if isinstance(error, MemoryError | OutOfMemoryError):
        return Problem(503, text)
    if isinstance(error, UsageError | PictureError):
        return Problem(422, text)
    if isinstance(error, SR4Error):
        return Problem(500, text)
    return Problem(
        500, line or "the service failed; expected it to go on: report what its log says"
    )


def install(app: FastAPI) -> None:
    """Make every error that reaches the application such an answer."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    @app.exception_handler(Problem)
    @app.exception_handler(SR4Error)
    @app.exception_handler(Exception)
    async def _answer(_request: Request, error: Exception) -> Response:
        return problem_of(error).response()

    @app.exception_handler(HTTPException)
    async def _of_framework(request: Request, error: HTTPException) -> Response:
        line = {
            404: f"there is nothing at {request.url.path!r}; expected one of the paths that "
            "/openapi.json lists",
            405: f"got {request.method} for {request.url.path!r}; expected a method that "
            "/openapi.json lists",
        }.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request))
        return Problem(error.status_code, line, headers=headers).response()

    @app.exception_handler(RequestValidationError)
    async def _of_parameters(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:]))
        return Problem(422, f"got {where} {first.get('input')!r}; {first['msg']}").response()


def _methods(app: FastAPI, request: Request) -> list[str]:
    """Those that the path of a request has."""
    from starlette.routing import Match

    return [
        method
        for method in ("DELETE", "GET", "HEAD", "POST")
        if any(
            route.matches({**request.scope, "method": method})[0] == Match.FULL
            for route in app.router.routes
        )
    ]


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These problems as the OpenAPI description of a route has them."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {
            "description": http.HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: schema},
        }
        if status in LATER:
            found[status]["headers"] = {
                "Retry-After": {
                    "description": "Seconds after which to ask again.",
                    "required": True,
                    "schema": {"type": "integer", "minimum": 1},
                }
            }
    return found
