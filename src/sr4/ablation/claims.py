"""What the paper claims, judged by the results of an ablation.

Two systems are compared picture by picture: the test pictures and the noise are the same, so the
mean of the differences is known far better than the difference of the means. Quality is judged
with projection, which gives all systems the right colours and leaves their detail to be judged;
consistency, which projection makes exact, at each system's own number of steps without. What is
claimed of numbers of steps is judged at these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sr4.ablation.comparison import Verdict, over_seeds, verdict
from sr4.ablation.differences import QUALITY, compared, in_words, number, signed
from sr4.ablation.results import CurvePoint, Kind, Results
from sr4.evaluation.paired import SIGNIFICANT, holm

Judge = Callable[[Results], tuple[Verdict, str, bool]]

_CONTROLS = ("regression",)  # draws no samples: not a rival of the diffusion models
RIVALS = ("sr3", "sr3-500", "hybrid-vlb", "cosine", "attention-input", "residual")
"""The systems of the paper's Table 1, but for its own."""
MATCHED: Mapping[str, str] = {
    "tiny": "sr3-500-matched+warmup_images=1000",
    "full": "sr3-500-matched+warmup_images=40000",
}
"""By size: the control of `cosine`, which differs from it in the schedule alone. Without a warm-up,
which `cosine` has, it would differ in that as well.
"""


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


def _better(one: str, other: str, *metrics: str, kind: Kind = "projected") -> Judge:
    """A judge: `one` is better than `other`, by these metrics together; quality by scores of that
    kind.
    """

    def judged(results: Results) -> tuple[Verdict, str, bool]:
        for name in (one, other):
            if not results.runs(name):
                return "open", f"{name} was not run", False
        found = compared(results, one, other, metrics, kind)
        if not found:
            return "open", f"{one} and {other} were not scored so that it could be told", False
        decided = verdict([each.signed for each in found])
        evidence = f"{one} - {other}: {'; '.join(map(str, found))}"
        if decided == "open":
            least = (f"{number(each.found.detectable)} {in_words(each.metric)}" for each in found)
            evidence += f" (would be found in four of five cases: {', '.join(least)})"
        return decided, evidence, all(each.found.has_seeds for each in found)

    return judged


def _is_the_shape(results: Results) -> tuple[Verdict, str, bool]:
    """The cosine schedule against a linear one that ends in as much noise, with as long a
    warm-up.
    """
    return _better("cosine", MATCHED.get(results.size, MATCHED["full"]), *QUALITY)(results)


def _ahead_of_all(results: Results) -> tuple[Verdict, str, bool]:
    """SR4 against every other diffusion system, in every metric; not against variants. One that
    is ahead of it contradicts that, whatever is missing; to confirm it takes all of them.
    """
    metrics = (*QUALITY, "consistency")
    others = [row.recipe for row in results.rows if "+" not in row.recipe]
    names = [name for name in dict.fromkeys((*RIVALS, *others)) if name not in ("sr4", *_CONTROLS)]
    found = {
        (name, each.metric): each
        for name in names
        for each in compared(results, "sr4", name, metrics, "projected")
    }
    corrected = holm([each.found.p for each in found.values()])
    pairs: dict[int, list[str]] = {1: [], -1: []}
    for ((name, metric), each), p in zip(found.items(), corrected, strict=True):
        if p <= SIGNIFICANT:
            side = int(math.copysign(1, each.signed[1] * each.found.value))
            pairs[side].append(f"{name} ({in_words(metric)})")
    parts = [
        f"better in {len(pairs[1])} of {len(found)} comparisons",
        f"behind in {len(pairs[-1])} of {len(found)} comparisons",
    ]
    if pairs[-1]:
        parts[1] += f": {', '.join(pairs[-1])}"
    if absent := [name for name in names if not results.runs(name)]:
        parts.append(f"not run: {', '.join(absent)}")
    for metric in metrics:
        if without := [n for n in names if n not in absent and (n, metric) not in found]:
            parts.append(f"not compared in {in_words(metric)}: {', '.join(without)}")
    has_seeds = bool(found) and all(each.found.has_seeds for each in found.values())
    decided: Verdict = "contradicted" if pairs[-1] else "open"
    if len(pairs[1]) == len(names) * len(metrics):
        decided = "confirmed"
    return decided, "; ".join(parts), has_seeds


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
        "At 500 steps the cosine schedule is better than the linear one (as in the paper, with a "
        "warm-up and without).",
        "section 5.2, Table 1",
        ("cosine", "sr3-500"),
        _better("cosine", "sr3-500", *QUALITY),
    ),
    Claim(
        "It is the cosine shape that helps, not that it ends in pure noise (our control: a linear "
        "schedule that does so as well, with as long a warm-up).",
        "not in the paper",
        ("cosine",),
        _is_the_shape,
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
        "Attention in the middle only (8x8), here with 4 heads, extracts more detail than near it "
        "(16x16), with 1.",
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
