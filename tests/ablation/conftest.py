"""Results made up for tests: numbers with known means and differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from sr4.ablation.plan import Plan
from sr4.ablation.results import CurvePoint, LossPoint, Results, Row, Score
from sr4.evaluation.metrics import bootstrap
from sr4.evaluation.report import Evaluation

COUNT = 8


def make_score(
    model: str,
    psnr: float,
    *,
    steps: int = 500,
    own: bool = True,
    projected: bool = False,
    consistency: float = 50.0,
    kid: float | None = None,
) -> Score:
    """Scores of eight pictures that lie around a mean in the same way for all systems."""
    spread = np.linspace(-1, 1, COUNT)
    pictures = {
        "psnr": tuple((psnr + spread).tolist()),
        "ssim": tuple((psnr / 40 + 0.1 * spread).tolist()),
        "consistency": tuple((consistency + 5 * spread).tolist()),
    }
    if kid is not None:
        pictures["kid_efflite0"] = tuple((kid + spread).tolist())
    known = {name: bootstrap(values) for name, values in pictures.items()}
    values: dict[str, Any] = dict.fromkeys(Evaluation.model_fields) | {
        "model": model,
        "data": "test.tar",
        "count": COUNT,
        **known,
        "psnr_luma": known["psnr"],
        "ssim_luma": known["ssim"],
        "colour_drift": known["ssim"],
        "samples": 1,
        "nfe": steps,
        "seconds_per_image": 0.5,
        "protocol": {"psnr": "mean over pictures"},
        "notes": (),
        "pictures": (),
        "examples": (),
        "shares": {},
        "reliability": (),
    }
    return Score(
        steps=steps,
        own=own,
        projected=projected,
        evaluation=Evaluation.model_validate(values),
        pictures=pictures,
    )


@pytest.fixture(scope="session")
def make_row() -> Callable[..., Row]:
    """A row of made-up figures."""

    def make(
        name: str,
        psnr: float = 20.0,
        *,
        consistency: float = 50.0,
        curve: Sequence[float] = (),
        maps: tuple[float, float] | None = None,
        projected: float | None = None,
        kid: float | None = None,
        seed: int = 0,
    ) -> Row:
        mean, spread = maps or (None, None)
        settings = Plan((name,)).settings(name)
        return Row(
            recipe=name,
            seed=seed,
            settings=settings,
            parameters=6_000_000,
            gflops=1.45,
            images=40_000,
            losses=tuple(LossPoint(images=80 * n, loss=1 / n) for n in range(1, 20)),
            curve=tuple(
                CurvePoint(
                    images=5000 * n, psnr=value, consistency=60, map_mean=mean, map_spread=spread
                )
                for n, value in enumerate(curve, 1)
            ),
            scores=(
                make_score(
                    name,
                    psnr,
                    steps=settings.model.sampling.steps,
                    consistency=consistency,
                    kid=kid,
                ),
                make_score(name, psnr - 1, steps=20, own=False, consistency=consistency),
                *(
                    []
                    if projected is None
                    else [
                        make_score(name, projected, steps=steps, own=False, projected=True, kid=kid)
                        for steps in (settings.model.sampling.steps, 100)
                    ]
                ),
            ),
        )

    return make


@pytest.fixture(scope="session")
def make_results() -> Callable[..., Results]:
    """Results of the given rows."""

    def make(*rows: Row) -> Results:
        return Results(
            size="tiny",
            budget=40_000,
            seed=0,
            data="train (10 pictures)",
            test="test.tar (the first 8 pictures)",
            machine="a machine",
            versions="sr4 0",
            baselines=(make_score("bicubic", 21.0, steps=0).evaluation,),
            rows=tuple(row for row in rows if row.seed == 0),
            repeats=tuple(row for row in rows if row.seed > 0),
            shown=0,
        )

    return make
