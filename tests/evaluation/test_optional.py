"""Optional packages: there, or missed by the name of what brings them."""

from __future__ import annotations

import json
import sys

import pytest

from sr4.errors import MissingExtraError
from sr4.evaluation.optional import require


def test_a_module_that_is_there_is_given() -> None:
    assert require("json", what="JSON", package="json") is json


def test_one_that_is_not_there_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(MissingExtraError, match=r"SSIM needs .*scikit-image.*\[scores\]"):
        require("skimage.metrics", what="SSIM", package="scikit-image", extra="scores")
