"""What routes have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from sr4.serve.service import Service

EVERYWHERE = (401, 403)  # where there is a key, and for pages of other sites


def _of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(_of)]
"""The service that a request came to."""
