"""What messages are made of."""

from __future__ import annotations

import errno
import os

import pytest

from sr4.errors import (
    MissingExtraError,
    SR4Error,
    UsageError,
    nearest,
    nearest_option,
    package_of,
    reason,
    shorten,
)


def test_the_exit_codes_tell_a_wrong_call_from_a_failure() -> None:
    assert (SR4Error.exit_code, UsageError.exit_code, MissingExtraError.exit_code) == (1, 2, 2)


def test_a_missing_module_names_its_package() -> None:
    for name, package in (("python_multipart.parser", "python-multipart"), (None, "fastapi")):
        assert package_of(ModuleNotFoundError(name=name), "fastapi") == package


def test_the_nearest_name_or_all_of_them() -> None:
    assert nearest("ddmp", ["ddim", "ddpm", "dpmpp"]) == "did you mean 'ddpm'?"
    assert nearest("xyz", ["b", "a"]) == "known: a, b"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--stps", "--steps"),
        ("--sed", "--seed"),
        ("--gpu", None),
        ("--quiet", None),
        ("--count", None),
    ],
)
def test_only_a_near_option_is_proposed(typed: str, meant: str | None) -> None:
    known = ["--blur", "--out", "--quality", "--seed", "--steps"]
    listed = f"known: {', '.join(known)}"
    assert nearest_option(typed, known) == (f"did you mean {meant!r}?" if meant else listed)


@pytest.mark.parametrize(("length", "found"), [(80, 80), (81, 83), (10**6, 83)])
def test_what_others_wrote_is_cut(length: int, found: int) -> None:
    assert len(shorten("x" * length)) == found


def test_a_reason_is_one_line_without_the_file() -> None:
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a.png")
    assert reason(error) == os.strerror(errno.ENOENT)
    assert reason(ValueError("two\n  lines")) == "two lines"
    assert reason(KeyError()) == "KeyError"
