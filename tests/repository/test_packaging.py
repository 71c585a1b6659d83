"""What is shipped: one version, pins for all that is installed, and a wheel with all its files."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sr4
from sr4._version import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MODEL_BYTES = 40e6  # the most that a shipped model may take
# What torch's CUDA builds bring along; the builds for the CPU, which the pins are for, have none.
CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")
# torch-fidelity needs torchvision, each build of which fits one build of torch: the user's choice.
NOT_PINNED = {"fid"}
# Where packages come from is the user's own setting. Written so that this line is no such name.
REGISTRY_HOST = re.compile(
    r"\b(pypi|pythonhosted|npmjs|anaconda|download\.pytorch)\.(org|com|io)\b"
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))["project"]


def extras() -> dict[str, list[Requirement]]:
    """The requirements by extra; those of the core under the name ""."""
    found = {"": project()["dependencies"], **project()["optional-dependencies"]}
    return {name: [Requirement(line) for line in lines] for name, lines in found.items()}


def pins() -> dict[str, str]:
    lines = [line.partition(";")[0] for line in read("constraints.txt").splitlines()]
    pairs = [line.strip().split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for name in listed.stdout.split("\0") if (path := ROOT / name).is_file()]


def named_extras() -> Iterator[tuple[ast.expr, ast.expr]]:
    """Package and extra wherever a MissingExtraError is made, by itself or by `require`."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called == "MissingExtraError" and path.name != "optional.py":
                yield node.args[1], node.args[2]
            if called == "require":
                given = {one.arg: one.value for one in node.keywords}
                yield given["package"], given.get("extra", ast.Constant("train"))


def test_the_version_is_the_same_everywhere() -> None:
    assert sr4.__version__ == __version__
    assert f"\nversion: {__version__}\n" in read("CITATION.cff")
    released = re.findall(r"^## \[([^]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert next(name for name in released if name != "Unreleased") == __version__


def test_the_python_versions_are_the_same_everywhere() -> None:
    assert project()["requires-python"] == ">=3.10,<3.14"
    named = re.findall(r":: Python :: (3\.\d+)", "\n".join(project()["classifiers"]))
    assert named == ["3.10", "3.11", "3.12", "3.13"]


def test_a_missing_package_is_in_the_extra_that_its_message_names() -> None:
    found = list(named_extras())
    assert {ast.literal_eval(extra) for _, extra in found} >= {"train", "scores", "openvino"}
    for package, extra in found:
        name = ast.literal_eval(extra)
        assert name in extras(), name
        if isinstance(package, ast.Constant):
            assert package.value in {requirement.name for requirement in extras()[name]}


def test_every_extra_that_a_text_names_exists() -> None:
    texts = [path for path in tracked_files() if path.suffix in {".py", ".md"}]
    named = {
        name.strip()
        for path in texts
        for group in re.findall(r"(?:\bsr4|\.)\[([a-z, ]+)\]", path.read_text(encoding="utf-8"))
        for name in group.split(",")
    }
    assert "train" in named
    assert named <= set(extras())


def test_the_core_needs_no_torch() -> None:
    core = {canonicalize_name(requirement.name) for requirement in extras()[""]}
    assert core.isdisjoint({"torch", "accelerate", "scikit-image", "openvino", "lmdb"})


@pytest.mark.parametrize("extra", sorted(extras().keys() - NOT_PINNED))
def test_every_requirement_is_pinned_to_a_version_it_allows(extra: str) -> None:
    for requirement in extras()[extra]:
        pinned = pins().get(canonicalize_name(requirement.name))
        assert pinned is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pinned), requirement


def test_what_the_requirements_need_is_pinned_too() -> None:
    pinned = (group for extra, group in extras().items() if extra not in NOT_PINNED)
    waiting = [requirement for group in pinned for requirement in group]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or name.startswith(CUDA_PACKAGES):
            continue
        seen.add(name)
        assert name in pins(), f"{name} is not in constraints.txt"
        try:
            needed = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that this environment does without
        waiting += [
            child
            for child in map(Requirement, needed)
            if child.marker is None or child.marker.evaluate({"extra": ""})
        ]
    assert "mdurl" in seen  # typer needs rich, rich needs markdown-it-py, and that needs mdurl


def test_the_readme_shows_the_commands_that_are_checked() -> None:
    for command in ("make demo", "make test"):
        assert command in read("README.md")
        assert f"\n{command}\n" in read(".ci/run")
        assert f"\n{command.split()[1]}: " in read("Makefile")


def test_no_file_says_where_packages_come_from() -> None:
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content:
            found = REGISTRY_HOST.search(content.decode("utf-8"))
            assert found is None, f"{path.relative_to(ROOT)}: {found}"


def test_the_registry_rule_sees_a_host() -> None:
    assert REGISTRY_HOST.search("index-url = https://" + "pypi" + ".org/simple")
    assert REGISTRY_HOST.search("weights come from PyPI packages, see python.org") is None


def test_every_shipped_model_is_complete_and_small() -> None:
    folders = [path.parent for path in (ROOT / "src/sr4/shipped").glob("*/config.json")]
    assert "sr4-fast" in {folder.name for folder in folders}
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert {"README.md", "model.onnx", "model.safetensors"} <= names, folder
        assert sum(path.stat().st_size for path in folder.iterdir()) <= MODEL_BYTES, folder


def test_the_wheel_holds_every_file_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hatchling.build import build_wheel

    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        held = set(wheel.namelist())
        metadata = f"sr4-{__version__}.dist-info"
        assert "sr4 = sr4.__main__:main" in wheel.read(f"{metadata}/entry_points.txt").decode()
    package = [path for path in tracked_files() if path.is_relative_to(ROOT / "src")]
    assert {path.relative_to(ROOT / "src").as_posix() for path in package} <= held
    assert {"sr4/py.typed", f"{metadata}/licenses/LICENSE"} <= held
    assert "sr4/shipped/sr4-fast/model.onnx" in held
    assert not any(name.startswith(("tests", "src", "examples")) for name in held)
