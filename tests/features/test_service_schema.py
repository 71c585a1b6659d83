"""All that the description of the service allows, and much that it does not: answers keep to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("schemathesis")
pytest.importorskip("fastapi")

from tests.features.service_process import running

HERE = Path(__file__).parent
SECONDS = 15  # for what is drawn at random; what is counted out takes as long as it does
# Some options exclude others, and a format or a model may lack what they ask for, which the line of
# a 422 says and no schema.
LEFT_OUT = "positive_data_acceptance"


@pytest.mark.parametrize(
    "phases",
    [
        ["--phases", "examples,coverage,fuzzing"],
        # In what follows from links, the program fails to make wrong bodies that hold a file.
        ["--phases", "stateful", "--mode", "positive"],
    ],
    ids=["alone", "linked"],
)
def test_answers_are_as_they_are_described(
    tiny_exported: Path, tmp_path: Path, phases: list[str]
) -> None:
    words = ["--model", tiny_exported, "--backend", "onnx", "--limit", "result_pixels=200000"]
    with running(*words) as service:
        options = ["--max-examples", "10", "--max-time", str(SECONDS), "--exclude-checks", LEFT_OUT]
        options += ["--no-color", "--no-shrink", "--generation-database", "none", "--seed", "0"]
        program = str(Path(sys.executable).with_name("schemathesis"))
        done = subprocess.run(
            [program, "run", f"{service.url}/openapi.json", *options, *phases],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,  # where it leaves what it found
            env={**os.environ, "SCHEMATHESIS_HOOKS": "service_formats", "PYTHONPATH": str(HERE)},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Unresolvable" not in done.stdout
        assert service.metric("sr4_requests_total") > 100
        code, said = service.stop()
        assert code == 0
        # Results of jobs that nobody has fetched may be there still.
        assert re.fullmatch(r"(sr4: stopping: .* at once\n)?", said)
