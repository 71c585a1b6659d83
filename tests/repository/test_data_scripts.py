"""The scripts that make training data, hold pictures apart and compare sets."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import check_overlap
import hold_apart
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sr4.data.sources import open_source

SCRIPTS = Path(__file__).parents[2] / "scripts"


def write_tar(path: Path, pictures: Mapping[str, Image.Image]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, picture in pictures.items():
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG" if name.endswith(".jpg") else "PNG")
            member = tarfile.TarInfo(name)
            member.size = buffer.tell()
            tar.addfile(member, io.BytesIO(buffer.getvalue()))
    return path


def names_and_bytes(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        found = [(member, tar.extractfile(member)) for member in tar]
        return [(member.name, file.read()) for member, file in found if file is not None]


# Rendered pictures


def test_every_scene_fills_a_picture_that_hangs_on_the_seed_alone() -> None:
    pytest.importorskip("matplotlib")
    import render_pictures
    from rendering.fonts import Fonts
    from rendering.scenes import SCENES

    fonts = Fonts(render_pictures.installed_fonts(held_out=True))
    for name, (scene, _) in SCENES.items():
        first, again, other = (
            np.asarray(scene(np.random.default_rng(seed), fonts, 160)) for seed in (5, 5, 6)
        )
        assert first.shape == (160, 160, 3), name
        assert first.std() > 1, name
        np.testing.assert_array_equal(first, again, err_msg=name)
        assert (first != other).any(), name


def test_no_training_font_is_one_of_the_test_fonts() -> None:
    pytest.importorskip("matplotlib")
    from render_pictures import installed_fonts

    train, test = ({path.name for path in installed_fonts(held)} for held in (False, True))
    assert "DejaVuSerif.ttf" in test
    assert "STIXGeneral.ttf" in test
    assert "DejaVuSans.ttf" in train
    assert not any("DejaVuSerif" in name or name.startswith("STIX") for name in train)
    assert all("DejaVuSerif" in name or name.startswith("STIX") for name in test)


def test_shards_are_the_same_each_time_and_say_how_they_were_made(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = ["--count", "5", "--size", "160", "--seed", "3", "--shard", "3", "--held-out-fonts"]
    for name in ("one", "two"):
        command = [sys.executable, str(SCRIPTS / "render_pictures.py"), str(tmp_path / name / "t")]
        subprocess.run([*command, *options], check=True, capture_output=True)
    for shard, count in (("t-00.tar", 3), ("t-01.tar", 2)):
        one, two = tmp_path / "one" / shard, tmp_path / "two" / shard
        assert one.read_bytes() == two.read_bytes()
        (readme, about), *pictures = names_and_bytes(one)
        assert readme == "README.txt"
        assert b"seed 3" in about
        assert b"DejaVuSerif.ttf" in about
        assert len(pictures) == count == len(open_source(one))
        assert open_source(one).read(0).shape == (160, 160, 3)


# Pictures held apart


def test_shares_are_in_proportion_and_add_up() -> None:
    assert hold_apart.shares({"a": 6, "b": 3, "c": 1}, 10) == {"a": 6, "b": 3, "c": 1}
    assert hold_apart.shares({"a": 588, "b": 180, "c": 124, "d": 77, "e": 9}, 36) == {
        "a": 22,
        "b": 7,
        "c": 4,
        "d": 3,
        "e": 0,
    }
    assert hold_apart.evenly_spaced(list(range(10)), 2) == [2, 7]
    assert hold_apart.evenly_spaced(list(range(3)), 3) == [0, 1, 2]


def test_held_apart_pictures_keep_their_bytes_and_name_their_kin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of cam-3, the pictures with the nearest colours are cam-0 and cam-5."""
    shades = {"cam-0": 100, "cam-1": 20, "cam-2": 220, "cam-3": 104, "cam-4": 180, "cam-5": 98}
    pictures = {
        f"{name}.png": Image.fromarray(
            np.random.default_rng(shade).integers(shade - 12, shade + 12, (8, 8, 3)).astype("uint8")
        )
        for name, shade in shades.items()
    }
    source = write_tar(tmp_path / "all.tar", pictures)
    out = tmp_path / "val.tar"
    words = [str(out), "--take", "1", str(source), "--windows", "cam"]
    monkeypatch.setattr(sys, "argv", ["hold_apart.py", *words])
    hold_apart.main()
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(name, why) for name, _, why in lines] == [
        ("cam-3.png", "taken"),
        ("cam-0.png", "alike"),
        ("cam-5.png", "alike"),
    ]
    assert names_and_bytes(out) == [
        (name, data) for name, data in names_and_bytes(source) if name == "cam-3.png"
    ]


def test_held_apart_pictures_may_be_cropped_to_their_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    source = write_tar(tmp_path / "all.tar", {"cam-0.png": Image.fromarray(pixels)})
    words = [str(tmp_path / "val.tar"), "--take", "1", str(source), "--crop", "6"]
    monkeypatch.setattr(sys, "argv", ["hold_apart.py", *words])
    hold_apart.main()
    kept = open_source(tmp_path / "val.tar")
    assert [*kept.names] == ["cam-0.png"]
    assert np.array_equal(kept.read(0), pixels[1:7, 3:9])


# Overlap


def scene(seed: int, smooth: float = 0.0) -> Image.Image:
    """Shapes and texture of many sizes, (160, 120)."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((120, 160, 3))
    for size in (4, 8, 16, 32, 64):
        noise = rng.integers(0, 256, (size * 3 // 4, size, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
        pixels += np.asarray(layer, float) / 5
    image = Image.fromarray(np.rint(pixels).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(smooth)) if smooth else image


def found(train: Path, test: Path, search: check_overlap.Search) -> dict[tuple[str, str], float]:
    one, other = (check_overlap.Pictures(open_source(path)) for path in (train, test))
    return {
        (one.names[match.train].split()[-1], other.names[match.test].split()[-1]): match.score
        for match in check_overlap.matches(one, other, search, most=8)
    }


def test_shrunken_cropped_and_mirrored_copies_are_found_and_nothing_else(tmp_path: Path) -> None:
    train = {f"{seed}.png": scene(seed) for seed in range(12)}
    train["part.png"] = scene(50).crop((30, 10, 140, 110)).resize((77, 70))
    train["smooth.png"] = scene(60, smooth=12)
    test = {
        "shrunken.jpg": scene(1).resize((80, 60), Image.Resampling.BICUBIC),
        "cropped.jpg": scene(2).crop((20, 15, 130, 115)),
        "mirrored.jpg": scene(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((120, 90)),
        "whole.jpg": scene(50),
        "other.jpg": scene(70),
        "other smooth.jpg": scene(61, smooth=12),
    }
    scores = found(
        write_tar(tmp_path / "train.tar", train),
        write_tar(tmp_path / "test.tar", test),
        check_overlap.ANYWHERE,
    )
    copies = {
        ("1.png", "shrunken.jpg"),
        ("2.png", "cropped.jpg"),
        ("3.png", "mirrored.jpg"),
        ("part.png", "whole.jpg"),
    }
    assert {pair for pair, score in scores.items() if score >= 0.65} == copies
    assert max((score for pair, score in scores.items() if pair not in copies), default=0) < 0.5


def test_aligned_search_finds_pictures_framed_a_little_otherwise(tmp_path: Path) -> None:
    train = {f"{seed}.png": scene(seed).resize((128, 128)) for seed in range(6)}
    framed = train["4.png"].crop((12, 16, 116, 120)).resize((128, 128), Image.Resampling.BICUBIC)
    test = {"framed.png": framed, "other.png": scene(9).resize((128, 128))}
    scores = found(
        write_tar(tmp_path / "train.tar", train),
        write_tar(tmp_path / "test.tar", test),
        check_overlap.ALIGNED,
    )
    assert {pair for pair, score in scores.items() if score >= 0.8} == {("4.png", "framed.png")}


def test_a_score_is_of_many_blocks() -> None:
    """One that is alike and fifteen that are not make a sixteenth."""
    rng = np.random.default_rng(0)
    one, other = (rng.normal(0, 20, (64, 64)).astype(np.float32) for _ in range(2))
    other[:16, :16] = 3 * one[:16, :16] + 5
    blocks: NDArray[np.float32] = check_overlap._blocks(one)
    assert blocks.shape == (16, 256)
    score = check_overlap._block_score(one, other)
    assert score == pytest.approx(1 / 16, abs=0.05)
    flat = np.zeros_like(one)
    flat[:16, :16] = one[:16, :16]
    assert check_overlap._block_score(flat, flat) == 0  # too little to go by


def test_the_woman_of_set5_is_found(shared: Path) -> None:
    photos = shared / "data" / "photos"
    picture = Image.fromarray(open_source(photos / "train.tar").read(0))
    train, test = (
        check_overlap.Pictures(open_source(photos / f"{s}.tar")) for s in ("train", "test")
    )
    assert picture.size in ((481, 321), (321, 481))
    kept = [n for n, name in enumerate(train.names) if name.endswith(("302003.jpg", "12074.jpg"))]
    train.names = [train.names[n] for n in kept]
    train.grey = [train.grey[n] for n in kept]
    best, *rest = check_overlap.matches(train, test, check_overlap.ANYWHERE, most=2)
    assert train.names[best.train].endswith("train-302003.jpg")
    assert test.names[best.test].endswith("Set5/img_005.png")
    assert best.score > 0.9
    assert all(match.score < 0.65 for match in rest)
