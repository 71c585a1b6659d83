"""Damaged uploads through `sr4 serve`: each is answered with a picture, a job or a problem.

Run `python fuzz/serve.py --count 5000`; README.md beside this file says what is checked.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from mutations import mutate
from seeds import Seed, make_seeds

_PATIENCE = 120.0
_REFUSALS = (400, 413, 415, 422)
_LATER = (429, 503)
_FIELDS = {
    "seed": ("1", "-1", "x", "", "9" * 300),
    "samples": ("2", "0", "17", "1e3"),
    "scale": ("2", "1e308", "nan", "0.5"),
    "format": ("jpg", "webp", "tif", "gif", "avif", "npy", "jp2", "bmp", "exe", "../a"),
    "quality": ("1", "100", "0", "x", "1e2"),
    "evidence": ("exact", "jpeg", "noise", "none", "x"),
    "steps": ("1", "2", "0", "1,2"),
    "uncertainty": ("true", "maybe"),
    "model": ("tiny", "../../etc/passwd"),
    "more": ("1",),
}


def make_upload(
    seed: int, number: int, seeds: Sequence[Seed]
) -> tuple[str, bytes, dict[str, str], bool]:
    """Format, file, fields of a number, and whether they go as a form of which bytes are changed,
    too: the same each time.
    """
    random_ = random.Random(f"{seed} {number}")
    chosen = random_.choice(seeds)
    others = [one.data for one in seeds]
    data = mutate(chosen.data, others, random_) if random_.random() < 0.9 else chosen.data
    names = random_.sample(sorted(_FIELDS), random_.choice((0, 0, 0, 1, 1, 2)))
    fields = {name: random_.choice(_FIELDS[name]) for name in names}
    return chosen.format, data, fields, random_.random() < 0.1


def request_of(
    client: httpx.Client, data: bytes, fields: dict[str, str], random_: random.Random | None
) -> httpx.Request:
    """The request; with random numbers, one whose body is damaged."""
    request = client.build_request("POST", "/v1/upscale", files={"file": ("a", data)}, data=fields)
    if random_ is None:
        return request
    body = mutate(request.read(), [data], random_)
    kind = {"content-type": request.headers["content-type"]}
    return client.build_request("POST", "/v1/upscale", content=body, headers=kind)


def fault(answer: httpx.Response) -> str | None:
    """What is wrong with an answer."""
    if answer.status_code == 200:
        is_right = answer.content and "sr4-settings" in answer.headers
        return None if is_right else "an empty result, or one without settings"
    if answer.status_code == 202:
        return None if "location" in answer.headers else "a job without an address"
    if answer.status_code not in _REFUSALS:
        return f"the status {answer.status_code}: {answer.text[:300]}"
    detail = answer.json().get("detail", "")
    return None if detail and "\n" not in detail else f"no line: {answer.text[:300]}"


@contextmanager
def served(model: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service that is ready, and where it is."""
    command = [sys.executable, "-m", "sr4", "serve", "--port", "0", "--json", "--model", model]
    command += ["--backend", "onnx"]
    for limit in ("result_pixels=2000000", "picture_pixels=1000000", "upload_bytes=4000000"):
        command += ["--limit", limit]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            text = ""
            while not text.endswith("\n}\n"):
                text += process.stdout.readline()
            url = json.loads(text)["url"]
            while httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
                time.sleep(0.05)
            yield process, url
        finally:
            process.terminate()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="photo-x4", help="a small one makes it faster")
    parser.add_argument("--at-once", type=int, default=8)
    options = parser.parse_args(words)
    seeds = make_seeds()
    statuses: collections.Counter[int] = collections.Counter()
    faults: list[str] = []
    numbers = iter(range(options.count))

    def ask(client: httpx.Client, number: int) -> None:
        kind, data, fields, is_damaged = make_upload(options.seed, number, seeds)
        random_ = random.Random(f"{options.seed} {number} body") if is_damaged else None
        request = request_of(client, data, fields, random_)
        while True:
            answer = client.send(request)
            statuses[answer.status_code] += 1
            if answer.status_code not in _LATER:
                break
            time.sleep(float(answer.headers["retry-after"]))
        if answer.status_code == 202:
            client.delete(answer.headers["location"])
        if wrong := fault(answer):
            faults.append(f"number {number} ({kind}, {fields}): {wrong}")

    with served(options.model) as (process, url):

        def work() -> None:
            with httpx.Client(base_url=url, timeout=_PATIENCE, trust_env=False) as client:
                for number in numbers:  # of a range: one thread at a time moves it
                    try:
                        ask(client, number)
                    except httpx.HTTPError as error:
                        faults.append(f"number {number}: {error!r}")

        threads = [threading.Thread(target=work) for _ in range(options.at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if process.poll() is not None:
            faults.append(f"the service has ended with {process.returncode}")
        elif httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
            faults.append("the service is not ready any more")
    for line in faults:
        print(line)
    told = ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
    print(f"{options.count} uploads: {told}; {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
