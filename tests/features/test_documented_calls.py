"""What README and the pages of tasks show is run as it stands, on small pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sr4.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(str(one.relative_to(ROOT)) for one in ROOT.glob("docs/howto/*.md"))]
PICTURES = {"face.png": 16, "icon.png": 20}  # pixels a side; all others are photographs
NOT_RUN = {
    r"make |pip install ": "makes an environment; continuous integration runs both targets of make",
    r"sr4 (train|distill|ablate) ": "minutes of training; tests/features/test_systems.py trains",
    r"torchrun |accelerate ": "several processes; tests/features/test_processes.py starts them",
    r"sr4 (data|evaluate|compare|bench) ": "needs a test set; tests/cli runs them on small ones",
    r"ray start |sr4 upscale .*--cluster ": "a cluster; tests/features/test_cluster.py starts one",
    r"sr4 serve": "serves until it is told to stop; tests/features/test_service.py starts it",
    r"serve (run|deploy) ": "likewise, on a cluster; tests/features/test_cluster_serving.py does",
    r"sbatch |kubectl |docker ": "needs what others operate; tests/features/test_hosts.py and "
    "tests/repository/test_recipes.py check what is started",
    r"npm |python -m http|sr4 export .* web ": "needs npm, or serves; "
    "tests/features/test_site_in_a_browser.py does both",
    r"sr4 upscale - ": "needs a shell; tests/cli/test_pipes.py pipes",
    r"sr4 .*(runs/mine|\bmine\b)": "needs the model that training would have made",
}


def blocks(page: str) -> list[str]:
    """The blocks of Python of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.+?)^```", text, re.MULTILINE | re.DOTALL)


def lines(page: str) -> list[str]:
    """The shell commands in the blocks of a page, without their comments."""
    text = re.sub(r"^```.+?^```", "", (ROOT / page).read_text("utf-8"), flags=re.M | re.S)
    return [line.partition("  #")[0].strip() for line in re.findall(r"^    (\w+ .+)$", text, re.M)]


def is_run(line: str) -> bool:
    return not any(re.match(pattern, line) for pattern in NOT_RUN)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with every picture that the pages name."""
    monkeypatch.chdir(tmp_path)
    coarse = np.random.default_rng(0).integers(60, 190, (6, 5, 3)).astype(np.uint8)
    names = {
        word
        for page in PAGES
        for line in (*lines(page), *blocks(page))
        for word in re.findall(r"[\w-]+\.(?:jpg|png|tif)", line)
    }
    for name in {*names, "photos/a.jpg", "photos/b.png"}:
        side = PICTURES.get(name, 64)
        picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        Path(name).parent.mkdir(exist_ok=True)
        if not re.search(r"large|other|calm|wide|result", name):  # these are outputs
            picture.save(name)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_blocks_of_python_run(page: str, place: Path) -> None:
    known: dict[str, object] = {}
    for block in blocks(page):
        exec(compile(block, page, "exec"), known)
    assert (place / "large.png").is_file()
    with Image.open(place / "large.png") as large:
        assert large.size == (256, 256)


@pytest.mark.parametrize(
    "line", sorted({line for page in PAGES for line in lines(page) if is_run(line)})
)
def test_commands_run(line: str, place: Path) -> None:
    program, *words = shlex.split(line)
    assert program == "sr4"
    words = ["96" if word == "3840" else word for word in words]  # a width that takes no minutes
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def test_each_reason_not_to_run_a_command_is_needed() -> None:
    everything = [line for page in PAGES for line in lines(page)]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, line) for line in everything), pattern
    assert sum(map(is_run, everything)) >= 15
