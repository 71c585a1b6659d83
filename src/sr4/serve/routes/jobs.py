"""`/v1/jobs`: pictures whose results are fetched later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from sr4.serve import answers
from sr4.serve.jobs import changes
from sr4.serve.problems import Problem, declared
from sr4.serve.routes.serving import EVERYWHERE, Serving
from sr4.serve.schemas import EVENT, PICTURE, JobBody, job_body

router = APIRouter(prefix="/v1/jobs/{job_id}")
_MISSING = declared(404, *EVERYWHERE)
PREVIEW_TYPE, EVENTS_TYPE = "image/webp", "text/event-stream"


@router.get(
    "",
    operation_id="job",
    summary="How far a job is",
    responses=_MISSING,
)
async def state(job_id: str, service: Serving) -> JobBody:
    """A job as it is now."""
    return job_body(service.jobs.find(job_id), service.limits.kept_seconds)


@router.get(
    "/events",
    operation_id="job_events",
    summary="How far a job is, told until it ends",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events 'progress', each with the job as its data.",
            "content": {EVENTS_TYPE: {"schema": EVENT}},
        },
        **_MISSING,
    },
)
async def events(job_id: str, service: Serving, request: Request) -> Response:
    """An event after each change. While somebody follows them, previews are made."""
    job = service.jobs.find(job_id)
    if request.method == "HEAD":  # whose answer would else end with the job
        return Response(media_type=EVENTS_TYPE)
    job.ticket.is_watched = True

    async def told() -> AsyncIterator[str]:
        async for has_changed in changes(job.ticket):
            data = job_body(job, service.limits.kept_seconds).model_dump_json()
            yield f"event: progress\ndata: {data}\n\n" if has_changed else ":\n\n"

    return StreamingResponse(told(), media_type=EVENTS_TYPE)


@router.get(
    "/preview",
    operation_id="job_preview",
    summary="What there is of a job's picture while it is drawn",
    response_class=Response,
    responses={
        200: {
            "description": "A small WebP picture, transparent where nothing is drawn yet.",
            "content": {PREVIEW_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        204: {"description": "There is none yet, or no more: the job has ended."},
        **_MISSING,
    },
)
async def preview(job_id: str, service: Serving) -> Response:
    """At most 64 kB, and 768 pixels along the longer side; a new one at most once a second, from
    the first request of it or of the events on. Of several samples it is the first. Pictures that
    are drawn together with others, or in a single step, have none.
    """
    ticket = service.jobs.find(job_id).ticket
    ticket.is_watched = True
    if (found := ticket.preview) is None:
        return Response(status_code=204)
    return Response(found, media_type=PREVIEW_TYPE)


@router.get(
    "/result",
    operation_id="job_result",
    summary="The result of a job, one of its samples, or the map of their deviation",
    response_class=Response,
    responses={200: PICTURE, **declared(404, 409, 422, 500, 503, *EVERYWHERE)},
)
async def result(
    job_id: str,
    service: Serving,
    request: Request,
    show: Annotated[
        Literal["result", "mean", "uncertainty"], Query(description="Which picture.")
    ] = "result",
    sample: Annotated[
        int | None, Query(ge=1, description="A single sample, in the place of 'show'.")
    ] = None,
) -> Response:
    """The picture's file. Where the job has failed, the answer says why."""
    job = service.jobs.find(job_id)
    ticket = job.ticket
    if ticket.state not in ("done", "failed"):
        raise Problem(409, f"the job is {ticket.state}; expected one that is done: ask again later")
    done = ticket.result.result()
    path = answers.file_of(done, show=show, sample=sample, use_mean=ticket.options.use_mean)
    job.is_fetched |= request.method == "GET"
    return answers.picture(done, path, ticket.options, ticket.size[0])


@router.delete(
    "",
    operation_id="delete_job",
    summary="Cancel a job, or forget its result",
    status_code=204,
    responses=_MISSING,
)
async def delete(job_id: str, service: Serving) -> None:
    """What is being drawn ends at the next step."""
    service.jobs.close(service.jobs.find(job_id))
