"""What the paper claims, judged by the results of an ablation.

Two systems are compared picture by picture: the test pictures and the noise are the same, so the
mean of the differences is known far better than the difference of the means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sr4.ablation.results import CurvePoint, Results, Row
from sr4.errors import UsageError
from sr4.evaluation.metrics import Interval, bootstrap
from sr4.evaluation.table import FIELDS

Verdict = Literal["confirmed", "not confirmed", "contradicted"]
Rows = Mapping[str, Row]
Judge = Callable[[Rows], tuple[Verdict, str]]

IN_PAIRS = ("psnr", "ssim", "consistency")
"""The scores in which systems are compared picture by picture."""
_CONTROLS = ("regression",)  # draws no samples: not a rival of the diffusion models


@dataclass(frozen=True)
class Judgement:
    """A claim of the paper and what the results say about it."""

    claim: str
    where: str  # in the paper
    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Args:
        needs: the systems that it is about; without one of them it is not judged.
        judge: verdict and evidence of their rows.
    """

    text: str
    where: str
    needs: tuple[str, ...]
    judge: Judge


def judge(results: Results) -> list[Judgement]:
    """The claims that the systems of these results can answer."""
    rows = {row.recipe: row for row in results.rows}
    return [
        Judgement(claim.text, claim.where, *claim.judge(rows))
        for claim in CLAIMS
        if all(name in rows for name in claim.needs)
    ]


def difference(one: Row, other: Row, metric: str, *, projected: bool = False) -> Interval:
    """Mean of `one - other` over the test pictures, with its 95 % bootstrap interval: of the scores
    at each system's own number of steps, or of those with projection.

    Raises:
        UsageError: they were not scored on the same number of pictures, or one not in that way.
    """
    ours, theirs = (np.array(_pictures(row, projected)[metric]) for row in (one, other))
    if ours.shape != theirs.shape:
        raise UsageError(
            f"got {ours.size} pictures of {one.recipe} and {theirs.size} of {other.recipe}; "
            "expected the same ones: score them in one ablation"
        )
    return bootstrap(ours - theirs)


def _pictures(row: Row, projected: bool) -> Mapping[str, tuple[float, ...]]:
    for score in row.scores:
        if score.projected if projected else score.own:
            return score.pictures
    raise UsageError(
        f"got no score of {row.recipe} with projection; expected one: score all systems in one "
        "ablation"
    )


def _compare(rows: Rows, one: str, other: str, metric: str) -> tuple[Verdict, str]:
    """Whether `one` is better than `other`: confirmed or contradicted if the interval says so."""
    found = difference(rows[one], rows[other], metric)
    evidence = f"{one} - {other}: {signed(found)} {_name(metric)}"
    better = 1 if FIELDS[metric].higher_is_better else -1
    low, high = sorted(better * end for end in _ends(found))
    if low > 0:
        return "confirmed", evidence
    return ("contradicted" if high < 0 else "not confirmed"), evidence


def _name(metric: str) -> str:
    """ "dB PSNR", "SSIM" or "consistency"."""
    found = FIELDS[metric]
    return f"{found.unit} {found.title}" if found.unit == "dB" else found.title


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def signed(interval: Interval) -> str:
    """An interval in words: with a sign, and as many digits as tell its ends apart."""
    width = interval.high - interval.low
    digits = min(max(0, 1 - math.floor(math.log10(width))), 4) if width > 0 else 4
    value, low, high = (f"{one:+,.{digits}f}" for one in (interval.value, *_ends(interval)))
    return f"{value} [{low}, {high}]"


def _better(one: str, other: str, *metrics: str) -> Judge:
    """A judge: `one` is better than `other` in all these metrics."""

    def judged(rows: Rows) -> tuple[Verdict, str]:
        return _all([_compare(rows, one, other, metric) for metric in metrics])

    return judged


def _all(found: Sequence[tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """The verdict on a claim of several parts: confirmed if all are, contradicted if one is."""
    verdicts = [verdict for verdict, _ in found]
    evidence = "; ".join(text for _, text in found)
    if all(verdict == "confirmed" for verdict in verdicts):
        return "confirmed", evidence
    return ("contradicted" if "contradicted" in verdicts else "not confirmed"), evidence


def _ahead_of_all(rows: Rows) -> tuple[Verdict, str]:
    """SR4 against every other diffusion system, in PSNR, SSIM and consistency."""
    others = [name for name in rows if name not in ("sr4", *_CONTROLS)]
    found = {
        (name, metric): _compare(rows, "sr4", name, metric)[0]
        for name in others
        for metric in IN_PAIRS
    }
    verdict, _ = _all([(verdict, "") for verdict in found.values()])
    parts = []
    for title, wanted in (("better", "confirmed"), ("behind", "contradicted")):
        pairs = [f"{name} ({metric})" for (name, metric), v in found.items() if v == wanted]
        parts.append(f"{title} in {len(pairs)} of {len(found)} comparisons")
        if wanted == "contradicted" and pairs:
            parts[-1] += f": {', '.join(pairs)}"
    return verdict, "; ".join(parts)


def _earlier(rows: Rows) -> tuple[Verdict, str]:
    """Residual prediction ahead of the picture at every validation of the first half."""
    ours, theirs = rows["residual"].curve, rows["cosine"].curve
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=False) if a.images == b.images]
    if not pairs:
        return "not confirmed", "the runs have no validation in common"
    early = pairs[: max(1, len(pairs) // 2)]
    ahead = sum(a.psnr > b.psnr for a, b in early)
    first, last = early[0], theirs[-1]
    evidence = (
        f"residual ahead of cosine at {ahead} of the first {len(early)} validations; after "
        f"{first[0].images:,} pictures {first[0].psnr:.2f} against {first[1].psnr:.2f} dB"
    )
    passed = _first_at(ours, last.psnr)
    if passed is not None:
        evidence += (
            f"; residual reaches cosine's last {last.psnr:.2f} dB after {passed:,} pictures, "
            f"cosine after {last.images:,}"
        )
    if ahead == len(early):
        return "confirmed", evidence
    return ("contradicted" if ahead == 0 else "not confirmed"), evidence


def _first_at(curve: Sequence[CurvePoint], psnr: float) -> int | None:
    """The first data position at which a curve is that high."""
    return next((point.images for point in curve if point.psnr >= psnr), None)


def _collapses(rows: Rows) -> tuple[Verdict, str]:
    """The map of the input attention says nothing: its mean is near 0.5, its spread near 0, and
    less than that of an untrained one, which is 0.03 to 0.05.
    """
    curve = rows["attention-input"].curve
    mean, spread = (curve[-1].map_mean, curve[-1].map_spread) if curve else (None, None)
    if mean is None or spread is None:
        return "not confirmed", "the run has recorded no map"
    evidence = f"after {curve[-1].images:,} pictures mean {mean:.3f}, spread {spread:.3f}"
    if abs(mean - 0.5) <= 0.05 and spread <= 0.02:
        return "confirmed", evidence
    return ("contradicted" if spread > 0.1 else "not confirmed"), evidence


CLAIMS = (
    Claim(
        "Fewer steps of the linear schedule, 500 for 2,000, make SR3 worse.",
        "Table 1",
        ("sr3", "sr3-500"),
        _better("sr3", "sr3-500", "psnr", "ssim"),
    ),
    Claim(
        "At 500 steps the cosine schedule is better than the linear one.",
        "section 5.2, Table 1",
        ("cosine", "sr3-500"),
        _better("cosine", "sr3-500", "psnr", "ssim"),
    ),
    Claim(
        "It is the cosine shape that helps, not that it ends in pure noise (our control: a linear "
        "schedule that does so as well).",
        "not in the paper",
        ("cosine", "sr3-500-matched"),
        _better("cosine", "sr3-500-matched", "psnr", "ssim"),
    ),
    Claim(
        "The hybrid loss converges more slowly: at an equal budget it is worse than the simple "
        "loss.",
        "section 5.3, Table 1",
        ("hybrid-vlb", "sr3-500"),
        _better("sr3-500", "hybrid-vlb", "psnr", "ssim"),
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
        _better("sr3-500", "attention-input", "psnr", "ssim"),
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
        "SR4 with 500 steps is better than SR3 with 2,000.",
        "sections 6.2 and 7, Table 1",
        ("sr4", "sr3"),
        _better("sr4", "sr3", "psnr", "ssim", "consistency"),
    ),
    Claim(
        "SR4 is ahead of all other systems in every metric.",
        "section 6.2",
        ("sr4", "sr3", "cosine", "residual"),
        _ahead_of_all,
    ),
)
