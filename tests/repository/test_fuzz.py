"""Whatever bytes strangers hand over, only errors of sr4's own come of it.

The bytes are the same each time; `fuzz/` tries others for as long as one likes.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import fix_png, lengths, mutate
from seeds import Seed, make_seeds
from structures import restructure, tar

from sr4.cli.train import lay_over
from sr4.config import FastNetworkSettings, ModelSettings, RunSettings, parse_model_config
from sr4.config.overrides import parse_assignment
from sr4.errors import ModelError, PictureError, RunError, SR4Error, UsageError
from sr4.files.documents import parse_json, parse_yaml
from sr4.pictures import read_picture
from sr4.pictures.rgb import read_header, read_image

UPSCALE = Path(__file__).resolve().parents[2] / "fuzz" / "upscale.py"
SEEDS = make_seeds(bombs=False)

same_each_time = settings(
    derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def check_line(error: SR4Error) -> None:
    check_text(str(error))


def check_text(text: str) -> None:
    assert text
    assert "\n" not in text
    assert len(text) < 1000  # an unknown setting gets a list of those beside it


def check_picture(data: bytes) -> bool:
    """Whether `sr4 upscale` could read it; whatever else was said, in one line."""
    done = False
    for read in (read_header, read_image, read_picture):
        done = False
        try:
            read(data, name="given")
            done = True
        except PictureError as error:
            check_line(error)
    return done


# Pictures


@settings(same_each_time, max_examples=150)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.builds(
            bytes.__add__,
            st.sampled_from([seed.data[:16] for seed in SEEDS]),
            st.binary(max_size=100),
        ),
    )
)
def test_bytes_that_are_no_picture(data: bytes) -> None:
    check_picture(data)


def test_mutated_pictures_of_every_format() -> None:
    """About 40 of each format that is read; some are still pictures, most are not."""
    read = refused = 0
    everything = [seed.data for seed in SEEDS]
    for number in range(700):
        random_ = random.Random(number)
        seed = random_.choice(SEEDS)
        if check_picture(mutate(seed.data, everything, random_)):
            read += 1
        else:
            refused += 1
    assert read > 50
    assert refused > 200


def test_mutations_are_the_same_each_time_and_reach_the_lengths() -> None:
    by_format = {seed.format: seed for seed in reversed(SEEDS)}
    for name in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "JPEG2000"):
        seed: Seed = by_format[name]
        assert len(list(lengths(seed.data))) > 1, name
        assert mutate(seed.data, [b"x"], random.Random(3)) == mutate(
            seed.data, [b"x"], random.Random(3)
        )
    assert fix_png(by_format["PNG"].data) == by_format["PNG"].data


@pytest.mark.slow
def test_a_small_run_of_the_harness(tiny_exported: Path, tmp_path: Path) -> None:
    words = ["--count", "150", "--seed", "7", "--model", str(tiny_exported), "--out", str(tmp_path)]
    command = [sys.executable, str(UPSCALE), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (tmp_path / "results-7.jsonl").read_text(encoding="utf-8")
    outcomes = [json.loads(line) for line in log.splitlines()]
    assert len(outcomes) == 150
    assert 10 < sum(one["upscaled"] for one in outcomes) < 140
    assert list((tmp_path / "culprits").iterdir()) == []


@pytest.mark.slow
def test_a_small_run_over_pictures_tars_models_and_settings(tiny_exported: Path) -> None:
    command = [sys.executable, str(UPSCALE.with_name("inputs.py")), str(tiny_exported)]
    done = subprocess.run(
        [*command, "--count", "400", "--seed", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[0])
    assert sum(found["taken"].values()) + sum(found["refused"].values()) == 400
    assert found["taken"].keys() == {"picture", "tar", "settings", "model"}


@pytest.mark.slow
def test_ways_to_draw_a_picture_that_must_not_matter() -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("torch")
    command = [sys.executable, str(UPSCALE.with_name("differential.py")), "--count", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("1 pictures, 0 problems\n")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "AVIF", "JPEG2000"])
def test_files_fall_into_their_parts(kind: str) -> None:
    """A reader gets as far as the part that is changed: most begin as whole files do, and some can
    still be read.
    """
    datas = [seed.data for seed in SEEDS if seed.format == kind]
    everything = [seed.data for seed in SEEDS]
    changed = read = 0
    for number in range(60):
        data = datas[number % len(datas)]
        made = restructure(data, everything, random.Random(number))
        assert made == restructure(data, everything, random.Random(number))
        changed += made != data
        read += check_picture(made)
    assert changed > 30
    assert read > 3


def test_tars_have_right_checksums_whatever_they_say() -> None:
    """So that what lies is met by what reads it."""
    members = [(f"{number}.png", SEEDS[number].data) for number in range(3)]
    for number in range(50):
        data = tar(members, random.Random(number))
        assert data == tar(members, random.Random(number))
        header = data[:512]
        if len(header) == 512:
            plain = header[:148] + b" " * 8 + header[156:]
            assert int(header[148:154], 8) == sum(plain)


def test_wild_graphs_are_valid_files_of_others(tiny_exported: Path) -> None:
    onnx = pytest.importorskip("onnx")
    import graphs

    data = (tiny_exported / "model.onnx").read_bytes()
    for number in range(40):
        made = graphs.wild_graph(data, random.Random(number))
        assert made == graphs.wild_graph(data, random.Random(number))
        assert onnx.load_from_string(made).graph.node


# Settings

_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_NODE = _LEAF | st.lists(_LEAF, max_size=3)
_PLAIN = _NODE | st.lists(_NODE, max_size=3) | st.dictionaries(st.text(max_size=10), _NODE)
_BASE = RunSettings(model=ModelSettings(recipe="test", network=FastNetworkSettings()))
_KEYS = [
    "training.seed",
    "training.betas",
    "model.network",
    "model.network.widths",
    "model.network.kind",
    "model",
    "sampling",
    "sampling.steps",
    "model.schedule",
    "data.corruption",
    "data.exclude",
    "distillation",
]


@pytest.fixture(scope="module")
def config(tiny_exported: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tiny_exported / "config.json").read_text())
    return found


@settings(same_each_time, max_examples=60)
@given(data=st.data())
def test_configs_with_anything_in_place_of_a_setting(config: dict[str, Any], data: Any) -> None:
    key = data.draw(st.sampled_from(sorted(config)))
    inner = config[key]
    value = data.draw(_PLAIN)
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        value = inner | {data.draw(st.sampled_from(sorted(inner))): value}
    text = json.dumps(config | {key: value})
    try:
        parse_model_config(text, "config.json", ModelError)
    except ModelError as error:
        check_line(error)


@settings(same_each_time, max_examples=100)
@given(st.text() | st.binary(max_size=100))
def test_texts_that_are_no_documents(text: str | bytes) -> None:
    for parse in (parse_json, lambda one: parse_yaml(one) if isinstance(one, str) else None):
        try:
            parse(text)
        except ValueError as error:
            check_text(str(error))


@settings(same_each_time, max_examples=150)
@given(
    key=st.sampled_from(_KEYS) | st.text(max_size=10),
    value=st.text(max_size=20) | _PLAIN.map(lambda value: json.dumps(value)),
)
def test_assignments(key: str, value: str) -> None:
    try:
        lay_over(_BASE, None, [f"{key}={value}"])
    except UsageError as error:
        check_line(error)


_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(12)
)


@pytest.mark.parametrize(
    "text",
    [
        _BOMB,
        "a: &a [*a]",
        "[" * 100_000,
        "a: " + "{a: " * 5000,
        "training: {seed: 0x" + "f" * 9000 + "}",
        "training: {seed: " + "9" * 9000 + "}",
        "x" * 2_000_000,
        "training: {seed: !!int ''}",
        "training: {seed: !!timestamp x}",
        "training: {seed: !!bool x}",
        "training: {seed: 2001-99-99}",
        "? [a]\n: b",
        "a" * 300 + ": 1",
        ".".join("a" * 150) + ": 1",
        "1: {2: 3}",
        "training: {1: 2}",
        "\0",
        "- " * 100_000,
        "{" * 100_000,
        "!!python/object/apply:os.system ['true']",
        "!!set {a, b}",
        "model: !!binary 'aaaa'",
    ],
)
def test_recipes_that_parsers_choke_on(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        lay_over(_BASE, path, [])
    check_line(caught.value)
    if "\n" not in text and len(text) < 100_000:
        with pytest.raises(UsageError) as caught:
            lay_over(_BASE, None, [f"training.betas={text}"])
        check_line(caught.value)


def test_a_name_of_a_million_parts() -> None:
    with pytest.raises(UsageError) as caught:
        parse_assignment("a." * 10**6 + "a=1")
    check_line(caught.value)


# Model folders and checkpoints


def _damaged(data: bytes, others: list[bytes], random_: random.Random) -> bytes:
    """As pictures are, but mostly small changes: a folder has more than one line of defence."""
    if random_.random() < 0.5:
        return mutate(data, others, random_)
    changed = bytearray(data)
    for _ in range(random_.choice((1, 2, 8))):
        changed[random_.randrange(min(len(changed), random_.choice((20, 3000, 10**9))))] = (
            random_.choice((0, 1, 0x30, 0x39, 0x7F, 0x80, 0xFF, random_.randrange(256)))
        )
    return bytes(changed)


def _mutated_folders(
    source: Path, names: list[str], count: int, place: Path
) -> Iterator[tuple[Path, random.Random]]:
    """Copies with one file damaged; the list of checksums may fit the damage, so that what comes
    after it is reached.
    """
    files = {name: (source / name).read_bytes() for name in names}
    listing = next(name for name in names if name.endswith(".json"))
    for number in range(count):
        random_ = random.Random(number)
        folder = Path(shutil.copytree(source, place / str(number)))
        name = random_.choice(names)
        data = _damaged(files[name], list(files.values()), random_)
        (folder / name).write_bytes(data)
        if name != listing and random_.random() < 0.8:
            values = json.loads(files[listing])
            values["sha256"][name] = hashlib.sha256(data).hexdigest()
            (folder / listing).write_text(json.dumps(values), encoding="utf-8")
        yield folder, random_
        shutil.rmtree(folder)


def test_mutated_model_folders(tiny_exported: Path, tmp_path: Path) -> None:
    import numpy as np

    from sr4.model.diffusion_model import load_model

    names = ["config.json", "model.safetensors", "model.onnx"]
    opened = refused = 0
    for folder, random_ in _mutated_folders(tiny_exported, names, 120, tmp_path):
        try:
            model = load_model(folder, backend=random_.choice(("onnx", "onnx", "torch")))
            model.sample(np.zeros((1, model.config.channels, 8, 8), np.float32), seeds=[0], steps=1)
            opened += 1
        except (ModelError, UsageError) as error:
            check_line(error)
            refused += 1
    assert opened > 3
    assert refused > 90


def test_mutated_checkpoints(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from sr4.training.checkpoint import Checkpoint, newest_checkpoint

    tensors = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(2)}
    whole = Checkpoint(100, 5, tensors, tensors, {"0.step": torch.tensor(5.0)}).save(
        tmp_path / "whole", keep=1
    )
    names = ["state.json", *(f"{name}.safetensors" for name in ("network", "ema", "optimiser"))]
    read = refused = 0
    (tmp_path / "run").mkdir()
    for folder, _ in _mutated_folders(whole, names, 200, tmp_path / "run"):
        try:
            Checkpoint.load(folder)
            newest_checkpoint(folder.parent)
            read += 1
        except RunError as error:
            check_line(error)
            refused += 1
    assert read == 0  # no change goes unnoticed, since the state is signed
    assert refused > 100
