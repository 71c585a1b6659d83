"""What Prometheus reads of a service."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sr4._version import __version__

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counts of one service, apart from those of others in the same process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        about = Gauge("sr4_info", "The version of sr4.", ["version"], registry=self._registry)
        about.labels(__version__).set(1)
        self._requests = Counter(
            "sr4_requests",
            "Requests by method, route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "sr4_request_seconds",
            "Seconds until an answer was sent, by route.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._together = Histogram(
            "sr4_pictures_together",
            "Pictures that were drawn in one call.",
            buckets=(1, 2, 4, 8, 16),
            registry=self._registry,
        )
        self._waiting = Gauge("sr4_waiting", "Pictures in the queue.", registry=self._registry)
        self._running = Gauge("sr4_running", "Pictures that are drawn.", registry=self._registry)

    def watch(self, waiting: Callable[[], int], running: Callable[[], int]) -> None:
        """Say where the numbers of pictures come from."""
        self._waiting.set_function(waiting)
        self._running.set_function(running)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def drawn_together(self, pictures: int) -> None:
        """Count a call."""
        self._together.observe(pictures)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
