"""What whole capabilities are tried with: the command line, small trainings, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import face, make_picture, run
from tests.features.browser import chromium
from tests.training.conftest import make_source, source, tiny, weights

__all__ = ["face", "make_picture", "make_source", "run", "source", "tiny", "weights"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one
