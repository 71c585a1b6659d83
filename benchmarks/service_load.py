"""What `sr4 serve` stands: many small pictures at once, compared with what `sr4 upscale` makes.

    python benchmarks/service_load.py                       # 1,000 requests, 32 at once
    python benchmarks/service_load.py --backend onnx --json
    python benchmarks/service_load.py --large 1024          # while one of 1024x1024 is drawn

The pictures are smooth noise of 16x16 pixels, each with a seed of its own if --seeds says so. First
they are asked for one by one, then many at once; the processor time is that of the server alone.
Results have to be those of the command line: byte for byte on OpenVINO, to one level on ONNX
Runtime.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sr4.batch.events import Done
from sr4.batch.options import UpscaleOptions
from sr4.batch.pipelines import Pipelines
from sr4.batch.plan import Plan, plan_in_memory
from sr4.batch.worker import upscale_pictures
from sr4.pictures import read_picture

MODEL = "sr4-fast"
SIDE = 16
BOUNDARY = "sr4-load"
PATIENCE = 120.0


@dataclass(frozen=True)
class Figures:
    """What a number of requests took.

    Attributes:
        requests, at_once: how many; lost: without an answer of status 200.
        refused: of these, with 429.
        different: whose picture is not that of the command line.
        per_second: requests; p50, p95: seconds until the answer was there.
        cpu: milliseconds of the server's processor time for a request.
        memory: megabytes that the server holds afterwards.
    """

    requests: int
    at_once: int
    lost: int
    refused: int
    different: int
    per_second: float
    p50: float
    p95: float
    cpu: float
    memory: float


def picture(number: int, side: int = SIDE) -> bytes:
    """A picture file of smooth noise."""
    noise = np.random.default_rng(number).integers(32, 224, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def offline(pictures: Sequence[bytes], seeds: Sequence[int], backend: str) -> list[bytes]:
    """What `sr4 upscale` makes of pictures."""
    pipelines, found = Pipelines(backend), []
    for data, seed in zip(pictures, seeds, strict=True):
        plan = Plan([plan_in_memory(data).pictures[0]], [])
        pipelines.get(MODEL)
        for event in upscale_pictures(plan, UpscaleOptions(MODEL, seed=seed), pipelines):
            if isinstance(event, Done):
                found += event.files.values()
    return found


@contextmanager
def served(backend: str, queue: int) -> Iterator[tuple[int, int]]:
    """Process and port of a service that is ready."""
    command = [sys.executable, "-m", "sr4", "serve", "--port", "0", "--json", "--backend", backend]
    command += ["--queue", str(queue)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            text = ""
            while not text.endswith("\n}\n"):
                text += process.stdout.readline()
            port = int(json.loads(text)["url"].rpartition(":")[2])
            while ask(port, "GET", "/readyz")[0] != 200:
                time.sleep(0.02)
            yield process.pid, port
        finally:
            process.terminate()


def form(data: bytes, **fields: object) -> bytes:
    """The body of a request."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    parts = [head % ("file", '; filename="a.png"')]
    texts = [head % (name, "") + f"{value}\r\n" for name, value in fields.items()]
    return b"".join(
        [
            "".join(texts).encode(),
            parts[0].encode(),
            data,
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        ]
    )


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    connection: http.client.HTTPConnection | None = None,
) -> tuple[int, bytes]:
    """Status and body of an answer."""
    used = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if body else {}
    used.request(method, path, body, headers)
    answer = used.getresponse()
    return answer.status, answer.read()


def load(
    server: tuple[int, int],
    bodies: Sequence[bytes],
    expected: Sequence[bytes],
    at_once: int,
    exact: bool,
) -> Figures:
    """The figures of requests, so many at once."""
    process, port = server
    answers: list[tuple[int, bytes, float]] = [(0, b"", 0.0)] * len(bodies)
    numbers = iter(range(len(bodies)))

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for number in numbers:  # of a range: one thread at a time moves it
            began = time.perf_counter()
            try:
                status, data = ask(port, "POST", "/v1/upscale", bodies[number], connection)
            except (OSError, http.client.HTTPException) as error:
                status, data = 0, repr(error).encode()
                connection.close()
            answers[number] = status, data, time.perf_counter() - began
        connection.close()

    cpu, began = processor_seconds(process), time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - began, processor_seconds(process) - cpu
    served_ones = [
        (data, wanted)
        for (status, data, _), wanted in zip(answers, expected, strict=True)
        if status == 200
    ]
    waited = sorted(one for status, _, one in answers if status == 200) or [float("nan")]
    return Figures(
        requests=len(bodies),
        at_once=at_once,
        lost=len(bodies) - len(served_ones),
        refused=sum(status == 429 for status, *_ in answers),
        different=sum(not alike(data, wanted, exact) for data, wanted in served_ones),
        per_second=len(bodies) / seconds,
        p50=statistics.median(waited),
        p95=waited[min(len(waited) - 1, int(0.95 * len(waited)))],
        cpu=1e3 * cpu / len(bodies),
        memory=memory(process),
    )


def alike(data: bytes, wanted: bytes, exact: bool) -> bool:
    """Whether two results are the same, or nearly so on a runtime that rounds by company."""
    if exact or data == wanted:
        return data == wanted
    one, other = (read_picture(file).frames[0].pixels.astype(int) for file in (data, wanted))
    return bool(abs(one - other).max() <= 1)


def processor_seconds(process: int) -> float:
    """That a process has used so far, of all its threads (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Megabytes that a process holds (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    count, exact = options.requests, options.backend != "onnx"
    pictures = [picture(number % 256) for number in range(count)]
    seeds = [number if options.seeds else 0 for number in range(count)]
    known: dict[tuple[bytes, int], bytes] = {}
    pairs = list(zip(pictures, seeds, strict=True))
    missing = list(dict.fromkeys(pairs))
    made = offline(*zip(*missing, strict=True), options.backend)  # type: ignore[arg-type]
    known.update(zip(missing, made, strict=True))
    expected = [known[pair] for pair in pairs]
    bodies = [form(data, model=MODEL, seed=seed) for data, seed in pairs]
    with served(options.backend, options.queue) as server:
        if options.large:
            large = form(picture(0, options.large), model="photo-x4")
            for _ in range(options.jobs):
                ask(server[1], "POST", "/v1/upscale", large)
        few = min(count, options.one_by_one)
        alone = load(server, bodies[:few], expected[:few], 1, exact)
        together = load(server, bodies, expected, options.at_once, exact)
    return {
        "backend": options.backend,
        "processors": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "large": options.large,
        "one_by_one": asdict(alone),
        "together": asdict(together),
        "cpu_ratio": alone.cpu / together.cpu,
    }


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{found['backend']}, {found['processors']} processors, load {found['load_average']:.1f}",
        "at once  requests  lost  different  per second    p50 s    p95 s  CPU ms  memory MB",
    ]
    for row in (found["one_by_one"], found["together"]):
        lines.append(
            f"{row['at_once']:>7}  {row['requests']:>8}  {row['lost']:>4}  {row['different']:>9}"
            f"  {row['per_second']:>10.1f}  {row['p50']:>7.3f}  {row['p95']:>7.3f}"
            f"  {row['cpu']:>6.1f}  {row['memory']:>9.0f}"
        )
    lines.append(f"CPU one by one through CPU together: {found['cpu_ratio']:.2f}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="openvino", choices=("openvino", "onnx"))
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--one-by-one", type=int, default=100, help="requests asked for so")
    parser.add_argument("--queue", type=int, default=64, help="of the service")
    parser.add_argument("--seeds", action="store_true", help="another seed for each request")
    parser.add_argument("--large", type=int, default=0, help="side of a large picture meanwhile")
    parser.add_argument("--jobs", type=int, default=1, help="how many of these")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    found = measure(options)
    print(json.dumps(found, indent=2) if options.json else table(found))
    return int(found["together"]["different"] > 0)


if __name__ == "__main__":
    sys.exit(main())
