"""The static site: what the folder holds, and what is refused before any of it is written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sr4._version import __version__
from sr4.errors import ModelError, UsageError
from sr4.files.whole import file_sha256
from sr4.model.folder import read_config, shipped_models
from sr4.web.site import PAGE, RUNTIME, export_site, find_runtime
from tests.cli.conftest import Outcome, run

__all__ = ["run"]

BUILT = ("index.html", "favicon.svg", "engine.json", "NOTICES", "assets/*", "examples/*")


def version() -> str:
    return str(json.loads((PAGE / "engine.json").read_text())[RUNTIME])


def make_runtime(place: Path, version: str) -> Path:
    """What npm installs, as far as an export looks at it."""
    dist = place / "node_modules" / RUNTIME / "dist"
    dist.mkdir(parents=True)
    (dist / "ort.wasm.bundle.min.mjs").write_text("export const env = {};")
    (dist / "ort-wasm-simd-threaded.wasm").write_bytes(b"\0asm")
    (dist.parent / "package.json").write_text(json.dumps({"version": version}))
    return place / "node_modules"


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return make_runtime(tmp_path, version())


def test_the_site_tells_its_files_and_their_names_change_with_them(
    runtime: Path, tmp_path: Path
) -> None:
    report = export_site(["photo-x4", "sr4-fast"], tmp_path / "site", runtime=runtime)
    assert report.models == ("photo-x4", "sr4-fast")
    files = [path for path in report.folder.rglob("*") if path.is_file()]
    assert report.bytes == sum(path.stat().st_size for path in files)
    site = json.loads((report.folder / "site.json").read_text())
    assert [one["name"] for one in site["models"]] == ["photo-x4", "sr4-fast"]
    told = [
        *site["runtime"].values(),
        *(one for m in site["models"] for one in m["files"].values()),
    ]
    for one in told:
        path = report.folder / one["path"]
        assert path.stat().st_size == one["bytes"]
        assert file_sha256(path) == one["sha256"]
        assert one["sha256"][:16] in one["path"]
    for model in site["models"]:
        folder = shipped_models()[model["name"]]
        config = read_config(folder)
        assert (model["scale"], model["parameters"]) == (config.scale, config.parameters)
        assert model["has_detail"] == config.network.has_mean_output
        assert model["detail"] == config.sampling.detail
        for name, one in model["files"].items():  # unchanged
            assert one["sha256"] == file_sha256(folder / name)
    others = {path.relative_to(report.folder).as_posix() for path in files}
    others -= {one["path"] for one in told}
    assert site["choice"]["face"] == "sr4-fast"
    assert site["version"] == __version__
    others.remove(site["choice"]["recogniser"]["path"])
    assert others == {"site.json", *built(PAGE)}


def built(folder: Path) -> dict[str, bytes]:
    found = [path for pattern in BUILT for path in folder.glob(pattern)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_page_loads_what_is_its_own_and_nothing_else() -> None:
    page = (PAGE / "index.html").read_text()
    policy = re.findall(r'Content-Security-Policy"\s+content="([^"]+)"', page)
    rules = dict(one.strip().split(" ", 1) for one in policy[0].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert (
        rules["connect-src"]
        == rules["worker-src"]
        == rules["style-src"]
        == rules["font-src"]
        == "'self'"
    )
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', page)
    loaded.remove("./")
    assert set(loaded) <= set(built(PAGE))
    scripts = " ".join(path.read_text() for path in PAGE.glob("assets/*.js"))
    assert re.findall(r"https?://(?!www\.w3\.org)", scripts) == []


def test_a_rebuild_gives_the_same_bytes(page_tools: Path, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    words = [npm, "run", "build", "--", str(tmp_path)]
    done = subprocess.run(words, cwd=page_tools, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert built(tmp_path / "site") == built(PAGE)


def test_the_runtime_is_found_wherever_it_is_named(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dist = runtime / RUNTIME / "dist"
    assert find_runtime(runtime) == find_runtime(runtime / RUNTIME) == dist
    assert find_runtime(dist) == dist
    monkeypatch.chdir(tmp_path)
    assert find_runtime(None).name == "dist"


def test_without_the_runtime_the_command_says_what_to_install(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    out = tmp_path / "site"
    words = ["export", "sr4-fast", "--format", "web", "-o", out, "--runtime", tmp_path]
    done = run(*words)
    assert done.code == UsageError.exit_code
    assert done.errors == [
        f"found no {RUNTIME} in {str(tmp_path)!r}; expected its package: run "
        f"`npm install {RUNTIME}@{version()}` here, or name its folder with --runtime"
    ]
    assert not out.exists()
    old = make_runtime(tmp_path, "1.0.0")
    done = run(*words[:-1], old)
    assert done.code == UsageError.exit_code
    assert done.errors[0].startswith(f"{old / RUNTIME}: is {RUNTIME} 1.0.0; expected {version()}")


def test_the_command(run: Callable[..., Outcome], runtime: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    words = ["export", "photo-x4", "--format", "web", "-o", out, "--runtime", runtime]
    done = run(*words, "--json")
    assert done.code == 0
    assert done.json["models"] == ["photo-x4"]
    assert run(*words).errors[0].startswith(f"{out}: exists already")
    again = run(*words, "--overwrite")
    assert again.code == 0
    assert f"python -m http.server -d {out}" in again.out
    narrow = run(*words, "--overwrite", "--precision", "float32")
    assert narrow.errors[0].startswith("got --precision float32 for the format 'web'; expected")
    unknown = run("export", "photo-x4", "--format", "wbe", "-o", tmp_path / "other")
    assert unknown.errors == ["unknown export option 'wbe': did you mean 'web'?"]
    several = run("export", "photo-x4", "sr4-fast", "-o", tmp_path / "other")
    assert several.code == UsageError.exit_code
    assert several.errors[0].startswith("got 2 models for the format 'onnx'")


def test_what_the_engine_does_not_run_is_refused(
    tiny_model: Path, runtime: Path, tmp_path: Path
) -> None:
    advice = f"has no model.onnx; expected one: run `sr4 export {tiny_model} -o …`"
    with pytest.raises(ModelError, match=re.escape(advice)):
        export_site([str(tiny_model)], tmp_path / "site", runtime=runtime)
    copy = tmp_path / "linear"
    shutil.copytree(shipped_models()["sr4-fast"], copy)
    config = json.loads((copy / "config.json").read_text())
    config["schedule"]["kind"] = "linear"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"got schedule\.kind 'linear'; in the browser"):
        export_site([str(copy)], tmp_path / "site", runtime=runtime)
    with pytest.raises(UsageError, match="got models of equal names"):
        export_site(["sr4-fast", "sr4-fast"], tmp_path / "site", runtime=runtime)
    assert not (tmp_path / "site").exists()
