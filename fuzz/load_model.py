"""Coverage-guided fuzzing of model folders: whatever one file holds, a model or a `ModelError`.

Run `python fuzz/load_model.py MODEL -max_total_time=120`, with a folder that has an ONNX graph;
README.md beside this file says what it needs.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
from pathlib import Path

import atheris
from mutations import mutate

with atheris.instrument_imports(include=["sr4"]):
    from sr4.errors import ModelError
    from sr4.model.diffusion_model import load_model
    from sr4.runtime.torch_backend import open_module

NAMES = ("config.json", "model.safetensors", "model.onnx")


class Folder:
    """A copy of a model whose files change, one at a time."""

    def __init__(self, model: Path, place: Path) -> None:
        self.place = place
        self.files = {name: (model / name).read_bytes() for name in NAMES}
        for name, data in self.files.items():
            (place / name).write_bytes(data)

    def load(self, data: bytes) -> None:
        """One execution: the first byte chooses the file, the others are it."""
        name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
        (self.place / name).write_bytes(data[1:])
        if name != NAMES[0]:
            config = json.loads(self.files[NAMES[0]])
            config["sha256"][name] = hashlib.sha256(data[1:]).hexdigest()
            (self.place / NAMES[0]).write_text(json.dumps(config), encoding="utf-8")
        for call in (
            lambda: load_model(self.place, backend="onnx"),
            lambda: open_module(self.place, self._config()),
        ):
            try:
                call()
            except ModelError as error:
                if "\n" in str(error):
                    raise AssertionError(f"several lines: {error}") from error
        for each in {name, NAMES[0]}:
            (self.place / each).write_bytes(self.files[each])

    def _config(self):
        from sr4.model.folder import read_config

        return read_config(self.place)

    def change(self, data: bytes, most: int, seed: int) -> bytes:
        """Half of the time some bytes of the whole file, half of the time what libFuzzer does."""
        random_ = random.Random(seed)
        if len(data) < 2 or random_.random() < 0.1:
            choice = random_.randrange(len(NAMES))
            data = bytes([choice]) + self.files[NAMES[choice]]
        if random_.random() < 0.5:
            return data[:1] + mutate(data[1:], list(self.files.values()), random_)[: most - 1]
        return atheris.Mutate(data, most)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if len(words) != 1:
        sys.exit("expected one model folder with an ONNX graph, and options that begin with -")
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(words[0]), Path(place))
        options = [word for word in sys.argv if word != words[0]]
        atheris.Setup([*options, "-max_len=400000"], folder.load, custom_mutator=folder.change)
        atheris.Fuzz()
