"""Tests lie where their modules do: tests/data/test_tars.py for src/sr4/data/tars.py."""

from __future__ import annotations

from pathlib import Path

import sr4

ROOT = Path(sr4.__file__).parent
TESTS = Path(__file__).resolve().parents[1]

# What is tested through the module that it is a part of, since nobody calls it but through that. A
# new module gets a test file of its own; a line leaves here when its module gets one.
ELSEWHERE = {
    "ablation/test_page.py": "ablation/denoising ablation/grids ablation/results ablation/samples",
    "batch/test_plan.py": "batch/outputs",
    "batch/test_worker.py": "batch/events batch/record batch/stopping",
    "bench/test_benchmark.py": "bench/report bench/row",
    "cli/test_upscale.py": "batch/words cli/options cli/upscale_report",
    "ablation/test_run.py": "ablation/joining ablation/plan ablation/scores cli/ablate",
    "features/test_others_folders.py": "cli/distill",
    "cli/test_models.py": "cli/export",
    "config/test_config.py": "config/base config/explain config/model config/names "
    "config/networks config/overrides config/run config/sampling",
    "training/test_trainer.py": "data/bad_pictures training/books",
    "data/test_prepare.py": "data/manifest",
    "data/test_sources.py": "data/encoded",
    "degradation/test_operator.py": "degradation/banded degradation/fit degradation/inverse",
    "evaluation/test_evaluate.py": "evaluation/report evaluation/tally",
    "evaluation/test_features.py": "evaluation/efficientnet",
    "evaluation/test_table.py": "evaluation/observed evaluation/set_words",
    "evidence/test_choose.py": "evidence/kinds evidence/origin",
    "machine/test_processors.py": "machine/control_groups",
    "features/test_model_safety.py": "model/folder runtime/files runtime/graph_check "
    "runtime/rehearsal",
    "files/test_whole.py": "files/owners",
    "pictures/test_tiff.py": "pictures/codestreams",
    "pictures/test_reading.py": "pictures/decoding",
    "pictures/test_metadata.py": "pictures/exif pictures/png pictures/xmp",
    "pictures/test_writing.py": "pictures/fitting pictures/png_writing pictures/tiff_writing",
    "pictures/test_nodata.py": "pictures/filling",
    "recipes/test_recipes.py": "recipes/distilled recipes/fast recipes/paper recipes/sizes",
    "runtime/test_backends.py": "runtime/onnx_backend runtime/openvino_backend "
    "runtime/torch_backend",
    "model/test_export.py": "runtime/graph",
    "upscaling/test_pipeline.py": "pictures/parts upscaling/canvas upscaling/drawing "
    "upscaling/draws upscaling/given upscaling/load",
    "upscaling/test_result.py": "upscaling/notebook upscaling/provenance",
    "features/test_service.py": "cli/serve serve/app "
    "serve/metrics serve/painter serve/problems serve/schemas serve/server serve/tickets "
    "serve/routes/about serve/routes/jobs serve/routes/serving serve/routes/upscale",
    "repository/test_packaging.py": "_version",
}


def modules() -> set[str]:
    """All modules as paths below src/sr4 without suffix, but those that name what others hold."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in ROOT.rglob("*.py"))
    return {path.as_posix() for path in paths if path.name != "__init__"}


def has_its_own(module: str) -> bool:
    folder, _, name = module.rpartition("/")
    return (TESTS / folder / f"test_{name.strip('_')}.py").is_file()


def test_every_module_has_tests_of_its_name() -> None:
    listed = [module for names in ELSEWHERE.values() for module in names.split()]
    assert len(listed) == len(set(listed))
    assert {module for module in modules() if not has_its_own(module)} == set(listed)


def test_the_tests_of_the_others_are_there() -> None:
    assert [name for name in ELSEWHERE if not (TESTS / name).is_file()] == []


def test_tests_lie_in_folders_of_modules() -> None:
    """Or in one of the two for what no single module does."""
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    ours = {path.parent.relative_to(ROOT) for path in ROOT.rglob("*.py")}
    assert {str(folder) for folder in folders - ours} == {"features", "repository"}
