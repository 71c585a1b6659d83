"""What answers and requests look like, for the OpenAPI description."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from sr4.serve.answers import HEADERS, MEDIA_TYPES
from sr4.serve.models import Models
from sr4.serve.tickets import State
from sr4.upscaling.load import public_name

if TYPE_CHECKING:
    from sr4.serve.jobs import Job

_TEXT: dict[str, Any] = {"type": "string"}


class Link(BaseModel):
    """Where the rest of a job is."""

    self: str
    events: str
    preview: str
    result: str


class JobBody(BaseModel):
    """A job as it is now."""

    id: str
    state: State
    share: float = Field(ge=0, le=1, description="Of the work that is done.")
    seconds_left: float | None = Field(description="Of the work; null while that is not known.")
    previews: int = Field(description="That were made of it; the latest is at 'preview'.")
    model: str
    width: int = Field(description="Of the picture given, upright, in pixels.")
    height: int = Field(description="Of the picture given, likewise.")
    result_width: int = Field(description="Of the result, in pixels; known from the start.")
    result_height: int = Field(description="Of the result, likewise.")
    samples: int = Field(description="Single samples that can be fetched.")
    uncertainty: bool = Field(description="Whether a map of them can be.")
    kept_seconds: float = Field(description="That a result is kept.")
    error: str | None = Field(description="Why there is no result, in one line.")
    links: Link


class Sampling(BaseModel):
    """How a model samples where a request says nothing of it."""

    steps: int
    sampler: str
    detail: float


class ModelBody(BaseModel):
    """A model that requests may name."""

    name: str
    scale: int = Field(description="The factor between a picture and its result.")
    parameters: int
    licence: str = Field(description="Of the weights.")
    has_detail: bool = Field(description="Whether 'detail' may be other than 1.")
    detail: float = Field(description="That it takes by itself; of models joined, the last one's.")
    stages: list[Sampling] = Field(description="One, or those of models joined.")


class ModelsBody(BaseModel):
    """The models that a service was started with."""

    default: str
    names: list[str]
    models: list[ModelBody]


class HealthBody(BaseModel):
    """Whether a service lives, or is ready."""

    status: Literal["alive", "ready"]
    version: str


EVENT: dict[str, Any] = {
    "type": "object",
    "description": "An event: before OpenAPI 3.2, the schema of a stream is that of each.",
    "properties": {
        "event": {"const": "progress"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}


def job_body(job: Job, kept_seconds: float) -> JobBody:
    """What is said of a job."""
    ticket, address, problem = job.ticket, f"/v1/jobs/{job.name}", job.ticket.problem
    return JobBody(
        id=job.name,
        state=ticket.state,
        share=min(1.0, ticket.share),
        seconds_left=ticket.seconds_left,
        previews=ticket.previews,
        model=public_name(ticket.model),
        width=ticket.size[0],
        height=ticket.size[1],
        result_width=ticket.result_size[0],
        result_height=ticket.result_size[1],
        samples=len(ticket.planned.samples),
        uncertainty=ticket.planned.uncertainty is not None,
        kept_seconds=kept_seconds,
        error=None if problem is None else problem.detail,
        links=Link(
            self=address,
            events=f"{address}/events",
            preview=f"{address}/preview",
            result=f"{address}/result",
        ),
    )


def models_body(models: Models) -> ModelsBody:
    """What is said of models."""
    described = [
        ModelBody(
            name=name,
            scale=math.prod(stage.scale for stage in stages),
            parameters=sum(stage.parameters or 0 for stage in stages),
            licence="; ".join(dict.fromkeys(stage.licence for stage in stages)),
            has_detail=all(stage.network.has_mean_output for stage in stages),
            detail=stages[-1].sampling.detail,
            stages=[
                Sampling(
                    steps=stage.sampling.steps,
                    sampler=stage.sampling.sampler,
                    detail=stage.sampling.detail,
                )
                for stage in stages
            ],
        )
        for name, stages in models.described.items()
    ]
    return ModelsBody(default=models.default, names=list(models.names), models=described)


OPTIONS: dict[str, Any] = {
    "model": {**_TEXT, "description": "One of /v1/models."},
    "steps": {
        "description": "Network evaluations a sample; of joined models also one for each: 1,10.",
        "anyOf": [{"type": "integer", "minimum": 1}, _TEXT],
    },
    "sampler": {"type": "string", "enum": ["ddpm", "ddim", "dpmpp"]},
    "seed": {"type": "integer", "minimum": 0, "default": 0},
    "samples": {
        "type": "integer",
        "minimum": 1,
        "description": "Single samples, which a job gives besides the result.",
    },
    "mean": {"type": "boolean", "description": "Make their mean the result."},
    "uncertainty": {"type": "boolean", "description": "Make a map of their deviation, too."},
    "detail": {"type": "number", "minimum": 0, "maximum": 1},
    "consistency": {"type": "boolean"},
    "evidence": {"type": "string", "enum": ["auto", "exact", "jpeg", "noise", "none"]},
    "noise": {"type": "number", "minimum": 0, "description": "Deviation in levels of 255."},
    "blur": {
        "description": "Deviation in pixels, or auto.",
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "enum": ["auto"]}],
    },
    "scale": {"type": "number", "minimum": 1, "description": "Between picture and result."},
    "width": {"type": "integer", "minimum": 1, "description": "Of the result, in pixels."},
    "height": {"type": "integer", "minimum": 1, "description": "Of the result, likewise."},
    "tile": {
        "description": "Edge of tiles in pixels, 0 for none, or auto.",
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "enum": ["auto"]}],
    },
    "format": {
        "type": "string",
        "enum": sorted(suffix.lstrip(".") for suffix in MEDIA_TYPES),
        "description": "Of the result; by default one that loses nothing, mostly png.",
    },
    "quality": {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "Of a result in jpg, webp or avif, with 'format'; lower ones make smaller "
        "files. By default 95, and webp without loss.",
    },
}

UPSCALE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {"file": {**_TEXT, "format": "binary"}, **OPTIONS},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["picture"],
                    "additionalProperties": False,
                    "properties": {
                        "picture": {
                            **_TEXT,
                            "format": "byte",
                            "description": "The file in base64; line breaks, and a beginning such "
                            "as 'data:image/png;base64,', are passed over.",
                        },
                        # As programs write what they leave out.
                        **{n: {"anyOf": [one, {"type": "null"}]} for n, one in OPTIONS.items()},
                    },
                }
            },
        },
    }
}

PICTURE: dict[str, Any] = {
    "description": "The picture's file.",
    "headers": {
        name: {
            "description": text,
            "required": name not in ("SR4-Map", "SR4-Notes"),
            "schema": _TEXT,
        }
        for name, text in HEADERS.items()
    },
    "content": {
        kind: {"schema": {**_TEXT, "format": "binary"}}
        for kind in dict.fromkeys(MEDIA_TYPES.values())
    },
}

LOCATION: dict[str, Any] = {
    "Location": {
        "description": "The address of the job.",
        "required": True,
        "schema": {**_TEXT, "format": "uri-reference"},
    }
}
