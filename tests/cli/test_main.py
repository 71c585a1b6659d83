"""What holds for every command: help, usage errors, exit codes, and one line for every trouble."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import sr4.model.folder
from sr4 import __version__
from sr4.cli.main import app

Run = Callable[..., Any]


def _leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that is no group."""
    for name, command in group.commands.items():
        words = (*path, name)
        yield from _leaves(command, words) if hasattr(command, "commands") else [words]


COMMANDS = tuple(_leaves(get_command(app)))
LIGHT = "import sys; from sr4.cli.main import main; code = main(); {check}; sys.exit(code)"


def process(*words: object, check: str = "pass", **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", LIGHT.format(check=check), *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]


def test_help_names_every_command(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    assert done.err == ""
    groups = sorted({command[0] for command in COMMANDS if len(command) > 1})
    said = " ".join(done.out.split())
    assert f"Every command, and each of those of {' and '.join(groups)}, takes --json" in said
    for command in COMMANDS:
        assert f"\n  {command[0]} " in done.out
    assert "..." not in done.out.split("Commands:")[1], "a command's summary is cut short"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, "--help")
    assert done.code == 0
    assert f"\n    sr4 {' '.join(command)}" in done.out.partition("Example")[2]
    assert "--json" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_version(run: Run) -> None:
    assert run("--version").out == f"sr4 {__version__}\n"


@pytest.mark.parametrize("words", [(), ("data",)])
def test_without_a_command_help_goes_to_stderr(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["upscal", "a.png"], ["'upscal'", "did you mean 'upscale'?"]),
        (["data", "prepar"], ["'prepar'", "did you mean 'prepare'?"]),
        (["upscale", "a.png", "--stps", "4"], ["'--stps'", "did you mean '--steps'?"]),
        (["upscale", "a.png", "--no-consistncy"], ["did you mean '--no-consistency'?"]),
        (["upscale", "a.png", "--gpu"], ["unknown option '--gpu' of `sr4 upscale`: known: --back"]),
        (["upscale", "a.png", "--preview"], ["'--preview' of `sr4 upscale`: known: --backend, "]),
        (["upscale"], ["missing argument 'INPUT'", "sr4 upscale --help"]),
        (["upscale", "a.png", "--steps", "many"], ["--steps", "'many'"]),
        (["upscale", "a.png", "--steps", "0"], ["--steps", "1"]),
        (["upscale", "a.png", "--steps"], ["--steps", "requires an argument"]),
        (["train", "sr4", "--out", "x"], ["missing option '--data'"]),
        (["models", "more"], ["unexpected", "more"]),
        (["-x"], ["-x"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    run: Run, words: list[str], parts: list[str]
) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    (error,) = done.errors
    for part in parts:
        assert part in error


@pytest.mark.parametrize(
    ("command", "option", "value", "expected"),
    [
        ("upscale", "--noise", "auto", "a number such as 1.5"),
        ("upscale", "--scale", "2,5", "a number such as 1.5"),
        ("upscale", "--scale", "4x", "a number such as 1.5"),
        ("upscale", "--detail", "much", "a number from 0 to 1"),
        ("upscale", "--width", "3.5", "a whole number"),
        ("upscale", "--seed", "abc", "a whole number of at least 0"),
        ("upscale", "--seed", "-1", "a whole number of at least 0"),
        ("upscale", "--samples", "0", "a whole number of at least 1"),
        ("upscale", "--quality", "101", "a whole number from 1 to 100"),
        ("serve", "--port", "99999", "a whole number from 0 to 65535"),
    ],
)
def test_a_number_that_is_none_is_told_what_is_one(
    run: Run, command: str, option: str, value: str, expected: str
) -> None:
    words = [command, *(["a.png"] if command == "upscale" else []), option, value]
    done = run(*words)
    assert done.code == 2
    assert done.errors == [f"got {option} {value!r}; expected {expected}"]


def test_with_json_an_error_is_an_object_too(run: Run) -> None:
    done = run("info", "no-such-model", "--json")
    assert done.code == 1
    assert [done.json["error"]] == done.errors


def test_an_output_that_cannot_be_looked_for_is_one_line(run: Run) -> None:
    done = run("upscale", "a.png", "-o", f"{'a' * 300}.png", "--json")
    assert done.code == 2
    (error,) = done.errors
    assert error == done.json["error"]
    assert "(File name too long); expected a place that can be written" in error


def raising(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def test_a_bug_is_one_line_that_says_how_to_see_more(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sr4.model.folder, "shipped_models", raising(ZeroDivisionError("by zero")))
    monkeypatch.delenv("SR4_DEBUG", raising=False)
    done = run("models")
    assert (done.code, done.out) == (1, "")
    (error,) = done.errors
    assert "ZeroDivisionError: by zero" in error
    assert "SR4_DEBUG=1" in error
    monkeypatch.setenv("SR4_DEBUG", "1")
    assert "Traceback" in run("models").err


def test_what_the_system_refuses_is_an_object_too(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sr4.model.folder, "shipped_models", raising(PermissionError(13, "No", "a")))
    done = run("models", "--json")
    assert done.code == 1
    assert [done.json["error"]] == done.errors
    assert "the system refuses: [Errno 13] No: 'a'" in done.errors[0]


def test_an_interrupt_is_one_line_and_exit_code_130(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sr4.model.folder, "shipped_models", raising(KeyboardInterrupt()))
    done = run("models")
    assert (done.code, done.out, done.err) == (130, "", "sr4: interrupted\n")
    said = raising(KeyboardInterrupt("2 of 3\nare done"))  # by a command that knows more
    monkeypatch.setattr(sr4.model.folder, "shipped_models", said)
    done = run("models")
    assert (done.code, done.out, done.err) == (130, "", "sr4: interrupted: 2 of 3\\nare done\n")


def test_a_warning_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> dict[str, Path]:
        warnings.warn("look out", stacklevel=1)
        return {}

    monkeypatch.setattr(sr4.model.folder, "shipped_models", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert run("models").err == "sr4: warning: look out\n"


def test_control_characters_of_a_name_cannot_break_the_line(run: Run) -> None:
    done = run("info", "a\nb\x1b[31m")
    (error,) = done.errors
    assert "\x1b" not in error


def test_models_and_version_load_neither_torch_nor_a_runtime() -> None:
    heavy = {"torch", "onnxruntime", "openvino", "skimage"}
    for words, also in ((["models"], set()), (["upscale", "--help"], {"numpy", "PIL", "yaml"})):
        check = f"assert not (found := {heavy | also} & set(sys.modules)), found"
        done = process(*words, check=check, stdout=subprocess.DEVNULL)
        assert done.communicate()[1] == ""
        assert done.returncode == 0


def test_help_comes_at_once() -> None:
    """Within 0.3 s of a processor, which other work on the machine does not change much."""

    def children() -> float:
        used = os.times()
        return used.children_user + used.children_system

    seconds = []
    for _ in range(3):
        before = children()
        process("--help", stdout=subprocess.DEVNULL).communicate()
        seconds.append(children() - before)
    assert 0 < min(seconds) < 0.3


def test_the_exit_code_reaches_the_shell() -> None:
    script = Path(sys.executable).with_name("sr4")
    if not script.exists():
        pytest.skip("sr4 is not installed in this environment")
    for words, code in ((["models"], 0), (["info", "none"], 1), (["modles"], 2)):
        assert subprocess.run([script, *words], capture_output=True, check=False).returncode == code


def test_a_reader_that_leaves_ends_the_program_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = process("models", "--json", stdout=writer)
    os.close(writer)
    assert done.communicate()[1] == ""
    assert done.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("words", "part"),
    [(["models"], "No space left"), (["info", "no-such-model"], "no model 'no-such-model'")],
)
def test_a_full_disk_behind_stdout_is_one_line(words: list[str], part: str) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = process(*words, "--json", stdout=full)
        error = done.communicate()[1]
    assert done.returncode == 1
    assert error.count("\n") == 1
    assert part in error


def test_a_bar_on_a_terminal_and_none_in_a_pipe(
    make_picture: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_picture(tmp_path / "pictures" / "a.png", 20, 20).parent
    words = ("data", "prepare", source, "--size", "16")
    parent, child = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", LIGHT.format(check="pass"), *map(str, words), tmp_path / "one"],
        stdout=subprocess.PIPE,
        stderr=child,
        env={**os.environ, "TERM": "xterm"},
        text=True,
    )
    os.close(child)
    out = done.communicate()[0]
    shown = os.read(parent, 1 << 16).decode()
    os.close(parent)
    assert "preparing" in shown
    assert "1/1" in shown
    assert out.startswith(f"{tmp_path / 'one'}  1 picture, 16x16, in 1 shard")
    piped = process(*words, tmp_path / "two", stdout=subprocess.PIPE)
    assert piped.communicate()[1] == ""
