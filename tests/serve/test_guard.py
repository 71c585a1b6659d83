"""Which pages may ask; the rest of the guard is tested by requests in test_service.py."""

from __future__ import annotations

import pytest

from sr4.serve.guard import _is_at


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("https://Pictures.example.org", "pictures.example.org"),
        ("https://pictures.example.org", "pictures.example.org:443"),
        ("https://pictures.example.org:8443", "pictures.example.org:8443"),
        ("http://localhost", "localhost:80"),
    ],
)
def test_pages_of_this_service(origin: str, host: str) -> None:
    assert _is_at(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1"),  # whose port a proxy has dropped
        ("http://127.0.0.1:8000", "127.0.0.1:8001"),
        ("http://127.0.0.1", "127.0.0.1:443"),
        ("https://evil.example", "pictures.example.org"),
        ("https://evil.example", "pictures.example.org@evil.example:444"),
        ("http://a:b", "a:b"),
        ("null", ""),
        ("", ""),
        ("http://[", "["),
    ],
)
def test_pages_of_others(origin: str, host: str) -> None:
    assert not _is_at(origin, host)
