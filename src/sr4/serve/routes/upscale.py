"""`POST /v1/upscale`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from sr4.errors import UsageError, shorten
from sr4.serve import answers
from sr4.serve.body import receive
from sr4.serve.limits import Share
from sr4.serve.options import admit, read_wish
from sr4.serve.problems import declared
from sr4.serve.routes.serving import EVERYWHERE, Serving
from sr4.serve.schemas import LOCATION, PICTURE, UPSCALE_BODY, JobBody, job_body

if TYPE_CHECKING:
    from sr4.batch.events import Done
    from sr4.serve.tickets import Ticket

router = APIRouter(prefix="/v1")
_admitting = ThreadPoolExecutor(2, "sr4-admit")
_NOBODY = 400  # the status of an answer that nobody reads


@router.post(
    "/upscale",
    operation_id="upscale",
    summary="Enlarge a picture",
    response_class=Response,
    responses={
        200: PICTURE,
        202: {
            "model": JobBody,
            "description": "A job, for a large picture, for several samples, for an uncertainty "
            "map, or where the header 'Prefer: respond-async' asks for one.",
            "headers": LOCATION,
            "links": {
                name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}}
                for name in ("job", "job_events", "job_preview", "job_result", "delete_job")
            },
        },
        **declared(400, 408, 413, 415, 422, 429, 500, 503, *EVERYWHERE),
    },
    openapi_extra=UPSCALE_BODY,
)
async def upscale(request: Request, service: Serving) -> Response:
    """The options are those of `sr4 upscale`, and so is the result."""
    service.check_open()
    if request.query_params:
        name = shorten(next(iter(request.query_params)))
        raise UsageError(
            f"got {name!r} in the address; expected options as fields of the body: send it there"
        )
    held = Share(service.bytes)
    try:
        received = await receive(request, service.limits, held)
        wish = read_wish(received.fields, service.models, service.limits)
        await service.until_warm()
        look = partial(admit, received.data, wish, service.models, service.painter, service.limits)
        ticket = await asyncio.get_running_loop().run_in_executor(_admitting, look)
    except ClientDisconnect:
        held.close()
        return Response(status_code=_NOBODY)
    except BaseException:
        held.close()
        raise
    job = service.submit(ticket, held, as_job=_prefers_job(request) or ticket.is_job)
    if job is not None:
        body = job_body(job, service.limits.kept_seconds)
        return JSONResponse(body.model_dump(), 202, headers={"Location": body.links.self})
    done = await _settled(ticket, request)
    if done is None:
        return Response(status_code=_NOBODY)
    return answers.picture(done, done.picture.output, ticket.options, ticket.size[0])


def _prefers_job(request: Request) -> bool:
    """Whether a client would rather not wait (RFC 7240)."""
    wanted = ",".join(request.headers.getlist("prefer")).lower()
    return "respond-async" in (one.partition(";")[0].strip() for one in wanted.split(","))


async def _settled(ticket: Ticket, request: Request) -> Done | None:
    """The result of a ticket; None, and the ticket cancelled, where the client leaves before."""
    result = asyncio.wrap_future(ticket.result)
    left = asyncio.ensure_future(_has_left(request))
    both: set[asyncio.Future[Any]] = {result, left}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return await result if result.done() else None
    finally:
        left.cancel()
        ticket.cancel()  # which does nothing once it is settled


async def _has_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
