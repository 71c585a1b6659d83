"""Folders that sr4 made are known, those of earlier versions too; all others are left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sr4.errors import UsageError
from sr4.files.kinds import FolderKind, fields, holds
from sr4.files.whole import replaced_folder

KIND = FolderKind("is no thing", holds("thing.json", "a", "b"), UsageError, (".lock", "parts"))


def thing(path: Path) -> Path:
    path.mkdir()
    (path / "thing.json").write_text('{"a": 1, "b": 2, "c": 3}')
    return path


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"a": 1}', '{"a": 1, "b": 2', "\x00", '["a", "b"]', '"ab"']
)
def test_a_file_of_that_name_proves_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "thing.json").write_text(text)
    for overwrite in (False, True):
        with pytest.raises(UsageError) as caught:
            KIND.check_new(tmp_path, overwrite=overwrite)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="is no thing; expected a new or empty folder"):
        KIND.check_lasting(tmp_path)
    assert os.listdir(tmp_path) == ["thing.json"]
    assert (tmp_path / "thing.json").read_text() == text


def test_what_holds_the_keys_is_ours(tmp_path: Path) -> None:
    made = thing(tmp_path / "made")
    KIND.check_lasting(made)
    KIND.check_new(made, overwrite=True)
    with pytest.raises(UsageError, match="exists already"):
        KIND.check_new(made)
    (made / "thing.yaml").write_text("a: {b: 1}")
    assert fields(made / "thing.yaml") == {"a": {"b": 1}}
    assert fields(made / "none.json") == {}


@pytest.mark.parametrize("what", ["file", "fifo", "dangling"])
def test_what_is_no_folder_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "made"
    if what == "file":
        path.write_text('{"a": 1, "b": 2}')
    elif what == "dangling":
        path.symlink_to("nowhere")
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    for overwrite, said in ((False, "this is a file"), (True, "is no thing")):
        with pytest.raises(UsageError, match=said):
            KIND.check_new(path, overwrite=overwrite)


def test_new_and_empty_folders_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        KIND.check_lasting(tmp_path / name)
        with KIND.new(tmp_path / name) as folder:
            (folder / "thing.json").write_text(json.dumps({"a": 1, "b": 2}))
        assert os.listdir(tmp_path / name) == ["thing.json"]


def test_what_a_start_makes_before_its_mark_is_no_strangers(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "parts").mkdir()
    KIND.check_lasting(tmp_path)
    (tmp_path / "parts" / "x").touch()
    with pytest.raises(UsageError, match="is no thing"):
        KIND.check_lasting(tmp_path)
    (tmp_path / "parts" / "x").unlink()
    (tmp_path / ".lock").write_text("theirs")
    with pytest.raises(UsageError, match="is no thing"):
        KIND.check_lasting(tmp_path)


def test_what_others_put_there_meanwhile_stays(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        with KIND.new(path, overwrite=True) as folder:
            (folder / "thing.json").write_text("{}")
            if path.exists():
                (path / "thing.json").unlink()
            path.mkdir(exist_ok=True)
            (path / "precious").write_text("theirs")

    thing(tmp_path / "old")
    for name in ("old", "new"):
        with pytest.raises(UsageError, match="is no thing"):
            fill(tmp_path / name)
        assert os.listdir(tmp_path / name) == ["precious"]
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]


def test_asking_clears_what_a_kill_left(tmp_path: Path) -> None:
    with replaced_folder(tmp_path / "made") as folder:
        hidden = folder.parent
    (tmp_path / "made").rmdir()
    hidden.mkdir()
    (hidden / "writing").touch()
    thing(hidden / "new")
    KIND.check_new(tmp_path / "made")
    assert os.listdir(tmp_path) == []


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.symlink_to("made")
    with pytest.raises(UsageError, match="exists already"):
        KIND.check_new(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read")
def test_folders_that_may_not_be_read_are_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o300)
    try:
        for check in (KIND.check_new, KIND.check_lasting):
            with pytest.raises(UsageError, match="cannot be looked at"):
                check(tmp_path)
    finally:
        tmp_path.chmod(0o700)
