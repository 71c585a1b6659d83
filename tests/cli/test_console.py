"""What commands print with: bars, lines, times, and Ctrl-C."""

from __future__ import annotations

import io
import re
import signal
import sys
import threading

import pytest

from sr4.cli import console
from tests.conftest import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(console, "monotonic", found)
    return found


def test_in_a_pipe_a_line_now_and_then(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.shares("upscaling") as show:
        for second in range(1, 101):
            clock.now += 1
            show(second / 100, "holiday.jpg", None if second < 40 else 100 - second)
    assert stream.getvalue().splitlines() == [
        "sr4: holiday.jpg: 30 % done",
        "sr4: holiday.jpg: 60 % done, about 40 seconds left",
        "sr4: holiday.jpg: 90 % done, about 10 seconds left",
    ]


def test_lines_of_long_work_become_rare(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.progress("training") as advance:
        for second in range(10, 24 * 3600 + 1, 10):
            clock.now += 10
            advance(second, 24 * 3600, "loss 0.5000, 1.0 pictures/s")
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "sr4: training: 30 of 86,400, about 24.0 hours left, loss 0.5000, 1.0 pictures/s"
    )
    at = [int(line.split(" ")[2].replace(",", "")) for line in lines]
    assert at[:3] == [30, 60, 90]
    assert at[-1] - at[-2] == 600
    assert len(at) < 220


def test_the_time_left_goes_by_the_pace(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first amount that was told on: what a run was resumed with took no time here."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.progress("ablation") as advance:
        for done in (900, 920, 940, 1000):  # 1.5 seconds each
            advance(done, 1000, "training a")
            clock.now += 30
        advance(0, 1000, "training b")  # starts anew
        clock.now += 40
        advance(10.5, 1000, "training b")
        clock.now += 40
        advance(2, 20, "scoring")  # is counted otherwise
        clock.now += 40
        advance(3, 20, "")
    assert stream.getvalue().splitlines() == [
        "sr4: ablation: 920 of 1,000, about 2 minutes left, training a",
        "sr4: ablation: 940 of 1,000, about 2 minutes left, training a",
        "sr4: ablation: 0 of 1,000, training b",
        "sr4: ablation: 10 of 1,000, about 63 minutes left, training b",
        "sr4: ablation: 2 of 20, scoring",
        "sr4: ablation: 3 of 20, about 11 minutes left",
    ]


def test_without_any_work_there_is_no_time_left() -> None:
    with console.progress("preparing") as advance:
        advance(0, 0, "")


def test_lines_of_shares_become_rare_too(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with console.shares("upscaling") as show:
        for second in range(10, 24 * 3600 + 1, 10):
            clock.now += 10
            show(second / (24 * 3600), f"at {second}", None)
    at = [int(line.split(" ")[2].strip(":")) for line in stream.getvalue().splitlines()]
    assert at[:3] == [30, 60, 90]
    assert at[-1] - at[-2] == 600
    assert len(at) < 220


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        """What was written, without colours."""
        return re.sub(r"\x1b\[[\d;]*m", "", self.getvalue())


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    found = Terminal()
    monkeypatch.setattr(sys, "stdout", found)
    monkeypatch.setattr(sys, "stderr", found)
    return found


def test_on_a_terminal_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_a_terminal(monkeypatch)
    with console.shares("upscaling") as show:
        show(0.4, "holiday.jpg", 125.0)
    assert "upscaling" in screen.shown
    assert " 40% about 2 minutes left, holiday.jpg" in screen.shown


def test_a_bar_of_slow_steps_tells_the_time_left_too(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Steps may lie further apart than Rich looks back."""
    screen = on_a_terminal(monkeypatch)
    with console.progress("evaluating") as advance:
        for done in (0, 50, 100):
            advance(done, 1000, "slowly")
            clock.now += 60
    assert " 100/1000 about 18 minutes left, slowly" in screen.shown


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "about 0 seconds"),
        (1.2, "about 1 second"),
        (8.7, "about 9 seconds"),
        (43, "about 45 seconds"),
        (100, "about 2 minutes"),
        (3000, "about 50 minutes"),
        (9000, "about 2.5 hours"),
    ],
)
def test_times_in_words(seconds: float, said: str) -> None:
    assert console.about(seconds) == said


def test_the_first_ctrl_c_is_noted_and_the_second_raises() -> None:
    before = signal.getsignal(signal.SIGINT)
    with console.interruptions() as is_interrupted:
        assert not is_interrupted()
        signal.raise_signal(signal.SIGINT)
        assert is_interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_in_other_threads_nothing_is_interrupted() -> None:
    found = []

    def work() -> None:
        with console.interruptions() as is_interrupted:
            found.append(is_interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
