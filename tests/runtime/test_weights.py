"""The headers of weight files, made by hand: what they keep where, and what they must not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr4.errors import ModelError
from sr4.runtime.weights import StoredTensor, read_header

GOOD: dict[str, Any] = {
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
}


def written(path: Path, header: Any, data: int = 32) -> Path:
    """A file with that header, and so many bytes behind it."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path


def test_tensors_are_where_the_header_says(tmp_path: Path) -> None:
    path = written(tmp_path / "x.safetensors", {**GOOD, "__metadata__": {"format": "pt"}})
    start = path.stat().st_size - 32
    assert read_header(path) == {
        "a": StoredTensor("F32", (2, 3), start, 24),
        "b": StoredTensor("F16", (4,), start + 24, 8),
    }


def test_a_file_of_safetensors_itself(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    library.save_file({"w": array}, tmp_path / "x.safetensors")
    found = read_header(tmp_path / "x.safetensors")["w"]
    data = (tmp_path / "x.safetensors").read_bytes()[found.begin : found.begin + found.length]
    np.testing.assert_array_equal(np.frombuffer(data, np.float32).reshape(found.shape), array)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"b": {**GOOD["b"], "data_offsets": [16, 24]}}, "does not begin where"),  # overlap
        ({"b": {**GOOD["b"], "data_offsets": [26, 34]}}, "does not begin where"),  # gap
        ({"b": {**GOOD["b"], "shape": [5]}}, "has 8 bytes, unlike its shape"),
        ({"b": {**GOOD["b"], "shape": [-4]}}, "impossible shape"),
        ({"b": {**GOOD["b"], "dtype": "I64"}}, "of type 'I64'"),
        ({"b": [1]}, "does not describe the tensor 'b'"),
        ({"c": {"dtype": "F32", "shape": [1], "data_offsets": [32, 36]}}, "its tensors need"),
    ],
)
def test_headers_that_lie(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = written(tmp_path / "x.safetensors", GOOD | changes)
    with pytest.raises(ModelError, match=said) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_longer_than_its_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelError, match="ends outside the file"):
        read_header(tmp_path / "x")
