"""The options of a call, told once and taken in several places."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields

import numpy as np
import pytest

from sr4.batch.options import UpscaleOptions
from sr4.upscaling.asked import Asked
from sr4.upscaling.cascade import CascadePipeline
from sr4.upscaling.pipeline import Options, Pipeline

DEFAULTS = {one.name: one.default for one in fields(Asked)}

# What decides no pixels of a result but that of a cascade, which no other has.
_OF_THE_CALL = {"self", "image", "on_step", "unfinished", "condition_noise"}


@pytest.mark.parametrize("pipeline", [Pipeline, CascadePipeline])
def test_every_pipeline_takes_them_with_these_defaults(
    pipeline: type[Pipeline] | type[CascadePipeline],
) -> None:
    given = inspect.signature(pipeline.upscale).parameters
    taken = {name: one.default for name, one in given.items() if name not in _OF_THE_CALL}
    assert taken == DEFAULTS


def test_a_batch_takes_them_and_a_model() -> None:
    batch = {one.name: one.default for one in fields(UpscaleOptions)}
    assert batch == {"model": "auto", **DEFAULTS}


def test_type_checkers_know_them() -> None:
    assert Options.__optional_keys__ == {*DEFAULTS, "on_step"}


def test_numbers_of_numpy_become_those_of_python() -> None:
    asked = Asked(seed=np.int64(3), noise=np.float32(0.5), steps=[np.int64(1), 2])
    assert json.dumps([asked.seed, asked.noise, asked.steps]) == "[3, 0.5, [1, 2]]"
