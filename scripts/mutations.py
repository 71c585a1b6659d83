"""Faults that the tests have to find: one is made at a time, and the tests of its module are run.

    python scripts/mutations.py                 # all of them, some minutes; 1 if one survives
    python scripts/mutations.py recipes/paper   # those whose file has this in its name

A reproduction stands or falls with its values: how many steps, which variance, on which side of a
comparison a claim lies. Tests that would not miss them prove little.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Mutation(NamedTuple):
    """A fault.

    Attributes:
        file: under src/sr4.
        text: what stands there once.
        fault: what is put in its place.
        tests: which are run, under tests/.
    """

    file: str
    text: str
    fault: str
    tests: str


def _all(file: str, tests: str, *pairs: tuple[str, str]) -> list[Mutation]:
    return [Mutation(file, text, fault, tests) for text, fault in pairs]


MUTATIONS = [
    *_all(
        "recipes/paper.py",
        "recipes/test_recipes.py",
        ("total_images=2_560_000", "total_images=640_000"),
        ("batch_size=4", "batch_size=8"),
        ("learning_rate=1e-4", "learning_rate=3e-4"),
        ("ema_decay=0.9999", "ema_decay=0.999"),
        ('"warmup_images": 40_000', '"warmup_images": 10_000'),
        ('_LINEAR_500 = ScheduleSettings(kind="linear", steps=500)',
         '_LINEAR_500 = ScheduleSettings(kind="linear", steps=1000)'),
        ('_COSINE_500 = ScheduleSettings(kind="cosine-table", steps=500)',
         '_COSINE_500 = ScheduleSettings(kind="linear", steps=500, beta_end=4e-2)'),
        ('prediction="eps", p=1, **objective', 'prediction="eps", p=2, **objective'),
        ('sampler="ddpm", consistency=False', 'sampler="ddpm", consistency=True'),
        ('_system("sr3", ScheduleSettings(kind="linear", steps=2000))',
         '_system("sr3", ScheduleSettings(kind="linear", steps=1000))'),
        ('"beta_end": 4e-2', '"beta_end": 2e-2'),
        ('variance="learned", vlb_weight=0.001', 'variance="learned", vlb_weight=0.01'),
        ('variance="learned", vlb_weight=0.001', 'variance="large", vlb_weight=0.001'),
        ('_system("cosine", _COSINE_500, training=_WARM_TRAINING)',
         '_system("cosine", _COSINE_500)'),
        ('_LINEAR_500, network=AttentionInputNetworkSettings()',
         '_LINEAR_500, network=AttentionInputNetworkSettings(), variance="large"'),
        ('_system("residual", _COSINE_500, target="residual"',
         '_system("residual", _COSINE_500, target="picture"'),
        ('        network=SR4NetworkSettings(),\n', ""),
        ('prediction="x0", p=1', 'prediction="x0", p=2'),
    ),
    *_all(
        "config/networks.py",
        "recipes/test_recipes.py",
        ("dropout: float = Field(0.2", "dropout: float = Field(0.0"),
        ("heads: int = Field(4, ge=1", "heads: int = Field(1, ge=1"),
        ("attention_resolutions: tuple[_Edge, ...] = Field((8,)",
         "attention_resolutions: tuple[_Edge, ...] = Field((16,)"),
        ("multipliers: tuple[_Multiplier, ...] = Field((1, 2, 4, 8, 8)",
         "multipliers: tuple[_Multiplier, ...] = Field((1, 2, 4, 8)"),
    ),
    *_all(
        "recipes/sizes.py",
        "recipes/test_recipes.py",
        ('"learning_rate": 5e-4', '"learning_rate": 1e-3'),
        ('"ema_decay": 0.999,', '"ema_decay": 0.99,'),
        ('1_000 if training.warmup_images', '10_000 if training.warmup_images'),
        ("_WIDTH = 4", "_WIDTH = 2"),
    ),
    *_all(
        "diffusion/losses.py",
        "diffusion/test_losses.py",
        ("difference if p == 1 else", "difference if p == 2 else"),
        ("_HALF_BIN = 1 / 255", "_HALF_BIN = 1 / 256"),
        ("+ spread + shift - 1)", "+ spread - shift - 1)"),
        ("xp.where(first, likelihood, divergence)", "xp.where(first, divergence, likelihood)"),
        ("/ math.log(2)", "/ math.log(10)"),
        ("return simple + weight * vlb", "return simple + vlb"),
    ),
    *_all(
        "diffusion/process.py",
        "diffusion/test_process.py",
        ("keep = alpha_t / alpha_s * sigma_s**2", "keep = alpha_s / alpha_t * sigma_s**2"),
        ("return np.asarray(sigma_t**2 * self._gained)",
         "return np.asarray(sigma_t * self._gained)"),
        ("return np.asarray(sigma_s**2 * self._gained)",
         "return np.asarray(sigma_s**2 / self._gained)"),
        ("like(alpha, x_0) * x_0 + like(sigma, x_0) * eps",
         "like(alpha, x_0) * x_0 + like(sigma**2, x_0) * eps"),
    ),
    *_all(
        "diffusion/samplers.py",
        "diffusion/test_samplers.py",
        ("exp(0.5 * log_variance)", "exp(log_variance)"),
        ("self.eta**2 * transition", "self.eta * transition"),
        ("np.sqrt(sigma_s**2 - variance)", "np.sqrt(sigma_s**2 + variance)"),
        ("h / (2 * previous_h)", "h / previous_h"),
        ("alpha_s * np.expm1(-h)", "alpha_s * np.expm1(h)"),
        ("return denoised.x_0, None", "return x_t, None"),
        ("return x_s, (denoised.x_0, h)", "return x_s, (x_0, h)"),
    ),
    *_all(
        "diffusion/predictions.py",
        "diffusion/test_predictions.py",
        ("return alpha * eps - sigma * x_0", "return alpha * eps + sigma * x_0"),
        ("return (x_t - sigma * output) / alpha", "return (x_t - sigma * output) / sigma"),
        ("share = (output + 1) / 2", "share = output"),
    ),
    *_all(
        "diffusion/schedules.py",
        "diffusion/test_schedules.py",
        ("beta_start: float = 1e-6", "beta_start: float = 1e-4"),
        ("steps: int = 500, offset: float = 0.008", "steps: int = 500, offset: float = 0.08"),
        ("beta_limit: float = 0.999", "beta_limit: float = 0.99"),
        ("np.interp(t, grid, roots) ** 2", "np.interp(t, grid, roots)"),
    ),
    *_all(
        "training/objectives.py",
        "training/test_objectives.py",
        ("np.where(is_first, np.inf, before)", "before"),
        ("return steps * term", "return term"),
        ("output.detach(), x_t, log_snr)", "output, x_t, log_snr)"),
        ('if self._settings.noise_level == "batch"', 'if self._settings.noise_level == "sample"'),
    ),
    *_all(
        "training/ema.py",
        "training/test_ema.py",
        ("(1 + step) / (10 + step))", "(1 + step) / (100 + step))"),
        ("1 - keep)", "keep)"),
    ),
    *_all(
        "training/optimisation.py",
        "training/test_trainer.py",
        ("(images + training.batch_size) / max", "images / max"),
        ("(training.total_images - images) / cooling",
         "(training.total_images + images) / cooling"),
    ),
    *_all(
        "evaluation/metrics.py",
        "evaluation/test_metrics.py",
        ("-10 * np.log10", "-20 * np.log10"),
        ("[65.481, 128.553, 24.966]", "[65.481, 24.966, 128.553]"),
        ("SSIM_SIGMA = 1.5", "SSIM_SIGMA = 1.0"),
        ("[2.5, 97.5]", "[5, 95]"),
        ("math.sqrt(size / (size - 1))", "1"),
        ("shift = np.mean(degraded - low_res, axis=(2, 3))",
         "shift = np.mean(abs(degraded - low_res), axis=(2, 3))"),
    ),
    *_all(
        "evaluation/distances.py",
        "evaluation/test_distances.py",
        ("/ x.shape[1] + 1) ** 3", "/ x.shape[1] + 1) ** 2"),
        (", where=of[rows, None] != of)", ")"),
        ("value + 2 * (sums", "value + (sums"),
        ("- 2 * cross)", "- cross)"),
        ("np.sqrt(len(x) - 1)", "np.sqrt(len(x))"),
    ),
    *_all(
        "evaluation/paired.py",
        "evaluation/test_paired.py",
        ("np.abs(signs @ values) >= least", "(signs @ values) >= least"),
        ("np.arange(len(values), 0, -1)", "np.arange(1, len(values) + 1)"),
        ("np.maximum.accumulate(raised)", "raised"),
    ),
    *_all(
        "evaluation/compare.py",
        "evaluation/test_compare.py",
        ("difference = ours - theirs", "difference = theirs - ours"),
        ("corrected < SIGNIFICANT", "p < SIGNIFICANT"),
    ),
    *_all(
        "ablation/differences.py",
        "ablation/test_differences.py",
        ("return self.found, 1 if FIELDS[self.metric].higher_is_better else -1",
         "return self.found, 1"),
        ('scores = kind if metric in QUALITY else "own"', "scores = kind"),
    ),
    *_all(
        "ablation/claims.py",
        "ablation/test_claims.py",
        ('*metrics: str, kind: Kind = "projected"', '*metrics: str, kind: Kind = "own"'),
        ('_better("sr3", "sr3-500", *QUALITY, kind="own projected")',
         '_better("sr3-500", "sr3", *QUALITY, kind="own projected")'),
        ('_better("sr3", "sr3-500", *QUALITY, kind="own projected")',
         '_better("sr3", "sr3-500", *QUALITY)'),
        ('_better("cosine", "sr3-500", *QUALITY)', '_better("sr3-500", "cosine", *QUALITY)'),
        ('_better("cosine", MATCHED.get(results.size, MATCHED["full"]), *QUALITY)',
         '_better(MATCHED.get(results.size, MATCHED["full"]), "cosine", *QUALITY)'),
        ('_better("sr3-500", "hybrid-vlb", *QUALITY)',
         '_better("hybrid-vlb", "sr3-500", *QUALITY)'),
        ('_better("sr3-500", "attention-input", *QUALITY)',
         '_better("attention-input", "sr3-500", *QUALITY)'),
        ('_better("sr4", "residual", "consistency")', '_better("residual", "sr4", "consistency")'),
        ('_better("sr4", "sr3", *QUALITY, "consistency", kind="own projected")',
         '_better("sr3", "sr4", *QUALITY, "consistency", kind="own projected")'),
        ('_better("sr4", "sr3", *QUALITY, "consistency", kind="own projected")',
         '_better("sr4", "sr3", *QUALITY, kind="own projected")'),
        ("spread <= 0.02", "spread <= 0.05"),
        ("ahead = [sum(a.psnr > b.psnr", "ahead = [sum(a.psnr < b.psnr"),
        ("found = over_seeds(means)", "found = over_seeds([-mean for mean in means])"),
        ('if name not in ("sr4", *_CONTROLS)', 'if name != "sr4"'),
        (' if "+" not in row.recipe]', "]"),
        ("if len(pairs[1]) == len(names) * len(metrics):", "if len(pairs[1]) == len(found):"),
        ('_better("sr4", _PATH + kind,', '_better(_PATH + kind, "sr4",'),
        ('_better("cosine", _SHARED_NOISE,', '_better(_SHARED_NOISE, "cosine",'),
    ),
    *_all(
        "ablation/comparison.py",
        "ablation/test_comparison.py",
        ("share = 1 / len(ours) + 1 / len(theirs)", "share = 1 / len(ours)"),
        ("return SeedSpread(squares / freedom, freedom)",
         "return SeedSpread(squares / (freedom + 1), freedom)"),
        ("freedom = variance**2 / sum(part**2 / freedom for part, freedom in parts)",
         "freedom = sum(freedom for _, freedom in parts)"),
        ("p=float(2 * t.sf(", "p=float(t.sf("),
        ("corrected = holm([one.p for one, _ in differences])",
         "corrected = [one.p for one, _ in differences]"),
        ("if signs == {1}:", "if 1 in signs:"),
        ("math.copysign(1, sign * one.value)", "math.copysign(1, one.value)"),
    ),
]  # fmt: skip


def main(words: list[str]) -> int:
    """Make each fault whose file has one of these words in its name, and tell what survives."""
    wanted = [one for one in MUTATIONS if not words or any(word in one.file for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source)
        for tests in sorted({one.tests for one in wanted}):
            if _run(source, tests) != 0:
                print(f"error: {tests} fails without any fault: mend that first")
                return 2
        for number, one in enumerate(wanted, 1):
            path = source / "sr4" / one.file
            whole = path.read_text(encoding="utf-8")
            path.write_text(whole.replace(one.text, one.fault), encoding="utf-8")
            survives = _run(source, one.tests) == 0
            path.write_text(whole, encoding="utf-8")
            survivors += survives
            said = "SURVIVES" if survives else "caught"
            print(f"{number}/{len(wanted)} {said}: {one.file}: {one.text.strip()!r}", flush=True)
            if survives:
                print(f"    as {one.fault.strip()!r}, by {one.tests}", flush=True)
    print(f"{len(wanted) - survivors} of {len(wanted)} are caught")
    return 1 if survivors else 0


def _run(source: Path, tests: str) -> int:
    """The exit code of tests of the sources there."""
    words = ["-x", "-q", "-p", "no:cacheprovider", "--no-cov", f"tests/{tests}"]
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
