"""What whole capabilities are tried with: the command line, and small trainings."""

from __future__ import annotations

from tests.cli.conftest import face, make_picture, run
from tests.training.conftest import make_source, one_thread, source, tiny, weights

__all__ = ["face", "make_picture", "make_source", "one_thread", "run", "source", "tiny", "weights"]
