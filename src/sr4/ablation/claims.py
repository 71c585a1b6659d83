"""What the paper claims, judged by the results of an ablation.

Two systems are compared picture by picture: the test pictures and the noise are the same, so the
mean of the differences is known far better than the difference of the means. Quality is judged
with projection, which gives all systems the right colours and leaves their detail to be judged;
consistency, which projection makes exact, at each system's own number of steps without. What is
claimed of numbers of steps is judged at these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sr4.ablation.comparison import (
    Difference,
    SeedSpread,
    Verdict,
    compare,
    over_seeds,
    seed_spread,
    verdict,
)
from sr4.ablation.results import CurvePoint, Kind, Results, Row
from sr4.evaluation.metrics import Float64, Interval
from sr4.evaluation.paired import SIGNIFICANT, holm
from sr4.evaluation.table import FIELDS

Judge = Callable[[Results], tuple[Verdict, str, bool]]

OF_PICTURES = ("psnr", "ssim", "consistency")
OF_SETS = ("kid_efflite0",)
IN_PAIRS = (*OF_PICTURES, *OF_SETS)
"""The scores in which systems are compared picture by picture."""
QUALITY = ("psnr", "ssim", "kid_efflite0")
_CONTROLS = ("regression",)  # draws no samples: not a rival of the diffusion models


@dataclass(frozen=True)
class Judgement:
    """A claim of the paper and what the results say about it.

    Attributes:
        has_seeds: whether the verdict allows for the spread over seeds; without it, it holds for
            the very runs that were scored.
    """

    claim: str
    where: str  # in the paper
    verdict: Verdict
    evidence: str
    has_seeds: bool


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        needs: the systems that it is about; without one of them it is not judged.
        judge: verdict and evidence of the results, and whether they allow for the spread over
            seeds.
    """

    text: str
    where: str
    needs: tuple[str, ...]
    judge: Judge


def judge(results: Results) -> list[Judgement]:
    """The claims that the systems of these results can answer."""
    return [
        Judgement(claim.text, claim.where, *claim.judge(results))
        for claim in CLAIMS
        if all(results.runs(name) for name in claim.needs)
    ]


def difference(
    results: Results, one: str, other: str, metric: str, kind: Kind = "own"
) -> Difference | None:
    """`one - other` over test pictures and seeds, of scores of that kind. None where they do not
    have that metric, or not of the same pictures: those that systems are judged by are more.
    """
    ours, theirs = (_scores(results.runs(name), metric, kind) for name in (one, other))
    if not ours or not theirs or len({len(scores) for scores in (*ours, *theirs)}) > 1:
        return None
    return compare(ours, theirs, spread_over_seeds(results, metric, kind))


def spread_over_seeds(results: Results, metric: str, kind: Kind) -> SeedSpread | None:
    """How much a system's mean varies from seed to seed, by all systems that have several."""
    return seed_spread(
        [
            [float(np.mean(scores)) for scores in _scores(results.runs(name), metric, kind)]
            for name in dict.fromkeys(row.recipe for row in results.repeats)
        ]
    )


def _scores(runs: Sequence[Row], metric: str, kind: Kind) -> list[Float64]:
    """Of each run, (P,) by picture; nothing if one of them has none."""
    found = [row.score(kind) for row in runs]
    if any(score is None or metric not in score.pictures for score in found):
        return []
    return [np.array(score.pictures[metric]) for score in found if score is not None]


def _compared(
    results: Results, one: str, other: str, metrics: Sequence[str], kind: Kind
) -> list[_Compared]:
    found = []
    for metric in metrics:
        scores = kind if metric in QUALITY else "own"
        told = difference(results, one, other, metric, scores)
        if told is not None and results.is_alike((one, other), scores):
            found.append(_Compared(metric, told))
    return found


@dataclass(frozen=True)
class _Compared:
    """A difference of two systems in one metric."""

    metric: str
    found: Difference

    @property
    def signed(self) -> tuple[Difference, int]:
        return self.found, 1 if FIELDS[self.metric].higher_is_better else -1

    def __str__(self) -> str:
        return f"{signed(self.found.interval)} {_name(self.metric)}"


def _name(metric: str) -> str:
    """ "dB PSNR", "SSIM" or "consistency"."""
    found = FIELDS[metric]
    return f"{found.unit} {found.title}" if found.unit == "dB" else found.title


def _number(value: float) -> str:
    """With two digits that count."""
    digits = min(max(0, 1 - math.floor(math.log10(value))), 4) if value > 0 else 0
    return f"{value:,.{digits}f}"


def signed(interval: Interval) -> str:
    """An interval in words: with a sign, and as many digits as tell its ends apart."""
    width = interval.high - interval.low
    digits = min(max(0, 1 - math.floor(math.log10(width))), 4) if width > 0 else 4
    value, low, high = (
        f"{one:+,.{digits}f}" for one in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def _better(one: str, other: str, *metrics: str, kind: Kind = "projected") -> Judge:
    """A judge: `one` is better than `other`, by these metrics together; quality by scores of that
    kind.
    """

    def judged(results: Results) -> tuple[Verdict, str, bool]:
        compared = _compared(results, one, other, metrics, kind)
        if not compared:
            return "open", f"{one} and {other} were not scored so that it could be told", False
        found = verdict([each.signed for each in compared])
        evidence = f"{one} - {other}: {'; '.join(map(str, compared))}"
        if found == "open":
            least = (f"{_number(each.found.detectable)} {_name(each.metric)}" for each in compared)
            evidence += f" (would be found in four of five cases: {', '.join(least)})"
        return found, evidence, all(each.found.has_seeds for each in compared)

    return judged


def _ahead_of_all(results: Results) -> tuple[Verdict, str, bool]:
    """SR4 against every other diffusion system, in every metric; not against variants."""
    names = [row.recipe for row in results.rows]
    others = [name for name in names if name not in ("sr4", *_CONTROLS) and "+" not in name]
    compared = [
        (name, each)
        for name in others
        for each in _compared(results, "sr4", name, (*QUALITY, "consistency"), "projected")
    ]
    corrected = holm([each.found.p for _, each in compared])
    signs = [
        math.copysign(1, each.signed[1] * each.found.value) if p <= SIGNIFICANT else 0
        for (_, each), p in zip(compared, corrected, strict=True)
    ]
    parts = []
    for title, wanted in (("better", 1), ("behind", -1)):
        pairs = [
            f"{name} ({_name(each.metric)})"
            for (name, each), sign in zip(compared, signs, strict=True)
            if sign == wanted
        ]
        parts.append(f"{title} in {len(pairs)} of {len(compared)} comparisons")
        if wanted < 0 and pairs:
            parts[-1] += f": {', '.join(pairs)}"
    evidence, has_seeds = "; ".join(parts), bool(results.repeats)
    if -1 in signs:
        return "contradicted", evidence, has_seeds
    return ("confirmed" if signs and 0 not in signs else "open"), evidence, has_seeds


def _earlier(results: Results) -> tuple[Verdict, str, bool]:
    """Residual prediction ahead of the picture in the first half of the training, by the mean over
    its validations and the spread of that over seeds: what a single pair of runs shows, chance may
    have made.
    """
    runs = zip(results.runs("residual"), results.runs("cosine"), strict=False)
    pairs = [_early(ours.curve, theirs.curve) for ours, theirs in runs]
    if not all(pairs):
        return "open", "the runs have no validation in common", False
    means = [float(np.mean([a.psnr - b.psnr for a, b in early])) for early in pairs]
    ahead = [sum(a.psnr > b.psnr for a, b in early) for early in pairs]
    first = pairs[0][0]
    evidence = (
        f"residual ahead of cosine at {', '.join(map(str, ahead))} of the first {len(pairs[0])} "
        f"validations; after {first[0].images:,} pictures {first[0].psnr:.2f} against "
        f"{first[1].psnr:.2f} dB"
    )
    ours, theirs = results.runs("residual")[0].curve, results.runs("cosine")[0].curve
    passed = _first_at(ours, theirs[-1].psnr)
    if passed is not None:
        evidence += (
            f"; residual reaches cosine's last {theirs[-1].psnr:.2f} dB after {passed:,} pictures, "
            f"cosine after {theirs[-1].images:,}"
        )
    if len(means) == 1:
        return "open", f"{means[0]:+.2f} dB over the first half; {evidence}", False
    found = over_seeds(means)
    evidence = f"{signed(found.interval)} dB over the first half; {evidence}"
    return verdict([(found, 1)]), evidence, True


def _early(
    ours: Sequence[CurvePoint], theirs: Sequence[CurvePoint]
) -> list[tuple[CurvePoint, CurvePoint]]:
    """The validations that both have, of the first half."""
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=False) if a.images == b.images]
    return pairs[: max(1, len(pairs) // 2)]


def _first_at(curve: Sequence[CurvePoint], psnr: float) -> int | None:
    """The first data position at which a curve is that high."""
    return next((point.images for point in curve if point.psnr >= psnr), None)


def _collapses(results: Results) -> tuple[Verdict, str, bool]:
    """The map of the input attention says nothing: in each run its mean is near 0.5, its spread
    near 0, and less than that of an untrained one, which is 0.03 to 0.05.
    """
    lasts = [row.curve[-1] if row.curve else None for row in results.runs("attention-input")]
    maps = [
        (last.map_mean, last.map_spread)
        for last in lasts
        if last is not None and last.map_mean is not None and last.map_spread is not None
    ]
    if len(maps) < len(lasts) or lasts[0] is None:
        return "open", "a run has recorded no map", False
    told = "; ".join(f"mean {mean:.3f}, spread {spread:.3f}" for mean, spread in maps)
    evidence = f"after {lasts[0].images:,} pictures {told}"
    found: Verdict = "contradicted" if all(spread > 0.1 for _, spread in maps) else "open"
    if all(abs(mean - 0.5) <= 0.05 and spread <= 0.02 for mean, spread in maps):
        found = "confirmed"
    return found, evidence, len(maps) > 1


_PATH = "sr4+path="
_LARGE_VARIANCE = "cosine+variance=large"
_SHARED_NOISE = "cosine+noise=batch"

CLAIMS = (
    Claim(
        "Fewer steps of the linear schedule, 500 for 2,000, make SR3 worse.",
        "Table 1",
        ("sr3", "sr3-500"),
        _better("sr3", "sr3-500", *QUALITY, kind="own projected"),
    ),
    Claim(
        "At 500 steps the cosine schedule is better than the linear one.",
        "section 5.2, Table 1",
        ("cosine", "sr3-500"),
        _better("cosine", "sr3-500", *QUALITY),
    ),
    Claim(
        "It is the cosine shape that helps, not that it ends in pure noise (our control: a linear "
        "schedule that does so as well).",
        "not in the paper",
        ("cosine", "sr3-500-matched"),
        _better("cosine", "sr3-500-matched", *QUALITY),
    ),
    Claim(
        "The hybrid loss converges more slowly: at an equal budget it is worse than the simple "
        "loss.",
        "section 5.3, Table 1",
        ("hybrid-vlb", "sr3-500"),
        _better("sr3-500", "hybrid-vlb", *QUALITY),
    ),
    Claim(
        "With few steps, less than 100, the hybrid loss is better than the simple one.",
        "section 6",
        ("hybrid-vlb", "sr3-500"),
        _better("hybrid-vlb", "sr3-500", *QUALITY, kind="fewest"),
    ),
    Claim(
        "With few steps, the posterior variance is better than beta as that of a step.",
        "sections 2.3 and 5.5",
        ("cosine", _LARGE_VARIANCE),
        _better("cosine", _LARGE_VARIANCE, *QUALITY, kind="fewest"),
    ),
    Claim(
        "With all of its 500 steps, the posterior variance is better than beta, too.",
        "section 5.5",
        ("cosine", _LARGE_VARIANCE),
        _better("cosine", _LARGE_VARIANCE, *QUALITY, kind="own projected"),
    ),
    Claim(
        "The same noise for all pictures of a batch costs quality.",
        "section 5.5",
        ("cosine", _SHARED_NOISE),
        _better("cosine", _SHARED_NOISE, *QUALITY),
    ),
    Claim(
        "The map of the attention-based fusion collapses to a mean of 0.5 and a variance near 0.",
        "section 5.1",
        ("attention-input",),
        _collapses,
    ),
    Claim(
        "Attention-based fusion of the inputs is worse than the baseline.",
        "section 5.1, Table 1",
        ("attention-input", "sr3-500"),
        _better("sr3-500", "attention-input", *QUALITY),
    ),
    Claim(
        "Residual prediction converges earlier than prediction of the picture.",
        "section 6.1, figures 11 and 12",
        ("residual", "cosine"),
        _earlier,
    ),
    Claim(
        "The learned low-res path improves consistency.",
        "sections 5.6 and 6.2, Table 1",
        ("sr4", "residual"),
        _better("sr4", "residual", "consistency"),
    ),
    Claim(
        "So does the path alone, with the attention where SR4 has it (our control).",
        "not in the paper",
        ("sr4", _PATH + "none"),
        _better("sr4", _PATH + "none", "consistency"),
    ),
    *(
        Claim(
            f"The low-res path goes down better by several small convolutions than {by}.",
            "section 5.6",
            ("sr4", _PATH + kind),
            _better("sr4", _PATH + kind, *QUALITY, "consistency"),
        )
        for kind, by in (
            ("bicubic", "by bicubic downscaling"),
            ("large-kernel", "by one large kernel"),
            ("direct", "by taking single pixels"),
        )
    ),
    Claim(
        "Attention in the middle only (8x8) extracts more detail than near it (16x16).",
        "section 5.6",
        (_PATH + "none", "residual"),
        _better(_PATH + "none", "residual", *QUALITY),
    ),
    Claim(
        "SR4 with 500 steps is better than SR3 with 2,000.",
        "sections 6.2 and 7, Table 1",
        ("sr4", "sr3"),
        _better("sr4", "sr3", *QUALITY, "consistency", kind="own projected"),
    ),
    Claim(
        "SR4 is ahead of all other systems in every metric.",
        "section 6.2",
        ("sr4", "sr3", "cosine", "residual"),
        _ahead_of_all,
    ),
)
