"""The files of the page, each at its place, and no other."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from sr4.serve.pages import Pages


def test_files_are_served_from_memory(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>page</p>")
    (tmp_path / "assets/a.js").write_text("let a = 1")
    (tmp_path / "assets/a.wasm").write_bytes(b"\0asm")
    app = FastAPI(docs_url=None)
    Pages(tmp_path).add_to(app)
    (tmp_path / "late.html").write_text("no")
    client = TestClient(app)
    page = client.get("/")
    assert page.text == "<p>page</p>"
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    script = client.get("/assets/a.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert client.get("/assets/a.wasm").headers["content-type"] == "application/wasm"
    assert client.head("/").status_code == 200
    for other in ("/late.html", "/assets/", "/assets/../late.html", "/index.html"):
        assert client.get(other).status_code == 404


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    app = FastAPI(docs_url=None)
    Pages(tmp_path / "nowhere").add_to(app)
    assert TestClient(app).get("/").status_code == 404
