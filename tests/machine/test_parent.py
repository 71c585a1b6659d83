"""A process that ends with the one that has started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

CHILD = """
import time
from sr4.machine.parent import end_with_parent
end_with_parent()
print(flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process is not told there")
def test_a_child_ends_soon_after_its_parent_is_killed() -> None:
    words = [sys.executable, "-c", PARENT, CHILD]
    # The child has the same stderr, which is at its end when both have ended.
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        try:
            assert parent.communicate(timeout=10) == ("", "")
        except subprocess.TimeoutExpired:
            os.kill(child, signal.SIGKILL)
            pytest.fail("it is still there")
