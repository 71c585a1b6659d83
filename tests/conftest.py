"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder of golden numbers and pictures beside the checkout; skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SR4_SHARED", default))
    if not folder.is_dir():
        pytest.skip("the shared folder is not beside the checkout")
    return folder
