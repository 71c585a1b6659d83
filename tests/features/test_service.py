"""The HTTP service as programs meet it: a process of its own, asked through sockets."""

from __future__ import annotations

import base64
import io
import json
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from seeds import make_seeds  # noqa: E402

from sr4.pictures import read_picture, read_provenance  # noqa: E402
from tests.features.service_process import (  # noqa: E402
    PATIENCE,
    Running,
    encoded,
    running,
    upscaled,
)

SLOW = {"steps": "100", "samples": "16", "mean": "true"}  # some seconds on the tiny model
PROBLEM = "application/problem+json"
CLIENT = Path(__file__).parents[2] / "examples" / "client.py"
LIMITS = {
    "upload_bytes": 200_000,
    "picture_pixels": 100_000,
    "small_pixels": 70_000,
    "frames": 5,
    "body_seconds": 2,
    "head_seconds": 2,
    "send_seconds": 1,
    "kept_seconds": 30,
    "grace_seconds": 10,
}


def limits(**others: object) -> list[str]:
    chosen = {**LIMITS, **others}
    return [word for name, one in chosen.items() for word in ("--limit", f"{name}={one}")]


@pytest.fixture(scope="module")
def service(tiny_exported: Path) -> Iterator[Running]:
    with running("--model", tiny_exported, "--backend", "onnx", "--queue", "8", *limits()) as one:
        yield one


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[Any]:
    with service.client() as one:
        yield one


def post(client: Any, data: bytes, headers: Any = None, **fields: object) -> Any:
    files = {"file": ("../../étage.png", data)}
    return client.post("/v1/upscale", files=files, data=fields, headers=headers)


def problem(answer: Any, status: int) -> str:
    """The line of an answer, which has to be a problem of that status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["status"] == status
    assert set(body) == {"type", "title", "status", "detail"}
    assert "\n" not in body["detail"]
    return str(body["detail"])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_result_is_the_file_of_the_command_line(
    client: Any, tiny_exported: Path, tmp_path: Path, kind: str
) -> None:
    data = encoded(12, 9, kind=kind)
    source = tmp_path / f"a.{kind.lower()}"
    source.write_bytes(data)
    own = ("--model", tiny_exported, "--backend", "onnx", "--seed", 5, "--scale", 3)
    (expected,) = upscaled(source, tmp_path / "out", *own).values()
    answer = post(client, data, seed=5, scale=3)
    assert answer.status_code == 200, answer.text
    assert answer.content == expected
    said = read_provenance(tmp_path / "out/a.png")
    assert json.loads(answer.headers["sr4-provenance"]) == said
    assert answer.headers["sr4-scale"] == "3"
    assert answer.headers["sr4-seed"] == "5"
    assert said is not None
    assert answer.headers["sr4-input-sha256"] == said["input"]
    again = json.loads(answer.headers["sr4-settings"])
    assert post(client, data, **again).content == expected
    as_json = {"picture": base64.b64encode(data).decode(), **again}
    assert client.post("/v1/upscale", json=as_json).content == expected


def test_what_goes_together_is_as_alone(service: Running) -> None:
    """Eight at once, of two sizes and in two formats; ONNX Runtime may be off by one level."""
    pictures = [encoded(8, 8 + number % 2, number) for number in range(4)]

    def ask(number: int) -> Any:
        kind = "png" if number < 4 else "bmp"
        with service.client() as client:
            return post(client, pictures[number % 4], format=kind)

    alone = [ask(number) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(ask, range(8)))
    for one, other in zip(alone, together, strict=True):
        assert one.headers["content-type"] == other.headers["content-type"]
        before, after = (
            read_picture(answer.content).frames[0].pixels.astype(int) for answer in (one, other)
        )
        assert abs(before - after).max() <= 1


def events(client: Any, address: str) -> list[dict[str, Any]]:
    with client.stream("GET", address) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_large_picture_becomes_a_job(client: Any, tiny_exported: Path, tmp_path: Path) -> None:
    data = encoded(100, 80)
    (tmp_path / "picture.png").write_bytes(data)
    own = ("--model", tiny_exported, "--backend", "onnx", "--samples", 3, "--uncertainty")
    expected = upscaled(tmp_path / "picture.png", tmp_path / "out", *own)
    answer = post(client, data, samples=3, uncertainty="true")
    assert answer.status_code == 202, answer.text
    address = answer.headers["location"]
    sizes = [answer.json()[name] for name in ("width", "height", "result_width", "result_height")]
    assert sizes == [100, 80, 400, 320]
    told = events(client, f"{address}/events")
    assert told[-1]["state"] == "done"
    shares = [one["share"] for one in told]
    assert shares == sorted(shares)
    assert client.get(address).json() == told[-1]
    queries = {"picture.png": "", "picture_uncertainty.png": "?show=uncertainty"}
    queries |= {f"picture_{number}.png": f"?sample={number}" for number in (1, 2, 3)}
    for name, query in queries.items():
        found = client.get(f"{address}/result{query}")
        assert found.status_code == 200, found.text
        if name != "picture_uncertainty.png":
            assert found.content == expected[name], name
            continue
        # The same map, without the scale below it, as pages lay it over the result.
        with Image.open(io.BytesIO(found.content)) as bare:
            assert bare.size == (400, 320)
            with Image.open(io.BytesIO(expected[name])) as explained:
                assert explained.height > bare.height
                assert explained.crop((0, 0, *bare.size)).tobytes() == bare.tobytes()
        said = json.loads(found.headers["sr4-map"])
        assert (said["calibrated"], said["most"]) == (False, 32)
    third = client.get(f"{address}/result?sample=3")
    settings = json.loads(third.headers["sr4-settings"])
    assert (settings["seed"], settings["samples"]) == (2, 1)
    assert "1 to 3" in problem(client.get(f"{address}/result?sample=4"), 404)
    assert "mean=true" in problem(client.get(f"{address}/result?show=mean"), 404)
    assert "sample" in problem(client.get(f"{address}/result?sample=0"), 422)
    assert client.delete(address).status_code == 204
    assert "no such job" in problem(client.get(address), 404)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"samples": "1"}, 200),
        ({"samples": "2"}, 202),
        ({"samples": "2", "mean": "true"}, 200),
        ({"samples": "2", "mean": "true", "uncertainty": "true"}, 202),
    ],
)
def test_what_a_single_answer_cannot_hold_becomes_a_job(
    client: Any, fields: dict[str, str], status: int
) -> None:
    answer = post(client, encoded(), **fields)
    assert answer.status_code == status
    if status == 202:
        address = answer.headers["location"]
        events(client, f"{address}/events")
        query = "show=uncertainty" if "uncertainty" in fields else "sample=2"
        assert client.get(f"{address}/result?{query}").status_code == 200


def test_a_job_is_seen_while_it_is_drawn(client: Any) -> None:
    data, header = encoded(150, 150), {"Prefer": "respond-async"}
    address = post(client, data, header, tile=64, samples=4).headers["location"]
    job = client.get(address).json()
    assert (job["previews"], job["links"]["preview"]) == (0, f"{address}/preview")
    until = time.monotonic() + PATIENCE
    while (answer := client.get(f"{address}/preview")).status_code == 204:
        assert answer.content == b""
        assert time.monotonic() < until
        time.sleep(0.02)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert len(answer.content) <= 64_000
    with Image.open(io.BytesIO(answer.content)) as look:
        assert look.size == (600, 600)
        assert look.convert("RGBA").getchannel("A").getextrema() == (0, 255)
    assert client.delete(address).status_code == 204
    assert "no such job" in problem(client.get(f"{address}/preview"), 404)


def test_events_say_that_there_is_a_new_preview(client: Any) -> None:
    header = {"Prefer": "respond-async"}
    address = post(client, encoded(), header, steps=100, samples=16).headers["location"]
    told = events(client, f"{address}/events")
    counts = [one["previews"] for one in told]
    assert counts == sorted(counts)
    assert counts[-1] >= 1
    seconds = 1 + sum(one["state"] == "running" for one in told) * 0.1
    assert counts[-1] <= 1 + seconds
    assert client.get(f"{address}/preview").status_code == 204  # the result is there
    client.delete(address)


def test_nobody_looks_on_and_nothing_is_shown(client: Any) -> None:
    header = {"Prefer": "respond-async"}
    address = post(client, encoded(), header, steps=100).headers["location"]
    until = time.monotonic() + PATIENCE
    while (job := client.get(address).json())["state"] != "done":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert job["previews"] == 0
    client.delete(address)


def test_a_mean_can_be_asked_for(client: Any) -> None:
    header = {"Prefer": "respond-async, wait=1"}
    answer = post(client, encoded(), header, mean="true", samples=2)
    address = answer.headers["location"]
    assert events(client, f"{address}/events")[-1]["state"] == "done"
    means = [client.get(f"{address}/result{query}").content for query in ("", "?show=mean")]
    assert means[0] == means[1] == post(client, encoded(), mean="true", samples=2).content
    client.delete(address)


def test_a_job_can_be_cancelled(service: Running, client: Any) -> None:
    answer = post(client, encoded(150, 150), {"Prefer": "respond-async"}, **SLOW)
    address = answer.headers["location"]
    assert "expected one that is done" in problem(client.get(f"{address}/result"), 409)
    assert client.delete(address).status_code == 204
    assert "no such job" in problem(client.get(address), 404)
    assert settles(service)


def settles(service: Running) -> bool:
    """Whether nothing is drawn any more, soon."""
    end = time.monotonic() + PATIENCE
    while service.metric("sr4_running") or service.metric("sr4_waiting"):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_client_that_leaves_is_not_drawn_for(service: Running) -> None:
    with service.client() as client:
        client.timeout = httpx.Timeout(PATIENCE, read=0.1)
        with pytest.raises(httpx.ReadTimeout):
            post(client, encoded(16, 16), **SLOW)
    began = time.monotonic()
    assert settles(service)
    assert time.monotonic() - began < 2  # all of it takes longer


def test_a_full_queue_is_said_and_nobody_is_dropped(service: Running) -> None:
    data = encoded(16, 16)

    def ask(number: int) -> Any:
        with service.client() as client:
            return post(client, data, seed=number, steps=20, samples=4, mean="true")

    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(ask, range(40)))
    full = [one for one in answers if one.status_code == 429]
    assert full
    assert len(full) + sum(one.status_code == 200 for one in answers) == 40
    for one in full:
        assert "waiting already" in problem(one, 429)
        assert int(one.headers["retry-after"]) >= 1


def test_a_large_picture_lets_small_ones_pass(service: Running, client: Any) -> None:
    large = [
        post(client, encoded(150, 150), seed=seed, **SLOW).headers["location"] for seed in (1, 2)
    ]
    assert post(client, encoded()).status_code == 200
    assert {client.get(one).json()["state"] for one in large} <= {"waiting", "running"}
    for one in large:
        client.delete(one)


FIELDS = [
    ({"seed": "x"}, "got seed 'x'; expected a whole number of at least 0"),
    ({"steps": "0"}, "got steps '0'; expected whole numbers"),
    ({"steps": "9" * 190}, "expected at most 100 from this service"),
    ({"samples": "17"}, "expected at most 16 from this service"),
    ({"samples": "1", "mean": "true"}, "got samples 1 with mean or uncertainty; expected"),
    ({"detail": "2"}, "got detail 2.0; expected a number from 0"),
    ({"detail": "nan"}, "got detail nan"),
    ({"detail": "x"}, "got detail 'x'"),
    ({"scale": "1e308"}, "expected a factor of at least 1"),
    ({"width": "9" * 190}, "expected a whole number of pixels"),
    ({"width": "4"}, "expected at least 8"),
    ({"scale": "2", "width": "20"}, "expected one of both"),
    ({"blur": "x"}, "got blur 'x'"),
    ({"blur": "1e300"}, "expected a deviation from 0"),
    ({"noise": "x"}, "got noise 'x'"),
    ({"tile": "x"}, "got tile 'x'"),
    ({"tile": "7"}, "expected a multiple of 8"),
    ({"sampler": "x"}, "unknown sampler 'x'"),
    ({"evidence": "x"}, "unknown evidence 'x'"),
    ({"evidence": "jpeg"}, "without a trace of JPEG"),
    ({"consistency": "maybe"}, "expected true or false"),
    ({"format": "../png"}, "got results in the format"),
    ({"format": "same"}, "has no name"),
    ({"format": "jpg", "quality": "0"}, "got quality 0; expected a whole number from 1"),
    ({"quality": "80"}, "got quality 80 for results in .png, which has none"),
    ({"model": "/etc/passwd"}, "unknown model '/etc/passwd'"),
    ({"model": "sr4-fast"}, "unknown model 'sr4-fast'"),
    ({"sede": "1"}, "did you mean 'seed'?"),
    ({"seed": "1" * 201}, "got seed of 201 characters"),
]


@pytest.mark.parametrize(("fields", "line"), FIELDS)
def test_wrong_options_are_told_as_by_the_command_line(
    client: Any, fields: dict[str, str], line: str
) -> None:
    assert line in problem(post(client, encoded(), **fields), 422)


def test_options_in_the_address_are_not_ignored(client: Any) -> None:
    answer = client.post("/v1/upscale?seed=5", files={"file": ("a.png", encoded())})
    assert "got 'seed' in the address; expected options as fields" in problem(answer, 422)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"{", "the body is not JSON"),
        (b"[]", "got list as JSON"),
        (b"\xff\xfe{}", "the body is not JSON"),
        (b"[" * 1000, "the body is not JSON"),
        (b'{"picture": "", "a": [' + b"[]," * 100_000 + b"0]}", "more than 1,000 brackets"),
        (b"{}", "JSON without 'picture'"),
        (b'{"picture": "%%%"}', "is not base64"),
        (b'{"picture": "\xc3\xa9"}', "is not base64"),
    ],
)
def test_broken_json(client: Any, body: bytes, line: str) -> None:
    headers = {"content-type": "application/json"}
    assert line in problem(client.post("/v1/upscale", content=body, headers=headers), 400)


def test_broken_forms(client: Any) -> None:
    def ask(body: bytes, kind: str = "multipart/form-data; boundary=x") -> Any:
        return client.post("/v1/upscale", content=body, headers={"content-type": kind})

    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    file = part % (b"file", b'; filename="\xff\xfe/../a"', encoded())
    assert ask(file + b"--x--\r\n").status_code == 200
    assert "without a whole file" in problem(ask(file), 400)
    assert "without a whole file" in problem(ask(b"--x--\r\n"), 400)
    assert "without a whole file" in problem(ask(part % (b"file", b"", b"a") + b"--x--"), 400)
    seed = part % (b"seed", b"", b"1")
    assert "'seed' twice" in problem(ask(file + seed + seed + b"--x--\r\n"), 400)
    other = part % (b"seed", b'; filename="a"', b"1")
    assert "got a file as 'seed'" in problem(ask(other + b"--x--\r\n"), 400)
    assert "cannot be read" in problem(ask(file + file + b"--x--\r\n"), 400)
    assert "cannot be read" in problem(ask(b"no form"), 400)
    assert "cannot be read" in problem(ask(file, "multipart/form-data"), 400)
    assert "expected multipart" in problem(ask(b"", "text/plain"), 415)


def test_too_large_is_said_before_it_is_read(service: Running, client: Any) -> None:
    assert "200,000" in problem(post(client, b"\x89PNG" + bytes(200_001)), 413)
    head = (
        "POST /v1/upscale HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 99999999999999999999999\r\n\r\n"
    )
    assert asked(service, head.encode()).startswith(b"HTTP/1.1 4")
    headers = {"content-type": "application/json"}
    for content in (bytes(20_000_000), (bytes(50_000) for _ in range(400))):
        answer = client.post("/v1/upscale", content=content, headers=headers)
        assert "expected at most that" in problem(answer, 413)
    wrong = client.post("/v1/nowhere", content=bytes(20_000_000))
    assert problem(wrong, 404)
    bomb = io.BytesIO()  # a million pixels of one colour in a kilobyte
    Image.new("L", (1000, 1000)).save(bomb, "PNG")
    assert "expected at most 100,000 pixels" in problem(post(client, bomb.getvalue()), 413)
    assert "are to be drawn in all" in problem(post(client, encoded(), scale=1e6), 413)
    moving = io.BytesIO()
    frames = [Image.new("L", (8, 8), number) for number in range(6)]
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    assert "6 frames" in problem(post(client, moving.getvalue()), 413)


def asked(service: Running, data: bytes, *, until_closed: bool = True) -> bytes:
    """What a connection gives that sends this, and then nothing."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        connection.sendall(data)
        found = b""
        while until_closed and (block := connection.recv(2**16)):
            found += block
        return found


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: a"])
def test_a_slow_head_is_not_waited_for(service: Running, sent: bytes) -> None:
    began = time.monotonic()
    assert asked(service, sent) == b""
    assert 1.5 < time.monotonic() - began < 10


def test_what_is_no_http(service: Running) -> None:
    for sent in (b"\x16\x03\x01\x02\0\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"\n" * 99999):
        head, _, body = asked(service, sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert PROBLEM.encode() in head
        assert b"Expected HTTP/1.1" in body


def test_a_slow_body_is_not_waited_for(service: Running) -> None:
    head = (
        b"POST /v1/upscale HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\n{"
    )
    began = time.monotonic()
    found = asked(service, head)
    assert 1.5 < time.monotonic() - began < 10
    assert found.startswith(b"HTTP/1.1 408 ")
    assert b"was not there after 2 s" in found


def test_who_takes_nothing_is_not_waited_for(service: Running, client: Any) -> None:
    """Of a job's result of 3 MB, four times over, which no buffer between them holds."""
    options = {"format": "bmp", "scale": 4}
    address = post(client, encoded(250, 260), **options).headers["location"]
    assert events(client, f"{address}/events")[-1]["state"] == "done"
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect((host, int(port)))
        for _ in range(4):
            connection.sendall(f"GET {address}/result HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(3.5)
        taken = 0
        with suppress(ConnectionResetError):
            while block := connection.recv(2**20):
                taken += len(block)
    whole = client.get(f"{address}/result")
    assert len(whole.content) > 3_000_000
    assert taken < 4 * len(whole.content)
    client.delete(address)


def test_a_body_cut_half_way_leaves_nothing(service: Running, client: Any) -> None:
    head = (
        b"POST /v1/upscale HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\n{"
    )
    for _ in range(20):
        asked(service, head, until_closed=False)
    assert post(client, encoded()).status_code == 200


def test_many_idle_connections_hold_nobody_up(service: Running, client: Any) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    idle = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(300)]
    try:
        assert post(client, encoded()).status_code == 200
    finally:
        for one in idle:
            one.close()


def test_every_seed_of_the_fuzz_corpus(client: Any, service: Running) -> None:
    """Ends in a result or a line, whatever it is; and the service goes on."""
    seen = set()
    for seed in make_seeds()[::3]:
        answer = post(client, seed.data)
        seen.add(answer.status_code)
        if answer.status_code not in (200, 202):
            assert answer.status_code in (413, 415, 422), (seed.format, answer.text)
            problem(answer, answer.status_code)
        elif answer.status_code == 202:
            client.delete(answer.headers["location"])
    assert {200, 415} <= seen
    assert post(client, encoded()).status_code == 200
    assert settles(service)


def test_the_headers_of_every_answer(client: Any) -> None:
    for path in ("/healthz", "/v1/models", "/nowhere", "/v1/jobs/x"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
    assert client.get("/v1/models").headers["cache-control"] == "no-store"


def test_what_is_not_there(client: Any) -> None:
    assert "/openapi.json" in problem(client.get("/nowhere"), 404)
    assert "got PUT" in problem(client.put("/healthz"), 405)
    assert problem(client.get("/v1/jobs/..%2f..%2fetc%2fpasswd"), 404)
    for page in ("/docs", "/redoc"):
        assert problem(client.get(page), 404)


def test_whatever_can_be_got_has_a_head(client: Any) -> None:
    for path in ("/healthz", "/readyz", "/v1/models", "/metrics", "/openapi.json", "/"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert int(client.head("/healthz").headers["content-length"]) > 0
    assert client.head("/v1/jobs/none").status_code == 404
    refused = client.head("/v1/upscale")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert client.put("/healthz").headers["allow"] == "GET, HEAD"
    assert all("head" not in one for one in client.get("/openapi.json").json()["paths"].values())


def test_other_sites_and_names_are_refused(client: Any) -> None:
    for origin in ("http://evil.example", "null", "http://[", "http://a\u2100b".encode()):
        assert "another site" in problem(post(client, encoded(), {"Origin": origin}), 403)
    assert "not its own" in problem(client.get("/healthz", headers={"Host": "evil.example"}), 403)
    own = {"Origin": str(client.base_url).rstrip("/")}
    assert client.get("/healthz", headers=own).status_code == 200


def test_the_models_and_counts(client: Any, tiny_exported: Path) -> None:
    found = client.get("/v1/models").json()
    assert (found["default"], found["names"]) == ("tiny", ["tiny"])
    assert found["models"][0]["scale"] == 4
    assert str(tiny_exported.parent) not in json.dumps(found)
    assert post(client, encoded()).status_code == 200
    text = client.get("/metrics").text
    assert 'sr4_requests_total{method="POST",route="/v1/upscale",status="200"}' in text


def test_the_example_of_a_client(service: Running, tmp_path: Path) -> None:
    for size, field, side in (((8, 8), "seed=7", 32), ((100, 100), "samples=2", 400)):
        picture, out = tmp_path / "picture.png", tmp_path / f"large-{side}.png"
        picture.write_bytes(encoded(*size))
        words = [sys.executable, str(CLIENT), str(picture), "-o", str(out), "--url", service.url]
        done = subprocess.run([*words, "-F", field], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert read_picture(out).frames[0].size == (side, side)
        assert "consistency 0.0" in done.stdout
        assert ("100%" in done.stderr) == (size == (100, 100))
        refused = subprocess.run(
            [*words, "-F", "seed=x"], capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "422: got seed 'x'; expected" in refused.stderr


def test_each_request_is_a_line_of_the_log(tiny_exported: Path) -> None:
    with running("--model", tiny_exported, "--backend", "onnx", "--log") as one:
        with one.client() as client:
            assert post(client, encoded()).status_code == 200
            address = post(client, encoded(), {"Prefer": "respond-async"}).headers["location"]
            assert client.get(address).status_code == 200
            assert post(client, b"x").status_code == 415
        one.process.send_signal(signal.SIGINT)
        one.process.send_signal(signal.SIGINT)
        _, log = one.process.communicate(timeout=PATIENCE)
    lines = [line.split() for line in log.splitlines() if line.startswith("20")]
    asked = [words[1:4] for words in lines if words[2] != "/readyz"]
    assert asked == [
        ["POST", "/v1/upscale", "200"],
        ["POST", "/v1/upscale", "202"],
        ["GET", "/v1/jobs/{job_id}", "200"],
        ["POST", "/v1/upscale", "415"],
    ]
    assert all(datetime.strptime(words[0], "%Y-%m-%dT%H:%M:%S%z") for words in lines)
    assert all(float(words[4]) < PATIENCE for words in lines)
    assert address.rsplit("/", 1)[1] not in log


def test_a_key_opens(tiny_exported: Path) -> None:
    with running("--model", tiny_exported, "--backend", "onnx", key="secret") as one:
        with one.client() as client:
            assert client.get("/healthz").status_code == 200
            wrong: list[Any] = [
                {},
                {"Authorization": "Bearer Secret"},
                {"Authorization": "secret"},
                {"Authorization": "Bearer s\xe9cret".encode("latin-1")},
            ]
            for headers in wrong:
                answer = client.get("/v1/models", headers=headers)
                assert "API key" in problem(answer, 401)
                assert answer.headers["www-authenticate"] == "Bearer"
            for path in ("/metrics", "/v1/jobs/x/preview"):
                assert "API key" in problem(client.get(path), 401)
            described = client.get("/openapi.json").json()
            assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
            assert "security" in described["paths"]["/v1/upscale"]["post"]
            assert "security" not in described["paths"]["/healthz"]["get"]
            headers = {"Authorization": "Bearer secret"}
            assert client.get("/v1/models", headers=headers).status_code == 200
        assert one.stop() == (0, "")


def stopped_under_load(tiny_exported: Path, ask: Callable[[Running, int], Any]) -> list[Any]:
    """What clients got of whom some are served when the service is told to stop."""
    answers: list[Any] = []
    with running("--model", tiny_exported, "--backend", "onnx", *limits()) as one:

        def work(number: int) -> None:
            for turn in range(1000):
                try:
                    answers.append(ask(one, 1000 * number + turn))
                except httpx.ConnectError:  # it listens no longer
                    return
                except httpx.RemoteProtocolError as error:
                    answers.append(error)
                if not isinstance(answers[-1], httpx.Response):
                    return
                if answers[-1].status_code == 503:
                    return

        threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        code, said = one.stop()
        for thread in threads:
            thread.join(PATIENCE)
        assert code == 0
        assert said == "" or said.startswith("sr4: stopping: ")  # where it takes a while
    return answers


def test_nothing_is_lost_when_it_is_told_to_stop(tiny_exported: Path) -> None:
    def ask(one: Running, number: int) -> Any:
        with one.client() as client:
            return post(client, encoded(), seed=number, steps=10)

    answers = stopped_under_load(tiny_exported, ask)
    statuses = [getattr(one, "status_code", one) for one in answers]
    assert set(statuses) == {200, 503}, statuses
    assert all(one.content for one in answers if one.status_code == 200)
    assert "is stopping" in problem(next(one for one in answers if one.status_code == 503), 503)


def test_a_job_can_be_fetched_while_it_stops(tiny_exported: Path) -> None:
    with (
        running("--model", tiny_exported, "--backend", "onnx", *limits()) as one,
        one.client() as client,
    ):
        address = post(client, encoded(100, 100), steps=40).headers["location"]
        ended: list[tuple[int, str]] = []
        stopping = threading.Thread(target=lambda: ended.append(one.stop()))
        stopping.start()
        head = client.head(f"{address}/events")  # which does not wait for the end
        assert head.headers["content-type"].startswith("text/event-stream")
        assert head.content == b""
        assert client.get(address).json()["state"] != "done"
        assert events(client, f"{address}/events")[-1]["state"] == "done"
        problem(client.get("/readyz"), 503)
        head = client.head(f"{address}/result")  # which does not fetch it
        assert (head.status_code, head.content) == (200, b"")
        stopping.join(0.5)
        assert stopping.is_alive()
        size = len(client.get(f"{address}/result").content)
        assert head.headers["content-length"] == str(size)
        stopping.join(PATIENCE)
        ((code, _),) = ended
        assert code == 0


def test_nobody_fetches_and_it_stops_all_the_same(tiny_exported: Path) -> None:
    words = ("--model", tiny_exported, "--backend", "onnx", *limits(grace_seconds=2.0))
    with running(*words) as one, one.client() as client:
        assert post(client, encoded(150, 150), **SLOW).status_code == 202
        began = time.monotonic()
        code, said = one.stop()
        assert (code, "are kept for 2 seconds; Ctrl-C" in said) == (0, True)
        assert said.count("\n") == 1
        assert time.monotonic() - began < 10


def test_a_second_signal_ends_it_at_once(tiny_exported: Path) -> None:
    """Without a word of what was drawn, which nobody gets, nor of how it ended."""
    with running("--model", tiny_exported, "--backend", "onnx", *limits()) as service:
        with service.client() as client:
            assert post(client, encoded(150, 150), **SLOW).status_code == 202
        service.process.send_signal(signal.SIGINT)
        assert service.process.stderr is not None
        assert "Ctrl-C again ends it at once" in service.process.stderr.readline()
        service.process.send_signal(signal.SIGINT)
        _, said = service.process.communicate(timeout=PATIENCE)
        assert (service.process.returncode, said) == (0, "")


def test_the_first_line_names_the_page_and_the_description(tiny_exported: Path) -> None:
    words = ("serve", "--port", "0", "--model", str(tiny_exported))
    with subprocess.Popen(
        [sys.executable, "-m", "sr4", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
        process.communicate(timeout=PATIENCE)
    said = r"sr4: serving at (\S+), the API described at \1/openapi\.json \(Ctrl-C ends it\)\n"
    assert re.fullmatch(said, line), line


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_it_can_be_stopped_before_it_is_ready(tiny_exported: Path, seconds: float) -> None:
    words = ("serve", "--port", "0", "--json", "--model", str(tiny_exported))
    with subprocess.Popen(
        [sys.executable, "-m", "sr4", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it listens
        time.sleep(seconds)
        process.terminate()
        assert process.communicate(timeout=PATIENCE)[1] == ""
        assert process.returncode == 0


def test_without_the_extra(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    outcome = run("serve")
    assert outcome.code == 2
    (line,) = outcome.errors
    assert "sr4 serve needs the package 'python-multipart'" in line
    assert "pip install" in line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--model", "sr5"), "no model 'sr5'"),
        (("--workers", "1"), "--workers"),
        (("--limit", "byte=3"), "unknown limit 'byte'"),
        (("--limit", "frames=x"), "got the limit 'frames=x'"),
        (("--host", "256.1.2.3"), "expected a free address"),
        (("--api-key-file", "nowhere"), "cannot be read"),
        (("--backend", "x"), "unknown backend 'x'"),
    ],
)
def test_it_does_not_start(
    run: Callable[..., Any], words: tuple[str, ...], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # and is what it was afterwards
    outcome = run("serve", "--port", "0", *words)
    assert outcome.code in (1, 2)
    assert outcome.err.splitlines()[-1].startswith("sr4: error: ")
    assert line in outcome.err


def test_the_client_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = runpy.run_path(str(CLIENT))
    (tmp_path / "face.png").write_bytes(b"a face")
    (tmp_path / "large.png").write_text("mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["client.py", "face.png", "-F", "data=1"])

    def upscale(_: object, data: bytes, /, **fields: object) -> Any:
        assert (data, fields) == (b"a face", {"data": "1"})
        return module["Enlarged"](b"large", {}, 0.0, ())

    monkeypatch.setattr(module["Client"], "upscale", upscale)
    assert module["main"]() == 1
    assert capsys.readouterr().err == "face.png: [Errno 17] File exists: 'large.png'\n"
    assert (tmp_path / "large.png").read_text() == "mine"
    (tmp_path / "large.png").unlink()
    assert module["main"]() == 0
    assert (tmp_path / "large.png").read_bytes() == b"large"


def test_a_field_of_the_client_has_a_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["client.py", "face.png", "-F", "seed"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(CLIENT), run_name="__main__")
    assert caught.value.code == 2
    assert "argument -F: got 'seed'; expected NAME=VALUE" in capsys.readouterr().err


def test_the_client_repeats_what_was_lost_before_it_came_to_the_service() -> None:
    """A proxy answers in its own words where the service behind it is gone."""
    module = runpy.run_path(str(CLIENT))
    problem = {"content-type": PROBLEM}
    answers = iter(
        [
            httpx.Response(500, text="Internal Server Error", headers={"Retry-After": "0"}),
            httpx.Response(429, json={"detail": "full"}, headers={"Retry-After": "0", **problem}),
            httpx.Response(204),
            httpx.Response(500, json={"detail": "the service failed"}, headers=problem),
            httpx.Response(404, text="nothing"),
        ]
    )
    client = module["Client"]()
    client._http = httpx.Client(
        base_url="http://service", transport=httpx.MockTransport(lambda _: next(answers))
    )
    assert client._ask("DELETE", "/").status_code == 204
    for line in ("500: the service failed", "404: Not Found"):
        with pytest.raises(module["Refused"], match=line):
            client._ask("DELETE", "/")
